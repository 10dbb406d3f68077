/*
 * Attention over samples longer than a block, against the formulas in f64; and what its results may
 * not depend on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"

struct shape {
    uint32_t heads, kv, hd, window, n;
    uint32_t nk;    /* keys; 0: the n tokens themselves, causal */
    uint32_t reach; /* of a bias by distance; 0: none */
};

/* One sample of n queries: out [n, heads hd], and for dout the gradients. */
struct reference {
    double *out, *dq, *dk, *dv, *dbias;
};
enum { INPUTS = 5 }; /* q, k, v, dout, bias */

static size_t keys_of(const struct shape *s)
{
    return s->nk ? s->nk : s->n;
}

static size_t bias_at(const struct shape *s, size_t i, size_t j, size_t h)
{
    long d = (long)j - (long)i, reach = (long)s->reach;
    d = d < -reach ? -reach : d > reach ? reach : d;
    return (size_t)(d + reach) * s->heads + h;
}

static double score(const struct shape *s, const double *const in[INPUTS], size_t i, size_t j,
                    size_t h)
{
    const double *q = in[0], *k = in[1];
    size_t g = h / (s->heads / s->kv);
    double x = 0;
    for (size_t c = 0; c < s->hd; c++)
        x += q[(i * s->heads + h) * s->hd + c] * k[(j * s->kv + g) * s->hd + c];
    return 0.2 * x + (s->reach ? in[4][bias_at(s, i, j, h)] : 0);
}

static void reference_row(const struct shape *s, const double *const in[INPUTS], size_t i, size_t h,
                          struct reference *r)
{
    const double *q = in[0], *k = in[1], *v = in[2], *dout = in[3];
    size_t hd = s->hd, g = h / (s->heads / s->kv), at = (i * s->heads + h) * hd;
    size_t from = s->window && i + 1 > s->window ? i + 1 - s->window : 0;
    size_t to = s->nk ? s->nk : i + 1;
    double *p = malloc(to * sizeof *p), *dp = malloc(to * sizeof *dp);
    double sum = 0, d = 0;
    for (size_t j = from; j < to; j++)
        sum += p[j] = exp(score(s, in, i, j, h));
    for (size_t j = from; j < to; j++) {
        p[j] /= sum;
        dp[j] = 0;
        for (size_t c = 0; c < hd; c++) {
            r->out[at + c] += p[j] * v[(j * s->kv + g) * hd + c];
            dp[j] += dout[at + c] * v[(j * s->kv + g) * hd + c];
        }
        d += p[j] * dp[j];
    }
    for (size_t j = from; s->reach && j < to; j++)
        r->dbias[bias_at(s, i, j, h)] += p[j] * (dp[j] - d);
    for (size_t j = from; j < to; j++)
        for (size_t c = 0; c < hd; c++) {
            double ds = 0.2 * p[j] * (dp[j] - d);
            r->dq[at + c] += ds * k[(j * s->kv + g) * hd + c];
            r->dk[(j * s->kv + g) * hd + c] += ds * q[at + c];
            r->dv[(j * s->kv + g) * hd + c] += p[j] * dout[at + c];
        }
    free(p);
    free(dp);
}

static struct reference reference(const struct shape *s, const double *const in[INPUTS])
{
    size_t nq = (size_t)s->n * s->heads * s->hd, nk = keys_of(s) * s->kv * s->hd;
    struct reference r = {calloc(nq, sizeof(double)), calloc(nq, sizeof(double)),
                          calloc(nk, sizeof(double)), calloc(nk, sizeof(double)),
                          calloc((2 * s->reach + 1) * s->heads, sizeof(double))};
    for (size_t i = 0; i < s->n; i++)
        for (size_t h = 0; h < s->heads; h++)
            reference_row(s, in, i, h, &r);
    return r;
}

static void near(const struct hmat *h, const double *want, const char *what, enum dev_dtype t)
{
    double *got = help_get(h);
    double dist = help_distance(got, want, (size_t)h->m.rows * h->m.cols);
    if (dist > (t == DEV_BF16 ? 6e-3 : 3e-6)) fail_msg("%s: distance %g", what, dist);
    free(got);
}

