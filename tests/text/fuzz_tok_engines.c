/* Any bytes as a text for a small tokenizer of each engine: the cuts that encoding makes (and the
 * cache behind them) do not change the ids, which are those of the whole text as one word. */
#include <stdio.h>

#include "fuzz_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT 8
static struct tokenizer *toks[COUNT];
static struct tok_cache *caches[COUNT], *whole[COUNT]; /* whole: each stretch is one word */

static void open_toks(void)
{
    static const char *const names[COUNT] = {"sp-legacy", "sp-normalized", "sp-first",   "sp-split",
                                             "unigram",   "bert-uncased",  "bert-cased", "nfc"};

    for (int i = 0; i < COUNT; i++) {
        char path[1000];
        struct err e = {0};
        snprintf(path, sizeof(path), RADMILL_SOURCE "/tests/text/corpus_tok_json/%s", names[i]);
        if (!tokenizer_open(path, &toks[i], &e)) {
            fprintf(stderr, "%s\n", e.text);
            abort();
        }
        MUST(tok_cache_open(toks[i], &caches[i], &e));
        MUST(tok_cache_open(toks[i], &whole[i], &e));
    }
}

static void same(const struct tok_ids *a, const struct tok_ids *b)
{
    MUST(a->n == b->n && (a->n == 0 || memcmp(a->ids, b->ids, a->n * sizeof(*a->ids)) == 0));
}

/* Cut with AVX-512, without it, and not at all. */
static void check_cuts(int i, struct str text, enum tok_mode mode)
{
    struct tok_ids a = {0}, b = {0}, c = {0};
    enum tok_split split = toks[i]->split;
    struct err e = {0};

    MUST(tokenizer_encode(caches[i], text, mode, &a, &e));
    tok_split_plain(true);
    MUST(tokenizer_encode(caches[i], text, mode, &b, &e));
    tok_split_plain(false);
    toks[i]->split = TOK_SPLIT_NONE;
    MUST(tokenizer_encode(whole[i], text, mode, &c, &e));
    toks[i]->split = split;
    same(&a, &b);
    same(&a, &c);
    tok_ids_free(&a);
    tok_ids_free(&b);
    tok_ids_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    if (!toks[0]) open_toks();
    for (int i = 0; i < COUNT; i++) {
        use_cache(toks[i], caches[i], text);
        for (int mode = TOK_PLAIN; mode <= TOK_FULL; mode++)
            if (toks[i]->engine != TOK_BYTE_BPE && !toks[i]->split_blanks)
                check_cuts(i, text, (enum tok_mode)mode);
    }
    return 0;
}
