/* Ops that sum over rows or columns: norms, the loss, argmax, dot products of columns. */
#include "compute/cuda/kernels/kernel.cuh"

/* Threads at one row: enough for two chunks each. A function of the width alone: so is the order of
 * its sums. */
static uint32_t team_size(uint32_t cols)
{
    uint32_t size = 32;
    while (size < KERNEL_THREADS && size * 2 * KERNEL_CHUNK < cols)
        size *= 2;
    return size;
}

static unsigned team_blocks(uint32_t rows, uint32_t team)
{
    uint32_t at_once = KERNEL_THREADS / team;
    return kernel_blocks((rows + at_once - 1) / at_once);
}

static struct kernel_view row_view(const float *p, uint32_t cols)
{
    struct kernel_mat m = {(void *)p, DEV_F32, 1, cols, cols};
    return kernel_view_of(m);
}

/* Chunks of a row, shared by its team. */
#define EACH_OF_ROW(t, cols)                                                                       \
    for (uint32_t c = (t).lane * KERNEL_CHUNK, n; c < (cols); c += (t).size * KERNEL_CHUNK)        \
        if (n = (cols)-c < KERNEL_CHUNK ? (cols)-c : KERNEL_CHUNK, true)

/* Rows of a matrix, one a team; `here` is false for teams beyond the last row, which take part in
 * the sums all the same. */
#define EACH_ROW(t, count)                                                                         \
    for (uint32_t r0 = blockIdx.x * (t).rows; r0 < (count); r0 += gridDim.x * (t).rows)

