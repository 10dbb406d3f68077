#include "evaluate/bertscore.h"

#include <math.h>

#include "base/fs.h"
#include "base/mem.h"

/* Pairs whose token vectors are held at once. */
enum { CHUNK = 64, LANES = 8 };

/* ---- what is known of models */

static const struct bertscore_model models[] = {
    {"roberta-large", 17, 0.83150584, 0.8314941, 0.83122575},
    {"roberta-base", 10, 0.8146725, 0.8146619, 0.814463},
    {"distilroberta-base", 5, 0.84732, 0.84759504, 0.8473319},
    {"bert-base-uncased", 9, 0.35375935, 0.3537393, 0.35219112},
    {"distilbert-base-uncased", 5, 0.6666034, 0.66660464, 0.66620487},
    {"bert-large-uncased", 18, 0, 0, 0},
    {"bert-base-multilingual-cased", 9, 0, 0, 0},
    {"distilbert-base-multilingual-cased", 5, 0, 0, 0},
    {"scibert_scivocab_uncased", 8, 0, 0, 0},
    {"scibert_scivocab_cased", 8, 0, 0, 0},
};

const struct bertscore_model *bertscore_model_of(const char *name)
{
    struct str s = fs_name(name);

    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (str_eqz(s, models[i].name)) return &models[i];
    return NULL;
}

/* ---- opening */

struct held { /* a text of the chunk: unit rows from `at`, in units of d */
    size_t at;
    uint32_t n;
};
struct bertscore {
    struct embed *embed;
    struct bertscore_opts o;
    const struct bertscore_model *known; /* NULL: not in the table */
    uint32_t layer, d;
    float *weight; /* by id; NULL without idf */
    /* the chunk */
    struct held held[2 * CHUNK];
    uint32_t first[2 * CHUNK];
    float *rows;
    uint32_t *ids;
    size_t nrows, rows_cap, ids_cap;
    float *best;
    size_t best_cap;
};

/* df of every id over the references, then its weight. */
static bool count_idf(struct bertscore *b, const struct str *refs, size_t n, struct err *e)
{
    uint32_t vocab = embed_info(b->embed).vocab;
    uint32_t *df = mem_calloc(vocab, sizeof *df, e);
    size_t *last = df ? mem_calloc(vocab, sizeof *last, e) : NULL;
    struct tok_ids ids = {0};
    bool ok = last != NULL;

    b->weight = ok ? mem_calloc(vocab, sizeof *b->weight, e) : NULL;
    ok = b->weight != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        ids.n = 0;
        ok = embed_ids(b->embed, refs[i], &ids, e);
        for (size_t k = 0; ok && k < ids.n; k++) {
            if (last[ids.ids[k]] != i + 1) df[ids.ids[k]]++;
            last[ids.ids[k]] = i + 1;
        }
    }
    for (uint32_t k = 0; ok && k < vocab; k++)
        b->weight[k] = (float)log(((double)n + 1) / ((double)df[k] + 1));
    tok_ids_free(&ids);
    mem_free(last);
    mem_free(df);
    return ok;
}

static bool settle(struct bertscore *b, struct err *e)
{
    uint32_t layers = embed_info(b->embed).layers;

    b->known = bertscore_model_of(b->o.name);
    if (b->o.layer < 0 && !b->known)
        return err_set(e, ERR_CONFIG,
                       "evaluate.bertscore.layer: %s is not a model whose best layer is known; "
                       "give one of 0 to %u (or name the model in evaluate.bertscore.model)",
                       b->o.name, layers);
    b->layer = b->o.layer < 0 ? b->known->layer : (uint32_t)b->o.layer;
    if (b->layer > layers)
        return err_set(e, ERR_CONFIG, "evaluate.bertscore.layer: %u, but %s has %u layers",
                       b->layer, b->o.name, layers);
    if (b->o.rescale && (!b->known || b->known->p == 0 || b->known->layer != b->layer))
        return err_set(e, ERR_CONFIG,
                       "evaluate.bertscore.rescale: no baseline is known for layer %u of %s",
                       b->layer, b->o.name);
    return true;
}

bool bertscore_open(struct embed *m, const struct bertscore_opts *o, const struct str *refs,
                    size_t nrefs, struct bertscore **out, struct err *e)
{
    struct bertscore *b = mem_calloc(1, sizeof *b, e);

    if (!b) return false;
    b->embed = m;
    b->o = *o;
    b->d = embed_info(m).d;
    if (settle(b, e) && (!o->idf || count_idf(b, refs, nrefs, e))) {
        *out = b;
        return true;
    }
    bertscore_close(b);
    return false;
}

