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
};

/* One sample of n tokens: out [n, heads hd], and for dout the three gradients. */
struct reference {
    double *out, *dq, *dk, *dv;
};

static double score(const struct shape *s, const double *q, const double *k, size_t i, size_t j,
                    size_t h)
{
    size_t g = h / (s->heads / s->kv);
    double x = 0;
    for (size_t c = 0; c < s->hd; c++)
        x += q[(i * s->heads + h) * s->hd + c] * k[(j * s->kv + g) * s->hd + c];
    return 0.2 * x;
}

static void reference_row(const struct shape *s, const double *const in[4], size_t i, size_t h,
                          struct reference *r)
{
    const double *q = in[0], *k = in[1], *v = in[2], *dout = in[3];
    size_t hd = s->hd, g = h / (s->heads / s->kv), at = (i * s->heads + h) * hd;
    size_t from = s->window && i + 1 > s->window ? i + 1 - s->window : 0;
    double *p = malloc((i + 1) * sizeof *p), *dp = malloc((i + 1) * sizeof *dp);
    double sum = 0, d = 0;
    for (size_t j = from; j <= i; j++)
        sum += p[j] = exp(score(s, q, k, i, j, h));
    for (size_t j = from; j <= i; j++) {
        p[j] /= sum;
        dp[j] = 0;
        for (size_t c = 0; c < hd; c++) {
            r->out[at + c] += p[j] * v[(j * s->kv + g) * hd + c];
            dp[j] += dout[at + c] * v[(j * s->kv + g) * hd + c];
        }
        d += p[j] * dp[j];
    }
    for (size_t j = from; j <= i; j++)
        for (size_t c = 0; c < hd; c++) {
            double ds = 0.2 * p[j] * (dp[j] - d);
            r->dq[at + c] += ds * k[(j * s->kv + g) * hd + c];
            r->dk[(j * s->kv + g) * hd + c] += ds * q[at + c];
            r->dv[(j * s->kv + g) * hd + c] += p[j] * dout[at + c];
        }
    free(p);
    free(dp);
}

static struct reference reference(const struct shape *s, const double *const in[4])
{
    size_t nq = (size_t)s->n * s->heads * s->hd, nk = (size_t)s->n * s->kv * s->hd;
    struct reference r = {calloc(nq, sizeof(double)), calloc(nq, sizeof(double)),
                          calloc(nk, sizeof(double)), calloc(nk, sizeof(double))};
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
    struct dev_attn a = {s->heads, s->kv, s->hd, 0.2f, s->window, cu, 1};
    double *q = help_values(1, (size_t)s->n * qc, 1, t),
           *k = help_values(2, (size_t)s->n * kc, 1, t);
    double *v = help_values(3, (size_t)s->n * kc, 1, t);
    double *dout = help_values(4, (size_t)s->n * qc, 1, t);
    const double *in[4] = {q, k, v, dout};
    struct reference r = reference(s, in);
    struct hmat hq = help_mat(d, t, s->n, qc, qc, q), hk = help_mat(d, t, s->n, kc, kc + 6, k);
    struct hmat hv = help_mat(d, t, s->n, kc, kc + 1, v), hdo = help_mat(d, t, s->n, qc, qc, dout);
    struct hmat out = help_mat(d, t, s->n, qc, qc, NULL), dq = help_mat(d, t, s->n, qc, qc, NULL);
    struct hmat dk = help_mat(d, t, s->n, kc, kc, NULL), dv = help_mat(d, t, s->n, kc, kc, NULL);
    struct hmat lse = help_mat(d, DEV_F32, s->heads, s->n, s->n, NULL);
    MUST(dev_attn_fwd(d, &a, hq.m, hk.m, hv.m, out.m, lse.m, e));
    MUST(dev_attn_bwd(d, &a, hq.m, hk.m, hv.m, out.m, lse.m, hdo.m, dq.m, dk.m, dv.m, e));
    near(&out, r.out, "out", t);
    near(&dq, r.dq, "dq", t);
    near(&dk, r.dk, "dk", t);
    near(&dv, r.dv, "dv", t);
    struct hmat *all[] = {&hq, &hk, &hv, &hdo, &out, &dq, &dk, &dv, &lse};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        help_drop(all[i]);
    double *values[] = {q, k, v, dout, r.out, r.dq, r.dk, r.dv};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        free(values[i]);
}

