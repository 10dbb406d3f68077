#include "evaluate/rouge.h"

#include <string.h>

#include "base/mem.h"
#include "evaluate/rouge_words.h"

const char *const rouge_names[ROUGE_KINDS + 1] = {"rouge1", "rouge2", "rougeL", "rougeLsum", NULL};

struct bigram {
    uint32_t key; /* two local word numbers of 16 bits each; only valid with this pair's stamp */
    uint32_t stamp;
    uint32_t count;
};

struct rouge {
    struct rouge_words words;
    struct rouge_side ref, hyp;
    uint32_t *count; /* [2][nlocal]: of the reference, of the prediction */
    size_t count_cap;
    struct bigram *bigram; /* hash table */
    size_t bigram_cap;
    uint32_t now;
    uint64_t *mask; /* [reference words][words of 64]: where each stands */
    size_t mask_cap;
    uint32_t *mask_of; /* which sentence a mask is about */
    size_t mask_of_cap;
    uint32_t sentence;
    uint64_t *row; /* kept bit-vectors, then the union of a sentence */
    size_t row_cap;
};
_Static_assert(2 * ROUGE_MAX_TOKENS <= 1 << 16, "a bigram's key holds two local word numbers");

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
    mem_free(r->mask);
    mem_free(r->mask_of);
    mem_free(r->row);
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

static struct bigram *bigram_find(struct rouge *r, uint32_t key)
{
    size_t k = (key * 0x9e3779b1u >> 8) & (r->bigram_cap - 1);
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
        uint32_t key = r->ref.ids[i] << 16 | r->ref.ids[i + 1];
        struct bigram *b = bigram_find(r, key);
        if (b->stamp != r->now) *b = (struct bigram){.key = key, .stamp = r->now};
        b->count++;
    }
    for (size_t i = 0; i + 1 < r->hyp.n; i++) {
        struct bigram *b = bigram_find(r, r->hyp.ids[i] << 16 | r->hyp.ids[i + 1]);
        if (b->stamp != r->now || b->count == 0) continue;
        b->count--;
        (*hits)++;
    }
    return true;
}

/* ---- longest common subsequence, 64 reference positions at a time
 *
 * Bit i of the vector after j words of the prediction is 0 exactly where the table of dynamic
 * programming steps up: t[i + 1][j] = t[i][j] + 1. So the zeros are counted at the end, and on the
 * way back a zero says that t[i][j - 1] > t[i - 1][j] at a cell whose words differ.
 */

