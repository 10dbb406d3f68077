/* The loop of a worker (sweep.h): look, decide, claim, do, tell. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "sweep/decide.h"
#include "sweep/suggest.h"

enum { ARENA_BYTES = 1 << 20, NODE_FAILURES_MAX = 3, CHECK_EVERY_S = 10 };

/* What rank 0 tells the others. */
struct order {
    enum { ORDER_DO, ORDER_END, ORDER_STOPPED, ORDER_FAILED } kind;
    struct sweep_unit unit;
    struct space_point point;
};
struct work {
    struct sweep *s;
    const struct sweep_runner *r;
    struct comm *c;
    struct sbuf seen;
    struct arena arena;
    bool check; /* this turn looks for workers that are gone */
    double next_check_s;
    uint32_t node_failures; /* in a row: this machine may be the reason */
};

/* ---- telling */

static bool tell(struct work *w, const struct sweep_record *r, struct err *e)
{
    struct sweep_record dated = *r;

    dated.time = clock_wall_s();
    if (!sweep_store_put(w->s->store, &w->s->space, &dated, e)) return false;
    if (!sweep_refresh(w->s, e)) return false;
    if (w->r->progress) w->r->progress(w->r->ctx, w->s);
    return true;
}

static struct sweep_record about(const struct sweep_unit *u, enum sweep_op op)
{
    return (struct sweep_record){
        .op = op, .prepare = u->prepare, .trial = u->trial, .rung = u->rung, .attempt = u->attempt};
}

static bool tell_failure(struct work *w, const struct sweep_unit *u, enum sweep_failure f,
                         const char *text, double gpu_s, struct err *e)
{
    struct sweep_record r = about(u, SWEEP_OP_FAIL);

    r.failure = f;
    r.text = str_of(text);
    r.r.gpu_s = gpu_s;
    log_warn("trial_failed", "trial=%" PRIu64 " rung=%u attempt=%u class=%s error=\"%s\"", u->trial,
             u->rung, u->attempt, sweep_failure_names[f], text);
    return tell(w, &r, e);
}

/* ---- claiming */

static const struct sweep_work_unit *unit_of(const struct sweep *s, const struct sweep_unit *u)
{
    return u->prepare ? &s->state.prepare[u->trial]
                      : sweep_state_unit(&s->state, u->trial, u->rung);
}

static bool is_gone(struct work *w, const struct sweep_unit *u, bool *gone, struct err *e)
{
    struct arena_mark m = arena_mark(&w->arena);
    const char *dir, *sign = NULL;
    bool ok = true;

    if (!u->prepare)
        ok = sweep_trial_dir(w->s->o, u->trial, &w->arena, &dir, e) &&
             fs_join(&w->arena, dir, "run/status.json", &sign, e);
    ok =
        ok && sweep_store_gone(w->s->store, u, sign, w->s->o->lease_min * 60, &w->r->jobs, gone, e);
    arena_reset(&w->arena, m);
    return ok;
}

/* A worker that is gone has told all it had to: look once more before its work is taken over. */
static bool is_left(struct work *w, const struct sweep_unit *u, bool *left, struct err *e)
{
    if (!is_gone(w, u, left, e)) return false;
    if (!*left) return true;
    if (!sweep_refresh(w->s, e)) return false;
    const struct sweep_work_unit *now = unit_of(w->s, u);
    *left = !now || now->step != SWEEP_DONE;
    return true;
}

/* Claim the first attempt from u->attempt on that nobody holds and lives. */
static bool claim(struct work *w, struct decision *d, bool *won, struct err *e)
{
    struct sweep_unit *u = &d->unit;
    bool gone = true;

    *won = false;
    if (d->kind == DECIDE_CHECK) {
        struct sweep_unit held = *u;
        held.attempt--;
        if (!is_left(w, &held, &gone, e)) return false;
        if (gone)
            log_warn("worker_gone", "trial=%" PRIu64 " rung=%u attempt=%u", u->trial, u->rung,
                     held.attempt);
    }
    while (gone) {
        if (!sweep_store_claim(w->s->store, u, won, e)) return false;
        if (*won) return true;
        if (!is_left(w, u, &gone, e)) return false;
        if (gone) u->attempt++;
    }
    return true;
}

