/*
 * judge/judge_run - what judge.c and judge_score.c share: everything open, one stage of training,
 * readings by all ranks. The inside of judge.h.
 */
#pragma once
#include "judge/judge.h"
#include "judge/judge_read.h"
#include "judge/judge_set.h"
#include "judge/judge_shards.h"

#define JUDGE_ARENA_BYTES ((size_t)16 << 30)

struct judge_run {
    const struct judge_job *j;
    const struct judge_opts *o; /* j->judge */
    struct comm *c;
    struct arena arena;
    struct facts *facts;
    struct judge_prompt *prompt;
    struct model_slot slot, *shared; /* shared NULL: training changes the base's weights */
    uint64_t cut;
};
/* On failure call close all the same. Collective. */
MUST_CHECK bool judge_run_open(struct judge_run *r, const struct judge_job *j, struct comm *c,
                               struct err *e);
void judge_run_close(struct judge_run *r);

/* split[i] of each item: enum shard_split, or JUDGE_APART. Trains in dir/name, going on from
 * init_from (NULL: a fresh adapter); *adapter is the result, in the arena. Collective. */
enum { JUDGE_APART = SHARD_SPLITS };
struct judge_stage {
    const char *name, *init_from;
    double epochs, lr;
    const struct judge_set *set;
    const uint8_t *split;
};
MUST_CHECK bool judge_run_stage(struct judge_run *r, const struct judge_stage *s,
                                const char **adapter, struct err *e);
/* Readings of n items on all ranks. digests may be NULL. Collective. */
MUST_CHECK bool judge_run_read(struct judge_run *r, const char *adapter,
                               const struct judge_fields *v, size_t n, struct judge_reading *out,
                               char base[65], char digest[65], struct err *e);
