/*
 * Copies, dropout, the optimizer's exact sums and the like: against their definitions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"

static const char *const devices[] = {"cpu",      "strict",     "cpu:generic",
                                      "cpu:avx2", "cpu:avx512", "cuda"};
enum { DEVICES = sizeof devices / sizeof devices[0] };

static struct dev *open_device(size_t i)
{
    struct dev *d;
    struct err e = {0};
    if (dev_open(devices[i], 1, &d, &e)) return d;
    printf("SKIP: %s\n", e.text);
    return NULL;
}

#define FOR_DEVICES(d)                                                                             \
    for (size_t d##_i = 0; d##_i < DEVICES; d##_i++)                                               \
        for (struct dev *d = open_device(d##_i); d; dev_close(d), d = NULL)

static void equal(const struct hmat *h, const double *want)
{
    size_t n = (size_t)h->m.rows * h->m.cols;
    double *got = help_get(h);
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i] && !(isnan(got[i]) && isnan(want[i])))
            fail_msg("element %zu is %.9g, not %.9g", i, got[i], want[i]);
    free(got);
}

/* Ties go to even, overflow to infinity, NaN stays, and denormals keep their value. */
static void test_cast(void **state)
{
    static const struct {
        uint32_t f32, bf16;
    } table[] = {{0x3F808000, 0x3F80}, {0x3F818000, 0x3F82}, {0x3F808001, 0x3F81},
                 {0x3F807FFF, 0x3F80}, {0x7F7FFFFF, 0x7F80}, {0x7F800001, 0x7FC0},
                 {0xFF800000, 0xFF80}, {0x80000000, 0x8000}, {0x00010000, 0x0001},
                 {0x00018000, 0x0002}, {0xFFFFFFFF, 0xFFFF}};
    enum { N = sizeof table / sizeof table[0] };
    (void)state;
    FOR_DEVICES(d)
    {
        struct dev_buf *b;
        uint32_t in[N], back[N];
        uint16_t out[N];
        for (int i = 0; i < N; i++)
            in[i] = table[i].f32;
        MUST(dev_buf_open(d, 1000, &b, e));
        struct dev_mat f = dev_mat_of(b, 0, DEV_F32, 1, N), h = dev_mat_of(b, 64, DEV_BF16, 1, N);
        MUST(dev_upload(d, b, 0, in, sizeof in, e));
        MUST(dev_cast(d, f, h, e));
        MUST(dev_cast(d, h, f, e));
        MUST(dev_download(d, b, 128, out, sizeof out, e));
        MUST(dev_download(d, b, 0, back, sizeof back, e));
        for (int i = 0; i < N; i++) {
            /* which NaN is the device's affair */
            bool nan = (out[i] & 0x7FFF) > 0x7F80 && (table[i].bf16 & 0x7FFF) > 0x7F80;
            assert_true(nan || out[i] == table[i].bf16);
            assert_int_equal(back[i], (uint32_t)out[i] << 16);
        }
        dev_buf_close(b);
    }
}

static void test_scale_cast_and_add(void **state)
{
    enum { R = 3, C = 1100 }; /* longer than a piece */
    (void)state;
    FOR_DEVICES(d)
    {
        double *x = help_values(1, R * C, 2, DEV_BF16), *y = help_values(2, R * C, 2, DEV_BF16);
        double *s = malloc(R * C * sizeof *s), *sum = malloc(R * C * sizeof *sum);
        for (int i = 0; i < R * C; i++)
            s[i] = help_round(0.375 * x[i], DEV_BF16);
        for (int i = 0; i < R * C; i++)
            sum[i] = help_round(x[i] + y[i], DEV_F32);
        struct hmat hx = help_mat(d, DEV_F32, R, C, C + 5, x);
        struct hmat hy = help_mat(d, DEV_BF16, R, C, C + 1, y);
        struct hmat hs = help_mat(d, DEV_BF16, R, C, C, NULL);
        MUST(dev_scale_cast(d, 0.375f, hx.m, hs.m, e));
        equal(&hs, s);
        MUST(dev_add(d, hx.m, hy.m, e));
        equal(&hx, sum);
        MUST(dev_zero(d, dev_mat_part(hy.m, 1, 1, 0, C), e));
        memset(y + C, 0, C * sizeof *y);
        equal(&hy, y);
        struct hmat *all[] = {&hx, &hy, &hs};
        for (int i = 0; i < 3; i++)
            help_drop(all[i]);
        free(x);
        free(y);
        free(s);
        free(sum);
    }
}