static void test_formulas(void **state)
{
    static const char *const devices[] = {"cpu", "strict", "cpu:generic", "cpu:avx2", "cpu:avx512"};
    static const struct shape shapes[] = {
        {3, 1, 64, 0, 90}, {2, 2, 20, 0, 150}, {4, 4, 16, 37, 140}, {16, 1, 8, 9, 30}};
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

/* A packed bin of samples: forward and backward, all results one after the other. */
static double *packed(struct dev *d, enum dev_dtype t, const uint32_t *cu, uint32_t nseq,
                      uint32_t first, size_t *count)
{
    enum { HEADS = 6, KV = 2, HD = 16 };
    uint32_t n = cu[nseq], qc = HEADS * HD, kc = KV * HD;
    struct dev_attn a = {HEADS, KV, HD, 0.2f, 0, cu, nseq};
    struct hmat m[9];
    const uint32_t cols[9] = {qc, kc, kc, qc, qc, n, qc, kc, kc};
    for (int i = 0; i < 9; i++) {
        double *x = help_values(10 + (uint64_t)i, 500 * (size_t)cols[i], 1, t);
        m[i] = i == 5 ? help_mat(d, DEV_F32, HEADS, n, n, NULL)
                      : help_mat(d, t, n, cols[i], cols[i], x + (size_t)first * cols[i]);
        free(x);
    }
    MUST(dev_attn_fwd(d, &a, m[0].m, m[1].m, m[2].m, m[4].m, m[5].m, e));
    MUST(dev_attn_bwd(d, &a, m[0].m, m[1].m, m[2].m, m[4].m, m[5].m, m[3].m, m[6].m, m[7].m, m[8].m,
                      e));
    double *all = malloc((size_t)n * (2 * qc + 2 * kc) * sizeof *all);
    static const int results[] = {4, 6, 7, 8};
    *count = 0;
    for (int i = 0; i < 4; i++) {
        double *x = help_get(&m[results[i]]);
        memcpy(all + *count, x, (size_t)n * cols[results[i]] * sizeof *x);
        *count += (size_t)n * cols[results[i]];
        free(x);
    }
    for (int i = 0; i < 9; i++)
        help_drop(&m[i]);
    return all;
}

static void test_same_bits_again_and_with_threads(void **state)
{
    static const uint32_t cu[] = {0, 70, 71, 130, 200};
    (void)state;
    for (int i = 0; i < 2; i++) {
        enum dev_dtype t = i ? DEV_BF16 : DEV_F32;
        struct dev *one, *two;
        size_t n;
        MUST(dev_open("cpu", 1, &one, e));
        MUST(dev_open("cpu", 2, &two, e));
        double *a = packed(one, t, cu, 4, 0, &n), *b = packed(one, t, cu, 4, 0, &n);
        double *c = packed(two, t, cu, 4, 0, &n);
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
    double *bin = packed(d, DEV_BF16, cu, 3, 0, &n), *one = packed(d, DEV_BF16, alone, 1, 70, &n1);
    const double *b = bin, *o = one;
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(b + (size_t)70 * cols[i], o, (size_t)60 * cols[i] * sizeof *o);
        b += (size_t)200 * cols[i];
        o += (size_t)60 * cols[i];
    }
    free(bin);
    free(one);
    dev_close(d);
}

enum { HEADS = 6, KV = 2, HD = 16, LEN = 50, SLOTS = 3, KEEP = 64 };

/* Rows [from, to) of a sample of LEN tokens in slot 1, by calls of `step` rows; others rows beside
 * them. */
static void cached(struct dev *d, enum dev_dtype t, uint32_t step, uint32_t window, double *out)
{
    struct dev_attn a = {HEADS, KV, HD, 0.2f, window, NULL, 0};
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
    for (int i = 0; i < 4; i++) {
        enum dev_dtype t = i & 1 ? DEV_BF16 : DEV_F32;
        uint32_t window = i & 2 ? 11 : 0;
        cached(d, t, LEN, window, whole);
        cached(d, t, 1, window, steps);
        assert_memory_equal(whole, steps, sizeof whole);
        cached(d, t, 7, window, steps);
        assert_memory_equal(whole, steps, sizeof whole);
    }
    dev_close(d);
}

/* The cached form is the packed form: same slot, same positions. */
static void test_cached_equals_packed(void **state)
{
    static double got[LEN * HEADS * HD];
    const uint32_t cu[] = {0, LEN};
    struct dev_attn a = {HEADS, KV, HD, 0.2f, 0, cu, 1};
    (void)state;
    struct dev *d;
    MUST(dev_open("strict", 1, &d, e));
    cached(d, DEV_F32, LEN, 0, got);
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
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_same_bits_again_and_with_threads),
        cmocka_unit_test(test_samples_do_not_meet),
        cmocka_unit_test(test_cached_rows_do_not_depend_on_the_call),
        cmocka_unit_test(test_cached_equals_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
