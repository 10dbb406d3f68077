/*
 * sweep/sweep - hyperparameter sweeps: many trials of one configuration, on any number of workers
 * that share a folder. Its driver and its options.
 *
 *     configuration + sweep.params -> trials (values for some keys) -> rungs (shares of a run)
 *                                  -> scores -> the best, a report
 *
 * The main idea: a worker looks at what all journals say (sweep_store), decides what is worth doing
 * next (decide), claims it, and does it by a callback: how a trial is trained is the caller's
 * affair (trial_run does it with train, generate and evaluate). Workers may come, go, be killed at
 * any moment; nobody waits for a batch. Trial k of grid and random is a function of (seed, k), so
 * the same trials come out for any number of workers; TPE notes what it saw, so that each
 * suggestion can be computed again.
 *
 * A trial that was stopped, preempted or killed goes on from its own checkpoint, as the same trial.
 * A trial promoted to the next rung too.
 *
 * What it does not do: start workers or talk to SLURM (cli and slurm do).
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "sweep/rungs.h"
#include "sweep/sweep_journal.h"
#include "sweep/sweep_state.h"
#include "sweep/sweep_store.h"

struct sweep_goal {
    int metric; /* enum sweep_metric */
    int mode;   /* enum sweep_mode */
};
enum sweep_mode { SWEEP_MODE_AUTO, SWEEP_MIN, SWEEP_MAX };
enum sweep_method {
    SWEEP_GRID,
    SWEEP_RANDOM,
    SWEEP_TPE,
    SWEEP_ASHA,
    SWEEP_HYPERBAND,
    SWEEP_MEDIAN
};
enum sweep_sampler { SWEEP_SAMPLE_RANDOM, SWEEP_SAMPLE_TPE };

struct sweep_opts {
    const char *dir;
    int method;  /* enum sweep_method */
    int sampler; /* enum sweep_sampler: of asha, hyperband, median */
    uint64_t trials, steps;
    double gpu_hours;
    struct sweep_goal goal;
    const struct opt_node *params;
    uint64_t seed;
    uint64_t min, max;
    uint32_t eta, startup, retries, workers;
    double lease_min;
    bool generate;
    double tokens_per_s;
};
extern const struct opt sweep_table[]; /* section "sweep" */

/* What sweep_open makes of options: the space, the rungs, what workers agree on. */
struct sweep {
    const struct sweep_opts *o;
    struct space space;
    struct rungs rungs;
    struct space_point *grid; /* NULL unless the method is grid */
    uint64_t limit;           /* trials, at most */
    struct str config;        /* all sections, as the sweep was begun */
    struct sweep_store *store;
    struct sweep_state state;
    struct arena arena;
};

/* How to do things; ctx is the caller's. */
struct sweep_runner {
    void *ctx;
    uint64_t nprepare; /* jobs before all trials; each is done once */
    bool (*prepare)(void *ctx, uint64_t i, struct comm *c, struct err *e);
    /* Train the trial to rungs_steps(rung), going on from its checkpoint. ERR_STOPPED: asked to
     * stop, saved. Collective. */
    bool (*trial)(void *ctx, const struct sweep *s, const struct sweep_unit *u,
                  const struct space_point *p, struct sweep_result *out, struct comm *c,
                  struct err *e);
    struct sweep_jobs jobs;
    /* The configuration as this program writes it, in the arena: keys that another version did not
     * know stand at their defaults. NULL: as it is. */
    bool (*settle)(void *ctx, struct str config, struct arena *a, struct str *out, struct err *e);
    const char *job; /* of this worker, for its card; NULL: none */
    double poll_s;   /* how long to wait when others must finish first */
    void (*progress)(void *ctx, const struct sweep *s); /* after each change; NULL: none */
};

/* Read options and journals. config: the whole configuration as YAML (opt_dump), kept in
 * sweep.json; another one that began the same folder is ERR_CONFIG naming the keys. A sweep that an
 * older radmill began goes on: what it did not know counts as left out. create: make the folder
 * when it is not there. */
MUST_CHECK bool sweep_open(const struct sweep_opts *o, struct str config,
                           const struct sweep_runner *r, bool create, struct sweep *out,
                           struct err *e);
/* Only the space, the rungs and the grid, without a folder (dry runs): into out->arena, which the
 * caller initialised and frees. */
MUST_CHECK bool sweep_lay_out(const struct sweep_opts *o, struct sweep *out, struct err *e);
void sweep_close(struct sweep *s);
/* Read what is new in the journals. */
MUST_CHECK bool sweep_refresh(struct sweep *s, struct err *e);

/* Be a worker until there is nothing left to do, or asked to stop (ERR_STOPPED; stop_request, or a
 * file named STOP in sweep.dir). Collective: rank 0 decides, all train. */
MUST_CHECK bool sweep_work(struct sweep *s, const struct sweep_runner *r, struct comm *c,
                           struct err *e);

/* How far the sweep is. */
struct sweep_tally {
    uint64_t begun, ended; /* ended: nothing of it runs or waits */
    uint64_t running, waiting, failed, stopped;
    uint64_t at[RUNGS_MAX]; /* trials that ended the rung */
    bool has_best;
    uint64_t best; /* trial */
    double best_value;
};
struct sweep_tally sweep_tally(const struct sweep *s);
/* Trials with a score, best first: farther rungs first, then by score. In the arena. */
MUST_CHECK bool sweep_ranking(const struct sweep *s, struct arena *a, uint64_t **order, size_t *n,
                              struct err *e);
const char *sweep_method_name(const struct sweep_opts *o);
/* Folder of a trial, below sweep.dir, in the arena. */
MUST_CHECK bool sweep_trial_dir(const struct sweep_opts *o, uint64_t trial, struct arena *a,
                                const char **out, struct err *e);
/* The value that is compared: lower is better, NaN when there is none. */
double sweep_loss(const struct sweep_opts *o, const struct sweep_result *r);
/* Compute each TPE suggestion again from what its worker saw: how many there are, how many come out
 * the same. */
MUST_CHECK bool sweep_replay(const struct sweep *s, uint64_t *all, uint64_t *same, struct err *e);
