#include "model/weights.h"

#include <math.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model/gguf_spec.h"

struct weights {
    struct model shape; /* spec alone: an adapter is read against it */
    struct safetensors *files;
    struct gguf *gguf;
    struct lora *lora; /* ranks and scales; its tensors stay in the files */
    struct safetensors *factors;

    struct model_tensor t; /* begun */
    const struct safetensor *st;
    const struct gguf_tensor *gg;
    uint32_t rank; /* 0: not adapted */
    double scale;
    float *a, *b, *m; /* of the module; m only with DoRA */
    size_t cap_a, cap_b, cap_m;
    float *row, *last; /* the base's row; the row as given */
    size_t cap_row, cap_last;

    uint64_t merged, n;
    double update2, loss2, loss_max;
};

static bool path_to(char out[4096], const char *dir, const char *name, struct err *e)
{
    int n = snprintf(out, 4096, "%s/%s", dir, name);
    return (n >= 0 && n < 4096) || err_set(e, ERR_LIMIT, "path too long");
}

static bool open_base(struct weights *w, const char *base, struct err *e)
{
    char config[4096];
    if (!fs_is_dir(base))
        return gguf_open(base, &w->gguf, e) && gguf_spec_read(w->gguf, &w->shape.spec, e);
    if (!path_to(config, base, "config.json", e) || !model_spec_read(config, &w->shape.spec, e) ||
        !safetensors_open(base, &w->files, e))
        return false;
    model_settle(&w->shape.spec, w->files);
    return true;
}

bool weights_open(const char *base, const char *adapter, struct weights **out, struct err *e)
{
    struct weights *w = mem_calloc(1, sizeof *w, e);
    char config[4096];
    bool ok = false, peft = false;

    if (!w) return false;
    if (adapter) {
        if (!path_to(config, adapter, "adapter_config.json", e)) goto out;
        peft = fs_exists(config);
    }
    if (!open_base(w, adapter && !peft ? adapter : base, e)) goto out;
    if (peft && !lora_peft_read(&w->shape, adapter, &w->lora, &w->factors, e)) {
        err_wrap(e, "adapter %s", adapter);
        goto out;
    }
    *out = w;
    ok = true;
out:
    if (!ok) weights_close(w);
    return ok;
}

void weights_close(struct weights *w)
{
    if (!w) return;
    mem_free(w->last);
    mem_free(w->row);
    mem_free(w->m);
    mem_free(w->b);
    mem_free(w->a);
    safetensors_close(w->factors);
    lora_close(w->lora);
    gguf_close(w->gguf);
    safetensors_close(w->files);
    mem_free(w);
}

const struct model_spec *weights_spec(const struct weights *w)
{
    return &w->shape.spec;
}

const struct model_tensor *weights_tensor(const struct weights *w)
{
    return &w->t;
}

static bool find(const struct weights *w, const struct model_tensor *t,
                 const struct safetensor **st, const struct gguf_tensor **gg, struct err *e)
{
    char name[TENSOR_NAME];
    *st = NULL;
    *gg = NULL;
    if (w->files)
        return safetensors_need(w->files, t->name, t->norm ? t->cols : t->rows,
                                t->norm ? 0 : t->cols, st, e);
    gguf_spec_name(t, name);
    *gg = gguf_tensor(w->gguf, name);
    if (!*gg) return err_set(e, ERR_FORMAT, "tensor %s is missing", name);
    if ((*gg)->dims[0] != t->cols || (*gg)->rows != t->rows)
        return err_set(e, ERR_FORMAT, "tensor %s has shape [%llu, %llu], expected [%u, %u]", name,
                       (unsigned long long)(*gg)->rows, (unsigned long long)(*gg)->dims[0], t->rows,
                       t->cols);
    return true;
}

bool weights_check(const struct weights *w, struct err *e)
{
    const struct safetensor *st;
    const struct gguf_tensor *gg;
    struct model_tensor t;
    for (uint32_t i = 0; i < model_ntensors(&w->shape.spec); i++) {
        model_tensor_at(&w->shape.spec, i, &t);
        if (!find(w, &t, &st, &gg, e)) return false;
    }
    return true;
}

