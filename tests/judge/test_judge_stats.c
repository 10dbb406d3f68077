/* Tau-b, isotonic regression and the conformal quantile against scipy, scikit-learn and numpy
 * (judge_stats.jsonl); intervals and folds by what they must obey. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonl.h"
#include "base/mem.h"
#include "base/rng.h"
#include "judge/conformal.h"
#include "judge/folds.h"
#include "judge/isotonic.h"
#include "judge/rank.h"
#include "support/testdir.h"

enum { MOST = 512 };

static size_t numbers(const json_t *obj, const char *key, double *out)
{
    json_t *v = json_object_get(obj, key);
    assert_true(json_array_size(v) <= MOST);
    for (size_t i = 0; i < json_array_size(v); i++)
        out[i] = json_number_value(json_array_get(v, i));
    return json_array_size(v);
}

static void near_to(double got, double want, double tol, const char *what, size_t index)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("case %zu: %s %.15g, not %.15g", index, what, got, want);
}

static bool golden_case(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    double x[MOST], y[MOST], at[MOST], want[MOST], scratch[3 * MOST];
    struct isotonic m;

    if (index == 0) return true; /* who made it */
    size_t n = numbers(obj, "x", x);
    assert_true(numbers(obj, "y", y) == n);
    near_to(rank_tau(x, y, n, scratch), json_number_value(json_object_get(obj, "tau")), 1e-12,
            "tau", index);
    assert_true(isotonic_fit(x, y, n, &m, e));
    size_t nat = numbers(obj, "at", at);
    numbers(obj, "isotonic", want);
    for (size_t i = 0; i < nat; i++)
        near_to(isotonic_at(&m, at[i]), want[i], 1e-9, "isotonic", index);
    isotonic_free(&m);
    numbers(obj, "residuals", x);
    double q = conformal_quantile(x, n, 0.1);
    json_t *q90 = json_object_get(obj, "quantile90");
    if (json_is_null(q90))
        assert_true(isinf(q));
    else
        near_to(q, json_number_value(q90), 1e-12, "quantile", index);
    ++*(size_t *)ctx;
    return true;
}

static void references(void **state)
{
    (void)state;
    struct err e = {0};
    size_t size, cases = 0;
    char *text = testdir_read(RADMILL_SOURCE "/tests/support/golden/judge_stats.jsonl", &size);
    assert_true(jsonl_each((struct str){text, size}, "golden", 1 << 20, golden_case, &cases, &e));
    assert_true(cases == 16);
    free(text);
}

static void tau_by_hand(void **state)
{
    (void)state;
    const double up[] = {1, 2, 3, 4}, down[] = {9, 7, 5, 3}, flat[] = {2, 2, 2, 2};
    double scratch[12];
    assert_true(rank_tau(up, up, 4, scratch) == 1 && rank_tau(up, down, 4, scratch) == -1);
    assert_true(rank_tau(up, flat, 4, scratch) == 0 && rank_tau(flat, up, 4, scratch) == 0);
    assert_true(rank_tau(up, up, 1, scratch) == 0 && rank_tau(up, up, 0, scratch) == 0);
}

/* 300 things of 60 patients; a follows the truth closely, b loosely. */
static void make(double *truth, double *a, double *b, uint32_t *group, size_t n)
{
    struct rng_key k = rng_key(5, RNG_TEST, 0);
    for (size_t i = 0; i < n; i++) {
        group[i] = (uint32_t)(i % 60);
        truth[i] = (double)rng_below(k, 4 * i, 5);
        a[i] = truth[i] + rng_normal(k, 4 * i + 1);
        b[i] = truth[i] + 4 * rng_normal(k, 4 * i + 2);
    }
}