/* ---- rmsnorm */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    rmsnorm_rows(struct kernel_view x, struct kernel_view w, float eps, struct kernel_view y,
                 float *rstd, struct kernel_view keep, uint32_t team)
{
    float *red = (float *)kernel_shared();
    struct kernel_team t = kernel_team_of(team);
    EACH_ROW(t, x.m.rows)
    {
        uint32_t r = r0 + t.row, cols = r < x.m.rows ? x.m.cols : 0;
        float a[KERNEL_CHUNK], b[KERNEL_CHUNK], sum = 0.0f;
        EACH_OF_ROW(t, cols)
        {
            kernel_load(x, r, c, n, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                sum = fmaf(a[i], a[i], sum);
        }
        sum = kernel_team_sum(t, sum, red);
        float s = 1.0f / sqrtf(sum / (float)x.m.cols + eps);
        if (rstd && cols && t.lane == 0) rstd[r] = s;
        EACH_OF_ROW(t, cols)
        {
            kernel_load(x, r, c, n, a);
            kernel_load(w, 0, c, n, b);
            if (keep.m.p) kernel_store(keep, r, c, n, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                a[i] = a[i] * s * b[i];
            kernel_store(y, r, c, n, a);
        }
    }
}

void kernel_rmsnorm(struct kernel_mat x, const float *w, float eps, struct kernel_mat y,
                    float *rstd, struct kernel_mat keep, struct gpu_stream *s)
{
    uint32_t team = team_size(x.cols);
    if (x.rows == 0 || x.cols == 0) return;
    KERNEL_LAUNCH(rmsnorm_rows, team_blocks(x.rows, team), KERNEL_THREADS,
                  KERNEL_THREADS / 32 * sizeof(float), s, kernel_view_of(x), row_view(w, x.cols),
                  eps, kernel_view_of(y), rstd, kernel_view_of(keep), team);
}

/* dx_j += s (dy_j w_j - x_j s^2 / n sum_i dy_i w_i x_i) */
static __global__ void __launch_bounds__(KERNEL_THREADS, 3)
    rmsnorm_bwd_rows(struct kernel_view dy, struct kernel_view x, struct kernel_view w,
                     const float *rstd, struct kernel_view dx, uint32_t team)
{
    float *red = (float *)kernel_shared();
    struct kernel_team t = kernel_team_of(team);
    EACH_ROW(t, x.m.rows)
    {
        uint32_t r = r0 + t.row, cols = r < x.m.rows ? x.m.cols : 0;
        float d[KERNEL_CHUNK], a[KERNEL_CHUNK], b[KERNEL_CHUNK], sum = 0.0f;
        EACH_OF_ROW(t, cols)
        {
            struct kernel_raw rd = kernel_fetch(dy, r, c, n), ra = kernel_fetch(x, r, c, n);
            kernel_load(w, 0, c, n, b);
            kernel_unpack(dy, rd, d);
            kernel_unpack(x, ra, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                sum = fmaf(d[i] * b[i], a[i], sum);
        }
        sum = kernel_team_sum(t, sum, red);
        float s = cols ? rstd[r] : 0.0f, k = s * s * sum / (float)x.m.cols;
        EACH_OF_ROW(t, cols)
        {
            struct kernel_raw rd = kernel_fetch(dy, r, c, n), ra = kernel_fetch(x, r, c, n);
            struct kernel_raw ro = kernel_fetch(dx, r, c, n);
            kernel_load(w, 0, c, n, b);
            kernel_unpack(dy, rd, d);
            kernel_unpack(x, ra, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                a[i] = s * (d[i] * b[i] - a[i] * k);
            kernel_unpack(dx, ro, b);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                b[i] += a[i];
            kernel_store(dx, r, c, n, b);
        }
    }
}

/* As rmsnorm_rows and rmsnorm_bwd_rows, term by term. */
static __global__ void __launch_bounds__(KERNEL_THREADS, 3)
    rmsnorm_back_rows(struct kernel_view dy, struct kernel_view x, struct kernel_view w, float eps,
                      struct kernel_view dx, struct kernel_view y, struct kernel_view to,
                      uint32_t team)
{
    float *red = (float *)kernel_shared();
    struct kernel_team t = kernel_team_of(team);
    EACH_ROW(t, x.m.rows)
    {
        uint32_t r = r0 + t.row, cols = r < x.m.rows ? x.m.cols : 0;
        float d[KERNEL_CHUNK], a[KERNEL_CHUNK], b[KERNEL_CHUNK], squares = 0.0f, sum = 0.0f;
        EACH_OF_ROW(t, cols)
        {
            struct kernel_raw rd = kernel_fetch(dy, r, c, n), ra = kernel_fetch(x, r, c, n);
            kernel_load(w, 0, c, n, b);
            kernel_unpack(dy, rd, d);
            kernel_unpack(x, ra, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
                squares = fmaf(a[i], a[i], squares);
                sum = fmaf(d[i] * b[i], a[i], sum);
            }
        }
        squares = kernel_team_sum(t, squares, red);
        sum = kernel_team_sum(t, sum, red);
        float s = 1.0f / sqrtf(squares / (float)x.m.cols + eps), k = s * s * sum / (float)x.m.cols;
        EACH_OF_ROW(t, cols)
        {
            struct kernel_raw rd = kernel_fetch(dy, r, c, n), ra = kernel_fetch(x, r, c, n);
            struct kernel_raw ro = kernel_fetch(dx, r, c, n);
            kernel_load(w, 0, c, n, b);
            kernel_unpack(dy, rd, d);
            kernel_unpack(x, ra, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
                d[i] = s * (d[i] * b[i] - a[i] * k);
                a[i] = a[i] * s * b[i];
            }
            if (y.m.p) kernel_store(y, r, c, n, a);
            kernel_unpack(dx, ro, b);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                b[i] += d[i];
            kernel_store(dx, r, c, n, b);
            kernel_store(to, r, c, n, b);
        }
    }
}

void kernel_rmsnorm_back(const struct kernel_rmsnorm_back *g, struct gpu_stream *s)
{
    uint32_t team = team_size(g->x.cols);
    if (g->x.rows == 0 || g->x.cols == 0) return;
    KERNEL_LAUNCH(rmsnorm_back_rows, team_blocks(g->x.rows, team), KERNEL_THREADS,
                  KERNEL_THREADS / 32 * sizeof(float), s, kernel_view_of(g->dy),
                  kernel_view_of(g->x), row_view(g->w, g->x.cols), g->eps, kernel_view_of(g->dx),
                  kernel_view_of(g->y), kernel_view_of(g->to), team);
}

/* ---- sums of columns: first over segments of rows, then over the segments, both in order */
constexpr uint32_t SEGMENT = 64;

static uint32_t segments_of(uint32_t rows)
{
    return rows / SEGMENT + (rows % SEGMENT != 0);
}

/* part[segment, j] = sum over its rows t of scale[t] a[t, j] b[t, j]; scale NULL: 1. */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    col_segments(struct kernel_view a, struct kernel_view b, const float *scale, float *part)
{
    uint32_t c = (blockIdx.x * blockDim.x + threadIdx.x) * KERNEL_CHUNK, cols = a.m.cols;
    uint32_t r0 = blockIdx.y * SEGMENT, n = cols - c < KERNEL_CHUNK ? cols - c : KERNEL_CHUNK;
    uint32_t end = a.m.rows - r0 < SEGMENT ? a.m.rows : r0 + SEGMENT;
    float x[KERNEL_CHUNK], y[KERNEL_CHUNK], sum[KERNEL_CHUNK] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (c >= cols) return;
    for (uint32_t r = r0; r < end; r++) {
        float k = scale ? scale[r] : 1.0f;
        struct kernel_raw rx = kernel_fetch(a, r, c, n), ry = kernel_fetch(b, r, c, n);
        kernel_unpack(a, rx, x);
        kernel_unpack(b, ry, y);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            sum[i] = fmaf(k * x[i], y[i], sum[i]);
    }
    for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
        if (i < n) part[(size_t)blockIdx.y * cols + c + i] = sum[i];
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    col_finish(const float *part, uint32_t segments, uint32_t cols, float *out, bool add)
{
    uint32_t j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= cols) return;
    float sum = add ? out[j] : 0.0f;
    for (uint32_t i = 0; i < segments; i++)
        sum += part[(size_t)i * cols + j];
    out[j] = sum;
}

static void launch_cols(struct kernel_mat a, struct kernel_mat b, const float *scale, float *out,
                        bool add, void *scratch, struct gpu_stream *s)
{
    uint32_t cols = a.cols, segments = segments_of(a.rows), most = 65535;
    uint32_t wide = KERNEL_THREADS * KERNEL_CHUNK;
    if (cols == 0) return;
    if (segments > most) {
        kernel_refuse(s, "col_segments", "sums of columns over more than 4 million rows");
        return;
    }
    if (segments > 0)
        KERNEL_LAUNCH(col_segments, dim3((cols + wide - 1) / wide, segments), KERNEL_THREADS, 0, s,
                      kernel_view_of(a), kernel_view_of(b), scale, (float *)scratch);
    KERNEL_LAUNCH(col_finish, (cols + KERNEL_THREADS - 1) / KERNEL_THREADS, KERNEL_THREADS, 0, s,
                  (const float *)scratch, segments, cols, out, add);
}

size_t kernel_col_dot_scratch(uint32_t rows, uint32_t cols)
{
    return (size_t)segments_of(rows) * cols * sizeof(float);
}

void kernel_col_dot(struct kernel_mat a, struct kernel_mat b, float *out, void *scratch,
                    struct gpu_stream *s)
{
    launch_cols(a, b, NULL, out, false, scratch, s);
}

size_t kernel_rmsnorm_bwd_scratch(uint32_t rows, uint32_t cols)
{
    return kernel_col_dot_scratch(rows, cols);
}

void kernel_rmsnorm_bwd(const struct kernel_rmsnorm_grad *g, void *scratch, struct gpu_stream *s)
{
    uint32_t team = team_size(g->x.cols);
    if (g->x.rows == 0 || g->x.cols == 0) return;
    if (g->dw) launch_cols(g->dy, g->x, g->rstd, g->dw, true, scratch, s);
    KERNEL_LAUNCH(rmsnorm_bwd_rows, team_blocks(g->x.rows, team), KERNEL_THREADS,
                  KERNEL_THREADS / 32 * sizeof(float), s, kernel_view_of(g->dy),
                  kernel_view_of(g->x), row_view(g->w, g->x.cols), g->rstd, kernel_view_of(g->dx),
                  team);
}

/* ---- layernorm */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    layernorm_rows(struct kernel_view x, struct kernel_view w, struct kernel_view b, float eps,
                   struct kernel_view y, uint32_t team)
{
    float *red = (float *)kernel_shared();
    struct kernel_team t = kernel_team_of(team);
    EACH_ROW(t, x.m.rows)
    {
        uint32_t r = r0 + t.row, cols = r < x.m.rows ? x.m.cols : 0;
        float a[KERNEL_CHUNK], k[KERNEL_CHUNK], o[KERNEL_CHUNK], sum = 0.0f;
        EACH_OF_ROW(t, cols)
        {
            kernel_load(x, r, c, n, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                sum += a[i];
        }
        float mean = kernel_team_sum(t, sum, red) / (float)x.m.cols;
        sum = 0.0f;
        EACH_OF_ROW(t, cols)
        {
            kernel_load(x, r, c, n, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                sum += i < n ? (a[i] - mean) * (a[i] - mean) : 0.0f;
        }
        float s = 1.0f / sqrtf(kernel_team_sum(t, sum, red) / (float)x.m.cols + eps);
        EACH_OF_ROW(t, cols)
        {
            kernel_load(x, r, c, n, a);
            kernel_load(w, 0, c, n, k);
            kernel_load(b, 0, c, n, o);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                a[i] = (a[i] - mean) * s * k[i] + o[i];
            kernel_store(y, r, c, n, a);
        }
    }
}

void kernel_layernorm(struct kernel_mat x, const float *w, const float *b, float eps,
                      struct kernel_mat y, struct gpu_stream *s)
{
    uint32_t team = team_size(x.cols);
    if (x.rows == 0 || x.cols == 0) return;
    KERNEL_LAUNCH(layernorm_rows, team_blocks(x.rows, team), KERNEL_THREADS,
                  KERNEL_THREADS / 32 * sizeof(float), s, kernel_view_of(x), row_view(w, x.cols),
                  row_view(b, x.cols), eps, kernel_view_of(y), team);
}

/* ---- norms of rows, in f64 */
static __global__ void __launch_bounds__(KERNEL_THREADS) row_norms(struct kernel_view x, float *out)
{
    uint32_t lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (uint32_t r = blockIdx.x * warps + threadIdx.x / 32; r < x.m.rows; r += gridDim.x * warps) {
        float a[KERNEL_CHUNK];
        double sum = 0.0;
        for (uint32_t c = lane * KERNEL_CHUNK; c < x.m.cols; c += 32 * KERNEL_CHUNK) {
            uint32_t n = x.m.cols - c < KERNEL_CHUNK ? x.m.cols - c : KERNEL_CHUNK;
            kernel_load(x, r, c, n, a);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                sum += (double)a[i] * (double)a[i];
        }
#pragma unroll
        for (int w = 16; w > 0; w /= 2)
            sum += __shfl_xor_sync(KERNEL_ALL, sum, w);
        if (lane == 0) out[r] = (float)sqrt(sum);
    }
}

void kernel_row_norms(struct kernel_mat x, float *out, struct gpu_stream *s)
{
    uint32_t warps = KERNEL_THREADS / 32;
    if (x.rows > 0)
        KERNEL_LAUNCH(row_norms, kernel_blocks((x.rows + warps - 1) / warps), KERNEL_THREADS, 0, s,
                      kernel_view_of(x), out);
}

/* ---- cross-entropy: one block a row, the largest value and the sum in one pass */
constexpr uint32_t LOSS_THREADS = 512;

/* Largest value, and the sum of exp(x - top) of those seen. */
struct soft {
    float top, sum;
};

static __device__ __forceinline__ struct soft soft_join(struct soft a, struct soft b)
{
    struct soft r;
    r.top = fmaxf(a.top, b.top);
    float base = r.top == -INFINITY ? 0.0f : r.top; /* nothing seen: exp(-inf), not NaN */
    r.sum = a.sum * kernel_exp(a.top - base) + b.sum * kernel_exp(b.top - base);
    return r;
}

/* Over the block, to every thread. A warp's part is the same in all lanes: + and max commute. */
static __device__ __forceinline__ struct soft soft_block(struct soft s, float *red)
{
#pragma unroll
    for (int w = 16; w > 0; w /= 2) {
        struct soft o;
        o.top = __shfl_xor_sync(KERNEL_ALL, s.top, w);
        o.sum = __shfl_xor_sync(KERNEL_ALL, s.sum, w);
        s = soft_join(s, o);
    }
    if (threadIdx.x % 32 == 0) {
        red[threadIdx.x / 32 * 2] = s.top;
        red[threadIdx.x / 32 * 2 + 1] = s.sum;
    }
    __syncthreads();
    s.top = red[0], s.sum = red[1];
    for (uint32_t w = 1; w < LOSS_THREADS / 32; w++) {
        struct soft o = {red[2 * w], red[2 * w + 1]};
        s = soft_join(s, o);
    }
    __syncthreads();
    return s;
}

static __device__ __forceinline__ struct soft soft_row(const struct kernel_view &x, uint32_t r)
{
    struct soft s = {-INFINITY, 0.0f};
    for (uint32_t c = threadIdx.x * KERNEL_CHUNK; c < x.m.cols; c += LOSS_THREADS * KERNEL_CHUNK) {
        float v[KERNEL_CHUNK];
        uint32_t n = x.m.cols - c < KERNEL_CHUNK ? x.m.cols - c : KERNEL_CHUNK;
        struct soft here = {-INFINITY, 0.0f};
        kernel_load(x, r, c, n, v);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            here.top = i < n ? fmaxf(here.top, v[i]) : here.top;
        float top = fmaxf(s.top, here.top), base = top == -INFINITY ? 0.0f : top;
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            here.sum += i < n ? kernel_exp(v[i] - base) : 0.0f;
        s.sum = s.sum * kernel_exp(s.top - base) + here.sum;
        s.top = top;
    }
    return s;
}

static __global__ void __launch_bounds__(LOSS_THREADS)
    xent_rows(struct kernel_view x, const int32_t *labels, float *loss, struct kernel_view to,
              bool grad, float scale)
{
    float *red = (float *)kernel_shared();
    for (uint32_t r = blockIdx.x; r < x.m.rows; r += gridDim.x) {
        uint32_t label = (uint32_t)labels[r];
        if (label >= x.m.cols) {
            kernel_stop();
            label = 0;
        }
        float hit = threadIdx.x == 0 ? kernel_get(x.m, r, label) : 0.0f; /* before it is changed */
        struct soft s = soft_block(soft_row(x, r), red);
        float lse = s.top + logf(s.sum);
        if (threadIdx.x == 0) loss[r] = lse - hit;
        if (!grad) continue;
        for (uint32_t c = threadIdx.x * KERNEL_CHUNK; c < x.m.cols;
             c += LOSS_THREADS * KERNEL_CHUNK) {
            float v[KERNEL_CHUNK];
            uint32_t n = x.m.cols - c < KERNEL_CHUNK ? x.m.cols - c : KERNEL_CHUNK;
            kernel_load(x, r, c, n, v);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                v[i] = (kernel_exp(v[i] - lse) - (c + i == label ? 1.0f : 0.0f)) * scale;
            kernel_store(to, r, c, n, v);
        }
    }
}

void kernel_xent(struct kernel_mat logits, const int32_t *labels, float *loss, struct kernel_mat to,
                 bool grad, float scale, struct gpu_stream *s)
{
    if (logits.rows > 0)
        KERNEL_LAUNCH(xent_rows, kernel_blocks(logits.rows), LOSS_THREADS,
                      LOSS_THREADS / 32 * 2 * sizeof(float), s, kernel_view_of(logits), labels,
                      loss, kernel_view_of(to), grad, scale);
}

/* ---- argmax */
struct best {
    float v;
    uint32_t at;
};

/* The larger value, then the lower index. NaN never wins. */
static __device__ __forceinline__ struct best best_of(struct best a, struct best b)
{
    return b.v > a.v || (b.v == a.v && b.at < a.at) ? b : a;
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    argmax_rows(struct kernel_view x, int32_t *out)
{
    float *vs = (float *)kernel_shared();
    uint32_t *ats = (uint32_t *)(vs + KERNEL_THREADS / 32);
    for (uint32_t r = blockIdx.x; r < x.m.rows; r += gridDim.x) {
        struct best b = {-INFINITY, UINT32_MAX};
        for (uint32_t c = threadIdx.x * KERNEL_CHUNK; c < x.m.cols;
             c += KERNEL_THREADS * KERNEL_CHUNK) {
            float v[KERNEL_CHUNK];
            uint32_t n = x.m.cols - c < KERNEL_CHUNK ? x.m.cols - c : KERNEL_CHUNK;
            kernel_load(x, r, c, n, v);
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++) {
                struct best o = {v[i], c + i};
                if (i < n) b = best_of(b, o);
            }
        }
#pragma unroll
        for (int w = 16; w > 0; w /= 2) {
            struct best o;
            o.v = __shfl_xor_sync(KERNEL_ALL, b.v, w);
            o.at = __shfl_xor_sync(KERNEL_ALL, b.at, w);
            b = best_of(b, o);
        }
        if (threadIdx.x % 32 == 0) {
            vs[threadIdx.x / 32] = b.v;
            ats[threadIdx.x / 32] = b.at;
        }
        __syncthreads();
        for (uint32_t w = 0; w < KERNEL_THREADS / 32; w++) {
            struct best o = {vs[w], ats[w]};
            b = best_of(b, o);
        }
        if (threadIdx.x == 0) out[r] = b.at == UINT32_MAX ? 0 : (int32_t)b.at;
        __syncthreads();
    }
}

void kernel_argmax(struct kernel_mat logits, int32_t *out, struct gpu_stream *s)
{
    if (logits.rows > 0)
        KERNEL_LAUNCH(argmax_rows, kernel_blocks(logits.rows), KERNEL_THREADS,
                      KERNEL_THREADS / 32 * 8, s, kernel_view_of(logits), out);
}