/* Won; but was the choice made on old news? Then the attempt is given back as ended. */
static bool still_wanted(struct work *w, const struct decision *d, bool *wanted, struct err *e)
{
    const struct sweep_unit *u = &d->unit;

    *wanted = false;
    if (!sweep_refresh(w->s, e)) return false;
    const struct sweep_work_unit *now = unit_of(w->s, u);
    if (now && now->step == SWEEP_DONE) {
        struct sweep_record r = about(u, SWEEP_OP_RELEASE);
        return tell(w, &r, e);
    }
    if (now && u->attempt > 0 && sweep_state_given_up(&w->s->state, now, u->attempt))
        return tell_failure(w, u, SWEEP_LOST, "its workers were lost too often", 0, e);
    bool stop;
    if (!decide_stops(w->s, u, &stop, e)) return false;
    if (stop) {
        struct sweep_record r = about(u, SWEEP_OP_STOP);
        r.rung--; /* the last it trained to */
        return tell(w, &r, e);
    }
    *wanted = true;
    return true;
}

/* ---- deciding (rank 0) */

static bool take_point(struct work *w, const struct sweep_unit *u, struct space_point *out,
                       struct err *e)
{
    const struct sweep_state *st = &w->s->state;

    sbuf_clear(&w->seen);
    if (u->prepare) return true;
    if (u->trial < st->ntrials && st->trial[u->trial].known) {
        *out = st->trial[u->trial].point;
        return true;
    }
    return suggest_point(w->s, u->trial, out, &w->seen, e);
}

static bool begin(struct work *w, const struct decision *d, struct order *o, bool *begun,
                  struct err *e)
{
    struct sweep_record r = about(&d->unit, SWEEP_OP_START);

    *o = (struct order){.kind = ORDER_DO, .unit = d->unit};
    if (!still_wanted(w, d, begun, e) || !*begun) return e->code == ERR_NONE;
    if (!take_point(w, &d->unit, &o->point, e)) return false;
    r.point = o->point;
    r.seen = sbuf_str(&w->seen);
    return tell(w, &r, e);
}

static bool asked_to_stop(struct work *w, bool *stop, struct err *e)
{
    struct arena_mark m = arena_mark(&w->arena);
    const char *path;
    bool ok = fs_join(&w->arena, w->s->o->dir, "STOP", &path, e);

    *stop = ok && (stop_requested() || fs_exists(path));
    arena_reset(&w->arena, m);
    return ok;
}

static bool wait_for_others(struct work *w, struct err *e)
{
    double until = clock_mono_s() + w->r->poll_s;

    while (clock_mono_s() < until && !stop_requested())
        usleep(20000);
    return sweep_store_touch(w->s->store, e);
}

/* One decision. *have: o is what to do. */
static bool consider(struct work *w, struct order *o, bool *have, bool *waited, struct err *e)
{
    struct decision d;
    bool won;

    *have = false;
    if (!decide_next(w->s, w->check, &d, e)) return false;
    if (d.kind == DECIDE_END) {
        *o = (struct order){.kind = ORDER_END};
        *have = true;
        return true;
    }
    if (d.kind == DECIDE_WAIT) {
        *waited = true;
        return wait_for_others(w, e);
    }
    if (!claim(w, &d, &won, e)) return false;
    if (won) return begin(w, &d, o, have, e);
    decide_pass(w->s, &d);
    return true;
}

static bool next_order(struct work *w, struct order *o, struct err *e)
{
    for (;;) {
        bool have = false, waited = false, stop;

        if (!asked_to_stop(w, &stop, e)) return false;
        if (stop) {
            *o = (struct order){.kind = ORDER_STOPPED};
            return true;
        }
        if (!sweep_refresh(w->s, e)) return false;
        decide_turn(w->s);
        w->check = clock_mono_s() >= w->next_check_s;
        if (w->check) w->next_check_s = clock_mono_s() + CHECK_EVERY_S;
        while (!have && !waited)
            if (!consider(w, o, &have, &waited, e)) return false;
        if (have) return true;
    }
}