static void intervals(void **state)
{
    (void)state;
    struct rank_result r, same;
    struct err e = {0};
    double truth[300], a[300], b[300];
    uint32_t group[300];
    make(truth, a, b, group, 300);
    struct rank_data d = {truth, a, b, group, 300, 60};
    assert_true(rank_compare(&d, 1, 200, &r, &e));
    assert_true(r.n == 300 && r.groups == 60);
    assert_true(r.a.lo < r.a.value && r.a.value < r.a.hi && r.diff.lo > 0);
    assert_true(fabs(r.diff.value - (r.a.value - r.b.value)) < 1e-15);
    assert_true(r.a.hi - r.a.lo > 0.03 && r.a.hi - r.a.lo < 0.3);
    assert_true(rank_compare(&d, 1, 200, &same, &e) && same.a.lo == r.a.lo && same.b.hi == r.b.hi);
    d.b = NULL;
    d.group = NULL;
    assert_true(rank_compare(&d, 1, 200, &same, &e));
    assert_true(same.groups == 300 && same.b.value == 0 && same.diff.hi == 0);
    d.n = 0;
    assert_true(rank_compare(&d, 1, 10, &same, &e) && same.a.value == 0 && same.a.hi == 0);
}

/* A calibration set's quantile covers fresh residuals as promised: over many draws the mean
 * coverage is at least 90 %, and not much more. */
static void coverage(void **state)
{
    (void)state;
    struct rng_key k = rng_key(6, RNG_TEST, 1);
    double covered = 0, r[49];
    for (uint64_t round = 0, at = 0; round < 2000; round++) {
        for (size_t i = 0; i < 49; i++)
            r[i] = fabs(rng_normal(k, at++));
        covered += fabs(rng_normal(k, at++)) <= conformal_quantile(r, 49, 0.1);
    }
    assert_true(covered / 2000 > 0.88 && covered / 2000 < 0.93);
    assert_true(isinf(conformal_quantile(r, 8, 0.1)) && !isinf(conformal_quantile(r, 9, 0.1)));
    assert_true(isinf(conformal_quantile(r, 0, 0.1)));
}

static void knots(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3}, up[] = {1, 1, 4}, down[] = {1, 3, 2};
    struct isotonic m;
    struct err e = {0}, f = {0}, g = {0};
    assert_true(isotonic_init(x, up, 3, &m, &e));
    assert_true(isotonic_at(&m, 2.5) == 2.5 && isotonic_at(&m, 9) == 4 && isotonic_at(&m, 0) == 1);
    isotonic_free(&m);
    assert_false(isotonic_init(x, down, 3, &m, &e));
    assert_true(e.code == ERR_FORMAT);
    assert_false(isotonic_init(down, x, 3, &m, &f));
    assert_false(isotonic_init(x, up, 0, &m, &g));
}

static void folds(void **state)
{
    (void)state;
    uint32_t group[100], part[100], again[100], other[100], of[20];
    size_t size[5] = {0};
    struct err e = {0};
    bool differs = false;
    for (uint32_t i = 0; i < 100; i++)
        group[i] = i < 20 ? 0 : i % 20; /* one patient with many */
    assert_true(folds_make(group, 100, 20, 5, 1, part, &e));
    assert_true(folds_make(group, 100, 20, 5, 1, again, &e));
    assert_true(folds_make(group, 100, 20, 5, 2, other, &e));
    memset(of, 0xff, sizeof of);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(part[i] < 5 && part[i] == again[i]);
        differs = differs || part[i] != other[i];
        if (of[group[i]] == UINT32_MAX) of[group[i]] = part[i];
        assert_true(of[group[i]] == part[i]);
        size[part[i]]++;
    }
    assert_true(differs);
    for (int f = 0; f < 5; f++)
        assert_true(size[f] >= 16 && size[f] <= 24);
    assert_true(folds_make(group, 0, 0, 5, 1, part, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references), cmocka_unit_test(tau_by_hand), cmocka_unit_test(intervals),
        cmocka_unit_test(coverage),   cmocka_unit_test(knots),       cmocka_unit_test(folds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
