/* The tokenizer of a GGUF file: same as from tokenizer.json, and no way to be wrong gets through.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/testdir.h"
#include "tiny_gguf.h"

static const char *const merges[] = {"h e", "l l", "he ll", "hell o", NULL};

enum { END = 260 };

static json_t *model(void)
{
    json_t *j = tiny_json(merges);

    assert_int_equal(tiny_add(j, "<|im_end|>", "s"), END);
    return j;
}

static struct tokenizer *parse_ok(const struct sbuf *b)
{
    struct tokenizer *t;
    struct err e = {0};

    if (!tok_gguf_parse(sbuf_str(b), &t, &e)) fail_msg("%s", e.text);
    return t;
}

static void test_same_as_json(void **state)
{
    (void)state;
    struct sbuf b;
    struct err e = {0};
    const char *dir = testdir_make();

    tiny_gguf(model(), "gpt-2", END, &b);
    struct tokenizer *t = parse_ok(&b), *saved;
    struct tokenizer *json = tiny_open(model());
    assert_int_equal(tokenizer_info(t).eos, END);
    assert_int_equal(t->nmerges, json->nmerges);
    assert_memory_equal(t->merge, json->merge, t->nmerges * sizeof(*t->merge));
    assert_true(tokenizer_is_special(t, END));
    assert_true(str_eqz(t->chat_template, "{{ x }}"));
    assert_true(tokenizer_save(t, dir, &e));
    assert_true(tokenizer_open(dir, &saved, &e));
    assert_memory_equal(t->digest, saved->digest, sizeof(t->digest));
    assert_true(str_eqz(saved->chat_template, "{{ x }}"));
    assert_memory_not_equal(t->digest, json->digest, sizeof(t->digest)); /* eos differs */

    testdir_write(testdir_path("m.gguf"), b.p, b.n);
    tokenizer_close(saved);
    assert_true(tokenizer_open(testdir_path("m.gguf"), &saved, &e));
    assert_memory_equal(t->digest, saved->digest, sizeof(t->digest));
    tokenizer_close(saved);
    tokenizer_close(json);
    tokenizer_close(t);
    sbuf_free(&b);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_pre_tokenizers(void **state)
{
    static const struct {
        const char *pre;
        enum tok_split split;
        bool digits, ignore_merges;
    } known[] = {{"gpt-2", TOK_SPLIT_GPT2, false, false},
                 {"smollm", TOK_SPLIT_GPT2, true, false},
                 {"llama-bpe", TOK_SPLIT_LLAMA3, false, true}};

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct sbuf b;
        tiny_gguf(model(), known[i].pre, -1, &b);
        struct tokenizer *t = parse_ok(&b);
        assert_int_equal(t->split, known[i].split);
        assert_int_equal(t->digits, known[i].digits);
        assert_int_equal(t->ignore_merges, known[i].ignore_merges);
        tokenizer_close(t);
        sbuf_free(&b);
    }
}

static void expect_error(struct str file, const char *named)
{
    struct tokenizer *t;
    struct err e = {0};

    if (tok_gguf_parse(file, &t, &e)) fail_msg("a file with a wrong %s is accepted", named);
    assert_null(t);
    if (!strstr(e.text, named)) fail_msg("%s: %s", named, e.text);
}

