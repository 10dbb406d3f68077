#include "evaluate/bleu.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/bleu_tok.h"
#include "text/utf8.h"

enum { TOKENS_MAX = 16384, MOST_WORDS = 2 * TOKENS_MAX };

/* A table from a key to a dense number, emptied by raising `now`. */
struct slot {
    uint64_t key;
    uint32_t stamp, value;
};
struct numbers {
    struct slot *slot;
    size_t cap;
    uint32_t now, n;
};

struct bleu {
    struct bleu_tok tok;
    struct sbuf lower;
    struct numbers words;
    uint32_t *ids[2]; /* of the reference, of the prediction */
    size_t n[2], cap[2];
    uint64_t *bits; /* masks of the reference's words, then struct places' vectors */
    size_t bits_cap;
};

const char *const bleu_sentence_signature =
    "bleu|nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|level:sentence mean|v:1";
const char *const bleu_corpus_signature =
    "bleu|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|level:corpus|v:1";
const char *const bleu_nltk_signature =
    "bleu|nltk sentence_bleu|tok:white space|smooth:method1..4|level:sentence mean|v:1";

bool bleu_open(struct bleu **out, struct err *e)
{
    *out = mem_calloc(1, sizeof **out, e);
    if (*out) sbuf_init(&(*out)->lower, BLEU_TEXT_MAX);
    return *out != NULL;
}

void bleu_close(struct bleu *b)
{
    if (!b) return;
    bleu_tok_free(&b->tok);
    sbuf_free(&b->lower);
    mem_free(b->words.slot);
    mem_free(b->ids[0]);
    mem_free(b->ids[1]);
    mem_free(b->bits);
    mem_free(b);
}

/* ---- numbering */

/* Empty the table and make room for n keys. */
static bool numbers_begin(struct numbers *t, size_t n, struct err *e)
{
    size_t cap = t->cap ? t->cap : 256;
    while (cap < 2 * n)
        cap *= 2;
    if (cap != t->cap) {
        struct slot *s = mem_calloc(cap, sizeof *s, e);
        if (!s) return false;
        mem_free(t->slot);
        *t = (struct numbers){.slot = s, .cap = cap};
    }
    if (++t->now == 0) {
        memset(t->slot, 0, t->cap * sizeof *t->slot);
        t->now = 1;
    }
    t->n = 0;
    return true;
}

static struct slot *numbers_find(struct numbers *t, uint64_t key)
{
    size_t k = (key ^ key >> 31) * 0x9e3779b97f4a7c15u >> 32 & (t->cap - 1);
    while (t->slot[k].stamp == t->now && t->slot[k].key != key)
        k = (k + 1) & (t->cap - 1);
    return &t->slot[k];
}

static uint32_t numbers_of(struct numbers *t, uint64_t key)
{
    struct slot *s = numbers_find(t, key);
    if (s->stamp != t->now) *s = (struct slot){.key = key, .stamp = t->now, .value = t->n++};
    return s->value;
}

/* ---- tokens: words are the same when their 64-bit hashes are */

static bool put_tokens(struct bleu *b, int side, struct str text, struct err *e)
{
    struct str token;
    b->n[side] = 0;
    while (bleu_tok_next(&text, &token)) {
        if (b->n[side] == TOKENS_MAX)
            return err_set(e, ERR_LIMIT, "a text of more than %d tokens", TOKENS_MAX);
        if (!mem_grow((void **)&b->ids[side], &b->cap[side], b->n[side] + 1, sizeof *b->ids[side],
                      e))
            return false;
        b->ids[side][b->n[side]++] = numbers_of(&b->words, hash_xxh64(token.p, token.n, 0));
    }
    return true;
}

static bool lower(struct sbuf *b, struct str *text, struct err *e)
{
    sbuf_clear(b);
    if (!utf8_put_lower(*text, b, e)) return false;
    *text = sbuf_str(b);
    return true;
}

static bool read_side(struct bleu *b, enum bleu_tokens t, int side, struct str text, struct err *e)
{
    if (t == BLEU_13A_LOWER && !lower(&b->lower, &text, e)) return false;
    if (t != BLEU_BLANKS && !bleu_tok_13a(&b->tok, text, &text, e)) return false;
    return put_tokens(b, side, text, e);
}

/* ---- n-grams, 64 places of the reference at a time
 *
 * ends[n] holds the places of the reference where the n-gram that ends at the word at hand ends
 * too: those of the (n-1)-gram before it, one further, where this word stands. The same n-gram
 * always has the same places, so taking an unused one for each occurrence clips the count as BLEU
 * wants it.
 */
struct places {
    size_t nw;                                     /* 64-bit words of a vector */
    uint32_t distinct;                             /* words of the reference */
    uint64_t *mask;                                /* [distinct][nw] */
    uint64_t *ends[BLEU_ORDER], *used[BLEU_ORDER]; /* [nw] each */
};