/* A bias: one row added to all, in either dtype. */
static void test_add_row(void **state)
{
    enum { R = 3, C = 1100 };
    (void)state;
    FOR_DEVICES(d)
    {
        for (enum dev_dtype t = DEV_F32; t <= DEV_BF16; t++) {
            double *x = help_values(1, R * C, 2, t), *b = help_values(2, C, 2, DEV_F32);
            struct hmat hx = help_mat(d, t, R, C, C + 5, x);
            struct hmat hb = help_mat(d, DEV_F32, 1, C, C, b);
            for (int i = 0; i < R * C; i++)
                x[i] = help_round(x[i] + b[i % C], t);
            MUST(dev_add(d, hx.m, hb.m, e));
            equal(&hx, x);
            help_drop(&hx);
            help_drop(&hb);
            free(x);
            free(b);
        }
    }
}

static void near(const struct hmat *h, const double *want, double tol, const char *what)
{
    double *got = help_get(h), dist = help_distance(got, want, (size_t)h->m.rows * h->m.cols);
    if (!(dist < tol)) fail_msg("%s: distance %g", what, dist);
    free(got);
}

/* Rows far from zero: the variance must not be a difference of large numbers. */
static void test_layernorm(void **state)
{
    enum { R = 4, C = 103 };
    (void)state;
    FOR_DEVICES(d)
    {
        double *x = help_values(1, R * C, 2, DEV_F32), *w = help_values(2, C, 2, DEV_F32);
        double *b = help_values(3, C, 2, DEV_F32), want[R * C];
        for (int r = 0; r < R; r++) {
            double mean = 0, var = 0, *row = x + (ptrdiff_t)r * C;
            for (int c = 0; c < C; c++)
                mean += (row[c] = help_round(row[c] + 30 * r, DEV_F32)) / C;
            for (int c = 0; c < C; c++)
                var += (row[c] - mean) * (row[c] - mean) / C;
            for (int c = 0; c < C; c++)
                want[r * C + c] = (row[c] - mean) / sqrt(var + 1e-3) * w[c] + b[c];
        }
        struct hmat hx = help_mat(d, DEV_F32, R, C, C + 2, x);
        struct hmat hy = help_mat(d, DEV_BF16, R, C, C + 1, NULL);
        struct hmat hw = help_mat(d, DEV_F32, 1, C, C, w), hb = help_mat(d, DEV_F32, 1, C, C, b);
        MUST(dev_layernorm(d, hx.m, hw.m, hb.m, 1e-3f, hy.m, e));
        near(&hy, want, 3e-3, "bf16");
        MUST(dev_layernorm(d, hx.m, hw.m, hb.m, 1e-3f, hx.m, e));
        near(&hx, want, 3e-6, "f32");
        struct hmat *all[] = {&hx, &hy, &hw, &hb};
        for (int i = 0; i < 4; i++)
            help_drop(all[i]);
        free(x);
        free(w);
        free(b);
    }
}

static double act_value(enum dev_act act, double x)
{
    switch (act) {
    case DEV_SILU:
        return x / (1 + exp(-x));
    case DEV_GELU:
        return x / 2 * (1 + erf(x / sqrt(2)));
    case DEV_GELU_TANH:
        return x / 2 * (1 + tanh(sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x)));
    default:
        return x > 0 ? x : 0;
    }
}

