/*
 * tests/text/tiny_gguf - the same tiny tokenizer as the front of a GGUF file.
 *
 * Include after tiny.h.
 */
#pragma once
#include "tiny.h"

static inline void gguf_uint(struct sbuf *b, size_t n, uint64_t v)
{
    struct err e = {0};

    for (size_t i = 0; i < n; i++)
        assert_true(sbuf_putc(b, (char)(v >> 8 * i), &e));
}

static inline void gguf_str(struct sbuf *b, struct str s)
{
    struct err e = {0};

    gguf_uint(b, 8, s.n);
    assert_true(sbuf_put(b, s, &e));
}

/* type: 4 u32, 7 bool (of v); 8 string (s); 9 array of `item` with v elements, which follow. */
static inline void gguf_key(struct sbuf *b, const char *key, uint32_t type, uint64_t v,
                            const char *s, uint32_t item)
{
    gguf_str(b, str_of(key));
    gguf_uint(b, 4, type);
    if (type == 4) gguf_uint(b, 4, v);
    if (type == 7) gguf_uint(b, 1, v);
    if (type == 8) gguf_str(b, str_of(s));
    if (type == 9) {
        gguf_uint(b, 4, item);
        gguf_uint(b, 8, v);
    }
}

/* j as tiny_json and tiny_add made it (taken); pre: tokenizer.ggml.pre; eos: -1 for none. Keys of
 * all kinds stand around the tokenizer's. */
static inline void tiny_gguf(json_t *j, const char *pre, int eos, struct sbuf *b)
{
    json_t *vocab = json_object_get(json_object_get(j, "model"), "vocab");
    json_t *merges = json_object_get(json_object_get(j, "model"), "merges"), *v;
    json_t *added = json_object_get(j, "added_tokens");
    size_t n = json_object_size(vocab) + json_array_size(added), i;
    const char **token = calloc(n, sizeof(*token)), *key;
    struct err e = {0};

    sbuf_init(b, 1 << 20);
    json_object_foreach(vocab, key, v) token[json_integer_value(v)] = key;
    json_array_foreach(added, i, v) token[json_integer_value(json_object_get(v, "id"))] =
        json_string_value(json_object_get(v, "content"));
    assert_true(sbuf_put(b, STR("GGUF"), &e));
    gguf_uint(b, 4, 3);
    gguf_uint(b, 8, 0);
    gguf_uint(b, 8, eos >= 0 ? 11 : 10);
    gguf_key(b, "general.architecture", 8, 0, "llama", 0);
    gguf_key(b, "llama.scales", 9, 3, NULL, 6);
    for (i = 0; i < 3; i++)
        gguf_uint(b, 4, 0);
    gguf_key(b, "general.tags", 9, 2, NULL, 8);
    gguf_str(b, STR("a"));
    gguf_str(b, STR(""));
    gguf_key(b, "tokenizer.ggml.model", 8, 0, "gpt2", 0);
    gguf_key(b, "tokenizer.ggml.pre", 8, 0, pre, 0);
    gguf_key(b, "tokenizer.ggml.tokens", 9, n, NULL, 8);
    for (i = 0; i < n; i++)
        gguf_str(b, str_of(token[i]));
    gguf_key(b, "tokenizer.ggml.token_type", 9, n, NULL, 5);
    for (i = 0; i < n; i++)
        gguf_uint(b, 4, i < json_object_size(vocab) ? 1 : 3);
    gguf_key(b, "tokenizer.ggml.merges", 9, json_array_size(merges), NULL, 8);
    json_array_foreach(merges, i, v) gguf_str(b, str_of(json_string_value(v)));
    gguf_key(b, "tokenizer.ggml.add_bos_token", 7, 0, NULL, 0);
    gguf_key(b, "tokenizer.chat_template", 8, 0, "{{ x }}", 0);
    if (eos >= 0) gguf_key(b, "tokenizer.ggml.eos_token_id", 4, (uint64_t)eos, NULL, 0);
    free(token);
    json_decref(j);
}
