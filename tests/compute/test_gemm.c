/*
 * compute/dev_gemm against the triple loop in f64, on every instruction set of this machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"

struct shape {
    uint32_t m, n, k;
};

struct product {
    struct shape s;
    struct dev_gemm g;
    enum dev_dtype in, out;
    uint32_t gap; /* added to each leading dimension */
};

static double *expect(const struct product *p, const double *a, const double *b, const double *c)
{
    struct shape s = p->s;
    double *y = malloc(((size_t)s.m * s.n + 1) * sizeof *y);
    for (size_t i = 0; i < s.m; i++)
        for (size_t j = 0; j < s.n; j++) {
            double sum = 0;
            for (size_t k = 0; k < s.k; k++)
                sum += (p->g.trans_a ? a[k * s.m + i] : a[i * s.k + k]) *
                       (p->g.trans_b ? b[j * s.k + k] : b[k * s.n + j]);
            y[i * s.n + j] = (double)p->g.alpha * sum + (double)p->g.beta * c[i * s.n + j];
        }
    return y;
}

/* Relative distance of the device's product from f64; swap: feed B's neighbour row first. */
static double distance(struct dev *d, const struct product *p, bool broken)
{
    struct shape s = p->s;
    double *a = help_values(1, (size_t)s.m * s.k, 1, p->in);
    double *b = help_values(2, (size_t)s.n * s.k, 1, p->in);
    double *c = help_values(3, (size_t)s.m * s.n, 1, p->out);
    double *want = expect(p, a, b, c);
    uint32_t ar = p->g.trans_a ? s.k : s.m, ac = p->g.trans_a ? s.m : s.k;
    uint32_t br = p->g.trans_b ? s.n : s.k, bc = p->g.trans_b ? s.k : s.n;
    struct hmat ha = help_mat(d, p->in, ar, ac, ac + p->gap, a);
    struct hmat hb = help_mat(d, p->in, br, bc, bc + p->gap, broken ? a : b);
    struct hmat hc = help_mat(d, p->out, s.m, s.n, s.n + p->gap, c);
    if (p->g.beta == 0.0f) { /* must not be read */
        double *nan = malloc(((size_t)s.m * s.n + 1) * sizeof *nan);
        for (size_t i = 0; i < (size_t)s.m * s.n; i++)
            nan[i] = NAN;
        if (p->out == DEV_F32) help_put(&hc, nan);
        free(nan);
    }
    MUST(dev_gemm(d, p->g, ha.m, hb.m, hc.m, e));
    double *got = help_get(&hc);
    double dist = help_distance(got, want, (size_t)s.m * s.n);
    help_drop(&ha);
    help_drop(&hb);
    help_drop(&hc);
    free(a);
    free(b);
    free(c);
    free(want);
    free(got);
    return dist;
}

static const struct shape shapes[] = {{1, 1, 1},     {3, 5, 7},     {14, 32, 8},   {15, 33, 9},
                                      {2, 100, 64},  {100, 2, 33},  {29, 65, 577}, {64, 16, 96},
                                      {17, 48, 16},  {16, 48, 200}, {230, 40, 12}, {30, 70, 4100},
                                      {33, 47, 2048}};

static void check_device(const char *name)
{
    struct dev *d;
    struct err e = {0};
    if (!dev_open(name, 1, &d, &e)) {
        printf("SKIP: %s: %s\n", name, e.text);
        return;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int v = 0; v < 16; v++) {
            struct product p = {.s = shapes[i],
                                .g = {v & 1, v & 2, 1.0f, 0.0f},
                                .in = v & 4 ? DEV_BF16 : DEV_F32,
                                .out = v & 8 ? DEV_BF16 : DEV_F32,
                                .gap = (uint32_t)(i % 3)};
            if (i % 3 == 1) p.g.alpha = 0.5f, p.g.beta = -1.5f;
            if (i % 3 == 2) p.g.beta = 1.0f;
            double dist = distance(d, &p, false), limit = p.out == DEV_BF16 ? 5e-3 : 2e-6;
            if (dist > limit)
                fail_msg("%s: %u x %u x %u variant %d: distance %g", name, p.s.m, p.s.n, p.s.k, v,
                         dist);
        }
    dev_close(d);
}

