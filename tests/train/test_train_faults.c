/* Whatever fails, an error arrives, nothing leaks, and the same command then ends as if nothing had
 * happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "train/trial.h"

static void tiny(struct trial *x, const char *name)
{
    trial_init(x, name);
    x->t.max_steps = 3;
    x->t.tokens_per_step = 64;
    x->t.eval_every = (struct opt_every){2, OPT_STEPS};
    x->t.save_every = (struct opt_every){1, OPT_STEPS};
}

static void sweep(enum fault_point point, bool forever, uint64_t stride)
{
    struct trial want, x;
    struct err e = {0};
    int swept = 0;

    tiny(&want, "unfaulted");
    trial_must(&want);
    for (uint64_t n = 1;; n += stride) {
        tiny(&x, "faulted");
        size_t live = mem_live_blocks();
        fault_arm(point, n, forever);
        bool ok = trial_go(&x), fired = fault_fired();
        fault_disarm_all();
        assert_int_equal(mem_live_blocks(), live);
        if (!fired) {
            assert_true(ok);
            break;
        }
        if (!ok) assert_true(x.e.code != ERR_NONE && x.e.code != ERR_STOPPED);
        trial_must(&x);
        trial_same(&x, &want);
        assert_true(fs_remove_tree(x.dir, &e));
        swept++;
    }
    assert_true(swept > 3);
}

static void writes_may_fail(void **state)
{
    (void)state;
    sweep(FAULT_WRITE, false, 2);
    sweep(FAULT_WRITE, true, 3);
}

static void syncs_and_renames_may_fail(void **state)
{
    (void)state;
    sweep(FAULT_FSYNC, false, 2);
    sweep(FAULT_RENAME, false, 1);
    sweep(FAULT_RENAME, true, 2);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    sweep(FAULT_MEM, false, 23);
    sweep(FAULT_MEM, true, 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_may_fail),
        cmocka_unit_test(syncs_and_renames_may_fail),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
