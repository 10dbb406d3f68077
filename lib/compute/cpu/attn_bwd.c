/*
 * The backward pass of attention. P is made again from the scores and lse (FlashAttention-2, arXiv
 * 2307.08691):
 *
 *     P = exp(scale Q K^T - lse)   dP = dO V^T   D = row sums of P dP   dS = scale P (dP - D)
 *     dQ = dS K                    dK^T = sum over blocks of Q^T dS           dV^T = sum of dO^T P
 *
 * D is the paper's row sum of dO O, from numbers that are at hand. The sums over blocks run in f32,
 * in the order of queries, heads inside. The gradient of a bias is the sum of P (dP - D) over the
 * diagonals; where it is wanted, one task does all samples of its heads, one after the other.
 */
#include "compute/cpu/attn.h"

#include <string.h>

struct backward {
    struct attn_plan p;
    const struct dev_call *call;
    void *k, *v, *kn; /* packed: K and V as panels over keys; K as panels over the head's columns */
    void *q, *dout;   /* packed rows of a block */
    void *turned;     /* their transpose: [hd, rows] */
    void *panels;     /* P or dS as panels over keys */
    float *s, *dp;    /* [rows, ld]: scores, then P; dP, then dS */
    void *prob, *ds;  /* the same in the type they are multiplied in */
    float *dkt, *dvt; /* [hd, ld] */
    struct attn_bias bias, dbias;
    float *tmp;
    void *multiply;
};

static size_t backward_layout(struct backward *w, void *base)
{
    const struct attn_plan *p = &w->p;
    struct cpu_carve v = {.base = base};
    size_t scores = p->rows * p->ld * sizeof(float), sums = p->hd * p->ld * sizeof(float);
    bool f32 = p->type == DEV_F32;
    w->k = cpu_carve(&v, gemm_b_bytes(p->t, p->keys, p->hd));
    w->v = cpu_carve(&v, gemm_b_bytes(p->t, p->keys, p->hd));
    w->kn = cpu_carve(&v, gemm_b_bytes(p->t, p->hd, p->keys));
    w->q = cpu_carve(&v, p->rows * gemm_a_bytes(p->t, p->hd));
    w->dout = cpu_carve(&v, p->rows * gemm_a_bytes(p->t, p->hd));
    w->turned = cpu_carve(&v, p->hd * gemm_a_bytes(p->t, p->rows));
    w->panels = cpu_carve(&v, gemm_b_bytes(p->t, p->keys, p->rows));
    w->s = cpu_carve(&v, scores);
    w->dp = cpu_carve(&v, scores);
    w->prob = f32 ? w->s : cpu_carve(&v, scores / 2);
    w->ds = f32 ? w->dp : cpu_carve(&v, scores / 2);
    w->dkt = cpu_carve(&v, sums);
    w->dvt = cpu_carve(&v, sums);
    w->bias.p = cpu_carve(&v, attn_bias_bytes(p));
    w->dbias.p = cpu_carve(&v, p->a->dbias.buf ? attn_bias_bytes(p) : 0);
    w->tmp = cpu_carve(&v, GEMM_PACK_TMP * sizeof(float));
    w->multiply = cpu_carve(&v, gemm_multiply_bytes(p->t));
    return v.used;
}

/* s, dp -> P, dS, masked, in the type they are multiplied in. */
static void gradient_block(struct backward *w, const struct attn_block *b, size_t t, size_t g)
{
    const struct attn_plan *p = &w->p;
    const struct cpu_kern *k = p->c->k;
    size_t width = b->j1 - b->j0;
    bool biased = p->a->bias.buf != NULL, half = p->type == DEV_BF16;
    for (size_t r = 0; r < p->group * b->n; r++) {
        size_t h = g * p->group + r / b->n, i = r % b->n, from, to;
        float *s = w->s + r * p->ld, *dp = w->dp + r * p->ld;
        attn_visible(p, b->i0 + i, &from, &to);
        size_t c0 = from - b->j0, c1 = to - b->j0;
        float lse = ((const float *)dev_mat_row(w->call->m[4], h))[t + i];
        if (biased)
            k->put(attn_bias_row(p, &w->bias, r / b->n, b->i0 + i, from), 0, 1, to - from, 1.0f,
                   p->a->scale, s + c0, 0);
        void *prob = attn_clear_row(p, c0, c1, width, w->prob, r);
        void *ds = attn_clear_row(p, c0, c1, width, w->ds, r);
        float d = k->exp_dot(s + c0, biased ? 1.0f : p->a->scale, lse, dp + c0, half ? prob : NULL,
                             c1 - c0);
        k->softmax_bwd(s + c0, p->a->scale, d, dp + c0, half ? ds : NULL, c1 - c0);
        if (p->a->dbias.buf)
            k->axpy(1.0f / p->a->scale, dp + c0,
                    attn_bias_row(p, &w->dbias, r / b->n, b->i0 + i, from), to - from);
    }
}

