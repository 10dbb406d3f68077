#include "evaluate/grams.h"

#include <string.h>

#include "base/mem.h"

struct places {
    size_t nw; /* 64-bit words of a vector */
    size_t orders;
    uint32_t distinct;
    uint64_t *mask;                              /* [distinct][nw]: where an item stands */
    uint64_t *ends[GRAMS_MAX], *used[GRAMS_MAX]; /* [nw] each */
};

static bool places_init(struct grams *g, const struct gram_texts *t, size_t orders,
                        struct places *p, struct err *e)
{
    *p = (struct places){.nw = (t->nref + 63) / 64, .orders = orders, .distinct = t->distinct};
    size_t n = (t->distinct + 2 * orders) * p->nw;
    if (!mem_grow((void **)&g->bits, &g->cap, n, sizeof *g->bits, e)) return false;
    if (n > 0) memset(g->bits, 0, n * sizeof *g->bits);
    p->mask = g->bits;
    for (size_t k = 0; k < orders; k++) {
        p->ends[k] = g->bits + (t->distinct + 2 * k) * p->nw;
        p->used[k] = p->ends[k] + p->nw;
    }
    for (size_t i = 0; i < t->nref; i++)
        p->mask[t->ref[i] * p->nw + i / 64] |= UINT64_C(1) << (i % 64);
    return true;
}

/* Take an unused place; false when there is none. */
static bool take_place(const uint64_t *ends, uint64_t *used, size_t nw)
{
    for (size_t w = 0; w < nw; w++) {
        uint64_t open = ends[w] & ~used[w];
        if (!open) continue;
        used[w] |= open & (~open + 1);
        return true;
    }
    return false;
}

/* The next item of the prediction: longest n-grams first, as each needs the shorter one before it.
 */
static void push(struct places *p, uint32_t id, uint64_t *match)
{
    bool known = id < p->distinct;
    const uint64_t *mask = known ? p->mask + id * p->nw : NULL;
    for (size_t k = p->orders; k-- > 0;) {
        uint64_t carry = 0;
        for (size_t w = 0; w < p->nw; w++) {
            uint64_t before = k > 0 ? p->ends[k - 1][w] : ~UINT64_C(0);
            uint64_t moved = k > 0 ? before << 1 | carry : before;
            carry = before >> 63;
            p->ends[k][w] = known ? moved & mask[w] : 0;
        }
        if (known) match[k] += take_place(p->ends[k], p->used[k], p->nw);
    }
}

/* A reference of up to 64 items, as most are: a vector is one word. */
static void match_short(const struct places *p, const struct gram_texts *t, uint64_t *match)
{
    uint64_t ends[GRAMS_MAX] = {0}, used[GRAMS_MAX] = {0};
    for (size_t i = 0; i < t->nhyp; i++) {
        uint64_t mask = t->hyp[i] < p->distinct ? p->mask[t->hyp[i]] : 0;
        for (size_t k = p->orders; k-- > 1;)
            ends[k] = ends[k - 1] << 1 & mask;
        ends[0] = mask;
        for (size_t k = 0; k < p->orders && ends[k]; k++) {
            uint64_t open = ends[k] & ~used[k];
            used[k] |= open & (~open + 1);
            match[k] += open != 0;
        }
    }
}

bool grams_match(struct grams *g, const struct gram_texts *t, size_t orders, uint64_t *match,
                 struct err *e)
{
    struct places p;
    CHECK(orders <= GRAMS_MAX);
    memset(match, 0, orders * sizeof *match);
    if (!places_init(g, t, orders, &p, e)) return false;
    if (p.nw == 1) {
        match_short(&p, t, match);
        return true;
    }
    for (size_t i = 0; i < t->nhyp; i++)
        push(&p, t->hyp[i], match);
    return true;
}

void grams_free(struct grams *g)
{
    mem_free(g->bits);
    *g = (struct grams){0};
}
