/*
 * The pieces as a double array (Aoe 1989; the shape darts-clone has): a tree of bytes in which the
 * child by byte c of a node with base b is the unit b ^ code(c), if that unit is in use and knows
 * the code. No two nodes share a base, so code and "in use" are proof enough. A step is one read of
 * eight bytes and nothing is hashed.
 *
 * What a step costs is the way to memory, so nodes that are visited together lie together: codes
 * are bytes by their frequency in the pieces, which brings the children of a node into one or two
 * cache lines; the first bytes of all pieces are placed first, side by side; below them a node's
 * children are put near it where there is room, depth first; else among the last places that are
 * free, else into a new block. Block 0 (256 units) holds the root alone:
 * leaves have base 0 and find no child there.
 */
#include <math.h>

#include "base/mem.h"
#include "text/tok_impl.h"

#define BLOCK     256u
#define MAX_UNITS (1u << (32 - TOK_TRIE_BASE))
#define NEAR      32u /* units: four cache lines */
#define TOP       3u  /* bytes deep: the nodes that most words go through */
#define TRIES     200 /* free places looked at elsewhere */

struct entry {
    struct str s;
    uint32_t id;
};
/* Entries [lo, hi) go through `node`; their first `depth` bytes are behind them. */
struct range {
    uint32_t node, lo, hi, depth;
};
/* A unit's place in the ring of free ones; unit 0 is the ring's head. */
struct place {
    uint32_t prev, next;
    bool base_taken, used;
};
struct builder {
    const uint8_t *code; /* of each byte */
    struct entry *entry;
    uint32_t n;
    struct tok_unit *unit;
    struct place *place;
    size_t unit_cap, place_cap;
    uint32_t units;
    struct range *stack;
    size_t depth, stack_cap;
};

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(((const struct entry *)a)->s, ((const struct entry *)b)->s);
}

/* Another block of free units at the new end of the ring. */
static bool add_block(struct builder *b, struct err *e)
{
    if (b->units == MAX_UNITS)
        return err_set(e, ERR_LIMIT, "the vocabulary's pieces have too many beginnings");
    size_t need = (size_t)b->units + BLOCK;
    if (!mem_grow((void **)&b->unit, &b->unit_cap, need, sizeof(*b->unit), e) ||
        !mem_grow((void **)&b->place, &b->place_cap, need, sizeof(*b->place), e))
        return false;
    memset(b->unit + b->units, 0, BLOCK * sizeof(*b->unit));
    memset(b->place + b->units, 0, BLOCK * sizeof(*b->place));
    for (uint32_t i = b->units; b->units > 0 && i < need; i++) {
        uint32_t last = b->place[0].prev;
        b->place[i].prev = last;
        b->place[i].next = 0;
        b->place[last].next = b->place[0].prev = i;
    }
    b->units = (uint32_t)need;
    return true;
}

static void take(struct builder *b, uint32_t i)
{
    struct place *p = &b->place[i];

    b->place[p->prev].next = p->next;
    b->place[p->next].prev = p->prev;
    p->used = true;
}

static bool fits(const struct builder *b, uint32_t base, const uint8_t *label, size_t n)
{
    if (b->place[base].base_taken) return false;
    for (size_t k = 0; k < n; k++)
        if (b->place[base ^ label[k]].used) return false;
    return true;
}

/* A base whose units for all these labels are free; near the parent if there is one. */
static bool find_base(struct builder *b, uint32_t parent, const uint8_t *label, size_t n,
                      uint32_t *base, struct err *e)
{
    uint32_t at = b->place[0].prev;

    for (uint32_t k = 0; parent >= BLOCK && k < NEAR; k++) {
        *base = (parent ^ k) ^ label[0]; /* the nearest line first */
        if (fits(b, *base, label, n)) return true;
    }
    for (int k = 0; k < TRIES && at != 0; k++, at = b->place[at].prev) {
        *base = at ^ label[0];
        if (fits(b, *base, label, n)) return true;
    }
    *base = b->units;
    return add_block(b, e);
}

static uint8_t code_at(const struct builder *b, uint32_t i, uint32_t depth)
{
    return b->code[(uint8_t)b->entry[i].s.p[depth]];
}

/* The different codes behind `depth` in a range; an entry that ends there is the node's own. */
static size_t find_labels(struct builder *b, struct range *r, uint8_t *label)
{
    size_t n = 0;

    if (b->entry[r->lo].s.n == r->depth) b->unit[r->node].id = b->entry[r->lo++].id;
    for (uint32_t i = r->lo; i < r->hi; i++) {
        uint8_t c = code_at(b, i, r->depth);
        if (n == 0 || label[n - 1] != c) label[n++] = c;
    }
    return n;
}

