#include "compute/cpu/gemm.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Bytes of packed panels that should stay in the second-level cache, units of k and rows that are summed
 * before the result is put. Measured with bench_ops; no result depends on them. */
enum { B_BLOCK = 2048 * 1024, DEPTH = 1024, DEEP_ROWS = 1024 };

struct gemm {
    const struct tile *f32, *bf16;
    void *a; /* packed A */
    size_t a_bytes;
    char describe[64];
};

static void choose_tiles(struct gemm *g, enum cpu_isa isa)
{
    g->f32 = &tile_generic;
#if defined(__x86_64__)
    if (isa >= CPU_AVX2) g->f32 = &tile_avx2;
    if (isa >= CPU_AVX512) g->f32 = &tile_avx512;
#endif
    g->bf16 = g->f32;
#if defined(__x86_64__)
    if (isa == CPU_AVX512_BF16) g->bf16 = &tile_avx512_bf16;
    if (isa == CPU_AMX) g->bf16 = &tile_amx;
#endif
    (void)isa;
}

/* Small whole numbers, so that the product is exact: does the tile give it? An instruction that a virtual
 * machine promises and does not keep must not end in a wrong adapter. */
static bool tile_agrees(const struct cpu *c, const struct tile *t)
{
    enum { M = 19, N = 23, K = 64 };
    static const uint16_t whole[4] = {0x3F80, 0x4000, 0xBF80, 0xC040}; /* 1, 2, -1, -3 */
    static const int value[4] = {1, 2, -1, -3};
    uint16_t a[M * K], b[N * K];
    float out[M * N], tmp[GEMM_PACK_TMP];
    _Alignas(64) unsigned char packed[N * K * 4], scratch[64 * 1024];
    CHECK(gemm_multiply_bytes(t) <= sizeof scratch && gemm_b_bytes(t, N, K) <= sizeof packed);
    for (int i = 0; i < M * K; i++)
        a[i] = whole[i * 7 % 5 % 4];
    for (int i = 0; i < N * K; i++)
        b[i] = whole[i * 11 % 7 % 4];
    gemm_pack_b(c, t, (struct gemm_src){b, DEV_BF16, K, false}, 0, N, K, tmp, packed);
    struct gemm_packed p = {a, K * 2, packed, gemm_units(t, K), N, M, N, gemm_units(t, K)};
    gemm_multiply(c, t, &p, (struct gemm_dst){out, DEV_F32, N, 1.0f, 0.0f, false}, scratch);
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            int sum = 0;
            for (int k = 0; k < K; k++)
                sum += value[(m * K + k) * 7 % 5 % 4] * value[(n * K + k) * 11 % 7 % 4];
            if (out[m * N + n] != (float)sum) return false;
        }
    return true;
}

bool gemm_open(const struct cpu *c, struct gemm **out, struct err *e)
{
    struct gemm *g = mem_calloc(1, sizeof *g, e);
    if (!g) return false;
    choose_tiles(g, c->isa);
    if (g->bf16->bf16 && !tile_agrees(c, g->bf16)) {
        log_warn("cpu_tile_disagrees", "tile=%s instead=%s", g->bf16->name, g->f32->name);
        g->bf16 = g->f32;
    }
    snprintf(g->describe, sizeof g->describe, "%s/%s", g->f32->name, g->bf16->name);
    *out = g;
    return true;
}

void gemm_close(struct gemm *g)
{
    if (!g) return;
    mem_free(g->a);
    mem_free(g);
}

const char *gemm_describe(const struct gemm *g)
{
    return g->describe;
}

const struct tile *gemm_tile(const struct gemm *g, enum dev_dtype t)
{
    return t == DEV_BF16 ? g->bf16 : g->f32;
}

/* ---- one product */
struct job {
    const struct tile *t;
    struct gemm_src a, b;
    struct gemm_dst out;
    uint32_t m, n, k;
};

/* Exchange the roles: C^T = op(B)^T op(A)^T. */
static void exchange(struct job *j)
{
    struct gemm_src a = j->a;
    uint32_t m = j->m;
    j->a = j->b;
    j->b = a;
    j->m = j->n;
    j->n = m;
    j->out.trans = !j->out.trans;
}

