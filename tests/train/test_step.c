#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "support/testdir.h"
#include "train/kit.h"

static struct comm *c;
static char dir[600];

static int open_all(void **state)
{
    struct err e = {0};
    (void)state;
    snprintf(dir, sizeof dir, "%s/model", testdir_make());
    return comm_open_self(&c, &e) ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    comm_close(c);
    testdir_remove();
    return 0;
}

static struct step_opts opts(void)
{
    return (struct step_opts){.beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .clip = 1,
                              .seed = 1,
                              .bins_per_step = 16,
                              .decay_vectors = true};
}

struct fixture {
    struct kit k;
    struct step s;
};

static void fixture_open_as(struct fixture *f, const char *device, const struct lora_opts *l,
                            const struct step_opts *o)
{
    struct err e = {0};
    kit_open(&f->k, dir, device, &kit_small, l, KIT_BIN_TOKENS);
    if (!step_init(&f->s, o, f->k.m, f->k.l, f->k.w, c, &e)) kit_die("step", &e);
}

static void fixture_open(struct fixture *f, const char *device, const struct step_opts *o)
{
    struct lora_opts l = kit_lora();
    fixture_open_as(f, device, &l, o);
}

static void fixture_close(struct fixture *f)
{
    step_free(&f->s);
    kit_close(&f->k);
}

