/* Ops on single values of activations and weights: rotary positions, activations, dropout,
 * dequantising, scaling of columns, ratios. */
#include "compute/cuda/kernels/kernel.cuh"

/* ---- rotary positions: each row's angles once, for all heads */

/* cos and sin of pos * inv_freq, as the cpu device has them: reduced in f64, then the polynomials
 * of Cephes (sinf, cosf) on [-pi/4, pi/4]. */
static __device__ __forceinline__ void angle_of(float pos, float inv_freq, float *cs, float *sn)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    double angle = (double)(pos * inv_freq);
    double k = (angle * 0.63661977236758134308 + magic) - magic;
    float r = (float)(angle - k * 1.57079632679489661923);
    int32_t quadrant = (int32_t)k;
    float z = r * r;
    float c =
        ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
        0.5f * z + 1.0f;
    float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
    float c2 = quadrant & 1 ? s : c, s2 = quadrant & 1 ? c : s;
    *cs = (quadrant + 1) & 2 ? -c2 : c2;
    *sn = quadrant & 2 ? -s2 : s2;
}

/* Pairs (j, j + half) of one head: `width` neighbours. */
static __device__ __forceinline__ void rotate(const struct kernel_view &x, uint32_t row,
                                              uint32_t col, uint32_t half, uint32_t width,
                                              const float *cs, const float *sn)
{
    float a[KERNEL_CHUNK], b[KERNEL_CHUNK], p[KERNEL_CHUNK], q[KERNEL_CHUNK];
    struct kernel_raw ra = kernel_fetch(x, row, col, width);
    struct kernel_raw rb = kernel_fetch(x, row, col + half, width);
    kernel_unpack(x, ra, a);
    kernel_unpack(x, rb, b);
#pragma unroll
    for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
        float c = i < width ? cs[i] : 0.0f, s = i < width ? sn[i] : 0.0f;
        p[i] = a[i] * c - b[i] * s;
        q[i] = b[i] * c + a[i] * s;
    }
    kernel_store(x, row, col, width, p);
    kernel_store(x, row, col + half, width, q);
}

/* A block turns `team` rows at a time. Shared: cos [team, half], sin [team, half]. */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    rope_rows(struct kernel_view x, const int32_t *pos, const float *inv_freq, uint32_t heads,
              uint32_t half, uint32_t team, uint32_t width, bool inverse)
{
    float *cs = (float *)kernel_shared(), *sn = cs + team * half;
    uint32_t per_head = half / width, per_row = heads * per_head;
    for (uint32_t r0 = blockIdx.x * team; r0 < x.m.rows; r0 += gridDim.x * team) {
        uint32_t n = x.m.rows - r0 < team ? x.m.rows - r0 : team;
        for (uint32_t i = threadIdx.x; i < n * half; i += blockDim.x) {
            angle_of((float)pos[r0 + i / half], inv_freq[i % half], &cs[i], &sn[i]);
            if (inverse) sn[i] = -sn[i];
        }
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < n * per_row; i += blockDim.x) {
            uint32_t r = i / per_row, head = (i - r * per_row) / per_head;
            uint32_t j = (i - r * per_row - head * per_head) * width;
            rotate(x, r0 + r, head * 2 * half + j, half, width, cs + r * half + j,
                   sn + r * half + j);
        }
        __syncthreads();
    }
}

void kernel_rope(struct kernel_mat x, uint32_t heads, const int32_t *pos, const float *inv_freq,
                 bool inverse, struct gpu_stream *s)
{
    struct kernel_view v = kernel_view_of(x);
    if (x.rows == 0 || x.cols == 0) return;
    uint32_t half = x.cols / heads / 2, width = v.wide && half % KERNEL_CHUNK == 0 ? 8 : 1;
    uint32_t team = 4 * KERNEL_THREADS / (heads * half / width);
    team = team < 1 ? 1 : team > 8 ? 8 : team;
    KERNEL_LAUNCH(rope_rows, kernel_blocks((x.rows + team - 1) / team), KERNEL_THREADS,
                  2 * (size_t)team * half * sizeof(float), s, v, pos, inv_freq, heads, half, team,
                  width, inverse);
}