static bool must_pack_a(const struct job *j)
{
    return j->a.trans || (j->a.t == DEV_BF16 && !j->t->bf16) ||
           gemm_units(j->t, j->k) * (j->t->bf16 ? 2 : 1) != j->k;
}

/* Elements moved, roughly: transposing costs twice a copy. */
static uint64_t packing_cost(const struct job *j)
{
    uint64_t a = (uint64_t)j->m * j->k, b = (uint64_t)j->n * j->k, c = (uint64_t)j->m * j->n;
    return (must_pack_a(j) ? (j->a.trans ? 2 * a : a) : 0) + (j->b.trans ? b : 2 * b) +
           (j->out.trans ? c : 0);
}

/* Units of k, and of them at most as many as are packed at a time. */
static size_t job_units(const struct job *j)
{
    return gemm_units(j->t, j->k);
}

static size_t job_depth(const struct job *j)
{
    return job_units(j) < DEPTH ? job_units(j) : DEPTH;
}

static size_t block_cols(const struct job *j)
{
    size_t panel = job_depth(j) * 4 * j->t->nr;
    size_t n = panel ? B_BLOCK / panel : 1;
    return (n ? n : 1) * j->t->nr;
}

/* Pieces of a thread's scratch. */
struct job_scratch {
    float *tmp, *sums;
    void *multiply, *b;
};

static size_t job_layout(const struct job *j, void *base, struct job_scratch *s)
{
    struct cpu_carve v = {.base = base};
    bool deep = job_units(j) > DEPTH;
    s->tmp = cpu_carve(&v, GEMM_PACK_TMP * sizeof(float));
    s->multiply = cpu_carve(&v, gemm_multiply_bytes(j->t));
    s->b = cpu_carve(&v, block_cols(j) * job_depth(j) * 4);
    s->sums = cpu_carve(&v, deep ? DEEP_ROWS * block_cols(j) * sizeof(float) : 0);
    return v.used;
}

/* Share i of n: whole register tiles of rows or of columns, whichever there are more of. */
static void share(const struct job *j, size_t i, size_t n, size_t range[4])
{
    bool rows = j->m > j->n;
    size_t unit = rows ? j->t->mr : j->t->nr, len = rows ? j->m : j->n;
    size_t units = (len + unit - 1) / unit;
    size_t from = units * i / n * unit;
    size_t to = units * (i + 1) / n * unit;
    range[0] = rows ? from : 0;
    range[1] = rows ? (to < len ? to : len) : j->m;
    range[2] = rows ? 0 : from;
    range[3] = rows ? j->n : (to < len ? to : len);
}

struct job_work {
    const struct cpu *c;
    const struct job *j;
    const void *a; /* packed A, or NULL */
};

/* A from row m0 on, k from unit u0 on. */
static void aim_a(const struct job_work *w, size_t m0, size_t u0, struct gemm_packed *p)
{
    const struct job *j = w->j;
    p->lda = w->a ? gemm_a_bytes(j->t, j->k) : j->a.ld * dev_dtype_bytes(j->a.t);
    p->a = (const unsigned char *)(w->a ? w->a : j->a.p) + m0 * p->lda + u0 * 4;
}

/* Pack columns [n, n + p->n) of B, units [u0, u0 + p->k). */
static void aim_b(const struct job_work *w, size_t n, size_t u0, struct job_scratch *s,
                  struct gemm_packed *p)
{
    const struct job *j = w->j;
    size_t k0 = u0 * (j->t->bf16 ? 2 : 1), k = p->k * (j->t->bf16 ? 2 : 1);
    struct gemm_src b = j->b;
    b.p = (const unsigned char *)b.p + k0 * (b.trans ? b.ld : 1) * dev_dtype_bytes(b.t);
    gemm_pack_b(w->c, j->t, b, n, p->n, j->k - k0 < k ? j->k - k0 : k, s->tmp, s->b);
    p->b = s->b;
    p->depth = p->k;
    p->cols = p->n;
}

