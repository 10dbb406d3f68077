#include "compute/cpu/attn.h"

#include <math.h>
#include <string.h>

/* Rows of a block at most: enough to fill register tiles, few enough to waste little on masked
 * scores. */
enum { BLOCK_ROWS = 64 };

void attn_plan_init(struct attn_plan *p, const struct cpu *c, const struct dev_attn *a,
                    enum dev_dtype t, size_t most_queries, size_t most_keys)
{
    CHECK(a->scale > 0.0f); /* the largest score must stay the largest */
    p->c = c;
    p->t = gemm_tile(c->gemm, t);
    p->a = a;
    p->type = p->t->bf16 ? DEV_BF16 : DEV_F32;
    p->hd = a->head_dim;
    p->group = a->heads / a->kv_heads;
    size_t most = BLOCK_ROWS / p->t->mr * p->t->mr / p->group;
    p->queries = most < 1 ? 1 : most;
    if (p->queries > most_queries) p->queries = most_queries;
    p->rows = p->group * p->queries;
    p->keys = most_keys;
    p->span = most_queries + most_keys;
    p->ld = (most_keys + 64) / 32 * 32 + 16; /* never a multiple of the page size */
    p->align = p->t->nr;
}

size_t attn_longest(const uint32_t *cu, uint32_t nseq)
{
    size_t n = 1;
    for (uint32_t s = 0; s < nseq; s++)
        if (cu[s + 1] - cu[s] > n) n = cu[s + 1] - cu[s];
    return n;
}

size_t attn_bias_bytes(const struct attn_plan *p)
{
    return p->a->bias.buf ? p->group * p->span * sizeof(float) : 0;
}

void attn_bias_spread(const struct attn_plan *p, size_t g, size_t last, size_t nkeys,
                      struct attn_bias *b)
{
    struct dev_mat m = p->a->bias;
    size_t reach = m.rows / 2;
    if (!m.buf) return;
    CHECK(last + nkeys <= p->span);
    b->at = last;
    for (size_t h = 0; h < p->group; h++) {
        float *to = b->p + h * p->span;
        for (size_t d = 0; d < last + nkeys; d++) { /* distance d - last */
            size_t row = d + reach < last ? 0 : d + reach - last;
            row = row < m.rows ? row : m.rows - 1;
            to[d] = ((const float *)dev_mat_row(m, row))[g * p->group + h];
        }
    }
}

struct attn_block attn_block_of(const struct attn_plan *p, size_t i0, size_t end)
{
    struct attn_block b = {.i0 = i0, .n = end - i0 < p->queries ? end - i0 : p->queries};
    size_t from, to;
    attn_visible(p, i0, &from, &to);
    b.j0 = from / p->align * p->align; /* a whole panel */
    attn_visible(p, i0 + b.n - 1, &from, &to);
    b.j1 = to;
    return b;
}

void attn_pack_rows(const struct attn_plan *p, struct dev_mat m, size_t r0, size_t n, size_t g,
                    float *tmp, void *out)
{
    size_t bytes = gemm_a_bytes(p->t, p->hd);
    for (size_t h = 0; h < p->group; h++)
        gemm_pack_a(p->c, p->t, attn_head(m, r0, g * p->group + h, p->hd, false), 0, n, p->hd, tmp,
                    (unsigned char *)out + h * n * bytes);
}

void attn_scores(const struct attn_plan *p, const struct attn_block *b, const void *rows,
                 const void *packed, float *s, void *scratch)
{
    size_t units = gemm_units(p->t, p->hd);
    struct gemm_packed m = {.a = rows,
                            .lda = gemm_a_bytes(p->t, p->hd),
                            .b = (const unsigned char *)packed + b->j0 * units * 4,
                            .depth = units,
                            .cols = p->keys - b->j0,
                            .m = p->group * b->n,
                            .n = b->j1 - b->j0,
                            .k = units};
    gemm_multiply(p->c, p->t, &m, 1, (struct gemm_dst){s, DEV_F32, p->ld, 1.0f, 0.0f, false},
                  scratch);
}

