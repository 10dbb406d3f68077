/* Keys and values of decoding in the order the register tile reads them; attn.h has the layout. */
#include "compute/cpu/attn.h"

#include <string.h>

/* What a block's pieces measure, in bytes. */
struct shape {
    const struct tile *t;
    size_t units, vunits; /* units of k in a panel over keys; in one over columns */
    size_t head;          /* 32 tokens of one head: keys or values */
    size_t block;
};

static struct shape shape_of(const struct cpu *c, const struct dev_kv *v)
{
    struct shape s = {.t = gemm_tile(c->gemm, v->mem.dtype)};
    s.units = gemm_units(s.t, v->head_dim);
    s.vunits = gemm_units(s.t, DEV_KV_BLOCK);
    s.head = (size_t)DEV_KV_BLOCK * v->head_dim * dev_dtype_bytes(v->mem.dtype);
    s.block = 2 * (size_t)v->layers * v->kv_heads * s.head;
    return s;
}

bool cpu_packs_kv(const struct cpu *c, const struct dev_kv *v)
{
    const struct tile *t = gemm_tile(c->gemm, v->mem.dtype);
    bool whole = v->head_dim % DEV_KV_BLOCK == 0 && DEV_KV_BLOCK % t->nr == 0;
    return whole && t->bf16 == (v->mem.dtype == DEV_BF16);
}

/* Head g of a layer, at a block of a slot: keys (0) or values (1). */
static unsigned char *head_at(const struct dev_kv *v, const struct shape *s, size_t slot,
                              size_t block, size_t layer, size_t which, size_t g)
{
    unsigned char *base = dev_mat_ptr(v->mem);
    return base + (slot * (v->len / DEV_KV_BLOCK) + block) * s->block +
           ((2 * layer + which) * v->kv_heads + g) * s->head;
}

struct attn_kv attn_kv_of(const struct cpu *c, const struct dev_call *call, uint32_t slot, size_t g)
{
    const struct dev_kv *v = &call->attn.kv;
    struct shape s = shape_of(c, v);
    return (struct attn_kv){head_at(v, &s, slot, 0, call->attn.layer, 0, g),
                            head_at(v, &s, slot, 0, call->attn.layer, 1, g), s.block};
}

/* ---- rows go in */

/* Neighbouring tokens of a sequence inside one block: rows of k and v, and where they go. */
struct stretch {
    uint32_t row; /* the first */
    size_t n, j;  /* how many; the first one's place in the block */
};

/* Units of a token side by side become a column of a panel. */
static void put_keys(const struct cpu *c, const struct shape *s, struct dev_mat k, size_t col,
                     const struct stretch *x, unsigned char *head)
{
    size_t nr = s->t->nr, bytes = dev_dtype_bytes(k.dtype), row = k.ld * bytes;
    for (size_t i = 0, n; i < x->n; i += n) {
        size_t j = x->j + i, left = x->n - i, panel = nr - j % nr;
        n = row % 4 ? 1 : left < panel ? left : panel;
        uint32_t *to = (uint32_t *)(void *)head + j / nr * nr * s->units + j % nr;
        const unsigned char *from = dev_mat_row(k, x->row + i);
        c->k->transpose(from + col * bytes, row / 4, n, s->units, to, nr);
    }
}

static void put_value_f32(const struct shape *s, const float *from, size_t j, size_t hd,
                          unsigned char *head)
{
    size_t nr = s->t->nr;
    float *to = (float *)(void *)head + j * nr;
    for (size_t c = 0; c < hd; c += nr)
        memcpy(to + c * s->vunits, from + c, nr * sizeof *to);
}

/* The first of a pair also clears the place of the second, and the units that a tile reads with
 * it: what an earlier sequence left there must not be multiplied, not even by 0. */
static void put_value_bf16(const struct shape *s, const uint16_t *from, size_t j, size_t hd,
                           unsigned char *head)
{
    size_t nr = s->t->nr, u = j / 2, end = (u + s->t->kpad) / s->t->kpad * s->t->kpad;
    uint32_t *to = (uint32_t *)(void *)head;
    for (size_t c = 0; c < hd; c += nr, to += s->vunits * nr) {
        uint32_t *pair = to + u * nr;
        for (size_t i = 0; i < nr; i++)
            pair[i] = j % 2 ? (pair[i] & 0xFFFFU) | (uint32_t)from[c + i] << 16 : from[c + i];
        memset(pair + nr, 0, (end - u - 1) * nr * sizeof *to);
    }
}

