/*
 * evaluate/grams - how many n-grams two texts share, for n = 1 to 8, each counted as often as both
 * have it: what BLEU and chrF are made of.
 *
 * The main idea: 64 places of the reference at a time. ends[n] holds the places where the n-gram
 * that ends at the prediction's item at hand ends too: those of the (n-1)-gram before it, one
 * further, where this item stands. The same n-gram always has the same places, so taking an unused
 * one for each occurrence clips the count. No n-gram is ever built or hashed; the cost is
 * prediction x reference / 64 x orders. Texts for which that or the masks would be much (beyond
 * some ten thousand words) have their n-grams numbered instead, each from the number of the one
 * before and an item: exact, too, and linear in time and memory.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluate/dense.h"

enum { GRAMS_MAX = 8 };
/* Items as numbers; those of the reference are 0 .. distinct - 1. */
struct gram_texts {
    const uint32_t *ref, *hyp;
    size_t nref, nhyp;
    uint32_t distinct;
};
struct grams { /* scratch, zeroed at first */
    uint64_t *bits;
    size_t cap;
    bool count; /* number n-grams whatever the size (tests) */
    struct dense numbers;
    uint32_t *of[2], *left; /* n-grams that begin at each item; of each n-gram, those not taken */
    size_t of_cap[2], left_cap;
};
/* match[k]: shared (k + 1)-grams, k < orders <= GRAMS_MAX. */
MUST_CHECK bool grams_match(struct grams *g, const struct gram_texts *t, size_t orders,
                            uint64_t *match, struct err *e);
void grams_free(struct grams *g);
