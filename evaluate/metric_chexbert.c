/* CheXbert's labels as a metric: F1 over 14 and 5 of them, and the cosine of its report vectors. */
#include "base/mem.h"
#include "evaluate/chexbert.h"
#include "evaluate/encoders.h"
#include "evaluate/evaluate.h"

/* Columns: true positives, false positives, false negatives of each label, then the cosine. */
enum { COUNTS = 3 * CHEXBERT_LABELS, COSINE = COUNTS, COLUMNS };

static const int all_labels[CHEXBERT_LABELS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

static double micro14(const double *sum)
{
    return chexbert_micro(sum, all_labels, CHEXBERT_LABELS);
}
static double macro14(const double *sum)
{
    return chexbert_macro(sum, all_labels, CHEXBERT_LABELS);
}
static double micro5(const double *sum)
{
    return chexbert_micro(sum, chexbert_five, CHEXBERT_FIVE);
}
static double macro5(const double *sum)
{
    return chexbert_macro(sum, chexbert_five, CHEXBERT_FIVE);
}

static bool check(const struct evaluate_opts *o, struct err *e)
{
    return encoders_check(o->encoders.chexbert, "chexbert", e);
}

static void labeller_close(void *scorer)
{
    chexbert_close(scorer);
}

static bool labeller_open(const struct metric_env *env, void **out, struct err *e)
{
    const struct embed_opts o = {.dir = env->opts->encoders.chexbert,
                                 .device = env->opts->device,
                                 .threads = env->threads,
                                 .lower = env->opts->lower_case};
    struct chexbert *c = NULL;
    bool ok = chexbert_open(&o, &c, e);
    *out = c;
    return ok;
}

static bool is_there(uint8_t class)
{
    return class == 1 || class == 3;
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    struct str *texts = NULL;
    struct chexbert_text *labels = mem_calloc(2 * n, sizeof *labels, e);
    double *cosine = labels ? mem_calloc(n, sizeof *cosine, e) : NULL;
    bool ok = cosine && encoders_texts(t, n, &texts, e) &&
              chexbert_texts(scorer, texts, 2 * n, labels, cosine, e);

    for (size_t i = 0; ok && i < n; i++) {
        for (size_t k = 0; k < CHEXBERT_LABELS; k++) {
            bool got = is_there(labels[2 * i].label[k]);
            bool want = is_there(labels[2 * i + 1].label[k]);
            double *row = rows + i * stride + 3 * k;
            row[0] = got && want;
            row[1] = got && !want;
            row[2] = !got && want;
        }
        rows[i * stride + COSINE] = cosine[i];
    }
    mem_free(texts);
    mem_free(cosine);
    mem_free(labels);
    return ok;
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    struct embed *m = chexbert_embed(scorer);
    return sbuf_printf(b, e, "chexbert|uncertain:positive|lower:%s|weights:%s|v:1",
                       embed_case_name(m), embed_digest(m));
}

#define F1(nm, lb, fn, fl)                                                                         \
    {                                                                                              \
        .name = nm, .label = lb, .scale = 100, .flags = (fl) | METRIC_CORPUS, .column = 0,         \
        .columns = COUNTS, .stat = fn                                                              \
    }
static const struct metric_value values[] = {
    F1("chexbert.micro14", "CheXbert micro F1, 14", micro14, METRIC_HEADLINE),
    F1("chexbert.macro14", "CheXbert macro F1, 14", macro14, 0),
    F1("chexbert.micro5", "CheXbert micro F1, 5", micro5, METRIC_HEADLINE),
    F1("chexbert.macro5", "CheXbert macro F1, 5", macro5, 0),
    {.name = "chexbert.cos",
     .label = "CheXbert vector cosine",
     .scale = 100,
     .column = COSINE,
     .columns = 1},
};

const struct metric metric_chexbert = {
    .name = "chexbert",
    .help = "CheXbert labels: micro and macro F1 over 14 and 5, by evaluate.encoders.chexbert",
    .values = values,
    .nvalues = sizeof values / sizeof values[0],
    .ncolumns = COLUMNS,
    .whole = true,
    .check = check,
    .open = labeller_open,
    .score = score,
    .close = labeller_close,
    .signature = signature,
};
