/* chrF as a metric: the sentence score, and the corpus from summed statistics (evaluate/chrf). */
#include "evaluate/chrf.h"
#include "evaluate/evaluate.h"

enum { NSTATS = 3 * CHRF_ORDER, COLUMNS = 1 + NSTATS };

static double corpus(const double *sum)
{
    struct chrf_stats s;
    for (int k = 0; k < CHRF_ORDER; k++) {
        s.hyp[k] = (uint64_t)sum[k];
        s.ref[k] = (uint64_t)sum[CHRF_ORDER + k];
        s.match[k] = (uint64_t)sum[2 * CHRF_ORDER + k];
    }
    return chrf_score(&s);
}

static const struct metric_value values[] = {
    {.name = "chrf",
     .label = "chrF2, sentence mean",
     .scale = 1,
     .flags = METRIC_HEADLINE,
     .column = 0,
     .columns = 1},
    {.name = "chrf_corpus",
     .label = "chrF2, corpus",
     .scale = 1,
     .flags = METRIC_CORPUS,
     .column = 1,
     .columns = NSTATS,
     .stat = corpus},
};

static bool open_chrf(const struct metric_env *env, void **out, struct err *e)
{
    struct chrf *c;
    (void)env;
    *out = NULL;
    if (!chrf_open(&c, e)) return false;
    *out = c;
    return true;
}

static void close_chrf(void *scorer)
{
    chrf_close(scorer);
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct chrf_stats s;
        double *v = rows + i * stride;
        if (!chrf_pair(scorer, t[i].prediction, t[i].reference, &s, e)) return false;
        v[0] = chrf_score(&s);
        for (int k = 0; k < CHRF_ORDER; k++) {
            v[1 + k] = (double)s.hyp[k];
            v[1 + CHRF_ORDER + k] = (double)s.ref[k];
            v[1 + 2 * CHRF_ORDER + k] = (double)s.match[k];
        }
    }
    return true;
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    (void)scorer;
    return sbuf_put(b, str_of(chrf_signature), e);
}

const struct metric metric_chrf = {
    .name = "chrf",
    .help = "chrF2 of sacrebleu: character n-grams, sentences and corpus",
    .also = "chrF chrf_corpus",
    .values = values,
    .nvalues = sizeof values / sizeof values[0],
    .ncolumns = COLUMNS,
    .open = open_chrf,
    .score = score,
    .close = close_chrf,
    .signature = signature,
};