static struct gemm_dst aim_out(const struct job *j, size_t m0, size_t n)
{
    struct gemm_dst o = j->out;
    o.p = (unsigned char *)o.p + (o.trans ? n * o.ld + m0 : m0 * o.ld + n) * dev_dtype_bytes(o.t);
    return o;
}

/* Rows [m0, m0 + rows) by columns [n, n + cols) when k is too long for one packing: the sums wait in scratch. */
static void deep_block(const struct job_work *w, size_t m0, size_t rows, size_t n, size_t cols,
                       struct job_scratch *s)
{
    const struct tile *t = w->j->t;
    size_t units = job_units(w->j), ld = block_cols(w->j);
    size_t step = gemm_row_block(t, DEPTH);
    struct gemm_packed p = {.m = rows, .n = cols};
    for (size_t u = 0; u < units; u += DEPTH) {
        p.k = units - u < DEPTH ? units - u : DEPTH;
        aim_a(w, m0, u, &p);
        aim_b(w, n, u, s, &p);
        if (t->begin) t->begin();
        for (size_t m = 0; m < rows; m += step)
            for (size_t c = 0; c < cols; c += t->nr)
                gemm_sum(t, &p, m, rows - m < step ? rows - m : step, c,
                         (struct gemm_sums){s->sums + m * ld + c, ld, u > 0});
        if (t->end) t->end();
    }
    for (size_t m = 0; m < rows; m += step)
        for (size_t c = 0; c < cols; c += t->nr)
            gemm_put(w->c, t, (struct gemm_sums){s->sums + m * ld + c, ld, false},
                     rows - m < step ? rows - m : step, cols - c < t->nr ? cols - c : t->nr,
                     aim_out(w->j, m0, n), m, c, s->multiply);
}

/* The share of one of as many tasks as there are threads. */
static void job_part(const void *context, size_t task, void *scratch)
{
    const struct job_work *w = context;
    const struct job *j = w->j;
    struct job_scratch s;
    size_t range[4], step = block_cols(j);
    bool deep = job_units(j) > DEPTH;
    (void)job_layout(j, scratch, &s);
    share(j, task, (size_t)w->c->threads, range);
    for (size_t n = range[2]; n < range[3]; n += step) {
        size_t cols = range[3] - n < step ? range[3] - n : step;
        struct gemm_packed p = {.m = range[1] - range[0], .n = cols, .k = job_units(j)};
        for (size_t m = range[0]; deep && m < range[1]; m += DEEP_ROWS)
            deep_block(w, m, range[1] - m < DEEP_ROWS ? range[1] - m : DEEP_ROWS, n, cols, &s);
        if (deep) continue;
        aim_a(w, range[0], 0, &p);
        aim_b(w, n, 0, &s, &p);
        gemm_multiply(w->c, j->t, &p, aim_out(j, range[0], n), s.multiply);
    }
}

bool cpu_gemm(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat a = call->m[0], b = call->m[1], to = call->m[2];
    struct dev_gemm g = call->gemm;
    struct gemm *own = c->gemm;
    struct job j = {
        .t = gemm_tile(own, a.dtype),
        .a = {dev_mat_ptr(a), a.dtype, a.ld, g.trans_a},
        .b = {dev_mat_ptr(b), b.dtype, b.ld, !g.trans_b},
        .out = {dev_mat_ptr(to), to.dtype, to.ld, g.alpha, g.beta, false},
        .m = to.rows,
        .n = to.cols,
        .k = g.trans_a ? a.rows : a.cols,
    };
    if (j.m == 0 || j.n == 0) return true;
    struct job other = j;
    exchange(&other);
    if (packing_cost(&other) < packing_cost(&j)) j = other;
    struct job_scratch s;
    struct job_work w = {c, &j, NULL};
    if (!cpu_scratch(c, job_layout(&j, NULL, &s), e)) return false;
    if (must_pack_a(&j)) {
        if (!cpu_grow(&own->a, &own->a_bytes, j.m * gemm_a_bytes(j.t, j.k), e)) return false;
        gemm_pack_a(c, j.t, j.a, 0, j.m, j.k, c->scratch, own->a);
        w.a = own->a;
    }
    cpu_tasks(c, (size_t)c->threads, job_part, &w);
    return true;
}
