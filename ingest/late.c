#include "ingest/late.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ingest/dedup.h"

/* What the flags change in what the blocks count. */
static void count_flags(struct block_order *o, const uint16_t *flags, const uint8_t *pair)
{
    for (size_t i = 0; i < o->n; i++) {
        struct block_fact *f = &o->facts[i];
        for (uint64_t r = 0; r < f->records; r++, pair++, flags++) {
            f->pairs -= *pair && *flags;
            for (int bit = 0; *flags >> bit; bit++)
                f->flags[bit] += *flags >> bit & 1;
        }
    }
}

/* Which records have findings and impression; all, in corpus order. Collective. */
static bool gather_pairs(struct comm *c, const struct block_order *o, const struct block_list *l,
                         void **out, struct err *e)
{
    uint8_t *mine = mem_alloc(l->nkeys + 1, e);
    bool ok = comm_agree(c, mine != NULL, e);

    for (size_t i = 0; ok && i < l->nkeys; i++)
        mine[i] = l->keys[i].pair;
    ok = ok && order_gather(c, o, mine, l->nkeys, 1, out, e);
    mem_free(mine);
    return ok;
}

/* Collective. */
static bool find_near(struct comm *c, const struct late_corpus *corpus, const struct block_order *o,
                      const struct block_list *l, struct late *out, struct err *e)
{
    double start = clock_mono_s();

    if (corpus->near <= 0) return true;
    if (!near_find(c, corpus, o, l, out->flags, &out->near, e)) return false;
    out->near_s = clock_mono_s() - start;
    return true;
}

bool late_find(struct comm *c, const struct late_corpus *corpus, struct block_order *o,
               const struct block_list *l, struct late *out, struct err *e)
{
    void *pair = NULL;
    bool ok = dedup_flags(c, o, l, &out->flags, e) && find_near(c, corpus, o, l, out, e) &&
              gather_pairs(c, o, l, &pair, e);

    out->n = o->records;
    if (ok) count_flags(o, out->flags, pair);
    mem_free(pair);
    return ok;
}

static int by_norm(const void *a, const void *b)
{
    const struct record_near *x = a, *y = b;

    if (x->norm.hi != y->norm.hi) return x->norm.hi < y->norm.hi ? -1 : 1;
    return (x->norm.lo > y->norm.lo) - (x->norm.lo < y->norm.lo);
}

bool late_write(const struct late_corpus *corpus, const struct block_fact *facts, size_t n,
                struct late *late, struct err *e)
{
    struct record_late file = {late->flags, late->n, NULL, late->near.n};
    bool ok;

    file.near = mem_alloc((late->near.n + 1) * sizeof *file.near, e);
    if (!file.near) return false;
    for (size_t i = 0; i < late->near.n; i++)
        file.near[i] = late->near.v[i].texts;
    qsort(file.near, late->near.n, sizeof *file.near, by_norm);
    ok = near_write(corpus, facts, n, &late->near, e) &&
         record_late_write(corpus->dir, &file, late->name, late->sha256, e);
    mem_free(file.near);
    return ok;
}

bool late_sweep(const char *dir, const char *name, struct err *e)
{
    struct str *names;
    struct arena a;
    size_t n;
    bool ok;

    arena_init(&a, 64 << 20);
    ok = fs_list(dir, &a, &names, &n, e);
    for (size_t i = 0; ok && i < n; i++) {
        const char *path;
        if (!str_starts(names[i], STR("late-")) || !str_ends(names[i], STR(".h5"))) continue;
        if (str_eqz(names[i], name)) continue;
        ok = fs_join(&a, dir, names[i].p, &path, e) && fs_remove(path, e);
    }
    arena_free(&a);
    return ok && fs_gc_tmp(dir, e);
}

void late_free(struct late *l)
{
    mem_free(l->flags);
    mem_free(l->near.v);
    memset(l, 0, sizeof *l);
}
