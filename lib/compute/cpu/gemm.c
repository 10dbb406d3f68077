#include "compute/cpu/gemm.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Bytes of packed panels and of A that should stay in the second-level cache; most rows that meet one panel
 * at a time. Measured with bench_ops; no result depends on them. */
enum { B_BLOCK = 256 * 1024, A_BLOCK = 384 * 1024, MAX_ROWS = 224, CHECK_SCRATCH = 64 * 1024 };

struct gemm {
    const struct tile *f32, *bf16;
    void *a; /* packed A */
    size_t a_bytes;
    float *sum; /* f32 result before it is rounded to bf16 */
    size_t sum_bytes;
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
    _Alignas(64) unsigned char packed[N * K * 4], scratch[CHECK_SCRATCH];
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
    mem_free(g->sum);
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

/* ---- packed operands */
static size_t max_rows(const struct tile *t)
{
    return MAX_ROWS / t->mr * t->mr;
}

/* Sums of a block of rows by one panel, and the same transposed. */
size_t gemm_multiply_bytes(const struct tile *t)
{
    return 2 * max_rows(t) * t->nr * sizeof(float);
}

static void put(const struct cpu *c, const float *acc, size_t ld, size_t rows, size_t cols,
                struct gemm_dst o, size_t r, size_t col)
{
    size_t i = r * o.ld + col;
    if (o.t == DEV_F32)
        c->k->put(acc, ld, rows, cols, o.alpha, o.beta, (float *)o.p + i, o.ld);
    else
        c->k->put_bf16(acc, ld, rows, cols, o.alpha, o.beta, (uint16_t *)o.p + i, o.ld);
}

/* acc [rows, width] holds elements (m0.., n0..). */
static void put_block(const struct cpu *c, const struct tile *t, float *acc, size_t width,
                      size_t rows, size_t cols, struct gemm_dst o, size_t m0, size_t n0)
{
    if (!o.trans) {
        put(c, acc, width, rows, cols, o, m0, n0);
        return;
    }
    float *turned = acc + max_rows(t) * t->nr;
    c->k->transpose((const uint32_t *)(const void *)acc, width, rows, width,
                    (uint32_t *)(void *)turned, max_rows(t));
    put(c, turned, max_rows(t), cols, rows, o, n0, m0);
}

/* May the sums be formed where the result goes? */
static bool in_place(struct gemm_dst o, size_t cols, size_t width)
{
    return o.t == DEV_F32 && !o.trans && o.alpha == 1.0f && o.beta == 0.0f && cols == width;
}

/* Rows [m0, m0 + rows) by one panel of `width` columns. */
static void multiply_panel(const struct cpu *c, const struct tile *t, const struct gemm_packed *p,
                           const size_t at[4], float *acc, struct gemm_dst o)
{
    size_t m0 = at[0], rows = at[1], n0 = at[2], width = at[3];
    size_t cols = p->n - n0 < width ? p->n - n0 : width;
    size_t cuts = (p->k + t->kc - 1) / t->kc;
    size_t kc = cuts ? ((p->k + cuts - 1) / cuts + t->kpad - 1) / t->kpad * t->kpad : 0;
    const unsigned char *b = (const unsigned char *)p->b + n0 * p->depth * 4;
    bool direct = in_place(o, cols, width) && p->k > 0;
    float *sums = direct ? (float *)o.p + m0 * o.ld + n0 : acc;
    size_t ld = direct ? o.ld : width;
    if (p->k == 0) memset(acc, 0, rows * width * sizeof *acc);
    for (size_t k = 0; k < p->k; k += kc) {
        struct tile_args a = {.cols = (uint32_t)width,
                              .k = p->k - k < kc ? p->k - k : kc,
                              .lda = p->lda,
                              .b = b + k * width * 4,
                              .ld = ld,
                              .add = k > 0};
        for (size_t r = 0; r < rows; r += t->mr) {
            a.rows = (uint32_t)(rows - r < t->mr ? rows - r : t->mr);
            a.a = (const unsigned char *)p->a + (m0 + r) * p->lda + k * 4;
            a.acc = sums + r * ld;
            t->run(&a);
        }
    }
    if (!direct) put_block(c, t, acc, width, rows, cols, o, m0, n0);
}

void gemm_multiply(const struct cpu *c, const struct tile *t, const struct gemm_packed *p,
                   struct gemm_dst out, void *scratch)
{
    size_t fit = A_BLOCK / (p->k * 4 + 1) / t->mr * t->mr;
    size_t step = fit < t->mr ? t->mr : fit > max_rows(t) ? max_rows(t) : fit;
    if (t->begin) t->begin();
    for (size_t m = 0; m < p->m; m += step)
        for (size_t n = 0; n < p->n; n += t->nr) {
            size_t rows = p->m - m < step ? p->m - m : step;
            size_t width = p->cols - n <= t->nr / 2 ? t->nr / 2 : t->nr;
            multiply_panel(c, t, p, (size_t[]){m, rows, n, width}, scratch, out);
        }
    if (t->end) t->end();
}

/* ---- one product */
struct job {
    const struct tile *t;
    struct gemm_src a, b;
    struct gemm_dst out;
    uint32_t m, n, k;
    bool pack_a;
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
    const size_t conflict =
        2048; /* rows this far apart fall into few sets of the first-level cache */
    size_t bytes = j->a.ld * dev_dtype_bytes(j->a.t);
    return j->a.trans || (j->a.t == DEV_BF16 && !j->t->bf16) || bytes % conflict == 0 ||
           gemm_units(j->t, j->k) * (j->t->bf16 ? 2 : 1) != j->k;
}

/* Elements moved, roughly: transposing costs twice a copy. */
static uint64_t packing_cost(const struct job *j)
{
    uint64_t a = (uint64_t)j->m * j->k, b = (uint64_t)j->n * j->k, c = (uint64_t)j->m * j->n;
    return (must_pack_a(j) ? (j->a.trans ? 2 * a : a) : 0) + (j->b.trans ? b : 2 * b) +
           (j->out.trans ? c : 0);
}

static size_t block_cols(const struct job *j)
{
    size_t depth = j->k < GEMM_DEPTH ? j->k : GEMM_DEPTH;
    size_t panel = gemm_units(j->t, depth) * 4 * j->t->nr;
    size_t n = panel ? B_BLOCK / panel : 1;
    return (n ? n : 1) * j->t->nr;
}

static size_t job_scratch(const struct job *j)
{
    size_t depth = j->k < GEMM_DEPTH ? j->k : GEMM_DEPTH;
    return gemm_b_bytes(j->t, block_cols(j), depth) + GEMM_PACK_TMP * sizeof(float) +
           gemm_multiply_bytes(j->t);
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

/* k in [k0, k0 + k) of a product */
struct job_step {
    const struct cpu *c;
    const struct job *j;
    const void *a; /* packed rows of this range of k, or NULL */
    size_t k0, k;
};

/* Share `task` of a step, of as many as there are threads. */
static void job_part(const void *context, size_t task, void *scratch)
{
    const struct job_step *part = context;
    const struct cpu *c = part->c;
    const struct job *j = part->j;
    const void *a = part->a;
    size_t range[4], k0 = part->k0, k = part->k;
    share(j, task, (size_t)c->threads, range);
    size_t m0 = range[0], m1 = range[1], step = block_cols(j);
    float *tmp = scratch;
    unsigned char *multiply = (unsigned char *)scratch + GEMM_PACK_TMP * sizeof(float);
    unsigned char *b = multiply + gemm_multiply_bytes(j->t);
    size_t bytes_a = dev_dtype_bytes(j->a.t), bytes_out = dev_dtype_bytes(j->out.t);
    struct gemm_packed p = {.b = b, .depth = gemm_units(j->t, k), .k = gemm_units(j->t, k)};
    struct gemm_src bs = j->b;
    bs.p = (const unsigned char *)bs.p + k0 * (bs.trans ? bs.ld : 1) * dev_dtype_bytes(bs.t);
    p.m = m1 - m0;
    p.lda = a ? gemm_a_bytes(j->t, k) : j->a.ld * bytes_a;
    p.a = a ? (const unsigned char *)a + m0 * p.lda
            : (const unsigned char *)j->a.p + m0 * p.lda + k0 * bytes_a;
    for (size_t n = range[2]; n < range[3]; n += step) {
        struct gemm_dst o = j->out;
        p.n = p.cols = range[3] - n < step ? range[3] - n : step;
        gemm_pack_b(c, j->t, bs, n, p.n, k, tmp, b);
        o.p = (unsigned char *)o.p + (o.trans ? n * o.ld + m0 : m0 * o.ld + n) * bytes_out;
        if (k0 > 0) o.beta = 1.0f;
        gemm_multiply(c, j->t, &p, o, multiply);
    }
}

static bool job_run(struct cpu *c, struct gemm *g, const struct job *j, struct err *e)
{
    size_t depth = j->k < GEMM_DEPTH ? j->k : GEMM_DEPTH;
    if (!cpu_scratch(c, job_scratch(j), e)) return false;
    if (j->pack_a && !cpu_grow(&g->a, &g->a_bytes, j->m * gemm_a_bytes(j->t, depth), e))
        return false;
    for (size_t k0 = 0; k0 == 0 || k0 < j->k; k0 += GEMM_DEPTH) {
        size_t k = j->k - k0 < GEMM_DEPTH ? j->k - k0 : GEMM_DEPTH;
        struct gemm_src s = j->a;
        s.p = (const unsigned char *)s.p + k0 * (s.trans ? s.ld : 1) * dev_dtype_bytes(s.t);
        if (j->pack_a) gemm_pack_a(c, j->t, s, 0, j->m, k, (float *)(void *)c->scratch, g->a);
        struct job_step step = {c, j, j->pack_a ? g->a : NULL, k0, k};
        cpu_tasks(c, (size_t)c->threads, job_part, &step);
    }
    return true;
}

/* A bf16 result of a deep product is summed in f32 and rounded once. */
static bool job_deep_bf16(struct cpu *c, struct gemm *g, struct job *j, struct err *e)
{
    struct gemm_dst to = j->out;
    uint32_t rows = to.trans ? j->n : j->m, cols = to.trans ? j->m : j->n;
    void *sum = g->sum;
    bool ok = cpu_grow(&sum, &g->sum_bytes, (size_t)rows * cols * sizeof(float), e);
    g->sum = sum;
    if (!ok) return false;
    j->out = (struct gemm_dst){g->sum, DEV_F32, cols, 1.0f, 0.0f, to.trans};
    if (!job_run(c, g, j, e)) return false;
    to.trans = false;
    put(c, g->sum, cols, rows, cols, to, 0, 0);
    return true;
}

bool cpu_gemm(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat a = call->m[0], b = call->m[1], to = call->m[2];
    struct dev_gemm g = call->gemm;
    struct job j = {
        .t = gemm_tile(c->gemm, a.dtype),
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
    j.pack_a = must_pack_a(&j);
    if (to.dtype == DEV_BF16 && j.k > GEMM_DEPTH) return job_deep_bf16(c, c->gemm, &j, e);
    return job_run(c, c->gemm, &j, e);
}
