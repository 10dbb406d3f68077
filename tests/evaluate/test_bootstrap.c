/* Percentiles, intervals and sign-flip tests against numpy's and scipy's (shared
 * golden_corpus.json), and against cases that can be counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/bootstrap.h"
#include "evaluate/rouge.h"
#include "support/testdir.h"

static struct comm *self;

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    return comm_open_self(&self, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(self);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static void column_means(const void *ctx, const double *sum, uint64_t rows, double *out)
{
    const struct boot_data *d = ctx;
    for (size_t k = 0; k < d->cols; k++)
        out[k] = sum[k] / (double)rows;
}

/* The sign-flip test of columns of differences: the other system's values are 0. */
static bool signflip_p(const struct boot_data *d, const struct boot_opts *o, double *p,
                       struct err *e)
{
    const struct boot_values means = {column_means, d, d->cols};
    struct boot_data two = {.count = d->count, .units = d->units, .cols = 2 * d->cols};
    double *both = calloc(d->units * two.cols, sizeof *both);
    assert_non_null(both);
    for (size_t u = 0; u < d->units; u++)
        memcpy(both + u * two.cols, d->sum + u * d->cols, d->cols * sizeof *both);
    two.sum = both;
    bool ok = swap_p(&two, o, &means, self, p, e);
    free(both);
    return ok;
}

static json_t *golden(void)
{
    const char *path = testdir_shared("data/metrics/golden_corpus.json");
    json_t *j;
    struct err e = {0};
    if (!path) skip();
    if (!json_read_file(path, 1 << 20, &j, &e)) fail_msg("%s", e.text);
    return j;
}

static void percentiles(void **state)
{
    (void)state;
    json_t *g = golden(), *p = json_object_get(g, "percentile_linear");
    json_t *values = json_object_get(p, "values"), *q = json_object_get(p, "q");
    size_t n = json_array_size(values), nq = json_array_size(q);
    double v[64];
    assert_true(n > 10 && n <= 64 && nq == 7);
    for (size_t i = 0; i < n; i++)
        v[i] = json_number_value(json_array_get(values, i));
    sort_f64(v, n);
    for (size_t i = 0; i < nq; i++) {
        double got = percentile_sorted(v, n, json_number_value(json_array_get(q, i)));
        double want = json_number_value(json_array_get(json_object_get(p, "result"), i));
        if (!(fabs(got - want) <= 1e-12)) fail_msg("percentile %zu: %.15g %.15g", i, got, want);
    }
    assert_true(percentile_sorted(v, n, 0) == v[0] && percentile_sorted(v, n, 100) == v[n - 1]);
    assert_true(percentile_sorted(v, 1, 50) == v[0]);
    json_decref(g);
}

/* rougeL F of three systems on 1,000 pairs, then the two differences. */
enum { ROWS = 1000, KNN = 0, LEAD2, CONST, KNN_LEAD2, KNN_CONST, COLS };
static double table[ROWS * COLS];

static void load_table(void)
{
    static const char *const keys[] = {"prediction", "prediction_lead2", NULL};
    size_t size, n = 0;
    char *text = testdir_read(testdir_shared("data/metrics/corpus_knn.jsonl"), &size);
    struct str rest = {text, size}, line;
    struct rouge *r;
    struct err e = {0};
    assert_true(rouge_open(false, &r, &e));
    for (; str_split(&rest, '\n', &line) && line.n > 0; n++) {
        json_t *row;
        struct str ref;
        double *t = table + n * COLS;
        assert_true(n < ROWS && json_parse(line, "row", &row, &e));
        assert_true(json_get_str(row, "reference", &ref, &e));
        for (int k = 0; k < 3; k++) {
            struct rouge_scores s;
            struct str p = STR("No acute cardiopulmonary abnormality.");
            if (keys[k]) assert_true(json_get_str(row, keys[k], &p, &e));
            assert_true(rouge_pair(r, p, ref, &s, &e));
            t[k] = s.v[ROUGE_L].f;
        }
        t[KNN_LEAD2] = t[KNN] - t[LEAD2];
        t[KNN_CONST] = t[KNN] - t[CONST];
        json_decref(row);
    }
    assert_int_equal(n, ROWS);
    rouge_close(r);
    free(text);
}