/* ---- doing */

static enum sweep_failure class_of(const struct err *e)
{
    switch (e->code) {
    case ERR_LIMIT:
    case ERR_NOMEM:
        return SWEEP_OOM;
    case ERR_DIVERGED:
        return SWEEP_DIVERGED;
    case ERR_IO:
    case ERR_LIB:
        return SWEEP_NODE;
    default:
        return SWEEP_CODE;
    }
}

static bool tell_outcome(struct work *w, const struct order *o, const struct sweep_result *res,
                         const struct err *why, double gpu_s, struct err *e)
{
    struct sweep_record r = about(&o->unit, SWEEP_OP_REPORT);

    r.point = o->point;
    r.r = *res;
    r.r.gpu_s = gpu_s;
    if (why->code == ERR_NONE && !o->unit.prepare && !isfinite(sweep_loss(w->s->o, res)))
        return tell_failure(w, &o->unit, SWEEP_DIVERGED, "the score is not a finite number", gpu_s,
                            e);
    if (why->code == ERR_NONE) {
        w->node_failures = 0;
        return tell(w, &r, e);
    }
    if (why->code == ERR_STOPPED) {
        r = about(&o->unit, SWEEP_OP_RELEASE);
        r.r.gpu_s = gpu_s;
        return tell(w, &r, e);
    }
    w->node_failures = class_of(why) == SWEEP_NODE ? w->node_failures + 1 : 0;
    return tell_failure(w, &o->unit, class_of(why), why->text, gpu_s, e);
}

/* Collective. */
static bool carry_out(struct work *w, const struct order *o, struct err *e)
{
    struct sweep_result res = {.train_loss = (double)NAN};
    struct err why = {0};
    double start_s = clock_mono_s();

    for (int i = 0; i < SWEEP_METRICS; i++)
        res.value[i] = (double)NAN;
    bool ok = o->unit.prepare ? w->r->prepare(w->r->ctx, o->unit.trial, w->c, &why)
                              : w->r->trial(w->r->ctx, w->s, &o->unit, &o->point, &res, w->c, &why);
    CHECK(ok == (why.code == ERR_NONE));
    double gpu_s = (clock_mono_s() - start_s) * comm_size(w->c);
    ok = comm_rank(w->c) != 0 || tell_outcome(w, o, &res, &why, gpu_s, e);
    if (!comm_agree(w->c, ok, e)) return false;
    if (o->unit.prepare && why.code != ERR_NONE && why.code != ERR_STOPPED)
        return err_set(e, why.code, "%s", why.text); /* no trial can run without */
    if (w->node_failures < NODE_FAILURES_MAX) return true;
    return err_set(e, why.code, "%d trials in a row failed on this machine, the last: %s",
                   NODE_FAILURES_MAX, why.text);
}

static bool loop(struct work *w, struct err *e)
{
    for (;;) {
        struct order o = {.kind = ORDER_FAILED};
        bool ok = comm_rank(w->c) != 0 || next_order(w, &o, e);
        if (!comm_agree(w->c, ok, e)) return false;
        comm_bcast(w->c, &o, sizeof o, 0);
        if (o.kind == ORDER_END) return true;
        if (o.kind == ORDER_STOPPED)
            return err_set(e, ERR_STOPPED,
                           "stopped as asked; what was begun is saved, other "
                           "workers or the same command go on with it");
        if (!carry_out(w, &o, e)) return false;
    }
}

bool sweep_work(struct sweep *s, const struct sweep_runner *r, struct comm *c, struct err *e)
{
    struct work w = {.s = s, .r = r, .c = c};

    sbuf_init(&w.seen, SWEEP_LINE_MAX / 2);
    arena_init(&w.arena, ARENA_BYTES);
    bool ok = comm_rank(c) != 0 || sweep_store_join(s->store, r->job, e);
    ok = comm_agree(c, ok, e) && loop(&w, e);
    arena_free(&w.arena);
    sbuf_free(&w.seen);
    return ok;
}
