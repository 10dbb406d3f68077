/* Attention in plain f32 arithmetic, for f32 and for shapes that tensor cores do not take.
 *
 * A warp owns a query (or, for dk and dv, a key) and walks over the other side 32 at a time: scores
 * one a lane, then sums over the head's columns, `PARTS` a lane. The 32 rows lie in shared memory
 * as f32, padded by one value so that lanes at different rows meet different banks. */
#include "compute/cuda/kernels/attn.cuh"

constexpr uint32_t WARPS = KERNEL_THREADS / 32, STEP = 32, PARTS = 8; /* 8 * 32 columns */

/* Rows [r0, r0 + STEP) of a sample's n rows from `base`, columns of one head, to [STEP, hd + 1];
 * 0 beyond the sample. */
static __device__ __forceinline__ void stage_rows(const struct kernel_mat &m, uint32_t base,
                                                  uint32_t r0, uint32_t n, uint32_t head,
                                                  uint32_t hd, float *to)
{
    for (uint32_t i = threadIdx.x; i < STEP * hd; i += blockDim.x) {
        uint32_t r = i / hd, c = i - r * hd;
        to[r * (hd + 1) + c] = r0 + r < n ? kernel_get(m, base + r0 + r, head * hd + c) : 0.0f;
    }
}

/* One row for each warp, to [WARPS, hd]. */
static __device__ __forceinline__ void stage_own(const struct kernel_mat &m, uint32_t row,
                                                 bool here, uint32_t head, uint32_t hd, float *to)
{
    for (uint32_t c = threadIdx.x % 32; c < hd; c += 32)
        to[threadIdx.x / 32 * hd + c] = here ? kernel_get(m, row, head * hd + c) : 0.0f;
}

static __device__ __forceinline__ float dot(const float *x, const float *y, uint32_t hd)
{
    float s = 0.0f;
    for (uint32_t c = 0; c < hd; c++)
        s = fmaf(x[c], y[c], s);
    return s;
}

/* acc += sum over the STEP rows of weight (one a lane) times row */
static __device__ __forceinline__ void add_rows_of(float weight, const float *rows, uint32_t hd,
                                                   float acc[PARTS])
{
    for (uint32_t j = 0; j < STEP; j++) {
        float w = __shfl_sync(KERNEL_ALL, weight, (int)j);
#pragma unroll
        for (uint32_t p = 0; p < PARTS; p++) {
            uint32_t c = threadIdx.x % 32 + 32 * p;
            if (c < hd) acc[p] = fmaf(w, rows[j * (hd + 1) + c], acc[p]);
        }
    }
}

static __device__ __forceinline__ void put_row(const struct kernel_mat &m, uint32_t row,
                                               uint32_t head, uint32_t hd, const float acc[PARTS],
                                               float factor)
{
#pragma unroll
    for (uint32_t p = 0; p < PARTS; p++) {
        uint32_t c = threadIdx.x % 32 + 32 * p;
        if (c < hd) kernel_put(m, row, head * hd + c, acc[p] * factor);
    }
}

static __device__ __forceinline__ float score_of(const struct kernel_attn &a, float product,
                                                 uint32_t i, uint32_t j, uint32_t head)
{
    float s = product * a.scale;
    return a.bias.p ? s + attn_bias(a.bias, (int32_t)j - (int32_t)i, head) : s;
}