static void check_ci(const struct boot_ci *got, const json_t *want, const char *mean)
{
    json_t *ci = json_object_get(want, "boot_ci95_linear");
    assert_non_null(ci);
    assert_true(fabs(got->mean - json_number_value(json_object_get(want, mean))) < 1e-9);
    assert_true(fabs(got->lo - json_number_value(json_array_get(ci, 0))) < 0.003);
    assert_true(fabs(got->hi - json_number_value(json_array_get(ci, 1))) < 0.003);
}

static void golden_intervals(void **state)
{
    (void)state;
    json_t *g = golden(), *ci = json_object_get(g, "rougeL_f_ci");
    json_t *sig = json_object_get(g, "significance_rougeL_f");
    struct boot_data d = {.sum = table, .units = ROWS, .cols = COLS};
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 10000};
    struct boot_ci out[COLS];
    double p[COLS];
    struct err e = {0};

    load_table();
    assert_true(bootstrap_ci(&d, &o, self, out, &e));
    check_ci(&out[KNN], json_object_get(ci, "knn"), "mean");
    check_ci(&out[LEAD2], json_object_get(ci, "lead2"), "mean");
    check_ci(&out[CONST], json_object_get(ci, "const"), "mean");
    check_ci(&out[KNN_LEAD2], json_object_get(sig, "knn_vs_lead2"), "mean_diff");
    check_ci(&out[KNN_CONST], json_object_get(sig, "knn_vs_const"), "mean_diff");
    assert_true(signflip_p(&d, &o, p, &e));
    assert_true(fabs(p[KNN_LEAD2] - 1.0 / 10001) < 1e-15);
    assert_true(fabs(p[KNN_CONST] - 1.0 / 10001) < 1e-15);
    json_decref(g);
}

/* Ten differences of one sign and size: two of the 2^10 tosses are as far out. With signs that
 * cancel, every toss is. */
static void signflip_by_hand(void **state)
{
    (void)state;
    double v[30] = {0};
    double p[2], with_zeros[2];
    struct err e = {0};
    for (int i = 0; i < 10; i++) {
        v[2 * i] = 0.1;
        v[2 * i + 1] = i % 2 ? 0.3 : -0.3;
    }
    struct boot_data d = {.sum = v, .units = 10, .cols = 2};
    struct boot_opts o = {.seed = 3, .table = 1, .replicates = 200000};
    assert_true(signflip_p(&d, &o, p, &e));
    assert_true(fabs(p[0] - 2.0 / 1024) < 5 * sqrt(2.0 / 1024 / 200000));
    assert_true(p[1] == 1.0);
    d.units = 15; /* pairs without a difference say nothing */
    assert_true(signflip_p(&d, &o, with_zeros, &e));
    assert_memory_equal(p, with_zeros, sizeof p);
}

/* The bootstrap of a mean: the interval's half-width is 1.96 standard errors; of means over
 * clusters of four equal rows it is twice that. */
static void width_and_clusters(void **state)
{
    (void)state;
    enum { N = 2000 };
    static double v[N], sum[N / 4];
    static uint32_t count[N / 4];
    struct rng_key key = rng_key(9, RNG_TEST, 0);
    struct boot_ci one, four;
    struct err e = {0};
    for (int i = 0; i < N; i++) {
        v[i] = rng_normal(key, (uint64_t)i / 4); /* rows of a cluster are equal */
        sum[i / 4] += v[i];
        count[i / 4]++;
    }
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 4000};
    struct boot_data rows = {.sum = v, .units = N, .cols = 1};
    struct boot_data units = {.sum = sum, .count = count, .units = N / 4, .cols = 1};
    assert_true(bootstrap_ci(&rows, &o, self, &one, &e));
    assert_true(bootstrap_ci(&units, &o, self, &four, &e));
    double se = 1.0 / sqrt(N);
    assert_true(fabs((one.hi - one.lo) / (2 * 1.96 * se) - 1) < 0.12);
    assert_true(fabs((four.hi - four.lo) / (one.hi - one.lo) - 2) < 0.15);
    assert_true(fabs(one.mean - four.mean) < 1e-12);
    /* another seed, another table: other draws */
    struct boot_ci again, other;
    assert_true(bootstrap_ci(&rows, &o, self, &again, &e));
    assert_memory_equal(&again, &one, sizeof one);
    o.table = 2;
    assert_true(bootstrap_ci(&rows, &o, self, &other, &e));
    assert_true(other.lo != one.lo && other.mean == one.mean);
}

