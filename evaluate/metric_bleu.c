/* BLEU as a metric: all the numbers that go by the name, side by side (evaluate/bleu). */
#include "base/mem.h"
#include "evaluate/bleu.h"
#include "evaluate/evaluate.h"

enum {
    NSTATS = 2 * BLEU_ORDER + 2, /* matches, totals, tokens of the answer and of the reference */
    COL_EXP = 0,                 /* sentence scores */
    COL_NONE,
    COL_FLOOR,
    COL_ADD_K,
    COL_LC,
    COL_HF,
    COL_NLTK, /* methods 1 to 4 */
    COL_CASE = COL_NLTK + 4,
    COL_LOWER = COL_CASE + NSTATS,
    COL_BLANKS = COL_LOWER + NSTATS,
    COLUMNS = COL_BLANKS + NSTATS,
};

static void put_stats(const struct bleu_stats *s, double *v)
{
    for (int n = 0; n < BLEU_ORDER; n++) {
        v[n] = (double)s->match[n];
        v[BLEU_ORDER + n] = (double)s->total[n];
    }
    v[2 * BLEU_ORDER] = (double)s->hyp;
    v[2 * BLEU_ORDER + 1] = (double)s->ref;
}

static struct bleu_stats get_stats(const double *v)
{
    struct bleu_stats s = {.hyp = (uint64_t)v[2 * BLEU_ORDER],
                           .ref = (uint64_t)v[2 * BLEU_ORDER + 1]};
    for (int n = 0; n < BLEU_ORDER; n++) {
        s.match[n] = (uint64_t)v[n];
        s.total[n] = (uint64_t)v[BLEU_ORDER + n];
    }
    return s;
}

static double corpus(const double *sum, enum bleu_smooth smooth)
{
    const struct bleu_stats s = get_stats(sum);
    return bleu_score(&s, smooth, false);
}

static double corpus_exp(const double *sum)
{
    return corpus(sum, BLEU_EXP);
}

static double corpus_none(const double *sum)
{
    return corpus(sum, BLEU_NONE);
}

static double corpus_floor(const double *sum)
{
    return corpus(sum, BLEU_FLOOR);
}

static double corpus_add_k(const double *sum)
{
    return corpus(sum, BLEU_ADD_K);
}

/* NLTK's corpus_bleu. Without smoothing a corpus that shares no 4-gram scores about 1e-77. */
static double corpus_nltk(const double *sum, int method)
{
    const struct bleu_stats s = get_stats(sum);
    return bleu_nltk(&s, method);
}

static double corpus_nltk0(const double *sum)
{
    return corpus_nltk(sum, 0);
}

static double corpus_nltk1(const double *sum)
{
    return corpus_nltk(sum, 1);
}

static double corpus_nltk2(const double *sum)
{
    return corpus_nltk(sum, 2);
}

static double corpus_nltk3(const double *sum)
{
    return corpus_nltk(sum, 3);
}

#define MEAN(nm, lb, sc, col, fl)                                                                  \
    {                                                                                              \
        .name = nm, .label = lb, .scale = sc, .flags = fl, .column = col, .columns = 1             \
    }
#define CORPUS(nm, lb, sc, col, fl, fn)                                                            \
    {                                                                                              \
        .name = nm, .label = lb, .scale = sc, .flags = METRIC_CORPUS | (fl), .column = col,        \
        .columns = NSTATS, .stat = fn                                                              \
    }

