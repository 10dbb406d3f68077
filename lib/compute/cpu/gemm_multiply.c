/*
 * Packed operands times each other: blocks that fit the caches, one register tile after the other.
 */
#include "compute/cpu/gemm.h"

#include <string.h>

/* Bytes of A that should stay in the second-level cache; most rows that meet one panel at a time.
 * Measured with bench_ops; no result depends on them. */
enum { A_BLOCK = 384 * 1024, MAX_ROWS = 224 };

static size_t max_rows(const struct tile *t)
{
    return MAX_ROWS / t->mr * t->mr;
}

/* Rows of one tile: as even as can be. Rows a multiple of 4096 bytes apart fall into one set of
 * the first-level cache: fewer at a time, then. */
static size_t tile_rows(const struct tile *t, size_t rows, size_t lda)
{
    size_t most = t->row_unit == 1 && lda % 4096 == 0 && t->mr > 8 ? 8 : t->mr;
    size_t tiles = rows ? (rows + most - 1) / most : 1, even = (rows + tiles - 1) / tiles;
    return (even + t->row_unit - 1) / t->row_unit * t->row_unit;
}

/* Units of k at a time: even cuts of at most t->kc. */
static size_t depth_step(const struct tile *t, size_t k)
{
    size_t cuts = (k + t->kc - 1) / t->kc;
    return cuts ? ((k + cuts - 1) / cuts + t->kpad - 1) / t->kpad * t->kpad : 1;
}

size_t gemm_row_block(const struct tile *t, size_t k)
{
    size_t fit = A_BLOCK / (k * 4 + 1) / t->mr * t->mr;
    return fit < t->mr ? t->mr : fit > max_rows(t) ? max_rows(t) : fit;
}

size_t gemm_panel_width(const struct tile *t, const struct gemm_packed *p, size_t n0)
{
    return p->cols - n0 <= t->nr / 2 ? t->nr / 2 : t->nr;
}

static const unsigned char *row_of(const struct gemm_packed *p, size_t m)
{
    return (const unsigned char *)p->a + m * p->lda;
}

static const unsigned char *panel_of(const struct gemm_packed *p, size_t n0)
{
    return (const unsigned char *)p->b + n0 * p->depth * 4;
}

/* How rows and k are cut: found once for many tiles. */
struct cuts {
    size_t rows, kc;
};

static struct cuts cuts_of(const struct tile *t, const struct gemm_packed *p, size_t rows)
{
    return (struct cuts){tile_rows(t, rows, p->lda), depth_step(t, p->k)};
}

/* The sums of p, then those of p2 (one cut of k, or NULL). */
struct sums_of {
    const struct tile *t;
    const struct gemm_packed *p, *p2;
    struct cuts cut;
    enum tile_end end; /* where finished sums go; to o, from its row 0 and column 0 on */
    struct gemm_dst o;
};

/* Of rows [m0, m0 + rows) by the panel at column n0. */
static void sum_panel(const struct sums_of *x, size_t m0, size_t rows, size_t n0,
                      struct gemm_sums s)
{
    const struct gemm_packed *p = x->p, *p2 = x->p2;
    size_t width = gemm_panel_width(x->t, p, n0), row = x->o.ld * dev_dtype_bytes(x->o.t);
    const unsigned char *b = panel_of(p, n0);
    for (size_t k = 0; k < p->k; k += x->cut.kc) {
        bool last = k + x->cut.kc >= p->k;
        struct tile_args a = {.cols = (uint32_t)width,
                              .k = last ? p->k - k : x->cut.kc,
                              .lda = p->lda,
                              .b = b + k * width * 4,
                              .ld = s.ld,
                              .add = s.add || k > 0,
                              .end = last ? x->end : TILE_TO_ACC,
                              .ld_to = x->o.ld};
        if (last && p2) {
            a.k2 = p2->k;
            a.lda2 = p2->lda;
            a.b2 = panel_of(p2, n0);
        }
        for (size_t r = 0; r < rows; r += x->cut.rows) {
            a.rows = (uint32_t)(rows - r < x->cut.rows ? rows - r : x->cut.rows);
            a.a = row_of(p, m0 + r) + k * 4;
            if (last && p2) a.a2 = row_of(p2, m0 + r);
            a.acc = s.p + r * s.ld;
            if (a.end != TILE_TO_ACC)
                a.to = (unsigned char *)x->o.p + (m0 + r) * row + n0 * dev_dtype_bytes(x->o.t);
            x->t->run(&a);
        }
    }
}

void gemm_sum(const struct tile *t, const struct gemm_packed *p, size_t m0, size_t rows, size_t n0,
              struct gemm_sums s)
{
    size_t width = gemm_panel_width(t, p, n0);
    if (p->k == 0 && !s.add)
        for (size_t r = 0; r < rows; r++)
            memset(s.p + r * s.ld, 0, width * sizeof *s.p);
    struct sums_of x = {.t = t, .p = p, .cut = cuts_of(t, p, rows)};
    sum_panel(&x, m0, rows, n0, s);
}

void gemm_add(const struct tile *t, const struct gemm_packed *p, struct gemm_sums s)
{
    size_t step = gemm_row_block(t, p->k);
    if (t->begin) t->begin();
    for (size_t m = 0; m < p->m; m += step)
        for (size_t n = 0; n < p->n; n += t->nr)
            gemm_sum(t, p, m, p->m - m < step ? p->m - m : step, n,
                     (struct gemm_sums){s.p + m * s.ld + n, s.ld, s.add});
    if (t->end) t->end();
}

