#include "evaluate/bleu.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/bleu_tok.h"

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
    struct numbers words, grams;
    uint32_t *ids[2]; /* of the reference, of the prediction */
    size_t n[2], cap[2];
    uint32_t *gram[2]; /* number of the n-gram that ends at a token */
    size_t gram_cap[2];
    uint32_t *count; /* of the reference's n-grams, less those matched */
    size_t count_cap;
};

const char *const bleu_sentence_signature =
    "bleu|nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|level:sentence mean|v:1";
const char *const bleu_corpus_signature =
    "bleu|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|level:corpus|v:1";
const char *const bleu_nltk1_signature =
    "bleu|nltk sentence_bleu|tok:white space|smooth:method1|level:sentence mean|v:1";

bool bleu_open(struct bleu **out, struct err *e)
{
    *out = mem_calloc(1, sizeof **out, e);
    if (!*out) return false;
    bleu_tok_init(&(*out)->tok);
    return true;
}

void bleu_close(struct bleu *b)
{
    if (!b) return;
    bleu_tok_free(&b->tok);
    mem_free(b->words.slot);
    mem_free(b->grams.slot);
    for (int s = 0; s < 2; s++) {
        mem_free(b->ids[s]);
        mem_free(b->gram[s]);
    }
    mem_free(b->count);
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

static bool read_side(struct bleu *b, enum bleu_tokens t, int side, struct str text, struct err *e)
{
    if (t == BLEU_13A && !bleu_tok_13a(&b->tok, text, &text, e)) return false;
    return put_tokens(b, side, text, e);
}

/* ---- n-grams */

/* Order 1: the words themselves. Order n: the pair of the (n - 1)-gram before and the word. */
static bool grow_grams(struct bleu *b, struct err *e)
{
    for (int s = 0; s < 2; s++) {
        if (!mem_grow((void **)&b->gram[s], &b->gram_cap[s], b->n[s] + 1, sizeof *b->gram[s], e))
            return false;
        if (b->n[s] > 0) memcpy(b->gram[s], b->ids[s], b->n[s] * sizeof *b->gram[s]);
    }
    return mem_grow((void **)&b->count, &b->count_cap, b->n[0] + b->n[1] + 1, sizeof *b->count, e);
}

static void extend_grams(struct bleu *b, size_t order)
{
    for (int s = 0; s < 2; s++)
        for (size_t i = b->n[s]; i-- >= order;)
            b->gram[s][i] = numbers_of(&b->grams, (uint64_t)b->gram[s][i - 1] << 32 | b->ids[s][i]);
}

static uint64_t count_matches(struct bleu *b, size_t order)
{
    uint64_t match = 0;
    memset(b->count, 0, (b->n[0] + b->n[1]) * sizeof *b->count);
    for (size_t i = order - 1; i < b->n[0]; i++)
        b->count[b->gram[0][i]]++;
    for (size_t i = order - 1; i < b->n[1]; i++) {
        uint32_t *c = &b->count[b->gram[1][i]];
        if (*c == 0) continue;
        (*c)--;
        match++;
    }
    return match;
}

bool bleu_pair(struct bleu *b, enum bleu_tokens t, struct str prediction, struct str reference,
               struct bleu_stats *out, struct err *e)
{
    *out = (struct bleu_stats){0};
    size_t most = prediction.n + reference.n; /* a token has a byte at least */
    if (!numbers_begin(&b->words, most < MOST_WORDS ? most : MOST_WORDS, e)) return false;
    if (!read_side(b, t, 0, reference, e) || !read_side(b, t, 1, prediction, e)) return false;
    out->ref = b->n[0];
    out->hyp = b->n[1];
    if (!grow_grams(b, e)) return false;
    for (size_t order = 1; order <= BLEU_ORDER; order++) {
        if (b->n[1] < order) break;
        if (order > 1) {
            if (!numbers_begin(&b->grams, b->n[0] + b->n[1], e)) return false;
            extend_grams(b, order);
        }
        out->total[order - 1] = b->n[1] - order + 1;
        out->match[order - 1] = count_matches(b, order);
    }
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

double bleu_nltk1(const struct bleu_stats *s)
{
    double sum = 0;
    if (s->match[0] == 0) return 0;
    for (int n = 0; n < BLEU_ORDER; n++) {
        double total = s->total[n] > 0 ? (double)s->total[n] : 1.0;
        double match = s->match[n] > 0 ? (double)s->match[n] : 0.1;
        sum += 0.25 * log(match / total);
    }
    return brevity(s) * exp(sum);
}
