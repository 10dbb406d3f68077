/*
 * compute/cpu/kern_body - the inner loops (see kern.h), written so that gcc and clang vectorise
 * them.
 *
 * Included once by each kern_<isa>.c, which defines KERN_ISA (a string) and KERN_TABLE (the name of
 * the table). Plain C on purpose: this is the reference implementation, too.
 */
#include "compute/cpu/kern.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

static inline float f32_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t bits_of_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* To bf16, nearest even. Rounding the bits of a NaN could make it infinite: keep it, quietly. */
static inline uint16_t narrow_f32(float x)
{
    uint32_t u = bits_of_f32(x);
    uint32_t r = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16;
    uint32_t quiet = (u >> 16) | 0x40u;
    return (uint16_t)((u & 0x7FFFFFFFu) > 0x7F800000u ? quiet : r);
}

/* e^x within 2 ulp; 0 below -87.3, e^88.3 above. Cephes' reduction and polynomial (expf). */
static inline float exp_f32(float x)
{
    const float round_magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float c = x > 88.3f ? 88.3f : x;
    float t = c * 1.44269504088896341f + round_magic;
    float n = t - round_magic;
    float r = (c - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float y = (p * r * r + r) + 1.0f;
    float scaled = y * f32_of_bits((bits_of_f32(t) - 0x4B400000u + 127u) << 23);
    return x < -87.3f ? 0.0f : scaled;
}

/* Add up 16 lanes, always in the same order. */
static inline float lanes_sum(float *s)
{
    for (int w = LANES / 2; w > 0; w /= 2)
        for (int l = 0; l < w; l++)
            s[l] += s[l + w];
    return s[0];
}

/* The vectors of this instruction set; 16 lanes are one or several of them. Handed on by address:
 * how a function takes one depends on the flags. */
typedef float vec_f32 __attribute__((vector_size(KERN_BYTES)));
typedef int32_t vec_i32 __attribute__((vector_size(KERN_BYTES)));
typedef uint32_t vec_u32 __attribute__((vector_size(KERN_BYTES)));
typedef uint16_t vec_u16 __attribute__((vector_size(KERN_BYTES / 2)));
enum { VEC_FLOATS = KERN_BYTES / 4, VECS = LANES / VEC_FLOATS };

/* The first n values, zeros behind them; only those to memory; zeros behind them again. */
static inline void vec_load(const float *x, size_t n, vec_f32 *v)
{
#ifdef VEC_MASK
    *v = VEC_LOAD_FIRST(x, n);
#else
    *v = (vec_f32){0};
    memcpy(v, x, n * sizeof *x);
#endif
}

static inline void vec_store(const vec_f32 *v, float *y, size_t n)
{
#ifdef VEC_MASK
    VEC_STORE_FIRST(y, n, *v);
#else
    memcpy(y, v, n * sizeof *y);
#endif
}

static inline void vec_store16(const vec_u16 *v, uint16_t *y, size_t n)
{
#ifdef VEC_MASK
    VEC_STORE16_FIRST(y, n, *v);
#else
    memcpy(y, v, n * sizeof *y);
#endif
}

static inline void vec_keep(vec_f32 *v, size_t n)
{
#ifdef VEC_MASK
    *v = VEC_KEEP_FIRST(n, *v);
#else
    memset((float *)v + n, 0, (VEC_FLOATS - n) * sizeof(float));
#endif
}

/* narrow_f32 of each. */
static inline void vec_narrow(const vec_f32 *x, vec_u16 *y)
{
    vec_u32 u = (vec_u32)*x, r = u + 0x7FFFu + ((u >> 16) & 1u);
    vec_u32 nan = (vec_u32)(*x != *x);
    *y = __builtin_convertvector(((r & ~nan) | ((u | 0x400000u) & nan)) >> 16, vec_u16);
}

/* exp_f32 of each. */
static inline void vec_exp(vec_f32 *x)
{
    const float round_magic = 12582912.0f;
    vec_i32 big = *x > 88.3f, some = *x >= -87.3f, nan = *x != *x;
    vec_f32 top = (vec_f32){0} + 88.3f;
    vec_f32 c = (vec_f32)(((vec_i32)*x & ~big) | ((vec_i32)top & big));
    vec_f32 t = c * 1.44269504088896341f + round_magic;
    vec_f32 n = t - round_magic;
    vec_f32 r = (c - n * 0.693359375f) - n * -2.12194440e-4f;
    vec_f32 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    vec_f32 y = (p * r * r + r) + 1.0f;
    y = y * (vec_f32)(((vec_u32)t - 0x4B400000u + 127u) << 23);
    *x = (vec_f32)((vec_i32)y & (some | nan));
}

static inline float vecs_sum(const vec_f32 s[VECS])
{
    float out[LANES];
    memcpy(out, s, sizeof out);
    return lanes_sum(out);
}

/* Rows come from memory in pieces, each too short for the processor to see where it goes on. */
static void kern_widen(const uint16_t *restrict x, float *restrict y, size_t n)
{
    enum { LINE = 32, AHEAD = 1536 };
    size_t i = 0;
    for (; i + LINE <= n; i += LINE) {
        __builtin_prefetch((const void *)((uintptr_t)(x + i) + AHEAD));
        for (size_t l = 0; l < LINE; l++)
            y[i + l] = f32_of_bits((uint32_t)x[i + l] << 16);
    }
    for (; i < n; i++)
        y[i] = f32_of_bits((uint32_t)x[i] << 16);
}

static void kern_narrow(const float *restrict x, uint16_t *restrict y, size_t n)
{
    size_t i = 0;
    vec_f32 v;
    vec_u16 h;
    for (; i + VEC_FLOATS <= n; i += VEC_FLOATS) {
        memcpy(&v, x + i, sizeof v);
        vec_narrow(&v, &h);
        memcpy(y + i, &h, sizeof h);
    }
    for (; i < n; i++)
        y[i] = narrow_f32(x[i]);
}

static void kern_scale(float a, const float *restrict x, float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a * x[i];
}

static void kern_axpy(float a, const float *restrict x, float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static float kern_dot(const float *restrict x, const float *restrict y, size_t n)
{
    float s[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            s[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i + l < n; l++)
        s[l] += x[i + l] * y[i + l];
    return lanes_sum(s);
}

static float kern_dot3(const float *restrict x, const float *restrict y, const float *restrict z,
                       size_t n)
{
    float s[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            s[l] += x[i + l] * y[i + l] * z[i + l];
    for (size_t l = 0; i + l < n; l++)
        s[l] += x[i + l] * y[i + l] * z[i + l];
    return lanes_sum(s);
}

static inline void vec_max(vec_f32 *top, const float *x)
{
    vec_f32 v;
    memcpy(&v, x, sizeof v);
    vec_i32 more = v > *top;
    *top = (vec_f32)(((vec_i32)v & more) | ((vec_i32)*top & ~more));
}

/* Two chains, so that one comparison need not wait for the last. */
static float kern_max(const float *x, size_t n)
{
    float s[2 * VEC_FLOATS], top = -INFINITY;
    size_t i = 0;
    vec_f32 v[2];
    for (int l = 0; l < 2 * VEC_FLOATS; l++)
        s[l] = -INFINITY;
    memcpy(v, s, sizeof v);
    for (; i + 2 * VEC_FLOATS <= n; i += 2 * VEC_FLOATS) {
        vec_max(&v[0], x + i);
        vec_max(&v[1], x + i + VEC_FLOATS);
    }
    memcpy(s, v, sizeof v);
    for (int l = 0; l < 2 * VEC_FLOATS; l++)
        top = s[l] > top ? s[l] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* v = exp(a x - b) of the first n, 0 behind them. */
static inline void exp_vec(const float *x, float a, float b, size_t n, vec_f32 *v)
{
    vec_load(x, n, v);
    *v = *v * a - b;
    vec_exp(v);
    if (n < VEC_FLOATS) vec_keep(v, n);
}

/* One vector's place in a row: how many values, which sum. */
struct vec_at {
    size_t i, n;
};

static inline void exp_sum_at(struct vec_at w, const float *x, float a, float b, float *y,
                              uint16_t *y16, vec_f32 *sum)
{
    vec_f32 v;
    vec_u16 h;
    exp_vec(x + w.i, a, b, w.n, &v);
    *sum += v;
    if (y) vec_store(&v, y + w.i, w.n);
    if (!y16) return;
    vec_narrow(&v, &h);
    vec_store16(&h, y16 + w.i, w.n);
}

static float kern_exp_sum(const float *x, float a, float b, float *y, uint16_t *y16, size_t n)
{
    vec_f32 s[VECS] = {{0}};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < VECS; l++)
            exp_sum_at((struct vec_at){i + l * VEC_FLOATS, VEC_FLOATS}, x, a, b, y, y16, &s[l]);
    for (size_t l = 0; i < n; i += VEC_FLOATS, l++)
        exp_sum_at((struct vec_at){i, n - i < VEC_FLOATS ? n - i : VEC_FLOATS}, x, a, b, y, y16,
                   &s[l]);
    return vecs_sum(s);
}

static inline void exp_dot_at(struct vec_at w, float *x, float a, float b, const float *z,
                              uint16_t *y16, vec_f32 *sum)
{
    vec_f32 v, u;
    vec_u16 h;
    exp_vec(x + w.i, a, b, w.n, &v);
    vec_load(z + w.i, w.n, &u);
    *sum += v * u;
    vec_store(&v, x + w.i, w.n);
    if (!y16) return;
    vec_narrow(&v, &h);
    vec_store16(&h, y16 + w.i, w.n);
}

static float kern_exp_dot(float *x, float a, float b, const float *z, uint16_t *y16, size_t n)
{
    vec_f32 s[VECS] = {{0}};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < VECS; l++)
            exp_dot_at((struct vec_at){i + l * VEC_FLOATS, VEC_FLOATS}, x, a, b, z, y16, &s[l]);
    for (size_t l = 0; i < n; i += VEC_FLOATS, l++)
        exp_dot_at((struct vec_at){i, n - i < VEC_FLOATS ? n - i : VEC_FLOATS}, x, a, b, z, y16,
                   &s[l]);
    return vecs_sum(s);
}

static void kern_norm(const float *restrict x, const float *restrict w, float rstd,
                      float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * rstd * w[i];
}

static void kern_norm_bwd(const float *restrict dy, const float *restrict x,
                          const float *restrict w, float rstd, float c, float *restrict dx,
                          size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += rstd * (dy[i] * w[i] - x[i] * c);
}

static void kern_mul_add(const float *restrict x, const float *restrict y, float a,
                         float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        z[i] += a * x[i] * y[i];
}

/* The angle is reduced in f64, so that positions up to 2^20 keep full accuracy; then the
 * polynomials of Cephes (sinf, cosf) on [-pi/4, pi/4]. */
static void kern_angles(float pos, const float *restrict inv_freq, float *restrict cs,
                        float *restrict sn, size_t n)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    for (size_t j = 0; j < n; j++) {
        double angle = (double)(pos * inv_freq[j]);
        double q = angle * 0.63661977236758134308;
        double k = (q + magic) - magic;
        float r = (float)(angle - k * 1.57079632679489661923);
        int32_t quadrant = (int32_t)k;
        float z = r * r;
        float c =
            ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z *
                z -
            0.5f * z + 1.0f;
        float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
        float c2 = quadrant & 1 ? s : c, s2 = quadrant & 1 ? c : s;
        cs[j] = (quadrant + 1) & 2 ? -c2 : c2;
        sn[j] = quadrant & 2 ? -s2 : s2;
    }
}

static void kern_rotate(float *restrict a, float *restrict b, const float *restrict cs,
                        const float *restrict sn, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float x = a[j], y = b[j];
        a[j] = x * cs[j] - y * sn[j];
        b[j] = y * cs[j] + x * sn[j];
    }
}

static void kern_layernorm(const float *restrict x, const float *restrict w,
                           const float *restrict b, float eps, float *restrict y, size_t n)
{
    float s[LANES] = {0}, q[LANES] = {0};
    size_t full = n / LANES * LANES;
    for (size_t i = 0; i < full; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            s[l] += x[i + l];
    for (size_t l = 0; full + l < n; l++)
        s[l] += x[full + l];
    float mean = lanes_sum(s) / (float)n;
    for (size_t i = 0; i < full; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            q[l] += (x[i + l] - mean) * (x[i + l] - mean);
    for (size_t l = 0; full + l < n; l++)
        q[l] += (x[full + l] - mean) * (x[full + l] - mean);
    float rstd = 1.0f / sqrtf(lanes_sum(q) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * rstd * w[i] + b[i];
}

/* Value and slope of an activation. */
struct act_at {
    float y, dy;
};

static inline struct act_at act_silu(float x)
{
    float s = 1.0f / (1.0f + exp_f32(-x));
    float y = x * s;
    return (struct act_at){y, s + y * (1.0f - s)};
}

/* The normal distribution by Abramowitz and Stegun 7.1.26, within 1.5e-7. */
static inline struct act_at act_gelu(float x)
{
    float z = fabsf(x) * 0.70710678118654752f, t = 1.0f / (1.0f + 0.3275911f * z);
    float e = exp_f32(-z * z);
    float tail = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t +
                  0.254829592f) *
                 t * e * 0.5f;
    float phi = x < 0.0f ? tail : 1.0f - tail;
    return (struct act_at){x * phi, phi + x * e * 0.39894228040143268f};
}

/* (1 + tanh z) / 2 is the logistic function of 2 z. */
static inline struct act_at act_gelu_tanh(float x)
{
    const float a = 1.5957691216057308f, b = 0.044715f; /* 2 sqrt(2 / pi) */
    float s = 1.0f / (1.0f + exp_f32(-a * (x + b * x * x * x)));
    return (struct act_at){x * s, s + x * s * (1.0f - s) * a * (1.0f + 3.0f * b * x * x)};
}

static inline struct act_at act_relu(float x)
{
    return (struct act_at){x > 0.0f ? x : 0.0f, x > 0.0f ? 1.0f : 0.0f};
}

/* Of the loops below one for each activation, so that the compiler may vectorise them: it does not
 * when `u` is asked in a loop's condition. */
#define KERN_ACT(name)                                                                             \
    static void kern_##name(const float *restrict g, const float *restrict u, float *restrict y,   \
                            size_t n)                                                              \
    {                                                                                              \
        if (!u)                                                                                    \
            for (size_t i = 0; i < n; i++)                                                         \
                y[i] = name(g[i]).y;                                                               \
        else                                                                                       \
            for (size_t i = 0; i < n; i++)                                                         \
                y[i] = name(g[i]).y * u[i];                                                        \
    }                                                                                              \
    static void kern_##name##_bwd(const float *restrict dy, const float *restrict g,               \
                                  const float *restrict u, float *restrict dg, float *restrict du, \
                                  size_t n)                                                        \
    {                                                                                              \
        if (!u) {                                                                                  \
            for (size_t i = 0; i < n; i++)                                                         \
                dg[i] = dy[i] * name(g[i]).dy;                                                     \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < n; i++) {                                                           \
            struct act_at a = name(g[i]);                                                          \
            float d = dy[i], ui = u[i];                                                            \
            du[i] = d * a.y;                                                                       \
            dg[i] = d * ui * a.dy;                                                                 \
        }                                                                                          \
    }
KERN_ACT(act_silu)
KERN_ACT(act_gelu)
KERN_ACT(act_gelu_tanh)
KERN_ACT(act_relu)

/* In the order of enum dev_act. */
static void kern_act(int act, const float *g, const float *u, float *y, size_t n)
{
    static void (*const of[])(const float *, const float *, float *, size_t) = {
        kern_act_silu, kern_act_gelu, kern_act_gelu_tanh, kern_act_relu};
    of[act](g, u, y, n);
}

static void kern_act_bwd(int act, const float *dy, const float *g, const float *u, float *dg,
                         float *du, size_t n)
{
    static void (*const of[])(const float *, const float *, const float *, float *, float *,
                              size_t) = {kern_act_silu_bwd, kern_act_gelu_bwd,
                                         kern_act_gelu_tanh_bwd, kern_act_relu_bwd};
    of[act](dy, g, u, dg, du, n);
}

static void kern_softmax_bwd(const float *restrict p, float a, float d, float *restrict dp,
                             uint16_t *restrict y16, size_t n)
{
    size_t i = 0;
    vec_f32 v, w;
    vec_u16 h;
    for (; y16 && i + VEC_FLOATS <= n; i += VEC_FLOATS) {
        memcpy(&v, p + i, sizeof v);
        memcpy(&w, dp + i, sizeof w);
        w = v * a * (w - d);
        memcpy(dp + i, &w, sizeof w);
        vec_narrow(&w, &h);
        memcpy(y16 + i, &h, sizeof h);
    }
    for (size_t j = i; j < n; j++)
        dp[j] = p[j] * a * (dp[j] - d);
    for (; y16 && i < n; i++)
        y16[i] = narrow_f32(dp[i]);
}

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014) over key + counter * golden ratio. */
static inline uint32_t dropout_hash(uint64_t key, uint64_t i)
{
    uint64_t z = key + i * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 40);
}

