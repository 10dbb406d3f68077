/* The other sources of a tokenizer: SentencePiece files, vocabulary files, GGUF with scores, model
 * folders, gzip; and what tokenizer_save makes of each family. All are checked against the golden
 * encodings (shared/data/tokenizers) of the tokenizer.json they come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "text/tok_impl.h"
#include "tiny_gguf.h"
#include "tok_golden.h"

static const char *shared(const char *folder, const char *file)
{
    static char path[200];

    snprintf(path, sizeof(path), "data/tokenizers/%s/%s", folder, file);
    return testdir_shared(path);
}

static struct tokenizer *open_path(const char *path)
{
    struct tokenizer *t;
    struct err e = {0};

    if (!tokenizer_open(path, &t, &e)) fail_msg("%s", e.text);
    return t;
}

static void close_all(struct tokenizer *t)
{
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

/* Rows of golden-sp.jsonl: SentencePiece's own ids, without BOS. */
static void check_sp(const char *folder)
{
    const char *path = shared(folder, "tokenizer.model.gz");
    char rows[100];

    if (!path) skip();
    struct tokenizer *t = open_path(path);
    snprintf(rows, sizeof(rows), "%s/golden-sp.jsonl", folder);
    golden_check(t, rows, 300, GOLDEN_SP);
    close_all(t);
}

static void test_sp_llama2(void **state)
{
    (void)state;
    check_sp("llama2");
}

static void test_sp_mistral_v01(void **state)
{
    (void)state;
    check_sp("mistral-v0.1");
}

static void test_sp_mistral_v03(void **state)
{
    (void)state;
    check_sp("mistral-v0.3");
}

/* The .model alone has Llama's template: BOS, no EOS; the files beside it may say otherwise. */
static void test_sp_template(void **state)
{
    const char *path = shared("llama2", "tokenizer.model.gz");
    size_t n;
    struct tok_ids v = {0};
    struct tok_cache *c;
    struct err e = {0};

    (void)state;
    if (!path) skip();
    testdir_make();
    char *text = testdir_gunzip(path, &n);
    testdir_write(testdir_path("tokenizer.model"), text, n);
    free(text);
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 1) {
            const char config[] = "{\"add_bos_token\":false,\"add_eos_token\":true,"
                                  "\"pad_token\":\"[PAD]\"}";
            const char added[] = "{\"[PAD]\":32000}";
            testdir_write(testdir_path("tokenizer_config.json"), config, sizeof(config) - 1);
            testdir_write(testdir_path("added_tokens.json"), added, sizeof(added) - 1);
        }
        struct tokenizer *t = open_path(testdir_path("."));
        struct tok_info i = tokenizer_info(t);
        assert_int_equal(i.vocab_size, turn == 0 ? 32000 : 32001);
        assert_int_equal(i.pad, turn == 0 ? -1 : 32000);
        assert_string_equal(i.kind, "sp-bpe");
        assert_true(i.adds_bos == (turn == 0) && i.adds_eos == (turn == 1));
        assert_true(tok_cache_open(t, &c, &e));
        assert_true(tokenizer_encode(c, STR("[PAD]"), TOK_FULL, &v, &e));
        if (turn == 1) {
            assert_int_equal(v.n, 2);
            assert_int_equal(v.ids[0], 32000);
            assert_int_equal(v.ids[1], 2);
        } else {
            assert_int_equal(v.ids[0], 1);
        }
        tok_ids_free(&v);
        tok_cache_close(c);
        close_all(t);
    }
    testdir_remove();
}

/* ---- a SentencePiece file, written here from a tokenizer */
static void put_varint(struct sbuf *b, uint64_t v)
{
    struct err e = {0};

    for (; v >= 128; v >>= 7)
        assert_true(sbuf_putc(b, (char)(v | 128), &e));
    assert_true(sbuf_putc(b, (char)v, &e));
}

static void put_field(struct sbuf *b, unsigned number, struct str s)
{
    struct err e = {0};

    put_varint(b, number << 3 | 2);
    put_varint(b, s.n);
    assert_true(sbuf_put(b, s, &e));
}

