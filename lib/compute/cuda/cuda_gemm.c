/*
 * Matrix products by cuBLASLt: which of its algorithms, found once and kept.
 *
 * The dimension that counts tokens differs from bin to bin: m when A is not transposed (forward and
 * dX: A holds activations), k when it is (gradients of factors). It is no part of the key, so every
 * bin, and every batch of a decoder, uses one algorithm, and a row's bits do not depend on how many
 * rows there are. Leading dimensions are no part of it, either, nor of cublasLt's guess.
 *
 * The two terms of a dev_gemm2 that stand as one matrix each (a frozen weight with its adapter, see
 * model/parts.h) are one product or two: timed as the algorithms are, behind them, and kept with
 * them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/cuda/cuda.h"

enum {
    NOMINAL_ROWS = 64,    /* tokens assumed where nothing was timed: a batch of a decoder */
    NOMINAL_SUM = 4096,   /* the same for sums over tokens */
    WAYS_MOST = 16,       /* tried for one product */
    REPEATS = 3,          /* timed runs of each, after one that is not */
    GEMMS_MOST = 1 << 14, /* entries in a blob */
};

struct gemm_key {
    uint32_t x, y; /* the two dimensions that are no tokens */
    uint32_t x2;   /* of a pair: the second term's x; of one product 0 */
    uint8_t trans_a, trans_b, ab, c, align_a, align_b, align_c, adds;
};

struct gemm_entry {
    struct gemm_key key;
    struct gpu_algo algo; /* of a pair: data[0] = 1, joined, or 0 */
    uint32_t fits;        /* tokens of the last product that it was seen to fit */
    uint32_t timed;
};

struct cuda_gemms {
    struct gemm_entry *v;
    size_t n, cap;
    bool tuning;
    struct gpu_event *from, *to;
    struct dev_join_times join;
};

bool cuda_gemms_open(struct cuda *c, struct err *e)
{
    c->gemms = mem_calloc(1, sizeof *c->gemms, e);
    return c->gemms && gpu_event_open(c->gpu, true, &c->gemms->from, e) &&
           gpu_event_open(c->gpu, true, &c->gemms->to, e);
}

void cuda_gemms_close(struct cuda *c)
{
    if (!c->gemms) return;
    gpu_event_close(c->gemms->to);
    gpu_event_close(c->gemms->from);
    mem_free(c->gemms->v);
    mem_free(c->gemms);
    c->gemms = NULL;
}

void cuda_gemms_tune(struct cuda *c, bool on)
{
    c->gemms->tuning = on;
}

static struct gemm_key key_of(const struct gpu_gemm *p)
{
    struct gemm_key k = {.x = p->trans_a ? p->m : p->k,
                         .y = p->n,
                         .trans_a = p->trans_a,
                         .trans_b = p->trans_b,
                         .ab = (uint8_t)p->ab,
                         .c = (uint8_t)p->c,
                         .align_a = p->align_a,
                         .align_b = p->align_b,
                         .align_c = p->align_c};
    return k;
}

static uint32_t *tokens_of(struct gpu_gemm *p)
{
    return p->trans_a ? &p->k : &p->m;
}

static struct gemm_entry *find(struct cuda_gemms *g, const struct gemm_key *k)
{
    for (size_t i = 0; i < g->n; i++)
        if (memcmp(&g->v[i].key, k, sizeof *k) == 0) return &g->v[i];
    return NULL;
}

/* Values from row to row, as close as the alignment allows. */
static uint32_t packed(uint32_t cols, enum gpu_type t, uint8_t align)
{
    uint32_t step = align / (t == GPU_BF16 ? 2 : 4);
    return step > 1 ? (cols + step - 1) / step * step : cols;
}

static bool add_entry(struct cuda_gemms *g, const struct gemm_key *k, struct gemm_entry **out,
                      struct err *e)
{
    if (!mem_grow((void **)&g->v, &g->cap, g->n + 1, sizeof *g->v, e)) return false;
    *out = &g->v[g->n];
    **out = (struct gemm_entry){.key = *k};
    return true;
}

/* What cublasLt guesses for a usual number of tokens, packed: the same guess for every number and
 * leading dimension. */
static bool add_guess(struct cuda *c, const struct gpu_gemm *p, const struct gemm_key *k,
                      struct gemm_entry **out, struct err *e)
{
    struct cuda_gemms *g = c->gemms;
    struct gpu_gemm usual = *p;
    struct gemm_entry *v;
    size_t n;

