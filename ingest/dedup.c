#include "ingest/dedup.h"

#include "base/mem.h"

/* Open addressing over record numbers + 1. */
struct index {
    uint64_t *slot;
    size_t mask;
};

static bool index_init(struct index *x, size_t n, struct err *e)
{
    size_t size = 16;

    while (size < 2 * n)
        size *= 2;
    x->mask = size - 1;
    x->slot = mem_calloc(size, sizeof *x->slot, e);
    return x->slot != NULL;
}

static bool is_none(struct hash128 h)
{
    return h.lo == 0 && h.hi == 0;
}

static bool same(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static uint64_t *study_slot(const struct index *x, const struct block_key *all, struct hash128 h)
{
    size_t at = h.lo & x->mask;

    while (x->slot[at] && !same(all[x->slot[at] - 1].study, h))
        at = (at + 1) & x->mask;
    return &x->slot[at];
}

static uint64_t *norm_slot(const struct index *x, const struct block_key *all, struct hash128 h)
{
    size_t at = h.lo & x->mask;

    while (x->slot[at] && !same(all[x->slot[at] - 1].norm, h))
        at = (at + 1) & x->mask;
    return &x->slot[at];
}

/* Does the earlier record stand against the later one? */
static bool counts_more(const struct block_key *earlier, const struct block_key *later)
{
    if (earlier->status != later->status) return earlier->status > later->status;
    if (!earlier->time || !later->time || earlier->time == later->time) return earlier->first;
    return earlier->time > later->time;
}

static void mark_superseded(const struct index *x, const struct block_key *all, size_t n,
                            uint8_t *superseded)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t *slot, other;
        if (all[i].status == BLOCK_VOID) superseded[i] = 1;
        if (is_none(all[i].study)) continue;
        slot = study_slot(x, all, all[i].study);
        other = *slot;
        if (other && counts_more(&all[other - 1], &all[i])) {
            superseded[i] = 1;
            continue;
        }
        if (other) superseded[other - 1] = 1;
        *slot = i + 1;
    }
}

static bool find_all(const struct block_key *all, size_t n, uint16_t *flags, struct err *e)
{
    struct index studies = {0}, norms = {0};
    uint8_t *superseded = NULL;
    bool ok = false;

    if (!index_init(&studies, n, e)) goto out;
    if (!index_init(&norms, n, e)) goto out;
    superseded = mem_calloc(n + 1, 1, e);
    if (!superseded) goto out;
    mark_superseded(&studies, all, n, superseded);
    for (size_t i = 0; i < n; i++) {
        uint16_t flag = superseded[i] ? RECORD_SUPERSEDED : 0;
        if (!superseded[i] && !is_none(all[i].norm)) {
            uint64_t *slot = norm_slot(&norms, all, all[i].norm);
            if (*slot)
                flag = RECORD_DUPLICATE;
            else
                *slot = i + 1;
        }
        flags[i] = flag;
    }
    ok = true;
out:
    mem_free(superseded);
    mem_free(norms.slot);
    mem_free(studies.slot);
    return ok;
}

static uint64_t count_crossing(const struct index *x, const struct block_key *all, size_t n)
{
    uint64_t crossing = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = all[i].patient & x->mask;
        const struct block_key *other;
        if (all[i].patient == 0 || all[i].split == SPLIT_NONE) continue;
        while (x->slot[at] && all[(x->slot[at] - 1) / 2].patient != all[i].patient)
            at = (at + 1) & x->mask;
        if (!x->slot[at]) {
            x->slot[at] = 2 * i + 1;
            continue;
        }
        other = &all[(x->slot[at] - 1) / 2];
        if (other->split == all[i].split || x->slot[at] % 2 == 0) continue;
        x->slot[at]++; /* even: counted */
        crossing++;
    }
    return crossing;
}

bool dedup_crossing(struct comm *c, const struct block_list *l, uint64_t *patients, struct err *e)
{
    struct index x = {0};
    size_t total;
    void *all = NULL;
    bool ok = comm_allgatherv(c, l->keys, l->nkeys * sizeof *l->keys, &all, &total, NULL, e);

    *patients = 0;
    if (ok) {
        ok = index_init(&x, total / sizeof *l->keys, e);
        if (ok) *patients = count_crossing(&x, all, total / sizeof *l->keys);
        ok = comm_agree(c, ok, e);
    }
    mem_free(x.slot);
    mem_free(all);
    return ok;
}

bool dedup_flags(struct comm *c, const struct block_order *o, const struct block_list *l,
                 uint16_t **out, struct err *e)
{
    uint16_t *flags = NULL;
    void *all;
    bool ok;

    *out = NULL;
    if (!order_gather(c, o, l->keys, l->nkeys, sizeof *l->keys, &all, e)) return false;
    flags = mem_calloc(o->records + 1, sizeof *flags, e);
    ok = comm_agree(c, flags && find_all(all, o->records, flags, e), e);
    mem_free(all);
    if (ok)
        *out = flags;
    else
        mem_free(flags);
    return ok;
}