static void check_shape(struct dev *d, const struct shape *s, enum dev_dtype t)
{
    uint32_t qc = s->heads * s->hd, kc = s->kv * s->hd, cu[] = {0, s->n};
    uint32_t nk = (uint32_t)keys_of(s), cu_k[] = {0, nk}, nb = 2 * s->reach + 1, h = s->heads;
    struct dev_attn a = {.heads = h,
                         .kv_heads = s->kv,
                         .head_dim = s->hd,
                         .scale = 0.2f,
                         .window = s->window,
                         .cu = cu,
                         .nseq = 1,
                         .bidirectional = s->nk > 0};
    double *q = help_values(1, (size_t)s->n * qc, 1, t), *k = help_values(2, (size_t)nk * kc, 1, t);
    double *v = help_values(3, (size_t)nk * kc, 1, t);
    double *dout = help_values(4, (size_t)s->n * qc, 1, t);
    double *bias = help_values(5, (size_t)nb * h, 2, DEV_F32);
    const double *in[INPUTS] = {q, k, v, dout, bias};
    struct reference r = reference(s, in);
    struct hmat hq = help_mat(d, t, s->n, qc, qc, q), hk = help_mat(d, t, nk, kc, kc + 6, k);
    struct hmat hv = help_mat(d, t, nk, kc, kc + 1, v), hdo = help_mat(d, t, s->n, qc, qc, dout);
    struct hmat out = help_mat(d, t, s->n, qc, qc, NULL), dq = help_mat(d, t, s->n, qc, qc, NULL);
    struct hmat dk = help_mat(d, t, nk, kc, kc, NULL), dv = help_mat(d, t, nk, kc, kc, NULL);
    struct hmat lse = help_mat(d, DEV_F32, h, s->n, s->n, NULL);
    struct hmat hb = help_mat(d, DEV_F32, nb, h, h, bias),
                db = help_mat(d, DEV_F32, nb, h, h + 2, NULL);
    if (s->nk) a.cu_k = cu_k;
    if (s->reach) a.bias = hb.m;
    MUST(dev_attn_fwd(d, &a, hq.m, hk.m, hv.m, out.m, lse.m, e));
    MUST(dev_zero(d, db.m, e));
    if (s->reach) a.dbias = db.m;
    MUST(dev_attn_bwd(d, &a, hq.m, hk.m, hv.m, out.m, lse.m, hdo.m, dq.m, dk.m, dv.m, e));
    near(&db, r.dbias, "dbias", t);
    near(&out, r.out, "out", t);
    near(&dq, r.dq, "dq", t);
    near(&dk, r.dk, "dk", t);
    near(&dv, r.dv, "dv", t);
    struct hmat *all[] = {&hq, &hk, &hv, &hdo, &out, &dq, &dk, &dv, &lse, &hb, &db};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        help_drop(all[i]);
    double *values[] = {q, k, v, dout, bias, r.out, r.dq, r.dk, r.dv, r.dbias};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        free(values[i]);
}

static void test_formulas(void **state)
{
    static const char *const devices[] = {"cpu",      "strict",     "cpu:generic",
                                          "cpu:avx2", "cpu:avx512", "cuda"};
    static const struct shape shapes[] = {{3, 1, 64, 0, 90, 0, 0},    {2, 2, 20, 0, 150, 0, 0},
                                          {4, 4, 16, 37, 140, 0, 0},  {16, 1, 8, 9, 30, 0, 0},
                                          {3, 3, 16, 0, 100, 100, 0}, {4, 2, 16, 0, 70, 130, 0},
                                          {2, 2, 16, 0, 130, 9, 0},   {3, 3, 8, 0, 150, 150, 40},
                                          {4, 2, 16, 0, 120, 0, 128}, {2, 2, 8, 31, 90, 0, 7}};
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        struct dev *d;
        struct err e = {0};
        if (!dev_open(devices[i], 1, &d, &e)) {
            printf("SKIP: %s\n", e.text);
            continue;
        }
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            check_shape(d, &shapes[s], DEV_F32);
            check_shape(d, &shapes[s], DEV_BF16);
        }
        dev_close(d);
    }
}

