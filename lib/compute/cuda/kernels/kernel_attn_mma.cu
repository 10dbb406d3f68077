/* Attention on tensor cores: bf16, mma.m16n8k16, tiles of 64 queries or keys, four warps of 16
 * rows.
 *
 * Fragments (PTX ISA, mma.m16n8k16): lane l holds rows l / 4 and l / 4 + 8, and of each 8 columns
 * 2 (l % 4) and the next. Two neighbouring tiles of a product [16, 8 n] are, packed to bf16, the
 * left operand of the next product: so P and dS never leave the registers. Rows in shared memory
 * are 16 bytes longer than the head: ldmatrix then meets no bank twice. */
#include "compute/cuda/kernels/attn.cuh"

constexpr uint32_t THREADS = 128, TILE = KERNEL_TILE;

/* ---- what CUDA and the shim call differently */
#ifdef __CUDACC__
static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}
/* 16 bytes to shared memory, zeros unless `valid`; there after the wait. */
static __device__ __forceinline__ void copy_start(void *to, const void *from, bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
static __device__ __forceinline__ void copy_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* All groups but the last PENDING are there, for this thread. */
template <int PENDING> static __device__ __forceinline__ void copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}
template <bool TRANS>
static __device__ __forceinline__ void ldmatrix(uint32_t r[4], const uint16_t *row)
{
    if (TRANS)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(shared_address(row))
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(shared_address(row))
                     : "memory");
}
/* c [16, 8] += a [16, 16] b [16, 8] */
static __device__ __forceinline__ void mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
static inline void copy_start(void *to, const void *from, bool valid)
{
    shim_copy_start(to, from, 16, valid ? 16 : 0);
}
static inline void copy_commit(void)
{
    shim_copy_commit();
}
template <int PENDING> static inline void copy_wait(void)
{
    shim_copy_wait(PENDING, __FILE__, __LINE__);
}
template <bool TRANS> static inline void ldmatrix(uint32_t r[4], const uint16_t *row)
{
    shim_ldmatrix(r, row, TRANS);
}
static inline void mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    shim_mma_bf16(c, a, b);
}
#endif

/* ---- tiles in shared memory: [rows, HD + 8] */
template <int HD> constexpr uint32_t LD = HD + 8;

/* Rows [r0, r0 + ROWS) of a sample's n rows from `base`, columns of one head; zeros beyond it. */
template <int HD, uint32_t ROWS>
static __device__ __forceinline__ void load_tile(const struct kernel_mat &m, uint32_t base,
                                                 uint32_t r0, uint32_t n, uint32_t head,
                                                 uint16_t *to)
{
    constexpr uint32_t per = HD / 8;
#pragma unroll
    for (uint32_t k = 0; k < ROWS * per / THREADS; k++) {
        uint32_t i = k * THREADS + threadIdx.x, r = i / per, c = i % per * 8;
        bool valid = r0 + r < n;
        const uint16_t *from =
            (const uint16_t *)m.p + (size_t)(base + (valid ? r0 + r : 0)) * m.ld + head * HD + c;
        copy_start(to + r * LD<HD> + c, from, valid);
    }
}

/* The left operand's fragment: 16 rows from `rows`, columns 16 k. */
template <int HD>
static __device__ __forceinline__ void load_a(uint32_t a[4], const uint16_t *rows, uint32_t k)
{
    uint32_t l = threadIdx.x % 32;
    ldmatrix<false>(a, rows + (l & 15) * LD<HD> + k * 16 + (l >> 4) * 8);
}