/* A panel at a time, because in each of them k starts at j0. */
void attn_weigh(const struct attn_plan *p, const struct attn_block *b, const void *weights,
                size_t row0, size_t rows, const void *packed, struct gemm_dst out, void *scratch)
{
    size_t nr = p->t->nr, depth = gemm_units(p->t, p->keys), lda = p->ld * dev_dtype_bytes(p->type);
    size_t skip = b->j0 / (p->t->bf16 ? 2 : 1), out_bytes = dev_dtype_bytes(out.t);
    for (size_t c = 0; c < p->hd; c += nr) {
        size_t n = p->hd - c < nr ? p->hd - c : nr, width = n <= nr / 2 ? nr / 2 : nr;
        struct gemm_packed m = {.a = (const unsigned char *)weights + row0 * lda,
                                .lda = lda,
                                .b = (const unsigned char *)packed + (c * depth + skip * width) * 4,
                                .depth = depth,
                                .cols = n,
                                .m = rows,
                                .n = n,
                                .k = gemm_units(p->t, b->j1 - b->j0)};
        struct gemm_dst to = out;
        to.p = (unsigned char *)out.p + c * out_bytes;
        gemm_multiply(p->c, p->t, &m, 1, to, scratch);
    }
}

void *attn_clear_row(const struct attn_plan *p, size_t c0, size_t c1, size_t width, void *x,
                     size_t row)
{
    unsigned char *to = (unsigned char *)x + row * p->ld * dev_dtype_bytes(p->type);
    size_t z = dev_dtype_bytes(p->type), padded = width + 32 < p->ld ? width + 32 : p->ld;
    if (c0 > 0) memset(to, 0, c0 * z);
    memset(to + c1 * z, 0, (padded - c1) * z);
    return to + c0 * z;
}

/* ---- forward */
struct forward {
    struct attn_plan p;
    const struct dev_call *call;
    const uint32_t *runs; /* cached: first row of each run of neighbours, and the end */
    void *k, *v;          /* packed: panels over keys; panels over the head's columns */
    struct attn_kv kv;    /* or the cache's own */
    bool kept;            /* kv it is */
    size_t heads;         /* key-value heads side by side: 1, or all of a single kept query */
    void *q;              /* packed rows of a block */
    float *s;             /* scores, then probabilities */
    void *prob;           /* probabilities in the type they are multiplied in */
    float *o, *norm;      /* [rows, hd]; 1 / sum of a row */
    struct attn_bias bias;
    float *tmp;
    void *multiply;
};

static size_t forward_layout(struct forward *f, void *base)
{
    const struct attn_plan *p = &f->p;
    struct cpu_carve v = {.base = base};
    f->k = cpu_carve(&v, f->kept ? 0 : gemm_b_bytes(p->t, p->keys, p->hd));
    f->v = cpu_carve(&v, f->kept ? 0 : gemm_b_bytes(p->t, p->hd, p->keys));
    size_t rows = f->kept && p->rows < p->a->heads ? p->a->heads : p->rows;
    f->q = cpu_carve(&v, rows * gemm_a_bytes(p->t, p->hd));
    f->s = cpu_carve(&v, rows * p->ld * sizeof(float));
    f->prob = p->type == DEV_F32 ? f->s : cpu_carve(&v, rows * p->ld * 2);
    f->o = cpu_carve(&v, rows * p->hd * sizeof(float));
    f->norm = cpu_carve(&v, rows * sizeof(float));
    f->bias.p = cpu_carve(&v, attn_bias_bytes(p));
    f->tmp = cpu_carve(&v, GEMM_PACK_TMP * sizeof(float));
    f->multiply = cpu_carve(&v, gemm_multiply_bytes(p->t));
    return v.used;
}

/* Scores of a block, rows r0.. of group g, to probabilities, not yet divided by their sum; log sum
 * exp of each to lse. */
