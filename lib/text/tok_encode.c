/*
 * From text to ids: added tokens, words, the cache of words, and the merge engine for what the
 * cache does not hold. Reports repeat themselves: 98 % of their words are in the cache.
 *
 * A stretch is text between two added tokens. What a normaliser does to it is put off until a word
 * is not in the cache (T5, BERT), where a cut of the raw text commutes with it; otherwise (NFC, the
 * blank in front) it is done to the whole stretch first.
 *
 * Where a text has many words that the cache has not, they are learned first: those of a batch
 * together (tok_lanes.c, tok_unigram.c), so that they wait for memory side by side. Encoding then
 * finds them in the cache, or goes its usual way; so what is learned need not be what the text
 * holds (learn_ahead), only right.
 *
 * The cache never changes a result; it is per thread and bounded:
 *   short words (up to 15 bytes): one 32-byte slot, two slots a cache line; a newcomer pushes the
 *     first one to the second place, and the second one to another line of its own, where it is
 *     looked for before the engine is asked. More than 3 ids lie in a common block.
 *   longer ones (up to 255 bytes): one of four slots and a place in another block.
 * When a block is full, all that is in it is forgotten.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#define SHORT_KEY   TOK_SHORT
#define SHORT_IDS   3
#define SHORT_LINES (1u << 15)
#define LONG_KEY    255
#define SPILL       (1u << 16) /* ids of short words that have more */
#define SPILL_IDS   15         /* most of one word */
#define LONG_SETS   (1u << 12)
#define LONG_WAYS   4
#define LONG_BLOCK  (3u << 19)
#define BATCH       256
#define LEARN       128
#define KEEP_BYTES  (1u << 20) /* scratch larger than this is given back after each text */

struct probe {
    struct tok_key key;
    uint32_t line;
};

struct short_slot {
    struct tok_key key;
    uint32_t ids[SHORT_IDS]; /* or, if n is larger, the first one's place in the spill */
    uint32_t n;
};
struct short_line {
    struct short_slot way[2];
};
struct long_slot {
    uint64_t hash; /* of the word, and of what else the ids depend on */
    uint32_t at;   /* in the block: key, then ids */
    uint16_t nkey, nids;
};

/* In huge pages, together. */
struct cache_tables {
    struct short_line lines[SHORT_LINES];
    uint32_t spill[SPILL];
    struct long_slot longs[LONG_SETS * LONG_WAYS];
    uint8_t block[LONG_BLOCK];
};

struct tok_cache {
    const struct tokenizer *t;
    struct cache_tables *tables;       /* owned; the four below lie in it */
    uint64_t pushed[SHORT_LINES / 64]; /* a bit a line: a word of it may lie in another one */
    struct short_line *lines;
    struct long_slot *longs;
    uint8_t *block;
    uint32_t *spill;
    uint32_t block_used, spill_used;
    struct tok_bpe bpe;
    struct sbuf repaired;    /* ill-formed input, mended */
    struct sbuf normalised;  /* a stretch in which added tokens are looked for */
    struct sbuf prefixed;    /* a stretch with a blank in front */
    const char *begin;       /* of the text being encoded */
    bool plain, next, ascii; /* the mode; no byte of the text is 0x80 or above */
    uint64_t missed;         /* words that were not in the cache, ever */
    bool many;               /* among those of the last text */
    bool learn, ahead;       /* look for them first, in the whole text */
    uint64_t tag;            /* part of every key: 1 where the mode matters */
};

void tok_cache_close(struct tok_cache *c)
{
    if (!c) return;
    mem_free(c->tables);
    tok_bpe_free(&c->bpe);
    sbuf_free(&c->repaired);
    sbuf_free(&c->normalised);
    sbuf_free(&c->prefixed);
    mem_free(c);
}

