/* Every row of the reference's golden encodings (Hugging Face tokenizers 0.23.2; the rows and their
 * making are described beside them, in shared/data/tokenizers). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "text/tok_impl.h"

static void no_err(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->text);
}

/* tokenizer.json as it was shipped, or NULL after saying that it is not there. */
static char *load_text(const char *name, size_t *n)
{
    char path[200];

    snprintf(path, sizeof(path), "data/tokenizers/%s/tokenizer.json.gz", name);
    const char *full = testdir_shared(path);
    if (!full) return NULL;
    char *text = testdir_gunzip(full, n);
    assert_non_null(text);
    return text;
}

/* The same as a tree, for tests that change it. */
static json_t *load_json(const char *name)
{
    size_t n;
    json_t *j;
    struct err e = {0};
    char *text = load_text(name, &n);

    if (!text) return NULL;
    assert_true(json_parse((struct str){text, n}, name, &j, &e));
    free(text);
    return j;
}

static struct tokenizer *make(json_t *j)
{
    struct tokenizer *t;
    struct err e = {0};
    char *text = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    assert_non_null(text);
    bool ok = tok_json_parse(str_of(text), &t, &e);
    mem_free(text); /* jansson allocates through base/mem */
    no_err(ok, &e);
    return t;
}

/* Encodes twice, so that the second time comes from the cache. */
static void check_ids(struct tok_cache *c, struct str text, enum tok_mode mode, const json_t *want,
                      const char *what, size_t line)
{
    for (int turn = 0; turn < 2; turn++) {
        struct tok_ids got = {0};
        struct err e = {0};
        bool ok = tokenizer_encode(c, text, mode, &got, &e);
        no_err(ok, &e);
        if (got.n != json_array_size(want))
            fail_msg("row %zu, %s: %zu ids, not %zu", line, what, got.n, json_array_size(want));
        for (size_t i = 0; i < got.n; i++)
            if ((json_int_t)got.ids[i] != json_integer_value(json_array_get(want, i)))
                fail_msg("row %zu, %s: id %zu is %u, not %d", line, what, i, got.ids[i],
                         (int)json_integer_value(json_array_get(want, i)));
        tok_ids_free(&got);
    }
}

static bool spells_added(const struct tokenizer *t, struct str s)
{
    for (uint32_t i = 0; i < t->nadded; i++)
        if (str_find(s, t->added[i].content, 0) != SIZE_MAX) return true;
    return false;
}

static void check_decode(const struct tokenizer *t, const json_t *row, size_t line)
{
    const json_t *ids = json_object_get(row, "ids"), *dec = json_object_get(row, "dec");
    struct tok_ids v = {0};
    struct sbuf out;
    struct err e = {0};

    for (size_t i = 0; i < json_array_size(ids); i++)
        assert_true(tok_ids_put(&v, (uint32_t)json_integer_value(json_array_get(ids, i)), &e));
    sbuf_init(&out, 1 << 24);
    assert_true(tokenizer_decode(t, v.ids, v.n, true, &out, &e));
    if (out.n != json_string_length(dec) || (out.n && memcmp(out.p, json_string_value(dec), out.n)))
        fail_msg("row %zu: decodes to another text", line);
    sbuf_free(&out);
    tok_ids_free(&v);
}

static void check_row(struct tok_cache *c, const struct tokenizer *t, const json_t *row,
                      size_t line)
{
    const json_t *text = json_object_get(row, "text"), *plain = json_object_get(row, "plain");
    const json_t *raw = json_object_get(row, "raw"), *hex = json_object_get(row, "hex");
    struct str s = {json_string_value(text), json_string_length(text)};
    struct err e = {0};
    uint8_t bytes[256];

    if (hex) { /* the ill-formed bytes that the text was mended from */
        size_t n = json_string_length(hex) / 2;
        assert_true(n <= sizeof(bytes));
        assert_true(hash_unhex(str_of(json_string_value(hex)), bytes, n, &e));
        s = (struct str){(const char *)bytes, n};
    }
    check_ids(c, s, TOK_FULL, json_object_get(row, "ids"), "ids", line);
    check_ids(c, s, TOK_RAW, raw, "raw", line);
    /* T5's rows have no "plain": the reference finds special pieces in text on the best path, which
     * report text must not */
    if (strcmp(tokenizer_info(t).kind, "unigram") != 0 || !spells_added(t, s))
        check_ids(c, s, TOK_PLAIN, plain ? plain : raw, "plain", line);
    check_decode(t, row, line);
}

static void check_golden(struct tokenizer *t, const char *name, size_t want_rows)
{
    char path[200];
    size_t n, line = 0;
    struct tok_cache *c;
    struct err e = {0};

    snprintf(path, sizeof(path), "data/tokenizers/%s", name);
    const char *full = testdir_shared(path);
    assert_non_null(full);
    char *text = testdir_read(full, &n);
    struct str rest = {text, n}, row;
    assert_true(tok_cache_open(t, &c, &e));
    while (str_split(&rest, '\n', &row)) {
        json_t *j;
        if (row.n == 0) continue;
        line++;
        assert_true(json_parse(row, name, &j, &e));
        check_row(c, t, j, line);
        json_decref(j);
    }
    assert_int_equal(line, want_rows);
    tok_cache_close(c);
    free(text);
}

