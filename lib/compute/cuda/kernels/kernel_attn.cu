/* Attention: tiles, launches, sums that need no product, decoding with a cache. */
#include "compute/cuda/kernels/attn.cuh"

constexpr uint32_t MOST_HEAD_DIM = 256;

uint32_t kernel_attn_tiles(const uint32_t *cu, const uint32_t *cu_k, uint32_t nseq, bool of_keys,
                           struct kernel_tile *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < nseq; i++) {
        struct kernel_tile t = {0, cu[i], cu[i + 1] - cu[i], cu_k[i], cu_k[i + 1] - cu_k[i]};
        uint32_t n = of_keys ? t.nk : t.nq;
        for (; t.i0 < n; t.i0 += KERNEL_TILE) {
            if (out) out[count] = t;
            count++;
        }
    }
    return count;
}

static bool attn_fits(const struct kernel_attn *a, struct gpu_stream *s)
{
    if (a->head_dim <= MOST_HEAD_DIM && a->heads <= 65535) return true;
    kernel_refuse(s, "attention", "heads wider than 256 or more than 65535 of them");
    return false;
}

void kernel_attn_fwd(const struct kernel_attn *a, struct gpu_stream *s)
{
    if (a->ntiles == 0 || !attn_fits(a, s)) return;
    if (!attn_mma_fwd(a, s)) attn_f32_fwd(a, s);
}

/* ---- delta [heads, T] = row sums of dout out: `width` lanes for each head of a row */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    attn_delta(struct kernel_view dout, struct kernel_view out, uint32_t heads, uint32_t hd,
               uint32_t width, float *delta)
{
    uint32_t rows = out.m.rows, lane = threadIdx.x % width, per = blockDim.x / width;
    uint32_t total = rows * heads, rounds = (total + per - 1) / per;
    for (uint32_t k = blockIdx.x; k < rounds; k += gridDim.x) {
        uint32_t at = k * per + threadIdx.x / width;
        uint32_t r = at / heads, h = at - r * heads;
        float x[KERNEL_CHUNK], y[KERNEL_CHUNK], sum = 0.0f;
        for (uint32_t c = lane * KERNEL_CHUNK; at < total && c < hd; c += width * KERNEL_CHUNK) {
            uint32_t n = hd - c < KERNEL_CHUNK ? hd - c : KERNEL_CHUNK;
            struct kernel_raw rx = kernel_fetch(dout, r, h * hd + c, n);
            struct kernel_raw ry = kernel_fetch(out, r, h * hd + c, n);
            kernel_unpack(dout, rx, x);
            kernel_unpack(out, ry, y);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                sum = fmaf(x[i], y[i], sum);
        }
        for (uint32_t w = width / 2; w > 0; w /= 2)
            sum += __shfl_xor_sync(KERNEL_ALL, sum, (int)w);
        if (at < total && lane == 0) delta[(size_t)h * rows + r] = sum;
    }
}

/* dbias += the parts of all tiles, in their order. part [ntiles, heads, rows] */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    attn_dbias(const float *part, uint32_t ntiles, uint32_t heads, struct kernel_mat dbias)
{
    uint32_t n = heads * dbias.rows, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float *to = (float *)dbias.p + (size_t)(i % dbias.rows) * dbias.ld + i / dbias.rows;
    float sum = 0.0f;
    for (uint32_t t = 0; t < ntiles; t++)
        sum += part[(size_t)t * n + i];
    *to += sum;
}

static size_t delta_bytes(const struct kernel_attn *a)
{
    return ((size_t)a->heads * a->q.rows * sizeof(float) + 15) / 16 * 16;
}

size_t kernel_attn_bwd_scratch(const struct kernel_attn *a)
{
    size_t parts = a->dbias.p ? (size_t)a->ntiles * a->heads * a->bias.rows : 0;
    return delta_bytes(a) + parts * sizeof(float);
}