/* sum [hd, keys j0..j1] += X^T Y, X the block's packed rows, Y [rows, j1 - j0]. The sums go on
 * where they lie; the last panel may be wider than the keys, and adds zeros there. */
static void add_turned(struct backward *w, const struct attn_block *b, const void *packed,
                       const void *y, float *sum)
{
    const struct attn_plan *p = &w->p;
    size_t rows = p->group * b->n, units = gemm_units(p->t, rows), hd = p->hd;
    size_t z = dev_dtype_bytes(p->type);
    struct gemm_src x = {packed, p->type, gemm_a_bytes(p->t, hd) / z, true};
    gemm_pack_a(p->c, p->t, x, 0, hd, rows, w->tmp, w->turned);
    gemm_pack_b(p->c, p->t, (struct gemm_src){y, p->type, p->ld, true}, 0, b->j1 - b->j0, rows,
                w->tmp, w->panels);
    struct gemm_packed product = {.a = w->turned,
                                  .lda = gemm_a_bytes(p->t, rows),
                                  .b = w->panels,
                                  .depth = units,
                                  .cols = b->j1 - b->j0,
                                  .m = hd,
                                  .n = b->j1 - b->j0,
                                  .k = units};
    gemm_add(p->t, &product, (struct gemm_sums){sum + b->j0, p->ld, true});
}

/* Rows t.. of dq = dS K */
static void query_gradient(struct backward *w, const struct attn_block *b, size_t t, size_t g)
{
    const struct attn_plan *p = &w->p;
    struct dev_mat dq = w->call->m[6];
    for (size_t h = 0; h < p->group; h++) {
        size_t col = (g * p->group + h) * p->hd;
        unsigned char *to = dev_mat_row(dq, t);
        to += col * dev_dtype_bytes(dq.dtype);
        attn_weigh(p, b, w->ds, h * b->n, b->n, w->kn,
                   (struct gemm_dst){to, dq.dtype, dq.ld, 1.0f, 0.0f, false}, w->multiply);
    }
}

static void backward_block(struct backward *w, const struct attn_block *b, size_t t, size_t g)
{
    const struct attn_plan *p = &w->p;
    const struct dev_mat *m = w->call->m;
    attn_pack_rows(p, m[0], t, b->n, g, w->tmp, w->q);
    attn_scores(p, b, w->q, w->k, w->s, w->multiply);
    attn_pack_rows(p, m[5], t, b->n, g, w->tmp, w->dout);
    attn_scores(p, b, w->dout, w->v, w->dp, w->multiply);
    gradient_block(w, b, t, g);
    query_gradient(w, b, t, g);
    add_turned(w, b, w->dout, w->prob, w->dvt);
    add_turned(w, b, w->q, w->ds, w->dkt);
}

/* out rows t0.. of head g = the transpose of sum [hd, n] */
static void store_turned(struct backward *w, const float *sum, struct dev_mat out, size_t t0,
                         size_t n, size_t g)
{
    const struct attn_plan *p = &w->p;
    for (size_t i = 0; i < n; i += 16) {
        size_t rows = n - i < 16 ? n - i : 16;
        float *part = w->tmp; /* 16 rows of at most 512 */
        CHECK(p->hd * 16 <= GEMM_PACK_TMP);
        p->c->k->transpose((sum + i), p->ld, p->hd, rows, (uint32_t *)(void *)part, p->hd);
        for (size_t r = 0; r < rows; r++) {
            uint32_t row = (uint32_t)(t0 + i + r);
            if (out.dtype == DEV_F32)
                memcpy((float *)dev_mat_row(out, row) + g * p->hd, part + r * p->hd,
                       p->hd * sizeof *part);
            else
                cpu_store(p->c, part + r * p->hd, out, row, g * p->hd, p->hd);
        }
    }
}