/* The reference's own gradients against differences of its output. */
static void test_reference_by_differences(void **state)
{
    static const struct shape s = {4, 2, 3, 0, 5, 7, 2};
    const size_t counts[INPUTS] = {5 * 12, 7 * 6, 7 * 6, 5 * 12, 5 * 4};
    const double *in[INPUTS];
    double *v[INPUTS];
    (void)state;
    for (uint64_t i = 0; i < INPUTS; i++)
        in[i] = v[i] = help_values(40 + i, counts[i], 1, DEV_F32);
    struct reference r = reference(&s, in);
    double *const grads[INPUTS] = {r.dq, r.dk, r.dv, NULL, r.dbias};
    for (int i = 0; i < INPUTS; i++)
        for (size_t k = 0; grads[i] && k < counts[i]; k++) {
            double x = v[i][k], sum[2] = {0, 0};
            for (int side = 0; side < 2; side++) {
                v[i][k] = x + (side ? 1e-5 : -1e-5);
                struct reference moved = reference(&s, in);
                for (size_t o = 0; o < counts[0]; o++)
                    sum[side] += moved.out[o] * v[3][o];
                double *all[] = {moved.out, moved.dq, moved.dk, moved.dv, moved.dbias};
                for (int f = 0; f < 5; f++)
                    free(all[f]);
            }
            v[i][k] = x;
            assert_true(fabs((sum[1] - sum[0]) / 2e-5 - grads[i][k]) < 1e-8);
        }
    double *all[] = {r.out, r.dq, r.dk, r.dv, r.dbias, v[0], v[1], v[2], v[3], v[4]};
    for (int f = 0; f < 10; f++)
        free(all[f]);
}

/* A packed bin of samples: forward and backward, all results one after the other. */
static double *packed(struct dev *d, enum dev_dtype t, const uint32_t *cu, uint32_t nseq,
                      uint32_t first, bool cross, size_t *count)
{
    enum { HEADS = 6, KV = 2, HD = 16 };
    uint32_t n = cu[nseq], qc = HEADS * HD, kc = KV * HD;
    uint32_t starts[8] = {0};
    struct dev_attn a = {.heads = HEADS,
                         .kv_heads = KV,
                         .head_dim = HD,
                         .scale = 0.2f,
                         .cu = cu,
                         .nseq = nseq,
                         .bidirectional = cross,
                         .cu_k = cross ? starts : NULL};
    struct hmat m[9], bias = help_mat(d, DEV_F32, 21, HEADS, HEADS, NULL);
    struct hmat dbias = help_mat(d, DEV_F32, 21, HEADS, HEADS, NULL);
    double *b = help_values(30, 21 * HEADS, 1, DEV_F32);
    const uint32_t cols[9] = {qc, kc, kc, qc, qc, n, qc, kc, kc};
    help_put(&bias, b);
    free(b);
    MUST(dev_zero(d, dbias.m, e));
    if (cross) a.bias = bias.m;
    memcpy(starts, cu, (nseq + 1) * sizeof *cu);
    for (int i = 0; i < 9; i++) {
        double *x = help_values(10 + (uint64_t)i, 500 * (size_t)cols[i], 1, t);
        m[i] = i == 5 ? help_mat(d, DEV_F32, HEADS, n, n, NULL)
                      : help_mat(d, t, n, cols[i], cols[i], x + (size_t)first * cols[i]);
        free(x);
    }
    MUST(dev_attn_fwd(d, &a, m[0].m, m[1].m, m[2].m, m[4].m, m[5].m, e));
    if (cross) a.dbias = dbias.m;
    MUST(dev_attn_bwd(d, &a, m[0].m, m[1].m, m[2].m, m[4].m, m[5].m, m[3].m, m[6].m, m[7].m, m[8].m,
                      e));
    double *all = malloc(((size_t)n * (2 * qc + 2 * kc) + 21 * HEADS) * sizeof *all);
    static const int results[] = {4, 6, 7, 8};
    *count = 0;
    for (int i = 0; i < 4; i++) {
        double *x = help_get(&m[results[i]]);
        memcpy(all + *count, x, (size_t)n * cols[results[i]] * sizeof *x);
        *count += (size_t)n * cols[results[i]];
        free(x);
    }
    double *db = help_get(&dbias);
    memcpy(all + *count, db, 21 * HEADS * sizeof *db);
    *count += 21 * HEADS;
    free(db);
    for (int i = 0; i < 9; i++)
        help_drop(&m[i]);
    help_drop(&bias);
    help_drop(&dbias);
    return all;
}

