#include "compute/cpu/gemm.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Bytes of packed panels that should stay in the second-level cache, units of k and rows that are
 * summed before the result is put. Measured with bench_ops; no result depends on them. */
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

/* Small whole numbers, so that the product is exact: does the tile give it? An instruction that a
 * virtual machine promises and does not keep must not end in a wrong adapter. */
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
    gemm_multiply(c, t, &p, 1, (struct gemm_dst){out, DEV_F32, N, 1.0f, 0.0f, false}, scratch);
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

/* ---- one product: C = alpha (A B + A2 B2) + beta C, the second term optional */
struct term {
    struct gemm_src a, b;
    uint32_t k;
    const void *packed_a; /* or NULL: A is read where it lies */
};

struct job {
    const struct tile *t;
    struct term term[2];
    size_t terms;
    struct gemm_dst out;
    uint32_t m, n;
};

/* Exchange the roles: C^T = op(B)^T op(A)^T. */
static void exchange(struct job *j)
{
    uint32_t m = j->m;
    for (size_t i = 0; i < j->terms; i++) {
        struct gemm_src a = j->term[i].a;
        j->term[i].a = j->term[i].b;
        j->term[i].b = a;
    }
    j->m = j->n;
    j->n = m;
    j->out.trans = !j->out.trans;
}

static size_t term_units(const struct job *j, size_t i)
{
    return gemm_units(j->t, j->term[i].k);
}

static bool must_pack_a(const struct job *j, size_t i)
{
    const struct term *t = &j->term[i];
    return t->a.trans || (t->a.t == DEV_BF16 && !j->t->bf16) ||
           term_units(j, i) * (j->t->bf16 ? 2 : 1) != t->k;
}

/* Time of moving elements and of multiplying them, in hundredths of a nanosecond where bench_ops
 * was run: rows side by side, transposed, both; a result stored transposed; a thousand
 * multiply-adds of bf16. Products are cut by it, by their shape alone. */
enum { PAIR = 1, TURN = 3, PAIR_AND_TURN = 4, PUT_TURNED = 8, THOUSAND_MULTIPLIED = 440 };

/* B of all terms, n columns of it. */
static uint64_t packing_b_cost(const struct job *j, uint64_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < j->terms; i++)
        sum += (j->term[i].b.trans ? PAIR : TURN) * n * j->term[i].k;
    return sum;
}

static uint64_t packing_cost(const struct job *j)
{
    uint64_t sum = j->out.trans ? PUT_TURNED * (uint64_t)j->m * j->n : 0;
    for (size_t i = 0; i < j->terms; i++)
        if (must_pack_a(j, i))
            sum += (j->term[i].a.trans ? PAIR_AND_TURN : PAIR) * (uint64_t)j->m * j->term[i].k;
    return sum + packing_b_cost(j, j->n);
}

static bool is_deep(const struct job *j)
{
    return term_units(j, 0) > DEPTH || (j->terms > 1 && term_units(j, 1) > DEPTH);
}

/* Units of k that are packed at a time. */
static size_t packed_units(const struct job *j)
{
    return is_deep(j) ? DEPTH : term_units(j, 0) + (j->terms > 1 ? term_units(j, 1) : 0);
}

static size_t block_cols(const struct job *j)
{
    size_t nr = j->t->nr, panel = packed_units(j) * 4 * nr, all = (j->n + nr - 1) / nr;
    size_t n = panel ? B_BLOCK / panel : 1;
    return (n < 1 ? 1 : n < all ? n : all) * nr;
}

/* Pieces of a thread's scratch. */
struct job_scratch {
    float *tmp, *sums;
    void *multiply;
    unsigned char *b;
};

static size_t job_layout(const struct job *j, void *base, struct job_scratch *s)
{
    struct cpu_carve v = {.base = base};
    s->tmp = cpu_carve(&v, GEMM_PACK_TMP * sizeof(float));
    s->multiply = cpu_carve(&v, gemm_multiply_bytes(j->t));
    s->b = cpu_carve(&v, block_cols(j) * packed_units(j) * 4);
    s->sums = cpu_carve(&v, is_deep(j) ? DEEP_ROWS * block_cols(j) * sizeof(float) : 0);
    return v.used;
}

