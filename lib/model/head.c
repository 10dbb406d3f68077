#include "model/head.h"

#include <math.h>

#include "model/decoder_parts.h"

enum { ALIGN_BYTES = 256, CHUNK_STEP = 64, VOCAB_BLOCK = 4096 };
#define LOGITS_MIN_BYTES ((uint64_t)64 << 20)

/* ---- memory */

struct dev_mat work_take(struct dev_buf *b, uint64_t *at, enum dev_dtype t, uint64_t rows,
                         uint64_t cols)
{
    struct dev_mat m = dev_mat_of(b, *at / dev_dtype_bytes(t), t, (uint32_t)rows, (uint32_t)cols);
    uint64_t bytes = rows * cols * dev_dtype_bytes(t);
    CHECK(rows <= UINT32_MAX && cols <= UINT32_MAX);
    *at += (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return m;
}

/* Logits of a chunk take 64 MB, or an eighth of the weights of a large model, beside which they do
 * not count: there more rows must share one reading of the head. */
static uint32_t rows_of_chunk(const struct model_spec *s, enum dev_dtype dtype, uint32_t max_rows)
{
    uint64_t row = (uint64_t)s->vocab * (4 + (dtype == DEV_F32 ? 0 : dev_dtype_bytes(dtype)));
    uint64_t budget = model_spec_params(s) * dev_dtype_bytes(dtype) / 8;
    uint64_t n;
    if (budget < LOGITS_MIN_BYTES) budget = LOGITS_MIN_BYTES;
    n = budget / row / CHUNK_STEP * CHUNK_STEP;
    if (n < CHUNK_STEP) n = CHUNK_STEP;
    return n < max_rows ? (uint32_t)n : max_rows;
}

void head_lay(struct head *h, const struct model_spec *s, enum dev_dtype dtype, uint32_t rows,
              bool train, struct dev_buf *b, uint64_t *at)
{
    bool cast = dtype != DEV_F32 && train;
    h->chunk_rows = rows_of_chunk(s, dtype, rows);
    h->labels = work_take(b, at, DEV_I32, 1, rows);
    h->xr = work_take(b, at, DEV_F32, rows, s->d);
    h->dxr = work_take(b, at, DEV_F32, train ? rows : 0, s->d);
    h->loss = work_take(b, at, DEV_F32, 1, rows);
    h->logits = work_take(b, at, DEV_F32, h->chunk_rows, s->vocab);
    h->dlogits = cast ? work_take(b, at, dtype, h->chunk_rows, s->vocab) : h->logits;
}

/* ---- a chunk */

float head_scale(const struct model_spec *s)
{
    return s->head_scaled ? 1.0F / sqrtf((float)s->d) : 1.0F;
}

static bool chunk_logits(struct head *h, uint32_t at, uint32_t n, struct err *e)
{
    const struct model *m = h->m;
    struct dev_gemm nt = {false, true, head_scale(&m->spec), 0};
    struct dev_mat x = dev_mat_part(h->xr, at, n, 0, h->xr.cols), norm = shape_of(h->n, n, x.cols);
    return dev_rmsnorm(m->dev, x, m->norm[1], m->spec.rms_eps, norm, shape_of(h->rstd, 1, n), e) &&
           dev_gemm(m->dev, nt, norm, m->head, rows_of(h->logits, n), e);
}

/* dn = dlogits * head, the vocabulary in blocks: one chain of a hundred thousand f32 terms would
 * cost a digit of every gradient below. */
static bool chunk_dn(struct head *h, struct dev_mat dl, struct dev_mat dn, struct err *e)
{
    const struct model_spec *s = &h->m->spec;
    for (uint32_t v = 0; v < s->vocab; v += VOCAB_BLOCK) {
        uint32_t n = s->vocab - v < VOCAB_BLOCK ? s->vocab - v : VOCAB_BLOCK;
        struct dev_gemm nn = {false, false, head_scale(s), v ? 1 : 0};
        if (!dev_gemm(h->m->dev, nn, dev_mat_part(dl, 0, dl.rows, v, n),
                      dev_mat_part(h->m->head, v, n, 0, s->d), dn, e))
            return false;
    }
    return true;
}

/* Losses, and with back the gradient in dlogits. */
static bool chunk_loss(struct head *h, uint32_t at, uint32_t n, bool back, struct err *e)
{
    struct dev_mat logits = rows_of(h->logits, n), loss = dev_mat_part(h->loss, 0, 1, at, n);
    struct dev_mat labels = dev_mat_part(h->labels, 0, 1, at, n);
    if (back && h->m->dtype != DEV_F32)
        return dev_xent_to(h->m->dev, logits, labels, loss, 1, rows_of(h->dlogits, n), e);
    return dev_xent(h->m->dev, logits, labels, loss, back, 1, e);
}

/* dlogits hold the gradient: on to dxr, and to head and norm when they are trained. */
static bool chunk_backward(struct head *h, uint32_t at, uint32_t n, struct dev_buf *grad,
                           struct err *e)
{
    const struct model_spec *s = &h->m->spec;
    struct dev *d = h->m->dev;
    struct dev_gemm tn_add = {true, false, head_scale(s), 1};
    struct dev_mat dl = rows_of(h->dlogits, n), dn = shape_of(h->dn, n, s->d), dw = {0};
    struct dev_mat norm = shape_of(h->n, n, s->d);

    if (!chunk_dn(h, dl, dn, e)) return false;
    if (h->l->method == LORA_FULL) {
        uint32_t head = s->tied ? 0 : model_ntensors(s) - 1;
        dw = lora_full_grad(h->l, grad, model_stack_norm_index(s, 1));
        if (!dev_gemm(d, tn_add, dl, norm, lora_full_grad(h->l, grad, head), e)) return false;
    }
    return dev_rmsnorm_bwd(d, dn, dev_mat_part(h->xr, at, n, 0, s->d), h->m->norm[1],
                           shape_of(h->rstd, 1, n), dev_mat_part(h->dxr, at, n, 0, s->d), dw, e);
}

bool head_loss(struct head *h, uint32_t r, struct dev_buf *grad, struct err *e)
{
    struct dev *d = h->m->dev;
    if (grad && !dev_zero(d, rows_of(h->dxr, r), e)) return false;
    for (uint32_t at = 0; at < r; at += h->chunk_rows) {
        uint32_t n = r - at < h->chunk_rows ? r - at : h->chunk_rows;
        if (!chunk_logits(h, at, n, e)) return false;
        if (!chunk_loss(h, at, n, grad != NULL, e)) return false;
        if (grad && !chunk_backward(h, at, n, grad, e)) return false;
    }
    return true;
}

bool head_logits(struct head *h, uint32_t r, float *out, struct err *e)
{
    size_t vocab = h->m->spec.vocab;
    for (uint32_t at = 0; at < r; at += h->chunk_rows) {
        uint32_t n = r - at < h->chunk_rows ? r - at : h->chunk_rows;
        if (!chunk_logits(h, at, n, e)) return false;
        if (!dev_download(h->m->dev, h->logits.buf, h->logits.offset * sizeof *out,
                          out + at * vocab, n * vocab * sizeof *out, e))
            return false;
    }
    return true;
}