static void golden(const char *folder)
{
    char file[100];
    size_t n;
    struct tokenizer *t;
    struct err e = {0};
    char *text = load_text(folder, &n);

    if (!text) skip();
    no_err(tok_json_parse((struct str){text, n}, &t, &e), &e);
    free(text);
    snprintf(file, sizeof(file), "%s/golden.jsonl", folder);
    check_golden(t, file, 314);
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_gpt2(void **state)
{
    (void)state;
    golden("gpt2");
}

static void test_roberta(void **state)
{
    (void)state;
    golden("roberta-base");
}

static void test_llama3(void **state)
{
    (void)state;
    golden("llama3.1");
}

static void test_smollm2_pre_tokenizer(void **state)
{
    (void)state;
    json_t *j = load_json("gpt2");

    if (!j) skip();
    json_t *pre = json_pack("{s:s, s:[{s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type", "Sequence",
                            "pretokenizers", "type", "Digits", "individual_digits", 1, "type",
                            "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1);
    assert_non_null(pre);
    json_object_set_new(j, "pre_tokenizer", pre);
    struct tokenizer *t = make(j);
    check_golden(t, "gpt2/golden-smollm2-pretok.jsonl", 314);
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_prefix_space(void **state)
{
    (void)state;
    json_t *j = load_json("roberta-base");

    if (!j) skip();
    json_object_set_new(json_object_get(j, "pre_tokenizer"), "add_prefix_space", json_true());
    struct tokenizer *t = make(j);
    check_golden(t, "roberta-base/golden-prefix-space.jsonl", 314);
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_llama2(void **state)
{
    (void)state;
    golden("llama2");
}

static void test_mistral_v01(void **state)
{
    (void)state;
    golden("mistral-v0.1");
}

static void test_mistral_v03(void **state)
{
    (void)state;
    golden("mistral-v0.3");
}

static void test_t5(void **state)
{
    (void)state;
    golden("t5-small");
}

static void test_bert_uncased(void **state)
{
    (void)state;
    golden("bert-base-uncased");
}

static void test_bert_cased(void **state)
{
    (void)state;
    golden("bert-base-cased");
}

static void test_modernbert(void **state)
{
    (void)state;
    golden("modernbert-base");
}

/* The variants beside the files: what older or other uploads of the same vocabulary hold. */
static void check_variant(json_t *j, const char *rows)
{
    struct tokenizer *t = make(j);

    check_golden(t, rows, 314);
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_bert_lowercased(void **state)
{
    (void)state;
    json_t *j = load_json("bert-base-cased");

    if (!j) skip();
    json_object_set_new(json_object_get(j, "normalizer"), "lowercase", json_true());
    check_variant(j, "bert-base-cased/golden-lowercased.jsonl");
}

static void test_llama2_nonlegacy(void **state)
{
    (void)state;
    json_t *j = load_json("llama2");

    if (!j) skip();
    json_object_set_new(j, "normalizer", json_null());
    json_object_set_new(j, "pre_tokenizer",
                        json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement",
                                  TOK_METASPACE, "prepend_scheme", "first", "split", 0));
    check_variant(j, "llama2/golden-nonlegacy.jsonl");
}

static void test_llama2_normalized_specials(void **state)
{
    size_t i;
    json_t *a, *j = load_json("llama2");

    (void)state;
    if (!j) skip();
    json_array_foreach(json_object_get(j, "added_tokens"), i, a)
        json_object_set_new(a, "normalized", json_true());
    check_variant(j, "llama2/golden-normalized-specials.jsonl");
}

static void test_mistral_legacy(void **state)
{
    (void)state;
    json_t *j = load_json("mistral-v0.1");

    if (!j) skip();
    json_object_set_new(j, "pre_tokenizer", json_null());
    json_object_set_new(j, "normalizer",
                        json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence",
                                  "normalizers", "type", "Prepend", "prepend", TOK_METASPACE,
                                  "type", "Replace", "pattern", "String", " ", "content",
                                  TOK_METASPACE));
    check_variant(j, "mistral-v0.1/golden-legacy.jsonl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_roberta),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_smollm2_pre_tokenizer),
        cmocka_unit_test(test_prefix_space),
        cmocka_unit_test(test_llama2),
        cmocka_unit_test(test_llama2_nonlegacy),
        cmocka_unit_test(test_llama2_normalized_specials),
        cmocka_unit_test(test_mistral_v01),
        cmocka_unit_test(test_mistral_legacy),
        cmocka_unit_test(test_mistral_v03),
        cmocka_unit_test(test_t5),
        cmocka_unit_test(test_bert_uncased),
        cmocka_unit_test(test_bert_cased),
        cmocka_unit_test(test_bert_lowercased),
        cmocka_unit_test(test_modernbert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
