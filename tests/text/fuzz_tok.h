/*
 * tests/text/fuzz_tok - what any tokenizer that was accepted must do with any text: no more ids than
 * its vocabulary, the same from the cache as without, and a decoding that is UTF-8.
 */
#pragma once
#include <stdlib.h>

#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#define MUST(cond) ((cond) ? (void)0 : abort())

static inline void use_cache(const struct tokenizer *t, struct tok_cache *c, struct str text)
{
    struct err e = {0};

    for (int mode = TOK_PLAIN; mode <= TOK_FULL; mode++) {
        struct tok_ids a = {0}, b = {0};
        struct sbuf out;
        sbuf_init(&out, 1 << 26);
        MUST(tokenizer_encode(c, text, (enum tok_mode)mode, &a, &e));
        MUST(tokenizer_encode(c, text, (enum tok_mode)mode, &b, &e));
        MUST(a.n == b.n && (a.n == 0 || memcmp(a.ids, b.ids, a.n * sizeof(*a.ids)) == 0));
        for (size_t i = 0; i < a.n; i++) {
            MUST(a.ids[i] < tokenizer_info(t).vocab_size);
            MUST(tokenizer_piece(t, a.ids[i]).n > 0);
            MUST(mode != TOK_PLAIN || (int32_t)a.ids[i] == t->model_unk ||
                 !tokenizer_is_special(t, a.ids[i]));
        }
        MUST(tokenizer_decode(t, a.ids, a.n, mode == TOK_RAW, &out, &e));
        MUST(utf8_valid(sbuf_str(&out)));
        sbuf_free(&out);
        tok_ids_free(&a);
        tok_ids_free(&b);
    }
}

static inline void use_tokenizer(const struct tokenizer *t, struct str text)
{
    struct tok_cache *c;
    struct err e = {0};

    MUST(tok_cache_open(t, &c, &e));
    use_cache(t, c, text);
    tok_cache_close(c);
}