void kernel_attn_bwd(const struct kernel_attn *a, void *scratch, struct gpu_stream *s)
{
    float *delta = (float *)scratch, *part = NULL;
    struct kernel_view dout = kernel_view_of(a->dout), out = kernel_view_of(a->out);
    uint32_t width = 1;
    if (!attn_fits(a, s)) return;
    if (a->dbias.p) part = (float *)((unsigned char *)scratch + delta_bytes(a));
    while (width < 32 && width * KERNEL_CHUNK < a->head_dim)
        width *= 2;
    dout.wide = out.wide = dout.wide && out.wide && a->head_dim % KERNEL_CHUNK == 0;
    uint64_t sums = (uint64_t)a->q.rows * a->heads;
    if (sums > 0)
        KERNEL_LAUNCH(attn_delta, kernel_blocks(sums * width / KERNEL_THREADS + 1), KERNEL_THREADS,
                      0, s, dout, out, a->heads, a->head_dim, width, delta);
    if (!attn_mma_bwd(a, delta, part, s)) attn_f32_bwd(a, delta, part, s);
    if (part && a->ntiles > 0)
        KERNEL_LAUNCH(attn_dbias, (a->heads * a->bias.rows + KERNEL_THREADS - 1) / KERNEL_THREADS,
                      KERNEL_THREADS, 0, s, (const float *)part, a->ntiles, a->heads, a->dbias);
}

/* ---- one query against a cache: a block for each row, some heads of one group, and a split of the
 * keys; each warp takes 32 keys */
constexpr uint32_t SPLIT = 128, CACHED_WARPS = SPLIT / 32, CACHED_HEADS = 4;
constexpr uint32_t AHEAD = 4; /* chunks that a lane fetches before it uses the first */

/* What a split knows of a head: largest score, sum of exp, sum of exp times v. */
static __device__ __forceinline__ float *split_of(const struct kernel_attn &a, float *scratch,
                                                  uint32_t row, uint32_t head, uint32_t split)
{
    size_t splits = a.max_pos / SPLIT + 1;
    return scratch + (((size_t)row * a.heads + head) * splits + split) * (a.head_dim + 2);
}

static __device__ __forceinline__ uint32_t cached_first(const struct kernel_attn &a, uint32_t pos)
{
    return a.window && pos + 1 > a.window ? pos + 1 - a.window : 0;
}

struct cached_warp {
    float top[CACHED_HEADS], sum[CACHED_HEADS];
    float acc[CACHED_HEADS][KERNEL_CHUNK]; /* of columns 8 (lane % width), the same in each team */
};

/* Scores of a warp's 32 keys, one a lane, for n heads. q: [n, hd] in shared memory. Four chunks of
 * a key are on their way at once. */
static __device__ __forceinline__ void cached_scores(const struct kernel_attn &a,
                                                     const struct kernel_view &k, const float *q,
                                                     uint32_t key, uint32_t col, uint32_t n,
                                                     bool seen, float score[CACHED_HEADS])
{
#pragma unroll
    for (uint32_t h = 0; h < CACHED_HEADS; h++)
        score[h] = 0.0f;
    for (uint32_t c0 = 0; seen && c0 < a.head_dim; c0 += AHEAD * KERNEL_CHUNK) {
        struct kernel_raw r[AHEAD];
#pragma unroll
        for (uint32_t x = 0; x < AHEAD; x++) {
            uint32_t c = c0 + x * KERNEL_CHUNK, m = c < a.head_dim ? a.head_dim - c : 0;
            if (m > 0) r[x] = kernel_fetch(k, key, col + c, m < KERNEL_CHUNK ? m : KERNEL_CHUNK);
        }
#pragma unroll
        for (uint32_t x = 0; x < AHEAD; x++) {
            uint32_t c = c0 + x * KERNEL_CHUNK;
            float v[KERNEL_CHUNK];
            if (c >= a.head_dim) continue;
            kernel_unpack(k, r[x], v);
#pragma unroll
            for (uint32_t h = 0; h < CACHED_HEADS; h++)
#pragma unroll
                for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                    if (h < n && c + i < a.head_dim)
                        score[h] = fmaf(q[h * a.head_dim + c + i], v[i], score[h]);
        }
    }
}

/* acc += probabilities times v: a team of `width` lanes at one key's row, four rows on their way.
 * A key that is not seen has probability 0 and is not read. */
