#include "evaluate/chexbert.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "evaluate/encoders.h"
#include "model/safetensors.h"

enum { CLASSES = 4, CHUNK = 512 };

const char *const chexbert_names[CHEXBERT_LABELS] = {
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung opacity",
    "lung lesion",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "other pleural",
    "fracture",
    "support devices",
    "no finding",
};
const int chexbert_five[CHEXBERT_FIVE] = {1, 4, 5, 7, 9};

struct head {
    float *w, b[CLASSES]; /* w [classes][d] */
    int classes;
};
struct chexbert {
    struct embed *embed;
    uint32_t d;
    struct head head[CHEXBERT_LABELS];
    /* the chunk */
    float *cls; /* [text][d], for first occurrences */
    uint32_t first[CHUNK];
    struct chexbert_text labels[CHUNK];
};

static bool load_head(struct chexbert *c, const struct safetensors *files, int i, struct err *e)
{
    struct head *h = &c->head[i];
    const struct safetensor *w, *b;
    char name[64];

    h->classes = i + 1 < CHEXBERT_LABELS ? CLASSES : 2;
    snprintf(name, sizeof name, "linear_heads.%d.weight", i);
    if (!safetensors_need(files, name, (uint64_t)h->classes, c->d, &w, e)) return false;
    snprintf(name, sizeof name, "linear_heads.%d.bias", i);
    if (!safetensors_need(files, name, (uint64_t)h->classes, 0, &b, e)) return false;
    if (!dtype_is_weight(w->dtype) || !dtype_is_weight(b->dtype))
        return err_set(e, ERR_FORMAT, "tensor %s is not of floating point", name);
    h->w = mem_calloc((size_t)h->classes * c->d, sizeof *h->w, e);
    if (!h->w) return false;
    dtype_to_f32(w->dtype, w->data, (size_t)h->classes * c->d, h->w);
    dtype_to_f32(b->dtype, b->data, (size_t)h->classes, h->b);
    return true;
}

static bool open_parts(struct chexbert *c, const struct embed_opts *o, struct err *e)
{
    struct safetensors *files = NULL;
    bool ok = false;

    if (!embed_open(o, &c->embed, e) || !safetensors_open(o->dir, &files, e)) goto out;
    c->d = embed_info(c->embed).d;
    c->cls = mem_calloc((size_t)CHUNK * c->d, sizeof *c->cls, e);
    ok = c->cls != NULL;
    for (int i = 0; ok && i < CHEXBERT_LABELS; i++)
        ok = load_head(c, files, i, e);
out:
    safetensors_close(files);
    return ok || err_wrap(e, "%s", o->dir);
}

bool chexbert_open(const struct embed_opts *o, struct chexbert **out, struct err *e)
{
    struct chexbert *c = mem_calloc(1, sizeof *c, e);

    if (!c) return false;
    if (open_parts(c, o, e)) {
        *out = c;
        return true;
    }
    chexbert_close(c);
    return false;
}

void chexbert_close(struct chexbert *c)
{
    if (!c) return;
    for (int i = 0; i < CHEXBERT_LABELS; i++)
        mem_free(c->head[i].w);
    mem_free(c->cls);
    encoders_close(c->embed, "chexbert");
    mem_free(c);
}

struct embed *chexbert_embed(struct chexbert *c)
{
    return c->embed;
}

/* ---- texts */

static uint8_t best_class(const struct head *h, const float *x, uint32_t d)
{
    double best = 0;
    uint8_t at = 0;

    for (int k = 0; k < h->classes; k++) {
        double sum = (double)h->b[k];
        for (uint32_t i = 0; i < d; i++)
            sum += (double)h->w[(size_t)k * d + i] * (double)x[i];
        if (k > 0 && sum <= best) continue;
        best = sum;
        at = (uint8_t)k;
    }
    return at;
}

static bool take_text(void *ctx, size_t i, const struct embed_text *t, struct err *e)
{
    struct chexbert *c = ctx;
    (void)e;

    memcpy(c->cls + i * c->d, t->rows, c->d * sizeof *c->cls);
    for (int k = 0; k < CHEXBERT_LABELS; k++)
        c->labels[i].label[k] = best_class(&c->head[k], t->rows, c->d);
    return true;
}

static double cosine(const struct chexbert *c, size_t i, size_t j)
{
    const float *x = c->cls + i * c->d, *y = c->cls + j * c->d;
    double xy = 0, xx = 0, yy = 0;

    for (uint32_t k = 0; k < c->d; k++) {
        xy += (double)x[k] * (double)y[k];
        xx += (double)x[k] * (double)x[k];
        yy += (double)y[k] * (double)y[k];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

bool chexbert_texts(struct chexbert *c, const struct str *texts, size_t n,
                    struct chexbert_text *out, double *cosines, struct err *e)
{
    uint32_t layer = embed_info(c->embed).layers;

    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        if (!embed_each(c->embed, texts + at, m, layer, c->first, take_text, c, e)) return false;
        for (size_t i = 0; i < m; i++)
            out[at + i] = c->labels[c->first[i]];
        for (size_t i = 0; cosines && i + 1 < m; i += 2)
            cosines[(at + i) / 2] = cosine(c, c->first[i], c->first[i + 1]);
    }
    return true;
}

/* ---- F1 */

static double f1(double tp, double fp, double fn)
{
    return tp > 0 ? 2 * tp / (2 * tp + fp + fn) : 0;
}

double chexbert_micro(const double *counts, const int *labels, int n)
{
    double sum[3] = {0};

    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            sum[k] += counts[3 * labels[i] + k];
    return f1(sum[0], sum[1], sum[2]);
}

double chexbert_macro(const double *counts, const int *labels, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        const double *v = counts + (size_t)3 * (size_t)labels[i];
        sum += f1(v[0], v[1], v[2]);
    }
    return sum / n;
}