static void test_products(void **state)
{
    (void)state;
    check_device("cpu");
    check_device("strict");
    check_device("cpu:generic");
    check_device("cpu:avx2");
    check_device("cpu:avx512");
    check_device("cpu:avx512_bf16");
    check_device("cpu:amx");
    check_device("cuda");
}

/* The comparison above does see a wrong operand. */
static void test_wrong_operand(void **state)
{
    struct dev *d;
    struct product p = {{20, 20, 20}, {false, true, 1.0f, 0.0f}, DEV_F32, DEV_F32, 0};
    (void)state;
    MUST(dev_open("cpu", 1, &d, e));
    assert_true(distance(d, &p, false) < 1e-6);
    assert_true(distance(d, &p, true) > 0.1);
    dev_close(d);
}

/* Rows of X W^T alone, in small and in large batches, on one and two threads: the same bits. */
static void check_rows(const char *name, enum dev_dtype t, uint32_t n, uint32_t k)
{
    enum { ROWS = 70 };
    static const uint32_t batch[] = {1, 2, 3, 7, 16, 31, 64};
    struct dev *d[2];
    double *x = help_values(4, (size_t)ROWS * k, 1, t), *w = help_values(5, (size_t)n * k, 1, t);
    double *all = NULL;
    for (int threads = 1; threads <= 2; threads++) {
        MUST(dev_open(name, threads, &d[threads - 1], e));
        struct hmat hx = help_mat(d[threads - 1], t, ROWS, k, k, x);
        struct hmat hw = help_mat(d[threads - 1], t, n, k, k, w);
        struct hmat hy = help_mat(d[threads - 1], DEV_F32, ROWS, n, n, NULL);
        struct dev_gemm g = {false, true, 1.0f, 0.0f};
        if (!all) {
            MUST(dev_gemm(d[0], g, hx.m, hw.m, hy.m, e));
            all = help_get(&hy);
        }
        for (size_t i = 0; i < sizeof batch / sizeof batch[0]; i++) {
            uint32_t b = batch[i], r0 = ROWS - b;
            struct dev_mat xs = dev_mat_part(hx.m, r0, b, 0, k);
            struct dev_mat ys = dev_mat_part(hy.m, r0, b, 0, n);
            MUST(dev_zero(d[threads - 1], hy.m, e));
            MUST(dev_gemm(d[threads - 1], g, xs, hw.m, ys, e));
            double *y = help_get(&hy);
            assert_memory_equal(y + (size_t)r0 * n, all + (size_t)r0 * n,
                                (size_t)b * n * sizeof *y);
            free(y);
        }
        help_drop(&hx);
        help_drop(&hw);
        help_drop(&hy);
        dev_close(d[threads - 1]);
    }
    free(x);
    free(w);
    free(all);
}

static void test_rows_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    check_rows("cpu", DEV_F32, 96, 600);
    check_rows("cpu", DEV_BF16, 96, 1536);
    check_rows("cpu", DEV_BF16, 50, 5001);
    check_rows("cpu:generic", DEV_BF16, 33, 600);
    struct err e = {0};
    struct dev *d;
    if (!dev_open("cuda", 1, &d, &e)) return;
    dev_close(d);
    check_rows("cuda", DEV_F32, 96, 600);
    check_rows("cuda", DEV_BF16, 96, 1536);
}

/* However many threads share a product by rows, columns or both: every element once (what is added
 * twice shows), with the same bits. */
static void check_shares(const char *name, enum dev_dtype t, struct shape s)
{
    static const int threads[] = {1, 2, 3, 4, 6};
    struct dev_gemm add = {false, true, 1.0f, 1.0f};
    size_t n = (size_t)s.m * s.n;
    double *a = help_values(6, (size_t)s.m * s.k, 1, t), *b = help_values(7, s.n * s.k, 1, t);
    double *c = help_values(8, n, 1, DEV_F32), *one = NULL;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        struct dev *d;
        MUST(dev_open(name, threads[i], &d, e));
        struct hmat x = help_mat(d, t, s.m, s.k, s.k, a), w = help_mat(d, t, s.n, s.k, s.k, b);
        struct hmat y = help_mat(d, DEV_F32, s.m, s.n, s.n, c);
        MUST(dev_gemm(d, add, x.m, w.m, y.m, e));
        double *sum = help_get(&y);
        if (!one)
            one = sum;
        else
            assert_memory_equal(sum, one, n * sizeof *sum);
        if (sum != one) free(sum);
        help_drop(&x);
        help_drop(&w);
        help_drop(&y);
        dev_close(d);
    }
    assert_memory_not_equal(one, c, n * sizeof *one);
    free(a);
    free(b);
    free(c);
    free(one);
}