static __device__ __forceinline__ void
cached_values(const struct kernel_attn &a, const struct kernel_view &v, uint32_t key, uint32_t col,
              uint32_t seen, uint32_t width, const float prob[CACHED_HEADS], struct cached_warp *w)
{
    uint32_t lane = threadIdx.x % 32, c = lane % width * KERNEL_CHUNK, teams = 32 / width;
    uint32_t n = c < a.head_dim ? a.head_dim - c : 0;
    for (uint32_t j0 = 0; j0 < 32; j0 += AHEAD * teams) {
        struct kernel_raw r[AHEAD];
#pragma unroll
        for (uint32_t x = 0; x < AHEAD; x++) {
            uint32_t j = j0 + x * teams + lane / width;
            r[x].a = r[x].b = {0, 0, 0, 0};
            if (n > 0 && j < 32 && (seen >> j & 1))
                r[x] = kernel_fetch(v, key + j, col + c, n < KERNEL_CHUNK ? n : KERNEL_CHUNK);
        }
#pragma unroll
        for (uint32_t x = 0; x < AHEAD; x++) {
            uint32_t j = j0 + x * teams + lane / width;
            float row[KERNEL_CHUNK];
            kernel_unpack(v, r[x], row);
#pragma unroll
            for (uint32_t h = 0; h < CACHED_HEADS; h++) {
                float p = __shfl_sync(KERNEL_ALL, prob[h], (int)(j & 31));
#pragma unroll
                for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                    w->acc[h][i] = fmaf(p, row[i], w->acc[h][i]);
            }
        }
    }
    for (uint32_t x = width; x < 32; x *= 2)
#pragma unroll
        for (uint32_t h = 0; h < CACHED_HEADS; h++)
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                w->acc[h][i] += __shfl_xor_sync(KERNEL_ALL, w->acc[h][i], (int)x);
}

struct cached_views {
    struct kernel_view k, v;
    uint32_t width; /* lanes at one row of v */
};

static __device__ __forceinline__ void cached_warp_run(const struct kernel_attn &a,
                                                       const struct cached_views &m, const float *q,
                                                       uint32_t row, uint32_t head, uint32_t n,
                                                       uint32_t j0, struct cached_warp *w)
{
    uint32_t pos = a.pos[row], j = j0 + threadIdx.x % 32, key = a.slot[row] * a.max_len + j0;
    uint32_t col = head / (a.heads / a.kv_heads) * a.head_dim;
    bool seen = j >= cached_first(a, pos) && j <= pos;
    float score[CACHED_HEADS];
    cached_scores(a, m.k, q, key + threadIdx.x % 32, col, n, seen, score);
#pragma unroll
    for (uint32_t h = 0; h < CACHED_HEADS; h++) {
        float s = score[h] * a.scale;
        if (a.bias.p && h < n) s += attn_bias(a.bias, (int32_t)j - (int32_t)pos, head + h);
        s = seen ? s : -INFINITY;
        w->top[h] = kernel_warp_max(s);
        score[h] = seen ? kernel_exp(s - w->top[h]) : 0.0f;
        w->sum[h] = kernel_warp_sum(score[h]);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            w->acc[h][i] = 0.0f;
    }
    cached_values(a, m.v, key, col, __ballot_sync(KERNEL_ALL, seen), m.width, score, w);
}

/* Shared: q [CACHED_HEADS, hd]; warps' results [CACHED_WARPS, CACHED_HEADS, hd + 2]. */
static __global__ void __launch_bounds__(SPLIT, 4)
    attn_cached(struct kernel_attn a, struct cached_views m, float *scratch, bool last)
{
    float *q = (float *)kernel_shared(), *parts = q + CACHED_HEADS * a.head_dim;
    uint32_t row = blockIdx.x, group = a.heads / a.kv_heads, hd = a.head_dim;
    uint32_t per_group = (group + CACHED_HEADS - 1) / CACHED_HEADS;
    uint32_t in_group = blockIdx.y % per_group * CACHED_HEADS;
    uint32_t head = blockIdx.y / per_group * group + in_group;
    uint32_t n = group - in_group < CACHED_HEADS ? group - in_group : CACHED_HEADS;
    uint32_t j0 = blockIdx.z * SPLIT + threadIdx.x / 32 * 32, pos = a.pos[row];
    bool nothing = blockIdx.z * SPLIT > pos || (blockIdx.z + 1) * SPLIT <= cached_first(a, pos);
    if (nothing) return; /* the whole block */
    for (uint32_t i = threadIdx.x; i < n * hd; i += blockDim.x)
        q[i] = kernel_get(a.q, row, head * hd + i);
    __syncthreads();
    struct cached_warp w;
    cached_warp_run(a, m, q, row, head, n, j0, &w);
    float *mine = parts + threadIdx.x / 32 * CACHED_HEADS * (hd + 2);
#pragma unroll
    for (uint32_t h = 0; h < CACHED_HEADS; h++) {
        if (threadIdx.x % 32 == 0) {
            mine[h * (hd + 2)] = w.top[h];
            mine[h * (hd + 2) + 1] = w.sum[h];
        }
        uint32_t c = threadIdx.x % 32 * KERNEL_CHUNK;
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            if (c + i < hd) mine[h * (hd + 2) + 2 + c + i] = w.acc[h][i];
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < n * hd; i += blockDim.x) {
        uint32_t h = i / hd, c = i - h * hd;
        float top = -INFINITY, sum = 0.0f, o = 0.0f;
        for (uint32_t x = 0; x < CACHED_WARPS; x++)
            top = fmaxf(top, parts[(x * CACHED_HEADS + h) * (hd + 2)]);
        for (uint32_t x = 0; x < CACHED_WARPS; x++) {
            const float *from = parts + (x * CACHED_HEADS + h) * (hd + 2);
            float weight = kernel_exp(from[0] - top); /* 0 for a warp that saw no key */
            sum += weight * from[1];
            o += weight * from[2 + c];
        }
        if (last) {
            kernel_put(a.out, row, (head + h) * hd + c, o / sum);
            continue;
        }
        float *to = split_of(a, scratch, row, head + h, blockIdx.z);
        to[2 + c] = o;
        if (c == 0) to[0] = top, to[1] = sum;
    }
}

