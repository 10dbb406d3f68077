/* A model whose linear layers stay on the device in few bits: laid out, filled, and given back one
 * at a time as a whole matrix in the device's dtype (model/quant, dev_dequant). */
#include <stdio.h>

#include "base/mem.h"
#include "model/parts.h"
#include "model/quant.h"

enum { ALIGN_ELEMENTS = 128 };

static struct dev_mat take(struct dev_buf *b, uint64_t *at, enum dev_dtype t, uint64_t rows,
                           uint64_t cols)
{
    struct dev_mat m = dev_mat_of(b, (size_t)*at, t, (uint32_t)rows, (uint32_t)cols);
    *at += (rows * cols + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    return m;
}

static void lay_part(const struct model_quant *q, struct dev_quant *p, uint32_t rows, uint32_t cols,
                     uint64_t *bytes, uint64_t *floats)
{
    struct quant_size z = quant_size(q->kind, rows, cols);
    p->kind = q->kind;
    if (q->kind == DEV_QUANT_INT8) {
        p->codes = take(q->bytes, bytes, DEV_U8, rows, cols);
        p->scales = take(q->floats, floats, DEV_F32, 1, rows);
        return;
    }
    p->codes = take(q->bytes, bytes, DEV_U8, 1, z.codes);
    p->scales = take(q->bytes, bytes, DEV_U8, 1, z.scales);
    p->outer = take(q->floats, floats, DEV_F32, 1, z.floats - DEV_NF4_TABLE);
    p->table = take(q->floats, floats, DEV_F32, 1, DEV_NF4_TABLE);
}

struct quant_bytes model_quant_lay(struct model *m)
{
    struct model_quant *q = m->quant;
    struct quant_bytes n = {0};
    uint64_t bytes = 0, floats = 0, widest = 0;
    for (uint32_t i = 0; i < m->spec.layers * LINEARS; i++) {
        struct linear_shape sh = linear_shape(&m->spec, i / LINEARS, i % LINEARS);
        for (uint32_t p = 0; p < sh.nparts; p++)
            lay_part(q, &q->parts[i * MAX_PARTS + p], sh.rows[p], sh.in, &bytes, &floats);
        if (linear_elements(m, i) > widest) widest = linear_elements(m, i);
        m->layers[i / LINEARS].w[i % LINEARS] = linear_at(m, i, q->scratch, 0);
    }
    n.bytes = bytes;
    n.floats = floats * sizeof(float);
    n.scratch = widest * dev_dtype_bytes(m->dtype);
    return n;
}

bool model_quant_open(struct model *m, enum dev_quant_kind kind, struct err *e)
{
    struct model_quant *q = mem_calloc(1, sizeof *q, e);
    struct quant_bytes n;
    if (!q) return false;
    m->quant = q;
    q->kind = kind;
    q->holds = UINT32_MAX;
    q->parts = mem_calloc((size_t)m->spec.layers * LINEARS * MAX_PARTS, sizeof *q->parts, e);
    if (!q->parts) return false;
    n = model_quant_lay(m);
    if (!dev_buf_open(m->dev, (size_t)n.bytes, &q->bytes, e) ||
        !dev_buf_open(m->dev, (size_t)n.floats, &q->floats, e) ||
        !dev_buf_open(m->dev, (size_t)n.scratch, &q->scratch, e))
        return false;
    model_quant_lay(m);
    return true;
}

void model_quant_close(struct model *m)
{
    if (!m->quant) return;
    dev_buf_close(m->quant->scratch);
    dev_buf_close(m->quant->floats);
    dev_buf_close(m->quant->bytes);
    mem_free(m->quant->parts);
    mem_free(m->quant);
    m->quant = NULL;
}

static bool upload(struct model *m, struct dev_mat to, const void *from, struct err *e)
{
    size_t n = dev_dtype_bytes(to.dtype);
    return dev_upload(m->dev, to.buf, to.offset * n, from, (size_t)to.rows * to.cols * n, e);
}

static bool upload_part(struct model *m, const struct dev_quant *p, const uint8_t *bytes,
                        const float *floats, struct err *e)
{
    if (p->kind == DEV_QUANT_INT8)
        return upload(m, p->codes, bytes, e) && upload(m, p->scales, floats, e);
    return upload(m, p->codes, bytes, e) && upload(m, p->scales, bytes + p->codes.cols, e) &&
           upload(m, p->outer, floats, e) && upload(m, p->table, floats + p->outer.cols, e);
}

bool model_quant_load(struct model *m, const struct model_tensor *want, const struct safetensor *t,
                      struct err *e)
{
    uint32_t module, i = want->layer * LINEARS + want->row->lin, p = 0;
    struct linear_shape sh = linear_shape(&m->spec, want->layer, want->row->lin);
    struct quant_size z = quant_size(m->quant->kind, want->rows, want->cols);
    struct quant_source src = {t->dtype, t->data, want->rows, want->cols, dev_host_threads()};
    float *floats = NULL;
    uint8_t *bytes = NULL;
    bool ok = false;

    CHECK(lora_module_of(&m->spec, want, &module));
    while (sh.module[p] != module % BLOCK_MODULES)
        p++;
    floats = mem_alloc((size_t)z.floats * sizeof *floats, e);
    if (!floats) goto out;
    bytes = mem_calloc((size_t)(z.codes + z.scales), 1, e);
    if (!bytes) goto out;
    ok = quant_pack(m->quant->kind, &src, bytes, floats, e) &&
         upload_part(m, &m->quant->parts[i * MAX_PARTS + p], bytes, floats, e);
out:
    mem_free(bytes);
    mem_free(floats);
    return ok;
}

bool model_weight(const struct model *m, uint32_t layer, enum linear lin, struct dev_mat *w,
                  struct err *e)
{
    struct model_quant *q = m->quant;
    struct linear_shape sh;
    uint32_t i = layer * LINEARS + lin, row = 0;

    *w = m->layers[layer].w[lin];
    if (!q || q->holds == i) return true;
    sh = linear_shape(&m->spec, layer, lin);
    q->holds = UINT32_MAX;
    for (uint32_t p = 0; p < sh.nparts; p++) {
        if (!dev_dequant(m->dev, &q->parts[i * MAX_PARTS + p],
                         dev_mat_part(*w, row, sh.rows[p], 0, sh.in), e))
            return false;
        row += sh.rows[p];
    }
    if (m->tenant && !lora_move_in(m->tenant, i, e)) return false;
    q->holds = i;
    return true;
}
