/*
 * train/step - one optimizer step: gradients of this rank's bins, the exact sum over all bins and
 * ranks, clipping, AdamW, refreshed weights.
 *
 *     bins of the rank --decoder_grad--> grad_sync --sum / rows--> gradient --clip--> AdamW
 *
 * The main idea: everything after the sum is computed by every rank from the same bits, so masters
 * stay the same everywhere without being sent. The gradient is the sum over all loss-bearing
 * positions of the step divided by their global number: how samples were cut into bins or dealt to
 * ranks does not show. Where bins come from is the caller's affair (struct step_source).
 *
 * Asked to stop (base/stop) with bins still to do, a rank leaves them; all agree, and the step
 * counts as not begun: a step may take minutes, the time left before a job is killed is often less.
 *
 * Clipping is torch's: factor min(1, clip / (norm + 1e-6)) on the norm of the summed gradient.
 */
#pragma once
#include "comm/comm.h"
#include "model/decoder.h"
#include "train/grad_sync.h"

struct step_source {
    void *ctx;
    /* *out stays valid until the next call. */
    bool (*get)(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e);
};
struct step_opts {
    double beta1, beta2, eps, weight_decay, clip; /* clip 0: none */
    uint64_t seed;                                /* dropout */
    uint64_t bins_per_step;                       /* at most, over all ranks */
    bool decay_vectors; /* decay one-row tensors too: LoRA yes, a full model's norms no */
};
struct step {
    struct step_opts o;
    struct dev *d; /* borrowed, as the next three */
    struct comm *c;
    struct lora *lora;
    struct decoder_work *work;
    uint64_t count;
    struct grad_sync sync;
    struct dev_buf *grad, *m, *v; /* f32 [count] */
};

struct step_job {
    uint64_t number;     /* 1, 2, ... over the whole run */
    uint64_t first;      /* first bin of the step over all ranks: dropout keys count from it */
    uint64_t begin, end; /* bins of this rank */
    uint64_t rows;       /* loss-bearing positions of the step over all ranks */
    double lr;
};
/* Wishes of any rank, afterwards known to all. */
struct step_flags {
    bool stop, save, eval;
};
struct step_result {
    double loss;      /* mean over the step's loss-bearing positions */
    double grad_norm; /* before clipping */
    uint32_t tries;   /* 2: shifts did not fit and the step was done again */
    bool abandoned;   /* asked to stop: nothing was changed, the other fields say nothing */
};

/* Moments start at zero. */
MUST_CHECK bool step_init(struct step *s, const struct step_opts *o, struct model *m,
                          struct lora *l, struct decoder_work *w, struct comm *c, struct err *e);
void step_free(struct step *s);
/* Device bytes of gradient, moments and sums for `count` trained elements. */
uint64_t step_bytes(uint64_t count);

/* The gradient of a step into s->grad, unless abandoned. A loss or gradient that is not finite is
 * ERR_DIVERGED naming the step, on all ranks. Collective. */
MUST_CHECK bool step_gradient(struct step *s, const struct step_source *src,
                              const struct step_job *j, struct step_flags *flags,
                              struct step_result *out, struct err *e);
/* Clip s->grad, update the masters, refresh the working copies. Queued: what fails on the device is
 * said by what waits for it next. */
MUST_CHECK bool step_apply(struct step *s, uint64_t number, double lr, struct step_result *out,
                           struct err *e);
/* Both, unless abandoned. On an error the masters may be half updated: go back to a checkpoint.
 * Collective. */
MUST_CHECK bool step_run(struct step *s, const struct step_source *src, const struct step_job *j,
                         struct step_flags *flags, struct step_result *out, struct err *e);

/* The state between steps, host side: count floats each. params alone when m and v are NULL. */
MUST_CHECK bool step_get(struct step *s, float *params, float *m, float *v, struct err *e);
/* Also refreshes the working copies. */
MUST_CHECK bool step_set(struct step *s, const float *params, const float *m, const float *v,
                         struct err *e);
