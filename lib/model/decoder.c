#include "model/decoder.h"

#include <math.h>

#include "base/mem.h"
#include "model/decoder_parts.h"

enum { ALIGN_BYTES = 256, CHUNK_STEP = 64 };
#define LOGITS_MIN_BYTES ((uint64_t)64 << 20)

/* ---- memory */

static struct dev_mat take(struct dev_buf *b, uint64_t *at, enum dev_dtype t, uint64_t rows,
                           uint64_t cols)
{
    struct dev_mat m = dev_mat_of(b, *at / dev_dtype_bytes(t), t, (uint32_t)rows, (uint32_t)cols);
    uint64_t bytes = rows * cols * dev_dtype_bytes(t);
    *at += (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return m;
}

static uint32_t max3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t m = a > b ? a : b;
    return m > c ? m : c;
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

/* What the layout depends on besides the spec. */
struct plan {
    enum dev_dtype dtype;
    bool train, dropout;
    uint32_t tokens, rows;
    const uint32_t *widths; /* [layers * LINEARS] of the adapters' h */
};

static void lay_kept(struct kept *k, const struct model_spec *s, const struct plan *p,
                     uint32_t layer, struct dev_buf *b, uint64_t *at)
{
    uint64_t t = p->tokens, q = (uint64_t)s->heads * s->head_dim;
    uint64_t n = layer + 1 == s->layers ? p->rows : t; /* behind the attention */
    for (enum linear i = 0; i < LINEARS; i++) {
        /* without a backward pass one slot serves all blocks */
        uint32_t first = p->train ? layer : 0, last = p->train ? layer + 1 : s->layers, width = 0;
        for (uint32_t j = first; j < last; j++)
            width = max3(width, p->widths[j * LINEARS + i], 0);
        k->h[i] = take(b, at, p->dtype, i == LIN_QKV || !p->train ? t : n, width);
    }
    n = p->train ? n : t;
    k->qkv = take(b, at, p->dtype, t, q + 2 * (uint64_t)s->kv_heads * s->head_dim);
    k->ao = take(b, at, p->dtype, t, q);
    k->lse = take(b, at, DEV_F32, s->heads, t);
    k->gu = take(b, at, p->dtype, n, 2 * (uint64_t)s->ff);
    k->x1 = take(b, at, p->dtype, p->train ? t : 0, s->d);
    k->x2 = take(b, at, p->dtype, p->train ? n : 0, s->d);
}

static void lay_head(struct decoder_work *w, const struct model_spec *s, const struct plan *p,
                     struct dev_buf *b, uint64_t *at)
{
    bool cast = p->dtype != DEV_F32 && p->train;
    w->chunk_rows = rows_of_chunk(s, p->dtype, p->rows);
    w->xr = take(b, at, DEV_F32, p->rows, s->d);
    w->dxr = take(b, at, DEV_F32, p->train ? p->rows : 0, s->d);
    w->loss = take(b, at, DEV_F32, 1, p->rows);
    w->logits = take(b, at, DEV_F32, w->chunk_rows, s->vocab);
    w->dlogits = cast ? take(b, at, p->dtype, w->chunk_rows, s->vocab) : w->logits;
}

/* Lay everything out in w (matrices without a buffer when w->buf is NULL); returns the bytes. */
static uint64_t lay_out(struct decoder_work *w, const struct model_spec *s, const struct plan *p)
{
    struct dev_buf *b = w->buf;
    uint64_t at = 0, t = p->tokens, bt = p->train ? t : 0;
    uint32_t q = s->heads * s->head_dim, qkv = q + 2 * s->kv_heads * s->head_dim, widest = 0;
    uint32_t wide = max3(s->ff, qkv, s->d);

    for (uint32_t i = 0; i < s->layers * LINEARS; i++)
        widest = max3(widest, p->widths[i], 0);
    w->ids = take(b, &at, DEV_I32, 1, t);
    w->pos = take(b, &at, DEV_I32, 1, t);
    w->rows = take(b, &at, DEV_I32, 1, p->rows);
    w->labels = take(b, &at, DEV_I32, 1, p->rows);
    w->x = take(b, &at, DEV_F32, t, s->d);
    w->dx = take(b, &at, DEV_F32, bt, s->d);
    w->n = take(b, &at, p->dtype, t, max3(s->d, q, 0));
    w->dy = take(b, &at, p->dtype, bt, s->d);
    w->s1 = take(b, &at, p->dtype, bt, wide);
    w->s2 = take(b, &at, p->dtype, t, wide);
    w->drop = take(b, &at, p->dtype, p->dropout ? bt : 0, max3(s->d, q, s->ff));
    w->dh = take(b, &at, p->dtype, bt, widest);
    w->rstd = take(b, &at, DEV_F32, 1, t);
    for (uint32_t i = 0; i < (p->train ? s->layers : 1); i++)
        lay_kept(w->kept ? &w->kept[i] : &(struct kept){0}, s, p, i, b, &at);
    lay_head(w, s, p, b, &at);
    return at;
}

uint64_t decoder_work_bytes(const struct model_spec *s, enum dev_dtype dtype,
                            const struct lora_opts *o, uint32_t max_tokens, uint32_t max_rows,
                            bool train)
{
    struct decoder_work w = {0};
    struct err e = {0};
    uint32_t *widths = mem_calloc((size_t)s->layers * LINEARS, sizeof *widths, &e);
    struct plan p = {dtype,      train,    o && o->method == LORA_LORA && o->dropout > 0,
                     max_tokens, max_rows, widths};
    uint64_t bytes;
    /* a few kilobytes, before anything is allocated; o is one that lora_open takes */
    CHECK(widths && (!o || lora_widths(s, o, widths, &e)));
    bytes = lay_out(&w, s, &p);
    mem_free(widths);
    return bytes;
}

static bool open_parts(struct decoder_work *w, const uint32_t *widths, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct plan p = {w->m->dtype,   w->train,    w->l && w->l->groups && w->l->dropout > 0,
                     w->max_tokens, w->max_rows, widths};
    w->kept = mem_calloc(w->train ? s->layers : 1, sizeof *w->kept, e);
    if (!w->kept) return false;
    w->host_pos = mem_calloc(w->max_tokens, sizeof *w->host_pos, e);
    if (!w->host_pos) return false;
    w->host_loss = mem_calloc(w->max_rows, sizeof *w->host_loss, e);
    if (!w->host_loss) return false;
    if (!dev_buf_open(w->m->dev, lay_out(w, s, &p), &w->buf, e)) return false;
    lay_out(w, s, &p);
    return true;
}

bool decoder_work_open(struct model *m, struct lora *l, uint32_t max_tokens, uint32_t max_rows,
                       bool train, struct decoder_work **out, struct err *e)
{
    struct decoder_work *w = mem_calloc(1, sizeof *w, e);
    uint32_t n = m->spec.layers * LINEARS, *widths = NULL;
    bool ok = false;

    CHECK(max_tokens > 0 && max_rows > 0 && max_rows <= max_tokens && (l || !train));
    if (!w) goto out;
    widths = mem_calloc(n, sizeof *widths, e);
    if (!widths) goto out;
    for (uint32_t i = 0; i < n; i++) {
        const struct lora_group *g = lora_group_of(l, i / LINEARS, i % LINEARS);
        widths[i] = g ? g->rank_sum : 0;
    }
    w->m = m;
    w->l = l;
    w->train = train;
    w->max_tokens = max_tokens;
    w->max_rows = max_rows;
    ok = open_parts(w, widths, e);
    if (ok) *out = w;
out:
    mem_free(widths);
    if (!ok) {
        decoder_work_close(w);
        err_wrap(e, "workspace of %u tokens", max_tokens);
    }
    return ok;
}

void decoder_work_close(struct decoder_work *w)
{
    if (!w) return;
    dev_buf_close(w->buf);
    mem_free(w->host_loss);
    mem_free(w->host_pos);
    mem_free(w->kept);
    mem_free(w);
}

/* ---- one call */

static bool upload_u32(struct decoder_work *w, struct dev_mat *m, const uint32_t *v, uint32_t n,
                       struct err *e)
{
    m->cols = m->ld = n;
    return dev_upload(w->m->dev, m->buf, m->offset * sizeof *v, v, n * sizeof *v, e);
}

/* Token numbers come from files: out of range they would read past the embedding. */
static bool check_ids(const struct decoder_work *w, const uint32_t *v, uint32_t n, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] >= w->m->spec.vocab)
            return err_set(e, ERR_FORMAT,
                           "token %u is not in the model's vocabulary of %u: shards "
                           "made for another model?",
                           v[i], w->m->spec.vocab);
    }
    return true;
}

