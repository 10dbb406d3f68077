/*
 * evaluate/bootstrap - how sure is a number: percentile intervals, paired or clustered, and the
 * test that swaps two systems' answers by a coin.
 *
 * The main idea: data are rows of sums over independent units (a report, or all reports of a
 * patient), so one resampling serves every column at once: columns stay paired, and so does a
 * difference. Draws are functions of (seed, table, replicate, draw): replicates are dealt over
 * ranks and threads and the result is the same for any number of them.
 *
 * More than BOOT_UNITS_MAX units are first dealt at random into BOOT_GROUPS groups, which are then
 * resampled or swapped whole, so that a million reports cost what some thousand do. Groups of
 * independent units are independent units: the intervals stay right (their width is off by about
 * 1 / sqrt(2 BOOT_GROUPS) = 1 %), and swaps of groups are a subgroup of all swaps: the test stays
 * exact (Lehmann and Romano, "Testing Statistical Hypotheses", 3rd ed., 15.2).
 *
 * Percentile interval: Efron and Tibshirani, "An introduction to the bootstrap", 1993, ch. 13. p =
 * (c + 1) / (B + 1): Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9(1), 2010. Cost: about units
 * x replicates x (4 ns + columns / 4 ns) over the ranks. No correction for several tests.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"

enum { BOOT_UNITS_MAX = 8192, BOOT_GROUPS = 4096 };

struct boot_data {
    const double *sum;     /* [units][cols]: sums over the rows of each unit */
    const uint32_t *count; /* [units]: rows in each; NULL: one row each */
    size_t units, cols;
};
struct boot_opts {
    uint64_t seed;
    uint32_t table;      /* tells apart the tables of one report */
    uint32_t replicates; /* B > 0 */
    uint32_t threads;    /* 0: one */
};
struct boot_ci {
    double mean; /* of the data themselves, in unit order */
    double lo, hi;
};
/* Numbers made of the columns' sums over `rows` rows, e.g. corpus BLEU of counts: out[width]. */
struct boot_values {
    void (*fn)(const void *ctx, const double *sum, uint64_t rows, double *out);
    const void *ctx;
    size_t width;
};

/* 95 % percentile interval of every column's mean; out[cols], the same on all ranks. No unit:
 * zeros. Collective. */
MUST_CHECK bool bootstrap_ci(const struct boot_data *d, const struct boot_opts *o, struct comm *c,
                             struct boot_ci *out, struct err *e);
/* The same of other numbers than means: out[values->width]. Collective. */
MUST_CHECK bool bootstrap_values(const struct boot_data *d, const struct boot_opts *o,
                                 const struct boot_values *values, struct comm *c,
                                 struct boot_ci *out, struct err *e);
/* The same of one number. Collective. */
typedef double (*boot_stat)(const double *sum);
MUST_CHECK bool bootstrap_stat(const struct boot_data *d, const struct boot_opts *o, boot_stat fn,
                               struct comm *c, struct boot_ci *out, struct err *e);
/* The first half of the columns is one system's, the second another's: two-sided p[width] of "it
 * does not matter which of the two a unit's columns belong to", by how far the values of the halves
 * are apart (approximate randomisation, Riezler and Maxwell 2005). Of a mean this is the sign-flip
 * test of the differences. Collective. */
MUST_CHECK bool swap_p(const struct boot_data *d, const struct boot_opts *o,
                       const struct boot_values *values, struct comm *c, double *p, struct err *e);
/* Holm's step-down adjustment of n p-values (Scand. J. Statist. 6, 1979): out[i] <= alpha rejects
 * hypothesis i with at most alpha chance of any false rejection. out may be p. */
MUST_CHECK bool holm(const double *p, size_t n, double *out, struct err *e);
/* Percentile q in [0, 100] of n > 0 ascending values, linear between neighbours as numpy does. */
double percentile_sorted(const double *v, size_t n, double q);
/* Sort ascending. No NaN. */
void sort_f64(double *v, size_t n);
