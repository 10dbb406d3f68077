#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/testdir.h"
#include "train/course.h"
#include "train/kit.h"

static struct shard_set *set;

static int open_all(void **state)
{
    struct err e = {0};
    char shards[600];

    (void)state;
    testdir_make();
    snprintf(shards, sizeof shards, "%s", testdir_path("shards"));
    kit_shards(shards);
    if (!shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e)) kit_die("shards", &e);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    shard_set_close(set);
    testdir_remove();
    return 0;
}

static struct course make(double epochs, uint64_t max_steps)
{
    struct course_opts o = {
        .epochs = epochs, .max_steps = max_steps, .seed = 1, .bin_tokens = 64, .bins_per_step = 4};
    struct course c;
    struct err e = {0};
    if (!course_init(&c, set, &o, &e)) kit_die("course", &e);
    return c;
}

static void every_step_has_its_place(void **state)
{
    struct course c = make(3, 0);
    uint64_t step = 0;

    (void)state;
    assert_int_equal(c.nepochs, 3);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        struct plan p;
        struct err e = {0};
        assert_true(course_plan(&c, set, epoch, &p, &e));
        assert_int_equal(p.nsteps, c.nsteps[epoch]);
        for (uint64_t k = 0; k < p.nsteps; k++) {
            uint32_t at;
            uint64_t where;
            course_at(&c, ++step, &at, &where);
            assert_int_equal(at, epoch);
            assert_int_equal(where, k);
        }
        plan_free(&p);
    }
    assert_int_equal(step, c.total);
    course_free(&c);
}

static void epochs_may_be_a_fraction_and_steps_a_limit(void **state)
{
    struct course one = make(1, 0), half = make(0.5, 0), more = make(1.5, 0), cut = make(3, 7),
                  wide = make(1, 1000);

    (void)state;
    assert_true(one.total > 4);
    assert_int_equal(half.total, (one.total + 1) / 2);
    assert_int_equal(more.nepochs, 2);
    assert_int_equal(more.total, one.total + (more.nsteps[1] + 1) / 2);
    assert_int_equal(cut.total, 7);
    assert_int_equal(wide.total, one.total);
    assert_memory_equal(one.digest, cut.digest, 32);
    course_free(&wide);
    course_free(&cut);
    course_free(&more);
    course_free(&half);
    course_free(&one);
}

static uint64_t times(const struct course *c, double n, enum opt_unit unit)
{
    uint64_t due = 0;
    for (uint64_t s = 1; s <= c->total; s++)
        due += course_due(c, (struct opt_every){n, unit}, s);
    return due;
}

static void what_is_due_comes_as_often_as_asked(void **state)
{
    struct course c = make(3, 0);

    (void)state;
    assert_int_equal(times(&c, 1, OPT_EPOCHS), 3);
    assert_true(course_due(&c, (struct opt_every){1, OPT_EPOCHS}, c.first[1]));
    assert_true(course_due(&c, (struct opt_every){1, OPT_EPOCHS}, c.total));
    assert_int_equal(times(&c, 0.5, OPT_EPOCHS), 6);
    assert_int_equal(times(&c, 0.25, OPT_EPOCHS), 12);
    assert_int_equal(times(&c, 1.5, OPT_EPOCHS), 2);
    assert_int_equal(times(&c, 0.001, OPT_EPOCHS), c.total); /* at most once a step */
    assert_int_equal(times(&c, 4, OPT_STEPS), c.total / 4);
    assert_true(course_due(&c, (struct opt_every){4, OPT_STEPS}, 8));
    assert_int_equal(times(&c, 0, OPT_NEVER), 0);
    assert_int_equal(times(&c, 1, OPT_MINUTES), 0); /* the clock is not the course's affair */
    course_free(&c);
}

static void the_largest_bin_is_known(void **state)
{
    struct course c = make(2, 0);
    uint32_t tokens = 0, rows = 0;

    (void)state;
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        struct plan p;
        struct err e = {0};
        assert_true(course_plan(&c, set, epoch, &p, &e));
        for (size_t i = 0; i < p.nbins; i++) {
            if (p.bins[i].tokens > tokens) tokens = p.bins[i].tokens;
            if (p.bins[i].targets > rows) rows = p.bins[i].targets;
        }
        plan_free(&p);
    }
    assert_int_equal(c.max_tokens, tokens);
    assert_int_equal(c.max_rows, rows);
    assert_true(tokens <= 64 && rows > 0);
    course_free(&c);
}

static void a_sample_longer_than_a_bin_is_refused(void **state)
{
    struct course_opts o = {.epochs = 1, .seed = 1, .bin_tokens = 8, .bins_per_step = 4};
    struct course c;
    struct err e = {0};

    (void)state;
    assert_false(course_init(&c, set, &o, &e));
    assert_int_equal(e.code, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_has_its_place),
        cmocka_unit_test(epochs_may_be_a_fraction_and_steps_a_limit),
        cmocka_unit_test(what_is_due_comes_as_often_as_asked),
        cmocka_unit_test(the_largest_bin_is_known),
        cmocka_unit_test(a_sample_longer_than_a_bin_is_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
