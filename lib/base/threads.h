/*
 * base/threads - numbered jobs done by a few threads of this process.
 *
 * Jobs are taken in ascending order, each by whoever is free, so a job may use only what is its
 * own: its number, the worker's number (scratch memory, one set a worker) and what nobody writes.
 * A result that is stored by job number is the same for any number of threads.
 *
 * Threads live as long as the call: for jobs of a millisecond and more, not for loops inside an
 * operation (OpenMP does those in lib/compute). Nothing in a job may call comm_* or threads_run.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

enum { THREADS_MAX = 256 };

/* The processors this process may run on, shared among `sharers` processes: 1 to THREADS_MAX. */
uint32_t threads_default(uint32_t sharers);

typedef bool (*threads_job)(void *ctx, uint32_t worker, uint64_t job, struct err *e);
/* Do jobs 0 .. njobs - 1 with at most nthreads threads, the caller's among them; worker < nthreads.
 * A failing job stops the rest; *e is that of the lowest failing job, whatever the timing. Fewer
 * threads than asked for do the work where the system gives no more. */
MUST_CHECK bool threads_run(uint32_t nthreads, uint64_t njobs, threads_job fn, void *ctx,
                            struct err *e);
