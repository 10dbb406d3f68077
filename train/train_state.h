/*
 * train/train_state - what a checkpoint of a run holds besides the arrays, and whether it belongs
 * to this run.
 *
 *     arrays   params, m, v f32 [count]; shifts i32 [slices]
 *     meta     JSON of struct train_state and struct train_identity
 *
 * Scores are kept as exact integers (train/loss_sum), so going on decides as if never stopped.
 */
#pragma once
#include "base/str.h"
#include "train/evaluate_dev.h"

enum { TRAIN_DESCRIBE_BYTES = 256 };

/* What must be the same for a checkpoint to be continued; describe only warns. */
struct train_identity {
    uint8_t dataset[32];  /* shard_info */
    uint8_t base[32];     /* model_digest */
    uint8_t plan[32];     /* of the first epoch */
    uint8_t config[32];   /* of the options; recorded, compared by base/rundir */
    const char *describe; /* dev_describe: other bits are to be expected when it differs */
};
struct train_state {
    uint64_t step; /* done */
    uint64_t tokens, targets;
    double train_loss;             /* of the last step */
    uint32_t evaluations;          /* done */
    uint32_t bad;                  /* evaluations since the best */
    uint64_t last_step, best_step; /* of the latest and the best evaluation */
    struct dev_loss last, best;    /* best.rows == 0: none yet */
    bool finished, early_stopped;
    bool eval_owed; /* stopped in the evaluation that was due after this step */
    uint64_t metrics_bytes;
    double seconds; /* in steps, over all processes of the run; for the report only */
};

/* Was `last` the best so far? Then best becomes last. NaN is never the best. */
bool train_state_scored(struct train_state *s, const struct dev_loss *d);

MUST_CHECK bool train_state_put(const struct train_state *s, const struct train_identity *id,
                                struct sbuf *meta, struct err *e);
/* `what` names the checkpoint in errors. Another dataset, base or plan is ERR_CONFIG naming it. */
MUST_CHECK bool train_state_get(struct str meta, const char *what, const struct train_identity *id,
                                struct train_state *out, struct err *e);
