#include "sweep/suggest.h"

#include <math.h>

#include "base/mem.h"
#include "sweep/tpe.h"

enum { FAILED = -1, UNDER_WAY = -2 };

bool suggest_is_tpe(const struct sweep_opts *o)
{
    if (o->method == SWEEP_TPE) return true;
    bool rungs =
        o->method == SWEEP_ASHA || o->method == SWEEP_HYPERBAND || o->method == SWEEP_MEDIAN;
    return rungs && o->sampler == SWEEP_SAMPLE_TPE;
}

/* Rung that the trial has ended, FAILED or UNDER_WAY. */
static int standing(const struct sweep_state *st, uint64_t k)
{
    int reached = sweep_state_reached(st, k);

    if (reached >= 0) return reached;
    for (uint32_t j = 0; j < st->rungs->n; j++)
        if (st->trial[k].u[j].step == SWEEP_FAILED) return FAILED;
    return UNDER_WAY;
}

static bool put_run(struct sbuf *b, uint64_t from, uint64_t to, int standing_at, struct err *e)
{
    if (b->n > 0 && !sbuf_putc(b, ',', e)) return false;
    if (!sbuf_printf(b, e, "%llu", (unsigned long long)from)) return false;
    if (to > from && !sbuf_printf(b, e, "-%llu", (unsigned long long)to)) return false;
    if (standing_at == FAILED) return sbuf_put(b, STR(":f"), e);
    if (standing_at == UNDER_WAY) return sbuf_put(b, STR(":-"), e);
    return sbuf_printf(b, e, ":%d", standing_at);
}

static bool note(const struct sweep *s, uint64_t trial, struct sbuf *b, struct err *e)
{
    const struct sweep_state *st = &s->state;
    uint64_t k = 0;

    while (k < st->ntrials) {
        uint64_t to = k;
        if (!st->trial[k].known || k == trial) {
            k++;
            continue;
        }
        int at = standing(st, k);
        while (to + 1 < st->ntrials && st->trial[to + 1].known && to + 1 != trial &&
               standing(st, to + 1) == at)
            to++;
        if (!put_run(b, k, to, at, e)) return false;
        k = to + 1;
    }
    return true;
}

/* ---- reading a note */

static bool parse_run(struct str text, uint64_t *from, uint64_t *to, int *at, struct err *e)
{
    struct str range, first, rest = text;
    uint64_t rung;

    if (!str_split(&rest, ':', &range)) return err_set(e, ERR_FORMAT, "an empty note");
    struct str last = range;
    str_split(&last, '-', &first);
    if (!parse_u64(first, from, e)) return false;
    *to = *from;
    if (last.n > 0 && !parse_u64(last, to, e)) return false;
    if (str_eqz(rest, "f") || str_eqz(rest, "-")) {
        *at = rest.p[0] == 'f' ? FAILED : UNDER_WAY;
        return true;
    }
    if (!parse_u64(rest, &rung, e)) return false;
    if (rung >= RUNGS_MAX)
        return err_set(e, ERR_FORMAT, "a note names rung %llu", (unsigned long long)rung);
    *at = (int)rung;
    return true;
}

static bool see(const struct sweep *s, uint64_t k, int at, struct tpe_seen *out, struct err *e)
{
    const struct sweep_state *st = &s->state;

    if (k >= st->ntrials || !st->trial[k].known || at >= (int)s->rungs.n)
        return err_set(e, ERR_FORMAT, "a note names trial %llu, of which nothing is known",
                       (unsigned long long)k);
    *out = (struct tpe_seen){.point = st->trial[k].point, .trial = k, .value = (double)NAN};
    out->ended = at != UNDER_WAY;
    if (at < 0) return true;
    const struct sweep_work_unit *u = &st->trial[k].u[at];
    if (u->step != SWEEP_DONE)
        return err_set(e, ERR_FORMAT, "a note names rung %d of trial %llu, which has not ended", at,
                       (unsigned long long)k);
    out->rung = (uint32_t)at;
    out->value = sweep_loss(s->o, &u->r);
    return true;
}

bool suggest_again(const struct sweep *s, uint64_t trial, struct str seen, struct space_point *out,
                   struct err *e)
{
    struct tpe_seen *v = mem_calloc(s->state.ntrials + 1, sizeof *v, e);
    struct str rest = seen, piece;
    uint64_t from, to;
    size_t n = 0;
    int at = UNDER_WAY;
    bool ok = false;

    if (!v) return false;
    while (str_split(&rest, ',', &piece)) {
        if (!parse_run(piece, &from, &to, &at, e)) goto out;
        for (uint64_t k = from; k <= to; k++) {
            if (n == s->state.ntrials) {
                err_set(e, ERR_FORMAT, "a note names a trial twice");
                goto out;
            }
            if (!see(s, k, at, &v[n++], e)) goto out;
        }
    }
    ok = tpe_suggest(&s->space, v, n, s->o->seed, trial, out, e);
out:
    mem_free(v);
    return ok;
}

bool suggest_point(const struct sweep *s, uint64_t trial, struct space_point *out,
                   struct sbuf *seen, struct err *e)
{
    sbuf_clear(seen);
    if (s->grid) {
        *out = s->grid[trial];
        return true;
    }
    if (!suggest_is_tpe(s->o)) {
        space_random(&s->space, s->o->seed, trial, out);
        return true;
    }
    return note(s, trial, seen, e) && suggest_again(s, trial, sbuf_str(seen), out, e);
}

bool sweep_replay(const struct sweep *s, uint64_t *all, uint64_t *same, struct err *e)
{
    struct space_point p;

    *all = *same = 0;
    for (uint64_t k = 0; k < s->state.ntrials; k++) {
        const struct sweep_trial *t = &s->state.trial[k];
        struct err why = {0};
        if (!t->begun || !suggest_is_tpe(s->o)) continue;
        ++*all;
        if (suggest_again(s, k, str_of(t->seen), &p, &why))
            *same += space_equal(&s->space, &p, &t->point);
        else if (why.code == ERR_NOMEM)
            return err_set(e, ERR_NOMEM, "%s", why.text);
    }
    return true;
}
