/*
 * sweep/sweep_facts - all that the report shows, as JSON: space, trials, curves, importance.
 */
#pragma once
#include "sweep/sweep.h"

MUST_CHECK bool sweep_facts(const struct sweep *s, struct sbuf *b, struct err *e);
/* "done", "paused at a rung", ... of a trial. */
const char *sweep_trial_state(const struct sweep *s, uint64_t trial);
/* GPU-seconds of all attempts of a trial. */
double sweep_trial_gpu_s(const struct sweep *s, uint64_t trial);