/* A warp for each row and head: the splits in order. */
static __global__ void __launch_bounds__(KERNEL_THREADS, 4)
    attn_join(struct kernel_attn a, float *scratch)
{
    uint32_t warps = blockDim.x / 32, total = a.q.rows * a.heads;
    for (uint32_t at = blockIdx.x * warps + threadIdx.x / 32; at < total; at += gridDim.x * warps) {
        uint32_t row = at / a.heads, head = at - row * a.heads, pos = a.pos[row];
        uint32_t from = cached_first(a, pos) / SPLIT, to = pos / SPLIT;
        float top = -INFINITY;
        for (uint32_t x = from; x <= to; x++)
            top = fmaxf(top, split_of(a, scratch, row, head, x)[0]);
        for (uint32_t c = threadIdx.x % 32; c < a.head_dim; c += 32) {
            float sum = 0.0f, o = 0.0f;
            for (uint32_t x = from; x <= to; x++) {
                const float *p = split_of(a, scratch, row, head, x);
                float weight = kernel_exp(p[0] - top);
                sum += weight * p[1];
                o += weight * p[2 + c];
            }
            kernel_put(a.out, row, head * a.head_dim + c, o / sum);
        }
    }
}

size_t kernel_attn_cached_scratch(const struct kernel_attn *a)
{
    size_t splits = a->max_pos / SPLIT + 1;
    if (splits == 1) return 0;
    return (size_t)a->q.rows * a->heads * splits * (a->head_dim + 2) * sizeof(float);
}

void kernel_attn_cached(const struct kernel_attn *a, void *scratch, struct gpu_stream *s)
{
    uint32_t splits = a->max_pos / SPLIT + 1, group = a->heads / a->kv_heads;
    uint32_t per_group = (group + CACHED_HEADS - 1) / CACHED_HEADS;
    struct cached_views m = {kernel_view_of(a->k), kernel_view_of(a->v), 1};
    size_t shared =
        (size_t)CACHED_HEADS * (a->head_dim + CACHED_WARPS * (a->head_dim + 2)) * sizeof(float);
    if (a->q.rows == 0 || !attn_fits(a, s)) return;
    m.k.wide = m.k.wide && a->head_dim % KERNEL_CHUNK == 0;
    m.v.wide = m.v.wide && a->head_dim % KERNEL_CHUNK == 0;
    while (m.width * KERNEL_CHUNK < a->head_dim)
        m.width *= 2;
    KERNEL_LAUNCH(attn_cached, dim3(a->q.rows, a->kv_heads * per_group, splits), SPLIT, shared, s,
                  *a, m, (float *)scratch, splits == 1);
    if (splits > 1)
        KERNEL_LAUNCH(attn_join, kernel_blocks(((uint64_t)a->q.rows * a->heads + 7) / 8),
                      KERNEL_THREADS, 0, s, *a, (float *)scratch);
}