static void test_same_bits_again_and_with_threads(void **state)
{
    static const uint32_t cu[] = {0, 70, 71, 130, 200};
    (void)state;
    for (int i = 0; i < 4; i++) {
        enum dev_dtype t = i & 1 ? DEV_BF16 : DEV_F32;
        bool cross = i & 2;
        struct dev *one, *two;
        size_t n;
        MUST(dev_open("cpu", 1, &one, e));
        MUST(dev_open("cpu", 2, &two, e));
        double *a = packed(one, t, cu, 4, 0, cross, &n), *b = packed(one, t, cu, 4, 0, cross, &n);
        double *c = packed(two, t, cu, 4, 0, cross, &n);
        assert_memory_equal(a, b, n * sizeof *a);
        assert_memory_equal(a, c, n * sizeof *a);
        free(a);
        free(b);
        free(c);
        dev_close(one);
        dev_close(two);
    }
}

/* A sample in a bin gives the bits it gives alone. */
static void test_samples_do_not_meet(void **state)
{
    static const uint32_t cu[] = {0, 70, 130, 200}, alone[] = {0, 60};
    const uint32_t cols[4] = {96, 96, 32, 32};
    (void)state;
    struct dev *d;
    size_t n, n1;
    MUST(dev_open("cpu", 1, &d, e));
    for (int cross = 0; cross < 2; cross++) {
        double *bin = packed(d, DEV_BF16, cu, 3, 0, cross, &n);
        double *one = packed(d, DEV_BF16, alone, 1, 70, cross, &n1);
        const double *b = bin, *o = one;
        for (int i = 0; i < 4; i++) {
            assert_memory_equal(b + (size_t)70 * cols[i], o, (size_t)60 * cols[i] * sizeof *o);
            b += (size_t)200 * cols[i];
            o += (size_t)60 * cols[i];
        }
        free(bin);
        free(one);
    }
    dev_close(d);
}

enum { HEADS = 6, KV = 2, HD = 16, LEN = 50, SLOTS = 3, KEEP = 64 };

/* Rows [from, to) of a sample of LEN tokens in slot 1, by calls of `step` rows; others rows beside
 * them. */
static void cached(struct dev *d, enum dev_dtype t, uint32_t step, uint32_t window, bool biased,
                   double *out)
{
    struct dev_attn a = {
        .heads = HEADS, .kv_heads = KV, .head_dim = HD, .scale = 0.2f, .window = window};
    double *b = help_values(23, 9 * HEADS, 1, DEV_F32);
    struct hmat bias = help_mat(d, DEV_F32, 9, HEADS, HEADS, b);
    free(b);
    if (biased) a.bias = bias.m;
    double *q = help_values(20, (size_t)LEN * HEADS * HD, 1, t);
    double *kv[2] = {help_values(21, (size_t)SLOTS * KEEP * KV * HD, 1, t),
                     help_values(22, (size_t)SLOTS * KEEP * KV * HD, 1, t)};
    struct hmat k = help_mat(d, t, SLOTS * KEEP, KV * HD, KV * HD, kv[0]);
    struct hmat v = help_mat(d, t, SLOTS * KEEP, KV * HD, KV * HD, kv[1]);
    for (uint32_t i = 0; i < LEN; i += step) {
        uint32_t n = LEN - i < step ? LEN - i : step, slot[LEN + 1], pos[LEN + 1];
        struct hmat hq = help_mat(d, t, n + 1, HEADS * HD, HEADS * HD, NULL);
        struct hmat ho = help_mat(d, t, n + 1, HEADS * HD, HEADS * HD, NULL);
        double *rows = calloc((size_t)(n + 1) * HEADS * HD, sizeof *rows);
        memcpy(rows, q + (size_t)i * HEADS * HD, (size_t)n * HEADS * HD * sizeof *rows);
        help_put(&hq, rows);
        for (uint32_t r = 0; r < n; r++)
            slot[r] = 1, pos[r] = i + r;
        slot[n] = 2, pos[n] = step % 7; /* a stranger */
        MUST(dev_attn_cached(d, &a, hq.m, k.m, v.m, KEEP, slot, pos, ho.m, e));
        double *y = help_get(&ho);
        memcpy(out + (size_t)i * HEADS * HD, y, (size_t)n * HEADS * HD * sizeof *y);
        free(y);
        free(rows);
        help_drop(&hq);
        help_drop(&ho);
    }
    help_drop(&k);
    help_drop(&v);
    help_drop(&bias);
    free(q);
    free(kv[0]);
    free(kv[1]);
}

