#include "evaluate/rouge.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/dense.h"
#include "evaluate/rouge_lcs.h"
#include "evaluate/rouge_words.h"

const char *const rouge_names[ROUGE_KINDS + 1] = {"rouge1", "rouge2", "rougeL", "rougeLsum", NULL};

struct bigram {
    uint64_t key;   /* two local word numbers; only valid with this pair's stamp */
    uint32_t stamp; /* of the pair */
    uint32_t count;
};

/* A line of the prediction. */
struct rouge_line {
    const uint32_t *ids;
    size_t n;
};

struct rouge {
    struct rouge_words words;
    struct rouge_side ref, hyp;
    uint32_t *count; /* [2][nlocal]: of the reference, of the prediction */
    size_t count_cap;
    struct bigram *bigram; /* hash table */
    size_t bigram_cap;
    uint32_t now;
    struct rouge_lcs lcs;
    struct dense lines;      /* the prediction's, by their hash */
    struct rouge_line *line; /* each of them */
    size_t line_cap;
    uint64_t *places; /* of a reference line: those on the path to any line of the prediction */
    size_t places_cap;
};

bool rouge_open(bool stem, struct rouge **out, struct err *e)
{
    *out = NULL;
    struct rouge *r = mem_calloc(1, sizeof *r, e);
    if (!r) return false;
    if (!rouge_words_init(&r->words, stem, e)) {
        rouge_close(r);
        return false;
    }
    *out = r;
    return true;
}

void rouge_close(struct rouge *r)
{
    if (!r) return;
    rouge_words_free(&r->words);
    rouge_side_free(&r->ref);
    rouge_side_free(&r->hyp);
    mem_free(r->count);
    mem_free(r->bigram);
    rouge_lcs_free(&r->lcs);
    dense_free(&r->lines);
    mem_free(r->line);
    mem_free(r->places);
    mem_free(r);
}

const char *rouge_signature(bool stem)
{
    return stem ? "rouge|stem:porter-nltk|split:newline|v:1" : "rouge|stem:no|split:newline|v:1";
}

/* Precision, recall and F from hits and the sizes of both sides, in rouge-score's order of
 * operations. */
static struct rouge_prf prf_of(uint64_t hits, uint64_t hyp, uint64_t ref)
{
    struct rouge_prf s = {.p = (double)hits / (double)(hyp ? hyp : 1),
                          .r = (double)hits / (double)(ref ? ref : 1)};
    if (s.p + s.r > 0) s.f = 2 * s.p * s.r / (s.p + s.r);
    return s;
}

static bool count_words(struct rouge *r, struct err *e)
{
    size_t n = r->words.nlocal;
    if (!mem_grow((void **)&r->count, &r->count_cap, 2 * n, sizeof *r->count, e)) return false;
    memset(r->count, 0, 2 * n * sizeof *r->count);
    for (size_t i = 0; i < r->ref.n; i++)
        r->count[r->ref.ids[i]]++;
    for (size_t i = 0; i < r->hyp.n; i++)
        r->count[n + r->hyp.ids[i]]++;
    return true;
}

static uint64_t unigram_hits(const struct rouge *r)
{
    size_t n = r->words.nlocal;
    uint64_t hits = 0;
    for (size_t i = 0; i < n; i++)
        hits += r->count[i] < r->count[n + i] ? r->count[i] : r->count[n + i];
    return hits;
}

/* ---- bigrams: put those of the reference, take with those of the prediction */

static uint64_t bigram_key(const uint32_t *ids)
{
    return (uint64_t)ids[0] << 32 | ids[1];
}

static struct bigram *bigram_find(struct rouge *r, uint64_t key)
{
    size_t k = (key ^ key >> 27) * 0x9e3779b97f4a7c15u >> 32 & (r->bigram_cap - 1);
    while (r->bigram[k].stamp == r->now && r->bigram[k].key != key)
        k = (k + 1) & (r->bigram_cap - 1);
    return &r->bigram[k];
}

static bool bigram_room(struct rouge *r, struct err *e)
{
    size_t cap = r->bigram_cap ? r->bigram_cap : 256;
    while (cap < 2 * r->ref.n)
        cap *= 2;
    if (cap != r->bigram_cap) {
        struct bigram *t = mem_calloc(cap, sizeof *t, e);
        if (!t) return false;
        mem_free(r->bigram);
        r->bigram = t;
        r->bigram_cap = cap;
        r->now = 0;
    }
    if (++r->now == 0) {
        memset(r->bigram, 0, r->bigram_cap * sizeof *r->bigram);
        r->now = 1;
    }
    return true;
}