    if (!add_entry(g, k, &v, e)) return false;
    *tokens_of(&usual) = p->trans_a ? NOMINAL_SUM : NOMINAL_ROWS;
    usual.lda = packed(p->trans_a ? usual.m : usual.k, p->ab, p->align_a);
    usual.ldb = packed(p->trans_b ? usual.k : usual.n, p->ab, p->align_b);
    usual.ldc = packed(usual.n, p->c, p->align_c);
    if (!gpu_gemm_algos(c->gpu, &usual, CUDA_WORKSPACE, &v->algo, 1, &n, e)) return false;
    g->n++;
    *out = v;
    return true;
}

struct product {
    const struct gpu_gemm *p;
    const void *a, *b;
    void *to;
};

static bool run_once(struct cuda *c, const struct product *w, const struct gpu_algo *algo,
                     struct err *e)
{
    return gpu_gemm_run(c->s, w->p, algo, w->a, w->b, w->to, c->workspace, CUDA_WORKSPACE, e);
}

static bool time_way(struct cuda *c, const struct product *w, const struct gpu_algo *algo,
                     float *ms, struct err *e)
{
    struct cuda_gemms *g = c->gemms;
    if (!run_once(c, w, algo, e) || !gpu_event_record(g->from, c->s, e)) return false;
    for (int i = 0; i < REPEATS; i++)
        if (!run_once(c, w, algo, e)) return false;
    return gpu_event_record(g->to, c->s, e) && gpu_event_sync(g->to, e) &&
           gpu_event_ms(g->from, g->to, ms, e);
}