/* Shares side by side and one below the other, as many as there are threads: whole register tiles.
 * Who shares columns packs them again, so many rows are not always better than many columns. */
struct grid {
    size_t rows, cols;
};

static uint64_t share_cost(const struct job *j, struct grid g)
{
    const struct tile *t = j->t;
    uint64_t high = (j->m + t->mr - 1) / t->mr, wide = (j->n + t->nr - 1) / t->nr, k = 0;
    high = (high + g.rows - 1) / g.rows * t->mr;
    wide = (wide + g.cols - 1) / g.cols * t->nr;
    for (size_t i = 0; i < j->terms; i++)
        k += j->term[i].k;
    return high * wide * k * THOUSAND_MULTIPLIED / 1000 + packing_b_cost(j, wide);
}

static struct grid grid_of(const struct job *j, size_t threads)
{
    struct grid best = {1, threads};
    for (size_t r = 2; r <= threads; r++) {
        struct grid g = {r, threads / r};
        if (threads % r == 0 && share_cost(j, g) < share_cost(j, best)) best = g;
    }
    return best;
}

/* Units i of n of a length, in elements. */
static void cut(size_t len, size_t unit, size_t i, size_t n, size_t range[2])
{
    size_t units = (len + unit - 1) / unit, to = units * (i + 1) / n * unit;
    range[0] = units * i / n * unit;
    range[1] = to < len ? to : len;
}

struct job_work {
    const struct cpu *c;
    const struct job *j;
    struct grid grid;
};

/* A from row m0 and unit u0 of term i on; columns [n, n + p->n) of its B, packed to `to`; p->k
 * units of k. */
static void aim(const struct job_work *w, size_t i, size_t m0, size_t n, size_t u0, float *tmp,
                void *to, struct gemm_packed *p)
{
    const struct tile *tile = w->j->t;
    const struct term *t = &w->j->term[i];
    size_t per_unit = tile->bf16 ? 2 : 1, k0 = u0 * per_unit, k = p->k * per_unit;
    p->lda = t->packed_a ? gemm_a_bytes(tile, t->k) : t->a.ld * dev_dtype_bytes(t->a.t);
    p->a = (const unsigned char *)(t->packed_a ? t->packed_a : t->a.p) + m0 * p->lda + u0 * 4;
    struct gemm_src b = t->b;
    b.p = (const unsigned char *)b.p + k0 * (b.trans ? b.ld : 1) * dev_dtype_bytes(b.t);
    gemm_pack_b(w->c, tile, b, n, p->n, t->k - k0 < k ? t->k - k0 : k, tmp, to);
    p->b = to;
    p->depth = p->k;
    p->cols = p->n;
}

static struct gemm_dst aim_out(const struct job *j, size_t m0, size_t n)
{
    struct gemm_dst o = j->out;
    o.p = (unsigned char *)o.p + (o.trans ? n * o.ld + m0 : m0 * o.ld + n) * dev_dtype_bytes(o.t);
    return o;
}

static void flat_block(const struct job_work *w, const size_t range[4], size_t n, size_t cols,
                       struct job_scratch *s)
{
    struct gemm_packed p[2];
    unsigned char *b = s->b;
    for (size_t i = 0; i < w->j->terms; i++) {
        p[i] = (struct gemm_packed){.m = range[1] - range[0], .n = cols, .k = term_units(w->j, i)};
        aim(w, i, range[0], n, 0, s->tmp, b, &p[i]);
        b += block_cols(w->j) * p[i].k * 4;
    }
    gemm_multiply(w->c, w->j->t, p, w->j->terms, aim_out(w->j, range[0], n), s->multiply);
}

/* Rows [m0, m0 + rows) by columns [n, n + cols) when k is too long for one packing: the sums wait
 * in scratch. */
