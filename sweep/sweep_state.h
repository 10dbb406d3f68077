/*
 * sweep/sweep_state - what all journals together say: each trial, each rung, each attempt.
 *
 * The main idea: a record sets one field of one attempt, so the state is the same whatever the
 * order in which journals are read, and a record read twice changes nothing. Of several reports of
 * one (trial, rung) only the latest attempt's counts.
 */
#pragma once
#include "sweep/rungs.h"
#include "sweep/sweep_journal.h"

enum sweep_step { SWEEP_UNTOUCHED, SWEEP_RUNNING, SWEEP_READY, SWEEP_DONE, SWEEP_FAILED };
extern const char *const sweep_step_names[];

struct sweep_attempt {
    uint8_t told; /* bit sweep_op: records there are */
    uint8_t failure;
    int64_t time; /* of the latest record */
    double gpu_s;
};
struct sweep_work_unit {
    struct sweep_attempt *a;
    size_t n, cap;
    struct sweep_result r; /* of the latest attempt that reported */
    uint32_t reported;     /* that attempt + 1 */
    uint32_t reports;      /* how many attempts reported; above 1: a worker was taken for dead */
    enum sweep_step step;
    uint64_t turn; /* decide: passed over in this turn */
};
struct sweep_trial {
    bool known;          /* point is set */
    uint64_t point_from; /* (rung, attempt) of the start record that set it */
    struct space_point point;
    bool begun;                /* the start that chose the values was read: seen is right */
    char *seen;                /* TPE: what the sampler saw; NULL: nothing */
    bool stopped;              /* median rule */
    uint64_t turn;             /* decide: could not be claimed in this turn */
    struct sweep_work_unit *u; /* [rungs], NULL until the first record */
    char error[160];           /* of the latest failure */
};
struct sweep_state {
    const struct space *space; /* borrowed */
    const struct rungs *rungs; /* borrowed */
    uint32_t retries;
    struct sweep_trial *trial;
    size_t ntrials, cap; /* all up to the highest number that was told of */
    struct sweep_work_unit *prepare;
    size_t nprepare;
    uint64_t records;
    double gpu_s; /* told of, all attempts */
    /* decide's */
    uint64_t turn, first_new;
    struct rung_entry *entries;
    double *values;
    size_t cap_entries, cap_values;
};

MUST_CHECK bool sweep_state_init(struct sweep_state *s, const struct space *space,
                                 const struct rungs *rungs, size_t nprepare, uint32_t retries,
                                 struct err *e);
void sweep_state_free(struct sweep_state *s);
/* A sweep_store_fn: ctx is the state. A record that cannot be of this sweep is skipped. */
bool sweep_state_apply(void *ctx, const struct sweep_record *r, const char *worker, struct err *e);
/* NULL: nothing is told of it. */
const struct sweep_work_unit *sweep_state_unit(const struct sweep_state *s, uint64_t trial,
                                               uint32_t rung);
/* Has the unit failed for good if attempts below n that told no end are lost? */
bool sweep_state_given_up(const struct sweep_state *s, const struct sweep_work_unit *u, size_t n);
/* Highest rung with a report, or -1. */
int sweep_state_reached(const struct sweep_state *s, uint64_t trial);
