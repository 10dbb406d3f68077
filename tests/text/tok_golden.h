/*
 * tests/text/tok_golden - a tokenizer against the rows of a golden file in shared/data/tokenizers:
 * every mode, twice (the second time comes from the cache), and decoding, whole and id by id.
 *
 * Include after <cmocka.h> and its four headers.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "support/testdir.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

enum golden_what {
    GOLDEN_ALL, /* rows of the reference: ids, raw, plain, dec, hex */
    GOLDEN_SP,  /* rows of SentencePiece: ids (no BOS, nothing recognised), dec */
};

static inline void golden_no_err(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->text);
}

/* Encodes twice, so that the second time comes from the cache. */
static inline void golden_ids(struct tok_cache *c, struct str text, enum tok_mode mode,
                              const json_t *want, const char *what, size_t line)
{
    for (int turn = 0; turn < 2; turn++) {
        struct tok_ids got = {0};
        struct err e = {0};
        bool ok = tokenizer_encode(c, text, mode, &got, &e);
        golden_no_err(ok, &e);
        if (got.n != json_array_size(want))
            fail_msg("row %zu, %s: %zu ids, not %zu", line, what, got.n, json_array_size(want));
        for (size_t i = 0; i < got.n; i++)
            if ((json_int_t)got.ids[i] != json_integer_value(json_array_get(want, i)))
                fail_msg("row %zu, %s: id %zu is %u, not %d", line, what, i, got.ids[i],
                         (int)json_integer_value(json_array_get(want, i)));
        tok_ids_free(&got);
    }
}

static inline bool golden_spells_added(const struct tokenizer *t, struct str s)
{
    for (uint32_t i = 0; i < t->nadded; i++)
        if (str_find(s, t->added[i].content, 0) != SIZE_MAX) return true;
    return false;
}

static inline void golden_decode(const struct tokenizer *t, const json_t *row, size_t line)
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
    sbuf_clear(&out);
    struct tok_stream stream;
    tok_stream_init(&stream, t, true);
    for (size_t i = 0; i < v.n; i++) { /* whole characters at any time */
        assert_true(tok_stream_put(&stream, v.ids[i], &out, &e));
        assert_true(utf8_valid(sbuf_str(&out)));
    }
    assert_true(tok_stream_end(&stream, &out, &e));
    assert_int_equal(out.n, json_string_length(dec));
    tok_stream_free(&stream);
    sbuf_free(&out);
    tok_ids_free(&v);
}

static inline void golden_row(struct tok_cache *c, const struct tokenizer *t, const json_t *row,
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
    golden_ids(c, s, TOK_FULL, json_object_get(row, "ids"), "ids", line);
    golden_ids(c, s, TOK_RAW, raw, "raw", line);
    /* T5's rows have no "plain": the reference finds special pieces in text on the best path, which
     * report text must not */
    if (strcmp(tokenizer_info(t).kind, "unigram") != 0 || !golden_spells_added(t, s))
        golden_ids(c, s, TOK_PLAIN, plain ? plain : raw, "plain", line);
    golden_decode(t, row, line);
}

static inline void golden_sp_row(struct tok_cache *c, const struct tokenizer *t, const json_t *row,
                                 size_t line)
{
    const json_t *text = json_object_get(row, "text"), *ids = json_object_get(row, "ids");
    struct str s = {json_string_value(text), json_string_length(text)};

    golden_ids(c, s, TOK_PLAIN, ids, "ids", line);
    golden_decode(t, row, line);
}

static inline void golden_check(struct tokenizer *t, const char *name, size_t want_rows,
                                enum golden_what what)
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
        if (what == GOLDEN_SP)
            golden_sp_row(c, t, j, line);
        else
            golden_row(c, t, j, line);
        json_decref(j);
    }
    assert_int_equal(line, want_rows);
    tok_cache_close(c);
    free(text);
}
