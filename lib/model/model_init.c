#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/parts.h"

#define INIT_STD 0.02

static bool put_tensor(struct safetensors_writer *w, const struct model_tensor *t, uint64_t seed,
                       uint32_t number, float *row, struct err *e)
{
    struct rng_key key = rng_key(seed, RNG_MODEL_INIT, number);
    for (uint32_t r = 0; r < t->rows; r++) {
        for (uint32_t c = 0; c < t->cols; c++)
            row[c] =
                t->norm ? 1.0F : (float)(INIT_STD * rng_normal(key, (uint64_t)r * t->cols + c));
        if (!safetensors_writer_put(w, row, t->cols * sizeof *row, e)) return false;
    }
    return true;
}

bool model_init_random(const struct model_spec *s, uint64_t seed, const char *dir, struct err *e)
{
    struct model_tensor *tensors = NULL;
    struct safetensor *list = NULL;
    struct safetensors_writer *w = NULL;
    float *row = NULL;
    char path[4096];
    bool ok = false;

    if (snprintf(path, sizeof path, "%s/model.safetensors", dir) >= (int)sizeof path) {
        err_set(e, ERR_LIMIT, "path too long");
        goto out;
    }
    if (!fs_mkdirs(dir, e) || !model_list(s, DTYPE_F32, &tensors, &list, e)) goto out;
    row = mem_alloc(
        (s->d > s->ff ? s->d : s->ff) * sizeof *row + s->heads * s->head_dim * sizeof *row, e);
    if (!row) goto out;
    if (!safetensors_writer_open(path, list, model_ntensors(s), &w, e)) goto out;
    for (uint32_t i = 0; i < model_ntensors(s); i++) {
        if (!put_tensor(w, &tensors[i], seed, i, row, e)) goto out;
    }
    if (!safetensors_writer_commit(w, e)) goto out;
    snprintf(path, sizeof path, "%s/config.json", dir);
    ok = model_spec_write(s, dtype_torch_name(DTYPE_F32), path, e);
out:
    safetensors_writer_close(w);
    mem_free(row);
    mem_free(list);
    mem_free(tensors);
    if (!ok) err_wrap(e, "fresh model %s", dir);
    return ok;
}