/* ---- forward. Shared: q [WARPS, hd], k, v [STEP, hd + 1] */
static __global__ void __launch_bounds__(KERNEL_THREADS) attn_f32_out(struct kernel_attn a)
{
    const struct kernel_tile t = a.tiles[blockIdx.x];
    uint32_t hd = a.head_dim, head = blockIdx.y, kv = head / (a.heads / a.kv_heads);
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float *q = (float *)kernel_shared(), *k = q + WARPS * hd, *v = k + STEP * (hd + 1);
    uint32_t tile_end = t.nq - t.i0 < KERNEL_TILE ? t.nq : t.i0 + KERNEL_TILE;
    for (uint32_t i0 = t.i0; i0 < tile_end; i0 += WARPS) {
        uint32_t i = i0 + warp, last = tile_end - i0 < WARPS ? tile_end - 1 : i0 + WARPS - 1;
        float top = -INFINITY, sum = 0.0f, acc[PARTS] = {0, 0, 0, 0, 0, 0, 0, 0};
        stage_own(a.q, t.q0 + i, i < t.nq, head, hd, q);
        uint32_t end = attn_end(a, t, last);
        for (uint32_t j0 = attn_first(a, i0) / STEP * STEP; j0 < end; j0 += STEP) {
            stage_rows(a.k, t.k0, j0, t.nk, kv, hd, k);
            stage_rows(a.v, t.k0, j0, t.nk, kv, hd, v);
            __syncthreads();
            bool seen = attn_sees(a, t, i, j0 + lane);
            float s = -INFINITY;
            if (seen)
                s = score_of(a, dot(q + warp * hd, k + lane * (hd + 1), hd), i, j0 + lane, head);
            float now = fmaxf(top, kernel_warp_max(s)), base = now == -INFINITY ? 0.0f : now;
            float p = seen ? kernel_exp(s - base) : 0.0f, keep = kernel_exp(top - base);
            sum = sum * keep + kernel_warp_sum(p);
            top = now;
#pragma unroll
            for (uint32_t x = 0; x < PARTS; x++)
                acc[x] *= keep;
            add_rows_of(p, v, hd, acc);
            __syncthreads();
        }
        if (i < t.nq) {
            put_row(a.out, t.q0 + i, head, hd, acc, 1.0f / sum);
            if (a.lse.p && lane == 0)
                ((float *)a.lse.p)[(size_t)head * a.lse.ld + t.q0 + i] = top + logf(sum);
        }
    }
}

/* ---- dq, and parts of dbias. Shared: q, dout [WARPS, hd], k, v [STEP, hd + 1], ds [WARPS,
 * STEP] */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    attn_f32_dq(struct kernel_attn a, const float *delta, float *parts)
{
    const struct kernel_tile t = a.tiles[blockIdx.x];
    uint32_t hd = a.head_dim, head = blockIdx.y, kv = head / (a.heads / a.kv_heads);
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float *q = (float *)kernel_shared(), *dout = q + WARPS * hd, *k = dout + WARPS * hd;
    float *v = k + STEP * (hd + 1), *ds = v + STEP * (hd + 1);
    float *part = parts ? parts + ((size_t)blockIdx.x * a.heads + head) * a.bias.rows : NULL;
    uint32_t tile_end = t.nq - t.i0 < KERNEL_TILE ? t.nq : t.i0 + KERNEL_TILE;
    for (uint32_t b = threadIdx.x; part && b < a.bias.rows; b += blockDim.x)
        part[b] = 0.0f;
    for (uint32_t i0 = t.i0; i0 < tile_end; i0 += WARPS) {
        uint32_t i = i0 + warp, last = tile_end - i0 < WARPS ? tile_end - 1 : i0 + WARPS - 1;
        bool here = i < t.nq;
        float acc[PARTS] = {0, 0, 0, 0, 0, 0, 0, 0};
        stage_own(a.q, t.q0 + i, here, head, hd, q);
        stage_own(a.dout, t.q0 + i, here, head, hd, dout);
        float lse = here ? attn_lse(a, head, t.q0 + i) : 0.0f;
        float row_delta = here ? delta[(size_t)head * a.q.rows + t.q0 + i] : 0.0f;
        uint32_t end = attn_end(a, t, last);
        for (uint32_t j0 = attn_first(a, i0) / STEP * STEP; j0 < end; j0 += STEP) {
            stage_rows(a.k, t.k0, j0, t.nk, kv, hd, k);
            stage_rows(a.v, t.k0, j0, t.nk, kv, hd, v);
            __syncthreads();
            float g = 0.0f;
            if (attn_sees(a, t, i, j0 + lane)) {
                float s =
                    score_of(a, dot(q + warp * hd, k + lane * (hd + 1), hd), i, j0 + lane, head);
                float dp = dot(dout + warp * hd, v + lane * (hd + 1), hd);
                g = kernel_exp(s - lse) * (dp - row_delta);
            }
            add_rows_of(g, k, hd, acc);
            if (part) ds[warp * STEP + lane] = g;
            __syncthreads();
            if (part) attn_add_dbias(a, ds, STEP, WARPS, STEP, (int32_t)j0 - (int32_t)i0, part);
        }
        if (here) put_row(a.dq, t.q0 + i, head, hd, acc, a.scale);
    }
}