/* c [16, 8 NT] += a rows^T: `rows` is a tile [8 NT, HD]; a: 16 rows of a tile. */
template <int HD, int NT>
static __device__ __forceinline__ void times_transposed(float (*c)[4], const uint16_t *a,
                                                        const uint16_t *rows)
{
    uint32_t l = threadIdx.x % 32;
#pragma unroll
    for (uint32_t k = 0; k < HD / 16; k++) {
        uint32_t af[4], bf[4];
        load_a<HD>(af, a, k);
#pragma unroll
        for (uint32_t n = 0; n < NT / 2; n++) {
            ldmatrix<false>(bf, rows + (n * 16 + (l & 7) + (l >> 4) * 8) * LD<HD> + k * 16 +
                                    (l >> 3 & 1) * 8);
            mma(c[2 * n], af, bf);
            mma(c[2 * n + 1], af, bf + 2);
        }
    }
}

/* c [16, HD] += x rows: x [16, 8 NT] in fragments as products are, `rows` a tile [8 NT, HD]. */
template <int HD, int NT>
static __device__ __forceinline__ void times_rows(float (*c)[4], const float (*x)[4],
                                                  const uint16_t *rows)
{
    uint32_t l = threadIdx.x % 32;
#pragma unroll
    for (uint32_t k = 0; k < NT / 2; k++) {
        const float *lo = x[2 * k], *hi = x[2 * k + 1];
        uint32_t bf[4];
        const uint32_t af[4] = {kernel_pack(lo[0], lo[1]), kernel_pack(lo[2], lo[3]),
                                kernel_pack(hi[0], hi[1]), kernel_pack(hi[2], hi[3])};
#pragma unroll
        for (uint32_t n = 0; n < HD / 16; n++) {
            ldmatrix<true>(bf, rows + (k * 16 + (l & 15)) * LD<HD> + n * 16 + (l >> 4) * 8);
            mma(c[2 * n], af, bf);
            mma(c[2 * n + 1], af, bf + 2);
        }
    }
}

template <int NT> static __device__ __forceinline__ void clear(float (*c)[4])
{
#pragma unroll
    for (int n = 0; n < NT; n++)
        c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0.0f;
}

/* A product [16, HD] times `factor` of each of the lane's two rows, to rows `row` and row + 8 where
 * these are below `end`. */
template <int HD>
static __device__ __forceinline__ void put_rows(const struct kernel_mat &m, uint32_t base,
                                                uint32_t row, uint32_t end, uint32_t head,
                                                const float (*c)[4], const float factor[2])
{
    uint32_t t = threadIdx.x % 4 * 2;
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        if (row + 8 * half >= end) continue;
        uint16_t *to = (uint16_t *)m.p + (size_t)(base + row + 8 * half) * m.ld + head * HD + t;
#pragma unroll
        for (uint32_t n = 0; n < HD / 8; n++)
            *(uint32_t *)(to + n * 8) =
                kernel_pack(c[n][2 * half] * factor[half], c[n][2 * half + 1] * factor[half]);
    }
}

/* The bias of all distances between two tiles: to[d - first], d = key - query. */
static __device__ __forceinline__ void load_bias(const struct kernel_attn &a, int32_t first,
                                                 uint32_t n, uint32_t head, float *to)
{
    for (uint32_t i = threadIdx.x; a.bias.p && i < n; i += THREADS)
        to[i] = attn_bias(a.bias, first + (int32_t)i, head);
}

/* ---- forward. Shared: q, k, v tiles; bias [2 TILE] */
template <int HD> static constexpr uint32_t fwd_bytes(void)
{
    return 3 * TILE * LD<HD> * 2 + 2 * TILE * 4;
}

/* Scores to probabilities in place, sums and old results brought to the new largest score. Query
 * rows i, i + 8 of the lane; keys from j0. bias: of distance d at [d - first]. */