static const struct metric_value values[] = {
    MEAN("bleu", "BLEU, sentence mean", 1, COL_EXP, METRIC_HEADLINE),
    MEAN("bleu_none", "BLEU, no smoothing, sentence mean", 1, COL_NONE, 0),
    MEAN("bleu_floor", "BLEU, floor 0.1, sentence mean", 1, COL_FLOOR, 0),
    MEAN("bleu_addk", "BLEU, add 1, sentence mean", 1, COL_ADD_K, 0),
    MEAN("bleu_lc", "BLEU, lower case, sentence mean", 1, COL_LC, 0),
    MEAN("bleu_hf", "BLEU of HF evaluate for each pair, mean", 100, COL_HF, 0),
    MEAN("nltk_bleu.method1", "NLTK BLEU method1, sentence mean", 100, COL_NLTK, METRIC_HEADLINE),
    MEAN("nltk_bleu.method2", "NLTK BLEU method2, sentence mean", 100, COL_NLTK + 1, 0),
    MEAN("nltk_bleu.method3", "NLTK BLEU method3, sentence mean", 100, COL_NLTK + 2, 0),
    MEAN("nltk_bleu.method4", "NLTK BLEU method4, sentence mean", 100, COL_NLTK + 3, 0),
    CORPUS("bleu_corpus", "BLEU, corpus", 1, COL_CASE, METRIC_HEADLINE, corpus_exp),
    CORPUS("bleu_corpus_none", "BLEU, no smoothing, corpus", 1, COL_CASE, 0, corpus_none),
    CORPUS("bleu_corpus_floor", "BLEU, floor 0.1, corpus", 1, COL_CASE, 0, corpus_floor),
    CORPUS("bleu_corpus_addk", "BLEU, add 1, corpus", 1, COL_CASE, 0, corpus_add_k),
    CORPUS("bleu_corpus_lc", "BLEU, lower case, corpus", 1, COL_LOWER, 0, corpus_exp),
    CORPUS("nltk_bleu_corpus.method0", "NLTK BLEU, corpus", 100, COL_BLANKS, 0, corpus_nltk0),
    CORPUS("nltk_bleu_corpus.method1", "NLTK BLEU method1, corpus", 100, COL_BLANKS, 0,
           corpus_nltk1),
    CORPUS("nltk_bleu_corpus.method2", "NLTK BLEU method2, corpus", 100, COL_BLANKS, 0,
           corpus_nltk2),
    CORPUS("nltk_bleu_corpus.method3", "NLTK BLEU method3, corpus", 100, COL_BLANKS, 0,
           corpus_nltk3),
};

static bool open_bleu(const struct metric_env *env, void **out, struct err *e)
{
    struct bleu *b;
    (void)env;
    *out = NULL;
    if (!bleu_open(&b, e)) return false;
    *out = b;
    return true;
}

static void close_bleu(void *scorer)
{
    bleu_close(scorer);
}

static bool score_one(struct bleu *b, const struct metric_text *t, double *v, struct err *e)
{
    struct bleu_stats mixed, lower, blanks;
    if (!bleu_pair(b, BLEU_13A, t->prediction, t->reference, &mixed, e) ||
        !bleu_pair(b, BLEU_13A_LOWER, t->prediction, t->reference, &lower, e) ||
        !bleu_pair(b, BLEU_BLANKS, t->prediction, t->reference, &blanks, e))
        return false;
    bleu_nltk_totals(&blanks);
    v[COL_EXP] = bleu_score(&mixed, BLEU_EXP, true);
    v[COL_NONE] = bleu_score(&mixed, BLEU_NONE, true);
    v[COL_FLOOR] = bleu_score(&mixed, BLEU_FLOOR, true);
    v[COL_ADD_K] = bleu_score(&mixed, BLEU_ADD_K, true);
    v[COL_LC] = bleu_score(&lower, BLEU_EXP, true);
    v[COL_HF] = bleu_score(&mixed, BLEU_NONE, false) / 100;
    for (int method = 1; method <= 4; method++)
        v[COL_NLTK + method - 1] = bleu_nltk(&blanks, method);
    put_stats(&mixed, v + COL_CASE);
    put_stats(&lower, v + COL_LOWER);
    put_stats(&blanks, v + COL_BLANKS);
    return true;
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!score_one(scorer, &t[i], rows + i * stride, e)) return false;
    return true;
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    (void)scorer;
    return sbuf_printf(b, e, "%s; %s; %s", bleu_sentence_signature, bleu_corpus_signature,
                       bleu_nltk_signature);
}

const struct metric metric_bleu = {
    .name = "bleu",
    .help = "BLEU: sacrebleu (sentences and corpus, all smoothings, lower case), HF, NLTK 1-4",
    .also = "bleu_none bleu_floor bleu_addk bleu_lc bleu_hf bleu_corpus nltk_bleu nltk sacrebleu",
    .values = values,
    .nvalues = sizeof values / sizeof values[0],
    .ncolumns = COLUMNS,
    .open = open_bleu,
    .score = score,
    .close = close_bleu,
    .signature = signature,
};
