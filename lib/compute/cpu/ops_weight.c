/* Ops on weights: quantised ones back to floats, and what DoRA needs of rows and columns. */
#include "compute/cpu/cpu.h"

#include <math.h>

enum { PIECE = 1024 };

static size_t piece(size_t from, size_t n)
{
    return n - from < PIECE ? n - from : PIECE;
}

/* n values of row r from column c0. */
static void int8_values(const struct dev_call *call, uint32_t r, size_t c0, size_t n, float *out)
{
    const int8_t *q = (const int8_t *)dev_mat_row(call->m[0], r) + c0;
    float scale = ((const float *)dev_mat_ptr(call->m[1]))[r];
    for (size_t j = 0; j < n; j++)
        out[j] = (float)q[j] * scale;
}

static void nf4_values(const struct dev_call *call, uint32_t r, size_t c0, size_t n, float *out)
{
    const uint8_t *codes = dev_mat_ptr(call->m[0]), *scales = dev_mat_ptr(call->m[1]);
    const float *outer = dev_mat_ptr(call->m[2]), *book = dev_mat_ptr(call->m[3]);
    const float *map = book + DEV_NF4_BOOK;
    size_t at = (size_t)r * call->m[4].cols + c0;
    for (size_t j = 0; j < n;) {
        size_t b = (at + j) / DEV_NF4_BLOCK, stop = (b + 1) * DEV_NF4_BLOCK - at;
        float scale = map[scales[b]] * outer[b / DEV_NF4_OUTER] + map[DEV_NF4_MAP];
        for (stop = stop < n ? stop : n; j < stop; j++) {
            unsigned byte = codes[(at + j) / 2];
            out[j] = book[(at + j) % 2 ? byte & 15U : byte >> 4] * scale;
        }
    }
}

static void dequant_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                         float *tmp)
{
    struct dev_mat to = call->m[4];
    for (uint32_t r = r0; r < r1; r++) {
        for (size_t j = 0; j < to.cols; j += PIECE) {
            size_t n = piece(j, to.cols);
            float *y = cpu_dest(to, r, j, tmp);
            if (call->quant == DEV_QUANT_INT8)
                int8_values(call, r, j, n, y);
            else
                nf4_values(call, r, j, n, y);
            cpu_store(c, y, to, r, j, n);
        }
    }
}

bool cpu_dequant(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, dequant_rows, call, call->m[4].rows, PIECE, e);
}

static void row_norms_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0,
                           uint32_t r1, float *tmp)
{
    struct dev_mat x = call->m[0];
    float *out = dev_mat_ptr(call->m[1]);
    for (uint32_t r = r0; r < r1; r++) {
        double sum = 0;
        for (size_t j = 0; j < x.cols; j += PIECE) {
            size_t n = piece(j, x.cols);
            const float *f = cpu_load(c, x, r, j, n, tmp);
            for (size_t k = 0; k < n; k++)
                sum += (double)f[k] * (double)f[k];
        }
        out[r] = (float)sqrt(sum);
    }
}

bool cpu_row_norms(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, row_norms_rows, call, call->m[0].rows, PIECE, e);
}

static void scale_cols_rows(const struct cpu *c, const struct dev_call *call, uint32_t r0,
                            uint32_t r1, float *tmp)
{
    struct dev_mat x = call->m[0], y = call->m[2];
    const float *s = dev_mat_ptr(call->m[1]);
    for (uint32_t r = r0; r < r1; r++) {
        for (size_t j = 0; j < x.cols; j += PIECE) {
            size_t n = piece(j, x.cols);
            const float *f = cpu_load(c, x, r, j, n, tmp);
            float *to = cpu_dest(y, r, j, tmp + PIECE);
            for (size_t k = 0; k < n; k++)
                to[k] = f[k] * s[j + k];
            cpu_store(c, to, y, r, j, n);
        }
    }
}

bool cpu_scale_cols(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, scale_cols_rows, call, call->m[0].rows, 2 * PIECE, e);
}

/* [c0, c1) are columns: each thread sums its own over all rows, in order. */
static void col_dot_cols(const struct cpu *c, const struct dev_call *call, uint32_t c0, uint32_t c1,
                         float *tmp)
{
    struct dev_mat a = call->m[0], b = call->m[1];
    float *out = dev_mat_ptr(call->m[2]);
    for (uint32_t j = c0; j < c1; j++)
        out[j] = 0;
    for (uint32_t r = 0; r < a.rows; r++) {
        for (size_t j = c0; j < c1; j += PIECE) {
            size_t n = piece(j, c1);
            const float *x = cpu_load(c, a, r, j, n, tmp);
            const float *y = cpu_load(c, b, r, j, n, tmp + PIECE);
            for (size_t k = 0; k < n; k++)
                out[j + k] += x[k] * y[k];
        }
    }
}

bool cpu_col_dot(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, col_dot_cols, call, call->m[0].cols, 2 * PIECE, e);
}

static void ratio_cols(const struct cpu *c, const struct dev_call *call, uint32_t c0, uint32_t c1,
                       float *tmp)
{
    const float *a = dev_mat_ptr(call->m[0]), *b = dev_mat_ptr(call->m[1]);
    float *out = dev_mat_ptr(call->m[2]);
    (void)c;
    (void)tmp;
    for (uint32_t j = c0; j < c1; j++)
        out[j] = b[j] != 0 ? a[j] / b[j] : 0;
}

bool cpu_ratio(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, ratio_cols, call, call->m[0].cols, 1, e);
}