static void kern_dropout(const float *restrict x, uint64_t key, uint64_t base, uint32_t threshold,
                         float scale, float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = dropout_hash(key, base + i) >= threshold ? x[i] * scale : 0.0f;
}

#ifdef ZIP_LANES
/* After log2(lanes) rounds of interleaving vector i with vector i + lanes / 2, rows are columns. */
static inline __attribute__((always_inline)) void zip_round(const ZIP_VEC *in, ZIP_VEC *out)
{
#pragma GCC unroll 8
    for (int i = 0; i < ZIP_LANES / 2; i++) {
        out[2 * i] = ZIP_LO(in[i], in[i + ZIP_LANES / 2]);
        out[2 * i + 1] = ZIP_HI(in[i], in[i + ZIP_LANES / 2]);
    }
}

static inline void transpose_block(const unsigned char *src, size_t stride, uint32_t *dst,
                                   size_t ld_dst)
{
    ZIP_VEC v[ZIP_LANES], w[ZIP_LANES];
    const unsigned char *next = src + ZIP_LANES * stride;
#pragma GCC unroll 16
    for (int i = 0; i < ZIP_LANES; i++) {
        v[i] = ZIP_LOAD((const void *)(src + (size_t)i * stride));
        __builtin_prefetch(next + (size_t)i * stride);
    }
    zip_round(v, w);
    zip_round(w, v);
    zip_round(v, w);
    if (ZIP_LANES == 16) zip_round(w, v);
    const ZIP_VEC *out = ZIP_LANES == 16 ? v : w;
#pragma GCC unroll 16
    for (int i = 0; i < ZIP_LANES; i++)
        ZIP_STORE(dst + (size_t)i * ld_dst, out[i]);
}
#endif

