/*
 * tests/train/trial - one call of train_run on the kit's model and shards, for cmocka tests.
 */
#pragma once
#include "train/kit.h"

struct trial { /* filled by trial_init, changed by the test, run by trial_go */
    struct train_opts t;
    struct lora_opts l;
    struct model_opts m;
    struct train_job job;
    struct train_summary s;
    struct err e;
    char dir[600];
};

/* Group set-up: model and shards in a fresh folder, one rank. The paths and the rank, for tests. */
int trial_setup(void **state);
int trial_teardown(void **state);
extern char trial_model[600], trial_shards[600];
extern struct comm *trial_comm;

/* Run folder `name` in the test's folder. x must not move afterwards. */
void trial_init(struct trial *x, const char *name);
bool trial_go(struct trial *x);
/* The test fails unless it ends well; unless it fails with this code and text. */
void trial_must(struct trial *x);
void trial_refused(struct trial *x, enum err_code code, const char *text);
/* Stopped and saved after so many steps. */
void trial_stop_after(struct trial *x, uint64_t steps);
/* "<run folder>/name", one of 8 rotating buffers. */
const char *trial_file(const struct trial *x, const char *name);
/* The adapters have the same bytes. */
void trial_same(const struct trial *a, const struct trial *b);
