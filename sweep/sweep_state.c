#include "sweep/sweep_state.h"

#include <stdio.h>

#include "base/mem.h"

enum { ATTEMPTS_MAX = 10000, PREEMPTED_MAX = 1000, TRIALS_MAX = 1000000 };

const char *const sweep_step_names[] = {"untouched", "running", "ready", "done", "failed"};

bool sweep_state_init(struct sweep_state *s, const struct space *space, const struct rungs *rungs,
                      size_t nprepare, uint32_t retries, struct err *e)
{
    *s = (struct sweep_state){.space = space, .rungs = rungs, .retries = retries};
    if (nprepare == 0) return true;
    s->prepare = mem_calloc(nprepare, sizeof *s->prepare, e);
    s->nprepare = s->prepare ? nprepare : 0;
    return s->prepare != NULL;
}

static void free_units(struct sweep_work_unit *u, size_t n)
{
    for (size_t i = 0; u && i < n; i++)
        mem_free(u[i].a);
    mem_free(u);
}

void sweep_state_free(struct sweep_state *s)
{
    if (!s->rungs) return;
    for (size_t i = 0; i < s->ntrials; i++) {
        free_units(s->trial[i].u, s->rungs->n);
        mem_free(s->trial[i].seen);
    }
    free_units(s->prepare, s->nprepare);
    mem_free(s->trial);
    mem_free(s->entries);
    mem_free(s->values);
    *s = (struct sweep_state){0};
}

/* ---- failures */

static bool told(const struct sweep_attempt *a, enum sweep_op op)
{
    return a->told >> op & 1;
}

/* How often may it be tried again after this? */
static uint32_t allowed(const struct sweep_state *s, enum sweep_failure f)
{
    return f == SWEEP_NODE || f == SWEEP_LOST ? s->retries : 0;
}

bool sweep_state_given_up(const struct sweep_state *s, const struct sweep_work_unit *u, size_t n)
{
    uint32_t count[SWEEP_FAILURES] = {0}, released = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned ended = i < u->n ? u->a[i].told & ~(1U << SWEEP_OP_START) : 0;
        if (!ended)
            count[SWEEP_LOST]++;
        else if (told(&u->a[i], SWEEP_OP_FAIL))
            count[u->a[i].failure]++;
        else
            released++;
    }
    for (int f = 0; f < SWEEP_FAILURES; f++)
        if (count[f] > allowed(s, (enum sweep_failure)f)) return true;
    return released > PREEMPTED_MAX;
}

static enum sweep_step step_of(const struct sweep_state *s, const struct sweep_work_unit *u)
{
    if (u->reported) return SWEEP_DONE;
    if (u->n == 0) return SWEEP_UNTOUCHED;
    const struct sweep_attempt *last = &u->a[u->n - 1];
    bool ended = told(last, SWEEP_OP_FAIL) || told(last, SWEEP_OP_RELEASE);
    if (!ended) return SWEEP_RUNNING;
    return sweep_state_given_up(s, u, u->n) ? SWEEP_FAILED : SWEEP_READY;
}

/* ---- merging */

static bool trial_of(struct sweep_state *s, uint64_t trial, struct sweep_trial **out, struct err *e)
{
    if (trial >= s->ntrials) {
        size_t n = (size_t)trial + 1;
        if (!mem_grow((void **)&s->trial, &s->cap, n, sizeof *s->trial, e)) return false;
        memset(s->trial + s->ntrials, 0, (n - s->ntrials) * sizeof *s->trial);
        s->ntrials = n;
    }
    *out = &s->trial[trial];
    if (!(*out)->u) (*out)->u = mem_calloc(s->rungs->n, sizeof *(*out)->u, e);
    return (*out)->u != NULL;
}

static bool attempt_of(struct sweep_work_unit *u, uint32_t attempt, struct sweep_attempt **out,
                       struct err *e)
{
    if (attempt >= u->n) {
        size_t n = (size_t)attempt + 1;
        if (!mem_grow((void **)&u->a, &u->cap, n, sizeof *u->a, e)) return false;
        memset(u->a + u->n, 0, (n - u->n) * sizeof *u->a);
        u->n = n;
    }
    *out = &u->a[attempt];
    return true;
}

/* The earliest start's values are the trial's; a report's only where no start is known. */
static bool set_point(struct sweep_trial *t, const struct sweep_record *r, struct err *e)
{
    char *seen = NULL;

    uint64_t from = (uint64_t)r->rung * ATTEMPTS_MAX + r->attempt;
    if (r->op == SWEEP_OP_REPORT) from += (uint64_t)RUNGS_MAX * ATTEMPTS_MAX;
    if (t->known && t->point_from <= from) return true;
    if (r->seen.n > 0) {
        seen = mem_alloc(r->seen.n + 1, e);
        if (!seen) return false;
        memcpy(seen, r->seen.p, r->seen.n);
        seen[r->seen.n] = 0;
    }
    mem_free(t->seen);
    t->seen = seen;
    t->point = r->point;
    t->point_from = from;
    t->begun = r->op == SWEEP_OP_START;
    t->known = true;
    return true;
}

static void put_result(struct sweep_work_unit *u, const struct sweep_record *r)
{
    if (r->attempt + 1 < u->reported) return;
    u->reported = r->attempt + 1;
    u->r = r->r;
}

static bool merge(struct sweep_state *s, struct sweep_work_unit *u, const struct sweep_record *r,
                  struct err *e)
{
    struct sweep_attempt *a;

    if (!attempt_of(u, r->attempt, &a, e)) return false;
    if (told(a, r->op)) return true; /* read before */
    a->told |= (uint8_t)(1U << r->op);
    if (r->time > a->time) a->time = r->time;
    if (r->op != SWEEP_OP_START) {
        s->gpu_s += r->r.gpu_s;
        a->gpu_s += r->r.gpu_s;
    }
    if (r->op == SWEEP_OP_FAIL) a->failure = (uint8_t)r->failure;
    if (r->op == SWEEP_OP_REPORT) {
        u->reports++;
        put_result(u, r);
    }
    u->step = step_of(s, u);
    return true;
}

bool sweep_state_apply(void *ctx, const struct sweep_record *r, const char *worker, struct err *e)
{
    struct sweep_state *s = ctx;
    struct sweep_trial *t;

    (void)worker;
    if (r->attempt >= ATTEMPTS_MAX || r->rung >= s->rungs->n || r->trial >= TRIALS_MAX) return true;
    s->records++;
    if (r->prepare) return r->trial >= s->nprepare || merge(s, &s->prepare[r->trial], r, e);
    if (!trial_of(s, r->trial, &t, e)) return false;
    if (r->op == SWEEP_OP_STOP) {
        t->stopped = true;
        return true;
    }
    if (sweep_journal_has_point(r) && !set_point(t, r, e)) return false;
    if (r->op == SWEEP_OP_FAIL)
        snprintf(t->error, sizeof t->error, "%.*s", (int)(r->text.n < 159 ? r->text.n : 159),
                 r->text.p);
    return merge(s, &t->u[r->rung], r, e);
}

const struct sweep_work_unit *sweep_state_unit(const struct sweep_state *s, uint64_t trial,
                                               uint32_t rung)
{
    if (trial >= s->ntrials || !s->trial[trial].u) return NULL;
    return &s->trial[trial].u[rung];
}

int sweep_state_reached(const struct sweep_state *s, uint64_t trial)
{
    for (uint32_t j = s->rungs->n; j-- > 0;) {
        const struct sweep_work_unit *u = sweep_state_unit(s, trial, j);
        if (u && u->step == SWEEP_DONE) return (int)j;
    }
    return -1;
}
