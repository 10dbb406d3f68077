/*
 * Operands into the order the register tiles read them. Strides in elements of the source.
 *
 *     a panel of B, nr = 4, bf16:   k 0 1 | k 0 1 | k 0 1 | k 0 1     unit (0, j), j = 0..3
 *                                   k 2 3 | k 2 3 | k 2 3 | k 2 3     unit (1, j)
 */
#include "compute/cpu/gemm.h"

#include <string.h>

/* k values in one unit: bf16 pairs, or f32 */
static size_t per_unit(const struct tile *t)
{
    return t->bf16 ? 2 : 1;
}

size_t gemm_units(const struct tile *t, size_t n)
{
    size_t u = (n + per_unit(t) - 1) / per_unit(t);
    return (u + t->kpad - 1) / t->kpad * t->kpad;
}

size_t gemm_a_bytes(const struct tile *t, size_t k)
{
    return gemm_units(t, k) * 4;
}

/* The last panel is half as wide when that is enough. */
static size_t panel_cols(const struct tile *t, size_t left)
{
    return left <= t->nr / 2 ? t->nr / 2 : t->nr;
}

size_t gemm_b_bytes(const struct tile *t, size_t n, size_t k)
{
    size_t full = n / t->nr * t->nr;
    size_t cols = full + (n > full ? panel_cols(t, n - full) : 0);
    return cols * gemm_units(t, k) * 4;
}

static const void *at(struct gemm_src s, size_t row, size_t col)
{
    return (const unsigned char *)s.p + (row * s.ld + col) * dev_dtype_bytes(s.t);
}

/* Whole units [k0, k0 + units) of `rows` stored rows, each k along the row, go to dst[u, row]. */
static void pack_along(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t r0,
                       size_t rows, size_t units, float *tmp, uint32_t *dst, size_t ld_dst)
{
    const size_t step = 256;
    if (s.t == DEV_F32 || t->bf16) {
        /* bf16: rows of odd length leave units at odd addresses, which the loads allow */
        size_t ld32 = s.ld / per_unit(t);
        if (s.ld % per_unit(t) == 0) {
            c->k->transpose(at(s, r0, 0), ld32, rows, units, dst, ld_dst);
            return;
        }
    }
    for (size_t u = 0; u < units; u += step) {
        size_t n = units - u < step ? units - u : step;
        for (size_t r = 0; r < rows; r++) {
            const void *x = at(s, r0 + r, u * per_unit(t));
            if (t->bf16)
                memcpy(tmp + r * step, x, n * 4);
            else
                c->k->widen(x, tmp + r * step, n);
        }
        c->k->transpose(tmp, step, rows, n, dst + u * ld_dst, ld_dst);
    }
}

/* As pack_along when k goes from row to row: columns [c0, c0 + cols) of 'units' rows or pairs. */
static void pack_across(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t k0,
                        size_t c0, size_t cols, size_t units, uint32_t *dst, size_t ld_dst)
{
    if (t->bf16) {
        c->k->pair(at(s, k0, c0), s.ld, 2 * units, cols, dst, ld_dst);
        return;
    }
    float *to = (float *)(void *)dst;
    if (s.t == DEV_F32) c->k->put(at(s, k0, c0), s.ld, units, cols, 1.0f, 0.0f, to, ld_dst);
    for (size_t u = 0; s.t == DEV_BF16 && u < units; u++)
        c->k->widen(at(s, k0 + u, c0), to + u * ld_dst, cols);
}

/* One panel: columns [c0, c0 + cols) of B; cols <= width. */
static void pack_panel(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t c0,
                       size_t cols, size_t width, size_t k, float *tmp, uint32_t *dst)
{
    size_t whole = k / per_unit(t), units = gemm_units(t, k);
    if (cols < width) memset(dst, 0, units * width * 4);
    if (s.trans)
        pack_across(c, t, s, 0, c0, cols, whole, dst, width);
    else
        pack_along(c, t, s, c0, cols, whole, tmp, dst, width);
    for (size_t u = whole; u < units; u++)
        memset(dst + u * width, 0, width * 4);
    if (k % per_unit(t) == 0) return;
    for (size_t j = 0; j < cols; j++) /* half a pair */
        dst[whole * width + j] =
            *(const uint16_t *)(s.trans ? at(s, k - 1, c0 + j) : at(s, c0 + j, k - 1));
}

void gemm_pack_b(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t n0, size_t n,
                 size_t k, float *tmp, void *out)
{
    uint32_t *dst = out;
    size_t units = gemm_units(t, k);
    for (size_t j = 0; j < n; j += t->nr) {
        size_t cols = n - j < t->nr ? n - j : t->nr, width = panel_cols(t, n - j);
        pack_panel(c, t, s, n0 + j, cols, width, k, tmp, dst);
        dst += units * width;
    }
}

/* Rows of A stored as columns: 16 at a time through tmp. */
static void pack_a_across(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t m0,
                          size_t m, size_t k, float *tmp, uint32_t *out)
{
    enum { ROWS = 32, STEP = 256 };
    size_t whole = k / per_unit(t), ld = gemm_units(t, k);
    uint32_t *mid = (uint32_t *)(void *)tmp;
    for (size_t u = 0; u < whole; u += STEP)
        for (size_t r = 0; r < m; r += ROWS) {
            size_t rows = m - r < ROWS ? m - r : ROWS, n = whole - u < STEP ? whole - u : STEP;
            pack_across(c, t, s, u * per_unit(t), m0 + r, rows, n, mid, ROWS);
            c->k->transpose(mid, ROWS, n, rows, out + r * ld + u, ld);
        }
}

/* Rows of attention heads are a cache line or two: a call for each costs more than the copy. */
static void copy_units(const void *src, uint32_t *dst, size_t units)
{
    enum { LINE = 16 };
    const unsigned char *from = src;
    size_t u = 0;
    for (; u + LINE <= units; u += LINE)
        memcpy(dst + u, from + u * 4, (size_t)LINE * 4);
    if (u < units) memcpy(dst + u, from + u * 4, (units - u) * 4);
}

void gemm_pack_a(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t m0, size_t m,
                 size_t k, float *tmp, void *out)
{
    size_t whole = k / per_unit(t), ld = gemm_units(t, k);
    uint32_t *dst = out;
    if (s.trans) pack_a_across(c, t, s, m0, m, k, tmp, dst);
    for (size_t r = 0; r < m; r++, dst += ld) {
        if (!s.trans && !t->bf16 && s.t == DEV_BF16)
            c->k->widen(at(s, m0 + r, 0), (float *)(void *)dst, k);
        else if (!s.trans)
            copy_units(at(s, m0 + r, 0), dst, whole);
        if (whole == ld) continue;
        memset(dst + whole, 0, (ld - whole) * 4);
        if (k % per_unit(t) != 0)
            dst[whole] = *(const uint16_t *)(s.trans ? at(s, k - 1, m0 + r) : at(s, m0 + r, k - 1));
    }
}
