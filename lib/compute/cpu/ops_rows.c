/*
 * Copies, norms, rotary positions, activations, dropout and the loss: ops whose rows are
 * independent.
 */
#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* Columns are worked in pieces that stay in the first-level cache. */
enum { PIECE = 1024 };

static size_t piece(size_t from, size_t n)
{
    return n - from < PIECE ? n - from : PIECE;
}

bool cpu_zero(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat m = call->m[0];
    (void)c;
    (void)e;
    for (uint32_t r = 0; r < m.rows; r++)
        memset(dev_mat_row(m, r), 0, m.cols * dev_dtype_bytes(m.dtype));
    return true;
}

/* dst row rd = alpha * src row rs. dst may be src. */
static void copy_row(const struct cpu *c, float alpha, struct dev_mat src, uint32_t rs,
                     struct dev_mat dst, uint32_t rd, float *tmp)
{
    if (src.dtype == dst.dtype && alpha == 1.0f) {
        memmove(dev_mat_row(dst, rd), dev_mat_row(src, rs), src.cols * dev_dtype_bytes(src.dtype));
        return;
    }
    for (size_t j = 0; j < src.cols; j += PIECE) {
        size_t n = piece(j, src.cols);
        const float *x = cpu_load(c, src, rs, j, n, tmp);
        if (alpha != 1.0f) {
            c->k->scale(alpha, x, tmp + PIECE, n);
            x = tmp + PIECE;
        }
        if (dst.dtype == DEV_F32)
            memcpy((float *)dev_mat_row(dst, rd) + j, x, n * sizeof *x);
        else
            cpu_store(c, x, dst, rd, j, n);
    }
}

static void scale_cast_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0,
                            uint32_t r1, float *tmp)
{
    for (uint32_t r = r0; r < r1; r++)
        copy_row(c, call->alpha, call->m[0], r, call->m[1], r, tmp);
}

bool cpu_scale_cast(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, scale_cast_rows, call, call->m[0].rows, 2 * PIECE, e);
}

static uint32_t row_index(struct dev_mat idx, uint32_t i, uint32_t rows)
{
    int32_t r = ((const int32_t *)dev_mat_ptr(idx))[i];
    CHECK(r >= 0 && (uint32_t)r < rows);
    return (uint32_t)r;
}

static void gather_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                        float *tmp)
{
    struct dev_mat src = call->m[0], idx = call->m[1], dst = call->m[2];
    for (uint32_t r = r0; r < r1; r++)
        copy_row(c, 1.0f, src, row_index(idx, r, src.rows), dst, r, tmp);
}

bool cpu_gather_rows(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, gather_rows, call, call->m[2].rows, 2 * PIECE, e);
}

static void scatter_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                         float *tmp)
{
    struct dev_mat src = call->m[0], idx = call->m[1], dst = call->m[2];
    for (uint32_t r = r0; r < r1; r++)
        copy_row(c, 1.0f, src, r, dst, row_index(idx, r, dst.rows), tmp);
}

bool cpu_scatter_rows(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, scatter_rows, call, call->m[0].rows, 2 * PIECE, e);
}

/* One thread: two rows may go to the same place, and the order counts. */
bool cpu_scatter_add_rows(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat src = call->m[0], ids = call->m[1], dst = call->m[2];
    if (!cpu_scratch(c, PIECE * sizeof(float), e)) return false;
    float *tmp = cpu_scratch_of(c, 0);
    for (uint32_t r = 0; r < src.rows; r++) {
        uint32_t to = row_index(ids, r, dst.rows);
        for (size_t j = 0; j < src.cols; j += PIECE) {
            size_t n = piece(j, src.cols);
            c->k->axpy(1.0f, cpu_load(c, src, r, j, n, tmp), (float *)dev_mat_row(dst, to) + j, n);
        }
    }
    return true;
}

