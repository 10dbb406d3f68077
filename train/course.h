/*
 * train/course - the whole run laid out in advance: how many steps each epoch has, where step s
 * lies, what is due after it, and the largest bin there will ever be.
 *
 * The main idea: the plans of all epochs are computed once at the start (0.1 us a sample and
 * epoch), so the learning-rate schedule knows its end and device memory is taken for the worst bin
 * before step 1. Everything here is a function of the shards' index arrays and the options: all
 * ranks get the same answer.
 */
#pragma once
#include "base/opt.h"
#include "shard/plan.h"

struct course_opts {
    double epochs;      /* a fraction ends inside an epoch */
    uint64_t max_steps; /* 0: no limit */
    uint64_t seed;
    uint32_t bin_tokens, bin_targets, bins_per_step; /* as in struct plan_params */
    bool loss_on_all;
    bool once; /* as in struct plan_params */
};
struct course {
    struct course_opts o;
    uint32_t nepochs;
    uint64_t *first;     /* [nepochs + 1] steps before the epoch; the last is `total` */
    uint64_t *nsteps;    /* [nepochs] of the whole epoch, also where the run ends earlier */
    uint64_t total;      /* steps of the run */
    uint64_t tokens;     /* of all steps */
    uint32_t max_tokens; /* of any bin; with an encoder, of its input */
    uint32_t max_rows;   /* loss-bearing positions of any bin, at most */
    uint8_t digest[32];  /* plan of the first epoch */
};

MUST_CHECK bool course_init(struct course *c, const struct shard_set *s,
                            const struct course_opts *o, struct err *e);
void course_free(struct course *c);
/* Tokens and loss-bearing positions of the largest bins of a plan; *tokens and *rows only grow. */
void course_largest(const struct plan *p, enum shard_layout layout, bool loss_on_all,
                    uint32_t *tokens, uint32_t *rows);
/* Compute the plan of an epoch (plan_free it). */
MUST_CHECK bool course_plan(const struct course *c, const struct shard_set *s, uint32_t epoch,
                            struct plan *out, struct err *e);
/* Step s (1..total) is step *k (from 0) of *epoch. */
void course_at(const struct course *c, uint64_t step, uint32_t *epoch, uint64_t *k);
/* Epochs done after step s, as 1.25. */
double course_epochs(const struct course *c, uint64_t step);
/* Is something that happens `every` so often due after step s? Units of time are never due here. */
bool course_due(const struct course *c, struct opt_every every, uint64_t step);
