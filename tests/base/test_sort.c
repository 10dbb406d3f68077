/* Numbers sorted by digits against qsort. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/sort.h"

enum { MOST = 5000 };
static uint64_t got[MOST], want[MOST];

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void as_qsort(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 10, 255, 2049, MOST};
    struct err e = {0};

    (void)state;
    for (unsigned keep = 1; keep <= 64; keep += 9) /* bits in which the numbers differ */
        for (unsigned shift = 0; shift <= 64 - keep; shift += 7)
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                struct rng_key key = rng_key(keep, RNG_TEST, shift);
                for (size_t i = 0; i < sizes[k]; i++)
                    got[i] = want[i] = (rng_u64(key, i) >> (64 - keep) << shift) ^ 0x5a5a;
                qsort(want, sizes[k], sizeof *want, ascending);
                assert_true(sort_u64(got, sizes[k], &e));
                assert_memory_equal(got, want, sizes[k] * sizeof *want);
            }
    assert_true(sort_u64(NULL, 0, &e));
    assert_int_equal(mem_live_blocks(), 0);
}

/* Sorted ones, and the same backwards. */
static void in_order_and_not(void **state)
{
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < MOST; i++)
        want[i] = got[i] = i / 3 * 1000003;
    assert_true(sort_u64(got, MOST, &e));
    assert_memory_equal(got, want, sizeof want);
    for (size_t i = 0; i < MOST; i++)
        got[i] = want[MOST - 1 - i];
    assert_true(sort_u64(got, MOST, &e));
    assert_memory_equal(got, want, sizeof want);
}

static void memory_fails(void **state)
{
    (void)state;
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct err e = {0};
        for (size_t i = 0; i < MOST; i++)
            got[i] = want[i] = rng_u64(rng_key(1, RNG_TEST, 0), i);
        fault_arm(FAULT_MEM, n, false);
        bool ok = sort_u64(got, MOST, &e);
        hit = fault_fired();
        fault_disarm_all();
        assert_true(ok != hit);
        if (ok) qsort(want, MOST, sizeof *want, ascending);
        assert_memory_equal(got, want, sizeof want);
        assert_int_equal(mem_live_blocks(), 0);
        assert_true(n < 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_qsort),
        cmocka_unit_test(in_order_and_not),
        cmocka_unit_test(memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