/* The first 24 samples, cut in different ways. */
static const uint32_t one_bin[] = {0, 24}, three_bins[] = {0, 9, 10, 24},
                      each_alone[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                      13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

static struct step_result gradient(struct fixture *f, const uint32_t *cuts, uint64_t nbins,
                                   float *out)
{
    struct kit_bins bins = {.cuts = cuts, .nbins = nbins};
    struct step_source src = {&bins, kit_get};
    struct step_job job = {.number = 1, .end = nbins, .rows = kit_rows(0, 24), .lr = 1e-3};
    struct step_flags flags = {0};
    struct step_result res;
    struct err e = {0};

    if (!step_gradient(&f->s, &src, &job, &flags, &res, &e)) kit_die("gradient", &e);
    if (!dev_download(f->k.d, f->s.grad, 0, out, f->s.count * sizeof *out, &e)) kit_die("get", &e);
    return res;
}

/* B starts at zero, where A has no gradient: move the masters away from there. */
static void stir(struct fixture *f)
{
    struct err e = {0};
    float *p = malloc(f->s.count * sizeof *p);
    if (!step_get(&f->s, p, NULL, NULL, &e)) kit_die("get", &e);
    for (uint64_t i = 0; i < f->s.count; i++)
        p[i] += (float)((i * 37) % 19 - 9.0) / 256;
    if (!step_set(&f->s, p, NULL, NULL, &e)) kit_die("set", &e);
    free(p);
}

static void any_split_into_bins_gives_the_same_gradient(void **state)
{
    struct fixture f;
    struct step_opts o = opts();
    const uint32_t *cuts[] = {one_bin, three_bins, each_alone};
    const uint64_t nbins[] = {1, 3, 24};
    double norm = 0;

    (void)state;
    fixture_open(&f, test_device(), &o);
    stir(&f);
    float *want = malloc(f.s.count * sizeof *want), *got = malloc(f.s.count * sizeof *got);
    struct step_result first = gradient(&f, one_bin, 1, want);
    for (uint64_t i = 0; i < f.s.count; i++)
        norm += (double)want[i] * want[i];
    assert_true(norm > 1e-4); /* not a comparison of zeros */
    for (int k = 1; k < 3; k++) {
        struct step_result res = gradient(&f, cuts[k], nbins[k], got);
        assert_true(fabs(res.loss - first.loss) < 1e-6);
        for (uint64_t i = 0; i < f.s.count; i++)
            if (fabs(got[i] - want[i]) > 1e-6)
                fail_msg("split %d element %d: %g, not %g", k, (int)i, got[i], want[i]);
    }
    free(got);
    free(want);
    fixture_close(&f);
}

static void the_mean_loss_is_over_target_tokens(void **state)
{
    struct fixture f;
    struct step_opts o = opts();
    float rows[KIT_BIN_TOKENS];
    struct kit_bins bins = {.cuts = one_bin, .nbins = 1};
    struct decoder_batch b;
    struct err e = {0};
    double sum, want = 0;

    (void)state;
    fixture_open(&f, test_device(), &o);
    float *g = malloc(f.s.count * sizeof *g);
    struct step_result res = gradient(&f, three_bins, 3, g);
    assert_true(kit_get(&bins, 0, &b, &e));
    assert_int_equal(b.nrows, kit_rows(0, 24));
    assert_true(decoder_loss(f.k.w, &b, &sum, rows, &e));
    for (uint32_t i = 0; i < b.nrows; i++)
        want += rows[i];
    assert_true(fabs(res.loss - want / b.nrows) < 1e-5);
    free(g);
    fixture_close(&f);
}

static void a_redone_step_equals_one_with_fitting_shifts(void **state)
{
    struct fixture f, g;
    struct step_opts o = opts();

    (void)state;
    fixture_open(&f, test_device(), &o);
    stir(&f);
    fixture_open(&g, test_device(), &o);
    stir(&g);
    float *a = malloc(f.s.count * sizeof *a), *b = malloc(f.s.count * sizeof *b);
    for (size_t i = 0; i < f.s.sync.nslices; i++)
        f.s.sync.slices[i].shift = 120;
    assert_int_equal(gradient(&f, three_bins, 3, a).tries, 2);
    for (size_t i = 0; i < f.s.sync.nslices; i++)
        g.s.sync.slices[i].shift = f.s.sync.slices[i].shift;
    assert_int_equal(gradient(&g, three_bins, 3, b).tries, 1);
    assert_memory_equal(a, b, f.s.count * sizeof *a);
    free(b);
    free(a);
    fixture_close(&g);
    fixture_close(&f);
}

static double train(struct fixture *f, const uint32_t *cuts, uint64_t nbins, int steps, double lr)
{
    struct kit_bins bins = {.cuts = cuts, .nbins = nbins};
    struct step_source src = {&bins, kit_get};
    struct step_flags flags = {0};
    struct step_result res = {0};
    struct err e = {0};

    for (int i = 1; i <= steps; i++) {
        struct step_job job = {
            .number = (uint64_t)i, .end = nbins, .rows = kit_rows(0, 24), .lr = lr};
        if (!step_run(&f->s, &src, &job, &flags, &res, &e)) kit_die("step", &e);
    }
    return res.loss;
}

static void falls(int method, int steps, double lr, double least)
{
    struct fixture f;
    struct step_opts o = opts();
    struct lora_opts l = kit_lora();

    l.method = method;
    fixture_open_as(&f, test_device(), &l, &o);
    double first = train(&f, three_bins, 3, 1, lr);
    double last = train(&f, three_bins, 3, steps, lr);
    assert_true(fabs(first - log(64)) < 0.3); /* a fresh model knows nothing */
    if (!(last < first - least)) fail_msg("loss %g, %g before", last, first);
    fixture_close(&f);
}

static void the_loss_falls(void **state)
{
    (void)state;
    falls(LORA_LORA, 30, 1e-2, 0.2); /* on a frozen random base there is little to gain */
    falls(LORA_FULL, 30, 1e-2, 2.0);
}

/* LoRA+: B, which starts at zero, goes 16 times as far in a first step; A's rate stays. */
static void loraplus_scales_the_rate_of_b(void **state)
{
    static const double ratios[2] = {1, 16};
    struct step_opts o = opts();
    float *p[2], *start = NULL;
    struct err e = {0};
    size_t n = 0, moved = 0;

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct fixture f;
        struct lora_opts l = kit_lora();
        l.loraplus_lr_ratio = ratios[k];
        fixture_open_as(&f, test_device(), &l, &o);
        n = f.s.count;
        p[k] = malloc(n * sizeof *p[k]);
        if (!start) start = malloc(n * sizeof *start);
        assert_true(step_get(&f.s, start, NULL, NULL, &e));
        train(&f, three_bins, 3, 1, 1e-3);
        assert_true(step_get(&f.s, p[k], NULL, NULL, &e));
        fixture_close(&f);
    }
    for (size_t i = 0; i < n; i++) {
        double one = (double)p[0][i] - (double)start[i], far = (double)p[1][i] - (double)start[i];
        if (start[i] != 0) {
            assert_true(one == far);
            continue;
        }
        assert_true(fabs(far - 16 * one) <= 1e-5 * fabs(far) + 1e-12);
        moved += far != 0;
    }
    assert_true(moved > n / 4);
    free(p[0]);
    free(p[1]);
    free(start);
}