template <int HD>
static __device__ __forceinline__ void
soften(const struct kernel_attn &a, const struct kernel_tile &t, uint32_t i, uint32_t j0,
       const float *bias, int32_t first, float (*s)[4], float (*o)[4], float top[2], float sum[2])
{
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t row = i + 8 * half;
        float now = top[half], part = 0.0f;
#pragma unroll
        for (uint32_t n = 0; n < TILE / 8; n++)
#pragma unroll
            for (uint32_t x = 0; x < 2; x++) {
                uint32_t j = j0 + n * 8 + threadIdx.x % 4 * 2 + x;
                float v = s[n][2 * half + x] * a.scale;
                if (a.bias.p) v += bias[(int32_t)j - (int32_t)row - first];
                v = attn_sees(a, t, row, j) ? v : -INFINITY;
                s[n][2 * half + x] = v;
                now = fmaxf(now, v);
            }
        now = fmaxf(now, __shfl_xor_sync(KERNEL_ALL, now, 1));
        now = fmaxf(now, __shfl_xor_sync(KERNEL_ALL, now, 2));
        float base = now == -INFINITY ? 0.0f : now, keep = kernel_exp(top[half] - base);
#pragma unroll
        for (uint32_t n = 0; n < TILE / 8; n++)
#pragma unroll
            for (uint32_t x = 0; x < 2; x++) {
                s[n][2 * half + x] = kernel_exp(s[n][2 * half + x] - base);
                part += s[n][2 * half + x];
            }
        part += __shfl_xor_sync(KERNEL_ALL, part, 1);
        part += __shfl_xor_sync(KERNEL_ALL, part, 2);
        sum[half] = sum[half] * keep + part;
        top[half] = now;
#pragma unroll
        for (uint32_t n = 0; n < HD / 8; n++) {
            o[n][2 * half] *= keep;
            o[n][2 * half + 1] *= keep;
        }
    }
}

/* k of the next tile is copied while v of this one is used, and the other way round. */
template <int HD>
static __global__ void __launch_bounds__(THREADS) attn_mma_out(struct kernel_attn a)
{
    const struct kernel_tile t = a.tiles[blockIdx.x];
    uint32_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads), warp = threadIdx.x / 32;
    uint32_t row = t.i0 + warp * 16 + threadIdx.x % 32 / 4;
    uint16_t *q = (uint16_t *)kernel_shared(), *k = q + TILE * LD<HD>, *v = k + TILE * LD<HD>;
    float *bias = (float *)(v + TILE * LD<HD>);
    uint32_t last = t.nq - t.i0 < TILE ? t.nq - 1 : t.i0 + TILE - 1;
    uint32_t j0 = attn_first(a, t.i0) / TILE * TILE, end = attn_end(a, t, last);
    float o[HD / 8][4], top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    clear<HD / 8>(o);
    load_tile<HD, TILE>(a.q, t.q0, t.i0, t.nq, head, q);
    load_tile<HD, TILE>(a.k, t.k0, j0, t.nk, kv, k);
    copy_commit();
    for (; j0 < end; j0 += TILE) {
        int32_t first = (int32_t)j0 - (int32_t)(t.i0 + TILE - 1);
        float s[TILE / 8][4];
        clear<TILE / 8>(s);
        load_tile<HD, TILE>(a.v, t.k0, j0, t.nk, kv, v);
        copy_commit();
        load_bias(a, first, 2 * TILE - 1, head, bias);
        copy_wait<1>();
        __syncthreads(); /* q, k, bias are there */
        times_transposed<HD, TILE / 8>(s, q + warp * 16 * LD<HD>, k);
        __syncthreads(); /* k was read */
        if (j0 + TILE < end) load_tile<HD, TILE>(a.k, t.k0, j0 + TILE, t.nk, kv, k);
        copy_commit();
        soften<HD>(a, t, row, j0, bias, first, s, o, top, sum);
        copy_wait<1>();
        __syncthreads(); /* v is there */
        times_rows<HD, TILE / 8>(o, s, v);
        __syncthreads(); /* v and bias were read */
    }
    const float factor[2] = {1.0f / sum[0], 1.0f / sum[1]};
    put_rows<HD>(a.out, t.q0, row, t.nq, head, o, factor);
    for (uint32_t half = 0; a.lse.p && threadIdx.x % 4 == 0 && half < 2; half++)
        if (row + 8 * half < t.nq)
            ((float *)a.lse.p)[(size_t)head * a.lse.ld + t.q0 + row + 8 * half] =
                top[half] + logf(sum[half]);
}

