/*
 * shard/plan - which samples meet in which bin, in which step: computed, never drawn.
 *
 * The plan of an epoch is a pure function of (sample lengths, dataset digest, seed, epoch,
 * bin_tokens, bin_targets, bins_per_step). Samples are permuted by a Feistel network, packed into
 * bins of at most bin_tokens by best-fit-decreasing inside windows of 8,192 samples, bins are
 * permuted inside their window; step k takes bins [kG, (k+1)G), the last step of an epoch may be
 * shorter. A bin is one micro-batch: the unit of work, of summation and of resumption. Rank r of P
 * works on bins [kG + floor(n r/P), kG + floor(n (r+1)/P)) of the n bins of step k. No sample is
 * lost or repeated; with `once` no text is, see shard/once.
 *
 * Encoder-decoder shards are packed in two dimensions: a bin holds at most bin_tokens of encoder
 * input and at most bin_targets of decoder labels, and neither is ever exceeded.
 */
#pragma once
#include "base/err.h"
#include "shard/shard_reader.h"

struct plan_bin {
    uint64_t first; /* into plan.order */
    uint32_t samples;
    uint32_t tokens;  /* all; encoder-decoder: tokens - targets are the encoder's */
    uint32_t targets; /* tokens that bear loss; encoder-decoder: all the decoder's */
};
struct plan {
    uint32_t *order;       /* sample numbers, bin by bin */
    size_t nsamples;       /* of this epoch */
    struct plan_bin *bins; /* in step order */
    size_t nbins;
    uint32_t bins_per_step;
    uint64_t nsteps;    /* of this epoch */
    uint8_t digest[32]; /* two runs with the same digest saw the same data in the same order */
};
struct plan_params {
    uint64_t seed;
    uint32_t epoch;
    uint32_t bin_tokens; /* a sample longer than this is ERR_CONFIG */
    /* Encoder-decoder only: the decoder's share of a bin, where bin_tokens is the encoder's. 0: as
     * many as bin_tokens. */
    uint32_t bin_targets;
    uint32_t bins_per_step;
    bool shuffle; /* false: file order (evaluation), packed in order */
    bool once;    /* of samples with one text, or nearly one, one an epoch */
};
MUST_CHECK bool plan_init(struct plan *p, const struct shard_set *s, const struct plan_params *q,
                          struct err *e);
void plan_free(struct plan *p);
/* Loss-bearing tokens of step k over all ranks. */
uint64_t plan_step_targets(const struct plan *p, uint64_t step);
uint64_t plan_step_tokens(const struct plan *p, uint64_t step);
/* Bins [begin, end) of step k for this rank. */
void plan_rank_bins(const struct plan *p, uint64_t step, int rank, int size, uint64_t *begin,
                    uint64_t *end);