static void test_cached_rows_do_not_depend_on_the_call(void **state)
{
    static double whole[LEN * HEADS * HD], steps[LEN * HEADS * HD];
    (void)state;
    struct dev *d;
    MUST(dev_open("cpu", 1, &d, e));
    for (int i = 0; i < 8; i++) {
        enum dev_dtype t = i & 1 ? DEV_BF16 : DEV_F32;
        uint32_t window = i & 2 ? 11 : 0;
        bool biased = i & 4;
        cached(d, t, LEN, window, biased, whole);
        cached(d, t, 1, window, biased, steps);
        assert_memory_equal(whole, steps, sizeof whole);
        cached(d, t, 7, window, biased, steps);
        assert_memory_equal(whole, steps, sizeof whole);
    }
    dev_close(d);
}

/* The cached form is the packed form: same slot, same positions. */
static void test_cached_equals_packed(void **state)
{
    static double got[LEN * HEADS * HD];
    const uint32_t cu[] = {0, LEN};
    struct dev_attn a = {
        .heads = HEADS, .kv_heads = KV, .head_dim = HD, .scale = 0.2f, .cu = cu, .nseq = 1};
    (void)state;
    struct dev *d;
    MUST(dev_open("strict", 1, &d, e));
    double *b = help_values(23, 9 * HEADS, 1, DEV_F32);
    struct hmat bias = help_mat(d, DEV_F32, 9, HEADS, HEADS, b);
    free(b);
    a.bias = bias.m;
    cached(d, DEV_F32, LEN, 0, true, got);
    double *q = help_values(20, (size_t)LEN * HEADS * HD, 1, DEV_F32);
    double *k = help_values(21, (size_t)SLOTS * KEEP * KV * HD, 1, DEV_F32);
    double *v = help_values(22, (size_t)SLOTS * KEEP * KV * HD, 1, DEV_F32);
    size_t slot = (size_t)KEEP * KV * HD;
    struct hmat hq = help_mat(d, DEV_F32, LEN, HEADS * HD, HEADS * HD, q);
    struct hmat hk = help_mat(d, DEV_F32, LEN, KV * HD, KV * HD, k + slot);
    struct hmat hv = help_mat(d, DEV_F32, LEN, KV * HD, KV * HD, v + slot);
    struct hmat ho = help_mat(d, DEV_F32, LEN, HEADS * HD, HEADS * HD, NULL);
    MUST(dev_attn_fwd(d, &a, hq.m, hk.m, hv.m, ho.m, (struct dev_mat){0}, e));
    near(&ho, got, "packed and cached", DEV_F32);
    help_drop(&bias);
    help_drop(&hq);
    help_drop(&hk);
    help_drop(&hv);
    help_drop(&ho);
    free(q);
    free(k);
    free(v);
    dev_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_by_differences),
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_same_bits_again_and_with_threads),
        cmocka_unit_test(test_samples_do_not_meet),
        cmocka_unit_test(test_cached_rows_do_not_depend_on_the_call),
        cmocka_unit_test(test_cached_equals_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
