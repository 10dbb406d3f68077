#include "evaluate/grams.h"

#include <string.h>

#include "base/mem.h"

#define UNKNOWN UINT32_MAX
/* 64-bit operations, and 64-bit words of masks, beyond which n-grams are numbered. */
#define PLACES_COST  ((uint64_t)1 << 28)
#define PLACES_WORDS ((uint64_t)1 << 20)

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

/* ---- long texts */

static bool count_init(struct grams *g, const struct gram_texts *t, struct err *e)
{
    size_t most = t->nref > t->distinct ? t->nref : t->distinct;
    if (!mem_grow((void **)&g->of[0], &g->of_cap[0], t->nref, sizeof *g->of[0], e)) return false;
    if (!mem_grow((void **)&g->of[1], &g->of_cap[1], t->nhyp, sizeof *g->of[1], e)) return false;
    if (!mem_grow((void **)&g->left, &g->left_cap, most, sizeof *g->left, e)) return false;
    for (size_t i = 0; i < t->nref; i++)
        g->of[0][i] = t->ref[i];
    for (size_t i = 0; i < t->nhyp; i++)
        g->of[1][i] = t->hyp[i] < t->distinct ? t->hyp[i] : UNKNOWN;
    return true;
}

/* From n-grams of k items to those of k + 1: nref, nhyp of them. */
static bool count_longer(struct grams *g, const struct gram_texts *t, size_t k, size_t nref,
                         size_t nhyp, struct err *e)
{
    if (!dense_begin(&g->numbers, nref, e)) return false;
    for (size_t i = 0; i < nref; i++)
        g->of[0][i] = dense_of(&g->numbers, (uint64_t)g->of[0][i] << 32 | t->ref[i + k]);
    for (size_t i = 0; i < nhyp; i++) {
        if (g->of[1][i] == UNKNOWN) continue;
        g->of[1][i] = dense_find(&g->numbers, (uint64_t)g->of[1][i] << 32 | t->hyp[i + k]);
    }
    return true;
}

static bool match_long(struct grams *g, const struct gram_texts *t, size_t orders, uint64_t *match,
                       struct err *e)
{
    if (!count_init(g, t, e)) return false;
    for (size_t k = 0; k < orders && k < t->nref && k < t->nhyp; k++) {
        size_t nref = t->nref - k, nhyp = t->nhyp - k;
        if (k > 0 && !count_longer(g, t, k, nref, nhyp, e)) return false;
        memset(g->left, 0, (k > 0 ? g->numbers.n : t->distinct) * sizeof *g->left);
        for (size_t i = 0; i < nref; i++)
            g->left[g->of[0][i]]++;
        for (size_t i = 0; i < nhyp; i++) {
            if (g->of[1][i] == UNKNOWN || g->left[g->of[1][i]] == 0) continue;
            g->left[g->of[1][i]]--;
            match[k]++;
        }
    }
    return true;
}

bool grams_match(struct grams *g, const struct gram_texts *t, size_t orders, uint64_t *match,
                 struct err *e)
{
    struct places p;
    CHECK(orders <= GRAMS_MAX);
    memset(match, 0, orders * sizeof *match);
    uint64_t nw = (t->nref + 63) / 64;
    if (g->count || nw * t->nhyp * orders > PLACES_COST || nw * t->distinct > PLACES_WORDS)
        return match_long(g, t, orders, match, e);
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
    dense_free(&g->numbers);
    mem_free(g->of[0]);
    mem_free(g->of[1]);
    mem_free(g->left);
    *g = (struct grams){0};
}
