#include "sweep/decide.h"

#include <math.h>

#include "base/mem.h"

void decide_turn(struct sweep *s)
{
    s->state.turn++;
    s->state.first_new = 0;
}

uint32_t decide_first_rung(const struct sweep *s, uint64_t trial)
{
    if (s->o->method != SWEEP_HYPERBAND) return 0;
    return rungs_bracket(&s->rungs, s->o->seed, trial);
}

double decide_share(const struct sweep *s, uint64_t trial, uint32_t rung)
{
    uint32_t first = decide_first_rung(s, trial);
    uint64_t before = rung > first ? s->rungs.resource[rung - 1] : 0;
    return (double)(s->rungs.resource[rung] - before) / (double)s->rungs.max;
}

static void choose(struct decision *out, enum decide_kind kind, uint64_t trial, uint32_t rung,
                   const struct sweep_work_unit *u)
{
    *out = (struct decision){
        .kind = kind, .unit = {.trial = trial, .rung = rung, .attempt = u ? (uint32_t)u->n : 0}};
}

static bool passed(const struct sweep *s, const struct sweep_work_unit *u)
{
    return u->turn == s->state.turn;
}

void decide_pass(struct sweep *s, const struct decision *d)
{
    struct sweep_state *st = &s->state;

    if (d->unit.prepare) {
        st->prepare[d->unit.trial].turn = st->turn;
    } else if (d->unit.trial < st->ntrials && st->trial[d->unit.trial].u) {
        st->trial[d->unit.trial].u[d->unit.rung].turn = st->turn;
    }
    if (d->fresh) st->first_new = d->unit.trial + 1;
}

/* ---- 1. preparations */

/* True: the decision is made. */
static bool prepare(struct sweep *s, struct decision *out)
{
    bool all = true;

    for (size_t i = 0; i < s->state.nprepare; i++) {
        struct sweep_work_unit *u = &s->state.prepare[i];
        if (u->step == SWEEP_DONE) continue;
        all = false;
        if (passed(s, u) || u->step == SWEEP_FAILED) continue;
        choose(out, u->step == SWEEP_RUNNING ? DECIDE_CHECK : DECIDE_DO, i, 0, u);
        out->unit.prepare = true;
        return true;
    }
    *out = (struct decision){.kind = DECIDE_WAIT};
    return !all;
}

/* ---- budgets */

struct spending {
    double steps, gpu_s;        /* told of */
    double under_way;           /* whole runs, of units that are begun and not ended */
    double shares;              /* whole runs that ended */
    double total_steps, nsteps; /* of runs whose length is known */
};

static void spend_unit(const struct sweep *s, uint64_t k, uint32_t j, struct spending *p)
{
    const struct sweep_work_unit *u = &s->state.trial[k].u[j];

    if (u->step == SWEEP_RUNNING || u->step == SWEEP_READY) p->under_way += decide_share(s, k, j);
    if (u->step != SWEEP_DONE) return;
    p->shares += decide_share(s, k, j);
    p->steps += decide_share(s, k, j) * (double)u->r.total_steps;
    p->total_steps += (double)u->r.total_steps;
    p->nsteps += u->r.total_steps > 0;
}

static bool affords(const struct sweep *s, uint64_t trial, uint32_t rung)
{
    const struct sweep_opts *o = s->o;
    struct spending p = {.gpu_s = s->state.gpu_s};

    if (o->steps == 0 && o->gpu_hours <= 0) return true;
    for (uint64_t k = 0; k < s->state.ntrials; k++)
        for (uint32_t j = 0; s->state.trial[k].u && j < s->rungs.n; j++)
            spend_unit(s, k, j, &p);
    double runs = p.under_way + decide_share(s, trial, rung);
    double run_steps = p.nsteps > 0 ? p.total_steps / p.nsteps : 0;
    double run_s = p.shares > 0 ? p.gpu_s / p.shares : 0;
    if (o->steps > 0 && p.steps + runs * run_steps > (double)o->steps) return false;
    return o->gpu_hours <= 0 || p.gpu_s + runs * run_s <= o->gpu_hours * 3600;
}

/* ---- 2. left half done; 5. running */

static bool of_step(struct sweep *s, enum sweep_step step, enum decide_kind kind,
                    struct decision *out)
{
    for (uint64_t k = 0; k < s->state.ntrials; k++) {
        const struct sweep_trial *t = &s->state.trial[k];
        for (uint32_t j = 0; t->u && j < s->rungs.n; j++) {
            if (t->u[j].step != step || passed(s, &t->u[j])) continue;
            choose(out, kind, k, j, &t->u[j]);
            return true;
        }
    }
    return false;
}

static bool any_running(const struct sweep *s)
{
    for (uint64_t k = 0; k < s->state.ntrials; k++)
        for (uint32_t j = 0; s->state.trial[k].u && j < s->rungs.n; j++)
            if (s->state.trial[k].u[j].step == SWEEP_RUNNING ||
                s->state.trial[k].u[j].step == SWEEP_READY)
                return true;
    return false;
}

/* ---- 3. the next rung */

static double value_at(const struct sweep *s, const struct sweep_work_unit *u)
{
    return u->step == SWEEP_DONE ? sweep_loss(s->o, &u->r) : (double)NAN;
}

