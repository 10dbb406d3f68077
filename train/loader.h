/*
 * train/loader - a bin of the plan -> the host arrays of one decoder_batch.
 *
 * Samples of the bin are laid end to end; which positions bear loss follows from the sample's own
 * target index (or all positions but the first, loss_on all). No padding, no mask: a position whose
 * next token is in the loss is a row, its next token the label. The end mark of a sample is its
 * last token, so it is always in the loss; a sample's first token is never predicted from its
 * neighbour.
 *
 * Shards of layout encoder-decoder: the inputs are laid end to end for the encoder, the labels
 * apart from them; every label bears loss.
 *
 * No prefetch thread: tokens are memory-mapped, and the bin is laid out while the device computes
 * the one before it (train/flight), the first of a step while it updates the weights. Not
 * thread-safe.
 */
#pragma once
#include "model/decoder.h"
#include "shard/plan.h"

struct loader {
    struct shard_set *set;   /* borrowed */
    const struct plan *plan; /* borrowed; loader_plan changes it */
    bool all;                /* loss on all tokens; not with an encoder */
    bool both;               /* encoder-decoder */
    uint32_t max_tokens;
    /* room for max_tokens each, cu and label_cu one more */
    uint32_t *tokens, *cu, *rows, *labels, *label_cu;
};

/* max_tokens: no bin is longer; with an encoder neither of its parts. */
MUST_CHECK bool loader_init(struct loader *l, struct shard_set *set, bool all, uint32_t max_tokens,
                            struct err *e);
void loader_free(struct loader *l);
void loader_plan(struct loader *l, const struct plan *p);
/* Lay out a bin; *out is borrowed until the next call. */
MUST_CHECK bool loader_get(struct loader *l, uint64_t bin, struct decoder_batch *out,
                           struct err *e);
/* Loss-bearing positions of bins [begin, end): what the sum is divided by. From the set's index
 * arrays, the same on every rank. */
uint64_t loader_rows(const struct loader *l, uint64_t begin, uint64_t end);