/* Gradients against differences of the formulas in f64. */
static void check_act(struct dev *d, enum dev_act act, bool gated, enum dev_dtype t)
{
    enum { R = 2, C = 1030 }; /* longer than a piece */
    size_t cols = gated ? 2 * C : C, n = R * C;
    double *x = help_values(1, R * cols, 7, t), *dy = help_values(2, n, 1, t), step = 1e-5;
    double *y = calloc(n, sizeof *y), *dx = calloc(R * cols, sizeof *dx);
    for (size_t i = 0; i < n; i++) {
        size_t g = i / C * cols + i % C;
        double u = gated ? x[g + C] : 1, v = act_value(act, x[g]);
        y[i] = v * u;
        dx[g] = dy[i] * u * (act_value(act, x[g] + step) - act_value(act, x[g] - step)) / 2 / step;
        if (gated) dx[g + C] = dy[i] * v;
    }
    struct hmat hx = help_mat(d, t, R, (uint32_t)cols, (uint32_t)cols + 3, x);
    struct hmat hy = help_mat(d, t, R, C, C, NULL), hdy = help_mat(d, t, R, C, C + 1, dy);
    MUST(dev_act(d, act, hx.m, hy.m, e));
    MUST(dev_act_bwd(d, act, hdy.m, hx.m, hx.m, e)); /* in place */
    near(&hy, y, t == DEV_BF16 ? 3e-3 : 1e-6, "value");
    near(&hx, dx, t == DEV_BF16 ? 3e-3 : 1e-6, "slope");
    help_drop(&hx);
    help_drop(&hy);
    help_drop(&hdy);
    free(x);
    free(y);
    free(dx);
    free(dy);
}

static void test_activations(void **state)
{
    (void)state;
    FOR_DEVICES(d)
    {
        for (int i = 0; i < 4 * DEV_ACTS; i++)
            check_act(d, (enum dev_act)(i / 4), i & 1, i & 2 ? DEV_BF16 : DEV_F32);
    }
}

/* ---- what one pass does for several ops: their bits */
static void same_bits(const struct hmat *a, const struct hmat *b)
{
    double *want = help_get(b);
    equal(a, want);
    free(want);
}

/* The norm of x, its gradient into dx and a copy of that: from an x of dtype t. */
static void check_norm(struct dev *d, enum dev_dtype t, uint32_t cols)
{
    enum { R = 5 };
    uint32_t n = R * cols;
    double *v[3] = {help_values(1, n, 2, t), help_values(2, n, 1, t),
                    help_values(3, n, 1, DEV_F32)};
    double *vw = help_values(4, cols, 1, DEV_F32);
    struct hmat w = help_mat(d, DEV_F32, 1, cols, cols, vw),
                dy = help_mat(d, t, R, cols, cols + 1, v[1]);
    struct hmat x = help_mat(d, t, R, cols, cols + 8, v[0]),
                rstd = help_mat(d, DEV_F32, 1, R, R, NULL);
    struct hmat f32 = help_mat(d, DEV_F32, R, cols, cols, v[0]);
    struct hmat y[2], dx[2], to[2], keep = help_mat(d, t, R, cols, cols + 3, NULL);
    for (int i = 0; i < 2; i++) {
        y[i] = help_mat(d, t, R, cols, cols + 2, NULL);
        dx[i] = help_mat(d, DEV_F32, R, cols, cols, v[2]);
        to[i] = help_mat(d, t, R, cols, cols + 64, NULL);
    }
    struct dev_rmsnorm_back g = {dy.m, x.m, w.m, 1e-5f, dx[1].m, y[1].m, to[1].m};
    MUST(dev_rmsnorm(d, f32.m, w.m, 1e-5f, y[0].m, rstd.m, e));
    MUST(dev_rmsnorm_bwd(d, dy.m, f32.m, w.m, rstd.m, dx[0].m, (struct dev_mat){0}, e));
    MUST(dev_cast(d, dx[0].m, to[0].m, e));
    MUST(dev_rmsnorm_back(d, &g, e));
    same_bits(&y[1], &y[0]);
    same_bits(&dx[1], &dx[0]);
    same_bits(&to[1], &to[0]);
    MUST(dev_rmsnorm_keep(d, f32.m, w.m, 1e-5f, y[1].m, keep.m, e));
    same_bits(&y[1], &y[0]);
    same_bits(&keep, &x);
    for (int i = 0; i < 2; i++) {
        help_drop(&y[i]);
        help_drop(&dx[i]);
        help_drop(&to[i]);
    }
    help_drop(&keep);
    help_drop(&f32);
    help_drop(&rstd);
    help_drop(&x);
    help_drop(&dy);
    help_drop(&w);
    free(vw);
    for (int i = 0; i < 3; i++)
        free(v[i]);
}