static void strict_does_what_cpu_does(void **state)
{
    struct fixture f, g;
    struct step_opts o = opts();

    (void)state;
    fixture_open(&f, test_device(), &o);
    fixture_open(&g, "strict", &o);
    float *a = malloc(f.s.count * sizeof *a), *b = malloc(f.s.count * sizeof *b);
    struct err e = {0};
    assert_true(train(&f, three_bins, 3, 2, 1e-3) == train(&g, three_bins, 3, 2, 1e-3));
    assert_true(step_get(&f.s, a, NULL, NULL, &e) && step_get(&g.s, b, NULL, NULL, &e));
    assert_memory_equal(a, b, f.s.count * sizeof *a);
    free(b);
    free(a);
    fixture_close(&g);
    fixture_close(&f);
}

/* A request to stop that comes with bin 1 of 3. */
static bool stopping_source(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    if (bin == 1) stop_request();
    return kit_get(ctx, bin, out, e);
}

static void an_abandoned_step_changes_nothing(void **state)
{
    struct fixture f, g;
    struct step_opts o = opts();
    struct kit_bins bins = {.cuts = three_bins, .nbins = 3};
    struct step_source stopping = {&bins, stopping_source}, src = {&bins, kit_get};
    struct step_job job = {.number = 1, .end = 3, .rows = kit_rows(0, 24), .lr = 1e-2};
    struct step_flags flags = {0};
    struct step_result res;
    struct err e = {0};

    (void)state;
    fixture_open(&f, test_device(), &o);
    fixture_open(&g, test_device(), &o);
    float *a = malloc(f.s.count * sizeof *a), *b = malloc(f.s.count * sizeof *b);
    assert_true(step_run(&f.s, &stopping, &job, &flags, &res, &e));
    assert_true(res.abandoned);
    stop_reset();
    for (size_t i = 0; i < f.s.sync.nslices; i++)
        assert_int_equal(f.s.sync.slices[i].shift, g.s.sync.slices[i].shift);
    for (int n = 0; n < 2; n++, job.number++) {
        assert_true(step_run(&f.s, &src, &job, &flags, &res, &e) && !res.abandoned);
        assert_true(step_run(&g.s, &src, &job, &flags, &res, &e) && !res.abandoned);
    }
    assert_true(step_get(&f.s, a, NULL, NULL, &e) && step_get(&g.s, b, NULL, NULL, &e));
    assert_memory_equal(a, b, f.s.count * sizeof *a);
    free(b);
    free(a);
    fixture_close(&g);
    fixture_close(&f);
}

static bool bad_source(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    (void)ctx;
    (void)out;
    return err_set(e, ERR_IO, "bin %d cannot be read", (int)bin);
}

