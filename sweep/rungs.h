/*
 * sweep/rungs - how far a trial trains before it is judged, and who goes on. Pure functions.
 *
 * Resources are in units of sweep.max: the whole run of a trial is `max` units, rung k is
 * min * eta^k of them, the top rung all. min * eta^k = max must hold for a whole k, counted by
 * multiplication (floor(log) is off by one at exact powers). A trial of 900 steps with max 9 pauses
 * after 100 and 300; steps of a share that is not whole are rounded up.
 *
 *     ASHA       Li et al., arXiv 1810.05934, algorithm 2: the best of the top floor(n / eta) of
 *                a rung that is not yet promoted goes on, n counting all that ever ended the rung
 *     Hyperband  Li et al., arXiv 1603.06560: brackets of ASHA that start at rung 0, 1, ...; which
 *                one a trial is in follows from its number, in the paper's proportions
 *     median     Golovin et al., Vizier, KDD 2017, on the values at the rung (not running means)
 *
 * Lower values are better. NaN and infinity count in n, are the worst and never promoted. Ties go
 * to the lower trial number.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "base/rng.h"

enum { RUNGS_MAX = 12 };
struct rungs {
    uint32_t eta, n;              /* rungs 0 .. n - 1 */
    uint64_t resource[RUNGS_MAX]; /* of the rung, in units */
    uint64_t max;                 /* resource[n - 1] */
};
/* One rung: the whole run. */
void rungs_single(struct rungs *r);
/* ERR_CONFIG unless max is min * eta^k with at most RUNGS_MAX rungs. */
MUST_CHECK bool rungs_init(struct rungs *r, uint64_t min, uint64_t max, uint32_t eta,
                           struct err *e);
/* Step of a run of total_steps at which rung k ends. */
uint64_t rungs_steps(const struct rungs *r, uint32_t k, uint64_t total_steps);

struct rung_entry {
    uint64_t trial;
    double value;
    bool promoted;
};
/* Position of the entry to promote next, or SIZE_MAX. Sorts v by (value, trial). */
size_t rungs_promote(struct rung_entry *v, size_t n, uint32_t eta);
/* First rung of the trial's Hyperband bracket. */
uint32_t rungs_bracket(const struct rungs *r, uint64_t seed, uint64_t trial);
/* Stop a trial whose best value so far is `best`? others: at the same rung, any order (sorted
 * here). Never with fewer than `startup` of them. */
bool rungs_median_stop(double best, double *others, size_t n, size_t startup);
