#include "sweep_kit.h"

#include <math.h>

#include "sweep/rungs.h"

static void test_resources(void **state)
{
    struct rungs r;
    struct err e = {0};
    (void)state;

    OK(rungs_init(&r, 1, 243, 3, &e)); /* log(243) / log(3) is 4.99.. in floating point */
    assert_int_equal(r.n, 6);
    assert_int_equal(r.resource[5], 243);
    OK(rungs_init(&r, 1, 16, 4, &e));
    assert_int_equal(r.n, 3);
    OK(rungs_init(&r, 5, 5, 4, &e));
    assert_int_equal(r.n, 1);
    FAILS(rungs_init(&r, 1, 10, 3, &e), ERR_CONFIG, "9 would be");
    FAILS(rungs_init(&r, 7, 3, 2, &e), ERR_CONFIG, "not sweep.min");
    FAILS(rungs_init(&r, 1, 1ULL << 40, 2, &e), ERR_CONFIG, "at most 12 rungs");
    OK(rungs_init(&r, 1, 9, 3, &e));
    assert_int_equal(rungs_steps(&r, 0, 900), 100);
    assert_int_equal(rungs_steps(&r, 1, 900), 300);
    assert_int_equal(rungs_steps(&r, 2, 900), 900);
    assert_int_equal(rungs_steps(&r, 0, 10), 2); /* 10 / 9, rounded up */
    assert_int_equal(rungs_steps(&r, 1, 10), 4);
    assert_int_equal(rungs_steps(&r, 2, 10), 10);
    assert_int_equal(rungs_steps(&r, 0, 1), 1);
}

/* Worked by hand from algorithm 2 of arXiv 1810.05934: candidates are the top floor(|rung| / eta), the best that is
 * not promoted yet goes on. A letter is a trial, in the order of its number; '+' behind it: already promoted. */
static void test_promotion(void **state)
{
    static const struct {
        uint32_t eta;
        size_t n;
        double value[9];
        uint32_t promoted; /* bits */
        int want;          /* trial, or -1 */
        const char *why;
    } table[] = {
        {3, 0, {0}, 0, -1, "an empty rung"},
        {3, 2, {.1, .2}, 0, -1, "floor(2/3) = 0: nobody, not even the only good one"},
        {3, 3, {.3, .1, .2}, 0, 1, "floor(3/3) = 1: the best"},
        {3, 3, {.3, .1, .2}, 1 << 1, -1, "the best is promoted already"},
        {3,
         5,
         {.3, .1, .2, .05, .9},
         1 << 1,
         3,
         "floor(5/3) = 1: a newer best takes the one place"},
        {3, 5, {.3, .1, .2, .05, .9}, 1 << 3, -1, "and is promoted"},
        {3, 6, {.3, .1, .2, .05, .9, .8}, 1 << 3, 1, "floor(6/3) = 2: the second best"},
        {3, 6, {.3, .1, .2, .05, .9, .8}, 1 << 1, 3, "the first, though the second went before"},
        {3, 6, {.3, .1, .2, .05, .9, .8}, 1 << 1 | 1 << 3, -1, "both are promoted"},
        {2, 4, {.4, .3, .2, .1}, 1 << 3, 2, "eta 2: two of four"},
        {4, 7, {7, 6, 5, 4, 3, 2, 1}, 0, 6, "floor(7/4) = 1"},
        {4, 8, {7, 6, 5, 4, 3, 2, 1, 8}, 1 << 6, 5, "floor(8/4) = 2"},
        {3, 3, {.2, .2, .2}, 0, 0, "ties: the lower trial"},
        {3, 6, {.2, .2, .2, .2, .2, .2}, 1, 1, "and the next"},
        {3, 3, {NAN, NAN, .5}, 0, 2, "NaN counts in |rung|"},
        {3, 3, {NAN, NAN, NAN}, 0, -1, "but is never promoted"},
        {3, 6, {NAN, INFINITY, .5, NAN, NAN, NAN}, 1 << 2, -1, "infinity neither"},
        {3, 3, {-INFINITY, .1, .2}, 0, 1, "minus infinity is no score either"},
        {2, 3, {.1, .2, .3}, 1, -1, "floor(3/2) = 1"},
        {3, 9, {9, 8, 7, 6, 5, 4, 3, 2, 1}, 1 << 8 | 1 << 7, 6, "floor(9/3) = 3"},
        {3, 9, {9, 8, 7, 6, 5, 4, 3, 2, 1}, 1 << 8 | 1 << 7 | 1 << 6, -1, "all three"},
    };
    (void)state;
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        struct rung_entry v[9];
        for (size_t i = 0; i < table[t].n; i++) /* in another order than the trials' */
            v[table[t].n - 1 - i] =
                (struct rung_entry){i, table[t].value[i], table[t].promoted >> i & 1};
        size_t at = rungs_promote(v, table[t].n, table[t].eta);
        int got = at == SIZE_MAX ? -1 : (int)v[at].trial;
        if (got != table[t].want)
            fail_msg("%s: trial %d, wanted %d", table[t].why, got, table[t].want);
    }
}

static void test_brackets(void **state)
{
    struct rungs r;
    struct err e = {0};
    unsigned count[RUNGS_MAX] = {0};
    (void)state;

    OK(rungs_init(&r, 1, 81, 3, &e));
    for (uint64_t k = 0; k < 14300; k++) {
        uint32_t b = rungs_bracket(&r, 5, k);
        assert_int_equal(b, rungs_bracket(&r, 5, k));
        count[b]++;
    }
    /* The paper's table for R = 81, eta = 3: 81, 34, 15, 8, 5 configurations (ceil), 143 in all. */
    static const unsigned want[] = {8100, 3400, 1500, 800, 500};
    for (int i = 0; i < 5; i++)
        assert_in_range(count[i], want[i] * 85 / 100, want[i] * 115 / 100);
}

static void test_median(void **state)
{
    double v[] = {.5, .1, .3, .2, .4};
    (void)state;
    assert_true(rungs_median_stop(.31, v, 5, 5));
    assert_false(rungs_median_stop(.3, v, 5, 5));
    assert_false(rungs_median_stop(.9, v, 4, 5)); /* too few to judge by */
    assert_false(rungs_median_stop(.9, v, 0, 0));
    double even[] = {.1, .2, .4, .8};
    assert_true(rungs_median_stop(.31, even, 4, 1));
    assert_false(rungs_median_stop(.29, even, 4, 1));
    assert_true(rungs_median_stop(NAN, even, 4, 1));
    double bad[] = {NAN, NAN, .4};
    assert_false(rungs_median_stop(.9, bad, 3, 1)); /* the median has no value: better than that */
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_resources), TEST(test_promotion),
                                       TEST(test_brackets), TEST(test_median)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