/* ---- dk, dv. Shared: k, v [WARPS, hd], q, dout [STEP, hd + 1] */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    attn_f32_dkv(struct kernel_attn a, const float *delta)
{
    const struct kernel_tile t = a.key_tiles[blockIdx.x];
    uint32_t hd = a.head_dim, kv = blockIdx.y, group = a.heads / a.kv_heads;
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float *k = (float *)kernel_shared(), *v = k + WARPS * hd, *q = v + WARPS * hd;
    float *dout = q + STEP * (hd + 1);
    uint32_t tile_end = t.nk - t.i0 < KERNEL_TILE ? t.nk : t.i0 + KERNEL_TILE;
    for (uint32_t j0 = t.i0; j0 < tile_end; j0 += WARPS) {
        uint32_t j = j0 + warp, j1 = tile_end - j0 < WARPS ? tile_end : j0 + WARPS;
        float dk[PARTS] = {0, 0, 0, 0, 0, 0, 0, 0}, dv[PARTS] = {0, 0, 0, 0, 0, 0, 0, 0};
        stage_own(a.k, t.k0 + j, j < t.nk, kv, hd, k);
        stage_own(a.v, t.k0 + j, j < t.nk, kv, hd, v);
        uint32_t first = attn_first_query(a, j0) / STEP * STEP, end = attn_end_query(a, t, j1);
        for (uint32_t head = kv * group; head < (kv + 1) * group; head++)
            for (uint32_t i0 = first; i0 < end; i0 += STEP) {
                stage_rows(a.q, t.q0, i0, t.nq, head, hd, q);
                stage_rows(a.dout, t.q0, i0, t.nq, head, hd, dout);
                __syncthreads();
                uint32_t i = i0 + lane;
                float p = 0.0f, g = 0.0f;
                if (j < t.nk && attn_sees(a, t, i, j)) {
                    float s = score_of(a, dot(k + warp * hd, q + lane * (hd + 1), hd), i, j, head);
                    float dp = dot(v + warp * hd, dout + lane * (hd + 1), hd);
                    p = kernel_exp(s - attn_lse(a, head, t.q0 + i));
                    g = p * (dp - delta[(size_t)head * a.q.rows + t.q0 + i]);
                }
                add_rows_of(p, dout, hd, dv);
                add_rows_of(g, q, hd, dk);
                __syncthreads();
            }
        if (j < t.nk) {
            put_row(a.dk, t.k0 + j, kv, hd, dk, a.scale);
            put_row(a.dv, t.k0 + j, kv, hd, dv, 1.0f);
        }
    }
}

static size_t shared_floats(const struct kernel_attn *a, uint32_t own)
{
    return own * WARPS * a->head_dim + 2 * STEP * (a->head_dim + 1);
}

void attn_f32_fwd(const struct kernel_attn *a, struct gpu_stream *s)
{
    size_t bytes = shared_floats(a, 1) * sizeof(float);
    if (kernel_allow_shared(s, attn_f32_out, bytes))
        KERNEL_LAUNCH(attn_f32_out, dim3(a->ntiles, a->heads), KERNEL_THREADS, bytes, s, *a);
}

void attn_f32_bwd(const struct kernel_attn *a, const float *delta, float *part,
                  struct gpu_stream *s)
{
    size_t bytes = shared_floats(a, 2) * sizeof(float);
    size_t more = part ? bytes + WARPS * STEP * sizeof(float) : bytes;
    if (a->ntiles > 0 && kernel_allow_shared(s, attn_f32_dq, more))
        KERNEL_LAUNCH(attn_f32_dq, dim3(a->ntiles, a->heads), KERNEL_THREADS, more, s, *a, delta,
                      part);
    if (a->nkey_tiles > 0 && kernel_allow_shared(s, attn_f32_dkv, bytes))
        KERNEL_LAUNCH(attn_f32_dkv, dim3(a->nkey_tiles, a->kv_heads), KERNEL_THREADS, bytes, s, *a,
                      delta);
}