static bool place_children(struct builder *b, struct range r, struct err *e)
{
    uint8_t label[256];
    size_t n = find_labels(b, &r, label);
    uint32_t base, i = r.lo;

    if (n == 0) return true;
    if (!find_base(b, r.node, label, n, &base, e)) return false;
    if (!mem_grow((void **)&b->stack, &b->stack_cap, b->depth + n, sizeof(*b->stack), e))
        return false;
    b->place[base].base_taken = true;
    b->unit[r.node].link |= base << TOK_TRIE_BASE;
    for (size_t k = 0; k < n; k++) {
        uint32_t to = base ^ label[k], lo = i;
        take(b, to);
        b->unit[to].link = TOK_TRIE_USED | label[k];
        while (i < r.hi && code_at(b, i, r.depth) == label[k])
            i++;
        b->stack[b->depth++] = (struct range){to, lo, i, r.depth + 1};
    }
    return true;
}

static bool sort_entries(struct builder *b, const struct tokenizer *t, struct err *e)
{
    b->entry = mem_calloc((size_t)t->n + 1, sizeof(*b->entry), e);
    if (!b->entry) return false;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct tok_piece *p = &t->piece[i];
        if (!(p->flags & TOK_P_VOCAB) || !(p->flags & TOK_P_MAPPED)) continue;
        uint32_t mark = p->flags & TOK_P_SPECIAL ? TOK_TRIE_SPECIAL : 0;
        b->entry[b->n++] = (struct entry){p->bytes, (i + 1) | mark};
    }
    if (b->n > 0) qsort(b->entry, b->n, sizeof(*b->entry), by_bytes);
    return true;
}

/* Codes of the bytes, the most frequent one first. */
static void find_codes(const struct builder *b, uint8_t *code)
{
    uint32_t count[256] = {0};
    bool done[256] = {false};

    for (uint32_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->entry[i].s.n; k++)
            count[(uint8_t)b->entry[i].s.p[k]]++;
    for (int rank = 0; rank < 256; rank++) {
        int best = -1;
        for (int c = 0; c < 256; c++)
            if (!done[c] && (best < 0 || count[c] > count[best])) best = c;
        done[best] = true;
        code[best] = (uint8_t)rank;
    }
}

/* A score as a float and a correction in the link, so that a step is one read all the same: files
 * hold floats, and reading them as the reference does (tok_json.c) is off by a unit at most. */
static bool put_score(struct tok_unit *u, double score)
{
    double rounded = (double)(float)score;
    int64_t is, was;

    memcpy(&is, &score, sizeof(is));
    memcpy(&was, &rounded, sizeof(was));
    u->score = (float)score;
    if (is - was < -1 || is - was > 1) return false;
    u->link |= (uint32_t)(is - was + 1) << TOK_TRIE_ULP;
    return true;
}

static bool put_scores(struct tokenizer *t, struct tok_unit *unit, uint32_t n, struct err *e)
{
    uint32_t *id = tok_table(t, n * sizeof(*id), e);

    if (!id) return false;
    t->trie.id = id;
    t->trie.near = true;
    for (uint32_t i = 0; i < n; i++) {
        id[i] = unit[i].id;
        bool none = id[i] == 0 || (id[i] & TOK_TRIE_SPECIAL);
        t->trie.near &= put_score(&unit[i], none ? -INFINITY : t->score[id[i] - 1]);
    }
    return true;
}

bool tok_trie_build(struct tokenizer *t, struct err *e)
{
    struct builder b = {.code = t->trie.code};
    size_t top = 0;
    bool ok = false;

    if (!sort_entries(&b, t, e) || !add_block(&b, e)) goto out;
    find_codes(&b, t->trie.code);
    ok = b.n == 0 || place_children(&b, (struct range){0, 0, b.n, 0}, e);
    while (ok && top < b.depth && b.stack[top].depth < TOP) /* in order of depth */
        ok = place_children(&b, b.stack[top++], e);
    while (ok && b.depth > top)
        ok = place_children(&b, b.stack[--b.depth], e);
    if (!ok) goto out;
    struct tok_unit *unit = tok_table(t, b.units * sizeof(*unit), e);
    if (unit) memcpy(unit, b.unit, b.units * sizeof(*unit));
    t->trie.unit = unit;
    ok = unit && (t->engine != TOK_UNIGRAM || put_scores(t, unit, b.units, e));
out:
    mem_free(b.entry);
    mem_free(b.unit);
    mem_free(b.place);
    mem_free(b.stack);
    return ok;
}
