#include "ingest/order.h"

#include <stdlib.h>

#include "base/mem.h"

static int compare(const void *a, const void *b)
{
    const struct block_fact *x = a, *y = b;

    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->block > y->block) - (x->block < y->block);
}

static uint64_t place_of(const struct block_order *o, const uint64_t *first,
                         const struct block_fact *f)
{
    const struct block_fact *at = bsearch(f, o->facts, o->n, sizeof *f, compare);

    CHECK(at);
    return first[at - o->facts];
}

/* facts are as the ranks have them. */
static bool sort(struct block_order *o, struct err *e)
{
    size_t bytes = o->n * sizeof *o->facts;
    struct block_fact *given = mem_alloc(bytes + 1, e);
    uint64_t *first = given ? mem_alloc((o->n + 1) * sizeof *first, e) : NULL;

    o->to = first ? mem_alloc((o->n + 1) * sizeof *o->to, e) : NULL;
    o->count = o->to ? mem_alloc((o->n + 1) * sizeof *o->count, e) : NULL;
    if (o->count) {
        if (bytes) memcpy(given, o->facts, bytes);
        if (o->n) qsort(o->facts, o->n, sizeof *o->facts, compare);
        for (size_t i = 0; i < o->n; i++) {
            first[i] = o->records;
            o->records += o->facts[i].records;
        }
        o->straight = true;
        for (size_t i = 0; i < o->n; i++) {
            o->to[i] = place_of(o, first, &given[i]);
            o->count[i] = given[i].records;
            if (i > 0 && compare(&given[i - 1], &given[i]) > 0) o->straight = false;
        }
    }
    mem_free(given);
    mem_free(first);
    return o->count != NULL;
}

bool order_open(struct comm *c, const struct block_list *l, struct block_order *out, struct err *e)
{
    size_t *counts = mem_calloc((size_t)comm_size(c), sizeof *counts, e), bytes = 0;
    void *all = NULL;
    bool ok = comm_agree(c, counts != NULL, e) &&
              comm_allgatherv(c, l->facts, l->n * sizeof *l->facts, &all, &bytes, counts, e);

    if (ok) {
        out->facts = all;
        out->n = bytes / sizeof *out->facts;
        for (int r = 0; r < comm_rank(c); r++)
            out->mine += counts[r] / sizeof *out->facts;
        ok = comm_agree(c, sort(out, e), e);
    }
    mem_free(counts);
    return ok;
}

bool order_gather(struct comm *c, const struct block_order *o, const void *items, size_t n,
                  size_t each, void **out, struct err *e)
{
    void *given = NULL;
    size_t bytes;
    char *to;

    *out = NULL;
    if (!comm_allgatherv(c, items, n * each, &given, &bytes, NULL, e)) return false;
    CHECK(bytes == o->records * each);
    if (o->straight) {
        *out = given;
        return true;
    }
    to = mem_alloc(bytes + 1, e);
    for (size_t i = 0, at = 0; to && i < o->n; at += o->count[i++] * each)
        memcpy(to + o->to[i] * each, (char *)given + at, o->count[i] * each);
    mem_free(given);
    *out = to;
    return comm_agree(c, to != NULL, e);
}

void order_close(struct block_order *o)
{
    mem_free(o->facts);
    mem_free(o->to);
    mem_free(o->count);
    memset(o, 0, sizeof *o);
}
