/* The optimizer's side: exact accumulation in fixed point, norms of all gradients, AdamW. */
#include "compute/cuda/kernels/kernel.cuh"

/* Two at once where the address allows. */
struct alignas(16) two_i64 {
    int64_t a, b;
};

static __device__ __forceinline__ void load_i64(const int64_t *p, bool wide, uint32_t n,
                                                int64_t v[KERNEL_CHUNK])
{
#pragma unroll
    for (uint32_t i = 0; i < KERNEL_CHUNK; i += 2) {
        if (wide && n == KERNEL_CHUNK) {
            two_i64 t = *(const two_i64 *)(p + i);
            v[i] = t.a, v[i + 1] = t.b;
        } else {
            v[i] = i < n ? p[i] : 0;
            v[i + 1] = i + 1 < n ? p[i + 1] : 0;
        }
    }
}

static unsigned value_blocks(uint32_t n)
{
    uint64_t per = (uint64_t)KERNEL_THREADS * KERNEL_CHUNK;
    return kernel_blocks((n + per - 1) / per);
}

static struct kernel_view values_view(const float *p, uint32_t n)
{
    struct kernel_mat m = {(void *)p, DEV_F32, 1, n, n};
    return kernel_view_of(m);
}

/* ---- fixed point */

/* g * 2^shift is exact in f64: only rint rounds. Sums wrap. All who find an overflow write 1. */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    accum_values(struct kernel_view g, double factor, int64_t *acc, bool wide, int32_t *overflow)
{
    kernel_each_chunk(1, g.m.cols, [&](uint32_t, uint32_t c, uint32_t n) {
        float x[KERNEL_CHUNK];
        int64_t a[KERNEL_CHUNK];
        bool over = false;
        struct kernel_raw rg = kernel_fetch(g, 0, c, n);
        load_i64(acc + c, wide, n, a);
        kernel_unpack(g, rg, x);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
            double v = rint((double)x[i] * factor);
            bool fits = fabs(v) < 4611686018427387904.0; /* 2^62; false for NaN */
            over = over || !fits;
            a[i] = (int64_t)((uint64_t)a[i] + (uint64_t)(int64_t)(fits ? v : 0.0));
        }
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i += 2) {
            if (wide && n == KERNEL_CHUNK) {
                two_i64 t = {a[i], a[i + 1]};
                *(two_i64 *)(acc + c + i) = t;
            } else {
                if (i < n) acc[c + i] = a[i];
                if (i + 1 < n) acc[c + i + 1] = a[i + 1];
            }
        }
        if (over) *overflow = 1;
    });
}

