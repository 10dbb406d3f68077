#include "compute/cpu/gemm.h"

#include <string.h>

static float load(struct dev_mat m, size_t r, size_t col)
{
    size_t i = r * m.ld + col;
    if (m.dtype == DEV_F32) return ((const float *)dev_mat_ptr(m))[i];
    uint32_t u = (uint32_t)((const uint16_t *)dev_mat_ptr(m))[i] << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void store(struct dev_mat m, size_t r, size_t col, float x)
{
    size_t i = r * m.ld + col;
    if (m.dtype == DEV_F32)
        ((float *)dev_mat_ptr(m))[i] = x;
    else
        cpu_kern_generic.narrow(&x, (uint16_t *)dev_mat_ptr(m) + i, 1);
}

void gemm_naive(struct dev_gemm g, struct dev_mat a, struct dev_mat b, struct dev_mat c)
{
    size_t depth = g.trans_a ? a.rows : a.cols;
    for (size_t i = 0; i < c.rows; i++)
        for (size_t j = 0; j < c.cols; j++) {
            float s = 0.0f;
            for (size_t k = 0; k < depth; k++)
                s += (g.trans_a ? load(a, k, i) : load(a, i, k)) *
                     (g.trans_b ? load(b, j, k) : load(b, k, j));
            s *= g.alpha;
            if (g.beta != 0.0f) s += g.beta * load(c, i, j);
            store(c, i, j, s);
        }
}
