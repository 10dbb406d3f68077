/* BERTScore and the similarities of ClinicalBERT and RadBERT as metrics. */
#include "base/fs.h"
#include "base/mem.h"
#include "evaluate/bertscore.h"
#include "evaluate/encoders.h"
#include "evaluate/evaluate.h"
#include "evaluate/similarity.h"

#define MEAN(nm, lb, col, fl)                                                                      \
    {                                                                                              \
        .name = nm, .label = lb, .scale = 100, .flags = fl, .column = col, .columns = 1            \
    }

/* ---- bertscore */

struct bert_scorer {
    struct embed *embed;
    struct bertscore *bert;
};

static bool bert_check(const struct evaluate_opts *o, struct err *e)
{
    uint64_t layer;

    if (!encoders_check(o->encoders.bertscore, "bertscore", e)) return false;
    return str_eqz(str_of(o->bertscore.layer), "auto") ||
           parse_u64(str_of(o->bertscore.layer), &layer, e) ||
           err_wrap(e, "evaluate.bertscore.layer: expected a number or auto");
}

static void bert_close(void *scorer)
{
    struct bert_scorer *s = scorer;
    if (!s) return;
    bertscore_close(s->bert);
    encoders_close(s->embed, "bertscore");
    mem_free(s);
}

static bool bert_start(struct bert_scorer *s, const struct metric_env *env, struct err *e)
{
    const struct encoder_bertscore_opts *b = &env->opts->bertscore;
    const char *dir = env->opts->encoders.bertscore;
    struct bertscore_opts o = {
        .name = b->model ? b->model : dir, .layer = -1, .idf = b->idf, .rescale = b->rescale};
    struct str *refs = NULL;
    uint64_t layer = 0;
    bool ok = false;

    if (!str_eqz(str_of(b->layer), "auto")) {
        if (!parse_u64(str_of(b->layer), &layer, e)) goto out;
        o.layer = layer < 1000 ? (int)layer : 1000;
    }
    if (!encoders_open(env, dir, &s->embed, e)) goto out;
    if (o.idf && !encoders_references(env, &refs, e)) goto out;
    ok = bertscore_open(s->embed, &o, refs, env->n, &s->bert, e);
out:
    mem_free(refs);
    return ok;
}

static bool bert_open(const struct metric_env *env, void **out, struct err *e)
{
    struct bert_scorer *s = mem_calloc(1, sizeof *s, e);

    *out = NULL;
    if (s && bert_start(s, env, e)) {
        *out = s;
        return true;
    }
    bert_close(s);
    return false;
}

static bool bert_score(void *scorer, const struct metric_text *t, size_t n, double *rows,
                       size_t stride, struct err *e)
{
    struct bert_scorer *s = scorer;
    struct str *texts = NULL;
    struct bertscore_prf *v = mem_calloc(n, sizeof *v, e);
    bool ok = v && encoders_texts(t, n, &texts, e) && bertscore_pairs(s->bert, texts, n, v, e);

    for (size_t i = 0; ok && i < n; i++) {
        rows[i * stride] = v[i].p;
        rows[i * stride + 1] = v[i].r;
        rows[i * stride + 2] = v[i].f;
    }
    mem_free(texts);
    mem_free(v);
    return ok;
}

static bool bert_signature(void *scorer, struct sbuf *b, struct err *e)
{
    struct bert_scorer *s = scorer;
    return bertscore_signature(s->bert, b, e);
}

static const struct metric_value bert_values[] = {
    MEAN("bertscore.p", "BERTScore precision", 0, 0),
    MEAN("bertscore.r", "BERTScore recall", 1, 0),
    MEAN("bertscore.f", "BERTScore F", 2, METRIC_HEADLINE),
};

const struct metric metric_bertscore = {
    .name = "bertscore",
    .help = "BERTScore precision, recall, F by evaluate.encoders.bertscore",
    .values = bert_values,
    .nvalues = sizeof bert_values / sizeof bert_values[0],
    .ncolumns = 3,
    .whole = true,
    .check = bert_check,
    .open = bert_open,
    .score = bert_score,
    .close = bert_close,
    .signature = bert_signature,
};

