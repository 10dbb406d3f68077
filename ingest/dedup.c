#include "ingest/dedup.h"

#include <stdlib.h>

#include "base/mem.h"

/* Open addressing over places in a list + 1. */
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

/* ---- each search is dealt over the ranks by its hash: what a search needs of a record goes to the
 * rank that has that hash, and the flags found there are put together */
struct item {
    struct hash128 hash;
    uint64_t at;   /* place in the corpus */
    uint64_t time; /* as in struct block_key, like the next three */
    uint8_t status, first, split, pad[5];
};
struct search {
    struct comm *c;
    const struct block_order *o;
    const struct block_list *l;
    const uint16_t *flags; /* of all records, as far as they are known */
    /* False: the record takes no part. */
    bool (*take)(const struct search *s, const struct block_key *k, struct item *item);
};

static size_t owner(struct hash128 h, int ranks)
{
    return (size_t)((h.hi >> 32) * (uint64_t)ranks >> 32);
}

/* The items of this rank's records, in order; NULL as `to` counts them only, by owner. */
static void list_items(const struct search *s, struct item **to, size_t *counts)
{
    const struct block_key *k = s->l->keys;

    for (size_t i = 0; i < s->l->n; i++) {
        uint64_t at = s->o ? s->o->to[s->o->mine + i] : 0;
        for (uint64_t r = 0; r < s->l->facts[i].records; r++, k++, at++) {
            struct item item = {.at = at,
                                .time = k->time,
                                .status = k->status,
                                .first = k->first,
                                .split = k->split};
            size_t own;
            if (!s->take(s, k, &item)) continue;
            own = owner(item.hash, comm_size(s->c));
            if (to)
                *to[own]++ = item;
            else
                counts[own] += sizeof item;
        }
    }
}

static int by_place(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return (x->at > y->at) - (x->at < y->at);
}

static bool sort_out(const struct search *s, size_t *counts, struct item **to, struct item **mine,
                     struct err *e)
{
    size_t total = 0, n = (size_t)comm_size(s->c);

    list_items(s, NULL, counts);
    for (size_t r = 0; r < n; r++)
        total += counts[r];
    *mine = mem_alloc(total + 1, e);
    if (!*mine) return false;
    to[0] = *mine;
    for (size_t r = 1; r < n; r++)
        to[r] = to[r - 1] + counts[r - 1] / sizeof **mine;
    list_items(s, to, NULL);
    return true;
}

/* All ranks' items whose hash is ours, in corpus order. Collective. */
static bool deal(const struct search *s, struct item **out, size_t *n, struct err *e)
{
    size_t ranks = (size_t)comm_size(s->c), bytes = 0;
    size_t *counts = mem_calloc(ranks, sizeof *counts, e);
    struct item **to = counts ? mem_calloc(ranks, sizeof *to, e) : NULL, *mine = NULL;
    void *got = NULL;
    bool ok = comm_agree(s->c, to && sort_out(s, counts, to, &mine, e), e) &&
              comm_exchange(s->c, mine, counts, &got, &bytes, e);

    *out = got;
    *n = bytes / sizeof **out;
    if (ok && *n && s->o && !s->o->straight) qsort(*out, *n, sizeof **out, by_place);
    mem_free(mine);
    mem_free(to);
    mem_free(counts);
    return ok;
}

static uint64_t *find_slot(const struct index *x, const struct item *all, struct hash128 h)
{
    size_t at = h.lo & x->mask;

    while (x->slot[at] && !same(all[x->slot[at] - 1].hash, h))
        at = (at + 1) & x->mask;
    return &x->slot[at];
}

/* ---- superseded */
/* Does the earlier record stand against the later one? */
static bool counts_more(const struct item *earlier, const struct item *later)
{
    if (earlier->status != later->status) return earlier->status > later->status;
    if (!earlier->time || !later->time || earlier->time == later->time) return earlier->first;
    return earlier->time > later->time;
}

static bool take_study(const struct search *s, const struct block_key *k, struct item *item)
{
    (void)s;
    item->hash = k->study;
    return !is_none(k->study) || k->status == BLOCK_VOID;
}