static void kern_transpose(const void *restrict from, size_t ld, size_t rows, size_t cols,
                           uint32_t *restrict dst, size_t ld_dst)
{
    const unsigned char *src = from;
    size_t r = 0, full = 0, stride = ld * 4;
#ifdef ZIP_LANES
    full = cols / ZIP_LANES * ZIP_LANES;
    for (; r + ZIP_LANES <= rows; r += ZIP_LANES)
        for (size_t c = 0; c < full; c += ZIP_LANES)
            transpose_block(src + r * stride + c * 4, stride, dst + c * ld_dst + r, ld_dst);
#endif
    for (size_t i = 0; i < rows; i++)
        for (size_t c = i < r ? full : 0; c < cols; c++)
            memcpy(dst + c * ld_dst + i, src + i * stride + c * 4, 4);
}

/* A panel is narrower than what the processor fetches by itself: later rows come ahead. */
static void kern_pair(const uint16_t *restrict src, size_t ld, size_t rows, size_t cols,
                      uint32_t *restrict dst, size_t ld_dst)
{
    enum { AHEAD = 8 };
    for (size_t p = 0; p < rows / 2; p++) {
        const uint16_t *a = src + 2 * p * ld, *b = a + ld;
        uint32_t *d = dst + p * ld_dst;
        size_t j = 0;
        __builtin_prefetch((const void *)((uintptr_t)a + 2 * AHEAD * ld * sizeof *a));
        __builtin_prefetch((const void *)((uintptr_t)b + 2 * AHEAD * ld * sizeof *b));
#ifdef PAIR_LO
        for (; j + 2 * LANES <= cols; j += 2 * LANES) {
            ZIP_VEC va = ZIP_LOAD(a + j), vb = ZIP_LOAD(b + j);
            ZIP_STORE(d + j, PAIR_LO(va, vb));
            ZIP_STORE(d + j + LANES, PAIR_HI(va, vb));
        }
#endif
        for (; j < cols; j++)
            d[j] = a[j] | (uint32_t)b[j] << 16;
    }
}