static void add_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                     float *tmp)
{
    struct dev_mat x = call->m[0], y = call->m[1];
    float *sum = tmp + PIECE;
    for (uint32_t r = r0; r < r1; r++)
        for (size_t j = 0; j < x.cols; j += PIECE) {
            size_t n = piece(j, x.cols);
            float *to = cpu_dest(x, r, j, sum);
            (void)cpu_load(c, x, r, j, n, sum);
            c->k->axpy(1.0f, cpu_load(c, y, y.rows == 1 ? 0 : r, j, n, tmp), to, n);
            cpu_store(c, to, x, r, j, n);
        }
}

bool cpu_add(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, add_rows, call, call->m[0].rows, 2 * PIECE, e);
}

/* n values to column c0 of row r. */
static void put_piece(const struct cpu *c, const float *from, struct dev_mat m, uint32_t r,
                      size_t c0, size_t n)
{
    if (m.dtype == DEV_F32)
        memcpy((float *)dev_mat_row(m, r) + c0, from, n * sizeof *from);
    else
        cpu_store(c, from, m, r, c0, n);
}

static float rstd_of(const struct cpu *c, const float *x, size_t n, float eps)
{
    return 1.0f / sqrtf(c->k->dot(x, x, n) / (float)n + eps);
}

static void rmsnorm_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                         float *tmp)
{
    struct dev_mat x = call->m[0], y = call->m[2], rstd = call->m[3], keep = call->m[4];
    const float *w = dev_mat_ptr(call->m[1]);
    for (uint32_t r = r0; r < r1; r++) {
        const float *xr = dev_mat_row(x, r);
        float s = rstd_of(c, xr, x.cols, call->eps);
        if (keep.buf) put_piece(c, xr, keep, r, 0, x.cols);
        if (rstd.buf) ((float *)dev_mat_ptr(rstd))[r] = s;
        for (size_t j = 0; j < x.cols; j += PIECE) {
            size_t n = piece(j, x.cols);
            float *yr = cpu_dest(y, r, j, tmp);
            c->k->norm(xr + j, w + j, s, yr, n);
            cpu_store(c, yr, y, r, j, n);
        }
    }
}

bool cpu_rmsnorm(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, rmsnorm_rows, call, call->m[0].rows, PIECE, e);
}

/* y_j = x_j s w_j, s = (mean x^2 + eps)^-1/2: dx_j = s (dy_j w_j - x_j s^2 / n sum_i dy_i w_i x_i)
 */
static void rmsnorm_bwd_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0,
                             uint32_t r1, float *tmp)
{
    struct dev_mat dy = call->m[0], x = call->m[1], dx = call->m[4];
    const float *w = dev_mat_ptr(call->m[2]), *rstd = dev_mat_ptr(call->m[3]);
    for (uint32_t r = r0; r < r1; r++) {
        const float *dyr = cpu_load(c, dy, r, 0, x.cols, tmp), *xr = dev_mat_row(x, r);
        float s = rstd[r];
        float k = s * s * c->k->dot3(dyr, w, xr, x.cols) / (float)x.cols;
        c->k->norm_bwd(dyr, xr, w, s, k, dev_mat_row(dx, r), x.cols);
    }
}

/* One thread: rows are added in increasing order. */
static bool rmsnorm_bwd_weight(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat dy = call->m[0], x = call->m[1];
    const float *rstd = dev_mat_ptr(call->m[3]);
    float *dw = dev_mat_ptr(call->m[5]);
    if (!cpu_scratch(c, x.cols * sizeof(float), e)) return false;
    for (uint32_t r = 0; r < x.rows; r++)
        c->k->mul_add(cpu_load(c, dy, r, 0, x.cols, cpu_scratch_of(c, 0)), dev_mat_row(x, r),
                      rstd[r], dw, x.cols);
    return true;
}

bool cpu_rmsnorm_bwd(struct cpu *c, const struct dev_call *call, struct err *e)
{
    if (call->m[5].buf && !rmsnorm_bwd_weight(c, call, e)) return false;
    return cpu_rows(c, rmsnorm_bwd_rows, call, call->m[1].rows, call->m[1].cols, e);
}

