/*
 * compute/cuda/kernels - the CUDA kernels behind the ops of dev.h, one launcher an op.
 *
 * The main idea: a launcher takes device addresses, shapes and a stream, puts its kernels into the
 * stream and returns; semantics are those of dev.h, operand for operand, and the shapes were
 * checked there. It knows neither buffers nor the device table (gpu.h, the plug-in): so the same
 * .cu files are compiled for the CPU by the tests (tests/support/cuda_shim.h), which compare each
 * launcher with the cpu device.
 *
 * Failures are the stream's (gpu_stream.h): of a launch, of a shape beyond the limits below. A row
 * index that is out of range traps: the stream is dead from there on, as the host after CHECK.
 *
 * Bits: every result is a function of the inputs alone: no sum depends on the size of the grid, on
 * the GPU's model or on what ran before; there are no floating-point atomics. "exact" below = the
 * same bits as the cpu device; else the tests' tolerance is named there (relative, root mean
 * square; run on the CPU: a GPU's own exp and division, where they are used - activations, loss,
 * attention -, are a few units in the last place further off).
 *
 * Speed: all but attention are bound by memory. "B/el" = bytes of device memory read and written
 * for each element of the largest matrix, by design (f32 counts 4, bf16 2); second reads of a row
 * that the caches hold are not counted. 16-byte accesses where the base address is a multiple of
 * 16 and the row length of 16 bytes; else slower ones, the same result.
 *
 * Scratch: device memory, aligned to 16, of at least the bytes that the function of the same name
 * with _scratch says; contents do not matter before or after. Free to be reused by the next launch
 * on the same stream.
 *
 * Limits: a matrix of at most 2^31 - 1 chunks of 8 (2^34 values); head_dim <= 256.
 *
 * Does not do: matrix products (gpu.h), copies between host and device, waiting.
 */
#pragma once
#include "compute/cuda/gpu_stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#include "compute/dev.h"

/* As struct dev_mat, with an address. p NULL: left out, where dev.h allows that. */
struct kernel_mat {
    void *p;
    enum dev_dtype t;
    uint32_t rows, cols, ld;
};

/* ---- copies */
/* 1 to 8 B/el written; any dtype. */
void kernel_zero(struct kernel_mat m, struct gpu_stream *s);
/* Exact. B/el: size of both dtypes. dst may be src. */
void kernel_scale_cast(float alpha, struct kernel_mat src, struct kernel_mat dst,
                       struct gpu_stream *s);
/* Exact. idx: I32, on the device. B/el: size of both dtypes. */
void kernel_gather_rows(struct kernel_mat src, const int32_t *idx, struct kernel_mat dst,
                        struct gpu_stream *s);
void kernel_scatter_rows(struct kernel_mat src, const int32_t *idx, struct kernel_mat dst,
                         struct gpu_stream *s);
/* Exact: the block of the first row with an id adds all its rows, in order. B/el of src: its size,
 * and 8 for each distinct id's row. Rows of one id are added one after the other: slow when half of
 * all rows have the same. */
void kernel_scatter_add_rows(struct kernel_mat src, const int32_t *ids, struct kernel_mat table,
                             struct gpu_stream *s);
/* Exact. B/el: twice x and once y (one row: none). */
void kernel_add(struct kernel_mat x, struct kernel_mat y, struct gpu_stream *s);

/* ---- blocks of a transformer; w, b, rstd, inv_freq: f32 rows on the device */
/* Within 1e-6 of the cpu device. rstd and keep may be NULL. B/el: 4 + the size of y and of keep. */
void kernel_rmsnorm(struct kernel_mat x, const float *w, float eps, struct kernel_mat y,
                    float *rstd, struct kernel_mat keep, struct gpu_stream *s);
