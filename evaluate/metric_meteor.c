/* METEOR without synonyms as a metric (evaluate/meteor). */
#include "evaluate/evaluate.h"
#include "evaluate/meteor.h"

static const struct metric_value values[] = {
    {.name = "meteor_nosyn",
     .label = "METEOR without synonyms",
     .scale = 100,
     .flags = METRIC_HEADLINE,
     .column = 0,
     .columns = 1},
};

static bool open_meteor(const struct metric_env *env, void **out, struct err *e)
{
    struct meteor *m;
    (void)env;
    *out = NULL;
    if (!meteor_open(&m, e)) return false;
    *out = m;
    return true;
}

static void close_meteor(void *scorer)
{
    meteor_close(scorer);
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!meteor_pair(scorer, t[i].prediction, t[i].reference, rows + i * stride, e))
            return false;
    return true;
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    (void)scorer;
    return sbuf_put(b, str_of(meteor_signature), e);
}

const struct metric metric_meteor = {
    .name = "meteor",
    .help = "METEOR of NLTK without WordNet synonyms",
    .also = "meteor_nosyn",
    .values = values,
    .nvalues = 1,
    .ncolumns = 1,
    .open = open_meteor,
    .score = score,
    .close = close_meteor,
    .signature = signature,
};
