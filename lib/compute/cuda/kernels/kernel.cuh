/*
 * compute/cuda/kernels/kernel - what the .cu files share: one source for nvcc and for the CPU.
 *
 * nvcc sees CUDA; any other C++ compiler must be told by KERNEL_SHIM what stands in for it (tests:
 * support/cuda_shim.h). Rules that make both the same:
 *
 *     - shared memory is what the launch asks for (kernel_shared): its bounds can be checked
 *     - warps are whole and take part with a full mask; no thread leaves before a barrier
 *     - compiled with -fmad=false: a fused multiply-add stands where fmaf is written, so results
 *       are the same bits on both, but for kernel_exp, kernel_divide and the sum inside mma
 *
 * Work on matrices goes in chunks of 8 neighbours of a row: one 16-byte access in bf16, two in f32,
 * where address and row length allow (`wide`), else value by value.
 */
#pragma once
#include "compute/cuda/kernels.h"

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define KERNEL_LAUNCH(kernel, grid, block, shared, s, ...)                                         \
    do {                                                                                           \
        kernel<<<grid, block, shared, (cudaStream_t)gpu_stream_native(s)>>>(__VA_ARGS__);          \
        gpu_launched(s, #kernel);                                                                  \
    } while (0)
#else
#include KERNEL_SHIM
#define KERNEL_LAUNCH(kernel, grid, block, shared, s, ...)                                         \
    shim_launch(s, #kernel, kernel, grid, block, shared, __VA_ARGS__)
#endif

constexpr uint32_t KERNEL_CHUNK = 8, KERNEL_THREADS = 256;
#define KERNEL_ALL 0xFFFFFFFFu

/* ---- host side of a launch */
#ifdef __CUDACC__
/* A kernel may use more than 48 KB of shared memory only after asking. */
template <class K>
static inline bool kernel_allow_shared(struct gpu_stream *s, K kernel, size_t bytes)
{
    if (bytes <= 48 * 1024 ||
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes) ==
            cudaSuccess)
        return true;
    gpu_stream_fail(s, "shared memory", "this GPU has less than the kernel needs");
    return false;
}
static inline void kernel_refuse(struct gpu_stream *s, const char *kernel, const char *why)
{
    gpu_stream_fail(s, kernel, why);
}
#else
template <class K> static inline bool kernel_allow_shared(struct gpu_stream *, K, size_t)
{
    return true;
}
static inline void kernel_refuse(struct gpu_stream *, const char *, const char *why)
{
    shim_die(why);
}
#endif

/* Most blocks of a launch whose blocks stride: several times what is at work at once, so that the
 * last ones to end leave little idle. No result depends on it. */
unsigned kernel_most_blocks(void);

static inline unsigned kernel_blocks(uint64_t work)
{
    uint64_t most = kernel_most_blocks();
    return (unsigned)(work < 1 ? 1 : work < most ? work : most);
}

static inline bool kernel_is_wide(struct kernel_mat m)
{
    size_t row = (size_t)m.ld * (m.t == DEV_BF16 ? 2 : 4);
    return (uintptr_t)m.p % 16 == 0 && (row % 16 == 0 || m.rows <= 1);
}

/* A matrix as kernels take it. */
struct kernel_view {
    struct kernel_mat m;
    bool wide;
};
static inline struct kernel_view kernel_view_of(struct kernel_mat m)
{
    return {m, kernel_is_wide(m)};
}

/* Blocks for the chunks of a matrix, 0: nothing to do. Kernels count them in 32 bits and stride at
 * most 2^31 further. */
static inline unsigned kernel_chunk_blocks(struct gpu_stream *s, uint64_t rows, uint64_t cols)
{
    uint64_t chunks = rows * ((cols + KERNEL_CHUNK - 1) / KERNEL_CHUNK);
    if (chunks == 0) return 0;
    if (chunks <= 0x7FFFFFFF) return kernel_blocks((chunks + KERNEL_THREADS - 1) / KERNEL_THREADS);
    kernel_refuse(s, "chunks", "a matrix of more than 2^34 values");
    return 0;
}

/* ---- device */
#ifdef __CUDACC__
static __device__ __forceinline__ unsigned char *kernel_shared(void)
{
    extern __shared__ __align__(16) unsigned char kernel_smem[];
    return kernel_smem;
}
static __device__ __forceinline__ float kernel_exp(float x)
{
    return __expf(x);
}
static __device__ __forceinline__ float kernel_divide(float a, float b)
{
    return __fdividef(a, b);
}
static __device__ __forceinline__ void kernel_stop(void)
{
    __trap();
}
#else
static inline unsigned char *kernel_shared(void)
{
    return (unsigned char *)shim_shared();
}
static inline float kernel_exp(float x)
{
    return expf(x);
}
static inline float kernel_divide(float a, float b)
{
    return a / b;
}
static inline void kernel_stop(void)
{
    shim_die("a kernel met a broken promise (row index out of range)");
}
#endif

static __device__ __forceinline__ float kernel_f32(uint32_t bits)
{
#ifdef __CUDACC__
    return __uint_as_float(bits);
#else
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
#endif
}

static __device__ __forceinline__ uint32_t kernel_bits(float f)
{
#ifdef __CUDACC__
    return __float_as_uint(f);
#else
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
#endif
}

/* Two floats to bf16, nearest even, NaN stays NaN; `lo` in the low half. */
static __device__ __forceinline__ uint32_t kernel_pack(float lo, float hi)
{
#ifdef __CUDACC__
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
#else
    uint32_t out = 0;
    for (int i = 0; i < 2; i++) {
        uint32_t u = kernel_bits(i ? hi : lo), r = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16;
        out |= ((u & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FFFu : r) << (16 * i);
    }
    return out;
#endif
}
static __device__ __forceinline__ float kernel_low(uint32_t pair)
{
    return kernel_f32(pair << 16);
}
static __device__ __forceinline__ float kernel_high(uint32_t pair)
{
    return kernel_f32(pair & 0xFFFF0000u);
}

static __device__ __forceinline__ unsigned char *kernel_at(const struct kernel_mat &m, uint32_t row,
                                                           uint32_t col)
{
    return (unsigned char *)m.p + ((size_t)row * m.ld + col) * (m.t == DEV_BF16 ? 2 : 4);
}

static __device__ __forceinline__ float kernel_get(const struct kernel_mat &m, uint32_t row,
                                                   uint32_t col)
{
    const unsigned char *p = kernel_at(m, row, col);
    return m.t == DEV_BF16 ? kernel_f32((uint32_t) * (const uint16_t *)p << 16) : *(const float *)p;
}

static __device__ __forceinline__ void kernel_put(const struct kernel_mat &m, uint32_t row,
                                                  uint32_t col, float v)
{
    unsigned char *p = kernel_at(m, row, col);
    if (m.t == DEV_BF16)
        *(uint16_t *)p = (uint16_t)kernel_pack(v, 0.0f);
    else
        *(float *)p = v;
}

/* A chunk as it lies in memory. Kernels fetch all chunks that they need before they look at the
 * first: so that the loads are on their way together. */
struct kernel_raw {
    uint4 a, b; /* b: f32 only */
};

static __device__ __forceinline__ uint32_t kernel_word(const struct kernel_mat &m, uint32_t row,
                                                       uint32_t col, uint32_t n, uint32_t i)
{
    if (m.t == DEV_F32) return i < n ? *(const uint32_t *)kernel_at(m, row, col + i) : 0;
    const uint16_t *p = (const uint16_t *)kernel_at(m, row, col);
    uint32_t lo = 2 * i < n ? p[2 * i] : 0, hi = 2 * i + 1 < n ? p[2 * i + 1] : 0;
    return lo | hi << 16;
}

/* The n <= 8 values from `col`; the rest is 0. */
static __device__ __forceinline__ struct kernel_raw
kernel_fetch(const struct kernel_view &w, uint32_t row, uint32_t col, uint32_t n)
{
    struct kernel_raw r;
    if (w.wide && n == KERNEL_CHUNK) {
        const uint4 *p = (const uint4 *)kernel_at(w.m, row, col);
        r.a = p[0];
        if (w.m.t == DEV_F32) r.b = p[1];
        return r;
    }
    r.a.x = kernel_word(w.m, row, col, n, 0), r.a.y = kernel_word(w.m, row, col, n, 1);
    r.a.z = kernel_word(w.m, row, col, n, 2), r.a.w = kernel_word(w.m, row, col, n, 3);
    if (w.m.t == DEV_F32) {
        r.b.x = kernel_word(w.m, row, col, n, 4), r.b.y = kernel_word(w.m, row, col, n, 5);
        r.b.z = kernel_word(w.m, row, col, n, 6), r.b.w = kernel_word(w.m, row, col, n, 7);
    }
    return r;
}

static __device__ __forceinline__ void
kernel_unpack(const struct kernel_view &w, const struct kernel_raw &r, float v[KERNEL_CHUNK])
{
    const uint32_t u[4] = {r.a.x, r.a.y, r.a.z, r.a.w};
    if (w.m.t == DEV_BF16) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            v[2 * i] = kernel_low(u[i]);
            v[2 * i + 1] = kernel_high(u[i]);
        }
        return;
    }
    const uint32_t more[4] = {r.b.x, r.b.y, r.b.z, r.b.w};
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        v[i] = kernel_f32(u[i]);
        v[4 + i] = kernel_f32(more[i]);
    }
}

