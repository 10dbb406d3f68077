/*
 * tests/base/base_test - what the tests of base, comm and checkpoint share: short asserts around a
 * local `struct err e`, leak checks, fault sweeps, and "this aborts".
 */
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fault.h"
#include "base/mem.h"
#include "support/testdir.h"

/* The call succeeds. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call)) fail_msg("%s: %s", #call, e.text);                                            \
    } while (0)

/* The call fails with this code, and its text holds this part. */
#define FAILS(call, want_code, part)                                                               \
    do {                                                                                           \
        if (call) fail_msg("%s should have failed", #call);                                        \
        if (e.code != (want_code) || !strstr(e.text, part))                                        \
            fail_msg("%s: code %d '%s', wanted %d with '%s'", #call, (int)e.code, e.text,          \
                     (int)(want_code), part);                                                      \
        err_clear(&e);                                                                             \
    } while (0)

static inline int live_setup(void **state)
{
    testdir_make();
    *state = (void *)mem_live_blocks();
    return 0;
}

static inline int live_teardown(void **state)
{
    size_t before = (size_t)*state;
    fault_disarm_all();
    testdir_remove();
    if (mem_live_blocks() == before) return 0;
    fprintf(stderr, "%zd blocks leaked\n", (ssize_t)(mem_live_blocks() - before));
    return -1;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, live_setup, live_teardown)

/* Does f end the process by abort()? */
static inline bool aborts(void (*f)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(2);
        signal(SIGABRT, SIG_DFL); /* cmocka may have its own */
        f();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/*
 * Fail the n-th hit of point p for n = 1, 2, ... until none fires. `op` does the work and returns
 * whether it succeeded, setting *e; `check` looks at what is left, told whether it did. Returns how
 * many positions there are; a success while a fault fired is allowed only with may_succeed.
 */
static inline int sweep(enum fault_point p, bool forever, bool (*op)(struct err *e),
                        void (*check)(bool ok), bool may_succeed)
{
    size_t live = mem_live_blocks();
    for (int n = 1; n < 10000; n++) {
        struct err e = {0};
        fault_arm(p, (uint64_t)n, forever);
        bool ok = op(&e);
        bool fired = fault_fired();
        fault_disarm_all();
        assert_int_equal(mem_live_blocks(), live);
        if (ok != (e.code == ERR_NONE)) fail_msg("returned %d with '%s'", ok, e.text);
        if (fired && ok && !may_succeed) fail_msg("fault %d of point %d was swallowed", n, (int)p);
        if (!fired && !ok) fail_msg("failed without a fault: %s", e.text);
        check(ok);
        if (!fired) return n - 1;
    }
    fail_msg("no end of faults");
    return 0;
}