static void put_piece(struct sbuf *b, struct str content, float score, unsigned type)
{
    struct sbuf p;
    struct err e = {0};
    char bits[4];

    sbuf_init(&p, 1 << 16);
    put_field(&p, 1, content);
    memcpy(bits, &score, 4);
    put_varint(&p, 2 << 3 | 5);
    assert_true(sbuf_put(&p, (struct str){bits, 4}, &e));
    put_varint(&p, 3 << 3);
    put_varint(&p, type);
    put_field(b, 1, sbuf_str(&p));
    sbuf_free(&p);
}

/* T5's file, without the <extra_id_*>, which transformers keeps beside it. */
static void test_sp_t5(void **state)
{
    const char *path = shared("t5-small", "tokenizer.json.gz");
    struct sbuf b, spec, norm, config;
    struct err e = {0};

    (void)state;
    if (!path) skip();
    testdir_make();
    struct tokenizer *json = open_path(path);
    sbuf_init(&b, 1 << 24);
    sbuf_init(&spec, 1 << 10);
    sbuf_init(&norm, 1 << 22);
    sbuf_init(&config, 1 << 20);
    for (uint32_t i = 0; i < 32000; i++)
        put_piece(&b, json->piece[i].content, (float)json->score[i],
                  i == 2  ? TOK_SP_UNKNOWN
                  : i < 2 ? TOK_SP_CONTROL
                          : TOK_SP_NORMAL);
    static const uint64_t ids[][2] = {
        {3, 1}, {40, 2}, {41, UINT64_MAX}, {42, 1}, {43, 0}}; /* Unigram, unk, bos, eos, pad */
    for (size_t i = 0; i < 5; i++) {
        put_varint(&spec, ids[i][0] << 3);
        put_varint(&spec, ids[i][1]);
    }
    put_field(&b, 2, sbuf_str(&spec));
    put_field(&norm, 2, json->charsmap);
    put_field(&b, 3, sbuf_str(&norm));
    testdir_write(testdir_path("spiece.model"), b.p, b.n);
    assert_true(sbuf_put(&config, STR("{\"added_tokens_decoder\":{"), &e));
    for (uint32_t i = 32000; i < 32100; i++)
        assert_true(sbuf_printf(&config, &e,
                                "%s\"%u\":{\"content\":\"<extra_id_%u>\",\"special\":true,"
                                "\"normalized\":false}",
                                i > 32000 ? "," : "", i, 32099 - i));
    assert_true(sbuf_put(&config, STR("}}"), &e));
    testdir_write(testdir_path("tokenizer_config.json"), config.p, config.n);
    tokenizer_close(json);
    struct tokenizer *t = open_path(testdir_path("."));
    assert_string_equal(tokenizer_info(t).kind, "unigram");
    golden_check(t, "t5-small/golden.jsonl", 314, GOLDEN_ALL);
    sbuf_free(&b);
    sbuf_free(&spec);
    sbuf_free(&norm);
    sbuf_free(&config);
    close_all(t);
    testdir_remove();
}

/* ---- GGUF with scores, as llama.cpp's converter writes it */
static void gguf_file(const struct tokenizer *t, const char *model, const float *score,
                      uint32_t ntokens)
{
    struct sbuf b;
    struct err e = {0};

    sbuf_init(&b, 1 << 25);
    assert_true(sbuf_put(&b, STR("GGUF"), &e));
    gguf_uint(&b, 4, 3);
    gguf_uint(&b, 8, 0);
    gguf_uint(&b, 8, t->charsmap.n ? 8 : 7);
    gguf_key(&b, "tokenizer.ggml.model", 8, 0, model, 0);
    gguf_key(&b, "tokenizer.ggml.tokens", 9, ntokens, NULL, 8);
    for (uint32_t i = 0; i < ntokens; i++)
        gguf_str(&b, t->piece[i].content);
    gguf_key(&b, "tokenizer.ggml.scores", 9, ntokens, NULL, 6);
    assert_true(sbuf_put(&b, (struct str){(const char *)score, 4 * (size_t)ntokens}, &e));
    gguf_key(&b, "tokenizer.ggml.token_type", 9, ntokens, NULL, 5);
    for (uint32_t i = 0; i < ntokens; i++)
        gguf_uint(&b, 4,
                  (int32_t)i == t->unk                ? TOK_SP_UNKNOWN
                  : t->piece[i].flags & TOK_P_SPECIAL ? TOK_SP_CONTROL
                  : t->piece[i].flags & TOK_P_BYTE    ? TOK_SP_BYTE
                                                      : TOK_SP_NORMAL);
    gguf_key(&b, "tokenizer.ggml.unknown_token_id", 4, (uint64_t)t->unk, NULL, 0);
    gguf_key(&b, "tokenizer.ggml.bos_token_id", 4, (uint64_t)(int64_t)t->bos, NULL, 0);
    gguf_key(&b, "tokenizer.ggml.eos_token_id", 4, (uint64_t)t->eos, NULL, 0);
    if (t->charsmap.n) {
        gguf_key(&b, "tokenizer.ggml.precompiled_charsmap", 9, t->charsmap.n, NULL, 0);
        assert_true(sbuf_put(&b, t->charsmap, &e));
    }
    testdir_write(testdir_path("model.gguf"), b.p, b.n);
    sbuf_free(&b);
}

