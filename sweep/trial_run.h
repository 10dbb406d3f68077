/*
 * sweep/trial_run - a trial as it really is: train to the rung, going on from the trial's own
 * checkpoint; at the end of the run, if asked, generate the dev split and score it.
 *
 *     trials/00012/run/      train.dir: checkpoints, metrics.jsonl, in the end the adapter
 *     trials/00012/pairs/    generate.dir
 *     trials/00012/report/   evaluate.dir
 *
 * The schedule of the learning rate is that of the whole run at every rung, so a trial that is
 * promoted is the trial that would have run through. The score at a rung is the dev loss at that
 * step; at the end it is that of the state that becomes the adapter. Answers are generated at the
 * end alone: there is no adapter before, and generating the dev split at every rung would cost more
 * than the training it judges. So ROUGE-L is no goal for methods with rungs (sweep_open refuses).
 *
 * Only the dev split is ever scored: values chosen on the test split would spoil it.
 */
#pragma once
#include "evaluate/evaluate.h"
#include "generate/generate.h"
#include "sweep/sweep.h"
#include "train/train.h"

/* The sections of one trial's configuration. */
struct trial_config {
    struct train_opts train;
    struct lora_opts lora;
    struct model_opts model;
    struct generate_opts generate; /* split: dev */
    struct evaluate_opts evaluate;
    const char *shards_dir;
    struct opt_strs modality;
    uint8_t tokenizer_digest[32];
    double tokens_per_byte; /* target tokens of the dev split / bytes of their text; NaN: unknown */
};
struct trial_env { /* ctx of trial_run */
    void *ctx;
    /* The configuration with these values ("key=value") set; strings live in the arena. */
    bool (*bind)(void *ctx, const char *const *sets, size_t n, struct arena *a,
                 struct trial_config *out, struct err *e);
    struct model_slot *slot; /* keeps the base model between trials; may be NULL */
    const char *version, *commit;
};

/* Options that no trial of a sweep can have; ERR_CONFIG. */
MUST_CHECK bool trial_check(const struct sweep_opts *o, const struct trial_config *c,
                            struct err *e);
/* What a trial is to train: train.dir and all are set below `dir`. Borrows c. */
MUST_CHECK bool trial_job(struct trial_config *c, const struct trial_env *env, const char *dir,
                          struct arena *a, struct train_job *out, struct err *e);
/* sweep_runner.trial; ctx is a struct trial_env. Collective. */
bool trial_run(void *ctx, const struct sweep *s, const struct sweep_unit *u,
               const struct space_point *p, struct sweep_result *out, struct comm *c,
               struct err *e);
