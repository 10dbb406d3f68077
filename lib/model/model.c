#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/parts.h"
#include "model/rope.h"

#include <stdio.h>

enum { ALIGN_ELEMENTS = 128, BLOCK_BYTES = 16 << 20 };

/* ---- what there is */

struct dev_mat model_tensor_mat(const struct model *m, uint32_t i)
{
    struct model_tensor t;
    uint32_t row = 0;

    model_tensor_at(&m->spec, i, &t);
    if (t.place == AT_EMBED) return m->embed;
    if (t.place == AT_HEAD) return m->head;
    if (t.place == AT_STACK_NORM) return m->norm[t.stack];
    if (t.row->kind == ROW_TABLE) return m->table[t.stack];
    const struct model_layer *l = &m->layers[t.layer];
    if (t.row->kind == ROW_NORM) return l->norm[t.row->which];
    struct linear_shape sh = linear_shape(&m->spec, t.layer, t.row->lin);
    for (uint32_t p = 0; p < t.row->which; p++)
        row += sh.rows[p];
    return dev_mat_part(l->w[t.row->lin], row, t.rows, 0, t.cols);
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

/* ---- linears with room */

uint64_t linear_elements(const struct model *m, uint32_t i)
{
    struct linear_shape sh = linear_shape(&m->spec, i / LINEARS, i % LINEARS);
    uint32_t room = m->room ? m->room[i] : 0;
    return ((uint64_t)sh.out + room) * (sh.in + tail_for(room));
}

struct dev_mat linear_at(const struct model *m, uint32_t i, struct dev_buf *b, uint64_t at)
{
    struct linear_shape sh = linear_shape(&m->spec, i / LINEARS, i % LINEARS);
    struct dev_mat w = dev_mat_of(b, (size_t)at, m->dtype, sh.out, sh.in);
    if (m->room) w.ld += tail_for(m->room[i]);
    return w;
}

struct linear_place linear_place(const struct model *m, uint32_t i, uint32_t factors)
{
    struct linear_place p = {.w = m->layers[i / LINEARS].w[i % LINEARS]};
    CHECK(m->room && factors <= m->room[i]);
    p.a = p.b = p.w;
    p.a.offset += (size_t)p.w.rows * p.w.ld;
    p.a.rows = factors;
    p.b.offset += p.w.cols;
    p.b.cols = factors;
    return p;
}

bool model_has_room(const struct model *m, const struct lora_opts *o, bool *has, struct err *e)
{
    uint32_t n = m->spec.layers * LINEARS, *need = NULL;
    *has = true;
    if (!lora_folds(o, m->dev)) return true;
    need = mem_calloc(n, sizeof *need, e);
    if (!need || !lora_widths(&m->spec, o, need, e)) {
        mem_free(need);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        *has = *has && need[i] <= (m->room ? m->room[i] : 0);
    mem_free(need);
    return true;
}

static bool make_room(struct model *m, const struct lora_opts *o, struct err *e)
{
    if (!o || !lora_folds(o, m->dev)) return true;
    m->room = mem_calloc((size_t)m->spec.layers * LINEARS, sizeof *m->room, e);
    return m->room && lora_widths(&m->spec, o, m->room, e);
}

/* Lay all matrices out; *wide and *vec become the elements of the two blocks. */
static void lay_out(struct model *m, size_t *wide, size_t *vec)
{
    const struct model_spec *s = &m->spec;
    *wide = *vec = 0;
    m->embed = take(m->weights, wide, m->dtype, s->vocab, s->d);
    for (uint32_t i = 0; i < s->layers; i++) {
        struct model_layer *l = &m->layers[i];
        for (uint32_t k = 0; k < BLOCK_NORMS; k++)
            l->norm[k] = take(m->vectors, vec, DEV_F32, 1, s->d);
        for (enum linear k = 0; k < LINEARS; k++) {
            uint64_t n = linear_elements(m, i * LINEARS + k);
            if (m->quant) continue; /* model_quant_lay */
            l->w[k] = linear_at(m, i * LINEARS + k, m->weights, *wide);
            *wide += (n + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
        }
    }
    for (uint32_t k = 0; k < 2; k++) {
        m->norm[k] = take(m->vectors, vec, DEV_F32, 1, s->d);
        m->table[k] = take(m->vectors, vec, DEV_F32, s->buckets, s->heads);
    }
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

/* Rows that do not stand one behind the other: through a block on the device. */
static bool upload_rows(struct model *m, const struct safetensor *t, struct dev_mat dst,
                        struct dev_buf *block, void *scratch, struct err *e)
{
    size_t from = dtype_bytes(t->dtype), to = dev_dtype_bytes(dst.dtype);
    uint32_t step = (uint32_t)(dev_buf_bytes(block) / ((size_t)dst.cols * to));

    for (uint32_t r = 0; r < dst.rows; r += step) {
        uint32_t n = dst.rows - r < step ? dst.rows - r : step;
        struct safetensor some = *t;
        some.data += (size_t)r * dst.cols * from;
        some.count = (uint64_t)n * dst.cols;
        some.bytes = (size_t)some.count * from;
        if (!model_upload(m->dev, &some, dst.dtype, block, 0, scratch, e) ||
            !dev_cast(m->dev, dev_mat_of(block, 0, dst.dtype, n, dst.cols),
                      dev_mat_part(dst, r, n, 0, dst.cols), e))
            return false;
    }
    return true;
}

/* For a linear as a whole, or as many rows as fit, at least one. */
static bool open_block(const struct model *m, struct dev_buf **out, struct err *e)
{
    size_t row = 0, all = 0;
    if (!m->room || m->quant) return true;
    for (uint32_t i = 0; i < m->spec.layers * LINEARS; i++) {
        struct linear_shape sh = linear_shape(&m->spec, i / LINEARS, i % LINEARS);
        size_t bytes = sh.in * dev_dtype_bytes(m->dtype);
        if (bytes > row) row = bytes;
        if (bytes * sh.out > all) all = bytes * sh.out;
    }
    if (all > BLOCK_BYTES) all = BLOCK_BYTES;
    return dev_buf_open(m->dev, all > row ? all : row, out, e);
}

/* Before anything is read: a folder that lacks a tensor costs no minute. */
static bool check_tensors(const struct model_spec *s, const struct safetensors *files,
                          struct err *e)
{
    struct model_tensor want;
    const struct safetensor *t;
    for (uint32_t i = 0; i < model_ntensors(s); i++) {
        model_tensor_at(s, i, &want);
        if (!safetensors_need(files, want.name, want.norm ? want.cols : want.rows,
                              want.norm ? 0 : want.cols, &t, e))
            return false;
    }
    return true;
}

static bool load_tensors(struct model *m, const struct safetensors *files, struct err *e)
{
    struct model_tensor want;
    const struct safetensor *t;
    struct dev_buf *block = NULL;
    void *scratch = mem_alloc(UPLOAD_SCRATCH_BYTES, e);
    bool ok = false;

    if (!scratch || !open_block(m, &block, e)) goto out;
    for (uint32_t i = 0; i < model_ntensors(&m->spec); i++) {
        struct dev_mat dst = model_tensor_mat(m, i);
        bool quant;
        model_tensor_at(&m->spec, i, &want);
        quant = m->quant && want.place == AT_ROW && want.row->kind == ROW_LINEAR;
        if (!safetensors_need(files, want.name, want.norm ? want.cols : want.rows,
                              want.norm ? 0 : want.cols, &t, e))
            goto out;
        if (quant)
            ok = model_quant_load(m, &want, t, e);
        else if (dst.ld > dst.cols)
            ok = upload_rows(m, t, dst, block, scratch, e);
        else
            ok = model_upload(m->dev, t, dst.dtype, dst.buf, dst.offset, scratch, e);
        if (!ok) goto out;
        ok = false;
    }
    ok = true;
out:
    dev_buf_close(block);
    mem_free(scratch);
    return ok;
}

static bool load_inv_freq(struct model *m, struct err *e)
{
    uint32_t n = m->spec.head_dim / 2;
    float *f = mem_alloc(n * sizeof *f, e);
    bool ok;
    if (!f) return false;
    if (m->spec.rope == ROPE_NONE) n = 0;
    model_spec_inv_freq(&m->spec, f);
    ok = dev_upload(m->dev, m->vectors, m->inv_freq.offset * sizeof *f, f, n * sizeof *f, e);
    mem_free(f);
    return ok;
}

bool model_set_context(struct model *m, uint32_t tokens, struct err *e)
{
    struct model_spec *s = &m->spec;
    if (tokens == 0 || !rope_stretches(s)) return true;
    if (s->rope == ROPE_LONGROPE && tokens > s->max_positions)
        return err_set(e, ERR_CONFIG, "model.context %u is beyond max_position_embeddings %u",
                       tokens, s->max_positions);
    s->context = tokens;
    return load_inv_freq(m, e);
}

static bool same_bytes(const struct safetensor *a, const struct safetensor *b)
{
    return a && b && a->dtype == b->dtype && a->bytes == b->bytes &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

void model_settle(struct model_spec *s, const struct safetensors *files)
{
    const struct safetensor *head = safetensors_find(files, "lm_head.weight");
    char embed[TENSOR_NAME];
    if (!s->enc_layers) return;
    snprintf(embed, sizeof embed, "%s.weight", arch_of(s)->embed);
    s->tied = !head || same_bytes(head, safetensors_find(files, embed));
}

/* An HF folder of a sibling with an own head sometimes says tied and has both; then tied wins, as
 * in transformers. A config that says untied without the tensor is an error naming lm_head.weight.
 */
static bool open_parts(struct model *m, const char *dir, enum dev_quant_kind quant,
                       const struct lora_opts *o, struct err *e)
{
    struct safetensors *files = NULL;
    char config[4096];
    size_t wide, vec;
    bool ok = false;
    int n = snprintf(config, sizeof config, "%s/config.json", dir);

    if (n < 0 || (size_t)n >= sizeof config) return err_set(e, ERR_LIMIT, "path too long");
    if (!model_spec_read(config, &m->spec, e)) goto out;
    if (!safetensors_open(dir, &files, e)) goto out;
    model_settle(&m->spec, files);
    /* the digest first: it reads the files on many threads, loading then finds them in memory */
    if (!check_tensors(&m->spec, files, e) ||
        !safetensors_digest(files, dev_host_threads(), m->digest, e))
        goto out;
    m->layers = mem_calloc(m->spec.layers, sizeof *m->layers, e);
    if (!m->layers || !make_room(m, o, e)) goto out;
    if (quant != DEV_QUANT_NONE && !model_quant_open(m, quant, e)) goto out;
    lay_out(m, &wide, &vec);
    if (!dev_buf_open(m->dev, wide * dev_dtype_bytes(m->dtype), &m->weights, e)) goto out;
    if (!dev_buf_open(m->dev, vec * sizeof(float), &m->vectors, e)) goto out;
    lay_out(m, &wide, &vec);
    ok = load_tensors(m, files, e) && load_inv_freq(m, e);
out:
    safetensors_close(files);
    return ok;
}

static void log_load(const struct model *m, const char *dir, double start)
{
    double gib = 1024.0 * 1024.0 * 1024.0, seconds = clock_mono_s() - start;
    log_info("model", "dir=%s params=%llu device_gib=%.3f seconds=%.2f peak_host_gib=%.3f", dir,
             (unsigned long long)model_spec_params(&m->spec), (double)dev_bytes_live(m->dev) / gib,
             seconds, (double)mem_peak_rss_bytes() / gib);
}

bool model_open(struct dev *d, const char *dir, enum dev_dtype dtype, struct model **out,
                struct err *e)
{
    return model_open_quant(d, dir, dtype, DEV_QUANT_NONE, out, e);
}

bool model_open_quant(struct dev *d, const char *dir, enum dev_dtype dtype,
                      enum dev_quant_kind quant, struct model **out, struct err *e)
{
    return model_open_for(d, dir, dtype, quant, NULL, out, e);
}

bool model_open_for(struct dev *d, const char *dir, enum dev_dtype dtype, enum dev_quant_kind quant,
                    const struct lora_opts *o, struct model **out, struct err *e)
{
    double start = clock_mono_s();
    struct model *m = mem_calloc(1, sizeof *m, e);
    if (!m) return false;
    m->dev = d;
    m->dtype = dtype;
    m->dir = mem_strdup(dir, e);
    if (!m->dir || !open_parts(m, dir, quant, o, e)) {
        model_close(m);
        return err_wrap(e, "model %s", dir);
    }
    log_load(m, dir, start);
    *out = m;
    return true;
}

void model_close(struct model *m)
{
    if (!m) return;
    model_quant_close(m);
    dev_buf_close(m->vectors);
    dev_buf_close(m->weights);
    mem_free(m->room);
    mem_free(m->layers);
    mem_free(m->dir);
    mem_free(m);
}

bool model_bytes(const struct model_spec *s, enum dev_dtype dtype, enum dev_quant_kind quant,
                 uint64_t *out, struct err *e)
{
    struct model m = {.spec = *s, .dtype = dtype};
    struct model_quant q = {.kind = quant};
    struct quant_bytes n = {0};
    size_t wide, vec;
    bool ok = false;

    m.layers = mem_calloc(s->layers, sizeof *m.layers, e);
    if (!m.layers) goto out;
    if (quant != DEV_QUANT_NONE) {
        q.parts = mem_calloc((size_t)s->layers * LINEARS * MAX_PARTS, sizeof *q.parts, e);
        if (!q.parts) goto out;
        m.quant = &q;
        n = model_quant_lay(&m);
    }
    lay_out(&m, &wide, &vec);
    *out = wide * dev_dtype_bytes(dtype) + vec * sizeof(float) + n.bytes + n.floats + n.scratch;
    ok = true;
out:
    mem_free(q.parts);
    mem_free(m.layers);
    return ok;
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
    rope_digest(&m->spec, out);
}
