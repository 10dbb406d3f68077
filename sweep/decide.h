/*
 * sweep/decide - given what is known, what is worth doing next? No files, no clock: the same state
 * gives the same answer.
 *
 *     1. preparations, and nothing else before all of them are done
 *     2. what was left half done (released, or failed in a way that may pass)
 *     3. the next rung of a trial: highest rung first (ASHA, Hyperband), or of any trial that the
 *        median rule has not stopped
 *     4. a new trial
 *     5. what is running, in case its worker is gone
 *
 * A decision that could not be claimed is passed over (decide_pass) until the next turn.
 *
 * The budgets in steps and GPU-hours stop 3 and 4 once what was spent and what is under way, taken
 * at the mean cost so far, leaves too little for one more. Workers decide at the same time, so a
 * budget can be passed by one rung a worker at most.
 */
#pragma once
#include "sweep/sweep.h"

enum decide_kind {
    DECIDE_DO,    /* claim the unit */
    DECIDE_CHECK, /* it is running: is its worker gone? Then claim it */
    DECIDE_WAIT,  /* others must finish first */
    DECIDE_END    /* nothing is left to do */
};
struct decision {
    enum decide_kind kind;
    struct sweep_unit unit; /* attempt: the next to claim */
    bool fresh;             /* the first rung of a trial that has no values yet */
};

/* New facts: what was passed over may be looked at again. */
void decide_turn(struct sweep *s);
/* check: look at 5 right after 2. */
MUST_CHECK bool decide_next(struct sweep *s, bool check, struct decision *out, struct err *e);
void decide_pass(struct sweep *s, const struct decision *d);
/* Does the median rule end the trial instead of this rung, which is claimed but not begun? Asked by
 * the one who holds the claim, so that nobody decides otherwise at the same time. */
MUST_CHECK bool decide_stops(struct sweep *s, const struct sweep_unit *u, bool *stop,
                             struct err *e);
/* First rung of a trial. */
uint32_t decide_first_rung(const struct sweep *s, uint64_t trial);
/* Share of a whole run between the rung before (or the start) and this one. */
double decide_share(const struct sweep *s, uint64_t trial, uint32_t rung);
