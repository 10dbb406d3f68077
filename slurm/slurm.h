/*
 * slurm/slurm - stages as SLURM jobs: readable scripts, a chain of dependencies, restarts that end.
 *
 *     slurm.dir/001/config.yaml           the configuration as submitted; all its jobs read it
 *                   submission.json       stages, job ids, scripts, folders
 *                   train.sh              one script a stage
 *                   train.log             its output, appended by every restart
 *                   train.journal.jsonl   its attempts: begin and end (slurm/job_log.h)
 *                   train.result.json     how the latest attempt ended, written by the program
 *
 * The main idea: a job script holds no policy. It notes the attempt (`radmill job begin`), runs the
 * stage under the launcher, passes signals on, and asks `radmill job end` what to do: done, go back
 * into the queue, or fail. That decision trusts the state the stage saved, not the launcher's exit
 * code, and every restart must bring saved progress or one of `slurm.retries` is used up.
 *
 * Submitting asks sbatch, status asks squeue; sacct is never needed. Nothing here starts MPI. It
 * does not poll: SLURM's own dependencies chain the stages.
 *
 * Limits: SLURM 20.11 or later (--kill-on-invalid-dep, --gpus). Folder names with a backslash or a
 * control character are refused, because sbatch gives a backslash in --output a meaning of its own.
 */
#pragma once
#include "base/opt.h"

enum { SLURM_STAGES_MAX = 16, SLURM_ID_BYTES = 32 };
enum slurm_signal { SLURM_USR1, SLURM_USR2 };

struct slurm_opts {
    const char *dir, *program, *job_name;
    const char *partition, *account, *qos, *constraint, *memory, *time, *gres, *launcher;
    const char *prologue, *container;
    uint32_t nodes, ranks_per_node, gpus_per_node, cpus_per_rank;
    struct opt_strs modules, exclude, extra;
    bool share_gpus, requeue;
    uint32_t retries, grace_s;
    double hang_minutes;
    int signal; /* enum slurm_signal */
    uint32_t workers;
    const struct opt_node *stages; /* overrides by stage */
};
extern const struct opt slurm_table[];

/* ---- submitting */
struct slurm_stage {
    const char *name;    /* "train": also the subcommand */
    const char *command; /* words behind the program instead of `name CONFIG`; NULL: those */
    const char *dir;     /* where its status.json lies; NULL: it has none */
    bool ranks;          /* uses MPI; others run as one process on one node */
};
struct slurm_request {
    const struct slurm_opts *opts;
    const struct slurm_stage *stages;
    size_t nstages;
    const char *title;   /* the configuration file, for comments */
    const char *program; /* what runs on the nodes, unless slurm.program says otherwise */
    const char *version;
    struct str config; /* the complete configuration */
};
struct slurm_job {
    const struct slurm_stage *stage;
    struct slurm_opts o; /* slurm_stage_opts */
    uint64_t limit_s;    /* the time limit of one run */
    double gpu_hours;    /* of one run up to its limit */
    const char *script_path;
    struct str script;
    char id[SLURM_ID_BYTES]; /* once submitted */
};
struct slurm_plan {
    const char *dir; /* slurm.dir/NNN */
    uint32_t number;
    struct slurm_job jobs[SLURM_STAGES_MAX];
    size_t njobs;
};
/* Apply overrides, check all values, render the scripts. Everything lives in the arena; nothing is
 * written. An unknown stage below slurm.stages, or one that asks for no node, is ERR_CONFIG. */
MUST_CHECK bool slurm_plan(const struct slurm_request *q, struct arena *a, struct slurm_plan *out,
                           struct err *e);
/* Stages, resources and worst-case GPU-hours as a table. */
MUST_CHECK bool slurm_plan_table(const struct slurm_plan *p, struct sbuf *b, struct err *e);
/* What `sbatch --test-only` says of every script, appended to b; a script it refuses is ERR_CONFIG
 * with its words. Without sbatch on this machine that is said instead. */
MUST_CHECK bool slurm_test_only(const struct slurm_plan *p, struct sbuf *b, struct err *e);
/* Write the folder and submit the chain; ids end up in p->jobs. When one is refused, those already
 * submitted are cancelled. Refused while jobs of the previous submission are in the queue. */
MUST_CHECK bool slurm_submit(struct slurm_plan *p, const struct slurm_request *q, struct arena *a,
                             struct err *e);

/* The options of one stage: overrides applied, GPUs and ranks settled. Of s, name and ranks are
 * looked at. */
MUST_CHECK bool slurm_stage_opts(const struct slurm_opts *o, const struct slurm_stage *s,
                                 struct arena *a, struct slurm_opts *out, struct err *e);

/* slurm.hang_minutes of a stage, overrides applied. */
MUST_CHECK bool slurm_stage_hang(const struct slurm_opts *o, const char *stage, struct arena *a,
                                 double *minutes, struct err *e);

/* ---- inside a job: what the scripts ask */
struct slurm_attempt {
    const struct slurm_opts *opts; /* slurm_stage_opts */
    const char *dir;               /* slurm.dir/NNN */
    const char *name;              /* of its files: the stage, in an array with -TASK */
    const char *status_dir;        /* where status.json lies; NULL: none */
    const char *job;               /* id, with _TASK in an array */
    uint64_t restart;              /* SLURM_RESTART_COUNT */
    const char *nodes;             /* names, separated by blanks */
};
enum slurm_verdict { SLURM_DONE, SLURM_REQUEUE, SLURM_FAIL };
/* Note that an attempt begins. ERR_LIMIT when slurm.retries restarts in a row saved nothing. */
MUST_CHECK bool slurm_attempt_begin(const struct slurm_attempt *t, struct err *e);
/* Decide, note it, and put the nodes to avoid (comma-separated, may be empty) into b. `code` is the
 * launcher's. reason says what was found, in one line. */
MUST_CHECK bool slurm_attempt_end(const struct slurm_attempt *t, int code,
                                  enum slurm_verdict *verdict, struct sbuf *avoid,
                                  struct sbuf *reason, struct err *e);
/* How the program itself ended, for slurm_attempt_end: cli/main writes it last. */
MUST_CHECK bool slurm_result_write(const char *path, int exit_code, const struct err *how,
                                   struct err *e);

/* ---- looking */
struct slurm_watch {
    const char *stage;
    char id[SLURM_ID_BYTES];
    uint32_t attempts, restarts; /* restarts: attempts after the first */
    char queue[64];              /* squeue's state and reason; empty: not in the queue or unknown */
    char last[16];               /* verdict of the latest end: done, requeue, failed; or running */
    const char *error;           /* of the latest attempt that had one; NULL */
};
/* The newest submission below dir (a slurm.dir), NULL when there is none. */
MUST_CHECK bool slurm_latest(const char *dir, struct arena *a, const char **out, struct err *e);
/* Stages of a submission, as its journals and squeue have them. squeue is asked at most once a
 * minute a submission, by whomever; asked is how old the answer is, in seconds; negative: none. */
MUST_CHECK bool slurm_look(const char *submission, struct arena *a, struct slurm_watch *out,
                           size_t *count, double *asked, struct err *e);
/* Does squeue list this job, "1234" or "1234_5"? *known false: no squeue, or it does not answer. */
bool slurm_lists(const char *job, bool *known);