static void check_act_back(struct dev *d, enum dev_act act, enum dev_dtype t, uint32_t times)
{
    enum { R = 3, C = 1030 };
    double *vx = help_values(1, R * C * times, 4, t), *vd = help_values(2, R * C, 1, t);
    struct hmat x[2], y[2], dy = help_mat(d, t, R, C, C + 2, vd);
    for (int i = 0; i < 2; i++) {
        x[i] = help_mat(d, t, R, C * times, C * times + 64, vx);
        y[i] = help_mat(d, t, R, C, C, NULL);
    }
    MUST(dev_act(d, act, x[0].m, y[0].m, e));
    MUST(dev_act_bwd(d, act, dy.m, x[0].m, x[0].m, e));
    MUST(dev_act_back(d, act, dy.m, x[1].m, x[1].m, y[1].m, e));
    same_bits(&x[1], &x[0]);
    same_bits(&y[1], &y[0]);
    for (int i = 0; i < 2; i++) {
        help_drop(&x[i]);
        help_drop(&y[i]);
    }
    help_drop(&dy);
    free(vx);
    free(vd);
}

static void check_xent_to(struct dev *d, enum dev_dtype t)
{
    enum { R = 3, V = 1037 };
    static const double labels[R] = {5, 0, V - 1};
    double *v = help_values(1, R * V, 9, DEV_F32);
    struct hmat at = help_mat(d, DEV_I32, 1, R, R, labels), x[2], loss[2], to[2];
    for (int i = 0; i < 2; i++) {
        x[i] = help_mat(d, DEV_F32, R, V, V + 3, v);
        loss[i] = help_mat(d, DEV_F32, 1, R, R, NULL);
        to[i] = help_mat(d, t, R, V, V + 3, NULL);
    }
    MUST(dev_xent(d, x[0].m, at.m, loss[0].m, true, 0.5f, e));
    MUST(dev_cast(d, x[0].m, to[0].m, e));
    MUST(dev_xent_to(d, x[1].m, at.m, loss[1].m, 0.5f, to[1].m, e));
    same_bits(&loss[1], &loss[0]);
    same_bits(&to[1], &to[0]);
    for (int i = 0; i < 2; i++) {
        help_drop(&x[i]);
        help_drop(&loss[i]);
        help_drop(&to[i]);
    }
    help_drop(&at);
    free(v);
}

static void test_one_pass(void **state)
{
    (void)state;
    FOR_DEVICES(d)
    {
        for (int i = 0; i < 4; i++)
            check_norm(d, i & 1 ? DEV_BF16 : DEV_F32, i & 2 ? 1100 : 24);
        check_xent_to(d, DEV_F32);
        check_xent_to(d, DEV_BF16);
        for (int i = 0; i < 4 * DEV_ACTS; i++)
            check_act_back(d, (enum dev_act)(i / 4), i & 1 ? DEV_BF16 : DEV_F32, i & 2 ? 2 : 1);
    }
}