/* Very many units are folded: the interval is still 1.96 standard errors, the p of a small
 * difference still the normal one, whatever the order of the rows. */
static void folded_units(void **state)
{
    (void)state;
    enum { N = 20000 };
    static double v[2 * N];
    struct rng_key key = rng_key(9, RNG_TEST, 2);
    struct boot_ci ci[2];
    double p[2], sum = 0, squares = 0;
    struct err e = {0};
    for (size_t i = 0; i < N; i++) {
        double x = rng_normal(key, i) + 1.8 / sqrt(N); /* about 1.8 standard errors from zero */
        sum += x;
        squares += x * x;
        v[2 * i] = x;
        v[2 * i + 1] = (double)i / N; /* sorted rows must not look less uncertain */
    }
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 4000};
    struct boot_data d = {.sum = v, .units = N, .cols = 2};
    assert_true(bootstrap_ci(&d, &o, self, ci, &e));
    assert_true(fabs(ci[0].mean - sum / N) < 1e-15);
    double se = sqrt(squares / N) / sqrt(N), uniform = sqrt(1.0 / 12) / sqrt(N);
    assert_true(fabs((ci[0].hi - ci[0].lo) / (2 * 1.96 * se) - 1) < 0.05);
    assert_true(fabs((ci[1].hi - ci[1].lo) / (2 * 1.96 * uniform) - 1) < 0.05);
    assert_true(signflip_p(&d, &o, p, &e));
    double z = sum / sqrt(squares), normal = erfc(z / sqrt(2));
    assert_true(normal > 0.001 && fabs(p[0] - normal) < 0.02);
    assert_true(p[1] == 1.0 / 4001);
}

/* Clusters of unequal size: the mean is over rows, not over clusters. */
static void unequal_clusters(void **state)
{
    (void)state;
    const double sum[] = {3.0, 1.0, 0.0};
    const uint32_t count[] = {3, 1, 6};
    struct boot_data d = {.sum = sum, .count = count, .units = 3, .cols = 1};
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 2000};
    struct boot_ci ci;
    struct err e = {0};
    assert_true(bootstrap_ci(&d, &o, self, &ci, &e));
    assert_true(fabs(ci.mean - 0.4) < 1e-15);
    assert_true(ci.lo == 0.0 && ci.hi == 1.0);
    d.units = 0;
    assert_true(bootstrap_ci(&d, &o, self, &ci, &e));
    assert_true(ci.mean == 0 && ci.lo == 0 && ci.hi == 0);
}

/* A ratio of sums: its interval is the bootstrap's of the ratio, and two systems whose units are
 * the same up to order cannot be told apart. */
static void ratio(const void *ctx, const double *sum, uint64_t rows, double *out)
{
    (void)ctx;
    (void)rows;
    *out = sum[1] > 0 ? sum[0] / sum[1] : 0;
}
static const struct boot_values the_ratio = {ratio, NULL, 1};

