/*
 * evaluate/bootstrap - how sure is a mean: percentile intervals, paired or clustered, and the
 * sign-flip test.
 *
 * The main idea: data are rows of sums over independent units (a report, or all reports of a
 * patient), so one resampling serves every column at once: columns stay paired, and so does a
 * difference column. Draws are functions of (seed, table, replicate, draw): replicates are dealt
 * over the ranks and the result is the same for any number of them.
 *
 * Percentile interval: Efron and Tibshirani, "An introduction to the bootstrap", 1993, ch. 13.
 * Sign-flip test: p = (c + 1) / (B + 1) (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9(1),
 * 2010). Cost: about units x replicates x (3 ns + columns / 4 ns) over the ranks. No correction for
 * several tests.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"

struct boot_data {
    const double *sum;     /* [units][cols]: sums over the rows of each unit */
    const uint32_t *count; /* [units]: rows in each; NULL: one row each */
    size_t units, cols;
};
struct boot_opts {
    uint64_t seed;
    uint32_t table;      /* tells apart the tables of one report */
    uint32_t replicates; /* B */
};
struct boot_ci {
    double mean; /* over rows, in unit order */
    double lo, hi;
};

/* 95 % percentile interval of every column's mean; out[cols], the same on all ranks. No unit:
 * zeros. Collective. */
MUST_CHECK bool bootstrap_ci(const struct boot_data *d, const struct boot_opts *o, struct comm *c,
                             struct boot_ci *out, struct err *e);
/* Two-sided p of "the sign of each unit's difference is a coin's": columns hold differences.
 * p[cols]. Units whose difference is 0 change nothing. Collective. */
MUST_CHECK bool signflip_p(const struct boot_data *d, const struct boot_opts *o, struct comm *c,
                           double *p, struct err *e);
/* Percentile q in [0, 100] of n > 0 ascending values, linear between neighbours as numpy does. */
double percentile_sorted(const double *v, size_t n, double q);
/* Sort ascending. No NaN. */
void sort_f64(double *v, size_t n);
