#include "stats/stat_group.h"

#include <stdlib.h>

#include "base/mem.h"

bool stat_items_put(struct stat_items *s, struct stat_item x, struct err *e)
{
    void *v = s->v;
    bool ok = mem_grow(&v, &s->cap, s->n + 1, sizeof *s->v, e);

    s->v = v;
    if (ok) s->v[s->n++] = x;
    return ok;
}

void stat_items_free(struct stat_items *s)
{
    mem_free(s->v);
    *s = (struct stat_items){0};
}

static int by_all(const void *a, const void *b)
{
    const struct stat_item *x = a, *y = b;

    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->who != y->who) return x->who < y->who ? -1 : 1;
    return (x->where > y->where) - (x->where < y->where);
}

/* First item whose key is not below bound. */
static size_t lower_bound(const struct stat_items *s, uint64_t bound)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->v[mid].key < bound)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Collective. */
static bool one_round(struct comm *c, const struct stat_items *s, size_t from, size_t to,
                      stat_group_fn fn, void *ctx, struct err *e)
{
    struct stat_item *all;
    size_t bytes = 0, n;
    void *got = NULL;

    if (!comm_allgatherv(c, s->v + from, (to - from) * sizeof *s->v, &got, &bytes, NULL, e))
        return false;
    all = got;
    n = bytes / sizeof *all;
    if (n > 0) qsort(all, n, sizeof *all, by_all);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i; next < n && all[next].key == all[i].key;)
            next++;
        fn(ctx, all + i, next - i);
    }
    mem_free(got);
    return true;
}

bool stat_group(struct comm *c, struct stat_items *s, size_t round, stat_group_fn fn, void *ctx,
                struct err *e)
{
    uint64_t total = s->n;
    unsigned bits = 0;

    if (s->n > 0) qsort(s->v, s->n, sizeof *s->v, by_all);
    comm_sum_u64(c, &total, 1);
    while (bits < 16 && (total >> bits) > round)
        bits++;
    for (uint64_t r = 0; r < (uint64_t)1 << bits; r++) {
        size_t from = bits ? lower_bound(s, r << (64 - bits)) : 0, to = s->n;
        if (bits && r + 1 < (uint64_t)1 << bits) to = lower_bound(s, (r + 1) << (64 - bits));
        if (!one_round(c, s, from, to, fn, ctx, e)) return false;
    }
    return true;
}
