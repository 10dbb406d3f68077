/*
 * judge/judge_apart - answers that a judge was not trained on: which part each belongs to, how it
 * was read, and the card that comes of it.
 */
#pragma once
#include "judge/judge_run.h"

struct judge_apart {
    struct judge_reading *reading; /* [n] by item */
    uint32_t *part;                /* [n] < judge.folds */
    bool *is_held;                 /* [n]: it was read */
};
/* Whole patients into k parts; *out [n] in the run's arena. salt tells apart divisions. */
MUST_CHECK bool judge_apart_parts(struct judge_run *r, const struct judge_set *s, uint32_t k,
                                  uint64_t salt, uint32_t **out, struct err *e);
/* split[i] for training: JUDGE_APART where held[i]; of the other patients one in ten is SHARD_DEV
 * (at least one), the rest SHARD_TRAIN. */
MUST_CHECK bool judge_apart_split(struct judge_run *r, const struct judge_set *s, const bool *held,
                                  uint8_t *split, struct err *e);
/* Parts settled, nothing read yet. Everything is in the run's arena. */
MUST_CHECK bool judge_apart_init(struct judge_run *r, const struct judge_set *s,
                                 struct judge_apart *h, struct err *e);
/* Read the items of `which` with this adapter; card gets the digests. Collective. */
MUST_CHECK bool judge_apart_read(struct judge_run *r, const struct judge_set *s, const bool *which,
                                 const char *adapter, struct judge_apart *h,
                                 struct judge_card *card, struct err *e);
/* judge.dir/held.jsonl: no text. */
MUST_CHECK bool judge_apart_write(struct judge_run *r, const struct judge_set *s,
                                  const struct judge_apart *h, struct err *e);
/* Calibration and validity of what was read; weights: as in struct judge_held. */
MUST_CHECK bool judge_apart_card(struct judge_run *r, const struct judge_set *s,
                                 const struct judge_apart *h, const struct blend *weights,
                                 struct judge_card *card, struct err *e);