static bool begin(struct decoder_work *w, const struct decoder_batch *b, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    CHECK(b->ntokens > 0 && b->ntokens <= w->max_tokens && b->nrows > 0 && b->nrows <= w->max_rows);
    CHECK(b->nseq > 0 && b->cu[0] == 0 && b->cu[b->nseq] == b->ntokens);
    if (!check_ids(w, b->tokens, b->ntokens, e)) return false;
    if (b->labels && !check_ids(w, b->labels, b->nrows, e)) return false;
    for (uint32_t i = 0; i < b->nrows; i++)
        CHECK(b->rows[i] < b->ntokens && (i == 0 || b->rows[i - 1] < b->rows[i]));
    for (uint32_t i = 0; i < b->nseq; i++) {
        CHECK(b->cu[i] < b->cu[i + 1]);
        for (uint32_t k = b->cu[i]; k < b->cu[i + 1]; k++)
            w->host_pos[k] = k - b->cu[i];
    }
    w->t = b->ntokens;
    w->r = b->nrows;
    w->masked = false;
    w->grad = NULL;
    w->attn = (struct dev_attn){.heads = s->heads,
                                .kv_heads = s->kv_heads,
                                .head_dim = s->head_dim,
                                .scale = 1.0F / sqrtf((float)s->head_dim),
                                .window = s->window,
                                .cu = b->cu,
                                .nseq = b->nseq};
    return upload_u32(w, &w->ids, b->tokens, w->t, e) &&
           upload_u32(w, &w->pos, w->host_pos, w->t, e) &&
           upload_u32(w, &w->rows, b->rows, w->r, e) &&
           (!b->labels || upload_u32(w, &w->labels, b->labels, w->r, e));
}