/* Try the ways on the product itself. What it adds to is no longer right: see dev_tune. */
static bool time_ways(struct cuda *c, const struct product *w, struct gemm_entry *v, struct err *e)
{
    struct gpu_algo ways[WAYS_MOST];
    float best = 0;
    size_t n;

    if (!gpu_gemm_algos(c->gpu, w->p, CUDA_WORKSPACE, ways, WAYS_MOST, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        float ms;
        if (!time_way(c, w, &ways[i], &ms, e)) return false;
        if (i > 0 && ms >= best) continue;
        best = ms;
        v->algo = ways[i];
    }
    v->timed = 1;
    v->fits = w->p->trans_a ? w->p->k : w->p->m;
    return true;
}

/* The algorithm of a product; one that was chosen at other numbers of tokens and does not serve
 * this one gives way to cublasLt's guess for it. */
static bool choose_algo(struct cuda *c, const struct product *w, struct gpu_algo *out,
                        struct err *e)
{
    struct gemm_key k = key_of(w->p);
    struct gemm_entry *v = find(c->gemms, &k);
    uint32_t tokens = w->p->trans_a ? w->p->k : w->p->m;
    size_t n;

    if (!v && !add_guess(c, w->p, &k, &v, e)) return false;
    if (c->gemms->tuning && !v->timed && !time_ways(c, w, v, e)) return false;
    *out = v->algo;
    if (v->fits == tokens) return true;
    if (!gpu_gemm_fits(c->gpu, w->p, &v->algo, CUDA_WORKSPACE))
        return gpu_gemm_algos(c->gpu, w->p, CUDA_WORKSPACE, out, 1, &n, e);
    v->fits = tokens;
    return true;
}

/* ---- from dev.h's product to gpu.h's */
static uint8_t align_of(struct dev_mat m)
{
    size_t bytes = dev_dtype_bytes(m.dtype);
    size_t bits = (size_t)(uintptr_t)dev_mat_ptr(m) | m.ld * bytes | 16;
    return (uint8_t)(bits & -bits);
}

static enum gpu_type type_of(struct dev_mat m)
{
    return m.dtype == DEV_BF16 ? GPU_BF16 : GPU_F32;
}

static bool product(struct cuda *c, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
                    struct dev_mat to, struct err *e)
{
    struct gpu_gemm p = {.trans_a = g.trans_a,
                         .trans_b = g.trans_b,
                         .ab = type_of(a),
                         .c = type_of(to),
                         .m = to.rows,
                         .n = to.cols,
                         .k = g.trans_a ? a.rows : a.cols,
                         .lda = a.ld,
                         .ldb = b.ld,
                         .ldc = to.ld,
                         .alpha = g.alpha,
                         .beta = g.beta,
                         .align_a = align_of(a),
                         .align_b = align_of(b),
                         .align_c = align_of(to)};
    struct product w = {&p, dev_mat_ptr(a), dev_mat_ptr(b), dev_mat_ptr(to)};
    struct gpu_algo algo;

    return choose_algo(c, &w, &algo, e) && run_once(c, &w, &algo, e);
}

/* cublasLt does not make bf16 of f32 operands: through a matrix of f32. */
static bool product_narrow(struct cuda *c, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
                           struct dev_mat to, struct err *e)
{
    struct dev_buf buf = {.d = to.buf->d, .bytes = (size_t)to.rows * to.cols * sizeof(float)};
    struct dev_mat wide = dev_mat_of(&buf, 0, DEV_F32, to.rows, to.cols);
    void *mem;

    if (!cuda_scratch(c, buf.bytes, &mem, e)) return false;
    buf.mem = mem;
    if (g.beta != 0 && !cuda_scale_cast(c, 1, to, wide, e)) return false;
    return product(c, g, a, b, wide, e) && cuda_scale_cast(c, 1, wide, to, e);
}

/* to = beta to, for a sum of nothing. */
static bool scale_only(struct cuda *c, float beta, struct dev_mat to, struct err *e)
{
    return beta == 0 ? cuda_zero(c, to, e) : cuda_scale_cast(c, beta, to, to, e);
}

static bool term(struct cuda *c, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
                 struct dev_mat to, struct err *e)
{
    if ((g.trans_a ? a.rows : a.cols) == 0) return scale_only(c, g.beta, to, e);
    if (a.dtype == DEV_F32 && to.dtype == DEV_BF16) return product_narrow(c, g, a, b, to, e);
    return product(c, g, a, b, to, e);
}

/* ---- two terms */

/* The second, the adapter's, goes first: it is small, and so is what its rounding to bf16 costs;
 * the sum is then rounded once, by the large product. */
static bool two_products(struct cuda *c, const struct dev_call *call, struct err *e)
{
    const struct dev_mat *m = call->m;
    struct dev_gemm g = call->gemm;

    if (!term(c, g, m[3], m[4], m[2], e)) return false;
    g.beta = 1;
    return term(c, g, m[0], m[1], m[2], e);
}

static bool one_product(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat a = call->m[0], b = call->m[1];

    a.cols += call->m[3].cols;
    if (call->gemm.trans_b)
        b.cols += call->m[4].cols;
    else
        b.rows += call->m[4].rows;
    return term(c, call->gemm, a, b, call->m[2], e);
}

/* Sums over tokens (trans_a) have no second term. */
static bool can_join(const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    return !call->gemm.trans_a && dev_mat_right_of(m[3], m[0]) &&
           (call->gemm.trans_b ? dev_mat_right_of(m[4], m[1]) : dev_mat_below(m[4], m[1]));
}

static struct gemm_key pair_key(const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    struct gemm_key k = {.x = m[0].cols,
                         .y = m[2].cols,
                         .x2 = m[3].cols,
                         .trans_b = call->gemm.trans_b,
                         .ab = (uint8_t)type_of(m[0]),
                         .c = (uint8_t)type_of(m[2]),
                         .align_a = align_of(m[0]),
                         .align_b = align_of(m[1]),
                         .align_c = align_of(m[2]),
                         .adds = call->gemm.beta != 0};
    return k;
}

typedef bool pair_fn(struct cuda *c, const struct dev_call *call, struct err *e);

/* The first run, which is not timed, finds the algorithms. */
static bool time_pair(struct cuda *c, const struct dev_call *call, pair_fn *way, float *ms,
                      struct err *e)
{
    struct cuda_gemms *g = c->gemms;
    if (!way(c, call, e) || !gpu_event_record(g->from, c->s, e)) return false;
    for (int i = 0; i < REPEATS; i++)
        if (!way(c, call, e)) return false;
    return gpu_event_record(g->to, c->s, e) && gpu_event_sync(g->to, e) &&
           gpu_event_ms(g->from, g->to, ms, e);
}

static bool time_both(struct cuda *c, const struct dev_call *call, const struct gemm_key *k,
                      bool *join, struct err *e)
{
    struct dev_join_times *t = &c->gemms->join;
    struct gemm_entry *v;
    float one, two;

    if (!time_pair(c, call, one_product, &one, e) || !time_pair(c, call, two_products, &two, e) ||
        !add_entry(c->gemms, k, &v, e))
        return false;
    *join = one <= two;
    v->algo.data[0] = *join;
    v->timed = 1;
    c->gemms->n++;
    t->pairs++;
    t->joined += *join;
    t->one_ms += (double)one / REPEATS;
    t->two_ms += (double)two / REPEATS;
    return true;
}

static bool two_terms(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct gemm_key k;
    const struct gemm_entry *v;
    bool join = true;

    if (!can_join(call)) return two_products(c, call, e);
    if (call->m[2].buf->d->join == DEV_JOIN_ALWAYS) return one_product(c, call, e);
    k = pair_key(call);
    v = find(c->gemms, &k);
    if (v) join = v->algo.data[0] != 0;
    if (!v && c->gemms->tuning && !time_both(c, call, &k, &join, e)) return false;
    return join ? one_product(c, call, e) : two_products(c, call, e);
}

struct dev_join_times cuda_gemms_join(const struct cuda *c)
{
    return c->gemms->join;
}

bool cuda_gemm(struct cuda *c, const struct dev_call *call, struct err *e)
{
    const struct dev_mat *m = call->m;

    if (m[2].rows == 0 || m[2].cols == 0) return true;
    return m[3].buf ? two_terms(c, call, e) : term(c, call->gemm, m[0], m[1], m[2], e);
}

/* ---- choices as bytes: head, then entries in the order of their keys */
struct blob_head {
    char magic[8];
    char gpu[64];
    uint64_t blas;
    uint64_t n;
};
struct blob_entry {
    struct gemm_key key;
    uint32_t timed;
    struct gpu_algo algo;
};
static const char blob_magic[8] = "RMCHOIC2";
static const char blob_magic_1[8] = "RMCHOIC1"; /* of a radmill that joined no products */

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct gemm_key)); /* both kinds of entry begin with it */
}

