/*
 * train/train - shards + base model -> adapter: LoRA fine-tuning, data-parallel over ranks.
 *
 *     train.dir/run.yaml, log/, status.json, .lock     base/rundir: one job, one configuration
 *     train.dir/checkpoints/step-00000120/             checkpoint/ckpt: everything to go on from
 *     train.dir/metrics.jsonl                          one line a step and an evaluation
 *     train.dir/tensorboard/events.out.tfevents...     the same, remade from metrics.jsonl
 *     train.dir/adapter/                               the result: a PEFT folder + radmill.json
 *
 * The main idea: the run is a pure function of configuration, shards, base model and seed. The plan
 * of bins is computed (shard/plan), gradients and losses are summed exactly (train/grad_sync), so
 * the adapter's bytes do not depend on the number of ranks, nor on when the run was stopped or
 * killed and with how many ranks it went on. What would make them depend on the clock is refused
 * (early stopping with evaluation by minutes). They hold for one kind of device, build and thread
 * count.
 *
 * Loss is the sum over target tokens divided by their global number, over bins and ranks alike.
 *
 * It does not tokenize, generate or score; it opens one device a rank.
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "model/lora.h"
#include "model/model_opts.h"

enum train_loss_on { TRAIN_LOSS_TARGET, TRAIN_LOSS_ALL };
enum train_duplicates { TRAIN_DUP_KEEP, TRAIN_DUP_WEIGHT };
enum train_export { TRAIN_EXPORT_AUTO, TRAIN_EXPORT_BEST, TRAIN_EXPORT_LAST };

/* auto: the least that makes the memory plan fit (train/memory_plan). */
enum train_recompute {
    TRAIN_RECOMPUTE_AUTO,
    TRAIN_RECOMPUTE_NONE,
    TRAIN_RECOMPUTE_SELECTIVE,
    TRAIN_RECOMPUTE_FULL
};

struct train_opts {
    const char *dir;
    double epochs;
    uint64_t max_steps;
    uint32_t bin_tokens, tokens_per_step;
    uint32_t bin_targets; /* with an encoder: labels of a bin; 0: as many as bin_tokens */
    double lr;
    int schedule;  /* enum schedule_kind */
    double warmup; /* below 1: a fraction of all steps, else steps */
    double min_lr, beta1, beta2, eps, weight_decay, clip;
    uint64_t seed;
    int loss_on;    /* enum train_loss_on */
    int duplicates; /* enum train_duplicates */
    struct opt_every eval_every, save_every;
    uint32_t keep, patience;
    int export; /* enum train_export */
    double memory_gib;
    int recompute; /* enum train_recompute */
    bool verify_tokens;
    double hang_minutes;
    int gradient_sum; /* enum grad_sum */
    uint64_t stop_after_steps;
};
extern const struct opt train_table[];

struct train_job {
    const struct train_opts *train;
    const struct lora_opts *lora;
    const struct model_opts *model;
    const char *shards_dir;
    struct opt_strs modalities;      /* n == 0: all */
    const uint8_t *tokenizer_digest; /* 32 bytes: of the base's tokenizer; NULL: not compared */
    const char *version, *commit;    /* provenance; NULL: "unknown" */
    /* Sweeps: at this global step, save, evaluate and return with summary->paused. 0: never. The
     * extra evaluation changes no state, so a paused run goes on as if never paused. */
    uint64_t pause_at_step;
    uint64_t pause_num, pause_den; /* or after this share of all steps, rounded up; den 0: none */
    struct model_slot *slot;       /* keeps the base model for the next run; NULL: not kept */
    bool dry_run;                  /* plan, memory table and summary only: nothing is written */
};

struct train_summary {
    uint64_t steps, total_steps;       /* done in all, wanted in all */
    uint64_t samples, tokens, targets; /* of the training split; trained on by this process */
    uint64_t run_tokens;               /* of all steps wanted */
    double train_loss;                 /* of the last step, mean over its target tokens */
    double dev_loss;                   /* latest evaluation; NaN: none yet */
    double best_dev_loss;              /* NaN: none yet */
    uint64_t best_step;
    double seconds, tokens_per_s, targets_per_s; /* of the steps of this process */
    uint64_t memory_bytes;                       /* planned on the device */
    uint64_t memory_used;                        /* of a GPU, measured; 0: not known */
    double gpu_busy;                             /* share of the steps' time; < 0: not known */
    const char *recompute;                       /* planned: none, selective, full */
    uint32_t recompute_blocks;
    bool finished, early_stopped, paused;
    uint8_t plan_digest[32]; /* of the first epoch */
    char adapter[512];       /* folder of the result; empty unless finished */
};

/* Train, or go on training, until done. Stopped as asked (base/stop, stop_after_steps): the state
 * is saved and the error is ERR_STOPPED. Collective. */
MUST_CHECK bool train_run(const struct train_job *j, struct comm *c, struct train_summary *out,
                          struct err *e);
