#include "model/logit_drift.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"

/* Logits of the batch's rows by one model, with an adapter or NULL; *out is mem_alloc'ed. */
static bool run(struct dev *d, const char *dir, const char *adapter, const struct decoder_batch *b,
                float **out, uint32_t *vocab, struct err *e)
{
    struct model *m = NULL;
    struct lora *l = NULL;
    struct decoder_work *w = NULL;
    bool ok = false;

    if (!model_open(d, dir, DEV_F32, &m, e)) goto out;
    if (adapter && !lora_load(m, adapter, &l, e)) goto out;
    *vocab = model_get_spec(m)->vocab;
    *out = mem_alloc((size_t)b->nrows * *vocab * sizeof **out, e);
    if (!*out || !decoder_work_open(m, l, b->ntokens, b->nrows, false, &w, e)) goto out;
    ok = decoder_logits(w, b, *out, e);
out:
    decoder_work_close(w);
    lora_close(l);
    model_close(m);
    return ok;
}

static void add_row(const float *a, const float *b, uint32_t n, struct logit_drift *d)
{
    double sum = 0, size2 = 0, diff2 = 0;
    uint32_t top_a = 0, top_b = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (double)a[i];
    for (uint32_t i = 0; i < n; i++) {
        double size = (double)a[i] - sum / n, diff = (double)b[i] - (double)a[i];
        size2 += size * size;
        diff2 += diff * diff;
        if (fabs(diff) > d->max) d->max = fabs(diff);
        if (a[i] > a[top_a]) top_a = i;
        if (b[i] > b[top_b]) top_b = i;
    }
    d->rms += diff2 / n;
    d->size_rms += size2 / n;
    d->same += top_a == top_b;
    d->rows++;
}

bool logit_drift(const char *base, const char *adapter, const char *merged,
                 const struct decoder_batch *b, struct logit_drift *out, struct err *e)
{
    struct dev *d = NULL;
    float *before = NULL, *after = NULL;
    uint32_t vocab, vocab_after;
    bool ok = false;

    *out = (struct logit_drift){0};
    if (!dev_open("cpu", 1, &d, e)) goto out;
    if (!run(d, base, adapter, b, &before, &vocab, e) ||
        !run(d, merged, NULL, b, &after, &vocab_after, e))
        goto out;
    if (vocab != vocab_after) {
        err_set(e, ERR_FORMAT, "the merged model has another vocabulary");
        goto out;
    }
    for (uint32_t r = 0; r < b->nrows; r++)
        add_row(before + (size_t)r * vocab, after + (size_t)r * vocab, vocab, out);
    out->rms = sqrt(out->rms / (double)out->rows);
    out->size_rms = sqrt(out->size_rms / (double)out->rows);
    ok = true;
out:
    mem_free(after);
    mem_free(before);
    dev_close(d);
    return ok;
}

bool logit_drift_bytes(const char *base, const struct decoder_batch *b, uint64_t *bytes,
                       struct err *e)
{
    struct model_spec s;
    char config[4096];
    uint64_t model = 0, work = 0;
    int n = snprintf(config, sizeof config, "%s/config.json", base);

    if (n < 0 || (size_t)n >= sizeof config) return err_set(e, ERR_LIMIT, "path too long");
    if (!model_spec_read(config, &s, e) || !model_bytes(&s, DEV_F32, DEV_QUANT_NONE, &model, e) ||
        !decoder_work_bytes(&s, DEV_F32, NULL, b->ntokens, b->nrows, false, &work, e))
        return false;
    *bytes = model + work + 2 * (uint64_t)b->nrows * s.vocab * sizeof(float);
    return true;
}