static void put_values(const struct cpu *c, const struct shape *s, struct dev_mat v, size_t col,
                       size_t hd, const struct stretch *x, unsigned char *head)
{
    for (size_t i = 0; i < x->n; i++) {
        size_t j = x->j + i, pairs = (x->n - i) / 2, nr = s->t->nr;
        const unsigned char *from = dev_mat_row(v, x->row + (uint32_t)i);
        from += col * dev_dtype_bytes(v.dtype);
        if (v.dtype == DEV_F32) {
            put_value_f32(s, (const void *)from, j, hd, head);
        } else if (j % 2 || pairs == 0 || s->t->kpad > 1) {
            put_value_bf16(s, (const void *)from, j, hd, head);
        } else { /* whole pairs, which nothing stands behind */
            for (size_t at = 0; at < hd; at += nr)
                c->k->pair((const uint16_t *)(const void *)from + at, v.ld, 2 * pairs, nr,
                           (uint32_t *)(void *)head + at * s->vunits + j / 2 * nr, nr);
            i += 2 * pairs - 1;
        }
    }
}

struct put {
    const struct cpu *c;
    const struct dev_call *call;
    struct shape s;
};

/* All rows of a head, in order: two of them share a unit. */
static void put_head(const void *context, size_t g, void *scratch)
{
    const struct put *p = context;
    const struct dev_mat *m = p->call->m;
    const struct dev_kv *v = &p->call->kv.v;
    const int32_t *at = dev_mat_ptr(m[2]);
    size_t hd = v->head_dim, layer = p->call->kv.layer;
    (void)scratch;
    for (uint32_t r = 0, n; r < m[0].rows; r += n) {
        size_t slot = (uint32_t)at[r] / v->len, pos = (uint32_t)at[r] % v->len;
        size_t block = pos / DEV_KV_BLOCK, j = pos % DEV_KV_BLOCK;
        CHECK(at[r] >= 0 && slot < v->slots);
        for (n = 1; r + n < m[0].rows && j + n < DEV_KV_BLOCK && at[r + n] == at[r] + (int32_t)n;)
            n++;
        struct stretch x = {r, n, j};
        put_keys(p->c, &p->s, m[0], g * hd, &x, head_at(v, &p->s, slot, block, layer, 0, g));
        put_values(p->c, &p->s, m[1], g * hd, hd, &x, head_at(v, &p->s, slot, block, layer, 1, g));
    }
}

bool cpu_kv_put(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct put p = {c, call, shape_of(c, &call->kv.v)};
    if (!cpu_scratch(c, 64, e)) return false;
    cpu_tasks(c, call->kv.v.kv_heads, put_head, &p);
    return true;
}

/* Whole blocks: what stands before `first` is the same, what stands behind `end` is nobody's. */
bool cpu_kv_copy(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_kv *v = &call->kv.v;
    struct shape s = shape_of(c, v);
    size_t first = call->kv.first / DEV_KV_BLOCK;
    size_t end = (call->kv.end + DEV_KV_BLOCK - 1) / DEV_KV_BLOCK;
    (void)e;
    memcpy(head_at(v, &s, call->kv.to, first, 0, 0, 0),
           head_at(v, &s, call->kv.from, first, 0, 0, 0), (end - first) * s.block);
    return true;
}

/* ---- products with them */

/* Pieces of a block lie a block apart, too short for the processor to see where it goes on. */
static void fetch(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(p + i);
}

static void begin(const struct tile *t)
{
    if (t->begin) t->begin();
}

static void end(const struct tile *t)
{
    if (t->end) t->end();
}

/* All rows by one panel. */
static void run_rows(const struct tile *t, struct tile_args *a, size_t rows)
{
    const unsigned char *from = a->a;
    float *acc = a->acc;
    for (size_t r = 0; r < rows; r += t->mr) {
        a->rows = (uint32_t)(rows - r < t->mr ? rows - r : t->mr);
        a->a = from + r * a->lda;
        a->acc = acc + r * a->ld;
        t->run(a);
    }
}

/* One query's rows by two panels at once, where the tile does that. */
static bool goes_wide(const struct attn_plan *p, size_t rows)
{
    const struct tile *t = p->t;
    return rows <= t->wide_rows && t->nr == DEV_KV_BLOCK && p->hd % (2 * (size_t)t->nr) == 0;
}

/* What both passes of a block of keys or values know. */
struct pass {
    const struct attn_plan *p;
    size_t rows, panel, head; /* rows of a head; bytes of a panel, of a head in a block */
    bool wide;
};

