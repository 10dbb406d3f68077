/*
 * sweep/tpe - where to look next: tree-structured Parzen estimator (Bergstra et al., "Algorithms
 * for hyper-parameter optimization", NIPS 2011; Watanabe, arXiv 2304.11127).
 *
 * The main idea: the best 15 % of what was seen (at most 25) give a density l, the rest g; of 24
 * points drawn from l, the one with the largest l / g is suggested. A density is a mixture of one
 * product kernel an observation (truncated normals, on the logarithm where the parameter is; for
 * choices all weight a little everywhere and much on the one seen) and a wide prior. Kernel width
 * is the larger distance to the neighbours, never below a share of the range.
 *
 * Where this differs from Optuna's: the first TPE_STARTUP trials are a Latin hypercube, the good
 * are 15 % (what Watanabe found best) instead of 10 and weigh by their rank, and kernels may be
 * half as wide (bench/peers/tpe_optuna.py compares).
 *
 * The same (space, observations, seed, trial) gives the same point, so a suggestion can be replayed
 * from the journal. Trials under way count as bad, so that workers at work at the same time look in
 * different places. A parameter that was off in an observation has the prior's kernel there.
 */
#pragma once
#include "sweep/space.h"

struct tpe_seen {
    struct space_point point;
    uint64_t trial;
    double value;  /* lower is better; not finite: failed */
    uint32_t rung; /* at which it stands */
    bool ended;    /* false: under way, value unknown */
};
enum { TPE_STARTUP = 10, TPE_CANDIDATES = 24 };

/* seen[n] in the order of the trial numbers. Fewer than TPE_STARTUP ended: space_spread. */
MUST_CHECK bool tpe_suggest(const struct space *s, const struct tpe_seen *seen, size_t n,
                            uint64_t seed, uint64_t trial, struct space_point *out, struct err *e);
