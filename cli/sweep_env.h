/*
 * cli/sweep_env - what a sweep needs of the whole program: configurations of trials, the shards
 * they train on, the plan of their memory and cost.
 *
 * The main idea: a trial is the sweep's configuration with a few --set on top. Where it varies how
 * shards are made (shards.*, or model.base with its tokenizer), every combination gets a shards
 * folder of its own below sweep.dir, built once before any trial.
 */
#pragma once
#include "base/progress.h"
#include "cli/config.h"
#include "sweep/trial_run.h"

enum { SWEEP_KEY_BYTES = 17, SWEEP_COMBOS_MAX = 256, SWEEP_BASES_MAX = SPACE_CHOICES_MAX };

struct sweep_combo { /* of what shards are made by */
    char key[SWEEP_KEY_BYTES];
    const char *dir; /* of its shards */
    const char *const *sets;
    size_t nsets;
    bool built; /* was there when looked at: its manifest */
};
struct sweep_base {
    const char *path;
    uint8_t tokenizer[32];
};
struct sweep_env {
    struct cmd_call *call;
    struct config c;
    struct sbuf dump;
    struct space space;
    bool own_shards; /* made for the sweep; else shards.dir as it is */
    struct sweep_combo *combo;
    size_t ncombo;
    struct sweep_base base[SWEEP_BASES_MAX];
    size_t nbase;
    struct trial_env trial;
    struct model_slot slot;
    struct sweep_runner runner;
    struct sweep s;
    bool open;                /* s */
    struct progress progress; /* of a worker */
};

/* Read the configuration, check that every value of the space can be set, find the combinations.
 * Also opens the sweep's folder unless it is not there and create is false and missing_ok. */
MUST_CHECK bool sweep_env_open(struct sweep_env *v, struct cmd_call *call, bool create,
                               bool missing_ok);
void sweep_env_close(struct sweep_env *v);
/* A trial's configuration, without what is counted in its shards: they need not be there. */
MUST_CHECK bool sweep_env_plan(struct sweep_env *v, const char *const *sets, size_t n,
                               struct arena *a, struct trial_config *out, struct err *e);
/* trial_env.bind. */
bool sweep_env_bind(void *ctx, const char *const *sets, size_t n, struct arena *a,
                    struct trial_config *out, struct err *e);
/* sweep_runner.prepare: build the shards of combination i, and plan the memory of all trials on
 * them. Collective. */
bool sweep_env_prepare(void *ctx, uint64_t i, struct comm *c, struct err *e);
/* Plan the memory of every combination that matters for it, on the shards of combination i; the
 * largest goes to *bytes. Collective. */
MUST_CHECK bool sweep_env_memory(struct sweep_env *v, size_t i, struct comm *c, uint64_t *bytes,
                                 size_t *planned, struct err *e);
/* Before it is submitted: is every value possible, does every combination's memory plan fit? Says
 * to stdout what was planned; where the shards are not built yet, that the first worker does it. */
MUST_CHECK bool sweep_env_preflight(struct sweep_env *v);
/* What the sweep will do and cost, to stdout. */
MUST_CHECK bool sweep_env_cost(struct sweep_env *v);