static bool zero_grad(struct decoder_work *w, struct dev_buf *grad, struct err *e)
{
    for (size_t i = 0; i < w->l->ntensors; i++) {
        const struct lora_tensor *t = &w->l->tensors[i];
        struct dev_mat m = dev_mat_of(grad, t->offset, DEV_F32, t->rows, t->cols);
        if (!dev_zero(w->m->dev, m, e)) return false;
    }
    return true;
}

/* Summed on the host in row order, in f64. */
static bool sum_loss(struct decoder_work *w, double *loss, float *row_loss, struct err *e)
{
    size_t bytes = w->r * sizeof *w->host_loss;
    double sum = 0;
    if (!dev_download(w->m->dev, w->loss.buf, w->loss.offset * sizeof(float), w->host_loss, bytes,
                      e))
        return false;
    for (uint32_t i = 0; i < w->r; i++)
        sum += (double)w->host_loss[i];
    if (row_loss) memcpy(row_loss, w->host_loss, bytes);
    *loss = sum;
    return true;
}

bool decoder_loss(struct decoder_work *w, const struct decoder_batch *b, double *loss,
                  float *row_loss, struct err *e)
{
    *loss = 0;
    if (b->nrows == 0) return true;
    return begin(w, b, e) && decoder_forward(w, e) && decoder_head(w, e) &&
           sum_loss(w, loss, row_loss, e);
}

bool decoder_grad(struct decoder_work *w, const struct decoder_batch *b, uint64_t dropout_key,
                  struct dev_buf *grad, double *loss, struct err *e)
{
    CHECK(w->train && dev_buf_bytes(grad) >= w->l->count * sizeof(float));
    *loss = 0;
    if (b->nrows == 0) return zero_grad(w, grad, e);
    if (!begin(w, b, e)) return false;
    w->grad = grad;
    w->dropout_key = dropout_key;
    w->masked = w->l->groups && w->l->dropout > 0;
    /* a LoRA gradient is written once by a product; of all weights, some are summed up */
    if (w->l->method == LORA_FULL && !zero_grad(w, grad, e)) return false;
    return decoder_forward(w, e) && decoder_head(w, e) && decoder_backward(w, e) &&
           sum_loss(w, loss, NULL, e);
}

bool decoder_logits(struct decoder_work *w, const struct decoder_batch *b, float *out,
                    struct err *e)
{
    struct decoder_batch rows_only = *b;
    rows_only.labels = NULL;
    if (b->nrows == 0) return true;
    return begin(w, &rows_only, e) && decoder_forward(w, e) && decoder_head_logits(w, out, e);
}