static __device__ __forceinline__ void kernel_load(const struct kernel_view &w, uint32_t row,
                                                   uint32_t col, uint32_t n, float v[KERNEL_CHUNK])
{
    struct kernel_raw r = kernel_fetch(w, row, col, n);
    kernel_unpack(w, r, v);
}

static __device__ __forceinline__ void kernel_store(const struct kernel_view &w, uint32_t row,
                                                    uint32_t col, uint32_t n,
                                                    const float v[KERNEL_CHUNK])
{
    if (w.wide && n == KERNEL_CHUNK) {
        uint4 *p = (uint4 *)kernel_at(w.m, row, col), a, b;
        if (w.m.t == DEV_BF16) {
            a.x = kernel_pack(v[0], v[1]), a.y = kernel_pack(v[2], v[3]);
            a.z = kernel_pack(v[4], v[5]), a.w = kernel_pack(v[6], v[7]);
            p[0] = a;
        } else {
            a.x = kernel_bits(v[0]), a.y = kernel_bits(v[1]);
            a.z = kernel_bits(v[2]), a.w = kernel_bits(v[3]);
            b.x = kernel_bits(v[4]), b.y = kernel_bits(v[5]);
            b.z = kernel_bits(v[6]), b.w = kernel_bits(v[7]);
            p[0] = a;
            p[1] = b;
        }
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
        if (i < n) kernel_put(w.m, row, col + i, v[i]);
}

/* f(row, col, n) for every chunk of a matrix, shared by all threads of the grid. */
template <class F>
static __device__ __forceinline__ void kernel_each_chunk(uint32_t rows, uint32_t cols, F f)
{
    uint32_t per = (cols + KERNEL_CHUNK - 1) / KERNEL_CHUNK, total = rows * per;
    uint32_t stride = gridDim.x * blockDim.x;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += stride) {
        uint32_t row = i / per, col = (i - row * per) * KERNEL_CHUNK;
        f(row, col, cols - col < KERNEL_CHUNK ? cols - col : KERNEL_CHUNK);
    }
}

