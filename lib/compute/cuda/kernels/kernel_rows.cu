/* Copies and sums of rows. */
#include "compute/cuda/kernels/kernel.cuh"

#ifdef __CUDACC__
unsigned kernel_most_blocks(void)
{
    static unsigned of[64]; /* asked once a device */
    int device = 0, n = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device < 0 || device >= 64) return 1024;
    if (of[device]) return of[device];
    if (cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, device) != cudaSuccess)
        return 1024;
    return of[device] = 32 * (unsigned)(n > 0 ? n : 1);
}
#else
unsigned kernel_most_blocks(void)
{
    return 8; /* few: kernels must stride */
}
#endif

/* ---- zero: bytes */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    zero_rows(unsigned char *p, size_t row_bytes, size_t stride, uint32_t rows, bool wide)
{
    size_t per = (row_bytes + 15) / 16, total = per * rows;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < total;
         i += (size_t)gridDim.x * blockDim.x) {
        size_t row = i / per, at = (i - row * per) * 16;
        unsigned char *to = p + row * stride + at;
        if (wide && row_bytes - at >= 16) {
            uint4 z = {0, 0, 0, 0};
            *(uint4 *)to = z;
            continue;
        }
        for (size_t b = 0; b < 16 && at + b < row_bytes; b++)
            to[b] = 0;
    }
}

void kernel_zero(struct kernel_mat m, struct gpu_stream *s)
{
    size_t bytes = dev_dtype_bytes(m.t), row = m.cols * bytes, stride = m.ld * bytes;
    uint64_t chunks = (uint64_t)m.rows * ((row + 15) / 16);
    bool wide = (uintptr_t)m.p % 16 == 0 && (stride % 16 == 0 || m.rows == 1);
    if (m.rows == 0 || m.cols == 0) return;
    KERNEL_LAUNCH(zero_rows, kernel_blocks((chunks + KERNEL_THREADS - 1) / KERNEL_THREADS),
                  KERNEL_THREADS, 0, s, (unsigned char *)m.p, row, stride, m.rows, wide);
}

/* ---- copies: row src_of(r) to row dst_of(r), at most one of them through idx */
static __device__ __forceinline__ uint32_t row_of(const int32_t *idx, uint32_t i, uint32_t rows)
{
    if (!idx) return i;
    int32_t r = idx[i];
    if (r < 0 || (uint32_t)r >= rows) {
        kernel_stop();
        return 0;
    }
    return (uint32_t)r;
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    copy_rows(float alpha, struct kernel_view src, const int32_t *from, struct kernel_view dst,
              const int32_t *to, uint32_t rows)
{
    kernel_each_chunk(rows, src.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        float v[KERNEL_CHUNK];
        kernel_load(src, row_of(from, r, src.m.rows), c, n, v);
        if (alpha != 1.0f) {
#pragma unroll
            for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
                v[i] *= alpha;
        }
        kernel_store(dst, row_of(to, r, dst.m.rows), c, n, v);
    });
}

static void launch_copy(float alpha, struct kernel_mat src, const int32_t *from,
                        struct kernel_mat dst, const int32_t *to, uint32_t rows,
                        struct gpu_stream *s)
{
    unsigned blocks = kernel_chunk_blocks(s, rows, src.cols);
    if (blocks > 0)
        KERNEL_LAUNCH(copy_rows, blocks, KERNEL_THREADS, 0, s, alpha, kernel_view_of(src), from,
                      kernel_view_of(dst), to, rows);
}

void kernel_scale_cast(float alpha, struct kernel_mat src, struct kernel_mat dst,
                       struct gpu_stream *s)
{
    launch_copy(alpha, src, NULL, dst, NULL, src.rows, s);
}

void kernel_gather_rows(struct kernel_mat src, const int32_t *idx, struct kernel_mat dst,
                        struct gpu_stream *s)
{
    launch_copy(1.0f, src, idx, dst, NULL, dst.rows, s);
}