bool tok_cache_open(const struct tokenizer *t, struct tok_cache **out, struct err *e)
{
    struct tok_cache *c = mem_calloc(1, sizeof(*c), e);

    *out = NULL;
    if (!c) return false;
    c->t = t;
    c->many = true;
    tok_bpe_init(&c->bpe);
    sbuf_init(&c->repaired, 3 * (size_t)TOK_MAX_TEXT);
    sbuf_init(&c->normalised, 32 * (size_t)TOK_MAX_TEXT); /* NFC of one character: up to 4 */
    sbuf_init(&c->prefixed, 32 * (size_t)TOK_MAX_TEXT);
    c->tables = tok_pages(sizeof(*c->tables), e);
    if (!c->tables) {
        tok_cache_close(c);
        return false;
    }
    c->lines = c->tables->lines;
    c->longs = c->tables->longs;
    c->block = c->tables->block;
    c->spill = c->tables->spill;
    *out = c;
    return true;
}

/* ---- id lists */
void tok_ids_free(struct tok_ids *v)
{
    mem_free(v->ids);
    *v = (struct tok_ids){0};
}

bool tok_ids_reserve(struct tok_ids *v, size_t more, struct err *e)
{
    return v->cap - v->n >= more ||
           mem_grow((void **)&v->ids, &v->cap, v->n + more, sizeof(*v->ids), e);
}

bool tok_ids_put(struct tok_ids *v, uint32_t id, struct err *e)
{
    if (!tok_ids_reserve(v, 1, e)) return false;
    v->ids[v->n++] = id;
    return true;
}

static bool put_all(struct tok_ids *v, const uint32_t *ids, size_t n, struct err *e)
{
    if (n == 0) return true;
    if (!tok_ids_reserve(v, n, e)) return false;
    memcpy(v->ids + v->n, ids, n * sizeof(*ids));
    v->n += n;
    return true;
}

/* ---- longer words */
static bool long_word(struct tok_cache *c, const char *p, size_t n, struct tok_ids *out,
                      struct err *e)
{
    size_t first = out->n, nids;
    uint64_t hash = hash_xxh64(p, n, c->tag);
    struct long_slot *set = &c->longs[hash % LONG_SETS * LONG_WAYS];

    for (struct long_slot *s = set; s < set + LONG_WAYS; s++) {
        if (s->hash != hash || s->nkey != n || memcmp(c->block + s->at, p, n) != 0) continue;
        if (!tok_ids_reserve(out, s->nids, e)) return false;
        if (s->nids > 0)
            memcpy(out->ids + out->n, c->block + s->at + n, s->nids * sizeof(*out->ids));
        out->n += s->nids;
        return true;
    }
    if (!tok_word(c->t, &c->bpe, (struct str){p, n}, c->plain, out, e)) return false;
    nids = out->n - first;
    size_t need = n + nids * sizeof(*out->ids);
    if (c->block_used + need > LONG_BLOCK) {
        memset(c->longs, 0, LONG_SETS * LONG_WAYS * sizeof(*c->longs));
        c->block_used = 0;
    }
    memmove(set + 1, set, (LONG_WAYS - 1) * sizeof(*set));
    *set = (struct long_slot){hash, c->block_used, (uint16_t)n, (uint16_t)nids};
    memcpy(c->block + set->at, p, n);
    if (nids > 0) memcpy(c->block + set->at + n, out->ids + first, nids * sizeof(*out->ids));
    c->block_used += (uint32_t)need;
    return true;
}

/* ---- short words */
/* Sixteen bytes from keep_bytes + 16 - n are n ones, then zeros. */
#define ONES_16 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
static const uint8_t keep_bytes[32] = {ONES_16};
/* n <= SHORT_KEY bytes at p; `room` bytes may be read there. Reading sixteen and masking saves a
 * copy of unknown length. */
static inline struct tok_key key_of(const char *p, size_t n, size_t room)
{
    uint64_t w[2] = {0, 0}, keep[2];

    if (__builtin_expect(room >= 16, 1))
        memcpy(w, p, 16);
    else
        memcpy(w, p, n);
    memcpy(keep, keep_bytes + 16 - n, 16);
    return (struct tok_key){w[0] & keep[0], (w[1] & keep[1]) | (uint64_t)n << TOK_LAST_BYTE};
}

/* The key of a word's first n bytes. */
static inline struct tok_key shorter(struct tok_key k, size_t n)
{
    uint64_t keep[2];

    memcpy(keep, keep_bytes + 16 - n, 16);
    return (struct tok_key){k.lo & keep[0], (k.hi & keep[1]) | (uint64_t)n << TOK_LAST_BYTE};
}

