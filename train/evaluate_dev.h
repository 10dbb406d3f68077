/*
 * train/evaluate_dev - loss on the dev split: sum over its target tokens / their number.
 *
 * Bins are packed in file order; ranks take their share; the sum is exact (train/loss_sum), so the
 * score has the same bits on any number of ranks, and early stopping may rest on it.
 */
#pragma once
#include "comm/comm.h"
#include "train/loader.h"

struct dev_loss {
    int64_t fixed; /* loss_sum units: compared and stored exactly */
    uint64_t rows;
    double mean;
    bool abandoned; /* asked to stop (base/stop) before the end: no score */
};
/* From fixed and rows (> 0). */
double dev_loss_mean(const struct dev_loss *d);

/* l holds the dev plan: one step of all its bins. A loss that is not finite is not an error here:
 * mean is NaN and never the best. Collective. */
MUST_CHECK bool evaluate_dev(struct decoder_work *w, struct loader *l, struct comm *c,
                             struct dev_loss *out, struct err *e);