static void test_rows_by_index(void **state)
{
    enum { V = 6, N = 4, C = 9 };
    static const double idx[N] = {5, 0, 2, 5}, once[N] = {5, 0, 2, 3};
    (void)state;
    FOR_DEVICES(d)
    {
        double *table = help_values(1, V * C, 1, DEV_BF16), want[V * C];
        struct hmat t = help_mat(d, DEV_BF16, V, C, C + 1, table);
        struct hmat i = help_mat(d, DEV_I32, 1, N, N, idx), o = help_mat(d, DEV_I32, 1, N, N, once);
        struct hmat x = help_mat(d, DEV_F32, N, C, C, NULL);
        struct hmat g = help_mat(d, DEV_F32, V, C, C, table);
        MUST(dev_gather_rows(d, t.m, i.m, x.m, e));
        for (int r = 0; r < N; r++)
            memcpy(want + (size_t)r * C, table + (size_t)idx[r] * C, C * sizeof *want);
        equal(&x, want);
        double *rows = help_values(7, N * C, 1, DEV_BF16);
        help_put(&x, rows);
        MUST(dev_scatter_rows(d, x.m, o.m, t.m, e));
        memcpy(want, table, sizeof want);
        for (int r = 0; r < N; r++)
            memcpy(want + (size_t)once[r] * C, rows + (size_t)r * C, C * sizeof *want);
        equal(&t, want);
        MUST(dev_scatter_add_rows(d, x.m, i.m, g.m, e));
        memcpy(want, table, sizeof want);
        for (int r = 0; r < N; r++)
            for (size_t c = 0; c < C; c++) {
                double *w = want + (size_t)idx[r] * C + c;
                *w = help_round(*w + rows[(size_t)r * C + c], DEV_F32);
            }
        equal(&g, want);
        struct hmat *all[] = {&t, &i, &o, &x, &g};
        for (int k = 0; k < 5; k++)
            help_drop(all[k]);
        free(table);
        free(rows);
    }
}

/* The definition in dev.h, written down again. */
static double dropped(double x, double p, uint64_t key, uint64_t i)
{
    uint64_t z = key + i * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    bool keep = (double)(z >> 40) * 0x1p-24 >= p;
    return keep ? x * (double)(1.0f / (1.0f - (float)p)) : 0;
}

static void test_dropout(void **state)
{
    enum { R = 5, C = 2000 };
    (void)state;
    FOR_DEVICES(d)
    {
        double *x = help_values(3, R * C, 1, DEV_F32), *want = malloc(R * C * sizeof *want);
        size_t zeros = 0;
        for (int i = 0; i < R * C; i++) {
            want[i] = help_round(dropped(x[i], 0.25, 99, 12345 + (uint64_t)i), DEV_F32);
            zeros += want[i] == 0;
        }
        struct hmat h = help_mat(d, DEV_F32, R, C, C + 2, x), y = help_mat(d, DEV_F32, R, C, C, x);
        MUST(dev_dropout(d, h.m, 0.25f, 99, 12345, y.m, e));
        equal(&y, want);
        MUST(dev_dropout(d, h.m, 0.25f, 99, 12345, h.m, e)); /* in place */
        equal(&h, want);
        /* four standard deviations of a fair coin */
        assert_true(fabs((double)zeros - 0.25 * R * C) < 4 * sqrt(0.25 * 0.75 * R * C));
        help_put(&h, x);
        MUST(dev_dropout(d, h.m, 0.0f, 99, 0, y.m, e));
        equal(&y, x);
        help_drop(&h);
        help_drop(&y);
        free(x);
        free(want);
    }
}

static void test_argmax(void **state)
{
    enum { N = 70 };
    (void)state;
    FOR_DEVICES(d)
    {
        double x[4 * N], want[4] = {0, 69, 33, 0};
        for (int i = 0; i < 4 * N; i++)
            x[i] = -3;
        x[0] = x[1] = 5;
        x[N + 69] = -2.5;
        x[2 * N + 33] = x[2 * N + 34] = x[2 * N + 64] = 0;
        for (int i = 0; i < N; i++)
            x[3 * N + i] = NAN;
        struct hmat h = help_mat(d, DEV_F32, 4, N, N + 3, x),
                    o = help_mat(d, DEV_I32, 1, 4, 4, NULL);
        MUST(dev_argmax(d, h.m, o.m, e));
        equal(&o, want);
        help_drop(&h);
        help_drop(&o);
    }
}

