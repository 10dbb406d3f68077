/* Every row of the reference's golden encodings (Hugging Face tokenizers 0.23.2; the rows and their
 * making are described beside them, in shared/data/tokenizers). */
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
#include "tok_golden.h"

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
    golden_no_err(ok, &e);
    return t;
}

static void golden(const char *folder)
{
    char file[100];
    size_t n;
    struct tokenizer *t;
    struct err e = {0};
    char *text = load_text(folder, &n);

    if (!text) skip();
    golden_no_err(tok_json_parse((struct str){text, n}, &t, &e), &e);
    free(text);
    snprintf(file, sizeof(file), "%s/golden.jsonl", folder);
    golden_check(t, file, 314, GOLDEN_ALL);
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
    golden_check(t, "gpt2/golden-smollm2-pretok.jsonl", 314, GOLDEN_ALL);
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
    golden_check(t, "roberta-base/golden-prefix-space.jsonl", 314, GOLDEN_ALL);
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

    golden_check(t, rows, 314, GOLDEN_ALL);
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
