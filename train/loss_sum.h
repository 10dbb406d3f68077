/*
 * train/loss_sum - losses of bins added up exactly, so that order and ranks cannot matter.
 *
 * As train/grad_sync: a bin's loss becomes round(loss * 2^24) in 64-bit integers (6e-8 nats a bin).
 */
#pragma once
#include <stdint.h>

#include "comm/comm.h"

struct loss_sum {
    int64_t fixed;
    bool bad; /* a loss was not finite, or beyond 2^30 nats in one bin */
};
void loss_sum_add(struct loss_sum *s, double loss);
/* Sum over all ranks; bad if any was. Collective. */
void loss_sum_ranks(struct loss_sum *s, struct comm *c);
double loss_sum_value(const struct loss_sum *s);
