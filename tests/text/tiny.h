/*
 * tests/text/tiny - a byte-level tokenizer small enough to see through: id = byte for 0..255, then
 * one id a merge, then the added tokens.
 *
 * Include after <cmocka.h> and its four headers.
 */
#pragma once
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

/* The byte-map form of text, in one of 4 rotating buffers. */
static inline const char *tiny_mapped(const char *text)
{
    static char bufs[4][200];
    static int turn;
    char *out = bufs[turn++ % 4];
    size_t n = 0;

    for (; *text; text++)
        n += utf8_encode(tok_byte_char((uint8_t)*text), out + n);
    out[n] = '\0';
    return out;
}

static inline json_t *tiny_byte_level(bool prefix_space, bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix_space,
                     "trim_offsets", 1, "use_regex", use_regex);
}

/* merges: "left right" pairs in plain text, e.g. "h e", "he l"; NULL-terminated. */
static inline json_t *tiny_json(const char *const *merges)
{
    json_t *vocab = json_object(), *list = json_array(), *root;
    int id = 256;

    for (int b = 0; b < 256; b++) {
        char c[5] = {0};
        utf8_encode(tok_byte_char((uint8_t)b), c);
        json_object_set_new(vocab, c, json_integer(b));
    }
    for (; merges && *merges; merges++) {
        char left[60], right[60], both[120], line[400];
        const char *blank = strchr(*merges + 1, ' '); /* a piece may begin with a blank */
        assert_non_null(blank);
        snprintf(left, sizeof(left), "%.*s", (int)(blank - *merges), *merges);
        snprintf(right, sizeof(right), "%s", blank + 1);
        snprintf(both, sizeof(both), "%s%s", left, right);
        snprintf(line, sizeof(line), "%s %s", tiny_mapped(left), tiny_mapped(right));
        json_array_append_new(list, json_string(line));
        if (!json_object_get(vocab, tiny_mapped(both)))
            json_object_set_new(vocab, tiny_mapped(both), json_integer(id++));
    }
    root = json_pack("{s:s, s:[], s:n, s:o, s:n, s:{s:s}, s:{s:s, s:o, s:o}}", "version", "1.0",
                     "added_tokens", "normalizer", "pre_tokenizer", tiny_byte_level(false, true),
                     "post_processor", "decoder", "type", "ByteLevel", "model", "type", "BPE",
                     "vocab", vocab, "merges", list);
    assert_non_null(root);
    return root;
}

/* flags: l, r strip; w single word; n normalised; s special. Returns the id, the next free one. */
static inline int tiny_add(json_t *root, const char *content, const char *flags)
{
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    json_t *added = json_object_get(root, "added_tokens");
    int id = (int)(json_object_size(vocab) + json_array_size(added));
    json_t *j =
        json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content,
                  "single_word", strchr(flags, 'w') != NULL, "lstrip", strchr(flags, 'l') != NULL,
                  "rstrip", strchr(flags, 'r') != NULL, "normalized", strchr(flags, 'n') != NULL,
                  "special", strchr(flags, 's') != NULL);

    assert_non_null(j);
    json_array_append_new(added, j);
    return id;
}

/* Takes j. On failure *e says why. */
static inline struct tokenizer *tiny_try(json_t *j, struct err *e)
{
    struct tokenizer *t = NULL;
    char *text = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    assert_non_null(text);
    bool ok = tok_json_parse(str_of(text), &t, e);
    mem_free(text); /* jansson allocates through base/mem */
    assert_true(ok == (t != NULL));
    assert_true(ok == (e->code == ERR_NONE));
    return t;
}

static inline struct tokenizer *tiny_open(json_t *j)
{
    struct err e = {0};
    struct tokenizer *t = tiny_try(j, &e);

    if (!t) fail_msg("%s", e.text);
    return t;
}