static void mark_superseded(const struct index *x, const struct item *all, size_t n,
                            uint16_t *flags)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t *slot, other;
        if (all[i].status == BLOCK_VOID) flags[all[i].at] = RECORD_SUPERSEDED;
        if (is_none(all[i].hash)) continue;
        slot = find_slot(x, all, all[i].hash);
        other = *slot;
        if (other && counts_more(&all[other - 1], &all[i])) {
            flags[all[i].at] = RECORD_SUPERSEDED;
            continue;
        }
        if (other) flags[all[other - 1].at] = RECORD_SUPERSEDED;
        *slot = i + 1;
    }
}

/* ---- duplicates */
static bool take_norm(const struct search *s, const struct block_key *k, struct item *item)
{
    item->hash = k->norm;
    return !is_none(k->norm) && !s->flags[item->at];
}

static void mark_duplicates(const struct index *x, const struct item *all, size_t n,
                            uint16_t *flags)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t *slot = find_slot(x, all, all[i].hash);
        if (*slot)
            flags[all[i].at] = RECORD_DUPLICATE;
        else
            *slot = i + 1;
    }
}

/* One search: what it marks is added to the flags of all. A record is marked by one rank, its
 * hash's. Collective. */
static bool search(struct search *s,
                   void (*mark)(const struct index *x, const struct item *all, size_t n,
                                uint16_t *flags),
                   uint16_t *flags, struct err *e)
{
    size_t words = s->o->records / 4 + 1, n = 0;
    uint64_t *found = mem_calloc(words, sizeof *found, e);
    struct item *items = NULL;
    struct index x = {0};
    bool ok = comm_agree(s->c, found != NULL, e) && deal(s, &items, &n, e) &&
              comm_agree(s->c, index_init(&x, n, e), e);

    if (ok) {
        mark(&x, items, n, (uint16_t *)(void *)found);
        comm_sum_u64(s->c, found, words);
        for (uint64_t i = 0; i < s->o->records; i++)
            flags[i] |= ((uint16_t *)(void *)found)[i];
    }
    mem_free(x.slot);
    mem_free(items);
    mem_free(found);
    return ok;
}

bool dedup_flags(struct comm *c, const struct block_order *o, const struct block_list *l,
                 uint16_t **out, struct err *e)
{
    uint16_t *flags = mem_calloc(o->records + 1, sizeof *flags, e);
    struct search s = {.c = c, .o = o, .l = l, .flags = flags, .take = take_study};
    bool ok = comm_agree(c, flags != NULL, e) && search(&s, mark_superseded, flags, e);

    s.take = take_norm;
    ok = ok && search(&s, mark_duplicates, flags, e);
    *out = ok ? flags : NULL;
    if (!ok) mem_free(flags);
    return ok;
}

/* ---- patients in two splits */
static bool take_patient(const struct search *s, const struct block_key *k, struct item *item)
{
    (void)s;
    item->hash = (struct hash128){k->patient, k->patient};
    return k->patient && k->split != SPLIT_NONE;
}

static uint64_t count_crossing(const struct index *x, struct item *all, size_t n)
{
    uint64_t crossing = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t *slot = find_slot(x, all, all[i].hash);
        struct item *other = *slot ? &all[*slot - 1] : NULL;
        if (!other) *slot = i + 1;
        if (!other || other->split == all[i].split || other->split == SPLIT_NONE) continue;
        other->split = SPLIT_NONE; /* counted */
        crossing++;
    }
    return crossing;
}

bool dedup_crossing(struct comm *c, const struct block_list *l, uint64_t *patients, struct err *e)
{
    struct search s = {.c = c, .l = l, .take = take_patient};
    struct item *items = NULL;
    struct index x = {0};
    size_t n = 0;
    bool ok = deal(&s, &items, &n, e) && comm_agree(c, index_init(&x, n, e), e);

    *patients = ok ? count_crossing(&x, items, n) : 0;
    if (ok) comm_sum_u64(c, patients, 1);
    mem_free(x.slot);
    mem_free(items);
    return ok;
}