/* Where a random number falls, by hand: four tokens of probability 1/2, 1/4, 1/8, 1/8. */
static void test_sample(void **state)
{
    enum { N = 4, ROWS = 9 };
    static const struct {
        struct dev_draw how;
        int want;
    } rows[ROWS] = {
        {{1, 0, 0.1, 0}, 3},    {{1, 0, 0.6, 0}, 2},     {{1, 0, 0.70, 0}, 1},
        {{1, 0, 0.99, 0}, 0},   {{0, 0.5, 0.99, 3}, 2},  {{1, 0, 0.7, 2}, 0},    /* of 2/3, 1/3 */
        {{1, 0.76, 0.9, 0}, 1}, {{1, 0.4, 0.999, 0}, 2}, {{1, 0.7, 0.65, 3}, 2}, /* of 7/8 */
    };
    static const double p[N] = {0.25, 0.125, 0.5, 0.125};
    (void)state;
    FOR_DEVICES(d)
    {
        double x[ROWS * N], want[ROWS];
        struct dev_draw how[ROWS];
        for (int r = 0; r < ROWS; r++) {
            how[r] = rows[r].how;
            want[r] = rows[r].want;
            for (int i = 0; i < N; i++)
                x[r * N + i] = log(p[i]) + 3;
        }
        struct hmat h = help_mat(d, DEV_F32, ROWS, N, N + 1, x),
                    o = help_mat(d, DEV_I32, 1, ROWS, ROWS, NULL);
        MUST(dev_sample(d, h.m, how, o.m, e));
        equal(&o, want);
        help_drop(&h);
        help_drop(&o);
    }
}

static void test_fixed_point(void **state)
{
    enum { N = 9 };
    static const double g[N] = {0.5, -0.5, 1.5, 2.5, -2.5, 0.49, 1e-30, 1048576.25, -7};
    /* times 2^1, halves to even; added to 100 twice */
    static const double once[N] = {1, -1, 3, 5, -5, 1, 0, 2097152, -14};
    (void)state;
    FOR_DEVICES(d)
    {
        double start[N], want[N], zero = 0, one = 1;
        for (int i = 0; i < N; i++)
            start[i] = 100, want[i] = 100 + 2 * once[i];
        struct hmat hg = help_mat(d, DEV_F32, 1, N, N, g), a = help_mat(d, DEV_I64, 1, N, N, start);
        struct hmat over = help_mat(d, DEV_I32, 1, 1, 1, &zero);
        MUST(dev_accum_fixed(d, hg.m, 1, a.m, over.m, e));
        MUST(dev_accum_fixed(d, hg.m, 1, a.m, over.m, e));
        equal(&a, want);
        equal(&over, &zero);
        MUST(dev_from_fixed(d, a.m, 1, 0.1, hg.m, e));
        for (int i = 0; i < N; i++)
            want[i] = (double)(float)(want[i] * 0.5 * 0.1);
        equal(&hg, want);
        /* 2^61 fits; 2^62 and NaN do not */
        static const double edge[3] = {0x1p61, 0, -0x1.fffffep61};
        double kept[3] = {0x1p61, 0, -0x1.fffffep61}, bad[3] = {0x1p62, NAN, -INFINITY};
        struct hmat e3 = help_mat(d, DEV_F32, 1, 3, 3, edge),
                    zeros = help_mat(d, DEV_I64, 1, 3, 3, kept);
        MUST(dev_zero(d, zeros.m, e));
        MUST(dev_accum_fixed(d, e3.m, 0, zeros.m, over.m, e));
        equal(&zeros, kept);
        equal(&over, &zero);
        for (int i = 0; i < 3; i++) {
            double only[3] = {0, 0, 0};
            only[i] = bad[i];
            help_put(&e3, only);
            help_put(&over, &zero);
            MUST(dev_accum_fixed(d, e3.m, 0, zeros.m, over.m, e));
            equal(&over, &one);
            equal(&zeros, kept);
        }
        struct hmat *all[] = {&hg, &a, &over, &e3, &zeros};
        for (int k = 0; k < 5; k++)
            help_drop(all[k]);
    }
}