static void deep_block(const struct job_work *w, size_t m0, size_t rows, size_t n, size_t cols,
                       struct job_scratch *s)
{
    const struct tile *t = w->j->t;
    size_t ld = block_cols(w->j), step = gemm_row_block(t, DEPTH);
    struct gemm_packed p = {.m = rows, .n = cols};
    for (size_t i = 0; i < w->j->terms; i++)
        for (size_t u = 0, units = term_units(w->j, i); u < units; u += DEPTH) {
            p.k = units - u < DEPTH ? units - u : DEPTH;
            aim(w, i, m0, n, u, s->tmp, s->b, &p);
            gemm_add(t, &p, (struct gemm_sums){s->sums, ld, i + u > 0});
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
    struct job_scratch s;
    size_t range[4], step = block_cols(w->j);
    (void)job_layout(w->j, scratch, &s);
    cut(w->j->m, w->j->t->mr, task / w->grid.cols, w->grid.rows, range);
    cut(w->j->n, w->j->t->nr, task % w->grid.cols, w->grid.cols, range + 2);
    if (range[0] >= range[1]) return;
    for (size_t n = range[2]; n < range[3]; n += step) {
        size_t cols = range[3] - n < step ? range[3] - n : step;
        if (!is_deep(w->j)) {
            flat_block(w, range, n, cols, &s);
            continue;
        }
        for (size_t m = range[0]; m < range[1]; m += DEEP_ROWS)
            deep_block(w, m, range[1] - m < DEEP_ROWS ? range[1] - m : DEEP_ROWS, n, cols, &s);
    }
}

/* Pack what cannot be read where it lies. */
static bool pack_all_a(struct cpu *c, struct gemm *g, struct job *j, struct err *e)
{
    size_t bytes[2] = {0, 0};
    for (size_t i = 0; i < j->terms; i++)
        if (must_pack_a(j, i)) bytes[i] = (size_t)j->m * gemm_a_bytes(j->t, j->term[i].k);
    if (!cpu_grow(&g->a, &g->a_bytes, bytes[0] + bytes[1], e)) return false;
    for (size_t i = 0; i < j->terms; i++) {
        struct term *t = &j->term[i];
        if (!bytes[i]) continue;
        void *to = (unsigned char *)g->a + (i ? bytes[0] : 0);
        gemm_pack_a(c, j->t, t->a, 0, j->m, t->k, c->scratch, to);
        t->packed_a = to;
    }
    return true;
}

static struct term term_of(struct dev_gemm g, struct dev_mat a, struct dev_mat b)
{
    return (struct term){{dev_mat_ptr(a), a.dtype, a.ld, g.trans_a},
                         {dev_mat_ptr(b), b.dtype, b.ld, !g.trans_b},
                         g.trans_a ? a.rows : a.cols,
                         NULL};
}

bool cpu_gemm(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_mat *m = call->m;
    struct dev_gemm g = call->gemm;
    struct job_scratch s;
    struct job j = {.t = gemm_tile(c->gemm, m[0].dtype),
                    .terms = m[3].buf ? 2 : 1,
                    .out = {dev_mat_ptr(m[2]), m[2].dtype, m[2].ld, g.alpha, g.beta, false},
                    .m = m[2].rows,
                    .n = m[2].cols};
    if (j.m == 0 || j.n == 0) return true;
    j.term[0] = term_of(g, m[0], m[1]);
    if (m[3].buf) j.term[1] = term_of(g, m[3], m[4]);
    struct job other = j;
    exchange(&other);
    if (packing_cost(&other) < packing_cost(&j)) j = other;
    if (!cpu_scratch(c, job_layout(&j, NULL, &s), e)) return false;
    if (!pack_all_a(c, c->gemm, &j, e)) return false;
    size_t threads = (size_t)c->threads;
    cpu_tasks(c, threads, job_part, &(struct job_work){c, &j, grid_of(&j, threads)});
    return true;
}