/* Keys [k0, k0 + nk) in the forms that the products want; sums over them start at 0. */
static void backward_keys(struct backward *w, size_t k0, size_t nk, size_t g)
{
    struct attn_plan *p = &w->p;
    const struct dev_mat *m = w->call->m;
    p->keys = nk;
    gemm_pack_b(p->c, p->t, attn_head(m[1], k0, g, p->hd, false), 0, nk, p->hd, w->tmp, w->k);
    gemm_pack_b(p->c, p->t, attn_head(m[2], k0, g, p->hd, false), 0, nk, p->hd, w->tmp, w->v);
    gemm_pack_b(p->c, p->t, attn_head(m[1], k0, g, p->hd, true), 0, p->hd, nk, w->tmp, w->kn);
    memset(w->dkt, 0, p->hd * p->ld * sizeof *w->dkt);
    memset(w->dvt, 0, p->hd * p->ld * sizeof *w->dvt);
}

static void begin_bias(struct backward *w, size_t n, size_t nk, size_t g)
{
    attn_bias_spread(&w->p, g, n - 1, nk, &w->bias);
    w->dbias.at = w->bias.at;
    if (w->p.a->dbias.buf) memset(w->dbias.p, 0, attn_bias_bytes(&w->p));
}

/* The diagonals' sums to the rows of dbias: distances beyond the reach share the outermost. */
static void end_bias(const struct backward *w, size_t n, size_t nk, size_t g)
{
    const struct attn_plan *p = &w->p;
    struct dev_mat m = p->a->dbias;
    size_t reach = m.rows / 2, last = n - 1;
    for (size_t h = 0; m.buf && h < p->group; h++) {
        const float *from = w->dbias.p + h * p->span;
        for (size_t d = 0; d < last + nk; d++) {
            size_t row = d + reach < last ? 0 : d + reach - last;
            row = row < m.rows ? row : m.rows - 1;
            ((float *)dev_mat_row(m, row))[g * p->group + h] += from[d];
        }
    }
}

static void backward_sample(struct backward *w, size_t s, size_t g)
{
    const struct attn_plan *p = &w->p;
    const struct dev_mat *m = w->call->m;
    size_t t0 = p->a->cu[s], n = p->a->cu[s + 1] - t0;
    size_t k0 = p->a->cu_k[s], nk = p->a->cu_k[s + 1] - k0;
    if (nk == 0) return;
    backward_keys(w, k0, nk, g);
    if (n > 0) begin_bias(w, n, nk, g);
    for (size_t i = 0; i < n; i += p->queries) {
        struct attn_block b = attn_block_of(p, i, n);
        backward_block(w, &b, t0 + i, g);
    }
    if (n > 0) end_bias(w, n, nk, g);
    store_turned(w, w->dkt, m[7], k0, nk, g);
    store_turned(w, w->dvt, m[8], k0, nk, g);
}

static void backward_one(const void *plan, size_t task, void *scratch)
{
    struct backward w = *(const struct backward *)plan;
    uint32_t kv = w.p.a->kv_heads;
    (void)backward_layout(&w, scratch);
    backward_sample(&w, task / kv, task % kv);
}

/* All samples of a group of heads in order: they add to one bias. */
static void backward_all(const void *plan, size_t task, void *scratch)
{
    struct backward w = *(const struct backward *)plan;
    (void)backward_layout(&w, scratch);
    for (uint32_t s = 0; s < w.p.a->nseq; s++)
        backward_sample(&w, s, task);
}

bool cpu_attn_bwd(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_attn *a = &call->attn.a;
    struct backward w = {.call = call};
    attn_plan_init(&w.p, c, a, call->m[0].dtype, attn_longest(a->cu, a->nseq),
                   attn_longest(a->cu_k, a->nseq));
    if (!cpu_scratch(c, backward_layout(&w, NULL), e)) return false;
    if (a->dbias.buf)
        cpu_tasks(c, a->kv_heads, backward_all, &w);
    else
        cpu_tasks(c, (size_t)a->nseq * a->kv_heads, backward_one, &w);
    return true;
}
