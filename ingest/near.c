#include "ingest/near.h"

#include <limits.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"

enum {
    MINIMA = 64,
    BANDS = 16,
    ROWS = MINIMA / BANDS,
    SHINGLE = 3,
    MAX_CHAIN = 64,
};

struct signature {
    uint16_t min[MINIMA];
    struct hash128 norm; /* 0, 0: takes no part */
};

/* ---- signatures */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint8_t folded(char c)
{
    if (c >= '0' && c <= '9') return '0';
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_word(char c)
{
    uint8_t f = folded(c);
    return f >= 0x80 || f == '0' || (f >= 'a' && f <= 'z');
}

/* Hash of the next word at or after *at; 0: there is none. */
static uint64_t next_word(struct str s, size_t *at)
{
    uint64_t h = 14695981039346656037u;
    size_t i = *at, begin;

    while (i < s.n && !is_word(s.p[i]))
        i++;
    for (begin = i; i < s.n && is_word(s.p[i]); i++)
        h = (h ^ folded(s.p[i])) * 1099511628211u; /* FNV-1a */
    *at = i;
    return i > begin ? h | 1 : 0;
}

struct minima {
    uint32_t min[MINIMA];
    uint32_t a[MINIMA], b[MINIMA];
};

static void minima_init(struct minima *m)
{
    for (uint32_t i = 0; i < MINIMA; i++) {
        m->a[i] = (uint32_t)mix(2 * i + 1) | 1;
        m->b[i] = (uint32_t)mix(2 * i + 2);
    }
}

static void put_shingle(struct minima *m, uint64_t h)
{
    uint32_t x = (uint32_t)mix(h);

    for (size_t i = 0; i < MINIMA; i++) {
        uint32_t v = x * m->a[i] + m->b[i];
        m->min[i] = v < m->min[i] ? v : m->min[i];
    }
}

static size_t put_text(struct minima *m, struct str text, uint64_t seed)
{
    uint64_t run = seed, before[SHINGLE - 1] = {0}, word;
    size_t n = 0;

    for (size_t at = 0; (word = next_word(text, &at)); n++) {
        run = mix(before[0] + 3 * before[1] + 7 * word + seed);
        before[0] = before[1];
        before[1] = word;
        if (n + 1 >= SHINGLE) put_shingle(m, run);
    }
    if (n > 0 && n < SHINGLE) put_shingle(m, run);
    return n;
}

static struct str section_text(const struct record *r, enum record_section s)
{
    return str_sub(r->text, r->section[s].offset, r->section[s].offset + r->section[s].length);
}

static void sign(struct minima *m, const struct record *r, struct signature *out)
{
    size_t words;

    memset(m->min, 0xff, sizeof m->min);
    words = put_text(m, section_text(r, SEC_FINDINGS), 1);
    words += put_text(m, section_text(r, SEC_IMPRESSION), 2);
    for (size_t i = 0; i < MINIMA; i++)
        out->min[i] = (uint16_t)m->min[i];
    out->norm = words > 0 ? r->hash_norm : (struct hash128){0, 0};
}

/* Signatures of this rank's records, in order. */
static bool sign_all(const struct late_corpus *c, const struct block_order *o,
                     const struct block_list *l, const uint16_t *all, struct signature *out,
                     struct err *e)
{
    struct minima m;
    char path[PATH_MAX];

    minima_init(&m);
    for (size_t i = 0; i < l->n; i++) {
        const struct block_fact *f = &l->facts[i];
        const uint16_t *flags = all + o->to[o->mine + i];
        struct record_reader *reader;
        struct record r;
        (void)snprintf(path, sizeof path, "%s/%s", c->dirs[f->source], f->name);
        if (!record_reader_open(path, &reader, e)) return false;
        for (size_t k = 0; k < record_reader_count(reader); k++, out++, flags++) {
            record_reader_get(reader, k, &r);
            if (!(*flags & (RECORD_DUPLICATE | RECORD_SUPERSEDED))) sign(&m, &r, out);
        }
        record_reader_close(reader);
    }
    return true;
}

/* ---- groups */
/* Chains of heads by band: slot holds a place in the pool + 1. Links say which band they are of, so
 * that a signature, which is seldom in the cache, is looked at only if a whole band is the same. */
struct link {
    uint64_t band; /* band_hash */
    uint32_t head, next;
};
struct bands {
    uint32_t *slot;
    size_t mask;
    struct link *pool;
    size_t n, cap;
    uint32_t *seen; /* by head: the last record it was compared with, + 1 */
};

static uint64_t band_hash(const struct signature *s, size_t band)
{
    uint64_t h = 0;

    memcpy(&h, &s->min[band * ROWS], ROWS * sizeof s->min[0]);
    return mix(h + band * UINT64_C(0x9e3779b97f4a7c15));
}

static double similarity(const struct signature *a, const struct signature *b)
{
    unsigned same = 0;

    for (size_t i = 0; i < MINIMA; i++)
        same += a->min[i] == b->min[i];
    return (double)same / MINIMA;
}

/* Heads that have a band of the record's, each once. All chains are walked side by side, and what
 * comes next is fetched ahead: nearly every look is at memory far away. */
static size_t list_heads(const struct bands *t, const struct signature *all, uint32_t now,
                         const uint64_t hash[BANDS], uint32_t out[BANDS * MAX_CHAIN])
{
    uint32_t at[BANDS];
    size_t n = 0, heads = 0;
    bool more = true;

    for (size_t band = 0; band < BANDS; band++)
        at[band] = t->slot[hash[band] & t->mask];
    for (size_t steps = 0; more && steps < MAX_CHAIN; steps++) {
        more = false;
        for (size_t band = 0; band < BANDS; band++) {
            const struct link *l = &t->pool[at[band] - (at[band] > 0)];
            if (at[band] == 0) continue;
            if (l->band == hash[band]) {
                out[n++] = l->head;
                __builtin_prefetch(&t->seen[l->head]);
            }
            at[band] = l->next;
            if (l->next == 0) continue;
            __builtin_prefetch(&t->pool[l->next - 1]);
            more = true;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (t->seen[out[i]] == now) continue;
        t->seen[out[i]] = now;
        __builtin_prefetch(&all[out[i]].min[0]);
        __builtin_prefetch(&all[out[i]].min[MINIMA / 2]);
        __builtin_prefetch(&all[out[i]].min[MINIMA - 1]);
        out[heads++] = out[i];
    }
    return heads;
}

/* The first head that is alike enough. hash: of the record's bands. */
static bool find_head(const struct bands *t, const struct signature *all, uint64_t record,
                      const uint64_t hash[BANDS], double threshold, struct near_pair *out)
{
    uint32_t head[BANDS * MAX_CHAIN];
    size_t n = t->pool ? list_heads(t, all, (uint32_t)record + 1, hash, head) : 0;

    out->head = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        double s;
        if (head[i] >= out->head) continue;
        s = similarity(&all[head[i]], &all[record]);
        if (s >= threshold)
            *out = (struct near_pair){record, head[i], s, {all[record].norm, all[head[i]].norm}};
    }
    return out->head != UINT64_MAX;
}

static bool put_head(struct bands *t, uint64_t record, const uint64_t hash[BANDS], struct err *e)
{
    if (t->n > UINT32_MAX - BANDS)
        return err_set(e, ERR_LIMIT, "near-duplicates: more than %u different reports",
                       UINT32_MAX / BANDS);
    if (!mem_grow((void **)&t->pool, &t->cap, t->n + BANDS, sizeof *t->pool, e)) return false;
    for (size_t band = 0; band < BANDS; band++) {
        uint32_t *slot = &t->slot[hash[band] & t->mask];
        t->pool[t->n++] = (struct link){hash[band], (uint32_t)record, *slot};
        *slot = (uint32_t)t->n;
    }
    return true;
}

static bool put_pair(struct near_pairs *p, const struct near_pair *x, struct err *e)
{
    if (!mem_grow((void **)&p->v, &p->cap, p->n + 1, sizeof *p->v, e)) return false;
    p->v[p->n++] = *x;
    return true;
}

static bool group(const struct signature *all, size_t n, double threshold, struct near_pairs *out,
                  struct err *e)
{
    struct bands t = {0};
    size_t size = 16;
    bool ok;

    while (size < 4 * n)
        size *= 2;
    t.mask = size - 1;
    if (n >= UINT32_MAX) return err_set(e, ERR_LIMIT, "near-duplicates: more than 2^32 reports");
    t.slot = mem_calloc(size, sizeof *t.slot, e);
    t.seen = t.slot ? mem_calloc(n + 1, sizeof *t.seen, e) : NULL;
    ok = t.seen != NULL;
    for (uint64_t i = 0; ok && i < n; i++) {
        struct near_pair pair;
        uint64_t hash[BANDS];
        if (all[i].norm.lo == 0 && all[i].norm.hi == 0) continue;
        for (size_t band = 0; band < BANDS; band++) {
            hash[band] = band_hash(&all[i], band);
            __builtin_prefetch(&t.slot[hash[band] & t.mask]);
        }
        if (find_head(&t, all, i, hash, threshold, &pair))
            ok = put_pair(out, &pair, e);
        else
            ok = put_head(&t, i, hash, e);
    }
    mem_free(t.seen);
    mem_free(t.slot);
    mem_free(t.pool);
    return ok;
}

bool near_find(struct comm *c, const struct late_corpus *corpus, const struct block_order *o,
               const struct block_list *l, uint16_t *flags, struct near_pairs *out, struct err *e)
{
    struct signature *mine = mem_calloc(l->nkeys + 1, sizeof *mine, e);
    void *all = NULL;
    bool ok = mine && sign_all(corpus, o, l, flags, mine, e);

    ok = comm_agree(c, ok, e) && order_gather(c, o, mine, l->nkeys, sizeof *mine, &all, e);
    mem_free(mine);
    ok = ok && comm_agree(c, group(all, o->records, corpus->near, out, e), e);
    for (size_t i = 0; ok && i < out->n; i++)
        flags[out->v[i].record] |= RECORD_NEAR_DUPLICATE;
    mem_free(all);
    return ok;
}

/* ---- the list */
struct place {
    const char *source;
    uint64_t block, row;
};

/* first[i]: ordinal of the first record of block i. */
static struct place place_of(const struct late_corpus *c, const struct block_fact *facts,
                             const uint64_t *first, size_t n, uint64_t record)
{
    size_t low = 0, high = n, block = 0;

    while (low + 1 < high) {
        size_t mid = low + (high - low) / 2;
        if (first[mid] <= record)
            low = mid;
        else
            high = mid;
    }
    /* Empty blocks begin where the next one does: the last that begins there holds it. */
    for (size_t i = low; i-- > 0 && facts[i].source == facts[low].source;)
        block++;
    return (struct place){c->names[facts[low].source], block, record - first[low]};
}

static bool put_lines(const struct late_corpus *c, const struct block_fact *facts, size_t n,
                      const uint64_t *first, const struct near_pairs *pairs, struct fs_writer *w,
                      struct err *e)
{
    struct sbuf line;
    bool ok = true;

    sbuf_init(&line, 1024);
    for (size_t i = 0; ok && i < pairs->n; i++) {
        struct place a = place_of(c, facts, first, n, pairs->v[i].record);
        struct place b = place_of(c, facts, first, n, pairs->v[i].head);
        sbuf_clear(&line);
        ok = sbuf_printf(&line, e,
                         "{\"id\": \"%s:%llu:%llu\", \"head\": \"%s:%llu:%llu\", "
                         "\"similarity\": %.3f}\n",
                         a.source, (unsigned long long)a.block, (unsigned long long)a.row, b.source,
                         (unsigned long long)b.block, (unsigned long long)b.row,
                         pairs->v[i].similarity) &&
             fs_writer_put(w, line.p, line.n, e);
    }
    sbuf_free(&line);
    return ok;
}

bool near_write(const struct late_corpus *c, const struct block_fact *facts, size_t n,
                const struct near_pairs *pairs, struct err *e)
{
    uint64_t *first = mem_calloc(n + 1, sizeof *first, e);
    struct fs_writer *w = NULL;
    const char *path;
    struct arena a;
    bool ok = false;

    arena_init(&a, 64 << 10);
    if (!first || !fs_join(&a, c->dir, "near.jsonl", &path, e)) goto out;
    if (pairs->n == 0) {
        ok = fs_remove(path, e);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        first[i + 1] = first[i] + facts[i].records;
    if (!fs_writer_open(path, &w, e)) goto out;
    if (!put_lines(c, facts, n, first, pairs, w, e)) goto out;
    ok = fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    mem_free(first);
    arena_free(&a);
    return ok;
}