static void put(const struct cpu *c, const float *sums, size_t ld, size_t rows, size_t cols,
                struct gemm_dst o, size_t r, size_t col)
{
    size_t i = r * o.ld + col;
    if (o.t == DEV_F32)
        c->k->put(sums, ld, rows, cols, o.alpha, o.beta, (float *)o.p + i, o.ld);
    else
        c->k->put_bf16(sums, ld, rows, cols, o.alpha, o.beta, (uint16_t *)o.p + i, o.ld);
}

size_t gemm_put_bytes(const struct tile *t)
{
    return max_rows(t) * t->nr * sizeof(float);
}

void gemm_put(const struct cpu *c, const struct tile *t, struct gemm_sums s, size_t rows,
              size_t cols, struct gemm_dst o, size_t m0, size_t n0, float *turned)
{
    if (!o.trans) {
        put(c, s.p, s.ld, rows, cols, o, m0, n0);
        return;
    }
    c->k->transpose(s.p, s.ld, rows, cols, (uint32_t *)(void *)turned, max_rows(t));
    put(c, turned, max_rows(t), cols, rows, o, n0, m0);
}

/* Sums of a block of rows by one panel, and the same transposed. */
size_t gemm_multiply_bytes(const struct tile *t)
{
    return 2 * gemm_put_bytes(t);
}

/* How the tile brings whole panels to o by itself, if it can. */
static enum tile_end end_of(const struct tile *t, struct gemm_dst o)
{
    bool plain = !o.trans && o.alpha == 1.0f, adds = o.beta == 1.0f;
    enum tile_end end = TILE_TO_ACC;
    if (!plain || (o.beta != 0.0f && !adds)) return end;
    if (o.t == DEV_F32) end = adds ? TILE_TO_F32_ADD : TILE_TO_F32;
    if (o.t == DEV_BF16 && !adds) end = TILE_TO_BF16;
    return t->ends[end] ? end : TILE_TO_ACC;
}

struct product {
    const struct cpu *c;
    const struct tile *t;
    const struct gemm_packed *p;
    size_t terms;
    bool joined; /* a tile takes both terms while its sums are in registers */
    struct gemm_dst o;
    enum tile_end end; /* of whole panels */
    float *sums, *turned;
};

static struct sums_of sums_of(const struct product *x, struct cuts cut)
{
    return (struct sums_of){
        .t = x->t, .p = x->p, .p2 = x->joined ? x->p + 1 : NULL, .cut = cut, .o = x->o};
}

/* Every term in turn: one chain of sums. cut: of the first. */
static void sum_terms(const struct product *x, struct cuts cut, size_t m0, size_t rows, size_t n0,
                      struct gemm_sums s)
{
    const struct gemm_packed *p = x->p;
    struct sums_of first = sums_of(x, cut);
    if (p->k > 0)
        sum_panel(&first, m0, rows, n0, s);
    else
        gemm_sum(x->t, p, m0, rows, n0, s);
    if (x->terms < 2 || x->joined) return;
    s.add = true;
    gemm_sum(x->t, p + 1, m0, rows, n0, s);
}

/* Rows [m0, m0 + rows) by one panel. */
static void multiply_panel(const struct product *x, size_t m0, size_t rows, size_t n0)
{
    const struct gemm_packed *p = x->p;
    const struct tile *t = x->t;
    size_t width = gemm_panel_width(t, p, n0), cols = p->n - n0 < width ? p->n - n0 : width;
    struct cuts cut = cuts_of(t, p, rows);
    struct gemm_sums s = {x->sums, width, false};
    if (x->end != TILE_TO_ACC && cols == width) {
        struct sums_of whole = sums_of(x, cut);
        whole.end = x->end;
        sum_panel(&whole, m0, rows, n0, s);
        return;
    }
    /* when one pass over k does it, a tile's sums leave while they are in the first-level cache */
    size_t step = !x->o.trans && p->k <= t->kc ? cut.rows : rows;
    for (size_t r = 0; r < rows; r += step) {
        size_t n = rows - r < step ? rows - r : step;
        sum_terms(x, cut, m0 + r, n, n0, s);
        gemm_put(x->c, t, s, n, cols, x->o, m0 + r, n0, x->turned);
    }
}

void gemm_multiply(const struct cpu *c, const struct tile *t, const struct gemm_packed *p,
                   size_t terms, struct gemm_dst out, void *scratch)
{
    struct product x = {.c = c,
                        .t = t,
                        .p = p,
                        .terms = terms,
                        .joined = terms == 2 && p[0].k > 0 && p[1].k > 0 && p[1].k <= t->kc,
                        .o = out,
                        .sums = scratch,
                        .turned = (float *)scratch + max_rows(t) * t->nr};
    size_t step = gemm_row_block(t, p->k);
    if (p->k > 0 && (terms < 2 || x.joined)) x.end = end_of(t, out);
    if (t->begin) t->begin();
    for (size_t m = 0; m < p->m; m += step)
        for (size_t n = 0; n < p->n; n += t->nr)
            multiply_panel(&x, m, p->m - m < step ? p->m - m : step, n);
    if (t->end) t->end();
}
