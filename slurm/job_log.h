/*
 * slurm/job_log - the attempts of one job, one JSON line each, written by the job itself.
 *
 *     {"event":"begin","time":1790000000,"job":"12","restart":1,"nodes":["n1","n2"],
 *      "saved":24,"log":10240}
 *     {"event":"end","time":1790000400,"job":"12","code":143,"exit":-1,"saved":30,
 *      "verdict":"requeue","error":"...","bad":["n2"]}
 *
 * One writer at a time (a job runs once), so lines do not mix; a torn last line of a killed writer
 * is cut off by the next. A line that cannot be read is skipped: it costs that attempt's figures.
 * saved counts the stage's units (steps, reports) that survive a restart; exit is the program's own
 * code, -1 when it could not say; log is the size of the log when the attempt began.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

enum { JOB_LOG_BAD_MAX = 64, JOB_LOG_MAX_BYTES = 16 << 20 };

struct job_log {
    uint32_t attempts; /* of the job asked for */
    uint32_t idle;  /* of its latest attempts, how many began at the same saved state, less one */
    uint64_t saved; /* at the latest begin */
    uint64_t log;
    bool running;       /* begun, not ended */
    struct str verdict; /* of the latest end; empty */
    struct str error;   /* of the latest end that had one; empty */
    uint64_t error_saved;
    struct str bad[JOB_LOG_BAD_MAX]; /* nodes to avoid */
    size_t nbad;
};

/* Read the attempts of `job`, or of the latest job when NULL; a missing file has none. Text lives
 * in the arena. */
MUST_CHECK bool job_log_read(const char *path, const char *job, struct arena *a,
                             struct job_log *out, struct err *e);

/* The same of a journal's text. */
MUST_CHECK bool job_log_parse(struct str text, const char *job, struct arena *a,
                              struct job_log *out, struct err *e);

struct job_log_begin {
    const char *job, *nodes; /* nodes separated by blanks */
    uint64_t restart, saved, log;
};
MUST_CHECK bool job_log_put_begin(const char *path, const struct job_log_begin *b, struct err *e);

struct job_log_end {
    const char *job, *verdict;
    int code, exit;
    uint64_t saved;
    const char *error; /* NULL: none */
    const char *bad;   /* a node; NULL: none */
};
MUST_CHECK bool job_log_put_end(const char *path, const struct job_log_end *r, struct err *e);
