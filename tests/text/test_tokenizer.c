/* The parts of the tokenizer one by one, on vocabularies small enough to work out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/rng.h"
#include "support/testdir.h"
#include "tiny.h"

static const char *const hello[] = {"h e", "l l", "he ll", "hell o", "  w", " w o", NULL};
enum { HE = 256, LL, HELL, HELLO, SPACE_W, SPACE_WO };

/* Ids of text as "1 2 3". */
static const char *ids_of(const struct tokenizer *t, struct str text, enum tok_mode mode)
{
    static char out[4000];
    struct tok_cache *c;
    struct tok_ids v = {0};
    struct err e = {0};
    size_t n = 0;

    assert_true(tok_cache_open(t, &c, &e));
    if (!tokenizer_encode(c, text, mode, &v, &e)) fail_msg("%s", e.text);
    out[0] = '\0';
    for (size_t i = 0; i < v.n; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, i ? " %u" : "%u", v.ids[i]);
    tok_ids_free(&v);
    tok_cache_close(c);
    return out;
}

static void test_merges(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_open(tiny_json(hello));

    assert_string_equal(ids_of(t, STR("hello"), TOK_PLAIN), "259");
    assert_string_equal(ids_of(t, STR("hell"), TOK_PLAIN), "258");
    assert_string_equal(ids_of(t, STR("hellll"), TOK_PLAIN), "258 257");
    assert_string_equal(ids_of(t, STR("lllh"), TOK_PLAIN), "257 108 104"); /* leftmost of equals */
    assert_string_equal(ids_of(t, STR("hello wo"), TOK_PLAIN), "259 261");
    assert_string_equal(ids_of(t, STR(""), TOK_FULL), "");
    assert_string_equal(ids_of(t, STR("\0h"), TOK_PLAIN), "0 104"); /* NUL is a character */
    /* maximal ill-formed subparts: E2 82 is one, FF another */
    assert_string_equal(ids_of(t, STR("\xE2\x82\xFF"), TOK_PLAIN), "239 191 189 239 191 189");
    struct tok_info i = tokenizer_info(t);
    assert_int_equal(i.vocab_size, 262);
    assert_int_equal(i.eos, -1);
    assert_string_equal(i.kind, "byte-bpe");
    assert_int_equal(tokenizer_id(t, STR(" wo")), SPACE_WO);
    assert_int_equal(tokenizer_id(t, STR("absent")), -1);
    assert_true(str_eqz(tokenizer_piece(t, HELLO), "hello"));
    assert_int_equal(tokenizer_piece(t, 262).n, 0);
    tokenizer_close(t);
}

static void test_merges_as_pairs_and_last_of_equals(void **state)
{
    (void)state;
    static const char *const two[] = {"a b", "b c", NULL};
    json_t *j = tiny_json(two);
    json_t *merges = json_object_get(json_object_get(j, "model"), "merges");

    json_array_set_new(merges, 0, json_pack("[s, s]", "a", "b"));
    struct tokenizer *t = tiny_open(json_deep_copy(j));
    assert_string_equal(ids_of(t, STR("abc"), TOK_PLAIN), "256 99");
    tokenizer_close(t);
    /* "a b" again behind "b c": the reference's map keeps the later rank */
    json_array_append_new(merges, json_string("a b"));
    t = tiny_open(j);
    assert_string_equal(ids_of(t, STR("abc"), TOK_PLAIN), "97 257");
    tokenizer_close(t);
}

/* Is s the beginning of a piece, and which piece is it? */
static bool begins(const struct tokenizer *t, struct str s, uint32_t *id)
{
    bool any = false;

    *id = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        any |= str_starts(t->piece[i].bytes, s);
        if (str_eq(t->piece[i].bytes, s)) *id = i + 1;
    }
    return any;
}