/* ---- activations */
struct act_at {
    float y, dy;
};

/* Formulas of the cpu device (kern_body.h there). */
template <int ACT> static __device__ __forceinline__ struct act_at act_of(float x)
{
    struct act_at r;
    if (ACT == DEV_SILU) {
        float s = kernel_divide(1.0f, 1.0f + kernel_exp(-x));
        r.y = x * s;
        r.dy = s + r.y * (1.0f - s);
    } else if (ACT == DEV_GELU) { /* Abramowitz and Stegun 7.1.26 */
        float z = fabsf(x) * 0.70710678118654752f;
        float t = kernel_divide(1.0f, 1.0f + 0.3275911f * z), e = kernel_exp(-z * z);
        float tail =
            ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t +
             0.254829592f) *
            t * e * 0.5f;
        float phi = x < 0.0f ? tail : 1.0f - tail;
        r.y = x * phi;
        r.dy = phi + x * e * 0.39894228040143268f;
    } else if (ACT == DEV_GELU_TANH) { /* (1 + tanh z) / 2 is the logistic function of 2 z */
        const float a = 1.5957691216057308f, b = 0.044715f;
        float s = kernel_divide(1.0f, 1.0f + kernel_exp(-a * (x + b * x * x * x)));
        r.y = x * s;
        r.dy = s + r.y * (1.0f - s) * a * (1.0f + 3.0f * b * x * x);
    } else {
        r.y = x > 0.0f ? x : 0.0f;
        r.dy = x > 0.0f ? 1.0f : 0.0f;
    }
    return r;
}

/* x with the second half's chunks as far aligned as the first's. */
static struct kernel_view gated_view(struct kernel_mat x, uint32_t f)
{
    struct kernel_view v = kernel_view_of(x);
    v.wide = v.wide && (x.cols == f || f % KERNEL_CHUNK == 0);
    return v;
}

template <int ACT>
static __global__ void __launch_bounds__(KERNEL_THREADS, 4)
    act_rows(struct kernel_view x, struct kernel_view y)
{
    kernel_each_chunk(y.m.rows, y.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        float g[KERNEL_CHUNK], u[KERNEL_CHUNK];
        bool gated = x.m.cols != y.m.cols;
        struct kernel_raw rg = kernel_fetch(x, r, c, n), ru = rg;
        if (gated) ru = kernel_fetch(x, r, y.m.cols + c, n);
        kernel_unpack(x, rg, g);
        kernel_unpack(x, ru, u);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
            g[i] = act_of<ACT>(g[i]).y;
            if (gated) g[i] *= u[i];
        }
        kernel_store(y, r, c, n, g);
    });
}

template <int ACT>
static __global__ void __launch_bounds__(KERNEL_THREADS, 4)
    act_bwd_rows(struct kernel_view dy, struct kernel_view x, struct kernel_view dx,
                 struct kernel_view y)
{
    kernel_each_chunk(dy.m.rows, dy.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        float d[KERNEL_CHUNK], g[KERNEL_CHUNK], u[KERNEL_CHUNK];
        uint32_t f = dy.m.cols;
        bool gated = x.m.cols != f;
        struct kernel_raw rd = kernel_fetch(dy, r, c, n), rg = kernel_fetch(x, r, c, n), ru = rg;
        if (gated) ru = kernel_fetch(x, r, f + c, n);
        kernel_unpack(dy, rd, d);
        kernel_unpack(x, rg, g);
        kernel_unpack(x, ru, u);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
            struct act_at a = act_of<ACT>(g[i]);
            float from = u[i];
            g[i] = gated ? d[i] * from * a.dy : d[i] * a.dy;
            u[i] = d[i] * a.y;
            d[i] = gated ? a.y * from : a.y;
        }
        kernel_store(dx, r, c, n, g);
        if (gated) kernel_store(dx, r, f + c, n, u);
        if (y.m.p) kernel_store(y, r, c, n, d);
    });
}

