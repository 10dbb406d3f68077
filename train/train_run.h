/*
 * train/train_run - one run in this process: what is open, and the four things done with it. The
 * inside of train.h.
 *
 *     train_setup.c  open shards, model, device; lay out the course; take the memory
 *     train_tune.c   how the device computes products: measured once a run
 *     train_save.c   checkpoints: save, go on from one; the adapter and its provenance
 *     train.c        the loop
 */
#pragma once
#include "base/progress.h"
#include "base/rundir.h"
#include "train/course.h"
#include "train/memory_plan.h"
#include "train/metrics_log.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/train.h"
#include "train/train_state.h"

struct train_paths { /* in the arena */
    const char *options, *checkpoints, *metrics, *tensorboard, *events, *adapter, *provenance,
        *summary, *choices;
};
struct train_run {
    const struct train_job *j;
    const struct train_opts *o; /* j->train */
    struct comm *c;
    struct arena arena; /* of the run */
    struct sbuf config; /* options, as dumped */
    struct rundir dir;
    bool dir_open;
    struct train_paths paths;
    struct shard_set *set, *dev_set; /* dev_set NULL: no evaluation */
    struct course course;
    struct schedule schedule;
    struct plan plan, dev_plan; /* plan: of plan_epoch */
    uint32_t plan_epoch;
    bool plan_open;
    struct model_slot *slot; /* borrowed; owns the next two unless NULL */
    struct dev *dev;
    struct model *model;
    struct lora *lora;
    struct decoder_work *work;
    struct loader loader, dev_loader;
    struct memory_plan memory;
    struct recompute again;
    uint64_t memory_used;            /* dev_bytes_taken behind the largest bin; 0: not known */
    char gradient_sum[72];           /* how: grad_team_open */
    uint32_t tune_tokens, tune_rows; /* of the largest bin */
    struct step step;
    struct train_identity id;
    struct train_state state;
    struct metrics_log metrics;
    struct progress progress;
    /* this process */
    uint64_t saved_step; /* of the latest checkpoint; 0: none */
    uint64_t steps_done, tokens_done, targets_done;
    double step_seconds, idle_seconds, last_save_s, last_eval_s;
};

/* Options that contradict each other: ERR_CONFIG. */
MUST_CHECK bool train_run_check(const struct train_job *j, struct err *e);
/* Open all; on failure call train_run_close too. A dry run stops after the memory table and touches
 * no file. Collective. */
MUST_CHECK bool train_run_open(struct train_run *r, const struct train_job *j, struct comm *c,
                               struct err *e);
void train_run_close(struct train_run *r);
/* On a device that chooses among ways to compute (dev_tunes): take the choices of this run from
 * its folder, or let rank 0 time them on the largest bin, write them there, and give them to
 * all. That bin runs on every rank before its first step, so what it would take is known to be
 * there. Collective. */
MUST_CHECK bool train_run_tune(struct train_run *r, struct err *e);
/* After a failure: a folder without any checkpoint forgets its options, so that the run may be
 * tried again with others (a lower rate, smaller bins). */
void train_run_forget(struct train_run *r);

/* Write a checkpoint of the state as it is; ranks whose state is not the same are an error.
 * Collective. */
MUST_CHECK bool train_run_save(struct train_run *r, struct err *e);
/* Go on from the newest checkpoint, or start: sets state, opens the metrics. Collective. */
MUST_CHECK bool train_run_resume(struct train_run *r, struct err *e);
/* Which state becomes the adapter? */
bool train_run_wants_best(const struct train_run *r);
/* Write the adapter with its provenance, and summary.json. Collective. */
MUST_CHECK bool train_run_export(struct train_run *r, const struct train_summary *s, struct err *e);
