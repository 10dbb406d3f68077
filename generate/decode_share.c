#include "generate/decode_parts.h"

/* Tokens that are worth copying, and worth waiting a step for. */
enum { WORTH_COPY = 4, WORTH_WAIT = 24 };

static uint32_t same(const uint32_t *a, const uint32_t *b, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static uint32_t min2(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* All but the last token, whose row gives the first token of the answer. */
static uint32_t sharable(const struct decode *d, const struct job *j)
{
    return d->o.share_nothing || d->both ? 0 : j->r.n - 1;
}

/* Tokens of j's beginning that the slot's cache holds. */
static uint32_t held(const struct decode *d, const struct slot *s, const struct job *j)
{
    if (s->adapter != j->r.adapter) return 0;
    return same(s->tokens, j->r.ids, min2(s->filled, sharable(d, j)));
}

/* And those that it will hold when its prompt is through. */
static uint32_t coming(const struct decode *d, const struct slot *s, const struct job *j)
{
    if (s->adapter != j->r.adapter || !s->job || s->job->pos >= s->job->nbegin) return 0;
    return same(s->job->begin, j->r.ids, min2(s->job->nbegin, sharable(d, j)));
}

uint32_t share_choose_slot(const struct decode *d, const struct job *j)
{
    uint32_t best = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < d->o.slots; i++) {
        const struct slot *s = &d->slot[i];
        if (s->job) continue;
        uint32_t n = held(d, s, j);
        bool better = best == UINT32_MAX || n > most || (n == most && s->used < d->slot[best].used);
        if (!better) continue;
        best = i;
        most = n;
    }
    CHECK(best != UINT32_MAX);
    return best;
}

bool share_beginning(struct decode *d, struct job *j, bool *ready, struct err *e)
{
    struct slot *own = &d->slot[j->slots[0]];
    uint32_t have = held(d, own, j), best = j->slots[0], most = have, soon = 0;

    for (uint32_t i = 0; i < d->o.slots; i++) {
        const struct slot *s = &d->slot[i];
        uint32_t now = held(d, s, j), later = coming(d, s, j);
        if (now > most) {
            best = i;
            most = now;
        }
        /* only for those before it: nobody waits for one that waits for him */
        if (s->job && s->used < own->used && later > soon) soon = later;
    }
    *ready = soon < most + WORTH_WAIT;
    if (!*ready) return true;
    if (most < have + WORTH_COPY) most = have;
    own->filled = have;
    if (most > have && !slot_fork(d, best, j->slots[0], have, most, e)) return false;
    j->pos = j->shared = most;
    d->stats.shared_tokens += most;
    j->started = true;
    return true;
}
