/*
 * compute/cuda/kernels/attn - what the attention kernels share: who sees whom, the bias by
 * distance, tensor cores.
 *
 * kernel_attn.cu     tiles, launches, the parts that do not multiply
 * kernel_attn_f32.cu plain arithmetic, any head width up to 256, both dtypes
 * kernel_attn_mma.cu bf16 on tensor cores, head width a template argument
 */
#pragma once
#include "compute/cuda/kernels/kernel.cuh"

/* Keys that query i of a sample sees: [first, end). */
static __device__ __forceinline__ uint32_t attn_first(const struct kernel_attn &a, uint32_t i)
{
    return a.window && i + 1 > a.window ? i + 1 - a.window : 0;
}
static __device__ __forceinline__ uint32_t attn_end(const struct kernel_attn &a,
                                                    const struct kernel_tile &t, uint32_t i)
{
    return a.bidirectional ? t.nk : i + 1;
}
static __device__ __forceinline__ bool
attn_sees(const struct kernel_attn &a, const struct kernel_tile &t, uint32_t i, uint32_t j)
{
    return i < t.nq && j >= attn_first(a, i) && j < attn_end(a, t, i);
}

/* Queries that see any of the keys [j0, j1): [first, end). */
static __device__ __forceinline__ uint32_t attn_first_query(const struct kernel_attn &a,
                                                            uint32_t j0)
{
    return a.bidirectional ? 0 : j0;
}
static __device__ __forceinline__ uint32_t attn_end_query(const struct kernel_attn &a,
                                                          const struct kernel_tile &t, uint32_t j1)
{
    if (!a.window || j1 - 1 + a.window > t.nq) return t.nq;
    return j1 - 1 + a.window;
}

/* Row of the bias table for key j and query i, at distance d = j - i. */
static __device__ __forceinline__ uint32_t attn_bias_row(const struct kernel_mat &bias, int32_t d)
{
    int32_t reach = (int32_t)(bias.rows / 2);
    return (uint32_t)((d < -reach ? -reach : d > reach ? reach : d) + reach);
}
static __device__ __forceinline__ float attn_bias(const struct kernel_mat &bias, int32_t d,
                                                  uint32_t head)
{
    return ((const float *)bias.p)[(size_t)attn_bias_row(bias, d) * bias.ld + head];
}

static __device__ __forceinline__ float attn_lse(const struct kernel_attn &a, uint32_t head,
                                                 uint32_t row)
{
    return ((const float *)a.lse.p)[(size_t)head * a.lse.ld + row];
}

/* One block's part of the bias gradient, for one head: row b of the table sums the ds of all
 * distances that clamp to it. Each row belongs to one thread, so the order is fixed. ds: [nq, ld],
 * query i0 + r against key j0 + c. part: the block's [bias.rows]. */
static __device__ __forceinline__ void attn_add_dbias(const struct kernel_attn &a, const float *ds,
                                                      uint32_t ld, int32_t nq, int32_t nk,
                                                      int32_t j0_i0, float *part)
{
    int32_t reach = (int32_t)(a.bias.rows / 2), low = 1 - nq, high = nk - 1; /* c - r */
    for (int32_t b = (int32_t)threadIdx.x; b < (int32_t)a.bias.rows; b += (int32_t)blockDim.x) {
        int32_t from = b - reach - j0_i0, to = from;
        if (b == 0) from = low;
        if (b == 2 * reach) to = high;
        from = from < low ? low : from;
        to = to > high ? high : to;
        float sum = 0.0f;
        for (int32_t d = from; d <= to; d++)
            for (int32_t r = d < 0 ? -d : 0; r < nq && r + d < nk; r++)
                sum += ds[(uint32_t)r * ld + (uint32_t)(r + d)];
        part[b] += sum;
    }
}

/* ---- kernel_attn_f32.cu, kernel_attn_mma.cu */
void attn_f32_fwd(const struct kernel_attn *a, struct gpu_stream *s);
/* delta [heads, T]: sum of dout out; part [ntiles, heads, bias.rows], NULL without dbias */
void attn_f32_bwd(const struct kernel_attn *a, const float *delta, float *part,
                  struct gpu_stream *s);
/* false: not a shape for tensor cores, nothing was launched */
bool attn_mma_fwd(const struct kernel_attn *a, struct gpu_stream *s);
bool attn_mma_bwd(const struct kernel_attn *a, const float *delta, float *part,
                  struct gpu_stream *s);