/* ---- dq, and parts of dbias. Shared: q, dout, k, v tiles; bias [2 TILE]; ds [TILE, TILE + 1] */
template <int HD> static constexpr uint32_t dq_bytes(bool dbias)
{
    return 4 * TILE * LD<HD> * 2 + 2 * TILE * 4 + (dbias ? TILE * (TILE + 1) * 4 : 0);
}

/* One score and its product dout v to ds, not yet times scale. */
static __device__ __forceinline__ float gradient_of(const struct kernel_attn &a, float product,
                                                    float dp, float bias, float lse, float delta)
{
    return kernel_exp(product * a.scale + bias - lse) * (dp - delta);
}

template <int HD>
static __global__ void __launch_bounds__(THREADS)
    attn_mma_dq(struct kernel_attn a, const float *delta, float *parts)
{
    const struct kernel_tile t = a.tiles[blockIdx.x];
    uint32_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads), warp = threadIdx.x / 32;
    uint32_t g = threadIdx.x % 32 / 4, tt = threadIdx.x % 4 * 2, row = t.i0 + warp * 16 + g;
    uint16_t *q = (uint16_t *)kernel_shared(), *dout = q + TILE * LD<HD>;
    uint16_t *k = dout + TILE * LD<HD>, *v = k + TILE * LD<HD>;
    float *bias = (float *)(v + TILE * LD<HD>), *ds = bias + 2 * TILE;
    float *part = parts ? parts + ((size_t)blockIdx.x * a.heads + head) * a.bias.rows : NULL;
    uint32_t last = t.nq - t.i0 < TILE ? t.nq - 1 : t.i0 + TILE - 1;
    uint32_t end = attn_end(a, t, last);
    float dq[HD / 8][4], lse[2], row_delta[2];
    clear<HD / 8>(dq);
    for (uint32_t b = threadIdx.x; part && b < a.bias.rows; b += THREADS)
        part[b] = 0.0f;
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        bool here = row + 8 * half < t.nq;
        uint32_t at = t.q0 + row + 8 * half;
        lse[half] = here ? attn_lse(a, head, at) : 0.0f;
        row_delta[half] = here ? delta[(size_t)head * a.q.rows + at] : 0.0f;
    }
    load_tile<HD, TILE>(a.q, t.q0, t.i0, t.nq, head, q);
    load_tile<HD, TILE>(a.dout, t.q0, t.i0, t.nq, head, dout);
    for (uint32_t j0 = attn_first(a, t.i0) / TILE * TILE; j0 < end; j0 += TILE) {
        int32_t first = (int32_t)j0 - (int32_t)(t.i0 + TILE - 1);
        float s[TILE / 8][4], dp[TILE / 8][4];
        clear<TILE / 8>(s);
        clear<TILE / 8>(dp);
        load_tile<HD, TILE>(a.k, t.k0, j0, t.nk, kv, k);
        load_tile<HD, TILE>(a.v, t.k0, j0, t.nk, kv, v);
        copy_commit();
        load_bias(a, first, 2 * TILE - 1, head, bias);
        copy_wait<0>();
        __syncthreads(); /* all tiles and bias are there */
        times_transposed<HD, TILE / 8>(s, q + warp * 16 * LD<HD>, k);
        times_transposed<HD, TILE / 8>(dp, dout + warp * 16 * LD<HD>, v);
#pragma unroll
        for (uint32_t n = 0; n < TILE / 8; n++)
#pragma unroll
            for (uint32_t x = 0; x < 4; x++) {
                uint32_t i = row + x / 2 * 8, j = j0 + n * 8 + tt + x % 2;
                float b = a.bias.p ? bias[(int32_t)j - (int32_t)i - first] : 0.0f;
                float d = gradient_of(a, s[n][x], dp[n][x], b, lse[x / 2], row_delta[x / 2]);
                s[n][x] = attn_sees(a, t, i, j) ? d : 0.0f;
                if (part) ds[(warp * 16 + g + x / 2 * 8) * (TILE + 1) + j - j0] = s[n][x];
            }
        times_rows<HD, TILE / 8>(dq, s, k);
        __syncthreads(); /* tiles and bias were read, ds is there */
        if (part) attn_add_dbias(a, ds, TILE + 1, TILE, TILE, (int32_t)j0 - (int32_t)t.i0, part);
    }
    const float factor[2] = {a.scale, a.scale};
    put_rows<HD>(a.dq, t.q0, row, t.nq, head, dq, factor);
}