static void test_norms(void **state)
{
    enum { R = 3, C = 777 };
    (void)state;
    FOR_DEVICES(d)
    {
        double *x = help_values(5, R * C, 3, DEV_F32), sum = 0, top = 0, got;
        float gotf;
        struct hmat h = help_mat(d, DEV_F32, R, C, C + 4, x);
        for (int i = 0; i < R * C; i++) {
            sum += x[i] * x[i];
            top = fabs(x[i]) > top ? fabs(x[i]) : top;
        }
        MUST(dev_sumsq(d, h.m, &got, e));
        assert_true(strcmp(dev_name(d), "cuda") == 0 ? fabs(got - sum) <= 1e-12 * sum : got == sum);
        MUST(dev_absmax(d, h.m, &gotf, e));
        assert_true((double)gotf == top);
        x[R * C - 1] = NAN;
        help_put(&h, x);
        MUST(dev_absmax(d, h.m, &gotf, e));
        assert_true(isinf(gotf));
        help_drop(&h);
        free(x);
    }
}

/* Angles as transformers computes them: f32 product, then cosine; positions of a long context. */
static void test_rope_far(void **state)
{
    enum { N = 6 };
    static const double pos[N] = {0, 1, 8191, 131071, 524287, 1048575};
    double inv[4] = {1, help_round(0.1, DEV_F32), help_round(0.0316, DEV_F32),
                     help_round(1e-4, DEV_F32)};
    (void)state;
    FOR_DEVICES(d)
    {
        double x[N * 8], want[N * 8];
        for (int i = 0; i < N * 8; i++)
            x[i] = i % 8 < 4 ? 1 : 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < 4; j++) {
                double a = (double)((float)pos[i] * (float)inv[j]);
                want[i * 8 + j] = cos(a);
                want[i * 8 + 4 + j] = sin(a);
            }
        struct hmat h = help_mat(d, DEV_F32, N, 8, 8, x), p = help_mat(d, DEV_I32, 1, N, N, pos);
        struct hmat f = help_mat(d, DEV_F32, 1, 4, 4, inv);
        MUST(dev_rope(d, h.m, 1, p.m, f.m, false, e));
        double *got = help_get(&h);
        for (int i = 0; i < N * 8; i++)
            assert_true(fabs(got[i] - want[i]) < 2e-7);
        free(got);
        help_drop(&h);
        help_drop(&p);
        help_drop(&f);
    }
}

/* Scores far apart: nothing overflows, the losses stay right. */
static void test_xent_extremes(void **state)
{
    enum { N = 40 };
    (void)state;
    FOR_DEVICES(d)
    {
        double x[2 * N], label[2] = {3, 7}, loss[2];
        for (int i = 0; i < 2 * N; i++)
            x[i] = -200;
        x[3] = 300;
        x[N + 8] = 80;
        struct hmat h = help_mat(d, DEV_F32, 2, N, N, x), y = help_mat(d, DEV_I32, 1, 2, 2, label);
        struct hmat l = help_mat(d, DEV_F32, 1, 2, 2, NULL);
        MUST(dev_xent(d, h.m, y.m, l.m, true, 1.0f, e));
        double *g = help_get(&h), *got = help_get(&l);
        loss[0] = 0, loss[1] = 280;
        assert_true(fabs(got[0] - loss[0]) < 1e-6 && fabs(got[1] - loss[1]) < 1e-4);
        assert_true(fabs(g[3]) < 1e-6 && fabs(g[N + 8] - 1) < 1e-6 && fabs(g[N + 7] + 1) < 1e-6);
        free(g);
        free(got);
        help_drop(&h);
        help_drop(&y);
        help_drop(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cast),          cmocka_unit_test(test_scale_cast_and_add),
        cmocka_unit_test(test_add_row),       cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_activations),   cmocka_unit_test(test_one_pass),
        cmocka_unit_test(test_rows_by_index), cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_argmax),        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_fixed_point),   cmocka_unit_test(test_norms),
        cmocka_unit_test(test_rope_far),      cmocka_unit_test(test_xent_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
