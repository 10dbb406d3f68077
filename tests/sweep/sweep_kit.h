/*
 * tests/sweep/sweep_kit - sweeps whose trials are a formula: options from YAML text, a fake runner, workers as
 * child processes.
 *
 * The fake trial keeps a "checkpoint" (the rung it reached) in its folder, so that promotion and resumption can
 * be seen; its loss falls with the rung and has one best point.
 */
#pragma once
#include "base/base_test.h"
#include "sweep/sweep.h"

struct kit {
    struct arena arena;
    struct sweep_opts opts;
    char config[8192];
    struct sweep_runner runner;
    unsigned naps_us; /* a trial takes this long */
    unsigned
        die_in; /* a trial is killed (-9) with this chance in 1000, before or after its checkpoint */
    uint64_t dice;            /* state of that chance, by worker */
    unsigned trials, resumed; /* done in this process; of them from a checkpoint */
};
/* Options of "sweep: {...}" with dir = testdir/name. */
void kit_make(struct kit *k, const char *name, const char *yaml);
void kit_free(struct kit *k);
void kit_open(struct kit *k, struct sweep *s);
/* Work in this process until done. */
void kit_work(struct kit *k, struct sweep *s);
/* Start a worker process. */
pid_t kit_fork(struct kit *k, unsigned number);
/* Start n workers; those that are killed by their own dice are replaced; returns how many were killed. */
unsigned kit_run(struct kit *k, unsigned n);
double kit_loss(const struct sweep *s, const struct space_point *p, uint32_t rung);