static void test_gguf_llama(void **state)
{
    const char *path = shared("llama2", "tokenizer.model.gz");

    (void)state;
    if (!path) skip();
    testdir_make();
    struct tokenizer *sp = open_path(path);
    float *score = calloc(sp->n, sizeof(*score));
    assert_non_null(score);
    for (uint32_t i = 0; i < sp->nmerges; i++)
        score[sp->merge[i].product] = -(float)sp->merge[i].rank;
    gguf_file(sp, "llama", score, sp->n);
    tokenizer_close(sp);
    free(score);
    struct tokenizer *t = open_path(testdir_path("."));
    assert_true(tokenizer_info(t).adds_bos && !tokenizer_info(t).adds_eos);
    golden_check(t, "llama2/golden-sp.jsonl", 300, GOLDEN_SP);
    golden_check(t, "llama2/golden.jsonl", 314, GOLDEN_ALL);
    close_all(t);
    testdir_remove();
}

static void test_gguf_t5(void **state)
{
    const char *path = shared("t5-small", "tokenizer.json.gz");

    (void)state;
    if (!path) skip();
    testdir_make();
    struct tokenizer *json = open_path(path);
    float *score = calloc(json->n, sizeof(*score));
    assert_non_null(score);
    for (uint32_t i = 0; i < json->n; i++)
        score[i] = (float)json->score[i];
    json->eos = 1;
    gguf_file(json, "t5", score, json->n);
    tokenizer_close(json);
    free(score);
    struct tokenizer *t = open_path(testdir_path("model.gguf"));
    assert_true(tokenizer_info(t).adds_eos && !tokenizer_info(t).adds_bos);
    golden_check(t, "t5-small/golden.jsonl", 314, GOLDEN_ALL);
    close_all(t);
    testdir_remove();
}

/* ---- vocabulary files */
static void write_vocab_json(const struct tokenizer *t)
{
    json_t *j = json_object();

    for (uint32_t i = 0; i < t->n; i++)
        if (t->piece[i].content.p) json_object_set_new(j, t->piece[i].content.p, json_integer(i));
    char *text = json_dumps(j, JSON_COMPACT);
    testdir_write(testdir_path("vocab.json"), text, strlen(text));
    mem_free(text);
    json_decref(j);
}

static void write_merges(const struct tokenizer *t)
{
    struct sbuf b;
    struct err e = {0};

    sbuf_init(&b, 1 << 24);
    assert_true(sbuf_put(&b, STR("#version: 0.2\n"), &e));
    for (uint32_t i = 0; i < t->nmerges; i++)
        assert_true(sbuf_printf(&b, &e, "%s %s\n", t->piece[t->merge[i].left].content.p,
                                t->piece[t->merge[i].right].content.p));
    testdir_write(testdir_path("merges.txt"), b.p, b.n);
    sbuf_free(&b);
}

static void check_merges(const char *folder)
{
    const char *path = shared(folder, "tokenizer.json.gz");
    char rows[100];

    if (!path) skip();
    testdir_make();
    struct tokenizer *json = open_path(path);
    write_vocab_json(json);
    write_merges(json);
    tokenizer_close(json);
    struct tokenizer *t = open_path(testdir_path("vocab.json"));
    snprintf(rows, sizeof(rows), "%s/golden.jsonl", folder);
    golden_check(t, rows, 314, GOLDEN_ALL);
    close_all(t);
    testdir_remove();
}

static void test_merges_gpt2(void **state)
{
    (void)state;
    check_merges("gpt2");
}