static void test_refused(void **state)
{
    (void)state;
    struct sbuf b;

    tiny_gguf(model(), "tekken", -1, &b);
    expect_error(sbuf_str(&b), "tokenizer.ggml.pre");
    sbuf_free(&b);
    tiny_gguf(model(), "gpt-2", 70000, &b);
    expect_error(sbuf_str(&b), "eos");
    b.p[4] = 1;
    expect_error(sbuf_str(&b), "version");
    b.p[0] = 'X';
    expect_error(sbuf_str(&b), "not a GGUF");
    sbuf_free(&b);

    static const struct {
        const char *find;
        size_t skip; /* from the end of find to the byte to change */
        char to;
        const char *named;
    } bend[] = {
        {"ggml.model", 12, 'x', "gpt2"},
        {"ggml.tokens", 0, 8, "not a list"},
        {"ggml.tokens", 4, 5, "items are of type"},
        {"ggml.tokens", 15, 1, "in the middle"},
        {"ggml.token", 0, 'X', "token types"},
        {"ggml.merges", 24, 9, "merge"},
        {"ggml.add_bos_token", 4, 1, "none is named"},
        {"llama.scales", 4, 77, "value type"},
        {"ggml.pre", 5, 1, "at most"},
    };
    for (size_t i = 0; i < sizeof(bend) / sizeof(*bend); i++) {
        tiny_gguf(model(), "gpt-2", -1, &b);
        size_t at = str_find(sbuf_str(&b), str_of(bend[i].find), 0);
        assert_int_not_equal(at, SIZE_MAX);
        b.p[at + strlen(bend[i].find) + bend[i].skip] = bend[i].to;
        struct tokenizer *t;
        struct err e = {0};
        if (tok_gguf_parse(sbuf_str(&b), &t, &e)) fail_msg("bend %zu is accepted", i);
        if (!strstr(e.text, bend[i].named)) fail_msg("bend %zu: %s", i, e.text);
        sbuf_free(&b);
    }
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    struct sbuf b;

    tiny_gguf(model(), "smollm", END, &b);
    for (size_t n = 0; n < b.n; n++) {
        struct tokenizer *t;
        struct err e = {0};
        char *copy = malloc(n + 1); /* its own block, so that reading past it is seen */
        memcpy(copy, b.p, n);
        assert_false(tok_gguf_parse((struct str){copy, n}, &t, &e));
        free(copy);
    }
    sbuf_free(&b);
    assert_int_equal(mem_live_blocks(), 0);
}

#ifdef RADMILL_FAULTS
static bool whole_story(const char *path, const char *dir, struct err *e)
{
    struct tokenizer *t = NULL;
    struct tok_cache *c = NULL;
    struct tok_ids v = {0};
    struct sbuf b;

    sbuf_init(&b, 1 << 16);
    bool ok = tokenizer_open(path, &t, e) && tok_cache_open(t, &c, e);
    if (ok) {
        ok = tokenizer_encode(c,
                              STR("hello \xFF hello, and_more_than_thirty-two_bytes_without_any"
                                  "ggggggggggggggggggggggggggggggggggggggggggggggggggap"),
                              TOK_FULL, &v, e);
        assert_true(ok || v.n == 0); /* nothing half-encoded */
    }
    ok = ok && tokenizer_decode(t, v.ids, v.n, false, &b, e) && tokenizer_save(t, dir, e);
    sbuf_free(&b);
    tok_ids_free(&v);
    tok_cache_close(c);
    tokenizer_close(t);
    return ok;
}

/* Each allocation fails, once and for good (the way through tokenizer.json is not swept for memory:
 * jansson itself does not survive it). */
static void test_memory_faults(void **state)
{
    (void)state;
    struct sbuf b;

    testdir_make();
    tiny_gguf(model(), "smollm", END, &b);
    testdir_write(testdir_path("m.gguf"), b.p, b.n);
    sbuf_free(&b);
    char path[300];
    snprintf(path, sizeof(path), "%s", testdir_path("m.gguf"));
    for (int forever = 0; forever < 2; forever++) {
        uint64_t n = 0;
        for (bool fired = true; fired;) {
            struct err e = {0};
            fault_arm(FAULT_MEM, ++n, forever != 0);
            bool ok = whole_story(path, testdir_path("out"), &e);
            fired = fault_fired();
            fault_disarm_all();
            assert_true(ok == !fired);
            if (fired) assert_int_equal(e.code, ERR_NOMEM);
            assert_int_equal(mem_live_blocks(), 0);
        }
        assert_true(n > 10);
    }
    testdir_remove();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_json),  cmocka_unit_test(test_pre_tokenizers),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_cut_anywhere),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_memory_faults),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
