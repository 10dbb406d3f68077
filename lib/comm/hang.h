/*
 * comm/hang - a rank that sees no sign of life for too long ends the job with its reason.
 *
 * Rank k waits for ever for a rank that is stopped, swapped out or stuck in a driver; so would the
 * job, until its time limit. Signs of life are this rank's own work (hang_alive) and every
 * collective it gets out of. A thread counts the time since the last one; past the limit it makes
 * the error and hands it to the function that cli gave, which says it and ends the process with
 * HANG_EXIT; the launcher then ends the other ranks (srun -K, mpirun). Rank 0 speaks first, so that
 * there is one error; higher ranks follow half a second later each, in case rank 0 is the one that
 * hangs.
 *
 * Time in which the whole process stood still (scontrol suspend, a laptop's lid) is not counted. It
 * does not find out which rank hangs: those that wait all see the same.
 */
#pragma once
#include "base/err.h"

enum { HANG_EXIT = 124 }; /* as timeout(1) */

/* What ends the process; it must not return. Before hang_watch; without it, a line of the log. */
void hang_handler(void (*ended)(const struct err *e));
/* Start watching; limit_s 0: do nothing. One watch at a time. */
MUST_CHECK bool hang_watch(double limit_s, int rank, struct err *e);
/* A sign of life: `what` is a literal ("step"), n its number. Cheap; without a watch nothing. */
void hang_alive(const char *what, unsigned long long n);
/* Stop watching. */
void hang_release(void);

/* comm.c: into a collective, out of it. */
void hang_wait_begin(void);
void hang_wait_end(void);