/* Masks of a sentence of the reference: bit i of a word's mask: it stands at position i. */
static bool masks_set(struct rouge *r, const uint32_t *ids, size_t n, size_t nw, struct err *e)
{
    size_t nlocal = r->words.nlocal, before = r->mask_of_cap;
    if (!mem_grow((void **)&r->mask, &r->mask_cap, nlocal * nw, sizeof *r->mask, e)) return false;
    if (!mem_grow((void **)&r->mask_of, &r->mask_of_cap, nlocal, sizeof *r->mask_of, e))
        return false;
    memset(r->mask_of + before, 0, (r->mask_of_cap - before) * sizeof *r->mask_of);
    if (++r->sentence == 0) {
        memset(r->mask_of, 0, r->mask_of_cap * sizeof *r->mask_of);
        r->sentence = 1;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t *m = r->mask + ids[i] * nw;
        if (r->mask_of[ids[i]] != r->sentence) memset(m, 0, nw * sizeof *m);
        r->mask_of[ids[i]] = r->sentence;
        m[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return true;
}

/* Push one word of the prediction through: out = f(in), both of nw words; out may be in. */
static void lcs_push(const struct rouge *r, uint32_t id, size_t nw, const uint64_t *in,
                     uint64_t *out)
{
    if (r->mask_of[id] != r->sentence) {
        if (out != in) memcpy(out, in, nw * sizeof *out);
        return;
    }
    const uint64_t *m = r->mask + id * nw;
    uint64_t carry = 0;
    for (size_t k = 0; k < nw; k++) {
        uint64_t v = in[k], u = v & m[k];
        uint64_t sum = v + u, with = sum + carry;
        carry = (sum < v) | (with < sum);
        out[k] = with | (v & ~m[k]);
    }
}

static bool lcs_length(struct rouge *r, uint64_t *length, struct err *e)
{
    size_t n = r->ref.n, nw = (n + 63) / 64;
    *length = 0;
    if (n == 0 || r->hyp.n == 0) return true;
    if (!masks_set(r, r->ref.ids, n, nw, e)) return false;
    if (!mem_grow((void **)&r->row, &r->row_cap, nw, sizeof *r->row, e)) return false;
    memset(r->row, 0xff, nw * sizeof *r->row);
    for (size_t j = 0; j < r->hyp.n; j++)
        lcs_push(r, r->hyp.ids[j], nw, r->row, r->row);
    for (size_t k = 0; k < nw; k++) {
        uint64_t used = k + 1 < nw || n % 64 == 0 ? ~UINT64_C(0) : (UINT64_C(1) << (n % 64)) - 1;
        *length += (uint64_t)__builtin_popcountll(~r->row[k] & used);
    }
    return true;
}

/* Or into `un` the reference positions of the one path that rouge-score's walk back takes through
 * the table of a reference and a predicted sentence. rows: [hn + 1][nw]. */
static void lcs_path(const struct rouge *r, const uint32_t *ref, size_t rn, const uint32_t *hyp,
                     size_t hn, uint64_t *rows, uint64_t *un)
{
    size_t nw = (rn + 63) / 64, i = rn, j = hn;
    memset(rows, 0xff, nw * sizeof *rows);
    for (size_t k = 0; k < hn; k++)
        lcs_push(r, hyp[k], nw, rows + k * nw, rows + (k + 1) * nw);
    while (i > 0 && j > 0) {
        uint64_t bit = UINT64_C(1) << ((i - 1) % 64);
        if (ref[i - 1] == hyp[j - 1]) {
            un[(i - 1) / 64] |= bit;
            i--;
            j--;
        } else if (!(rows[j * nw + (i - 1) / 64] & bit)) {
            j--;
        } else {
            i--; /* also on a tie */
        }
    }
}

/* Hits of one reference sentence: the union of its paths, each word taken once from both counts. */
static bool sentence_hits(struct rouge *r, size_t s, uint64_t *hits, struct err *e)
{
    const uint32_t *ref = r->ref.ids + r->ref.line[s];
    size_t n = r->ref.line[s + 1] - r->ref.line[s], nw = (n + 63) / 64, longest = 0;
    size_t nlocal = r->words.nlocal;

    for (size_t h = 0; h < r->hyp.nlines; h++) {
        size_t hn = r->hyp.line[h + 1] - r->hyp.line[h];
        longest = hn > longest ? hn : longest;
    }
    if (!masks_set(r, ref, n, nw, e)) return false;
    if (!mem_grow((void **)&r->row, &r->row_cap, (longest + 2) * nw, sizeof *r->row, e))
        return false;
    uint64_t *un = r->row, *rows = r->row + nw;
    memset(un, 0, nw * sizeof *un);
    for (size_t h = 0; h < r->hyp.nlines; h++)
        lcs_path(r, ref, n, r->hyp.ids + r->hyp.line[h], r->hyp.line[h + 1] - r->hyp.line[h], rows,
                 un);
    for (size_t i = 0; i < n; i++) {
        if (!(un[i / 64] >> (i % 64) & 1)) continue;
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
    *hits = lcs;
    if (r->ref.nlines <= 1 && r->hyp.nlines <= 1) return true;
    *hits = 0;
    if (r->hyp.nlines == 0) return true;
    for (size_t s = 0; s < r->ref.nlines; s++)
        if (!sentence_hits(r, s, hits, e)) return false;
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
    if (!lcs_length(r, &lcs, e)) return false;
    if (!lsum_hits(r, lcs, &lsum, e)) return false;
    out->v[ROUGE_1] = prf_of(unigrams, hn, rn);
    out->v[ROUGE_2] = prf_of(bigrams, hn ? hn - 1 : 0, rn ? rn - 1 : 0);
    out->v[ROUGE_L] = prf_of(lcs, hn, rn);
    out->v[ROUGE_LSUM] = prf_of(lsum, hn, rn);
    return true;
}
