#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "train/schedule.h"

static struct schedule make(enum schedule_kind kind, double min, double warmup, uint64_t total)
{
    struct schedule s;
    struct err e = {0};
    assert_true(schedule_init(&s, kind, 1e-3, min, warmup, total, &e));
    return s;
}

static void near(double got, double want)
{
    if (fabs(got - want) > 1e-15) fail_msg("%.17g, not %.17g", got, want);
}

static void warmup_rises_in_equal_steps(void **state)
{
    (void)state;
    struct schedule s = make(SCHEDULE_CONSTANT, 0, 4, 100);
    near(schedule_lr(&s, 1), 1e-3 * 1 / 5);
    near(schedule_lr(&s, 4), 1e-3 * 4 / 5);
    near(schedule_lr(&s, 5), 1e-3);
    near(schedule_lr(&s, 100), 1e-3);
}

static void linear_ends_above_its_minimum(void **state)
{
    (void)state;
    struct schedule s = make(SCHEDULE_LINEAR, 1e-4, 0, 10);
    near(schedule_lr(&s, 1), 1e-3);
    near(schedule_lr(&s, 6), 1e-4 + 9e-4 * 0.5);
    near(schedule_lr(&s, 10), 1e-4 + 9e-4 * 0.1);
}

static void cosine_is_the_closed_form(void **state)
{
    (void)state;
    struct schedule s = make(SCHEDULE_COSINE, 1e-5, 10, 110);
    near(schedule_lr(&s, 11), 1e-3);
    near(schedule_lr(&s, 61), 1e-5 + 9.9e-4 * 0.5);                   /* cos(pi / 2) = 0 */
    near(schedule_lr(&s, 36), 1e-5 + 9.9e-4 * 0.5 * (1 + sqrt(0.5))); /* cos(pi / 4) */
    near(schedule_lr(&s, 86), 1e-5 + 9.9e-4 * 0.5 * (1 - sqrt(0.5))); /* cos(3 pi / 4) */
    for (uint64_t i = 12; i <= 110; i++)
        assert_true(schedule_lr(&s, i) < schedule_lr(&s, i - 1));
    assert_true(schedule_lr(&s, 110) > 1e-5);
}

static void a_fraction_of_warmup_rounds_up(void **state)
{
    (void)state;
    assert_int_equal(make(SCHEDULE_COSINE, 0, 0.03, 100).warmup, 3);
    assert_int_equal(make(SCHEDULE_COSINE, 0, 0.03, 101).warmup, 4);
    assert_int_equal(make(SCHEDULE_COSINE, 0, 0.5, 1).warmup, 1);
    assert_int_equal(make(SCHEDULE_COSINE, 0, 0, 1).warmup, 0);
    struct schedule all = make(SCHEDULE_COSINE, 0, 0.5, 1);
    near(schedule_lr(&all, 1), 1e-3 / 2);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    struct schedule s;
    struct err e = {0};
    assert_false(schedule_init(&s, SCHEDULE_LINEAR, 1e-3, 0, 11, 10, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "train.warmup"));
    err_clear(&e);
    assert_false(schedule_init(&s, SCHEDULE_LINEAR, 1e-3, 2e-3, 0, 10, &e));
    assert_non_null(strstr(e.text, "train.min_lr"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_rises_in_equal_steps),
        cmocka_unit_test(linear_ends_above_its_minimum),
        cmocka_unit_test(cosine_is_the_closed_form),
        cmocka_unit_test(a_fraction_of_warmup_rounds_up),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
