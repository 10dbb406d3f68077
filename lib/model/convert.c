#include "model/convert.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"

static bool put_tensor(struct weights *w, struct safetensors_writer *to, enum dtype out, float *row,
                       void *packed, struct err *e)
{
    const struct model_tensor *t = weights_tensor(w);
    for (uint32_t r = 0; r < t->rows; r++) {
        weights_row(w, r, row);
        dtype_from_f32(out, row, t->cols, packed);
        if (!safetensors_writer_put(to, packed, t->cols * dtype_bytes(out), e)) return false;
        dtype_to_f32(out, packed, t->cols, row);
        weights_note(w, row);
    }
    return true;
}

static bool write_weights(struct weights *w, const char *path, enum dtype out, struct err *e)
{
    struct model_tensor *tensors = NULL;
    struct safetensor *list = NULL;
    struct safetensors_writer *to = NULL;
    uint32_t n = model_ntensors(weights_spec(w)), widest = 0;
    float *row = NULL;
    void *packed = NULL;
    bool ok = false;

    if (!model_list(weights_spec(w), out, &tensors, &list, e)) goto out;
    for (uint32_t i = 0; i < n; i++)
        widest = tensors[i].cols > widest ? tensors[i].cols : widest;
    row = mem_alloc(widest * sizeof *row, e);
    if (!row) goto out;
    packed = mem_alloc(widest * sizeof *row, e);
    if (!packed) goto out;
    if (!safetensors_writer_open(path, list, n, &to, e)) goto out;
    for (uint32_t i = 0; i < n; i++) {
        if (!weights_begin(w, i, e) || !put_tensor(w, to, out, row, packed, e)) goto out;
    }
    ok = safetensors_writer_commit(to, e);
out:
    safetensors_writer_close(to);
    mem_free(packed);
    mem_free(row);
    mem_free(list);
    mem_free(tensors);
    return ok;
}

bool convert_merge(const char *from, const char *adapter, const char *to_dir, enum dtype out,
                   struct weights_drift *drift, struct err *e)
{
    struct weights *w = NULL;
    char path[4096];
    bool ok = false;
    int n = snprintf(path, sizeof path, "%s/model.safetensors", to_dir);

    CHECK(out == DTYPE_F32 || out == DTYPE_BF16 || out == DTYPE_F16);
    if (n < 0 || (size_t)n >= sizeof path) {
        err_set(e, ERR_LIMIT, "path too long");
        goto out;
    }
    /* all tensors are there before anything is written */
    if (!weights_open(from, adapter, &w, e) || !weights_check(w, e)) goto out;
    if (!fs_mkdirs(to_dir, e) || !write_weights(w, path, out, e)) goto out;
    *drift = weights_drift(w);
    snprintf(path, sizeof path, "%s/config.json", to_dir);
    ok = model_spec_write(weights_spec(w), dtype_torch_name(out), path, e);
out:
    weights_close(w);
    if (!ok) err_wrap(e, "convert %s", from);
    return ok;
}

bool convert_to_hf(const char *from, const char *to_dir, enum dtype out, struct err *e)
{
    struct weights_drift none;
    return convert_merge(from, NULL, to_dir, out, &none, e);
}