static struct blob_head head_of(const struct cuda *c)
{
    const struct gpu_info *i = gpu_get_info(c->gpu);
    struct blob_head h = {.blas = i->blas, .n = c->gemms->n};
    memcpy(h.magic, blob_magic, sizeof h.magic);
    snprintf(h.gpu, sizeof h.gpu, "%s", i->name);
    return h;
}

size_t cuda_gemms_bytes(const struct cuda *c)
{
    return sizeof(struct blob_head) + c->gemms->n * sizeof(struct blob_entry);
}

void cuda_gemms_get(const struct cuda *c, void *out)
{
    struct blob_head h = head_of(c);
    unsigned char *p = out;

    memcpy(p, &h, sizeof h);
    for (size_t i = 0; i < c->gemms->n; i++) {
        const struct gemm_entry *v = &c->gemms->v[i];
        struct blob_entry b = {.key = v->key, .timed = v->timed, .algo = v->algo};
        memcpy(p + sizeof h + i * sizeof b, &b, sizeof b);
    }
    if (c->gemms->n > 0) qsort(p + sizeof h, c->gemms->n, sizeof(struct blob_entry), by_key);
}

bool cuda_gemms_set(struct cuda *c, const void *in, size_t bytes, bool *taken, struct err *e)
{
    struct cuda_gemms *g = c->gemms;
    struct blob_head h, mine = head_of(c);
    const unsigned char *p = in;

    *taken = false;
    if (bytes < sizeof h) return err_set(e, ERR_FORMAT, "choices of the device are cut short");
    memcpy(&h, p, sizeof h);
    if (memcmp(h.magic, blob_magic_1, sizeof h.magic) == 0) return true;
    if (memcmp(h.magic, blob_magic, sizeof h.magic) != 0 || h.n > GEMMS_MOST ||
        bytes != sizeof h + h.n * sizeof(struct blob_entry))
        return err_set(e, ERR_FORMAT, "choices of the device are damaged");
    if (memcmp(h.gpu, mine.gpu, sizeof h.gpu) != 0 || h.blas != mine.blas) return true;
    if (!mem_grow((void **)&g->v, &g->cap, h.n, sizeof *g->v, e)) return false;
    for (size_t i = 0; i < h.n; i++) {
        struct blob_entry b;
        memcpy(&b, p + sizeof h + i * sizeof b, sizeof b);
        g->v[i] = (struct gemm_entry){.key = b.key, .algo = b.algo, .timed = b.timed != 0};
    }
    g->n = h.n;
    *taken = true;
    return true;
}