static void a_failing_source_is_an_error(void **state)
{
    struct fixture f;
    struct step_opts o = opts();
    struct step_source src = {NULL, bad_source};
    struct step_job job = {.number = 1, .begin = 4, .end = 5, .rows = 1, .lr = 1e-3};
    struct step_flags flags = {0};
    struct step_result res;
    struct err e = {0};

    (void)state;
    fixture_open(&f, test_device(), &o);
    assert_false(step_run(&f.s, &src, &job, &flags, &res, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "bin 4 cannot be read");
    fixture_close(&f);
}

static void a_loss_that_is_not_finite_names_the_step(void **state)
{
    struct fixture f;
    struct step_opts o = opts();
    struct kit_bins bins = {.cuts = three_bins, .nbins = 3};
    struct step_source src = {&bins, kit_get};
    struct step_job job = {.number = 17, .end = 3, .rows = kit_rows(0, 24), .lr = 1e-3};
    struct step_flags flags = {0};
    struct step_result res;
    struct err e = {0};

    (void)state;
    fixture_open(&f, test_device(), &o);
    float *p = malloc(f.s.count * sizeof *p);
    for (uint64_t i = 0; i < f.s.count; i++)
        p[i] = 1e30F;
    assert_true(step_set(&f.s, p, NULL, NULL, &e));
    assert_false(step_run(&f.s, &src, &job, &flags, &res, &e));
    assert_int_equal(e.code, ERR_DIVERGED);
    assert_non_null(strstr(e.text, "step 17"));
    free(p);
    fixture_close(&f);
}

static void dropout_changes_with_the_step_and_not_with_the_rank(void **state)
{
    struct fixture f;
    struct step_opts o = opts();
    struct lora_opts l = kit_lora();
    struct err e = {0};

    (void)state;
    l.dropout = 0.5;
    kit_open(&f.k, dir, test_device(), &kit_small, &l, KIT_BIN_TOKENS);
    assert_true(step_init(&f.s, &o, f.k.m, f.k.l, f.k.w, c, &e));
    stir(&f);
    struct kit_bins bins = {.cuts = three_bins, .nbins = 3};
    struct step_source src = {&bins, kit_get};
    struct step_flags flags = {0};
    struct step_result r1, r2, again;
    struct step_job job = {.number = 1, .end = 3, .rows = kit_rows(0, 24), .lr = 1e-3};
    assert_true(step_gradient(&f.s, &src, &job, &flags, &r1, &e));
    assert_true(step_gradient(&f.s, &src, &job, &flags, &again, &e));
    job.number = 2;
    assert_true(step_gradient(&f.s, &src, &job, &flags, &r2, &e));
    assert_true(r1.loss == again.loss);
    assert_true(r1.loss != r2.loss);
    fixture_close(&f);
}

/* ---- AdamW against torch (golden_adamw.txt, tests/support/golden/adamw_torch.py) */
static const struct kit_shape golden_shape = {1, 16, 16, 2, 1, 64, 7};

static void golden_gradient(struct fixture *f, int t)
{
    float g[32];
    struct err e = {0};
    for (int i = 0; i < 32; i++)
        g[i] = (float)((i * 7 + t * 13) % 17 - 8) / 16 * (t == 2 ? 4.0F : 0.25F);
    if (!dev_upload(f->k.d, f->s.grad, 0, g, sizeof g, &e)) kit_die("upload", &e);
}

static void near(double got, double want, double tolerance, const char *what, int i)
{
    if (fabs(got - want) > tolerance * fmax(fabs(want), 1e-3))
        fail_msg("%s %d: %.9g, torch %.9g", what, i, got, want);
}

static void adamw_and_clipping_are_those_of_torch(void **state)
{
    static const char *const q[] = {"q_proj"};
    struct fixture f;
    struct lora_opts l = {.rank = 1, .alpha = 1, .targets = {q, 1}};
    struct step_opts o = opts();
    struct step_result res;
    struct err e = {0};
    char path[700], line[200];
    float p[32], m[32] = {0}, v[32] = {0};
    int i, t = 0, seen = 0;
    double x, y, z;

    (void)state;
    o.weight_decay = 0.1;
    o.clip = 2.0;
    snprintf(path, sizeof path, "%s-golden", dir);
    kit_open(&f.k, path, test_device(), &golden_shape, &l, KIT_BIN_TOKENS);
    assert_true(step_init(&f.s, &o, f.k.m, f.k.l, f.k.w, c, &e));
    assert_int_equal(f.s.count, 32);
    for (i = 0; i < 32; i++)
        p[i] = (float)((i * 5) % 11 - 5) / 8;
    assert_true(step_set(&f.s, p, m, v, &e));

    FILE *in = fopen(RADMILL_SOURCE "/tests/train/golden_adamw.txt", "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        if (sscanf(line, "norm %d %lf", &t, &x) == 2) {
            golden_gradient(&f, t);
            assert_true(step_apply(&f.s, (uint64_t)t, 0.01 * t / 5, &res, &e));
            near(res.grad_norm, x, 1e-6, "norm", t);
            if (t == 5) assert_true(step_get(&f.s, p, m, v, &e));
        } else if (sscanf(line, "p %d %lf %lf %lf", &i, &x, &y, &z) == 4) {
            /* an ulp a step of what the parameter was on its way */
            if (fabs(p[i] - x) > 5 * 6e-8 * fmax(fabs(x), 0.1))
                fail_msg("p %d: %.9g, torch %.9g", i, p[i], x);
            near(m[i], y, 1e-6, "m", i);
            /* dev_adamw has beta2 in f32, torch in f64: 1 - beta2 differs by 1.3e-5. The update
             * divides by 1 - beta2^t made of the same beta2, so p does not see it. */
            near(1e3 * v[i], 1e3 * z, 1.5e-5, "1000 v", i);
            seen++;
        }
    }
    fclose(in);
    assert_int_equal(t, 5);
    assert_int_equal(seen, 32);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_into_bins_gives_the_same_gradient),
        cmocka_unit_test(the_mean_loss_is_over_target_tokens),
        cmocka_unit_test(a_redone_step_equals_one_with_fitting_shifts),
        cmocka_unit_test(the_loss_falls),
        cmocka_unit_test(loraplus_scales_the_rate_of_b),
        cmocka_unit_test(strict_does_what_cpu_does),
        cmocka_unit_test(an_abandoned_step_changes_nothing),
        cmocka_unit_test(a_failing_source_is_an_error),
        cmocka_unit_test(a_loss_that_is_not_finite_names_the_step),
        cmocka_unit_test(dropout_changes_with_the_step_and_not_with_the_rank),
        cmocka_unit_test(adamw_and_clipping_are_those_of_torch),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