/* One factor of the module begun, in f32. */
static bool load_factor(struct weights *w, const char *tail, uint32_t rows, uint32_t cols,
                        float **out, size_t *cap, struct err *e)
{
    char name[TENSOR_NAME + 64];
    const struct safetensor *t;
    int path = (int)(strlen(w->t.name) - strlen(".weight"));
    snprintf(name, sizeof name, "base_model.model.%.*s.%s", path, w->t.name, tail);
    if (!safetensors_need(w->factors, name, rows, cols, &t, e)) return false;
    if (!mem_grow((void **)out, cap, (size_t)t->count, sizeof **out, e)) return false;
    dtype_to_f32(t->dtype, t->data, (size_t)t->count, *out);
    return true;
}

static bool load_factors(struct weights *w, uint32_t module, struct err *e)
{
    const struct lora *l = w->lora;
    uint32_t r = l->ranks[module];
    w->rank = r;
    if (!r) return true;
    w->merged++;
    w->scale = l->alphas[module] / (l->rslora ? sqrt((double)r) : (double)r);
    return load_factor(w, "lora_A.weight", r, w->t.cols, &w->a, &w->cap_a, e) &&
           load_factor(w, "lora_B.weight", w->t.rows, r, &w->b, &w->cap_b, e) &&
           (!l->dora || load_factor(w, "lora_magnitude_vector", w->t.rows, 0, &w->m, &w->cap_m, e));
}

bool weights_begin(struct weights *w, uint32_t i, struct err *e)
{
    w->rank = 0;
    model_tensor_at(&w->shape.spec, i, &w->t);
    if (!find(w, &w->t, &w->st, &w->gg, e)) return false;
    if (!mem_grow((void **)&w->row, &w->cap_row, w->t.cols, sizeof *w->row, e) ||
        !mem_grow((void **)&w->last, &w->cap_last, w->t.cols, sizeof *w->last, e))
        return false;
    uint32_t module;
    if (!w->lora || !lora_module_of(&w->shape.spec, &w->t, &module)) return true;
    return load_factors(w, module, e);
}

static void merge_row(struct weights *w, uint32_t r, float *out)
{
    double norm2 = 0, factor;
    for (uint32_t k = 0; k < w->rank; k++) {
        float f = (float)(w->scale * (double)w->b[(size_t)r * w->rank + k]);
        const float *a = w->a + (size_t)k * w->t.cols;
        for (uint32_t c = 0; c < w->t.cols; c++)
            out[c] += f * a[c];
    }
    if (!w->lora->dora) return;
    for (uint32_t c = 0; c < w->t.cols; c++)
        norm2 += (double)out[c] * (double)out[c];
    factor = norm2 > 0 ? (double)w->m[r] / sqrt(norm2) : 0;
    for (uint32_t c = 0; c < w->t.cols; c++)
        out[c] = (float)(factor * (double)out[c]);
}

void weights_row(struct weights *w, uint32_t r, float *out)
{
    uint32_t cols = w->t.cols;
    if (w->gg)
        gguf_row(w->gg, gguf_spec_row(&w->shape.spec, &w->t, r), out);
    else
        dtype_to_f32(w->st->dtype, w->st->data + (uint64_t)r * cols * dtype_bytes(w->st->dtype),
                     cols, out);
    if (!w->rank) return;
    memcpy(w->row, out, cols * sizeof *out);
    merge_row(w, r, out);
    memcpy(w->last, out, cols * sizeof *out);
}

void weights_note(struct weights *w, const float *stored)
{
    if (!w->rank) return;
    for (uint32_t c = 0; c < w->t.cols; c++) {
        double up = (double)w->last[c] - (double)w->row[c];
        double loss = (double)stored[c] - (double)w->last[c];
        w->update2 += up * up;
        w->loss2 += loss * loss;
        if (fabs(loss) > w->loss_max) w->loss_max = fabs(loss);
    }
    w->n += w->t.cols;
}

struct weights_drift weights_drift(const struct weights *w)
{
    double n = w->n ? (double)w->n : 1;
    return (struct weights_drift){w->merged, sqrt(w->update2 / n), sqrt(w->loss2 / n), w->loss_max};
}