struct kernel_rmsnorm_grad {
    struct kernel_mat dy, x;
    const float *w, *rstd;
    struct kernel_mat dx;
    float *dw; /* NULL: not wanted; else dy and x are read once more */
};
/* Within 2e-6. B/el: 12 + dy's size. The scratch is for dw alone. */
void kernel_rmsnorm_bwd(const struct kernel_rmsnorm_grad *g, void *scratch, struct gpu_stream *s);
size_t kernel_rmsnorm_bwd_scratch(uint32_t rows, uint32_t cols);
/* The same bits as kernel_rmsnorm, then kernel_rmsnorm_bwd, then a cast. B/el: 8 + the sizes of dy,
 * x, y and to. */
struct kernel_rmsnorm_back {
    struct kernel_mat dy, x;
    const float *w;
    float eps;
    struct kernel_mat dx, y, to; /* y: p may be NULL */
};
void kernel_rmsnorm_back(const struct kernel_rmsnorm_back *g, struct gpu_stream *s);
/* Exact. B/el: twice x. */
void kernel_rope(struct kernel_mat x, uint32_t heads, const int32_t *pos, const float *inv_freq,
                 bool inverse, struct gpu_stream *s);
/* Within 1e-6. B/el: 4 + y's size. */
void kernel_layernorm(struct kernel_mat x, const float *w, const float *b, float eps,
                      struct kernel_mat y, struct gpu_stream *s);
/* ---- attention
 *
 * Work is cut into tiles of at most KERNEL_TILE neighbours of one sample: of queries for out and
 * dq, of keys for dk and dv. The table of tiles is made on the host once for a packed batch and
 * serves all its layers. A sample without queries has key tiles (its dk and dv become 0). */
enum { KERNEL_TILE = 64 };
struct kernel_tile {
    uint32_t i0;     /* position in the sample of the tile's first query, or key */
    uint32_t q0, nq; /* the sample's rows of q */
    uint32_t k0, nk; /* and of k, v */
};
/* How many tiles; out, unless NULL, is filled. Host only. */
uint32_t kernel_attn_tiles(const uint32_t *cu, const uint32_t *cu_k, uint32_t nseq, bool of_keys,
                           struct kernel_tile *out);

struct kernel_attn {
    struct kernel_mat q, k, v, out;
    struct kernel_mat lse; /* f32 [heads, T]; fwd: may be left out */
    const struct kernel_tile *tiles;
    uint32_t ntiles;
    uint32_t heads, kv_heads, head_dim;
    float scale;
    uint32_t window;
    bool bidirectional;
    struct kernel_mat bias; /* may be left out */
    /* backward */
    struct kernel_mat dout, dq, dk, dv;
    struct kernel_mat dbias; /* may be left out */
    const struct kernel_tile *key_tiles;
    uint32_t nkey_tiles;
    /* cached; pos of each row, and the largest of them */
    const uint32_t *slot, *pos;
    uint32_t max_len, max_pos;
};
/* bf16 with head_dim 64 or 128 (forward: 32, too) and rows at multiples of 16 bytes: tensor cores
 * (mma.m16n8k16), scores and sums in f32, P rounded to bf16; within 4e-3 of the cpu device. All
 * else: plain f32 arithmetic, within 2e-6 in f32; some ten times slower.
 *
 * A query's result does not depend on the others of its batch. Forward reads k and v once for each
 * tile of queries and head that sees them (from L2), writes out and lse once. */
void kernel_attn_fwd(const struct kernel_attn *a, struct gpu_stream *s);
/* FlashAttention-2 without atomics: one block owns a tile of queries and adds up its dq, another
 * owns a tile of keys and adds up dk, dv over the heads of its group, so scores are made twice.
 * Within 1e-2 in bf16 (dbias: of its largest values), 5e-6 in f32. */
void kernel_attn_bwd(const struct kernel_attn *a, void *scratch, struct gpu_stream *s);
size_t kernel_attn_bwd_scratch(const struct kernel_attn *a);
/* k, v: the cache. One row of q against its slot's keys, in splits of 128 keys that are joined in
 * order: a row's bits depend on nothing but its slot's keys and its position. Memory: the visible
 * part of the cache once. Within 4e-3 in bf16, 2e-6 in f32. */
void kernel_attn_cached(const struct kernel_attn *a, void *scratch, struct gpu_stream *s);
size_t kernel_attn_cached_scratch(const struct kernel_attn *a);

