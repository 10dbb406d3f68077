/*
 * base/rundir - the folder a stage works in: one live job at a time, one configuration for its
 * whole life, everything needed to say later what was done.
 *
 *     run.yaml       the stage's complete options (opt_dump of its sections)
 *     status.json    progress (base/progress)
 *     log/rank0.log  one file a rank
 *     .lock          the file stays; its lock is held while a job runs
 *
 * The same configuration continues the folder's run. A changed one is ERR_CONFIG naming the keys;
 * keys listed in `free_keys` (paths of logs, save_every, ...; a key stands for all below it) may
 * change, and run.yaml then holds the new values.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct rundir {
    const char *path; /* borrowed */
    int lock;
    int rank;
};
/* Rank 0 creates the folder, locks it, compares and writes run.yaml; other ranks only open their
 * log. free_keys: NULL-terminated or NULL. Not collective: callers comm_agree on the result
 * and only then use the folder from other ranks. */
MUST_CHECK bool rundir_open(const char *path, const char *stage, struct str options_dump,
                            const char *const *free_keys, int rank, struct rundir *out,
                            struct err *e);
void rundir_close(struct rundir *r);