static void test_shares(void **state)
{
    (void)state;
    check_shares("cpu", DEV_BF16, (struct shape){300, 290, 70});
    check_shares("cpu", DEV_F32, (struct shape){300, 290, 70});
    check_shares("cpu", DEV_BF16, (struct shape){600, 64, 33});
    check_shares("cpu", DEV_BF16, (struct shape){5, 900, 64});
    check_shares("cpu", DEV_F32, (struct shape){64, 130, 2100}); /* k in several packings */
    check_shares("cpu:generic", DEV_BF16, (struct shape){90, 80, 9});
}

static bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

/* A product in bf16 is the one in f32, rounded as dev_cast does it; one that is added, the sum of
 * what was there and it: bit for bit, also where a tile brings its sums there by itself. */
static void check_ends(struct dev *d, const char *name, enum dev_dtype t, struct shape s)
{
    struct dev_gemm to = {false, true, 1.0f, 0.0f}, add = {false, true, 1.0f, 1.0f};
    size_t n = (size_t)s.m * s.n;
    double *a = help_values(6, (size_t)s.m * s.k, 1, t), *b = help_values(7, s.n * s.k, 1, t);
    double *c = help_values(8, n, 1, DEV_F32);
    a[0] = INFINITY;
    a[(size_t)s.k * 2 + 1] = NAN;
    for (uint32_t k = 0; k < s.k; k++)
        a[(size_t)s.k * 3 + k] *= 0x1p-125; /* f32 tiles: sums that have no full precision */
    struct hmat x = help_mat(d, t, s.m, s.k, s.k, a), w = help_mat(d, t, s.n, s.k, s.k, b);
    struct hmat f32 = help_mat(d, DEV_F32, s.m, s.n, s.n + 3, NULL);
    struct hmat bf16 = help_mat(d, DEV_BF16, s.m, s.n, s.n + 5, NULL);
    struct hmat cast = help_mat(d, DEV_BF16, s.m, s.n, s.n, NULL);
    struct hmat sum = help_mat(d, DEV_F32, s.m, s.n, s.n + 1, c);
    MUST(dev_gemm(d, to, x.m, w.m, f32.m, e) && dev_gemm(d, to, x.m, w.m, bf16.m, e) &&
         dev_gemm(d, add, x.m, w.m, sum.m, e) && dev_cast(d, f32.m, cast.m, e));
    double *v[] = {help_get(&f32), help_get(&bf16), help_get(&cast), help_get(&sum), a, b, c};
    assert_true(isinf(v[0][0]) && isnan(v[0][(size_t)s.n * 2]));
    for (size_t i = 0; i < n; i++)
        if (!same(v[1][i], v[2][i]) || !same(v[3][i], (double)((float)v[0][i] + (float)c[i])))
            fail_msg("%s: %u x %u x %u, element %zu: %g in bf16, %g cast; %g added to %g: %g", name,
                     s.m, s.n, s.k, i, v[1][i], v[2][i], v[0][i], c[i], v[3][i]);
    struct hmat *m[] = {&x, &w, &f32, &bf16, &cast, &sum};
    for (int i = 0; i < 6; i++)
        help_drop(m[i]);
    for (int i = 0; i < 7; i++)
        free(v[i]);
}