/* Within 1e-6. B/el of y: x once or, gated, twice, and y. */
void kernel_act(enum dev_act act, struct kernel_mat x, struct kernel_mat y, struct gpu_stream *s);
/* Within 3e-6, y (p may be NULL) as kernel_act makes it. B/el of dy: dy and y, and x and dx once
 * or, gated, twice. */
void kernel_act_bwd(enum dev_act act, struct kernel_mat dy, struct kernel_mat x,
                    struct kernel_mat dx, struct kernel_mat y, struct gpu_stream *s);
/* Exact. B/el: x and y. */
void kernel_dropout(struct kernel_mat x, float p, uint64_t key, uint64_t base, struct kernel_mat y,
                    struct gpu_stream *s);
/* Loss and gradient, which goes to `to` (it may be logits), within 1e-6. B/el: 8 and to's size with
 * grad (a row is read twice, the second time from L2 where the rows at work fit), 4 without. One
 * block a row. */
void kernel_xent(struct kernel_mat logits, const int32_t *labels, float *loss, struct kernel_mat to,
                 bool grad, float scale, struct gpu_stream *s);
/* Exact. B/el: logits once. */
void kernel_argmax(struct kernel_mat logits, int32_t *out, struct gpu_stream *s);
/* The token that the cpu device draws, unless sums fall within 2^-44 of each other. draws: on the
 * device. A row is read 9 to 24 times, from L2 but for the first: 8 bytes of it decide at once. One
 * block a row. */
void kernel_sample(struct kernel_mat logits, const struct dev_draw *draws, int32_t *out,
                   struct gpu_stream *s);

/* ---- frozen weights in few bits: exact. B/el: 1 (int8) or 0.52 (nf4) + out's size. */
void kernel_dequant_int8(struct kernel_mat codes, const float *scales, struct kernel_mat out,
                         struct gpu_stream *s);
void kernel_dequant_nf4(const uint8_t *codes, const uint8_t *scales, const float *outer,
                        const float *table, struct kernel_mat out, struct gpu_stream *s);

/* ---- rows and columns */
/* Within 1e-7: the sum is made in f64, in another order than the cpu device's. B/el: x once. */
void kernel_row_norms(struct kernel_mat x, float *out, struct gpu_stream *s);
/* Exact. B/el: x and y. */
void kernel_scale_cols(struct kernel_mat x, const float *scales, struct kernel_mat y,
                       struct gpu_stream *s);
/* Within 2e-6: rows are summed in order inside segments of 64, then the segments in order. B/el: a
 * and b. */
void kernel_col_dot(struct kernel_mat a, struct kernel_mat b, float *out, void *scratch,
                    struct gpu_stream *s);
size_t kernel_col_dot_scratch(uint32_t rows, uint32_t cols);
/* Exact. 12 B/el. */
void kernel_ratio(const float *a, const float *b, float *out, uint32_t n, struct gpu_stream *s);

/* ---- optimizer */
/* Exact. 20 B/el. */
void kernel_accum_fixed(const float *g, int shift, int64_t *acc, int32_t *overflow, uint32_t n,
                        struct gpu_stream *s);
/* Exact. 12 B/el. */
void kernel_from_fixed(const int64_t *acc, int shift, double scale, float *g, uint32_t n,
                       struct gpu_stream *s);
/* out: one number on the device. absmax exact, sumsq within 1e-12: in f64, over spans of 2048
 * chunks, then over the spans. 4 B/el. */
void kernel_absmax(struct kernel_mat g, float *out, void *scratch, struct gpu_stream *s);
void kernel_sumsq(struct kernel_mat g, double *out, void *scratch, struct gpu_stream *s);
size_t kernel_reduce_scratch(uint32_t rows, uint32_t cols);
/* Exact. 28 B/el. */
void kernel_adamw(const struct dev_adamw *o, const float *g, float *p, float *m, float *v,
                  uint32_t n, struct gpu_stream *s);

#ifdef __cplusplus
}
#endif