/* Random pieces over few and over many bytes: the tree holds them, their beginnings and no more. */
static void test_trie(void **state)
{
    (void)state;
    struct err e = {0};
    static char text[100][9];
    struct tok_piece piece[100];
    uint32_t id;

    for (uint64_t v = 0; v < 4; v++) {
        struct rng_key k = rng_key(2, RNG_TEST, v);
        uint64_t turn = 0;
        struct tokenizer t = {.piece = piece};
        for (uint32_t i = 0; i < 100; i++) {
            struct str s = {text[t.n], 1 + rng_below(k, turn++, 8)};
            for (size_t b = 0; b < s.n; b++)
                text[t.n][b] = (char)(rng_below(k, turn++, v % 2 ? 256 : 3) + (v % 2 ? 0 : 'a'));
            piece[t.n] = (struct tok_piece){.bytes = s, .flags = TOK_P_VOCAB | TOK_P_MAPPED};
            (void)begins(&t, s, &id);
            if (id == 0) t.n++; /* a piece is there once */
        }
        piece[0].flags |= TOK_P_SPECIAL;
        assert_true(tok_trie_build(&t, &e));
        for (uint32_t i = 0; i < t.n; i++) {
            uint32_t node = 0;
            for (size_t n = 1; n <= piece[i].bytes.n; n++) {
                uint8_t want = (uint8_t)piece[i].bytes.p[n - 1];
                char next[9];
                memcpy(next, piece[i].bytes.p, n);
                for (int c = 0; c < 256; c++) {
                    next[n - 1] = (char)c;
                    bool there = tok_trie_step(&t.trie, node, (uint8_t)c) != TOK_NO_ID;
                    assert_int_equal(there, begins(&t, (struct str){next, n}, &id));
                }
                node = tok_trie_step(&t.trie, node, want);
                (void)begins(&t, str_sub(piece[i].bytes, 0, n), &id);
                assert_int_equal(t.trie.unit[node].id & ~TOK_TRIE_SPECIAL, id);
                assert_int_equal(t.trie.unit[node].id & TOK_TRIE_SPECIAL,
                                 id == 1 ? TOK_TRIE_SPECIAL : 0);
            }
        }
        mem_free(t.table[0]);
    }
}

static void test_ignore_merges(void **state)
{
    (void)state;
    json_t *j = tiny_json(hello), *model = json_object_get(j, "model");

    json_object_set_new(json_object_get(model, "vocab"), "whole", json_integer(262));
    struct tokenizer *t = tiny_open(json_deep_copy(j));
    assert_string_equal(ids_of(t, STR("whole"), TOK_PLAIN), "119 104 111 108 101");
    tokenizer_close(t);
    json_object_set_new(model, "ignore_merges", json_true());
    json_t *special = json_deep_copy(j);
    t = tiny_open(j);
    assert_string_equal(ids_of(t, STR("whole"), TOK_PLAIN), "262");
    tokenizer_close(t);
    /* but never a special token, though it be a word of the vocabulary */
    json_array_append_new(
        json_object_get(special, "added_tokens"),
        json_pack("{s:i, s:s, s:b}", "id", 262, "content", "whole", "special", 1));
    t = tiny_open(special);
    assert_string_equal(ids_of(t, STR("whole"), TOK_PLAIN), "119 104 111 108 101");
    assert_string_equal(ids_of(t, STR("whole"), TOK_RAW), "262");
    tokenizer_close(t);
}

static void test_unknown_bytes(void **state)
{
    (void)state;
    json_t *j = tiny_json(NULL), *model = json_object_get(j, "model");
    json_t *vocab = json_object_get(model, "vocab");

    json_object_del(vocab, "x");
    json_object_set_new(vocab, "?", json_integer('?'));
    struct tokenizer *t = tiny_open(json_deep_copy(j));
    assert_string_equal(ids_of(t, STR("axxb"), TOK_PLAIN), "97 98"); /* dropped, as HF does */
    tokenizer_close(t);
    json_object_set_new(model, "unk_token", json_string("?"));
    t = tiny_open(json_deep_copy(j));
    assert_string_equal(ids_of(t, STR("axxb"), TOK_PLAIN), "97 63 63 98");
    assert_int_equal(tokenizer_info(t).unk, '?');
    tokenizer_close(t);
    json_object_set_new(model, "fuse_unk", json_true());
    t = tiny_open(j);
    assert_string_equal(ids_of(t, STR("axxbx"), TOK_PLAIN), "97 63 98 63");
    tokenizer_close(t);
}

/* SentencePiece BPE without byte tokens: unknown neighbours are one id, of whatever kind they are
 * (tokenizers 0.23.3 gives these ids). */