static void rmsnorm_back_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0,
                              uint32_t r1, float *tmp)
{
    struct dev_mat dy = call->m[0], x = call->m[1], dx = call->m[3], y = call->m[4];
    const float *w = dev_mat_ptr(call->m[2]);
    size_t n = x.cols;
    for (uint32_t r = r0; r < r1; r++) {
        const float *xr = cpu_load(c, x, r, 0, n, tmp), *dyr = cpu_load(c, dy, r, 0, n, tmp + n);
        float s = rstd_of(c, xr, n, call->eps), *dxr = dev_mat_row(dx, r);
        c->k->norm_bwd(dyr, xr, w, s, s * s * c->k->dot3(dyr, w, xr, n) / (float)n, dxr, n);
        put_piece(c, dxr, call->m[5], r, 0, n);
        if (!y.buf) continue;
        float *yr = cpu_dest(y, r, 0, tmp + n);
        c->k->norm(xr, w, s, yr, n);
        cpu_store(c, yr, y, r, 0, n);
    }
}

bool cpu_rmsnorm_back(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, rmsnorm_back_rows, call, call->m[1].rows, 2 * (size_t)call->m[1].cols, e);
}

static void layernorm_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0,
                           uint32_t r1, float *tmp)
{
    struct dev_mat x = call->m[0], y = call->m[3];
    const float *w = dev_mat_ptr(call->m[1]), *b = dev_mat_ptr(call->m[2]);
    for (uint32_t r = r0; r < r1; r++) {
        c->k->layernorm(dev_mat_row(x, r), w, b, call->eps, tmp, x.cols);
        if (y.dtype == DEV_F32)
            memcpy(dev_mat_row(y, r), tmp, x.cols * sizeof *tmp);
        else
            cpu_store(c, tmp, y, r, 0, x.cols);
    }
}

bool cpu_layernorm(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, layernorm_rows, call, call->m[0].rows, call->m[0].cols, e);
}

static void rope_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                      float *tmp)
{
    struct dev_mat x = call->m[0];
    const int32_t *pos = dev_mat_ptr(call->m[1]);
    const float *inv_freq = dev_mat_ptr(call->m[2]);
    size_t half = call->m[2].cols, hd = 2 * half;
    float *cs = tmp, *sn = tmp + half, *row = tmp + 2 * half;
    for (uint32_t r = r0; r < r1; r++) {
        c->k->angles((float)pos[r], inv_freq, cs, sn, half);
        if (call->rope.inverse)
            for (size_t j = 0; j < half; j++)
                sn[j] = -sn[j];
        float *v = cpu_dest(x, r, 0, row);
        (void)cpu_load(c, x, r, 0, call->rope.heads * hd, row);
        for (size_t h = 0; h < call->rope.heads; h++)
            c->k->rotate(v + h * hd, v + h * hd + half, cs, sn, half);
        cpu_store(c, v, x, r, 0, call->rope.heads * hd);
    }
}

bool cpu_rope(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, rope_rows, call, call->m[0].rows,
                    (2 + 2 * (size_t)call->rope.heads) * call->m[2].cols, e);
}

/* Is there a second half, u? */
static bool is_gated(struct dev_mat x, struct dev_mat y)
{
    return x.cols != y.cols;
}

static void act_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                     float *tmp)
{
    struct dev_mat x = call->m[0], y = call->m[1];
    for (uint32_t r = r0; r < r1; r++)
        for (size_t j = 0; j < y.cols; j += PIECE) {
            size_t n = piece(j, y.cols);
            const float *g = cpu_load(c, x, r, j, n, tmp), *u = NULL;
            float *yr = cpu_dest(y, r, j, tmp + 2 * PIECE);
            if (is_gated(x, y)) u = cpu_load(c, x, r, y.cols + j, n, tmp + PIECE);
            c->k->act(call->act, g, u, yr, n);
            cpu_store(c, yr, y, r, j, n);
        }
}

bool cpu_act(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, act_rows, call, call->m[1].rows, 3 * PIECE, e);
}