static bool places_init(struct bleu *b, struct places *p, uint32_t distinct, struct err *e)
{
    *p = (struct places){.nw = (b->n[0] + 63) / 64, .distinct = distinct};
    size_t n = (distinct + 2 * BLEU_ORDER) * p->nw;
    if (!mem_grow((void **)&b->bits, &b->bits_cap, n, sizeof *b->bits, e)) return false;
    if (n > 0) memset(b->bits, 0, n * sizeof *b->bits);
    p->mask = b->bits;
    for (size_t k = 0; k < BLEU_ORDER; k++) {
        p->ends[k] = b->bits + (distinct + 2 * k) * p->nw;
        p->used[k] = p->ends[k] + p->nw;
    }
    for (size_t i = 0; i < b->n[0]; i++)
        p->mask[b->ids[0][i] * p->nw + i / 64] |= UINT64_C(1) << (i % 64);
    return true;
}

/* Take an unused place; false when there is none. */
static bool take_place(const uint64_t *ends, uint64_t *used, size_t nw)
{
    for (size_t w = 0; w < nw; w++) {
        uint64_t open = ends[w] & ~used[w];
        if (!open) continue;
        used[w] |= open & (~open + 1);
        return true;
    }
    return false;
}

/* The next word of the prediction: longest n-grams first, as each needs the shorter one before it.
 */
static void push_word(struct places *p, uint32_t id, uint64_t match[BLEU_ORDER])
{
    bool known = id < p->distinct;
    const uint64_t *mask = known ? p->mask + id * p->nw : NULL;
    for (size_t k = BLEU_ORDER; k-- > 0;) {
        uint64_t carry = 0;
        for (size_t w = 0; w < p->nw; w++) {
            uint64_t before = k > 0 ? p->ends[k - 1][w] : ~UINT64_C(0);
            uint64_t moved = k > 0 ? before << 1 | carry : before;
            carry = before >> 63;
            p->ends[k][w] = known ? moved & mask[w] : 0;
        }
        if (known) match[k] += take_place(p->ends[k], p->used[k], p->nw);
    }
}

bool bleu_pair(struct bleu *b, enum bleu_tokens t, struct str prediction, struct str reference,
               struct bleu_stats *out, struct err *e)
{
    struct places p;
    size_t most = prediction.n + reference.n; /* a token has a byte at least */

    *out = (struct bleu_stats){0};
    if (!numbers_begin(&b->words, most < MOST_WORDS ? most : MOST_WORDS, e)) return false;
    if (!read_side(b, t, 0, reference, e)) return false;
    uint32_t distinct = b->words.n;
    if (!read_side(b, t, 1, prediction, e) || !places_init(b, &p, distinct, e)) return false;
    out->ref = b->n[0];
    out->hyp = b->n[1];
    for (size_t i = 0; i < b->n[1]; i++)
        push_word(&p, b->ids[1][i], out->match);
    for (size_t k = 0; k < BLEU_ORDER && k < b->n[1]; k++)
        out->total[k] = b->n[1] - k;
    return true;
}

/* ---- scores */

static double brevity(const struct bleu_stats *s)
{
    if (s->hyp >= s->ref) return 1.0;
    return s->hyp > 0 ? exp(1.0 - (double)s->ref / (double)s->hyp) : 0.0;
}

/* Precision of one order in percent; *k counts orders without a match. */
static double precision(double match, double total, enum bleu_smooth smooth, double *factor)
{
    if (match > 0) return 100.0 * match / total;
    if (smooth == BLEU_EXP) return 100.0 / ((*factor *= 2) * total);
    return smooth == BLEU_FLOOR ? 100.0 * 0.1 / total : 0.0;
}

double bleu_score(const struct bleu_stats *s, enum bleu_smooth smooth, bool effective)
{
    double sum = 0, factor = 1;
    int order = 0;
    if (s->match[0] == 0) return 0; /* no word, so no longer n-gram either */
    for (int n = 0; n < BLEU_ORDER; n++) {
        double add = smooth == BLEU_ADD_K && n > 0 ? 1 : 0;
        double match = (double)s->match[n] + add, total = (double)s->total[n] + add;
        if (total == 0) break;
        double p = precision(match, total, smooth, &factor);
        if (p <= 0) return 0;
        sum += log(p);
        order++;
    }
    if (!effective && order < BLEU_ORDER) return 0;
    return brevity(s) * exp(sum / order);
}

void bleu_nltk_totals(struct bleu_stats *s)
{
    for (int n = 0; n < BLEU_ORDER; n++)
        if (s->total[n] == 0) s->total[n] = 1;
}

/* Matches of order n (from 0) as the method counts them; *k is one more than the orders without a
 * match so far. */
static double nltk_matches(const struct bleu_stats *s, int n, int method, int *k)
{
    if (method == 2) return (double)s->match[n] + (n > 0);
    if (s->match[n] > 0) return (double)s->match[n];
    if (method == 1) return 0.1;
    double most = method == 4 ? log((double)s->hyp) / 5 : 1;
    return most / (double)(1 << (*k)++);
}

double bleu_nltk(const struct bleu_stats *s, int method)
{
    double sum = 0;
    int k = 1;
    if (s->match[0] == 0) return 0;
    for (int n = 0; n < BLEU_ORDER; n++) {
        double match = nltk_matches(s, n, method, &k);
        double total = (double)s->total[n] + (method == 2 && n > 0);
        if (match > 0) sum += 0.25 * log(match / total); /* method 4, one word: no match stays 0 */
    }
    return brevity(s) * exp(sum);
}