static void test_unknown_neighbours_are_one(void **state)
{
    (void)state;
    json_t *j = json_pack(
        "{s:s, s:[], s:{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]}, s:n, s:n,"
        " s:{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}, {s:s, s:s, s:i, s:i}]},"
        " s:{s:s, s:s, s:b, s:{s:i, s:i, s:i, s:i}, s:[s]}}",
        "version", "1.0", "added_tokens", "normalizer", "type", "Sequence", "normalizers", "type",
        "Prepend", "prepend", TOK_METASPACE, "type", "Replace", "pattern", "String", " ", "content",
        TOK_METASPACE, "pre_tokenizer", "post_processor", "decoder", "type", "Sequence", "decoders",
        "type", "Replace", "pattern", "String", TOK_METASPACE, "content", " ", "type",
        "ByteFallback", "type", "Fuse", "type", "Strip", "content", " ", "start", 1, "stop", 0,
        "model", "type", "BPE", "unk_token", "?", "fuse_unk", 1, "vocab", "?", 0, "a", 1, "b", 2,
        "ab", 3, "merges", "a b");
    struct tokenizer *t = tiny_open(j);

    assert_string_equal(ids_of(t,
                               STR("ab\x1C\xC3\x9F"
                                   "ab1. xa"),
                               TOK_PLAIN),
                        "0 3 0 3 0 1");
    assert_string_equal(ids_of(t, STR("1\xC3\x9Fx"), TOK_PLAIN), "0");
    tokenizer_close(t);
}

static void test_added_tokens(void **state)
{
    (void)state;
    json_t *j = tiny_json(NULL);
    int end = tiny_add(j, "<e>", "s"), longer = tiny_add(j, "<e><e>", "s");
    int left = tiny_add(j, "<l>", "sl"), right = tiny_add(j, "<r>", "sr");
    int word = tiny_add(j, "word", "w"), gap = tiny_add(j, "    ", "n");
    char want[100];
    tiny_add(j, "<<", "s");
    int inner = tiny_add(j, "<x", "");
    struct tokenizer *t = tiny_open(j);

    /* a special token that plain mode refuses is stepped over whole, as the reference does */
    assert_string_equal(ids_of(t, STR("<<x"), TOK_PLAIN), "60 60 120");
    snprintf(want, sizeof(want), "97 %d", inner);
    assert_string_equal(ids_of(t, STR("a<x"), TOK_PLAIN), want);
    assert_int_equal(tokenizer_id(t, STR("<e>")), end);
    assert_true(tokenizer_is_special(t, (uint32_t)end));
    assert_false(tokenizer_is_special(t, (uint32_t)word));
    snprintf(want, sizeof(want), "97 %d 98", end);
    assert_string_equal(ids_of(t, STR("a<e>b"), TOK_RAW), want);
    assert_string_equal(ids_of(t, STR("a<e>b"), TOK_PLAIN), "97 60 101 62 98");
    snprintf(want, sizeof(want), "%d %d", longer, end); /* leftmost, longest, no overlap */
    assert_string_equal(ids_of(t, STR("<e><e><e>"), TOK_RAW), want);
    snprintf(want, sizeof(want), "97 %d 32 98", left);
    assert_string_equal(ids_of(t, STR("a \n<l> b"), TOK_RAW), want);
    snprintf(want, sizeof(want), "97 32 %d 98", right);
    assert_string_equal(ids_of(t, STR("a <r> \nb"), TOK_RAW), want);
    snprintf(want, sizeof(want), "%d %d", right, left); /* strips not what is taken already */
    assert_string_equal(ids_of(t, STR("<r>  <l>"), TOK_RAW), want);
    snprintf(want, sizeof(want), "%d 32 120 119 111 114 100 32 %d", word, word);
    assert_string_equal(ids_of(t, STR("word xword word"), TOK_PLAIN), want);
    snprintf(want, sizeof(want), "%d 46 195 169 119 111 114 100", word);
    assert_string_equal(ids_of(t, STR("word.\xC3\xA9word"), TOK_PLAIN), want);
    snprintf(want, sizeof(want), "97 %d 98",
             gap); /* plain mode keeps tokens that are not special */
    assert_string_equal(ids_of(t, STR("a    b"), TOK_PLAIN), want);
    tokenizer_close(t);
}

