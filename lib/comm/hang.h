/*
 * comm/hang - a job in which a rank hangs ends within a limit, and says which rank it was.
 *
 * Ranks wait for ever for one that is stopped, swapped out or stuck in a driver or a dead file
 * server; so would the job, until its time limit. A thread of each rank counts the time since the
 * last sign of life (base/pulse, and every collective the rank gets out of). Past the limit it
 * looks which rank it is, makes the error and hands it to the function that cli gave, which says it
 * and ends the process with HANG_EXIT; the launcher then ends the other ranks (srun -K, mpirun).
 * Rank 0 speaks first, so that there is one error; higher ranks follow two seconds later each, in
 * case rank 0 is the one that hangs.
 *
 * Which rank: a second thread leaves a line ten times a limit in a folder that all ranks see
 * (comm/hang_signs.h). While some rank still works, those that wait for it go on waiting, however
 * long it takes.
 *
 * Time in which the whole process stood still (scontrol suspend, a laptop's lid) is not counted.
 * cli starts the watch for every stage that uses ranks (config_watch), sweep for each trial; a
 * stage has nothing to do but to beat.
 */
#pragma once
#include "base/err.h"
#include "comm/comm.h"

enum { HANG_EXIT = 124 }; /* as timeout(1) */

struct hang_opts {
    double limit_s;    /* 0: no watch */
    const char *stage; /* for the error */
    const char *dir;   /* of the stage; NULL or unreadable: nobody finds out which rank it is */
};

/* What ends the process; it must not return. e->rank is the rank that hangs (the first of several
 * of one node), -1: not known, or several of more than one node. Before hang_watch; without it, a
 * line of the log. */
void hang_handler(void (*ended)(const struct err *e));
/* Start watching. One watch at a time. Collective. */
MUST_CHECK bool hang_watch(struct comm *c, const struct hang_opts *o, struct err *e);
/* Stop watching. */
void hang_release(void);

/* comm.c: into a collective, out of it. */
void hang_wait_begin(void);
void hang_wait_end(void);