static inline uint32_t key_line(struct tok_key k)
{
    return (uint32_t)((k.lo ^ k.hi * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u >> 49);
}

/* Where a word goes that was pushed out of its line. */
static uint32_t other_line(struct tok_key k)
{
    return (uint32_t)((k.hi ^ k.lo * 0xD6E8FEB86659FD93u) * 0x9E3779B97F4A7C15u >> 49);
}

static bool same_key(struct tok_key a, struct tok_key b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* The ids of a slot, behind those that are there; the room is. */
static inline void put_slot(const struct tok_cache *c, const struct short_slot *s,
                            struct tok_ids *out)
{
    if (__builtin_expect(s->n <= SHORT_IDS, 1)) /* and one more than needed */
        memcpy(out->ids + out->n, (const char *)s + sizeof(s->key), 16);
    else
        memcpy(out->ids + out->n, c->spill + s->ids[0], s->n * sizeof(*out->ids));
    out->n += s->n;
}

static inline uint64_t *pushed_word(struct tok_cache *c, size_t line, uint64_t *bit)
{
    *bit = (uint64_t)1 << line % 64;
    return &c->pushed[line / 64];
}

static void push_slot(struct tok_cache *c, struct short_line *line, struct short_slot s)
{
    struct short_slot out = line->way[1];

    line->way[1] = line->way[0];
    line->way[0] = s;
    if (out.key.hi == 0) return;
    c->lines[other_line(out.key)].way[1] = out;
    uint64_t bit, *word = pushed_word(c, key_line(out.key), &bit);
    *word |= bit;
}

static void keep_word(struct tok_cache *c, struct tok_key key, struct short_line *line,
                      const uint32_t *ids, uint32_t n)
{
    struct short_slot s = {.key = key, .n = n};

    if (n > SPILL_IDS) return; /* byte tokens: not worth it */
    if (n > SHORT_IDS) {
        if (c->spill_used + n > SPILL) {
            memset(c->lines, 0, SHORT_LINES * sizeof(*c->lines));
            memset(c->pushed, 0, sizeof(c->pushed));
            c->spill_used = 0;
        }
        s.ids[0] = c->spill_used;
        memcpy(c->spill + c->spill_used, ids, n * sizeof(*ids));
        c->spill_used += n;
    } else if (n > 0) {
        memcpy(s.ids, ids, n * sizeof(*ids));
    }
    push_slot(c, line, s);
}

static inline bool put_word(struct tok_cache *c, const struct probe *pr, const char *p, size_t n,
                            struct tok_ids *out, struct err *e);

/* The ids of a short word that is not in the cache. A report's words come with and without a full
 * stop behind them: Unigram finds the best path once. */
static bool new_word(struct tok_cache *c, const char *p, size_t n, struct tok_key key,
                     struct tok_ids *out, struct err *e)
{
    struct str word = {p, n};
    uint32_t id = TOK_NO_ID;

    if (c->t->engine == TOK_UNIGRAM && c->plain) id = tok_unigram_last(c->t, word);
    if (id != TOK_NO_ID) {
        struct tok_key k = shorter(key, n - 1);
        struct probe pr = {k, key_line(k)};
        return put_word(c, &pr, p, n - 1, out, e) && tok_ids_put(out, id, e);
    }
    id = tok_find_whole(c->t, key);
    return id == TOK_NO_ID ? tok_word(c->t, &c->bpe, word, c->plain, out, e)
                           : tok_ids_put(out, id, e);
}

/* A short word that is not in its line: from another one, else a piece, else from the engine; and
 * then kept. */
static __attribute__((noinline)) bool short_miss(struct tok_cache *c, const char *p, size_t n,
                                                 struct tok_key key, struct short_line *line,
                                                 struct tok_ids *out, struct err *e)
{
    const struct short_line *other = &c->lines[other_line(key)];
    size_t first = out->n;
    uint64_t bit, *pushed = pushed_word(c, (size_t)(line - c->lines), &bit);

    if (!tok_ids_reserve(out, 16, e)) return false;
    for (int w = 0; w < 2 && (*pushed & bit); w++) {
        if (!same_key(other->way[w].key, key)) continue;
        put_slot(c, &other->way[w], out);
        return true;
    }
    c->missed++;
    if (!new_word(c, p, n, key, out, e)) return false;
    keep_word(c, key, line, out->ids + first, (uint32_t)(out->n - first));
    return true;
}

static __attribute__((noinline)) bool other_word(struct tok_cache *c, const char *p, size_t n,
                                                 struct tok_ids *out, struct err *e)
{
    if (n > LONG_KEY) return tok_word(c->t, &c->bpe, (struct str){p, n}, c->plain, out, e);
    return long_word(c, p, n, out, e);
}

static inline bool in_line(const struct short_line *l, struct tok_key k)
{
    return same_key(l->way[0].key, k) || same_key(l->way[1].key, k);
}

/* A word that is not in the cache. */
struct unknown {
    struct probe probe; /* Unigram: of the word without its last byte, if that stands alone, */
    struct probe all;   /* and of all of it */
    const char *p;
    uint32_t n, last; /* the last byte's id, or TOK_NO_ID */
};

/* The ids of words into the cache. */
static void learn_ids(struct tok_cache *c, const struct unknown *u, uint32_t *ids, uint32_t n)
{
    struct short_line *line = &c->lines[u->probe.line];

    if (n == 0) return;
    if (!in_line(line, u->probe.key)) keep_word(c, u->probe.key, line, ids, n);
    line = &c->lines[u->all.line];
    if (u->last == TOK_NO_ID || in_line(line, u->all.key)) return;
    ids[n] = u->last;
    keep_word(c, u->all.key, line, ids, n + 1);
}

static void learn_some(struct tok_cache *c, const struct unknown *u, size_t n)
{
    struct tok_new_word word[LEARN];
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t ids[2] = {tok_find_whole(c->t, u[i].probe.key)};
        if (ids[0] != TOK_NO_ID) {
            learn_ids(c, &u[i], ids, 1);
        } else if (!in_line(&c->lines[u[i].probe.line], u[i].probe.key)) {
            word[left].p = u[i].p;
            word[left].n = u[i].n;
            word[left].nids = 0;
            word[left++].i = (uint32_t)i;
        }
    }
    if (c->t->engine == TOK_UNIGRAM)
        tok_unigram_many(c->t, word, left);
    else
        tok_lanes_bpe(c->t, word, left);
    for (size_t i = 0; i < left; i++)
        learn_ids(c, &u[word[i].i], word[i].ids, word[i].nids);
}

static inline void cut_last(struct tok_cache *c, struct unknown *u)
{
    u->last = tok_unigram_last(c->t, (struct str){u->p, u->n});
    if (u->last == TOK_NO_ID) return;
    u->probe.key = shorter(u->probe.key, --u->n);
    u->probe.line = key_line(u->probe.key);
    __builtin_prefetch(&c->lines[u->probe.line]);
}

/* Where words are met for the first time, those of a batch are found together, before they are
 * asked for one by one: what they wait for in memory is fetched side by side. */
static __attribute__((noinline)) void learn(struct tok_cache *c, struct str text, size_t from,
                                            const uint32_t *ends, const struct probe *probe,
                                            size_t k)
{
    struct unknown unknown[LEARN];
    uint64_t bit;
    size_t n = 0;

    for (size_t i = 0; i < k; from = ends[i++]) {
        size_t len = ends[i] - from;
        if (len > SHORT_KEY || in_line(&c->lines[probe[i].line], probe[i].key)) continue;
        if (*pushed_word(c, probe[i].line, &bit) & bit) continue;
        struct unknown *u = &unknown[n];
        *u = (struct unknown){probe[i], probe[i], text.p + from, (uint32_t)len, TOK_NO_ID};
        if (c->t->engine == TOK_UNIGRAM) cut_last(c, u);
        tok_fetch_whole(c->t, u->probe.key);
        c->missed++;
        if (++n < LEARN) continue;
        learn_some(c, unknown, n);
        n = 0;
    }
    learn_some(c, unknown, n);
}

static inline bool put_word(struct tok_cache *c, const struct probe *pr, const char *p, size_t n,
                            struct tok_ids *out, struct err *e)
{
    if (__builtin_expect(n > SHORT_KEY, 0)) return other_word(c, p, n, out, e);
    struct short_line *line = &c->lines[pr->line];
    const struct short_slot *s = line->way;
    /* without a branch: which of the two it is cannot be foreseen */
    s += ((s->key.lo ^ pr->key.lo) | (s->key.hi ^ pr->key.hi)) != 0;
    if (__builtin_expect(((s->key.lo ^ pr->key.lo) | (s->key.hi ^ pr->key.hi)) != 0, 0))
        return short_miss(c, p, n, pr->key, line, out, e);
    if (__builtin_expect(out->cap - out->n < 16, 0) && !tok_ids_reserve(out, 16, e)) return false;
    put_slot(c, s, out);
    return true;
}

/* The keys of a batch of words, and their cache lines on the way. */
static inline void make_probes(struct tok_cache *c, struct str text, size_t from,
                               const uint32_t *ends, struct probe *probe, size_t k)
{
    for (size_t i = 0; i < k; from = ends[i++]) {
        size_t n = ends[i] - from;
        probe[i] = (struct probe){0};
        if (n > SHORT_KEY) continue;
        probe[i].key = key_of(text.p + from, n, text.n - from);
        probe[i].key.hi ^= c->tag << (TOK_LAST_BYTE + 7);
        probe[i].line = key_line(probe[i].key);
        __builtin_prefetch(&c->lines[probe[i].line]);
    }
}

/* A stretch of text without added tokens, well-formed. Words come in batches, so that their cache
 * lines are on the way before they are looked at. */
static bool encode_words(struct tok_cache *c, struct str text, struct tok_ids *out, struct err *e)
{
    uint32_t ends[BATCH];
    struct probe probe[BATCH];
    size_t at = 0, k;

    while ((k = tok_split_words(c->t, text.p, text.n, at, ends, BATCH)) > 0) {
        make_probes(c, text, at, ends, probe, k);
        if (c->learn && !c->ahead) learn(c, text, at, ends, probe, k);
        for (size_t i = 0; i < k; at = ends[i++])
            if (!put_word(c, &probe[i], text.p + at, ends[i] - at, out, e)) return false;
    }
    CHECK(at == text.n);
    return true;
}

/* The words of a text as if it held no added tokens but runs of blanks: most of them are right, and
 * where these tokens are many (ModernBERT) the stretches between them hold too few words to be
 * learned together. A word that is none does no harm. */
static void learn_ahead(struct tok_cache *c, struct str text)
{
    uint32_t ends[BATCH];
    struct probe probe[BATCH];
    size_t at = 0, k;

    for (; (k = tok_split_words(c->t, text.p, text.n, at, ends, BATCH)) > 0; at = ends[k - 1]) {
        for (size_t i = 0; i < k; i++) /* the token takes the blank */
            ends[i] += ends[i] < text.n && text.p[ends[i]] == ' ' && text.p[ends[i] - 1] == ' ';
        make_probes(c, text, at, ends, probe, k);
        learn(c, text, at, ends, probe, k);
    }
}

/* A stretch of the text as it came, or as a normaliser with added tokens left it (`done`). */
static bool encode_stretch(struct tok_cache *c, struct str text, bool done, struct tok_ids *out,
                           struct err *e)
{
    const struct tokenizer *t = c->t;
    bool sp = t->engine == TOK_SP_BPE, prefix = t->prefix_space;
    bool nfc = t->norm == TOK_NORM_NFC && !done && !c->ascii;
    bool meta = sp && !c->ascii && str_find(text, STR(TOK_METASPACE), 0) != SIZE_MAX;

    if (text.n == 0) return true;
    if (t->prefix_first && text.p != c->begin) prefix = false;
    if (text.p[0] == ' ' || (sp && str_starts(text, STR(TOK_METASPACE)))) prefix = false;
    if (t->norm == TOK_NORM_PREPEND) prefix = !done;
    if (c->next && text.p == c->begin) prefix = false;
    if (!prefix && !nfc && !meta) return encode_words(c, text, out, e);
    sbuf_clear(&c->prefixed);
    if (prefix && !sbuf_putc(&c->prefixed, ' ', e)) return false;
    bool ok = nfc    ? tok_norm_nfc(text, &c->prefixed, e)
              : meta ? tok_norm_blanks(text, &c->prefixed, e)
                     : sbuf_put(&c->prefixed, text, e);
    return ok && encode_words(c, sbuf_str(&c->prefixed), out, e);
}

/* Text between the matches of one pass goes to the next pass, and in the end to the words. */
static bool encode_normalised(struct tok_cache *c, struct str text, struct tok_ids *out,
                              struct err *e)
{
    size_t at = 0, floor = 0;
    const struct tok_set *set = &c->t->set[1];
    struct tok_hit hit;
    bool done = c->t->norm != TOK_NORM_NONE;

    if (set->n == 0 || (c->plain && !set->any_plain)) return encode_stretch(c, text, false, out, e);
    if (done && !(c->t->norm == TOK_NORM_NFC && c->ascii)) {
        sbuf_clear(&c->normalised);
        if (!tok_norm_stretch(c->t, text, &c->normalised, e)) return false;
        text = sbuf_str(&c->normalised);
    }
    while (tok_added_next(c->t, 1, text, c->plain, floor, &at, &hit)) {
        if (!encode_stretch(c, str_sub(text, floor, hit.from), done, out, e)) return false;
        if (!tok_ids_put(out, hit.id, e)) return false;
        floor = hit.to;
    }
    return encode_stretch(c, str_sub(text, floor, text.n), done, out, e);
}

static bool encode_raw(struct tok_cache *c, struct str text, struct tok_ids *out, struct err *e)
{
    size_t at = 0, floor = 0;
    struct tok_hit hit;

    while (tok_added_next(c->t, 0, text, c->plain, floor, &at, &hit)) {
        if (!encode_normalised(c, str_sub(text, floor, hit.from), out, e)) return false;
        if (!tok_ids_put(out, hit.id, e)) return false;
        floor = hit.to;
    }
    return encode_normalised(c, str_sub(text, floor, text.n), out, e);
}

static void shrink(struct sbuf *b)
{
    size_t max = b->max_bytes;

    if (b->cap <= KEEP_BYTES) return;
    sbuf_free(b);
    sbuf_init(b, max);
}

bool tokenizer_encode(struct tok_cache *c, struct str text, enum tok_mode mode, struct tok_ids *out,
                      struct err *e)
{
    const struct tokenizer *t = c->t;
    size_t first = out->n;
    uint64_t bad = 0, missed = c->missed;
    bool ok = false;

    if (text.n > TOK_MAX_TEXT)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes, at most %u are encoded", text.n,
                       TOK_MAX_TEXT);
    c->ascii = utf8_ascii(text);
    if (!c->ascii && !utf8_valid(text)) {
        sbuf_clear(&c->repaired);
        if (!utf8_repair(text, &c->repaired, &bad, e)) return false;
        text = sbuf_str(&c->repaired);
    }
    c->begin = text.p;
    c->plain = mode == TOK_PLAIN || mode == TOK_NEXT;
    c->next = mode == TOK_NEXT;
    c->tag = t->engine == TOK_UNIGRAM && !c->plain;
    c->learn = c->many && t->whole && !c->tag;
    c->ahead = t->set[0].any_plain || t->set[1].any_plain;
    if (c->learn && c->ahead) learn_ahead(c, text);
    if (mode == TOK_FULL && !put_all(out, t->prefix, t->nprefix, e)) goto out;
    if (!encode_raw(c, text, out, e)) goto out;
    if (mode == TOK_FULL && !put_all(out, t->suffix, t->nsuffix, e)) goto out;
    c->many = c->missed - missed > text.n / 512;
    ok = true;
out:
    if (!ok) out->n = first;
    shrink(&c->repaired);
    shrink(&c->normalised);
    shrink(&c->prefixed);
    if (tok_bpe_bytes(&c->bpe) > KEEP_BYTES) tok_bpe_free(&c->bpe);
    return ok;
}