static void softmax_block(struct forward *f, const struct attn_block *b, size_t t, size_t g,
                          size_t r0, struct dev_mat lse)
{
    const struct attn_plan *p = &f->p;
    const struct cpu_kern *k = p->c->k;
    float scale = p->a->bias.buf ? 1.0f : p->a->scale;
    for (size_t r = r0; r < r0 + p->group * b->n; r++) {
        size_t h = (r - r0) / b->n, i = (r - r0) % b->n, from, to;
        float *s = f->s + r * p->ld;
        attn_visible(p, b->i0 + i, &from, &to);
        size_t c0 = from - b->j0, c1 = to - b->j0;
        if (p->a->bias.buf)
            k->put(attn_bias_row(p, &f->bias, h, b->i0 + i, from), 0, 1, to - from, 1.0f,
                   p->a->scale, s + c0, 0);
        float top = scale * k->max(s + c0, c1 - c0);
        void *prob = attn_clear_row(p, c0, c1, b->j1 - b->j0, f->prob, r);
        float sum = p->type == DEV_BF16 ? k->exp_sum(s + c0, scale, top, NULL, prob, c1 - c0)
                                        : k->exp_sum(s + c0, scale, top, prob, NULL, c1 - c0);
        f->norm[r] = 1.0f / sum;
        if (lse.buf) ((float *)dev_mat_row(lse, g * p->group + h))[t + i] = top + logf(sum);
    }
}

/* Queries [i0, i0 + n) of a sample are rows t.. of q and out; its keys are packed. Heads from g on,
 * a stretch of rows each. */
static void forward_block(struct forward *f, const struct attn_block *b, size_t t, size_t g,
                          struct dev_mat q, struct dev_mat out, struct dev_mat lse)
{
    const struct attn_plan *p = &f->p;
    size_t rows = p->group * b->n;
    for (size_t h = 0; h < f->heads; h++)
        attn_pack_rows(p, q, t, b->n, g + h, f->tmp,
                       (unsigned char *)f->q + h * rows * gemm_a_bytes(p->t, p->hd));
    if (f->kept)
        attn_kv_scores(p, b, f->q, &f->kv, f->heads, f->s);
    else
        attn_scores(p, b, f->q, f->k, f->s, f->multiply);
    for (size_t h = 0; h < f->heads; h++) {
        if (f->heads > 1) attn_bias_spread(p, g + h, b->i0, b->j1, &f->bias);
        softmax_block(f, b, t, g + h, h * rows, lse);
    }
    if (f->kept)
        attn_kv_weigh(p, b, f->prob, &f->kv, f->heads, f->o);
    else
        attn_weigh(p, b, f->prob, 0, rows, f->v,
                   (struct gemm_dst){f->o, DEV_F32, p->hd, 1.0f, 0.0f, false}, f->multiply);
    for (size_t r = 0; r < f->heads * rows; r++) {
        size_t h = (g + r / rows) * p->group + r % rows / b->n, row = t + r % b->n;
        float *y = cpu_dest(out, (uint32_t)row, h * p->hd, f->tmp);
        p->c->k->scale(f->norm[r], f->o + r * p->hd, y, p->hd);
        cpu_store(p->c, y, out, (uint32_t)row, h * p->hd, p->hd);
    }
}

/* The first n keys of a sample that starts at row t of k and v. */
static void forward_keys(struct forward *f, struct dev_mat k, struct dev_mat v, size_t t, size_t n,
                         size_t g)
{
    struct attn_plan *p = &f->p;
    p->keys = n; /* the depth of v's panels */
    if (f->kept) return;
    gemm_pack_b(p->c, p->t, attn_head(k, t, g, p->hd, false), 0, n, p->hd, f->tmp, f->k);
    gemm_pack_b(p->c, p->t, attn_head(v, t, g, p->hd, true), 0, p->hd, n, f->tmp, f->v);
}

/* Where a stretch of neighbouring queries and the keys it sees lie. */
struct run {
    size_t t, n;       /* rows of q and out */
    size_t i0;         /* the first one's position in its sample */
    size_t key, nkeys; /* rows of k and v */
};

static void forward_run(struct forward *f, const struct run *r, size_t g, struct dev_mat lse)
{
    const struct dev_mat *m = f->call->m;
    struct dev_mat out = m[3];
    forward_keys(f, m[1], m[2], r->key, r->nkeys, g);
    if (f->heads == 1) attn_bias_spread(&f->p, g, r->i0 + r->n - 1, r->nkeys, &f->bias);
    for (size_t i = r->i0; i < r->i0 + r->n; i += f->p.queries) {
        struct attn_block b = attn_block_of(&f->p, i, r->i0 + r->n);
        forward_block(f, &b, r->t + (i - r->i0), g, m[0], out, lse);
    }
}