static void test_ends(void **state)
{
    static const char *const names[] = {"cpu",        "strict",          "cpu:generic", "cpu:avx2",
                                        "cpu:avx512", "cpu:avx512_bf16", "cpu:amx"};
    static const struct shape some[] = {{30, 96, 70}, {230, 70, 33}, {17, 64, 1500}, {5, 200, 8}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct dev *d;
        struct err e = {0};
        if (!dev_open(names[i], 1, &d, &e)) continue;
        for (size_t k = 0; k < sizeof some / sizeof some[0]; k++) {
            check_ends(d, names[i], DEV_F32, some[k]);
            check_ends(d, names[i], DEV_BF16, some[k]);
        }
        dev_close(d);
    }
}

/* dev_gemm2 is the product of the matrices laid side by side. */
static void check_two_terms(const char *name, enum dev_dtype t, struct shape s, uint32_t k2, int v)
{
    struct dev *d;
    struct dev_gemm g = {v & 1, v & 2, 0.5f, v & 4 ? 1.0f : 0.0f};
    uint32_t k = s.k + k2;
    struct product p = {{s.m, s.n, k}, g, t, t, 0};
    MUST(dev_open(name, 1, &d, e));
    double *a = help_values(1, (size_t)s.m * k, 1, t), *b = help_values(2, (size_t)s.n * k, 1, t);
    double *c = help_values(3, (size_t)s.m * s.n, 1, t), *want = expect(&p, a, b, c);
    struct hmat ha = g.trans_a ? help_mat(d, t, k, s.m, s.m, a) : help_mat(d, t, s.m, k, k, a);
    struct hmat hb = g.trans_b ? help_mat(d, t, s.n, k, k, b) : help_mat(d, t, k, s.n, s.n, b);
    struct hmat hc = help_mat(d, t, s.m, s.n, s.n + 1, c);
    struct dev_mat part[4];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t k0 = i ? s.k : 0, n = i ? k2 : s.k;
        part[2 * i] =
            g.trans_a ? dev_mat_part(ha.m, k0, n, 0, s.m) : dev_mat_part(ha.m, 0, s.m, k0, n);
        part[2 * i + 1] =
            g.trans_b ? dev_mat_part(hb.m, 0, s.n, k0, n) : dev_mat_part(hb.m, k0, n, 0, s.n);
    }
    MUST(dev_gemm2(d, g, part[0], part[1], part[2], part[3], hc.m, e));
    double *got = help_get(&hc), dist = help_distance(got, want, (size_t)s.m * s.n);
    if (dist > (t == DEV_BF16 ? 5e-3 : 2e-6))
        fail_msg("%s: %u x %u x %u + %u variant %d: distance %g", name, s.m, s.n, s.k, k2, v, dist);
    double *values[] = {a, b, c, want, got};
    for (int i = 0; i < 5; i++)
        free(values[i]);
    help_drop(&ha);
    help_drop(&hb);
    help_drop(&hc);
    dev_close(d);
}

static void test_two_terms(void **state)
{
    static const char *const names[] = {"cpu",      "strict",     "cpu:generic",
                                        "cpu:avx2", "cpu:avx512", "cuda"};
    static const struct shape some[] = {{40, 70, 64}, {70, 33, 33}, {9, 40, 2100}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct dev *d;
        struct err e = {0};
        if (!dev_open(names[i], 1, &d, &e)) continue;
        dev_close(d);
        for (size_t k = 0; k < sizeof some / sizeof some[0]; k++)
            for (int v = 0; v < 8; v++) {
                check_two_terms(names[i], DEV_F32, some[k], 16, v);
                check_two_terms(names[i], DEV_BF16, some[k], k == 1 ? 2001 : 48, v);
            }
    }
}

static void check_empty(const char *name)
{
    struct dev *d;
    struct err e = {0};
    struct product p = {{3, 4, 0}, {false, true, 1.0f, 0.5f}, DEV_F32, DEV_F32, 0};
    if (!dev_open(name, 1, &d, &e)) return;
    assert_true(distance(d, &p, false) < 1e-6);
    p.s = (struct shape){0, 4, 3};
    assert_true(distance(d, &p, false) == 0);
    dev_close(d);
}

static void test_empty(void **state)
{
    (void)state;
    check_empty("cpu");
    check_empty("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_wrong_operand),
        cmocka_unit_test(test_rows_do_not_depend_on_the_batch),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_two_terms),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