static void statistics(void **state)
{
    (void)state;
    enum { N = 400 };
    static double v[N * 2], two[N * 4];
    struct rng_key key = rng_key(4, RNG_TEST, 1);
    struct boot_ci mean, stat;
    double p;
    struct err e = {0};
    for (size_t i = 0; i < N; i++) {
        v[2 * i] = rng_unit(key, i);
        v[2 * i + 1] = 1; /* so the ratio is the mean */
    }
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 1000};
    struct boot_data d = {.sum = v, .units = N, .cols = 2};
    struct boot_ci both[2];
    assert_true(bootstrap_ci(&d, &o, self, both, &e));
    mean = both[0];
    assert_true(bootstrap_values(&d, &o, &the_ratio, self, &stat, &e));
    assert_true(fabs(stat.mean - mean.mean) < 1e-12 && fabs(stat.lo - mean.lo) < 1e-12);
    assert_true(fabs(stat.hi - mean.hi) < 1e-12);
    /* the second system is better by 0.1 on every unit, then by nothing */
    for (size_t i = 0; i < N; i++) {
        two[4 * i] = v[2 * i];
        two[4 * i + 2] = v[2 * i] + 0.1;
        two[4 * i + 1] = two[4 * i + 3] = 1;
    }
    struct boot_data t = {.sum = two, .units = N, .cols = 4};
    assert_true(swap_p(&t, &o, &the_ratio, self, &p, &e));
    assert_true(p == 1.0 / 1001);
    for (size_t i = 0; i < N; i++)
        two[4 * i + 2] = v[2 * (N - 1 - i)];
    assert_true(swap_p(&t, &o, &the_ratio, self, &p, &e));
    assert_true(p == 1.0);
}

/* Threads change nothing, not a bit. */
static void threads_agree(void **state)
{
    (void)state;
    enum { N = 300 };
    static double v[N * 4];
    struct rng_key key = rng_key(4, RNG_TEST, 3);
    struct err e = {0};
    for (size_t i = 0; i < N * 4; i++)
        v[i] = rng_unit(key, i);
    struct boot_data d = {.sum = v, .units = N, .cols = 4};
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 1000};
    struct boot_ci one[4], three[4];
    double p1 = 0, p3 = 0;
    assert_true(bootstrap_ci(&d, &o, self, one, &e) && swap_p(&d, &o, &the_ratio, self, &p1, &e));
    o.threads = 3;
    assert_true(bootstrap_ci(&d, &o, self, three, &e) && swap_p(&d, &o, &the_ratio, self, &p3, &e));
    assert_memory_equal(one, three, sizeof one);
    assert_true(p1 == p3 && p1 > 0.001 && p1 < 1);
}

/* Worked example: 0.01 x 4, 0.02 x 3, then monotone; ties share the larger factor; capped at 1. */
static void holm_by_hand(void **state)
{
    (void)state;
    const double p[] = {0.04, 0.01, 0.03, 0.02}, ties[] = {0.02, 0.02, 0.9};
    double out[4];
    struct err e = {0};
    assert_true(holm(p, 4, out, &e));
    assert_true(fabs(out[1] - 0.04) < 1e-15 && fabs(out[3] - 0.06) < 1e-15);
    assert_true(fabs(out[2] - 0.06) < 1e-15 && fabs(out[0] - 0.06) < 1e-15);
    assert_true(holm(ties, 3, out, &e));
    assert_true(fabs(out[0] - 0.06) < 1e-15 && out[0] == out[1] && out[2] == 0.9);
    assert_true(holm(p, 0, out, &e));
}

static void fault_sweep(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    const double v[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct boot_data two = {.sum = v, .units = 2, .cols = 4};
    struct boot_data d = {.sum = v, .units = 4, .cols = 1};
    struct boot_opts o = {.seed = 1, .table = 1, .replicates = 100, .threads = 1};
    size_t live = mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct boot_ci ci;
        double p;
        struct err e = {0};
        fault_arm(FAULT_MEM, n, false);
        double adjusted;
        bool ok = bootstrap_ci(&d, &o, self, &ci, &e) &&
                  swap_p(&two, &o, &the_ratio, self, &p, &e) && holm(&p, 1, &adjusted, &e);
        done = !fault_fired();
        fault_disarm_all();
        assert_true(ok == done && (ok || e.code == ERR_NOMEM) && n < 100);
        assert_int_equal(mem_live_blocks(), live);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles),      cmocka_unit_test(golden_intervals),
        cmocka_unit_test(signflip_by_hand), cmocka_unit_test(width_and_clusters),
        cmocka_unit_test(folded_units),     cmocka_unit_test(unequal_clusters),
        cmocka_unit_test(statistics),       cmocka_unit_test(threads_agree),
        cmocka_unit_test(holm_by_hand),     cmocka_unit_test(fault_sweep),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