static void test_merges_roberta(void **state)
{
    (void)state;
    check_merges("roberta-base");
}

static void check_vocab(const char *folder, const char *config)
{
    const char *path = shared(folder, "tokenizer.json.gz");
    struct sbuf b;
    struct err e = {0};
    char rows[100];

    if (!path) skip();
    testdir_make();
    sbuf_init(&b, 1 << 24);
    struct tokenizer *json = open_path(path);
    for (uint32_t i = 0; i < json->n; i++)
        assert_true(sbuf_put(&b, json->piece[i].content, &e) && sbuf_putc(&b, '\n', &e));
    testdir_write(testdir_path("vocab.txt"), b.p, b.n);
    testdir_write(testdir_path("tokenizer_config.json"), config, strlen(config));
    tokenizer_close(json);
    sbuf_free(&b);
    struct tokenizer *t = open_path(testdir_path("."));
    snprintf(rows, sizeof(rows), "%s/golden.jsonl", folder);
    golden_check(t, rows, 314, GOLDEN_ALL);
    close_all(t);
    testdir_remove();
}

static void test_vocab_bert(void **state)
{
    (void)state;
    check_vocab("bert-base-uncased", "{}");
}

static void test_vocab_bert_cased(void **state)
{
    (void)state;
    check_vocab("bert-base-cased", "{\"do_lower_case\":false}");
}

/* ---- saved and read again */
static void check_saved(const char *folder, const char *file, const char *golden, size_t nrows,
                        enum golden_what what)
{
    const char *path = shared(folder, file);
    struct err e = {0};
    char rows[100];

    if (!path) skip();
    testdir_make();
    struct tokenizer *t = open_path(path);
    if (!tokenizer_save(t, testdir_path("out"), &e)) fail_msg("%s", e.text);
    struct tok_info a = tokenizer_info(t);
    tokenizer_close(t);
    t = open_path(testdir_path("out"));
    struct tok_info b = tokenizer_info(t);
    /* from scores, all cuts of one piece have one rank; in a list each has its own */
    if (what == GOLDEN_ALL && memcmp(a.digest, b.digest, 32) != 0)
        fail_msg("%s: another digest", folder);
    snprintf(rows, sizeof(rows), "%s/%s", folder, golden);
    golden_check(t, rows, nrows, what);
    close_all(t);
    testdir_remove();
}

static void test_saved_llama2(void **state)
{
    (void)state;
    check_saved("llama2", "tokenizer.json.gz", "golden.jsonl", 314, GOLDEN_ALL);
}

static void test_saved_sp(void **state)
{
    (void)state;
    check_saved("llama2", "tokenizer.model.gz", "golden-sp.jsonl", 300, GOLDEN_SP);
}

static void test_saved_mistral(void **state)
{
    (void)state;
    check_saved("mistral-v0.3", "tokenizer.json.gz", "golden.jsonl", 314, GOLDEN_ALL);
}

static void test_saved_t5(void **state)
{
    (void)state;
    check_saved("t5-small", "tokenizer.json.gz", "golden.jsonl", 314, GOLDEN_ALL);
}

static void test_saved_bert(void **state)
{
    (void)state;
    check_saved("bert-base-uncased", "tokenizer.json.gz", "golden.jsonl", 314, GOLDEN_ALL);
}

static void test_saved_modernbert(void **state)
{
    (void)state;
    check_saved("modernbert-base", "tokenizer.json.gz", "golden.jsonl", 314, GOLDEN_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sp_llama2),
        cmocka_unit_test(test_sp_mistral_v01),
        cmocka_unit_test(test_sp_mistral_v03),
        cmocka_unit_test(test_sp_template),
        cmocka_unit_test(test_sp_t5),
        cmocka_unit_test(test_gguf_llama),
        cmocka_unit_test(test_gguf_t5),
        cmocka_unit_test(test_merges_gpt2),
        cmocka_unit_test(test_merges_roberta),
        cmocka_unit_test(test_vocab_bert),
        cmocka_unit_test(test_vocab_bert_cased),
        cmocka_unit_test(test_saved_llama2),
        cmocka_unit_test(test_saved_sp),
        cmocka_unit_test(test_saved_mistral),
        cmocka_unit_test(test_saved_t5),
        cmocka_unit_test(test_saved_bert),
        cmocka_unit_test(test_saved_modernbert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