/* All that ended rung j of the bracket that starts at `first`. */
static bool rung_entries(struct sweep *s, uint32_t j, uint32_t first, size_t *n, struct err *e)
{
    struct sweep_state *st = &s->state;

    *n = 0;
    for (uint64_t k = 0; k < st->ntrials; k++) {
        const struct sweep_trial *t = &st->trial[k];
        if (!t->u || (t->u[j].step != SWEEP_DONE && t->u[j].step != SWEEP_FAILED)) continue;
        if (decide_first_rung(s, k) != first) continue;
        if (!mem_grow((void **)&st->entries, &st->cap_entries, *n + 1, sizeof *st->entries, e))
            return false;
        st->entries[(*n)++] = (struct rung_entry){k, value_at(s, &t->u[j]),
                                                  t->u[j + 1].n > 0 || passed(s, &t->u[j + 1])};
    }
    return true;
}

static bool promote(struct sweep *s, struct decision *out, bool *found, struct err *e)
{
    uint32_t brackets = s->o->method == SWEEP_HYPERBAND ? s->rungs.n : 1;
    size_t n;

    *found = false;
    for (uint32_t j = s->rungs.n - 1; j-- > 0;) {
        for (uint32_t first = 0; first < brackets && first <= j; first++) {
            if (!rung_entries(s, j, first, &n, e)) return false;
            size_t i = rungs_promote(s->state.entries, n, s->rungs.eta);
            if (i == SIZE_MAX) continue;
            choose(out, DECIDE_DO, s->state.entries[i].trial, j + 1, NULL);
            *found = true;
            return true;
        }
    }
    return true;
}

bool decide_stops(struct sweep *s, const struct sweep_unit *u, bool *stop, struct err *e)
{
    struct sweep_state *st = &s->state;
    double best = (double)NAN;
    size_t n = 0;

    *stop = false;
    if (s->o->method != SWEEP_MEDIAN || u->prepare || u->rung == 0) return true;
    if (st->trial[u->trial].u[u->rung].n > 0) return true; /* begun before: it was let go on */
    for (uint32_t i = 0; i < u->rung; i++) {
        double v = value_at(s, &st->trial[u->trial].u[i]);
        if (!(v >= best)) best = v;
    }
    for (uint64_t k = 0; k < st->ntrials; k++) {
        const struct sweep_work_unit *at = sweep_state_unit(st, k, u->rung - 1);
        if (k == u->trial || !at || at->step != SWEEP_DONE) continue;
        if (!mem_grow((void **)&st->values, &st->cap_values, n + 1, sizeof *st->values, e))
            return false;
        st->values[n++] = value_at(s, at);
    }
    *stop = rungs_median_stop(best, st->values, n, s->o->startup);
    return true;
}

/* Median rule: any trial with a next rung. */
static bool go_on(struct sweep *s, struct decision *out)
{
    for (uint64_t k = 0; k < s->state.ntrials; k++) {
        const struct sweep_trial *t = &s->state.trial[k];
        for (uint32_t j = 0; t->u && !t->stopped && j + 1 < s->rungs.n; j++) {
            if (t->u[j].step != SWEEP_DONE || t->u[j + 1].n > 0 || passed(s, &t->u[j + 1]))
                continue;
            choose(out, DECIDE_DO, k, j + 1, NULL);
            return true;
        }
    }
    return false;
}

static bool next_rung(struct sweep *s, struct decision *out, bool *found, struct err *e)
{
    *found = false;
    if (s->rungs.n < 2) return true;
    if (s->o->method != SWEEP_MEDIAN) return promote(s, out, found, e);
    *found = go_on(s, out);
    return true;
}

/* ---- 4. a new trial */

static bool new_trial(struct sweep *s, struct decision *out)
{
    struct sweep_state *st = &s->state;

    while (st->first_new < st->ntrials && st->trial[st->first_new].known)
        st->first_new++;
    if (st->first_new >= s->limit) return false;
    choose(out, DECIDE_DO, st->first_new, decide_first_rung(s, st->first_new), NULL);
    out->fresh = true;
    return true;
}

/* A trial whose values are not told yet, claimed by somebody: its worker may be gone. */
static bool any_untold(const struct sweep *s)
{
    for (uint64_t k = 0; k < s->state.ntrials && k < s->limit; k++)
        if (!s->state.trial[k].known) return true;
    return s->state.ntrials < s->limit;
}

bool decide_next(struct sweep *s, bool check, struct decision *out, struct err *e)
{
    bool found;

    if (prepare(s, out)) return true;
    if (of_step(s, SWEEP_READY, DECIDE_DO, out)) return true;
    if (check && of_step(s, SWEEP_RUNNING, DECIDE_CHECK, out)) return true;
    if (!next_rung(s, out, &found, e)) return false;
    if (found && affords(s, out->unit.trial, out->unit.rung)) return true;
    bool broke = found; /* what is most worth doing cannot be paid: the rest neither */
    if (!broke && new_trial(s, out)) {
        if (affords(s, out->unit.trial, out->unit.rung)) return true;
        broke = true;
    }
    if (of_step(s, SWEEP_RUNNING, DECIDE_CHECK, out)) return true;
    bool wait = any_running(s) || (!broke && any_untold(s));
    *out = (struct decision){.kind = wait ? DECIDE_WAIT : DECIDE_END};
    return true;
}
