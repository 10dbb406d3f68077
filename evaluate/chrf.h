/*
 * evaluate/chrf - chrF2 as sacrebleu 2.6.0 computes it: character n-grams of order 1 to 6 without
 * white space, case kept, no words, beta 2, effective order.
 *
 * Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation". One reference. Not
 * offered: chrF++ (word n-grams), lower case, epsilon smoothing. Not thread-safe: one `struct chrf`
 * a thread.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { CHRF_ORDER = 6, CHRF_MAX_BYTES = 1 << 23 };
/* Sufficient statistics: a corpus is the sum of its sentences. Where the reference has no n-gram of
 * an order, none of the answer's are counted. */
struct chrf_stats {
    uint64_t hyp[CHRF_ORDER], ref[CHRF_ORDER], match[CHRF_ORDER];
};
struct chrf;
MUST_CHECK bool chrf_open(struct chrf **out, struct err *e);
void chrf_close(struct chrf *c);
/* A side of more than CHRF_MAX_BYTES bytes is ERR_LIMIT. */
MUST_CHECK bool chrf_pair(struct chrf *c, struct str prediction, struct str reference,
                          struct chrf_stats *out, struct err *e);
double chrf_score(const struct chrf_stats *s); /* 0 to 100 */
extern const char *const chrf_signature;