/* ---- sums and maxima in a fixed order */
static __device__ __forceinline__ float kernel_warp_sum(float v)
{
#pragma unroll
    for (int w = 16; w > 0; w /= 2)
        v += __shfl_xor_sync(KERNEL_ALL, v, w);
    return v;
}
static __device__ __forceinline__ float kernel_warp_max(float v)
{
#pragma unroll
    for (int w = 16; w > 0; w /= 2)
        v = fmaxf(v, __shfl_xor_sync(KERNEL_ALL, v, w));
    return v;
}

/* Threads of a block in teams, each at one row: `size` neighbours, a multiple of 32. */
struct kernel_team {
    uint32_t size, lane, row, rows; /* rows: teams of the block */
};
static __device__ __forceinline__ struct kernel_team kernel_team_of(uint32_t size)
{
    struct kernel_team t;
    t.size = size;
    t.lane = threadIdx.x % size;
    t.row = threadIdx.x / size;
    t.rows = blockDim.x / size;
    return t;
}

/* The sum over a team, to all of it; every thread of the block calls it. red: a float for each warp
 * of the block. */
static __device__ __forceinline__ float kernel_team_sum(const struct kernel_team &t, float v,
                                                        float *red)
{
    v = kernel_warp_sum(v);
    if (t.size == 32) return v;
    if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0.0f;
    for (uint32_t w = 0; w < t.size / 32; w++)
        sum += red[t.row * (t.size / 32) + w];
    __syncthreads();
    return sum;
}
