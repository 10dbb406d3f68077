/*
 * The optimizer's side: exact accumulation in fixed point, norms, AdamW.
 */
#include "compute/cpu/cpu.h"

#include <math.h>

/* Values a thread takes at a time; no result depends on it. */
enum { BLOCK = 4096 };

static uint32_t blocks_of(uint32_t n)
{
    return n / BLOCK + (n % BLOCK != 0);
}

static size_t block_end(uint32_t block, uint32_t n)
{
    size_t end = ((size_t)block + 1) * BLOCK;
    return end < n ? end : n;
}

/* One thread: `overflow` is one flag. g * 2^shift is exact in f64, so only rint rounds. */
bool cpu_accum_fixed(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const float *g = dev_mat_ptr(call->m[0]);
    uint64_t *acc = dev_mat_ptr(call->m[1]); /* sums wrap instead of being undefined */
    double factor = ldexp(1.0, call->fixed.shift);
    bool overflow = false;
    (void)c;
    (void)e;
    for (size_t i = 0; i < call->m[0].cols; i++) {
        double v = rint((double)g[i] * factor);
        bool fits = fabs(v) < 0x1p62; /* false for NaN */
        acc[i] += (uint64_t)(int64_t)(fits ? v : 0.0);
        overflow |= !fits;
    }
    if (overflow) *(int32_t *)dev_mat_ptr(call->m[2]) = 1;
    return true;
}

static void from_fixed_blocks(const struct cpu *c, const struct dev_call *call, uint32_t b0,
                              uint32_t b1, float *tmp)
{
    const int64_t *acc = dev_mat_ptr(call->m[0]);
    float *g = dev_mat_ptr(call->m[1]);
    double factor = ldexp(1.0, -call->fixed.shift), scale = call->fixed.scale;
    (void)c;
    (void)tmp;
    if (b0 == b1) return;
    size_t end = block_end(b1 - 1, call->m[0].cols);
    for (size_t i = (size_t)b0 * BLOCK; i < end; i++)
        g[i] = (float)((double)acc[i] * factor * scale);
}

bool cpu_from_fixed(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, from_fixed_blocks, call, blocks_of(call->m[0].cols), 0, e);
}

bool cpu_absmax(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat g = call->m[0];
    float top = 0.0f;
    (void)c;
    (void)e;
    for (uint32_t r = 0; r < g.rows; r++) {
        const float *x = dev_mat_row(g, r);
        for (size_t j = 0; j < g.cols; j++) {
            float a = fabsf(x[j]);
            a = a >= 0.0f ? a : INFINITY; /* NaN */
            top = a > top ? a : top;
        }
    }
    *call->host_f32 = top;
    return true;
}

bool cpu_sumsq(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat g = call->m[0];
    double s = 0.0;
    (void)c;
    (void)e;
    for (uint32_t r = 0; r < g.rows; r++) {
        const float *x = dev_mat_row(g, r);
        for (size_t j = 0; j < g.cols; j++)
            s += (double)x[j] * (double)x[j];
    }
    *call->host_f64 = s;
    return true;
}

static void adamw_blocks(const struct cpu *c, const struct dev_call *call, uint32_t b0, uint32_t b1,
                         float *tmp)
{
    const struct dev_adamw *o = &call->adamw;
    double bc1 = 1.0 - pow((double)o->beta1, (double)o->step);
    double bc2 = 1.0 - pow((double)o->beta2, (double)o->step);
    struct kern_adamw k = {
        .lr_t = (float)((double)o->lr / bc1),
        .decay = (float)(1.0 - (double)o->lr * (double)o->weight_decay),
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
        .grad_scale = o->grad_scale,
        .inv_sqrt_bc2 = (float)(1.0 / sqrt(bc2)),
    };
    const float *g = dev_mat_ptr(call->m[0]);
    float *p = dev_mat_ptr(call->m[1]), *m = dev_mat_ptr(call->m[2]), *v = dev_mat_ptr(call->m[3]);
    (void)tmp;
    if (b0 == b1) return;
    size_t i = (size_t)b0 * BLOCK;
    c->k->adamw(&k, g + i, p + i, m + i, v + i, block_end(b1 - 1, call->m[0].cols) - i);
}

bool cpu_adamw(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return cpu_rows(c, adamw_blocks, call, blocks_of(call->m[0].cols), 0, e);
}