/* ---- clinicalbert, radbert */

struct cosine_scorer {
    struct embed *embed;
    const char *key, *dir;
    enum similarity_pool pool;
    double base; /* mean cosine of random pairs */
};

static void cosine_close(void *scorer)
{
    struct cosine_scorer *s = scorer;
    if (!s) return;
    encoders_close(s->embed, s->key);
    mem_free(s);
}

static bool cosine_start(struct cosine_scorer *s, const struct metric_env *env, struct err *e)
{
    struct str *refs = NULL;
    bool ok = encoders_open(env, s->dir, &s->embed, e) && encoders_references(env, &refs, e) &&
              similarity_random(s->embed, s->pool, refs, env->n, env->opts->seed, &s->base, e);
    mem_free(refs);
    return ok;
}

static bool cosine_open(const struct metric_env *env, const char *key, const char *dir, void **out,
                        struct err *e)
{
    struct cosine_scorer *s = mem_calloc(1, sizeof *s, e);

    *out = NULL;
    if (!s) return false;
    s->key = key;
    s->dir = dir;
    s->pool = (enum similarity_pool)env->opts->pooling;
    if (cosine_start(s, env, e)) {
        *out = s;
        return true;
    }
    cosine_close(s);
    return false;
}

static bool cosine_score(void *scorer, const struct metric_text *t, size_t n, double *rows,
                         size_t stride, struct err *e)
{
    struct cosine_scorer *s = scorer;
    struct str *texts = NULL;
    double *v = mem_calloc(n, sizeof *v, e);
    bool ok =
        v && encoders_texts(t, n, &texts, e) && similarity_pairs(s->embed, s->pool, texts, n, v, e);

    for (size_t i = 0; ok && i < n; i++) {
        rows[i * stride] = v[i];
        rows[i * stride + 1] = similarity_rescaled(v[i], s->base);
    }
    mem_free(texts);
    mem_free(v);
    return ok;
}

static bool cosine_signature(void *scorer, struct sbuf *b, struct err *e)
{
    struct cosine_scorer *s = scorer;
    struct str name = fs_name(s->dir);
    return sbuf_printf(b, e,
                       "%s|model:%.*s|layer:%u|pool:%s|lower:%s|random pairs:%d, mean cosine "
                       "%.4f|weights:%s|v:1",
                       s->key, STR_ARG(name), embed_info(s->embed).layers,
                       encoder_pool_names[s->pool], embed_case_name(s->embed), SIMILARITY_RANDOM,
                       s->base, embed_digest(s->embed));
}

#define COSINE(key, label)                                                                         \
    static bool key##_check(const struct evaluate_opts *o, struct err *e)                          \
    {                                                                                              \
        return encoders_check(o->encoders.key, #key, e);                                           \
    }                                                                                              \
    static bool key##_open(const struct metric_env *env, void **out, struct err *e)                \
    {                                                                                              \
        return cosine_open(env, #key, env->opts->encoders.key, out, e);                            \
    }                                                                                              \
    static const struct metric_value key##_values[] = {                                            \
        MEAN(#key ".cos", label " cosine", 0, METRIC_HEADLINE),                                    \
        MEAN(#key ".rescaled", label " rescaled", 1, METRIC_HEADLINE),                             \
    };                                                                                             \
    const struct metric metric_##key = {                                                           \
        .name = #key,                                                                              \
        .help = label " similarity: cosine of pooled vectors, and rescaled by random pairs",       \
        .values = key##_values,                                                                    \
        .nvalues = 2,                                                                              \
        .ncolumns = 2,                                                                             \
        .whole = true,                                                                             \
        .check = key##_check,                                                                      \
        .open = key##_open,                                                                        \
        .score = cosine_score,                                                                     \
        .close = cosine_close,                                                                     \
        .signature = cosine_signature,                                                             \
    }
COSINE(clinicalbert, "ClinicalBERT");
COSINE(radbert, "RadBERT");