void bertscore_close(struct bertscore *b)
{
    if (!b) return;
    mem_free(b->best);
    mem_free(b->ids);
    mem_free(b->rows);
    mem_free(b->weight);
    mem_free(b);
}

/* ---- the chunk's texts */

static void unit_length(float *v, uint32_t d)
{
    double sum = 0;
    for (uint32_t i = 0; i < d; i++)
        sum += (double)v[i] * (double)v[i];
    float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (uint32_t i = 0; i < d; i++)
        v[i] *= scale;
}

static bool keep_text(void *ctx, size_t i, const struct embed_text *t, struct err *e)
{
    struct bertscore *b = ctx;
    size_t need = b->nrows + t->n;

    if (!mem_grow((void **)&b->rows, &b->rows_cap, need * b->d, sizeof *b->rows, e) ||
        !mem_grow((void **)&b->ids, &b->ids_cap, need, sizeof *b->ids, e))
        return false;
    float *rows = b->rows + b->nrows * b->d;
    memcpy(rows, t->rows, (size_t)t->n * b->d * sizeof *rows);
    memcpy(b->ids + b->nrows, t->ids, t->n * sizeof *t->ids);
    for (uint32_t k = 0; k < t->n; k++)
        unit_length(rows + (size_t)k * b->d, b->d);
    b->held[i] = (struct held){b->nrows, t->n};
    b->nrows = need;
    return true;
}

/* ---- a pair */

/* In lanes, so that it is quick without changing how sums are rounded. */
static float dot(const float *x, const float *y, uint32_t d)
{
    float lane[LANES] = {0};
    uint32_t i = 0;

    for (; i + LANES <= d; i += LANES)
        for (uint32_t k = 0; k < LANES; k++)
            lane[k] += x[i + k] * y[i + k];
    for (; i < d; i++)
        lane[0] += x[i] * y[i];
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static double weighted(const struct bertscore *b, struct held h, const float *best)
{
    const uint32_t *ids = b->ids + h.at;
    double sum = 0, total = 0;

    for (uint32_t i = 0; i < h.n; i++) {
        bool special = i == 0 || i + 1 == h.n;
        double w = special ? 0 : b->weight ? (double)b->weight[ids[i]] : 1;
        sum += w * (double)best[i];
        total += w;
    }
    return total > 0 ? sum / total : 0;
}

static double rescaled(double x, double base)
{
    return (x - base) / (1 - base);
}

static bool score_pair(struct bertscore *b, struct held hyp, struct held ref,
                       struct bertscore_prf *out, struct err *e)
{
    size_t n = (size_t)hyp.n + ref.n;

    if (!mem_grow((void **)&b->best, &b->best_cap, n, sizeof *b->best, e)) return false;
    float *row = b->best, *col = b->best + hyp.n;
    for (size_t i = 0; i < n; i++)
        b->best[i] = -2;
    for (uint32_t i = 0; i < hyp.n; i++)
        for (uint32_t j = 0; j < ref.n; j++) {
            float s = dot(b->rows + (hyp.at + i) * b->d, b->rows + (ref.at + j) * b->d, b->d);
            if (s > row[i]) row[i] = s;
            if (s > col[j]) col[j] = s;
        }
    *out = (struct bertscore_prf){0};
    if (hyp.n > 2 && ref.n > 2) {
        out->p = weighted(b, hyp, row);
        out->r = weighted(b, ref, col);
        if (out->p + out->r != 0) out->f = 2 * out->p * out->r / (out->p + out->r);
    }
    if (b->o.rescale) {
        out->p = rescaled(out->p, b->known->p);
        out->r = rescaled(out->r, b->known->r);
        out->f = rescaled(out->f, b->known->f);
    }
    return true;
}

bool bertscore_pairs(struct bertscore *b, const struct str *texts, size_t n,
                     struct bertscore_prf *out, struct err *e)
{
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        b->nrows = 0;
        if (!embed_each(b->embed, texts + 2 * at, 2 * m, b->layer, b->first, keep_text, b, e))
            return false;
        for (size_t i = 0; i < m; i++)
            if (!score_pair(b, b->held[b->first[2 * i]], b->held[b->first[2 * i + 1]], &out[at + i],
                            e))
                return false;
    }
    return true;
}

bool bertscore_signature(const struct bertscore *b, struct sbuf *out, struct err *e)
{
    struct str name = fs_name(b->o.name);
    return sbuf_printf(
        out, e, "bertscore|model:%.*s|layer:%u|idf:%s|rescale:%s|lower:%s|weights:%s|v:1",
        STR_ARG(name), b->layer, b->o.idf ? "yes" : "no", b->o.rescale ? "yes" : "no",
        embed_case_name(b->embed), embed_digest(b->embed));
}