static bool bigram_hits(struct rouge *r, uint64_t *hits, struct err *e)
{
    *hits = 0;
    if (r->ref.n < 2 || r->hyp.n < 2) return true;
    if (!bigram_room(r, e)) return false;
    for (size_t i = 0; i + 1 < r->ref.n; i++) {
        uint64_t key = bigram_key(r->ref.ids + i);
        struct bigram *b = bigram_find(r, key);
        if (b->stamp != r->now) *b = (struct bigram){.key = key, .stamp = r->now};
        b->count++;
    }
    for (size_t i = 0; i + 1 < r->hyp.n; i++) {
        struct bigram *b = bigram_find(r, bigram_key(r->hyp.ids + i));
        if (b->stamp != r->now || b->count == 0) continue;
        b->count--;
        (*hits)++;
    }
    return true;
}

/* ---- longest common subsequences */

static bool lcs_hits(struct rouge *r, uint64_t *hits, struct err *e)
{
    *hits = 0;
    if (r->ref.n == 0 || r->hyp.n == 0) return true;
    return rouge_lcs_set(&r->lcs, r->ref.ids, r->ref.n, r->words.nlocal, e) &&
           rouge_lcs_length(&r->lcs, r->hyp.ids, r->hyp.n, hits, e);
}

/* A line of the prediction that equals an earlier one adds nothing to a union: the first of each
 * (by a hash of 64 bits). A model that repeats itself writes thousands. */
static bool distinct_lines(struct rouge *r, struct err *e)
{
    const struct rouge_side *h = &r->hyp;
    if (!dense_begin(&r->lines, h->nlines, e)) return false;
    if (!mem_grow((void **)&r->line, &r->line_cap, h->nlines, sizeof *r->line, e)) return false;
    for (size_t k = 0; k < h->nlines; k++) {
        size_t n = h->line[k + 1] - h->line[k];
        uint32_t met = r->lines.n;
        uint64_t key = hash_xxh64(h->ids + h->line[k], n * sizeof *h->ids, n);
        if (dense_of(&r->lines, key) == met)
            r->line[met] = (struct rouge_line){h->ids + h->line[k], n};
    }
    return true;
}

/* Hits of one reference line: the union of its paths, each word taken once from both counts. */
static bool line_hits(struct rouge *r, const uint32_t *ref, size_t n, uint64_t *hits, struct err *e)
{
    size_t nlocal = r->words.nlocal, nw = (n + 63) / 64;
    if (!rouge_lcs_set(&r->lcs, ref, n, nlocal, e)) return false;
    if (!mem_grow((void **)&r->places, &r->places_cap, nw, sizeof *r->places, e)) return false;
    memset(r->places, 0, nw * sizeof *r->places);
    for (size_t h = 0; h < r->lines.n; h++) {
        const struct rouge_line *x = &r->line[h];
        if (rouge_lcs_meets(&r->lcs, x->ids, x->n) &&
            !rouge_lcs_places(&r->lcs, x->ids, x->n, r->places, e))
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!(r->places[i / 64] >> (i % 64) & 1)) continue;
        uint32_t *cr = &r->count[ref[i]], *ch = &r->count[nlocal + ref[i]];
        if (*cr == 0 || *ch == 0) continue;
        (*cr)--;
        (*ch)--;
        (*hits)++;
    }
    return true;
}

/* ROUGE-Lsum; with a line on each side at most it is ROUGE-L. Uses up the counts. */
static bool lsum_hits(struct rouge *r, uint64_t lcs, uint64_t *hits, struct err *e)
{
    const struct rouge_side *ref = &r->ref;
    *hits = lcs;
    if (ref->nlines <= 1 && r->hyp.nlines <= 1) return true;
    *hits = 0;
    if (r->hyp.nlines == 0) return true;
    if (!distinct_lines(r, e)) return false;
    for (size_t s = 0; s < ref->nlines; s++)
        if (!line_hits(r, ref->ids + ref->line[s], ref->line[s + 1] - ref->line[s], hits, e))
            return false;
    return true;
}

bool rouge_pair(struct rouge *r, struct str prediction, struct str reference,
                struct rouge_scores *out, struct err *e)
{
    uint64_t bigrams, lcs, lsum;

    *out = (struct rouge_scores){0};
    rouge_words_next(&r->words);
    if (!rouge_words_side(&r->words, reference, ROUGE_MAX_TOKENS, &r->ref, e)) return false;
    if (!rouge_words_side(&r->words, prediction, ROUGE_MAX_TOKENS, &r->hyp, e)) return false;
    if (!count_words(r, e)) return false;
    uint64_t hn = r->hyp.n, rn = r->ref.n, unigrams = unigram_hits(r);
    if (!bigram_hits(r, &bigrams, e)) return false;
    if (!lcs_hits(r, &lcs, e)) return false;
    if (!lsum_hits(r, lcs, &lsum, e)) return false;
    out->v[ROUGE_1] = prf_of(unigrams, hn, rn);
    out->v[ROUGE_2] = prf_of(bigrams, hn ? hn - 1 : 0, rn ? rn - 1 : 0);
    out->v[ROUGE_L] = prf_of(lcs, hn, rn);
    out->v[ROUGE_LSUM] = prf_of(lsum, hn, rn);
    return true;
}
