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

/* Families whose engines are not there are refused by the component's name, not mangled. */
static void test_refused(void **state)
{
    static const struct {
        const char *folder, *named;
    } other[] = {{"llama2", "byte_fallback"},
                 {"mistral-v0.3", "byte_fallback"},
                 {"t5-small", "model"},
                 {"bert-base-uncased", "model"},
                 {"modernbert-base", "NFC"}};

    (void)state;
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++) {
        struct tokenizer *t;
        struct err e = {0};
        size_t n;
        char *text = load_text(other[i].folder, &n);
        if (!text) skip();
        assert_false(tok_json_parse((struct str){text, n}, &t, &e));
        assert_null(t);
        if (!strstr(e.text, other[i].named)) fail_msg("%s: %s", other[i].folder, e.text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),         cmocka_unit_test(test_roberta),
        cmocka_unit_test(test_llama3),       cmocka_unit_test(test_smollm2_pre_tokenizer),
        cmocka_unit_test(test_prefix_space), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