/* dx may be x: each piece is read before it is written. y may be left out. */
static void act_bwd_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                         float *tmp)
{
    struct dev_mat dy = call->m[0], x = call->m[1], dx = call->m[2], y = call->m[3];
    float *dg = tmp + 3 * PIECE, *du = tmp + 4 * PIECE, *to = tmp + 5 * PIECE;
    for (uint32_t r = r0; r < r1; r++)
        for (size_t j = 0; j < dy.cols; j += PIECE) {
            size_t n = piece(j, dy.cols);
            const float *d = cpu_load(c, dy, r, j, n, tmp);
            const float *g = cpu_load(c, x, r, j, n, tmp + PIECE), *u = NULL;
            if (is_gated(x, dy)) u = cpu_load(c, x, r, dy.cols + j, n, tmp + 2 * PIECE);
            c->k->act_bwd(call->act, d, g, u, dg, du, n);
            if (y.buf) {
                c->k->act(call->act, g, u, to, n);
                put_piece(c, to, y, r, j, n);
            }
            put_piece(c, dg, dx, r, j, n);
            if (u) put_piece(c, du, dx, r, dy.cols + j, n);
        }
}

bool cpu_act_bwd(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, act_bwd_rows, call, call->m[0].rows, 6 * PIECE, e);
}

/* y may be x: results go through tmp. */
static void dropout_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                         float *tmp)
{
    struct dev_mat x = call->m[0], y = call->m[1];
    uint32_t threshold = (uint32_t)lrintf(call->dropout.p * 16777216.0f);
    float scale = 1.0f / (1.0f - call->dropout.p), *out = tmp + PIECE;
    for (uint32_t r = r0; r < r1; r++)
        for (size_t j = 0; j < x.cols; j += PIECE) {
            size_t n = piece(j, x.cols);
            const float *xr = cpu_load(c, x, r, j, n, tmp);
            uint64_t base = call->dropout.base + (uint64_t)r * x.cols + j;
            c->k->dropout(xr, call->dropout.key, base, threshold, scale, out, n);
            if (y.dtype == DEV_F32)
                memcpy((float *)dev_mat_row(y, r) + j, out, n * sizeof *out);
            else
                cpu_store(c, out, y, r, j, n);
        }
}

bool cpu_dropout(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, dropout_rows, call, call->m[0].rows, 2 * PIECE, e);
}

static void xent_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                      float *tmp)
{
    struct dev_mat logits = call->m[0], to = call->m[3];
    size_t n = logits.cols;
    float *loss = dev_mat_ptr(call->m[2]), scale = call->xent.scale;
    (void)tmp;
    for (uint32_t r = r0; r < r1; r++) {
        float *x = dev_mat_row(logits, r);
        uint32_t label = row_index(call->m[1], r, logits.cols);
        float top = c->k->max(x, n);
        float lse = top + logf(c->k->exp_sum(x, 1.0f, top, NULL, NULL, n));
        loss[r] = lse - x[label];
        if (!call->xent.grad) continue;
        (void)c->k->exp_sum(x, 1.0f, lse, x, NULL, n);
        x[label] -= 1.0f;
        for (size_t j = 0; scale != 1.0f && j < n; j++)
            x[j] *= scale;
        if (to.buf) put_piece(c, x, to, r, 0, n);
    }
}

bool cpu_xent(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, xent_rows, call, call->m[0].rows, 0, e);
}

static void argmax_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                        float *tmp)
{
    struct dev_mat m = call->m[0];
    int32_t *out = dev_mat_ptr(call->m[1]);
    for (uint32_t r = r0; r < r1; r++) {
        const float *x = cpu_load(c, m, r, 0, m.cols, tmp);
        float top = c->k->max(x, m.cols);
        uint32_t j = 0;
        while (j + 1 < m.cols && x[j] != top)
            j++;
        out[r] = (int32_t)(x[j] == top ? j : 0); /* a row of NaN: 0 */
    }
}

bool cpu_argmax(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, argmax_rows, call, call->m[0].rows, call->m[0].cols, e);
}
