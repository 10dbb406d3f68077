/*
 * slurm/spawn - run sbatch, squeue, scancel: no shell, output caught, an end to waiting.
 *
 * A controller that does not answer makes SLURM's commands wait for minutes; past limit_s the
 * command is killed and that is the error. Not for processes that started MPI.
 */
#pragma once
#include "base/str.h"

struct spawn_result {
    bool found; /* false: no such program, nothing was run */
    int code;   /* exit status, or 128 + signal */
    struct sbuf out, err;
};
enum { SPAWN_OUTPUT_MAX = 1 << 20 };

/* argv ends with NULL; argv[0] is looked up in PATH; input is what it reads. More than
 * SPAWN_OUTPUT_MAX bytes of output are cut. spawn_free either way. */
MUST_CHECK bool spawn_run(const char *const *argv, struct str input, double limit_s,
                          struct spawn_result *out, struct err *e);
void spawn_free(struct spawn_result *r);