void kernel_scatter_rows(struct kernel_mat src, const int32_t *idx, struct kernel_mat dst,
                         struct gpu_stream *s)
{
    launch_copy(1.0f, src, NULL, dst, idx, src.rows, s);
}

/* ---- table[ids[i]] += src[i] */

/* Does any thread of the block say yes? red: a word for each warp. */
static __device__ __forceinline__ bool block_any(bool yes, uint32_t *red)
{
    uint32_t warps = blockDim.x / 32, any = 0, mine = __ballot_sync(KERNEL_ALL, yes);
    if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = mine;
    __syncthreads();
    for (uint32_t w = 0; w < warps; w++)
        any |= red[w];
    __syncthreads();
    return any != 0;
}

/* One block for row `first`: nothing to do when the id came before; else it walks over the later
 * ids, a block's width at a time, and adds those rows in order. */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    scatter_add(struct kernel_view src, const int32_t *ids, struct kernel_mat table)
{
    uint32_t *red = (uint32_t *)kernel_shared(), rows = src.m.rows, warps = blockDim.x / 32;
    for (uint32_t first = blockIdx.x; first < rows; first += gridDim.x) {
        int32_t id = ids[first];
        bool before = false;
        for (uint32_t i = threadIdx.x; i < first; i += blockDim.x)
            before = before || ids[i] == id;
        if (block_any(before, red)) continue;
        uint32_t to = row_of(ids, first, table.rows);
        for (uint32_t base = first; base < rows; base += blockDim.x) {
            uint32_t i = base + threadIdx.x;
            uint32_t same = __ballot_sync(KERNEL_ALL, i < rows && ids[i] == id);
            if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = same;
            __syncthreads();
            for (uint32_t w = 0; w < warps; w++)
                for (uint32_t left = red[w]; left; left &= left - 1) {
                    uint32_t row = base + w * 32 + (uint32_t)__ffs((int)left) - 1;
                    for (uint32_t c = threadIdx.x; c < src.m.cols; c += blockDim.x)
                        kernel_put(table, to, c,
                                   kernel_get(table, to, c) + kernel_get(src.m, row, c));
                }
            __syncthreads();
        }
    }
}

void kernel_scatter_add_rows(struct kernel_mat src, const int32_t *ids, struct kernel_mat table,
                             struct gpu_stream *s)
{
    if (src.rows == 0 || src.cols == 0) return;
    KERNEL_LAUNCH(scatter_add, kernel_blocks(src.rows), KERNEL_THREADS,
                  KERNEL_THREADS / 32 * sizeof(uint32_t), s, kernel_view_of(src), ids, table);
}

/* ---- x += y */
static __global__ void __launch_bounds__(KERNEL_THREADS)
    add_rows(struct kernel_view x, struct kernel_view y)
{
    kernel_each_chunk(x.m.rows, x.m.cols, [&](uint32_t r, uint32_t c, uint32_t n) {
        float a[KERNEL_CHUNK], b[KERNEL_CHUNK];
        struct kernel_raw rx = kernel_fetch(x, r, c, n);
        struct kernel_raw ry = kernel_fetch(y, y.m.rows == 1 ? 0 : r, c, n);
        kernel_unpack(x, rx, a);
        kernel_unpack(y, ry, b);
#pragma unroll
        for (uint32_t i = 0; i < KERNEL_CHUNK; i++)
            a[i] += b[i];
        kernel_store(x, r, c, n, a);
    });
}

void kernel_add(struct kernel_mat x, struct kernel_mat y, struct gpu_stream *s)
{
    unsigned blocks = kernel_chunk_blocks(s, x.rows, x.cols);
    if (blocks > 0)
        KERNEL_LAUNCH(add_rows, blocks, KERNEL_THREADS, 0, s, kernel_view_of(x), kernel_view_of(y));
}
