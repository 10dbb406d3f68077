/*
 * evaluate/rouge_words - a pair of texts as lists of small integers, for evaluate/rouge alone.
 *
 * Two levels: a table of all words seen so far (so that a word is stemmed once, not once a report),
 * emptied when it grows past a bound; and numbers local to the pair, dense, the reference's words
 * first.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* One text: word numbers, and where its lines with at least one word start. */
struct rouge_side {
    uint32_t *ids;
    size_t n, cap;
    uint32_t *line; /* line[i] .. line[i + 1] of nlines + 1 */
    size_t nlines, line_cap;
};

struct rouge_word; /* private */
struct rouge_words {
    bool stem;
    struct rouge_word *word; /* words met, by global number */
    size_t nwords, word_cap;
    uint32_t *slot; /* hash table of global number + 1 */
    size_t nslots;  /* a power of two */
    char *pool;     /* the words' bytes */
    size_t pool_n, pool_cap;
    uint32_t *local; /* of a stem's global number: its number in this pair, if the stamp is now's */
    uint32_t *stamp;
    size_t local_cap, stamp_cap;
    uint32_t now;
    uint32_t nlocal; /* distinct words of the pair so far */
};

MUST_CHECK bool rouge_words_init(struct rouge_words *w, bool stem, struct err *e);
void rouge_words_free(struct rouge_words *w);
void rouge_side_free(struct rouge_side *s);
/* Start a pair: local numbers restart at 0. */
void rouge_words_next(struct rouge_words *w);
/* Tokenise text into s; more than max tokens is ERR_LIMIT. */
MUST_CHECK bool rouge_words_side(struct rouge_words *w, struct str text, size_t max,
                                 struct rouge_side *s, struct err *e);
