/* The shim itself: what it must let pass, and what it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cuda_shim.h"

/* shim_cases.cc */
enum {
    REVERSED,
    LEAVES_EARLY,
    TWO_BARRIERS,
    HALF_A_WARP,
    BALLOT_IN_A_BRANCH,
    BEYOND_SHARED,
    UNWRITTEN_SHARED,
    NO_WAIT
};
void shim_case(int which, int *out);

static void every_order_gives_the_same(void **state)
{
    int out[128];
    (void)state;
    for (int o = 0; o < SHIM_ORDERS; o++) {
        shim_set_order((enum shim_order)o, 7);
        memset(out, 0xFF, sizeof out);
        shim_case(REVERSED, out);
        for (int i = 0; i < 128; i++) {
            int mine = i / 64 * 64 + 63 - i % 64, other = i / 64 * 64 + 63 - (i % 64 ^ 1);
            assert_int_equal(out[i], mine + other);
        }
    }
}

static void without_its_barrier_it_is_wrong(void **state)
{
    int out[128], wrong = 0;
    (void)state;
    shim_set_order(SHIM_FORWARD, 0);
    shim_case(REVERSED, out);
    assert_int_equal(shim_barriers(), 1);
    shim_barrier_skip(0);
    shim_case(REVERSED, out);
    shim_barrier_skip(-1);
    for (int i = 0; i < 128; i++)
        wrong += out[i] != i / 64 * 64 * 2 + 2 * 63 - (i % 64) - (i % 64 ^ 1);
    assert_true(wrong > 0);
}

static bool dies(int which)
{
    int status = 0, out[128];
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(open("/dev/null", O_WRONLY), 2);
        shim_case(which, out);
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return status != 0;
}

static void threads_that_do_not_meet_end_the_test(void **state)
{
    (void)state;
    for (int o = 0; o < SHIM_ORDERS; o++) {
        shim_set_order((enum shim_order)o, 3);
        assert_false(dies(REVERSED));
        assert_true(dies(LEAVES_EARLY));
        assert_true(dies(TWO_BARRIERS));
        assert_true(dies(HALF_A_WARP));
        assert_true(dies(BALLOT_IN_A_BRANCH));
    }
}

static void the_sanitizer_sees_the_end_of_shared_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    assert_true(dies(BEYOND_SHARED));
#else
    print_message("SKIP: built without the address sanitizer\n");
    skip();
#endif
}

static void unwritten_memory_is_nan(void **state)
{
    int out[128];
    (void)state;
    shim_case(UNWRITTEN_SHARED, out);
    for (int i = 0; i < 64; i++)
        assert_int_equal(out[i], -1);
    shim_case(NO_WAIT, out);
    assert_int_equal(out[0], -1); /* before the wait */
    assert_int_equal(out[1], 2);
    assert_int_equal(out[2], 0); /* beyond the valid bytes */
}

/* A queue as gpu_stream.h has it. */
static void (*kept_run)(void *), (*kept_drop)(void *);
static void *kept;
static void keep(struct gpu_stream *s, const char *kernel, void (*run)(void *),
                 void (*drop)(void *), void *closure)
{
    assert_null(s);
    assert_string_equal(kernel, "case");
    kept_run = run;
    kept_drop = drop;
    kept = closure;
}
static void a_queue_runs_it_later(void **state)
{
    int out[128];
    (void)state;
    memset(out, 0, sizeof out);
    shim_set_queue(keep);
    shim_case(UNWRITTEN_SHARED, out);
    shim_set_queue(NULL);
    assert_int_equal(out[0], 0);
    kept_run(kept);
    kept_drop(kept);
    assert_int_equal(out[0], -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_gives_the_same),
        cmocka_unit_test(without_its_barrier_it_is_wrong),
        cmocka_unit_test(threads_that_do_not_meet_end_the_test),
        cmocka_unit_test(the_sanitizer_sees_the_end_of_shared_memory),
        cmocka_unit_test(unwritten_memory_is_nan),
        cmocka_unit_test(a_queue_runs_it_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
