/*
 * sweep/suggest - the values of a new trial, by the sampler of the sweep; and the proof that they
 * are what the journal says.
 *
 * Grid and random need only the trial's number. TPE notes what it saw in few words, a run of trials
 * with the rung each had ended: "0-7:2,8:0,9:f,10-13:-" (f failed, - under way).
 */
#pragma once
#include "sweep/sweep.h"

bool suggest_is_tpe(const struct sweep_opts *o);
/* seen: cleared, filled for TPE. */
MUST_CHECK bool suggest_point(const struct sweep *s, uint64_t trial, struct space_point *out,
                              struct sbuf *seen, struct err *e);
/* The point that comes of this note; ERR_FORMAT when it names what the state does not hold. */
MUST_CHECK bool suggest_again(const struct sweep *s, uint64_t trial, struct str seen,
                              struct space_point *out, struct err *e);