static void test_template_and_decode(void **state)
{
    (void)state;
    json_t *j = tiny_json(hello);
    int cls = tiny_add(j, "<s>", "s"), sep = tiny_add(j, "</s>", "s");
    char want[100];
    struct sbuf b;
    struct err e = {0};

    json_object_set_new(j, "post_processor",
                        json_pack("{s:s, s:[s, i], s:[s, i]}", "type", "RobertaProcessing", "sep",
                                  "</s>", sep, "cls", "<s>", cls));
    struct tokenizer *t = tiny_open(j);
    snprintf(want, sizeof(want), "%d 259 %d", cls, sep);
    assert_string_equal(ids_of(t, STR("hello"), TOK_FULL), want);
    assert_string_equal(ids_of(t, STR("hello"), TOK_RAW), "259");
    snprintf(want, sizeof(want), "%d %d", cls, sep);
    assert_string_equal(ids_of(t, STR(""), TOK_FULL), want);

    sbuf_init(&b, 1000);
    const uint32_t ids[] = {(uint32_t)cls, HELLO,  0xC3, 0xA9,         0xE2,
                            0x82,          999999, 'x',  (uint32_t)sep};
    assert_true(tokenizer_decode(t, ids, 9, true, &b, &e));
    assert_string_equal(b.p, "hello\xC3\xA9\xEF\xBF\xBDx");
    sbuf_clear(&b);
    assert_true(tokenizer_decode(t, ids, 2, false, &b, &e));
    assert_string_equal(b.p, "<s>hello");
    sbuf_free(&b);
    tokenizer_close(t);
}

