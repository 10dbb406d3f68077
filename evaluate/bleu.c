#include "evaluate/bleu.h"

#include <float.h>
#include <math.h>

#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/bleu_tok.h"
#include "evaluate/dense.h"
#include "evaluate/grams.h"
#include "text/utf8.h"

enum { MOST_WORDS = 2 * BLEU_MAX_TOKENS };

struct bleu {
    struct bleu_tok tok;
    struct sbuf lower;
    struct dense words;
    uint32_t *ids[2]; /* of the reference, of the prediction */
    size_t n[2], cap[2];
    struct grams grams;
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
    dense_free(&b->words);
    mem_free(b->ids[0]);
    mem_free(b->ids[1]);
    grams_free(&b->grams);
    mem_free(b);
}

/* ---- tokens: words are the same when their 64-bit hashes are */

static bool put_token(struct bleu *b, int side, struct str token, struct err *e)
{
    if (b->n[side] == BLEU_MAX_TOKENS)
        return err_set(e, ERR_LIMIT, "a text of more than %d tokens", BLEU_MAX_TOKENS);
    if (b->n[side] == b->cap[side] &&
        !mem_grow((void **)&b->ids[side], &b->cap[side], b->n[side] + 1, sizeof *b->ids[side], e))
        return false;
    b->ids[side][b->n[side]++] = dense_of(&b->words, hash_xxh64(token.p, token.n, 0));
    return true;
}

static bool put_tokens(struct bleu *b, int side, struct str text, struct err *e)
{
    struct str token;
    while (bleu_tok_next(&text, &token))
        if (!put_token(b, side, token, e)) return false;
    return true;
}

static bool put_plain(struct bleu *b, int side, struct str text, struct err *e)
{
    struct str token;
    size_t at = 0;
    while (bleu_tok_plain_next(text, &at, &token))
        if (!put_token(b, side, token, e)) return false;
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
    b->n[side] = 0;
    if (t == BLEU_13A_LOWER && !lower(&b->lower, &text, e)) return false;
    if (t != BLEU_BLANKS && bleu_tok_is_plain(text)) return put_plain(b, side, text, e);
    if (t != BLEU_BLANKS && !bleu_tok_13a(&b->tok, text, &text, e)) return false;
    return put_tokens(b, side, text, e);
}

bool bleu_pair(struct bleu *b, enum bleu_tokens t, struct str prediction, struct str reference,
               struct bleu_stats *out, struct err *e)
{
    size_t most = prediction.n + reference.n; /* a token has a byte at least */

    *out = (struct bleu_stats){0};
    if (!dense_begin(&b->words, most < MOST_WORDS ? most : MOST_WORDS, e)) return false;
    if (!read_side(b, t, 0, reference, e)) return false;
    uint32_t distinct = b->words.n;
    if (!read_side(b, t, 1, prediction, e)) return false;
    const struct gram_texts v = {b->ids[0], b->ids[1], b->n[0], b->n[1], distinct};
    if (!grams_match(&b->grams, &v, BLEU_ORDER, out->match, e)) return false;
    out->ref = b->n[0];
    out->hyp = b->n[1];
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
    if (method == 0) return DBL_MIN * (double)s->total[n]; /* NLTK's precision of "no match" */
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
