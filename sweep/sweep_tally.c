/* Counting and ranking of trials (sweep.h). */
#include <math.h>
#include <stdlib.h>

#include "sweep/sweep.h"

struct place {
    uint64_t trial;
    int rung;
    double loss;
};

static int by_merit(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->rung != y->rung) return x->rung > y->rung ? -1 : 1;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

/* False: it has no score. */
static bool place_of(const struct sweep *s, uint64_t k, struct place *out)
{
    int rung = sweep_state_reached(&s->state, k);

    if (rung < 0 || !s->state.trial[k].known) return false;
    const struct sweep_work_unit *u = sweep_state_unit(&s->state, k, (uint32_t)rung);
    *out = (struct place){k, rung, sweep_loss(s->o, &u->r)};
    return isfinite(out->loss);
}

bool sweep_ranking(const struct sweep *s, struct arena *a, uint64_t **order, size_t *n,
                   struct err *e)
{
    struct place *v = arena_alloc(a, (s->state.ntrials + 1) * sizeof *v, e);

    *n = 0;
    if (!v) return false;
    for (uint64_t k = 0; k < s->state.ntrials; k++)
        if (place_of(s, k, &v[*n])) ++*n;
    qsort(v, *n, sizeof *v, by_merit);
    *order = arena_alloc(a, (*n + 1) * sizeof **order, e);
    if (!*order) return false;
    for (size_t i = 0; i < *n; i++)
        (*order)[i] = v[i].trial;
    return true;
}

static void count_trial(const struct sweep *s, uint64_t k, struct sweep_tally *t)
{
    const struct sweep_trial *trial = &s->state.trial[k];
    bool running = false, waiting = false, failed = false;

    for (uint32_t j = 0; trial->u && j < s->rungs.n; j++) {
        running |= trial->u[j].step == SWEEP_RUNNING;
        waiting |= trial->u[j].step == SWEEP_READY;
        failed |= trial->u[j].step == SWEEP_FAILED;
        t->at[j] += trial->u[j].step == SWEEP_DONE;
    }
    t->begun += trial->known;
    t->running += running;
    t->waiting += waiting;
    t->failed += failed;
    t->stopped += trial->stopped;
    t->ended += trial->known && !running && !waiting;
}

struct sweep_tally sweep_tally(const struct sweep *s)
{
    struct sweep_tally t = {.begun = 0};
    struct place best = {.rung = -1}, at;

    for (uint64_t k = 0; k < s->state.ntrials; k++) {
        count_trial(s, k, &t);
        if (!place_of(s, k, &at) || (t.has_best && by_merit(&at, &best) > 0)) continue;
        best = at;
        t.has_best = true;
    }
    if (!t.has_best) return t;
    t.best = best.trial;
    t.best_value =
        sweep_state_unit(&s->state, best.trial, (uint32_t)best.rung)->r.value[s->o->goal.metric];
    return t;
}
