/*
 * judge/rank - does one number order things as another does: Kendall's tau-b with an interval, and
 * two such numbers compared on the same things.
 *
 * tau-b = (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)), by sorting in
 * O(n log n) (Knight, J. Am. Stat. Assoc. 61:436, 1966). Intervals are percentiles of a bootstrap
 * that resamples whole groups (patients); the same resample serves both numbers, so their
 * difference is paired. Draws are functions of (seed, replicate, draw).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rank_ci {
    double value, lo, hi;
};
struct rank_result {
    size_t n, groups;
    struct rank_ci a, b, diff; /* tau of a, of b, and a minus b; without b zeros */
};

/* Tau-b; 0 where x or y is constant or n < 2. No NaN. scratch[3 n]. */
double rank_tau(const double *x, const double *y, size_t n, double *scratch);
/* 95 % intervals of tau(truth, a) and, unless b is NULL, tau(truth, b) and their difference.
 * group[i] < ngroups; NULL: each thing is its own. */
struct rank_data {
    const double *truth, *a, *b;
    const uint32_t *group;
    size_t n, ngroups;
};
MUST_CHECK bool rank_compare(const struct rank_data *d, uint64_t seed, uint32_t replicates,
                             struct rank_result *out, struct err *e);
