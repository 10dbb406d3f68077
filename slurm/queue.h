/*
 * slurm/queue - the jobs of a submission, as squeue has them.
 *
 * squeue burdens the controller, so slurm_look shares one answer a minute, kept as squeue.txt in
 * the submission's folder. A job that squeue does not list has ended, or its id was never given.
 */
#pragma once
#include "slurm/slurm.h"

struct queue_job {
    struct str stage, id; /* id empty: never submitted */
    uint64_t tasks;       /* of an array; 0: none */
    char state[64];       /* "RUNNING", "PENDING (Dependency)", "3 RUNNING, 1 PENDING"; empty */
};
struct queue_jobs {
    struct queue_job v[SLURM_STAGES_MAX];
    size_t n;
};

/* submission.json below `dir`. */
MUST_CHECK bool queue_load(const char *dir, struct arena *a, struct queue_jobs *out, struct err *e);
/* Ask squeue now and fill the states; without squeue they stay empty. */
MUST_CHECK bool queue_ask(struct queue_jobs *jobs, struct arena *a, struct err *e);
/* The same, but from an answer not older than a minute if there is one; age_s negative: no squeue.
 * A controller that does not answer is no error: states stay empty. */
void queue_ask_seldom(const char *dir, struct queue_jobs *jobs, struct arena *a, double *age_s);
/* Ids in the queue, separated by blanks, and their number. */
size_t queue_live(const struct queue_jobs *jobs, char *out, size_t size);
