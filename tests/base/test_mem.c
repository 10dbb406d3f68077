#include "base/base_test.h"

#include <pthread.h>

#include "base/arena.h"

static void counts_blocks(void **state)
{
    (void)state;
    struct err e = {0};
    size_t before = mem_live_blocks();
    char *a = mem_alloc(10, &e), *b = mem_calloc(3, 4, &e), *c = mem_strdup("text", &e);
    void *d = mem_aligned(4096, 100, &e), *z = mem_alloc(0, &e);
    assert_non_null(z);
    assert_int_equal(mem_live_blocks(), before + 5);
    for (int i = 0; i < 12; i++)
        assert_int_equal(b[i], 0);
    assert_string_equal(c, "text");
    assert_int_equal((uintptr_t)d % 4096, 0);
    a = mem_realloc(a, 1000, &e);
    assert_int_equal(mem_live_blocks(), before + 5);
    a[999] = 1;
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(z);
    mem_free(NULL);
    assert_int_equal(mem_live_blocks(), before);
}

static void realloc_of_null_counts(void **state)
{
    (void)state;
    struct err e = {0};
    size_t before = mem_live_blocks();
    void *p = mem_realloc(NULL, 5, &e);
    assert_int_equal(mem_live_blocks(), before + 1);
    mem_free(p);
}

static void overflow_is_a_limit(void **state)
{
    (void)state;
    struct err e = {0};
    FAILS(mem_calloc(SIZE_MAX / 2, 3, &e), ERR_LIMIT, "too many");
    void *items = NULL;
    size_t cap = 0;
    FAILS(mem_grow(&items, &cap, SIZE_MAX / 2, 16, &e), ERR_LIMIT, "too many");
    assert_null(items);
}

static void every_way_can_fail(void **state)
{
    (void)state;
    struct err e = {0};
    void *p = mem_alloc(8, &e), *keep = p;
    size_t cap = 8;
    fault_arm(FAULT_MEM, 1, true);
    FAILS(mem_alloc(1, &e), ERR_NOMEM, "out of memory");
    FAILS(mem_calloc(1, 1, &e), ERR_NOMEM, "out of memory");
    FAILS(mem_aligned(64, 1, &e), ERR_NOMEM, "out of memory");
    FAILS(mem_strdup("x", &e), ERR_NOMEM, "out of memory");
    FAILS(mem_realloc(p, 100, &e), ERR_NOMEM, "out of memory");
    FAILS(mem_grow(&p, &cap, 100, 1, &e), ERR_NOMEM, "out of memory");
    fault_disarm_all();
    assert_ptr_equal(p, keep);
    assert_int_equal(cap, 8);
    mem_free(p);
}

static void grow_by_half(void **state)
{
    (void)state;
    struct err e = {0};
    void *p = NULL;
    size_t cap = 0, moves = 0, last = 0;
    for (size_t n = 1; n <= 100000; n++) {
        OK(mem_grow(&p, &cap, n, 4, &e));
        assert_true(cap >= n);
        ((uint32_t *)p)[n - 1] = (uint32_t)n;
        moves += cap != last;
        last = cap;
    }
    assert_true(moves < 40);
    for (uint32_t n = 1; n <= 100000; n++)
        assert_int_equal(((uint32_t *)p)[n - 1], n);
    mem_free(p);
}

static void *churn(void *arg)
{
    struct err e = {0};
    for (int i = 0; i < 2000; i++)
        mem_free(mem_alloc(16, &e));
    return arg;
}

static void threads_count_right(void **state)
{
    (void)state;
    size_t before = mem_live_blocks();
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(mem_live_blocks(), before);
    assert_true(mem_peak_rss_bytes() > 100000);
}

/* ---- arena */

static void arena_gives_zeroed_aligned_bytes(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    arena_init(&a, 64 << 20);
    for (int turn = 0; turn < 3; turn++) {
        struct arena_mark m = arena_mark(&a);
        for (size_t n = 0; n < 300; n++) {
            size_t size = n * n % 7919;
            unsigned char *p = arena_alloc(&a, size, &e);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < size; i++)
                if (p[i]) fail_msg("byte %zu of block %zu is not zero", i, n);
            memset(p, 0xee, size);
        }
        arena_reset(&a, m);
        assert_int_equal(a.used_bytes, 0);
    }
    arena_free(&a);
    arena_free(&a);
}

static void arena_blocks_do_not_move(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    arena_init(&a, 64 << 20);
    char *first = arena_alloc(&a, 100, &e);
    strcpy(first, "stay");
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 100000, &e));
    assert_string_equal(first, "stay");
    arena_free(&a);
}

static void arena_cap(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    arena_init(&a, 1024);
    assert_non_null(arena_alloc(&a, 1000, &e));
    FAILS(arena_alloc(&a, 32, &e), ERR_LIMIT, "limit of 1024");
    assert_non_null(arena_alloc(&a, 16, &e));
    FAILS(arena_alloc(&a, 1, &e), ERR_LIMIT, "limit of 1024");
    FAILS(arena_alloc(&a, SIZE_MAX, &e), ERR_LIMIT, "limit");
    FAILS(arena_alloc(&a, SIZE_MAX - 15, &e), ERR_LIMIT, "limit");
    arena_free(&a);
    arena_init(&a, SIZE_MAX);
    FAILS(arena_alloc(&a, SIZE_MAX - 40, &e), ERR_LIMIT, "too many");
    arena_free(&a);
}

static void arena_reset_gives_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    arena_init(&a, 1 << 20);
    char *keep = arena_alloc(&a, 10, &e);
    strcpy(keep, "kept");
    struct arena_mark m = arena_mark(&a);
    void *first = NULL;
    for (int turn = 0; turn < 1000; turn++) { /* far more than the cap in all */
        void *p = arena_alloc(&a, 900000, &e);
        assert_non_null(p);
        if (turn == 0) first = p;
        assert_ptr_equal(p, first); /* the spare block: no heap each turn */
        arena_reset(&a, m);
    }
    assert_string_equal(keep, "kept");
    arena_free(&a);
}

static void arena_strings(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    struct str out;
    arena_init(&a, 1000);
    OK(arena_str(&a, STR("a\0b"), &out, &e));
    assert_int_equal(out.n, 3);
    assert_memory_equal(out.p, "a\0b", 4);
    OK(arena_str(&a, (struct str){NULL, 0}, &out, &e));
    assert_string_equal(out.p, "");
    arena_free(&a);
}

static bool arena_work(struct err *e)
{
    struct arena a;
    struct str s;
    arena_init(&a, 1 << 20);
    bool ok = arena_alloc(&a, 20000, e) && arena_alloc(&a, 200000, e) &&
              arena_str(&a, STR("x"), &s, e) && arena_alloc(&a, 500000, e);
    arena_free(&a);
    return ok;
}

static void nothing(bool ok)
{
    (void)ok;
}

static void arena_faults(void **state)
{
    (void)state;
    assert_true(sweep(FAULT_MEM, false, arena_work, nothing, false) >= 3);
    assert_true(sweep(FAULT_MEM, true, arena_work, nothing, false) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_blocks),       TEST(realloc_of_null_counts),
        TEST(overflow_is_a_limit), TEST(every_way_can_fail),
        TEST(grow_by_half),        TEST(threads_count_right),
        TEST(arena_cap),           TEST(arena_gives_zeroed_aligned_bytes),
        TEST(arena_strings),       TEST(arena_blocks_do_not_move),
        TEST(arena_faults),        TEST(arena_reset_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
