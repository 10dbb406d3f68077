#include "ingest/heads.h"

#include <stdlib.h>

#include "base/mem.h"

static const uint32_t ANY = UINT32_MAX; /* as a source */
/* The records of one source, or of any, with one normalised text; and the first of them. */
struct group {
    struct hash128 norm;
    uint32_t source, block, row;
    struct str study;
    bool found;
};
struct heads {
    struct group *v; /* sorted, each once */
    size_t n, cap;
    struct arena arena;
};

static const size_t arena_bytes = (size_t)1 << 36;

static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->norm.hi != y->norm.hi) return x->norm.hi < y->norm.hi ? -1 : 1;
    if (x->norm.lo != y->norm.lo) return x->norm.lo < y->norm.lo ? -1 : 1;
    return (x->source > y->source) - (x->source < y->source);
}

static struct group *find(const struct heads *h, struct hash128 norm, uint32_t source)
{
    struct group key = {.norm = norm, .source = source};
    return h->n ? bsearch(&key, h->v, h->n, sizeof *h->v, compare_groups) : NULL;
}

struct visit {
    uint32_t source, block, row;
};
typedef bool (*visit_fn)(struct heads *h, const struct visit *at, const struct record *r,
                         struct err *e);

static bool each_record(const struct record_corpus *c, struct heads *h, visit_fn fn, struct err *e)
{
    for (size_t b = 0; b < c->nblocks; b++) {
        struct visit at = {.source = c->blocks[b].source_index, .block = c->blocks[b].block_index};
        struct record_reader *reader;
        struct record r;
        bool ok = true;
        if (!record_block_open(&c->blocks[b], &reader, e)) return false;
        for (size_t i = 0; ok && i < record_reader_count(reader); i++) {
            record_reader_get(reader, i, &r);
            at.row = (uint32_t)i;
            ok = fn(h, &at, &r, e);
        }
        record_reader_close(reader);
        if (!ok) return false;
    }
    return true;
}

static bool note_duplicate(struct heads *h, const struct visit *at, const struct record *r,
                           struct err *e)
{
    if (!(r->flags & RECORD_DUPLICATE)) return true;
    if (!mem_grow((void **)&h->v, &h->cap, h->n + 2, sizeof *h->v, e)) return false;
    h->v[h->n++] = (struct group){.norm = r->hash_norm, .source = at->source};
    h->v[h->n++] = (struct group){.norm = r->hash_norm, .source = ANY};
    return true;
}

static void unite(struct heads *h)
{
    size_t kept = 0;

    if (h->n == 0) return;
    qsort(h->v, h->n, sizeof *h->v, compare_groups);
    for (size_t i = 0; i < h->n; i++) {
        if (kept && compare_groups(&h->v[i], &h->v[kept - 1]) == 0) continue;
        h->v[kept++] = h->v[i];
    }
    h->n = kept;
}

static bool note_head(struct heads *h, const struct visit *at, const struct record *r,
                      struct err *e)
{
    const uint32_t sources[] = {at->source, ANY};

    if (r->flags & RECORD_SUPERSEDED) return true;
    for (size_t i = 0; i < 2; i++) {
        struct group *g = find(h, r->hash_norm, sources[i]);
        if (!g || g->found) continue;
        g->found = true;
        g->block = at->block;
        g->row = at->row;
        if (!arena_str(&h->arena, r->study, &g->study, e)) return false;
    }
    return true;
}

bool heads_open(const struct record_corpus *c, struct heads **out, struct err *e)
{
    struct heads *h = mem_calloc(1, sizeof *h, e);
    bool ok;

    *out = NULL;
    if (!h) return false;
    arena_init(&h->arena, arena_bytes);
    ok = each_record(c, h, note_duplicate, e);
    unite(h);
    if (ok && h->n > 0) ok = each_record(c, h, note_head, e);
    if (ok)
        *out = h;
    else
        heads_close(h);
    return ok;
}

struct str heads_study(const struct heads *h, const struct record_block *block, size_t row,
                       const struct record *r)
{
    const struct group *g = find(h, r->hash_norm, block->source_index);

    /* The first of its source repeats another source's. */
    if (g && g->block == block->block_index && g->row == row) g = find(h, r->hash_norm, ANY);
    return g && g->study.p ? g->study : (struct str){"", 0};
}

void heads_close(struct heads *h)
{
    if (!h) return;
    mem_free(h->v);
    arena_free(&h->arena);
    mem_free(h);
}
