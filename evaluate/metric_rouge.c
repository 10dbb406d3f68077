/* ROUGE as a metric: with and without stems, and ROUGE-Lsum over sentences of our own splitter. */
#include <string.h>

#include "base/mem.h"
#include "evaluate/evaluate.h"
#include "evaluate/rouge.h"
#include "evaluate/sentences.h"

#define SENT_TEXT_MAX ((size_t)64 << 20) /* pairs are far smaller */

/* ---- rouge: columns p, r, f of each kind, then the same over stems */

enum { KINDS = 3 * ROUGE_KINDS };

#define MEAN(nm, lb, col, fl)                                                                      \
    {                                                                                              \
        .name = nm, .label = lb, .scale = 100, .flags = fl, .column = col, .columns = 1            \
    }
#define PRF(nm, lb, col, fl)                                                                       \
    MEAN(nm ".p", lb " precision", col, 0), MEAN(nm ".r", lb " recall", (col) + 1, 0),             \
        MEAN(nm ".f", lb " F", (col) + 2, fl)
#define ALL_KINDS(pre, lb, col, fl)                                                                \
    PRF(pre "rouge1", "ROUGE-1" lb, (col) + 3 * ROUGE_1, fl),                                      \
        PRF(pre "rouge2", "ROUGE-2" lb, (col) + 3 * ROUGE_2, fl),                                  \
        PRF(pre "rougeL", "ROUGE-L" lb, (col) + 3 * ROUGE_L, fl),                                  \
        PRF(pre "rougeLsum", "ROUGE-Lsum" lb, (col) + 3 * ROUGE_LSUM, fl)

static const struct metric_value rouge_values[] = {
    ALL_KINDS("", "", 0, METRIC_HEADLINE),
    ALL_KINDS("stem.", " (stems)", KINDS, 0),
};

struct scorer {
    struct rouge *plain, *stem;
};

static void rouge_metric_close(void *scorer)
{
    struct scorer *s = scorer;
    if (!s) return;
    rouge_close(s->plain);
    rouge_close(s->stem);
    mem_free(s);
}

static bool rouge_metric_open(const struct metric_env *env, void **out, struct err *e)
{
    (void)env;
    struct scorer *s = mem_calloc(1, sizeof *s, e);
    *out = NULL;
    if (!s || !rouge_open(false, &s->plain, e) || !rouge_open(true, &s->stem, e)) {
        rouge_metric_close(s);
        return false;
    }
    *out = s;
    return true;
}

static bool rouge_metric_score(void *scorer, const struct metric_text *t, size_t n, double *rows,
                               size_t stride, struct err *e)
{
    struct scorer *s = scorer;
    _Static_assert(sizeof(struct rouge_scores) == KINDS * sizeof(double), "p, r, f of every kind");
    for (size_t i = 0; i < n; i++) {
        struct rouge_scores *out = (struct rouge_scores *)(void *)(rows + i * stride);
        if (!rouge_pair(s->plain, t[i].prediction, t[i].reference, &out[0], e) ||
            !rouge_pair(s->stem, t[i].prediction, t[i].reference, &out[1], e))
            return false;
    }
    return true;
}

static bool rouge_metric_signature(void *scorer, struct sbuf *b, struct err *e)
{
    (void)scorer;
    return sbuf_printf(b, e, "%s; stem: %s", rouge_signature(false), rouge_signature(true));
}

const struct metric metric_rouge = {
    .name = "rouge",
    .help = "ROUGE-1, -2, -L, -Lsum: precision, recall, F; with and without stems",
    .also = "rouge1 rouge2 rougeL rougeLsum stem",
    .values = rouge_values,
    .nvalues = sizeof rouge_values / sizeof rouge_values[0],
    .ncolumns = 2 * KINDS,
    .open = rouge_metric_open,
    .score = rouge_metric_score,
    .close = rouge_metric_close,
    .signature = rouge_metric_signature,
};

/* ---- rougeLsum_sent: ROUGE-Lsum of the texts with a line a sentence */

static const struct metric_value sent_values[] = {
    PRF("rougeLsum_sent", "ROUGE-Lsum of sentences", 0, METRIC_HEADLINE),
};

struct sent_scorer {
    struct rouge *rouge;
    struct sbuf prediction, reference;
};

static void sent_close(void *scorer)
{
    struct sent_scorer *s = scorer;
    if (!s) return;
    rouge_close(s->rouge);
    sbuf_free(&s->prediction);
    sbuf_free(&s->reference);
    mem_free(s);
}

static bool sent_open(const struct metric_env *env, void **out, struct err *e)
{
    (void)env;
    struct sent_scorer *s = mem_calloc(1, sizeof *s, e);
    *out = NULL;
    if (!s) return false;
    sbuf_init(&s->prediction, SENT_TEXT_MAX);
    sbuf_init(&s->reference, SENT_TEXT_MAX);
    if (!rouge_open(false, &s->rouge, e)) {
        sent_close(s);
        return false;
    }
    *out = s;
    return true;
}

static bool put_lines(struct str text, struct sbuf *b, struct err *e)
{
    struct str sentence;
    sbuf_clear(b);
    while (sentence_next(&text, &sentence))
        if (!sbuf_put(b, sentence, e) || !sbuf_putc(b, '\n', e)) return false;
    return true;
}

static bool sent_score(void *scorer, const struct metric_text *t, size_t n, double *rows,
                       size_t stride, struct err *e)
{
    struct sent_scorer *s = scorer;
    struct rouge_scores r;
    for (size_t i = 0; i < n; i++) {
        if (!put_lines(t[i].prediction, &s->prediction, e) ||
            !put_lines(t[i].reference, &s->reference, e) ||
            !rouge_pair(s->rouge, sbuf_str(&s->prediction), sbuf_str(&s->reference), &r, e))
            return false;
        memcpy(rows + i * stride, &r.v[ROUGE_LSUM], sizeof r.v[ROUGE_LSUM]);
    }
    return true;
}

static bool sent_signature(void *scorer, struct sbuf *b, struct err *e)
{
    (void)scorer;
    return sbuf_put(b, STR("rouge|stem:no|split:radmill sentences|v:1"), e);
}

const struct metric metric_rouge_sent = {
    .name = "rougeLsum_sent",
    .help = "ROUGE-Lsum with our own sentence splitter",
    .values = sent_values,
    .nvalues = sizeof sent_values / sizeof sent_values[0],
    .ncolumns = 3,
    .open = sent_open,
    .score = sent_score,
    .close = sent_close,
    .signature = sent_signature,
};
