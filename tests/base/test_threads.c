/* Every job once, results by number, the lowest failing job's error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/threads.h"

enum { JOBS = 1000 };
static unsigned char times[JOBS];

static bool count(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    const uint32_t *most = ctx;
    if (worker >= *most) return err_set(e, ERR_LIMIT, "worker %u", worker);
    times[job]++;
    return true;
}

static void every_job_once(void **state)
{
    (void)state;
    static const uint32_t crews[] = {0, 1, 2, 7, 100000};
    for (size_t i = 0; i < sizeof crews / sizeof crews[0]; i++) {
        struct err e = {0};
        uint32_t most = crews[i] ? crews[i] : 1;
        memset(times, 0, sizeof times);
        if (!threads_run(crews[i], JOBS, count, &most, &e)) fail_msg("%s", e.text);
        for (size_t k = 0; k < JOBS; k++)
            assert_int_equal(times[k], 1);
        assert_true(threads_run(crews[i], 0, count, &most, &e));
    }
}

static bool fail_some(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    (void)ctx;
    (void)worker;
    return job % 10 != 7 || err_set(e, ERR_FORMAT, "job %llu", (unsigned long long)job);
}

static void lowest_failure(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct err e = {0};
        assert_false(threads_run(4, JOBS, fail_some, NULL, &e));
        assert_string_equal(e.text, "job 7");
    }
}

static void defaults(void **state)
{
    (void)state;
    uint32_t all = threads_default(1);
    assert_in_range(all, 1, THREADS_MAX);
    assert_int_equal(threads_default(0), all);
    assert_int_equal(threads_default(1000000), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_once),
        cmocka_unit_test(lowest_failure),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