/* ---- dk, dv: products turned over, keys are rows. STEP queries at a time, fewer where heads are
 * wide, for the sake of registers. Shared: k, v tiles; q, dout [STEP]; bias, lse, delta */
template <int HD> constexpr uint32_t STEP = HD > 64 ? 32 : 64;
template <int HD> static constexpr uint32_t dkv_bytes(void)
{
    return 2 * (TILE + STEP<HD>)*LD<HD> * 2 + (TILE + STEP<HD> + 2 * STEP<HD>)*4;
}

template <int HD>
static __device__ __forceinline__ void
load_rows_of(const struct kernel_attn &a, const struct kernel_tile &t, uint32_t i0, uint32_t head,
             const float *delta, float *lse, float *row_delta)
{
    for (uint32_t r = threadIdx.x; r < STEP<HD>; r += THREADS) {
        bool here = i0 + r < t.nq;
        lse[r] = here ? attn_lse(a, head, t.q0 + i0 + r) : 0.0f;
        row_delta[r] = here ? delta[(size_t)head * a.q.rows + t.q0 + i0 + r] : 0.0f;
    }
}

template <int HD>
static __global__ void __launch_bounds__(THREADS)
    attn_mma_dkv(struct kernel_attn a, const float *delta)
{
    constexpr uint32_t S = STEP<HD>;
    const struct kernel_tile t = a.key_tiles[blockIdx.x];
    uint32_t kv = blockIdx.y, group = a.heads / a.kv_heads, warp = threadIdx.x / 32;
    uint32_t tt = threadIdx.x % 4 * 2, key = t.i0 + warp * 16 + threadIdx.x % 32 / 4;
    uint16_t *k = (uint16_t *)kernel_shared(), *v = k + TILE * LD<HD>, *q = v + TILE * LD<HD>;
    uint16_t *dout = q + S * LD<HD>;
    float *bias = (float *)(dout + S * LD<HD>), *lse = bias + TILE + S, *row_delta = lse + S;
    uint32_t j1 = t.nk - t.i0 < TILE ? t.nk : t.i0 + TILE;
    uint32_t first_query = attn_first_query(a, t.i0) / S * S, end = attn_end_query(a, t, j1);
    float dk[HD / 8][4], dv[HD / 8][4];
    clear<HD / 8>(dk);
    clear<HD / 8>(dv);
    load_tile<HD, TILE>(a.k, t.k0, t.i0, t.nk, kv, k);
    load_tile<HD, TILE>(a.v, t.k0, t.i0, t.nk, kv, v);
    for (uint32_t head = kv * group; head < (kv + 1) * group; head++)
        for (uint32_t i0 = first_query; i0 < end; i0 += S) {
            int32_t first = (int32_t)t.i0 - (int32_t)(i0 + S - 1);
            float s[S / 8][4], dp[S / 8][4];
            clear<S / 8>(s);
            clear<S / 8>(dp);
            load_tile<HD, S>(a.q, t.q0, i0, t.nq, head, q);
            load_tile<HD, S>(a.dout, t.q0, i0, t.nq, head, dout);
            copy_commit();
            load_bias(a, first, TILE + S - 1, head, bias);
            load_rows_of<HD>(a, t, i0, head, delta, lse, row_delta);
            copy_wait<0>();
            __syncthreads(); /* tiles, bias, lse, delta are there */
            times_transposed<HD, S / 8>(s, k + warp * 16 * LD<HD>, q);
            times_transposed<HD, S / 8>(dp, v + warp * 16 * LD<HD>, dout);
#pragma unroll
            for (uint32_t n = 0; n < S / 8; n++)
#pragma unroll
                for (uint32_t x = 0; x < 4; x++) {
                    uint32_t at = n * 8 + tt + x % 2, j = key + x / 2 * 8, i = i0 + at;
                    float b = a.bias.p ? bias[(int32_t)j - (int32_t)i - first] : 0.0f;
                    float p = kernel_exp(s[n][x] * a.scale + b - lse[at]);
                    p = attn_sees(a, t, i, j) ? p : 0.0f;
                    s[n][x] = p;
                    dp[n][x] = p * (dp[n][x] - row_delta[at]);
                }
            times_rows<HD, S / 8>(dv, s, dout);
            times_rows<HD, S / 8>(dk, dp, q);
            __syncthreads(); /* all were read */
        }
    copy_wait<0>(); /* of k and v, where there was no query */
    const float one[2] = {1.0f, 1.0f}, factor[2] = {a.scale, a.scale};
    put_rows<HD>(a.dk, t.k0, key, t.nk, kv, dk, factor);
    put_rows<HD>(a.dv, t.k0, key, t.nk, kv, dv, one);
}

