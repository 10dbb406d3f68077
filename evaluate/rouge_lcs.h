/*
 * evaluate/rouge_lcs - longest common subsequences of word lists, for evaluate/rouge alone.
 *
 * The main idea: 64 places of the reference at a time (Crochemore et al. 2001, "A fast and
 * practical bit-vector algorithm for the longest common subsequence problem"; H. Hyyro 2004). Bit i
 * of the vector after j words of the prediction is 0 exactly where the table of dynamic programming
 * steps up: t[i + 1][j] = t[i][j] + 1. So the zeros are counted at the end, and on the way back a
 * zero says that t[i][j - 1] > t[i - 1][j] at a cell whose words differ.
 *
 * Memory does not grow with the product of the lengths. Where a word stands is a bit mask while all
 * masks are small, else a list of places. The way back needs the vectors of every j: they are all
 * kept while they are few, else those at every 64th part of the way, and a part's are made again
 * from its beginning, on up to three levels (a million words each: 34 MB, and the vectors are
 * computed four times, not once). Time is words x words / 64 in the worst case.
 *
 * Not thread-safe. Zeroed at first.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rouge_lcs {
    size_t masks_max, rows_max; /* 64-bit words; 0: 8 MiB each. Tests set less */
    const uint32_t *ref;        /* borrowed: the words set */
    size_t n, nw;               /* places, 64-bit words of a vector */
    bool lists;
    uint32_t set;      /* stamp of what is set */
    uint32_t *mask_of; /* of a word: the set that its mask or list is about */
    size_t mask_of_cap;
    uint64_t *mask; /* [words][nw]: where each stands */
    size_t mask_cap;
    uint32_t *head, *next; /* of a word its first place, of a place the next one of its word */
    size_t head_cap, next_cap;
    uint64_t *rows; /* vectors kept for the way back */
    size_t rows_cap;
};

/* Words of the reference: numbers below nwords, n > 0 of them; borrowed until the next set. */
MUST_CHECK bool rouge_lcs_set(struct rouge_lcs *l, const uint32_t *ref, size_t n, size_t nwords,
                              struct err *e);
/* Does any word of the prediction stand in what is set? */
bool rouge_lcs_meets(const struct rouge_lcs *l, const uint32_t *hyp, size_t hn);
MUST_CHECK bool rouge_lcs_length(struct rouge_lcs *l, const uint32_t *hyp, size_t hn,
                                 uint64_t *length, struct err *e);
/* Or into `places` (l->nw words) the reference's places on the one path that rouge-score's walk
 * back takes: at equal words it goes back on both sides, at a tie on the reference's. */
MUST_CHECK bool rouge_lcs_places(struct rouge_lcs *l, const uint32_t *hyp, size_t hn,
                                 uint64_t *places, struct err *e);
void rouge_lcs_free(struct rouge_lcs *l);