static void kern_put(const float *restrict src, size_t ld, size_t rows, size_t cols, float alpha,
                     float beta, float *restrict dst, size_t ld_dst)
{
    for (size_t r = 0; r < rows; r++, src += ld, dst += ld_dst) {
        if (beta == 0.0f)
            for (size_t j = 0; j < cols; j++)
                dst[j] = alpha * src[j];
        else
            for (size_t j = 0; j < cols; j++)
                dst[j] = alpha * src[j] + beta * dst[j];
    }
}

static void kern_put_bf16(const float *restrict src, size_t ld, size_t rows, size_t cols,
                          float alpha, float beta, uint16_t *restrict dst, size_t ld_dst)
{
    for (size_t r = 0; r < rows; r++, src += ld, dst += ld_dst) {
        size_t j = 0;
        vec_f32 v;
        vec_u16 h;
        for (; beta == 0.0f && j + VEC_FLOATS <= cols; j += VEC_FLOATS) {
            memcpy(&v, src + j, sizeof v);
            v = v * alpha;
            vec_narrow(&v, &h);
            memcpy(dst + j, &h, sizeof h);
        }
        for (; beta == 0.0f && j < cols; j++)
            dst[j] = narrow_f32(alpha * src[j]);
        for (; j < cols; j++)
            dst[j] = narrow_f32(alpha * src[j] + beta * f32_of_bits((uint32_t)dst[j] << 16));
    }
}