/* Every way in which a file can be wrong: (where, what to put there, word in the message). */
static void test_refused(void **state)
{
    static const struct {
        const char *at, *value, *named;
    } bad[] = {
        {"normalizer", "{\"type\":\"NFKC\"}", "NFKC"},
        {"pre_tokenizer", "{\"type\":\"Metaspace\"}", "Metaspace"},
        {"pre_tokenizer", "null", "pre_tokenizer"},
        {"pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[]}", "Sequence"},
        {"pre_tokenizer",
         "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"x\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\"}]}",
         "Split pattern"},
        {"pre_tokenizer",
         "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":"
         "\"ByteLevel\"}]}",
         "individual_digits"},
        {"post_processor", "{\"type\":\"Unheard\"}", "Unheard"},
        {"post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[]}", "no text"},
        {"post_processor", "{\"type\":\"RobertaProcessing\",\"cls\":[\"a\",999],\"sep\":[\"b\",1]}",
         "template"},
        {"decoder", "{\"type\":\"CTC\"}", "CTC"},
        {"decoder", "null", "decoder"},
        {"model", "{\"type\":\"WordLevel\",\"vocab\":[]}", "WordLevel"},
        {"model", "[]", "model"},
        {"model.vocab", "{}", "empty"},
        {"model.vocab", "{\"a\":-1}", "token id"},
        {"model.vocab", "{\"a\":4000000000}", "token id"},
        {"model.vocab", "{\"a\":1,\"b\":1}", "twice"},
        {"model.vocab", "{\"\":1}", "empty"},
        {"model.merges", "[\"a\"]", "merge 1"},
        {"model.merges", "[\"a b c\"]", "merge 1"},
        {"model.merges", "[7]", "merge 1"},
        {"model.merges", "[\"a b\"]", "merged piece"},
        {"model.dropout", "0.1", "dropout"},
        {"model.byte_fallback", "true", "byte_fallback"},
        {"model.end_of_word_suffix", "\"</w>\"", "end_of_word_suffix"},
        {"model.unk_token", "\"nope\"", "unk_token"},
        {"added_tokens", "[{\"id\":97,\"content\":\"b\"}]", "differs"},
        {"added_tokens", "[{\"id\":300,\"content\":\"b\"}]", "another id"},
        {"added_tokens", "[{\"id\":300,\"content\":\"\"}]", "empty"},
        {"added_tokens", "[{\"id\":300,\"content\":\"<x>\"},{\"id\":301,\"content\":\"<x>\"}]",
         "same text"},
        {"added_tokens", "[{\"id\":98,\"content\":\"b\",\"special\":true}]", "ordinary text"},
        {"added_tokens", "[{\"id\":300}]", "content"},
        {"added_tokens", "[{\"id\":300,\"content\":\"<x>\",\"special\":1}]", "special"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct err e = {0};
        json_t *j = tiny_json(NULL), *in = j;
        const char *key = bad[i].at;
        if (strncmp(key, "model.", 6) == 0) {
            in = json_object_get(j, "model");
            key += 6;
        }
        json_object_set_new(in, key, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        if (tiny_try(j, &e)) fail_msg("%s = %s is accepted", bad[i].at, bad[i].value);
        if (!strstr(e.text, bad[i].named)) fail_msg("%s: %s", bad[i].value, e.text);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

/* With all kinds of parts, so that all of them have to be written. */
static json_t *rich(void)
{
    json_t *j = tiny_json(hello);
    int bos = tiny_add(j, "<s>", "s");

    tiny_add(j, "\"quoted\\ \xC3\xA9\n", "nlr");
    json_object_set_new(j, "post_processor",
                        json_pack("{s:s, s:[{s:{s:s}}, {s:{s:s}}], s:{s:{s:[i]}}}", "type",
                                  "TemplateProcessing", "single", "SpecialToken", "id", "<s>",
                                  "Sequence", "id", "A", "special_tokens", "<s>", "ids", bos));
    json_object_set_new(j, "pre_tokenizer",
                        json_pack("{s:s, s:[{s:s, s:b}, o]}", "type", "Sequence", "pretokenizers",
                                  "type", "Digits", "individual_digits", 1,
                                  tiny_byte_level(false, true)));
    return j;
}

static struct tokenizer *open_dir(const char *dir)
{
    struct tokenizer *t;
    struct err e = {0};

    if (!tokenizer_open(dir, &t, &e)) fail_msg("%s", e.text);
    return t;
}

static void test_save_round_trip(void **state)
{
    (void)state;
    const char *dir = testdir_make();
    struct tokenizer *t = tiny_open(rich()), *back;
    struct err e = {0};

    assert_true(tokenizer_save(t, dir, &e));
    back = open_dir(dir);
    struct tok_info a = tokenizer_info(t), b = tokenizer_info(back);
    assert_memory_equal(a.digest, b.digest, sizeof(a.digest));
    assert_string_equal(ids_of(back, STR("12 hello"), TOK_FULL), "262 49 50 32 259");
    tokenizer_close(back);
    tokenizer_close(t);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_llama3_split_is_saved(void **state)
{
    (void)state;
    const char *dir = testdir_make();
    json_t *j = tiny_json(hello);
    struct err e = {0};

    json_object_set_new(j, "pre_tokenizer",
                        json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence",
                                  "pretokenizers", "type", "Split", "pattern", "Regex",
                                  tok_llama3_regex, "behavior", "Isolated", "invert", 0,
                                  tiny_byte_level(false, false)));
    struct tokenizer *t = tiny_open(j), *back;
    assert_int_equal(t->split, TOK_SPLIT_LLAMA3);
    assert_true(tokenizer_save(t, dir, &e));
    back = open_dir(dir);
    assert_memory_equal(t->digest, back->digest, sizeof(t->digest));
    tokenizer_close(back);
    tokenizer_close(t);
    testdir_remove();
}

static void test_config_files(void **state)
{
    (void)state;
    const char *dir = testdir_make();
    json_t *j = tiny_json(NULL);
    int end = tiny_add(j, "<e>", "s"), pad = tiny_add(j, "<p>", "s");
    struct err e = {0};
    char *text = json_dumps(j, 0);

    json_decref(j);
    testdir_write(testdir_path("tokenizer.json"), text, strlen(text));
    mem_free(text);
    struct tokenizer *t = open_dir(dir);
    assert_int_equal(tokenizer_info(t).eos, -1);
    tokenizer_close(t);

    const char *ids = "{\"eos_token_id\":[97,98],\"bos_token_id\":99,\"pad_token_id\":5000}";
    testdir_write(testdir_path("config.json"), ids, strlen(ids));
    t = open_dir(dir);
    assert_int_equal(tokenizer_info(t).eos, 97);
    assert_int_equal(tokenizer_info(t).bos, 99);
    assert_int_equal(tokenizer_info(t).pad, -1);
    tokenizer_close(t);

    const char *names =
        "{\"eos_token\":{\"content\":\"<e>\"},\"pad_token\":\"<p>\",\"bos_token\":null}";
    testdir_write(testdir_path("tokenizer_config.json"), names, strlen(names));
    t = open_dir(testdir_path("tokenizer.json"));
    assert_int_equal(tokenizer_info(t).eos, end);
    assert_int_equal(tokenizer_info(t).pad, pad);
    assert_int_equal(tokenizer_info(t).bos, 99);
    tokenizer_close(t);

    testdir_write(testdir_path("tokenizer_config.json"), "{\"eos_token\":\"<no>\"}", 20);
    assert_false(tokenizer_open(dir, &t, &e));
    assert_non_null(strstr(e.text, "eos_token"));
    testdir_remove();
    struct err e2 = {0};
    assert_false(tokenizer_open("/nonexistent/x", &t, &e2));
    assert_int_equal(e2.code, ERR_IO);
}

/* A cache never changes a result, however full. */
static void test_cache(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_open(tiny_json(hello));
    struct tok_cache *c, *fresh;
    struct rng_key k = rng_key(2, RNG_TEST, 0);
    struct err e = {0};
    struct sbuf text;

    sbuf_init(&text, 1 << 20);
    assert_true(tok_cache_open(t, &c, &e));
    for (uint64_t turn = 0; turn < 60; turn++) {
        struct tok_ids a = {0}, b = {0};
        sbuf_clear(&text);
        for (uint64_t i = 0; i < 700; i++) {
            uint64_t r = rng_u64(k, turn * 700 + i);
            size_t n = 1 + r % (turn % 4 == 3 ? 40 : 17);
            assert_true(sbuf_putc(&text, ' ', &e));
            for (size_t m = 0; m < n; m++)
                assert_true(sbuf_putc(&text, "hello"[(r >> 5) % (m + 1) % 5], &e));
        }
        assert_true(tok_cache_open(t, &fresh, &e));
        assert_true(tokenizer_encode(c, sbuf_str(&text), TOK_PLAIN, &a, &e));
        assert_true(tokenizer_encode(fresh, sbuf_str(&text), TOK_PLAIN, &b, &e));
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.ids, b.ids, a.n * sizeof(*a.ids));
        tok_ids_free(&a);
        tok_ids_free(&b);
        tok_cache_close(fresh);
    }
    tok_cache_close(c);
    sbuf_free(&text);
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_worst_case(void **state)
{
    (void)state;
    static const char *const powers[] = {"a a", "aa aa", "aaaa aaaa", NULL};
    struct tokenizer *t = tiny_open(tiny_json(powers));
    struct tok_cache *c;
    struct tok_ids v = {0};
    struct err e = {0};
    size_t n = 1 << 20;
    char *text = malloc(n);

    assert_non_null(text);
    memset(text, 'a', n);
    assert_true(tok_cache_open(t, &c, &e));
    assert_true(
        tokenizer_encode(c, (struct str){text, n}, TOK_PLAIN, &v, &e)); /* n log n or never */
    assert_int_equal(v.n, n / 8);
    tok_ids_free(&v);
    assert_false(
        tokenizer_encode(c, (struct str){text, (size_t)TOK_MAX_TEXT + 1}, TOK_PLAIN, &v, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    tok_cache_close(c);
    tokenizer_close(t);
    free(text);
}

#ifdef RADMILL_FAULTS
/* Each file operation of opening and saving fails, once and for good: an error, and the folder can
 * be read still. Memory faults: test_tok_gguf.c. */
static void test_file_faults(void **state)
{
    (void)state;
    const char *dir = testdir_make();
    struct tokenizer *t = tiny_open(rich()), *back;
    struct err e = {0};
    static const enum fault_point points[] = {FAULT_OPEN, FAULT_READ, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};

    assert_true(tokenizer_save(t, dir, &e));
    for (size_t i = 0; i < 2 * sizeof(points) / sizeof(*points); i++) {
        uint64_t n = 0;
        for (bool fired = true; fired;) {
            struct err err = {0};
            back = NULL;
            fault_arm(points[i / 2], ++n, i % 2 != 0);
            bool ok = tokenizer_save(t, dir, &err) && tokenizer_open(dir, &back, &err);
            fired = fault_fired();
            fault_disarm_all();
            tokenizer_close(back);
            assert_true(ok == !fired);
            if (fired) assert_int_equal(err.code, ERR_IO);
            back = open_dir(dir);
            assert_memory_equal(back->digest, t->digest, sizeof(t->digest));
            tokenizer_close(back);
        }
        assert_true(n > 1);
    }
    tokenizer_close(t);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_merges_as_pairs_and_last_of_equals),
        cmocka_unit_test(test_trie),
        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_unknown_bytes),
        cmocka_unit_test(test_unknown_neighbours_are_one),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_template_and_decode),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_save_round_trip),
        cmocka_unit_test(test_llama3_split_is_saved),
        cmocka_unit_test(test_config_files),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_worst_case),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_file_faults),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