/* ---- launches */
static bool rows_fit(struct kernel_mat m)
{
    return m.t == DEV_BF16 && (uintptr_t)m.p % 16 == 0 && m.ld % 8 == 0;
}

static bool forward_fits(const struct kernel_attn *a)
{
    return rows_fit(a->q) && rows_fit(a->k) && rows_fit(a->v) && rows_fit(a->out);
}

template <int HD> static void launch_fwd(const struct kernel_attn *a, struct gpu_stream *s)
{
    if (kernel_allow_shared(s, attn_mma_out<HD>, fwd_bytes<HD>()))
        KERNEL_LAUNCH(attn_mma_out<HD>, dim3(a->ntiles, a->heads), THREADS, fwd_bytes<HD>(), s, *a);
}

bool attn_mma_fwd(const struct kernel_attn *a, struct gpu_stream *s)
{
    if (!forward_fits(a)) return false;
    switch (a->head_dim) {
    case 32:
        launch_fwd<32>(a, s);
        return true;
    case 64:
        launch_fwd<64>(a, s);
        return true;
    case 128:
        launch_fwd<128>(a, s);
        return true;
    default:
        return false;
    }
}

template <int HD>
static void launch_bwd(const struct kernel_attn *a, const float *delta, float *part,
                       struct gpu_stream *s)
{
    uint32_t bytes = dq_bytes<HD>(part != NULL);
    if (a->ntiles > 0 && kernel_allow_shared(s, attn_mma_dq<HD>, bytes))
        KERNEL_LAUNCH(attn_mma_dq<HD>, dim3(a->ntiles, a->heads), THREADS, bytes, s, *a, delta,
                      part);
    if (a->nkey_tiles > 0 && kernel_allow_shared(s, attn_mma_dkv<HD>, dkv_bytes<HD>()))
        KERNEL_LAUNCH(attn_mma_dkv<HD>, dim3(a->nkey_tiles, a->kv_heads), THREADS, dkv_bytes<HD>(),
                      s, *a, delta);
}

bool attn_mma_bwd(const struct kernel_attn *a, const float *delta, float *part,
                  struct gpu_stream *s)
{
    if (!forward_fits(a) || !rows_fit(a->dout) || !rows_fit(a->dq) || !rows_fit(a->dk) ||
        !rows_fit(a->dv))
        return false;
    if (a->head_dim == 64) launch_bwd<64>(a, delta, part, s);
    if (a->head_dim == 128) launch_bwd<128>(a, delta, part, s);
    return a->head_dim == 64 || a->head_dim == 128;
}