static void kern_adamw(const struct kern_adamw *o, const float *restrict g, float *restrict p,
                       float *restrict m, float *restrict v, size_t n)
{
    const struct kern_adamw c = *o;
    for (size_t i = 0; i < n; i++) {
        float gi = g[i] * c.grad_scale;
        m[i] = c.beta1 * m[i] + (1.0f - c.beta1) * gi;
        v[i] = c.beta2 * v[i] + (1.0f - c.beta2) * (gi * gi);
        p[i] = p[i] * c.decay - c.lr_t * (m[i] / (sqrtf(v[i]) * c.inv_sqrt_bc2 + c.eps));
    }
}

const struct cpu_kern KERN_TABLE = {
    .isa = KERN_ISA,
    .widen = kern_widen,
    .narrow = kern_narrow,
    .scale = kern_scale,
    .axpy = kern_axpy,
    .dot = kern_dot,
    .dot3 = kern_dot3,
    .max = kern_max,
    .exp_sum = kern_exp_sum,
    .exp_dot = kern_exp_dot,
    .norm = kern_norm,
    .norm_bwd = kern_norm_bwd,
    .mul_add = kern_mul_add,
    .angles = kern_angles,
    .rotate = kern_rotate,
    .layernorm = kern_layernorm,
    .act = kern_act,
    .act_bwd = kern_act_bwd,
    .softmax_bwd = kern_softmax_bwd,
    .dropout = kern_dropout,
    .transpose = kern_transpose,
    .pair = kern_pair,
    .put = kern_put,
    .put_bf16 = kern_put_bf16,
    .adamw = kern_adamw,
};