void kernel_act(enum dev_act act, struct kernel_mat x, struct kernel_mat y, struct gpu_stream *s)
{
    struct kernel_view vx = gated_view(x, y.cols), vy = kernel_view_of(y);
    unsigned n = kernel_chunk_blocks(s, y.rows, y.cols);
    if (n == 0) return;
    switch (act) {
    case DEV_SILU:
        KERNEL_LAUNCH(act_rows<DEV_SILU>, n, KERNEL_THREADS, 0, s, vx, vy);
        break;
    case DEV_GELU:
        KERNEL_LAUNCH(act_rows<DEV_GELU>, n, KERNEL_THREADS, 0, s, vx, vy);
        break;
    case DEV_GELU_TANH:
        KERNEL_LAUNCH(act_rows<DEV_GELU_TANH>, n, KERNEL_THREADS, 0, s, vx, vy);
        break;
    default:
        KERNEL_LAUNCH(act_rows<DEV_RELU>, n, KERNEL_THREADS, 0, s, vx, vy);
    }
}

void kernel_act_bwd(enum dev_act act, struct kernel_mat dy, struct kernel_mat x,
                    struct kernel_mat dx, struct kernel_mat y, struct gpu_stream *s)
{
    struct kernel_view vd = kernel_view_of(dy), vx = gated_view(x, dy.cols);
    struct kernel_view vo = gated_view(dx, dy.cols), vy = kernel_view_of(y);
    unsigned n = kernel_chunk_blocks(s, dy.rows, dy.cols);
    if (n == 0) return;
    switch (act) {
    case DEV_SILU:
        KERNEL_LAUNCH(act_bwd_rows<DEV_SILU>, n, KERNEL_THREADS, 0, s, vd, vx, vo, vy);
        break;
    case DEV_GELU:
        KERNEL_LAUNCH(act_bwd_rows<DEV_GELU>, n, KERNEL_THREADS, 0, s, vd, vx, vo, vy);
        break;
    case DEV_GELU_TANH:
        KERNEL_LAUNCH(act_bwd_rows<DEV_GELU_TANH>, n, KERNEL_THREADS, 0, s, vd, vx, vo, vy);
        break;
    default:
        KERNEL_LAUNCH(act_bwd_rows<DEV_RELU>, n, KERNEL_THREADS, 0, s, vd, vx, vo, vy);
    }
}

/* ---- dropout: the finaliser of splitmix64 over key + counter * golden ratio */
static __device__ __forceinline__ bool dropout_keeps(uint64_t key, uint64_t i, uint32_t threshold)
{
    uint64_t z = key + i * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 40) >= threshold;
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    dropout_rows(struct kernel_view x, uint64_t key, uint64_t base, uint32_t threshold, float scale,
                 struct kernel_view y)
{
    kernel_each_chunk(x.m.rows, x.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        float v[KERNEL_CHUNK];
        uint64_t at = base + (uint64_t)r * x.m.cols + c;
        kernel_load(x, r, c, n, v);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            v[i] = dropout_keeps(key, at + i, threshold) ? v[i] * scale : 0.0f;
        kernel_store(y, r, c, n, v);
    });
}

void kernel_dropout(struct kernel_mat x, float p, uint64_t key, uint64_t base, struct kernel_mat y,
                    struct gpu_stream *s)
{
    unsigned n = kernel_chunk_blocks(s, x.rows, x.cols);
    if (n > 0)
        KERNEL_LAUNCH(dropout_rows, n, KERNEL_THREADS, 0, s, kernel_view_of(x), key, base,
                      (uint32_t)lrintf(p * 16777216.0f), 1.0f / (1.0f - p), kernel_view_of(y));
}

/* ---- dequantising */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    int8_rows(const int8_t *codes, size_t ld, bool wide, const float *scales, struct kernel_view to)
{
    kernel_each_chunk(to.m.rows, to.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        const int8_t *q = codes + r * ld + c;
        float scale = scales[r], v[KERNEL_CHUNK];
        uint2 u = {0, 0};
        if (wide && n == KERNEL_CHUNK) {
            u = *(const uint2 *)q;
        } else {
            for (uint32_t i = 0; i < n; i++) {
                uint32_t b = (uint32_t)(uint8_t)q[i] << (8 * (i % 4));
                if (i < 4)
                    u.x |= b;
                else
                    u.y |= b;
            }
        }
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            v[i] = (float)(int8_t)((i < 4 ? u.x : u.y) >> (8 * (i % 4))) * scale;
        kernel_store(to, r, c, n, v);
    });
}