void kernel_accum_fixed(const float *g, int shift, int64_t *acc, int32_t *overflow, uint32_t n,
                        struct gpu_stream *s)
{
    if (n > 0)
        KERNEL_LAUNCH(accum_values, value_blocks(n), KERNEL_THREADS, 0, s, values_view(g, n),
                      ldexp(1.0, shift), acc, (uintptr_t)acc % 16 == 0, overflow);
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    from_fixed_values(const int64_t *acc, bool wide, double factor, double scale,
                      struct kernel_view g)
{
    kernel_each_chunk(1, g.m.cols, [&](uint32_t, uint32_t c, uint32_t n) {
        float x[KERNEL_CHUNK];
        int64_t a[KERNEL_CHUNK];
        load_i64(acc + c, wide, n, a);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            x[i] = (float)((double)a[i] * factor * scale);
        kernel_store(g, 0, c, n, x);
    });
}

void kernel_from_fixed(const int64_t *acc, int shift, double scale, float *g, uint32_t n,
                       struct gpu_stream *s)
{
    if (n > 0)
        KERNEL_LAUNCH(from_fixed_values, value_blocks(n), KERNEL_THREADS, 0, s, acc,
                      (uintptr_t)acc % 16 == 0, ldexp(1.0, -shift), scale, values_view(g, n));
}

/* ---- one number of a whole matrix: spans of a fixed length to parts, then the parts */
constexpr uint32_t SPAN = KERNEL_THREADS * 8; /* chunks */

struct absmax_op {
    static __device__ __forceinline__ double of(float x)
    {
        float a = fabsf(x);
        return a >= 0.0f ? (double)a : (double)INFINITY; /* NaN */
    }
    static __device__ __forceinline__ double join(double a, double b)
    {
        return b > a ? b : a;
    }
};
struct sumsq_op {
    static __device__ __forceinline__ double of(float x)
    {
        return (double)x * (double)x;
    }
    static __device__ __forceinline__ double join(double a, double b)
    {
        return a + b;
    }
};

template <class OP> static __device__ __forceinline__ double block_join(double v, double *red)
{
#pragma unroll
    for (int w = 16; w > 0; w /= 2)
        v = OP::join(v, __shfl_xor_sync(KERNEL_ALL, v, w));
    if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0.0;
    for (uint32_t w = 0; w < KERNEL_THREADS / 32; w++)
        v = OP::join(v, red[w]);
    return v;
}

/* Block b: chunks [b SPAN, (b + 1) SPAN) of the matrix, row by row. */
template <class OP>
static __global__ void __launch_bounds__(KERNEL_THREADS)
    reduce_spans(struct kernel_view g, double *part)
{
    double *red = (double *)kernel_shared(), sum = 0.0;
    uint32_t per = (g.m.cols + KERNEL_CHUNK - 1) / KERNEL_CHUNK, total = g.m.rows * per;
    uint32_t from = blockIdx.x * SPAN, end = total - from < SPAN ? total : from + SPAN;
    for (uint32_t i = from + threadIdx.x; i < end; i += KERNEL_THREADS) {
        uint32_t r = i / per, c = (i - r * per) * KERNEL_CHUNK;
        uint32_t n = g.m.cols - c < KERNEL_CHUNK ? g.m.cols - c : KERNEL_CHUNK;
        float v[KERNEL_CHUNK];
        kernel_load(g, r, c, n, v);
#pragma unroll
        for (uint32_t k = 0; k < KERNEL_CHUNK; k++)
            sum = OP::join(sum, OP::of(v[k]));
    }
    sum = block_join<OP>(sum, red);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

template <class OP, class T>
static __global__ void __launch_bounds__(KERNEL_THREADS)
    reduce_parts(const double *part, uint32_t n, T *out)
{
    double *red = (double *)kernel_shared(), sum = 0.0;
    for (uint32_t i = threadIdx.x; i < n; i += KERNEL_THREADS)
        sum = OP::join(sum, part[i]);
    sum = block_join<OP>(sum, red);
    if (threadIdx.x == 0) *out = (T)sum;
}

static uint64_t spans_of(uint32_t rows, uint32_t cols)
{
    uint64_t chunks = (uint64_t)rows * ((cols + KERNEL_CHUNK - 1) / KERNEL_CHUNK);
    return (chunks + SPAN - 1) / SPAN;
}

size_t kernel_reduce_scratch(uint32_t rows, uint32_t cols)
{
    return spans_of(rows, cols) * sizeof(double);
}

template <class OP, class T>
static void launch_reduce(struct kernel_mat g, T *out, void *scratch, struct gpu_stream *s)
{
    unsigned n = kernel_chunk_blocks(s, g.rows, g.cols) ? (unsigned)spans_of(g.rows, g.cols) : 0;
    size_t shared = KERNEL_THREADS / 32 * sizeof(double);
    if (n > 0)
        KERNEL_LAUNCH(reduce_spans<OP>, n, KERNEL_THREADS, shared, s, kernel_view_of(g),
                      (double *)scratch);
    KERNEL_LAUNCH((reduce_parts<OP, T>), 1, KERNEL_THREADS, shared, s, (const double *)scratch, n,
                  out);
}

void kernel_absmax(struct kernel_mat g, float *out, void *scratch, struct gpu_stream *s)
{
    launch_reduce<absmax_op, float>(g, out, scratch, s);
}

void kernel_sumsq(struct kernel_mat g, double *out, void *scratch, struct gpu_stream *s)
{
    launch_reduce<sumsq_op, double>(g, out, scratch, s);
}

/* ---- AdamW */
struct adamw_step {
    float lr_t, decay, beta1, beta2, eps, grad_scale, inv_sqrt_bc2;
};

static __global__ void __launch_bounds__(KERNEL_THREADS)
    adamw_values(struct adamw_step o, struct kernel_view g, struct kernel_view p,
                 struct kernel_view m, struct kernel_view v)
{
    kernel_each_chunk(1, g.m.cols, [&](uint32_t, uint32_t c, uint32_t n) {
        float gs[KERNEL_CHUNK], ps[KERNEL_CHUNK], ms[KERNEL_CHUNK], vs[KERNEL_CHUNK];
        struct kernel_raw rg = kernel_fetch(g, 0, c, n), rp = kernel_fetch(p, 0, c, n);
        struct kernel_raw rm = kernel_fetch(m, 0, c, n), rv = kernel_fetch(v, 0, c, n);
        kernel_unpack(g, rg, gs);
        kernel_unpack(p, rp, ps);
        kernel_unpack(m, rm, ms);
        kernel_unpack(v, rv, vs);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
            float x = gs[i] * o.grad_scale;
            ms[i] = o.beta1 * ms[i] + (1.0f - o.beta1) * x;
            vs[i] = o.beta2 * vs[i] + (1.0f - o.beta2) * (x * x);
            ps[i] = ps[i] * o.decay - o.lr_t * (ms[i] / (sqrtf(vs[i]) * o.inv_sqrt_bc2 + o.eps));
        }
        kernel_store(p, 0, c, n, ps);
        kernel_store(m, 0, c, n, ms);
        kernel_store(v, 0, c, n, vs);
    });
}

void kernel_adamw(const struct dev_adamw *o, const float *g, float *p, float *m, float *v,
                  uint32_t n, struct gpu_stream *s)
{
    double bc1 = 1.0 - pow((double)o->beta1, (double)o->step);
    double bc2 = 1.0 - pow((double)o->beta2, (double)o->step);
    struct adamw_step k;
    k.lr_t = (float)((double)o->lr / bc1);
    k.decay = (float)(1.0 - (double)o->lr * (double)o->weight_decay);
    k.beta1 = o->beta1;
    k.beta2 = o->beta2;
    k.eps = o->eps;
    k.grad_scale = o->grad_scale;
    k.inv_sqrt_bc2 = (float)(1.0 / sqrt(bc2));
    if (n > 0)
        KERNEL_LAUNCH(adamw_values, value_blocks(n), KERNEL_THREADS, 0, s, k, values_view(g, n),
                      values_view(p, n), values_view(m, n), values_view(v, n));
}
