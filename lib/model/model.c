#include "base/mem.h"
#include "model/parts.h"

#include <stdio.h>

enum { TENSORS_PER_BLOCK = 9, ALIGN_ELEMENTS = 128 };

/* ---- what there is */

struct linear_shape linear_shape(const struct model_spec *s, enum linear lin)
{
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    switch (lin) {
    case LIN_QKV:
        return (struct linear_shape){s->d,
                                     q + 2 * kv,
                                     3,
                                     {q, kv, kv},
                                     {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
                                     {0, 1, 2}};
    case LIN_O:
        return (struct linear_shape){q, s->d, 1, {s->d}, {"self_attn.o_proj"}, {3}};
    case LIN_GU:
        return (struct linear_shape){
            s->d, 2 * s->ff, 2, {s->ff, s->ff}, {"mlp.gate_proj", "mlp.up_proj"}, {4, 5}};
    case LIN_DOWN:
        return (struct linear_shape){s->ff, s->d, 1, {s->d}, {"mlp.down_proj"}, {6}};
    default:
        UNREACHABLE();
    }
}

uint32_t model_ntensors(const struct model_spec *s)
{
    return 2 + TENSORS_PER_BLOCK * s->layers + (s->tied ? 0 : 1);
}

/* Which linear and part the k-th tensor of a block is; norms have lin LINEARS. */
static const struct {
    enum linear lin;
    uint32_t part;
    const char *norm;
} block_tensors[TENSORS_PER_BLOCK] = {
    {LINEARS, 0, "input_layernorm"},
    {LIN_QKV, 0, NULL},
    {LIN_QKV, 1, NULL},
    {LIN_QKV, 2, NULL},
    {LIN_O, 0, NULL},
    {LINEARS, 1, "post_attention_layernorm"},
    {LIN_GU, 0, NULL},
    {LIN_GU, 1, NULL},
    {LIN_DOWN, 0, NULL},
};

static void set_tensor(struct model_tensor *t, uint32_t rows, uint32_t cols, bool norm,
                       const char *name)
{
    t->rows = rows;
    t->cols = cols;
    t->norm = norm;
    t->layer = 0;
    t->module = NULL;
    snprintf(t->name, sizeof t->name, "%s", name);
}

void model_tensor_at(const struct model_spec *s, uint32_t i, struct model_tensor *out)
{
    uint32_t in_blocks = TENSORS_PER_BLOCK * s->layers;
    CHECK(i < model_ntensors(s));
    if (i == 0) {
        set_tensor(out, s->vocab, s->d, false, "model.embed_tokens.weight");
    } else if (i == 1 + in_blocks) {
        set_tensor(out, 1, s->d, true, "model.norm.weight");
    } else if (i == 2 + in_blocks) {
        set_tensor(out, s->vocab, s->d, false, "lm_head.weight");
    } else {
        uint32_t layer = (i - 1) / TENSORS_PER_BLOCK, k = (i - 1) % TENSORS_PER_BLOCK;
        bool norm = block_tensors[k].lin == LINEARS;
        struct linear_shape sh = {.in = s->d, .rows = {1, 1}};
        if (!norm) sh = linear_shape(s, block_tensors[k].lin);
        out->rows = sh.rows[block_tensors[k].part];
        out->cols = sh.in;
        out->norm = norm;
        out->layer = layer;
        out->module = norm ? block_tensors[k].norm : sh.names[block_tensors[k].part];
        snprintf(out->name, sizeof out->name, "model.layers.%u.%s.weight", layer, out->module);
    }
}

uint32_t model_tensor_index(const struct model_spec *s, uint32_t layer, enum linear lin)
{
    uint32_t k = 0;
    CHECK(layer < s->layers && lin < LINEARS);
    while (block_tensors[k].lin != lin)
        k++;
    return 1 + layer * TENSORS_PER_BLOCK + k;
}

struct dev_mat model_tensor_mat(const struct model *m, uint32_t i)
{
    uint32_t in_blocks = TENSORS_PER_BLOCK * m->spec.layers;
    if (i == 0) return m->embed;
    if (i == 1 + in_blocks) return m->norm;
    if (i == 2 + in_blocks) return m->head;
    uint32_t k = (i - 1) % TENSORS_PER_BLOCK, row = 0;
    const struct model_layer *l = &m->layers[(i - 1) / TENSORS_PER_BLOCK];
    enum linear lin = block_tensors[k].lin;
    if (lin == LINEARS) return block_tensors[k].part ? l->norm2 : l->norm1;
    struct linear_shape sh = linear_shape(&m->spec, lin);
    for (uint32_t p = 0; p < block_tensors[k].part; p++)
        row += sh.rows[p];
    return dev_mat_part(l->w[lin], row, sh.rows[block_tensors[k].part], 0, sh.in);
}

bool model_list(const struct model_spec *s, enum dtype t, struct model_tensor **tensors,
                struct safetensor **list, struct err *e)
{
    uint32_t n = model_ntensors(s);
    *tensors = mem_calloc(n, sizeof **tensors, e);
    if (!*tensors) return false;
    *list = mem_calloc(n, sizeof **list, e);
    if (!*list) return false;
    for (uint32_t i = 0; i < n; i++) {
        struct model_tensor *m = &(*tensors)[i];
        model_tensor_at(s, i, m);
        (*list)[i] = (struct safetensor){
            .name = m->name, .dtype = t, .ndims = 2, .dims = {m->rows, m->cols}};
        if (m->norm) {
            (*list)[i].ndims = 1;
            (*list)[i].dims[0] = m->cols;
        }
    }
    return true;
}

/* ---- where it is kept */

static struct dev_mat take(struct dev_buf *b, size_t *at, enum dev_dtype t, uint32_t rows,
                           uint32_t cols)
{
    struct dev_mat m = {
        .buf = b, .offset = *at, .dtype = t, .rows = rows, .cols = cols, .ld = cols};
    size_t n = (size_t)rows * cols;
    *at += (n + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    return m;
}

/* Lay all matrices out; *wide and *vec become the elements of the two blocks. */
static void lay_out(struct model *m, size_t *wide, size_t *vec)
{
    const struct model_spec *s = &m->spec;
    *wide = *vec = 0;
    m->embed = take(m->weights, wide, m->dtype, s->vocab, s->d);
    for (uint32_t i = 0; i < s->layers; i++) {
        struct model_layer *l = &m->layers[i];
        l->norm1 = take(m->vectors, vec, DEV_F32, 1, s->d);
        l->norm2 = take(m->vectors, vec, DEV_F32, 1, s->d);
        for (enum linear k = 0; k < LINEARS; k++) {
            struct linear_shape sh = linear_shape(s, k);
            l->w[k] = take(m->weights, wide, m->dtype, sh.out, sh.in);
        }
    }
    m->norm = take(m->vectors, vec, DEV_F32, 1, s->d);
    m->head = s->tied ? m->embed : take(m->weights, wide, m->dtype, s->vocab, s->d);
    m->inv_freq = take(m->vectors, vec, DEV_F32, 1, s->head_dim / 2);
}

static enum dtype disk_dtype(enum dev_dtype t)
{
    CHECK(t == DEV_F32 || t == DEV_BF16);
    return t == DEV_F32 ? DTYPE_F32 : DTYPE_BF16;
}

bool model_upload(struct dev *d, const struct safetensor *t, enum dev_dtype dtype,
                  struct dev_buf *b, uint64_t offset, void *scratch, struct err *e)
{
    enum dtype to = disk_dtype(dtype);
    size_t to_bytes = dtype_bytes(to), from_bytes = dtype_bytes(t->dtype);
    float *f32 = scratch;
    uint8_t *half = (uint8_t *)scratch + UPLOAD_PIECE * sizeof *f32;

    if (t->dtype == to) return dev_upload(d, b, offset * to_bytes, t->data, t->bytes, e);
    for (uint64_t i = 0; i < t->count; i += UPLOAD_PIECE) {
        size_t n = t->count - i < UPLOAD_PIECE ? (size_t)(t->count - i) : UPLOAD_PIECE;
        const void *host = f32;
        dtype_to_f32(t->dtype, t->data + i * from_bytes, n, f32);
        if (to != DTYPE_F32) {
            dtype_from_f32(to, f32, n, half);
            host = half;
        }
        if (!dev_upload(d, b, (offset + i) * to_bytes, host, n * to_bytes, e)) return false;
    }
    return true;
}

static bool load_tensors(struct model *m, const struct safetensors *files, struct err *e)
{
    struct model_tensor want;
    const struct safetensor *t;
    void *scratch = mem_alloc(UPLOAD_SCRATCH_BYTES, e);
    bool ok = false;

    if (!scratch) goto out;
    for (uint32_t i = 0; i < model_ntensors(&m->spec); i++) {
        struct dev_mat dst = model_tensor_mat(m, i);
        model_tensor_at(&m->spec, i, &want);
        if (!safetensors_need(files, want.name, want.norm ? want.cols : want.rows,
                              want.norm ? 0 : want.cols, &t, e))
            goto out;
        if (!model_upload(m->dev, t, dst.dtype, dst.buf, dst.offset, scratch, e)) goto out;
    }
    ok = true;
out:
    mem_free(scratch);
    return ok;
}

static bool load_inv_freq(struct model *m, struct err *e)
{
    uint32_t n = m->spec.head_dim / 2;
    float *f = mem_alloc(n * sizeof *f, e);
    bool ok;
    if (!f) return false;
    model_spec_inv_freq(&m->spec, f);
    ok = dev_upload(m->dev, m->vectors, m->inv_freq.offset * sizeof *f, f, n * sizeof *f, e);
    mem_free(f);
    return ok;
}

/* An HF folder of a sibling with an own head sometimes says tied and has both; then tied wins, as
 * in transformers. A config that says untied without the tensor is an error naming lm_head.weight.
 */
static bool open_parts(struct model *m, const char *dir, struct err *e)
{
    struct safetensors *files = NULL;
    char config[4096];
    size_t wide, vec;
    bool ok = false;
    int n = snprintf(config, sizeof config, "%s/config.json", dir);

    if (n < 0 || (size_t)n >= sizeof config) return err_set(e, ERR_LIMIT, "path too long");
    if (!model_spec_read(config, &m->spec, e)) goto out;
    if (!safetensors_open(dir, &files, e)) goto out;
    m->layers = mem_calloc(m->spec.layers, sizeof *m->layers, e);
    if (!m->layers) goto out;
    lay_out(m, &wide, &vec);
    if (!dev_buf_open(m->dev, wide * dev_dtype_bytes(m->dtype), &m->weights, e)) goto out;
    if (!dev_buf_open(m->dev, vec * sizeof(float), &m->vectors, e)) goto out;
    lay_out(m, &wide, &vec);
    if (!load_tensors(m, files, e) || !load_inv_freq(m, e)) goto out;
    safetensors_digest(files, m->digest);
    ok = true;
out:
    safetensors_close(files);
    return ok;
}

bool model_open(struct dev *d, const char *dir, enum dev_dtype dtype, struct model **out,
                struct err *e)
{
    struct model *m = mem_calloc(1, sizeof *m, e);
    if (!m) return false;
    m->dev = d;
    m->dtype = dtype;
    m->dir = mem_strdup(dir, e);
    if (!m->dir || !open_parts(m, dir, e)) {
        model_close(m);
        return err_wrap(e, "model %s", dir);
    }
    *out = m;
    return true;
}

void model_close(struct model *m)
{
    if (!m) return;
    dev_buf_close(m->vectors);
    dev_buf_close(m->weights);
    mem_free(m->layers);
    mem_free(m->dir);
    mem_free(m);
}

const struct model_spec *model_get_spec(const struct model *m)
{
    return &m->spec;
}

struct dev *model_dev(const struct model *m)
{
    return m->dev;
}

enum dev_dtype model_dtype(const struct model *m)
{
    return m->dtype;
}

void model_digest(const struct model *m, uint8_t out[32])
{
    memcpy(out, m->digest, sizeof m->digest);
}
