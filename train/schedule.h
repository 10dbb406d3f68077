/*
 * train/schedule - the learning rate as a function of the step number alone.
 *
 * Steps count from 1 to T, W of them warm up:
 *     s <= W:   lr = peak * s / (W + 1)
 *     s >  W:   p = (s - 1 - W) / (T - W)    0 right after the warm-up, below 1 at the last step
 *               constant  peak
 *               linear    min + (peak - min) (1 - p)
 *               cosine    min + (peak - min) (1 + cos(pi p)) / 2     (arXiv 1608.03983, one cycle)
 * so no step is wasted on a rate of zero.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT };
extern const char *const schedule_names[];

struct schedule {
    enum schedule_kind kind;
    double peak, min;
    uint64_t total, warmup; /* steps */
};

/* warmup below 1 is a fraction of total (rounded up), else steps; more than total is ERR_CONFIG. */
MUST_CHECK bool schedule_init(struct schedule *s, enum schedule_kind kind, double peak, double min,
                              double warmup, uint64_t total, struct err *e);
/* step in 1..total. */
double schedule_lr(const struct schedule *s, uint64_t step);
