/*
 * evaluate/metric_judge - what joins a judge's grades (`radmill judge score`) with evaluate's
 * pairs: a key of prediction and reference, so that order and ids do not matter.
 */
#pragma once
#include "base/hash.h"

static inline uint64_t metric_judge_key(struct str prediction, struct str reference)
{
    return hash_xxh64(prediction.p, prediction.n, hash_xxh64(reference.p, reference.n, 0));
}
