/*
 * slurm/render - the text of a job script, from its options: a pure function, no file, no clock.
 */
#pragma once
#include "slurm/slurm.h"

/* "4:00:00" and its kin in seconds, rounded up to SLURM's minutes; ERR_CONFIG naming `what`. */
MUST_CHECK bool render_time(const char *what, struct str s, uint64_t *out, struct err *e);
/* Options that cannot be right, or would break out of their line. */
MUST_CHECK bool render_check(const struct slurm_job *j, struct err *e);
/* The script of job j of the submission in dir. */
MUST_CHECK bool render_script(const struct slurm_request *q, const struct slurm_job *j,
                              const char *dir, struct sbuf *b, struct err *e);