/* Shared: the table. */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    nf4_rows(const uint8_t *codes, bool wide, const uint8_t *scales, const float *outer,
             const float *table, struct kernel_view to)
{
    float *book = (float *)kernel_shared(), *map = book + DEV_NF4_BOOK;
    for (uint32_t i = threadIdx.x; i < DEV_NF4_TABLE; i += blockDim.x)
        book[i] = table[i];
    __syncthreads();
    kernel_each_chunk(to.m.rows, to.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        size_t at = (size_t)r * to.m.cols + c;
        float v[KERNEL_CHUNK];
        uint32_t word = wide ? *(const uint32_t *)(codes + at / 2) : 0;
        float scale = 0.0f;
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
            size_t e = at + i, b = e / DEV_NF4_BLOCK;
            if (i >= n) {
                v[i] = 0.0f;
                continue;
            }
            if (i == 0 || (!wide && e % DEV_NF4_BLOCK == 0))
                scale = map[scales[b]] * outer[b / DEV_NF4_OUTER] + map[DEV_NF4_MAP];
            uint32_t byte = wide ? word >> (8 * (i / 2)) & 255u : codes[e / 2];
            v[i] = book[e % 2 ? byte & 15u : byte >> 4] * scale;
        }
        kernel_store(to, r, c, n, v);
    });
}

void kernel_dequant_int8(struct kernel_mat codes, const float *scales, struct kernel_mat out,
                         struct gpu_stream *s)
{
    unsigned n = kernel_chunk_blocks(s, out.rows, out.cols);
    bool wide = (uintptr_t)codes.p % 8 == 0 && (codes.ld % 8 == 0 || codes.rows == 1);
    if (n > 0)
        KERNEL_LAUNCH(int8_rows, n, KERNEL_THREADS, 0, s, (const int8_t *)codes.p, (size_t)codes.ld,
                      wide, scales, kernel_view_of(out));
}

void kernel_dequant_nf4(const uint8_t *codes, const uint8_t *scales, const float *outer,
                        const float *table, struct kernel_mat out, struct gpu_stream *s)
{
    unsigned n = kernel_chunk_blocks(s, out.rows, out.cols);
    bool wide = (uintptr_t)codes % 4 == 0 && out.cols % KERNEL_CHUNK == 0;
    if (n > 0)
        KERNEL_LAUNCH(nf4_rows, n, KERNEL_THREADS, DEV_NF4_TABLE * sizeof(float), s, codes, wide,
                      scales, outer, table, kernel_view_of(out));
}

/* ---- columns */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    scale_cols_rows(struct kernel_view x, struct kernel_view scales, struct kernel_view y)
{
    kernel_each_chunk(x.m.rows, x.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        float v[KERNEL_CHUNK], k[KERNEL_CHUNK];
        kernel_load(x, r, c, n, v);
        kernel_load(scales, 0, c, n, k);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            v[i] *= k[i];
        kernel_store(y, r, c, n, v);
    });
}

void kernel_scale_cols(struct kernel_mat x, const float *scales, struct kernel_mat y,
                       struct gpu_stream *s)
{
    unsigned n = kernel_chunk_blocks(s, x.rows, x.cols);
    struct kernel_mat row = {(void *)scales, DEV_F32, 1, x.cols, x.cols};
    if (n > 0)
        KERNEL_LAUNCH(scale_cols_rows, n, KERNEL_THREADS, 0, s, kernel_view_of(x),
                      kernel_view_of(row), kernel_view_of(y));
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    ratio_values(const float *a, const float *b, float *out, uint32_t n)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x)
        out[i] = b[i] != 0.0f ? a[i] / b[i] : 0.0f;
}

void kernel_ratio(const float *a, const float *b, float *out, uint32_t n, struct gpu_stream *s)
{
    if (n > 0)
        KERNEL_LAUNCH(ratio_values,
                      kernel_blocks(((uint64_t)n + KERNEL_THREADS - 1) / KERNEL_THREADS),
                      KERNEL_THREADS, 0, s, a, b, out, n);
}