static struct pass pass_of(const struct attn_plan *p, const struct attn_block *b, size_t k)
{
    struct pass x = {.p = p, .rows = p->group * b->n};
    x.panel = gemm_units(p->t, k) * p->t->nr * 4;
    x.head = gemm_units(p->t, DEV_KV_BLOCK) * 4 * p->hd;
    x.wide = goes_wide(p, x.rows);
    return x;
}

/* A head's scores with the keys of a block, or of two (wide), from k on; then: what comes next. */
static void score_block(const struct pass *x, struct tile_args a, const unsigned char *k, size_t n,
                        size_t stride, const unsigned char *then)
{
    const struct tile *t = x->p->t;
    a.b = k;
    if (n > DEV_KV_BLOCK) {
        a.rows = (uint32_t)x->rows;
        a.beside = k + stride;
        a.ahead = then - k;
        t->run_wide(&a);
        return;
    }
    fetch(then, x->head);
    for (size_t in = 0; in < n; in += t->nr, k += x->panel) {
        struct tile_args one = a;
        one.b = k;
        one.acc = a.acc + in;
        run_rows(t, &one, x->rows);
    }
}

void attn_kv_scores(const struct attn_plan *p, const struct attn_block *b, const void *rows,
                    const struct attn_kv *kv, size_t heads, float *s)
{
    const struct tile *t = p->t;
    struct pass x = pass_of(p, b, p->hd);
    size_t lda = gemm_a_bytes(t, p->hd), step = x.wide ? 2 * DEV_KV_BLOCK : DEV_KV_BLOCK;
    begin(t);
    for (size_t j = b->j0; j < b->j1; j += step) {
        size_t n = b->j1 - j < step ? b->j1 - j : step;
        const unsigned char *k = kv->k + j / DEV_KV_BLOCK * kv->stride;
        const unsigned char *then = /* the next keys, or the first values */
            j + step < b->j1 ? k + step / DEV_KV_BLOCK * kv->stride
                             : kv->v + b->j0 / DEV_KV_BLOCK * kv->stride;
        for (size_t h = 0; h < heads; h++, k += x.head, then += x.head) {
            struct tile_args a = {.cols = t->nr,
                                  .k = gemm_units(t, p->hd),
                                  .a = (const unsigned char *)rows + h * x.rows * lda,
                                  .lda = lda,
                                  .acc = s + h * x.rows * p->ld + (j - b->j0),
                                  .ld = p->ld};
            score_block(&x, a, k, n, kv->stride, then);
        }
    }
    end(t);
}

/* A head's part of a block of values; then: what comes next. */
static void weigh_block(const struct pass *x, struct tile_args a, const unsigned char *v,
                        const unsigned char *then)
{
    const struct tile *t = x->p->t;
    float *acc = a.acc;
    a.ahead = then - v;
    if (!x->wide) fetch(then, x->head);
    for (size_t c = 0; c < x->p->hd; c += x->wide ? 2 * t->nr : t->nr) {
        a.b = v + c / t->nr * x->panel;
        a.acc = acc + c;
        if (x->wide) {
            struct tile_args two = a;
            two.rows = (uint32_t)x->rows;
            two.beside = (const unsigned char *)a.b + x->panel;
            t->run_wide(&two);
        } else {
            struct tile_args one = a;
            run_rows(t, &one, x->rows);
        }
    }
}

void attn_kv_weigh(const struct attn_plan *p, const struct attn_block *b, const void *weights,
                   const struct attn_kv *kv, size_t heads, float *out)
{
    const struct tile *t = p->t;
    struct pass x = pass_of(p, b, DEV_KV_BLOCK);
    size_t lda = p->ld * dev_dtype_bytes(p->type);
    begin(t);
    for (size_t j = b->j0; j < b->j1; j += DEV_KV_BLOCK) {
        size_t n = b->j1 - j < DEV_KV_BLOCK ? b->j1 - j : DEV_KV_BLOCK;
        const unsigned char *v = kv->v + j / DEV_KV_BLOCK * kv->stride;
        const unsigned char *then = j + DEV_KV_BLOCK < b->j1 ? v + kv->stride : v;
        for (size_t h = 0; h < heads; h++, v += x.head, then += x.head) {
            struct tile_args a = {.cols = t->nr,
                                  .k = gemm_units(t, n),
                                  .a = (const unsigned char *)weights + h * x.rows * lda +
                                       (j - b->j0) * dev_dtype_bytes(p->type),
                                  .lda = lda,
                                  .acc = out + h * x.rows * p->hd,
                                  .ld = p->hd,
                                  .add = j > b->j0};
            weigh_block(&x, a, v, then);
        }
    }
    end(t);
}