static void forward_sample(const void *plan, size_t task, void *scratch)
{
    struct forward f = *(const struct forward *)plan;
    const struct dev_attn *a = f.p.a;
    size_t s = task / a->kv_heads;
    struct run r = {.t = a->cu[s],
                    .n = a->cu[s + 1] - a->cu[s],
                    .key = a->cu_k[s],
                    .nkeys = a->cu_k[s + 1] - a->cu_k[s]};
    (void)forward_layout(&f, scratch);
    if (r.n > 0) forward_run(&f, &r, task % a->kv_heads, f.call->m[4]);
}

bool cpu_attn_fwd(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_attn *a = &call->attn.a;
    struct forward f = {.call = call, .heads = 1};
    attn_plan_init(&f.p, c, a, call->m[0].dtype, attn_longest(a->cu, a->nseq),
                   attn_longest(a->cu_k, a->nseq));
    if (!cpu_scratch(c, forward_layout(&f, NULL), e)) return false;
    cpu_tasks(c, (size_t)a->nseq * a->kv_heads, forward_sample, &f);
    return true;
}

/* ---- with a cache
 *
 * A task is one head of a run; a run of a single query of kept keys and values takes all heads at
 * once (f->heads), when there are enough runs for the threads. */
static void cached_run(const void *plan, size_t task, void *scratch)
{
    struct forward f = *(const struct forward *)plan;
    const struct dev_call *call = f.call;
    size_t g = task % f.p.a->kv_heads;
    const uint32_t *at = f.runs + task / f.p.a->kv_heads;
    size_t pos = call->attn.pos[at[0]], n = at[1] - at[0];
    struct run r = {at[0], n, pos, (size_t)call->attn.slot[at[0]] * call->attn.max_len, pos + n};
    if (n > 1) f.heads = 1;
    if (g % f.heads != 0) return;
    (void)forward_layout(&f, scratch);
    if (f.kept) f.kv = attn_kv_of(f.p.c, call, call->attn.slot[at[0]], g);
    forward_run(&f, &r, g, (struct dev_mat){0});
}

/* Cut the rows where the next is not the next position of the same sequence. */
static bool find_runs(struct cpu *c, const struct dev_call *call, size_t *nruns, size_t *keys,
                      struct err *e)
{
    const uint32_t *slot = call->attn.slot, *pos = call->attn.pos;
    uint32_t rows = call->m[0].rows, *runs;
    size_t n = 0;
    *keys = 0;
    if (!cpu_grow(&c->runs, &c->runs_bytes, ((size_t)rows + 1) * sizeof *runs, e)) return false;
    runs = c->runs;
    for (uint32_t r = 0; r < rows; r++) {
        if (r == 0 || slot[r] != slot[r - 1] || pos[r] != pos[r - 1] + 1) runs[n++] = r;
        if (pos[r] >= *keys) *keys = (size_t)pos[r] + 1;
    }
    runs[n] = rows;
    *nruns = n;
    return true;
}

bool cpu_attn_cached(struct cpu *c, const struct dev_call *call, struct err *e)
{
    struct forward f = {.call = call, .kept = call->op == DEV_ATTN_KV};
    size_t nruns, keys;
    if (call->m[0].rows == 0) return true;
    if (!find_runs(c, call, &nruns, &keys, e)) return false;
    f.runs = c->runs;
    attn_plan_init(&f.p, c, &call->attn.a, call->m[0].dtype, call->m[0].rows, keys);
    if (f.kept) f.p.align = DEV_KV_BLOCK;
    f.heads = f.kept && nruns >= 2 * (size_t)c->threads ? call->attn.a.kv_heads : 1;
    f.p.span = 2 * keys; /* a query's position counts, not its number in the call */
    if (!cpu_scratch(c, forward_layout(&f, NULL), e)) return false;
    cpu_tasks(c, nruns * call->attn.a.kv_heads, cached_run, &f);
    return true;
}
