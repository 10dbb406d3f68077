#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shard/corpus_kit.h"
#include "shard/shard_file.h"
#include "support/testdir.h"

static int setup(void **state)
{
    (void)state;
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

static uint32_t length_of(size_t i)
{
    return (uint32_t)(10 + i % 50);
}

static char *written(const char *dir, size_t *n)
{
    char path[64];
    kit_lengths(testdir_path(dir), 300, length_of);
    snprintf(path, sizeof path, "%s/CT/s00-00000-000000000000.h5", dir);
    return testdir_read(testdir_path(path), n);
}

/* Large blocks come from the heap and not as fresh zeroes, and all of it was used before. */
static void dirty_heap(void)
{
    enum { BLOCKS = 24, BYTES = 1 << 20 };
    static void *block[BLOCKS];

    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    mallopt(M_TRIM_THRESHOLD, 1 << 28);
    for (int i = 0; i < BLOCKS; i++)
        if ((block[i] = malloc(BYTES)) != NULL) memset(block[i], 0xa5, BYTES);
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
}

/* Neither the clock nor what the heap held before gets into a file. */
static void the_same_bytes_at_any_time(void **state)
{
    size_t n, m;
    time_t now = time(NULL);
    char *a = written("a", &n), *b;

    (void)state;
    while (time(NULL) == now)
        usleep(10000);
    dirty_heap();
    b = written("b", &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(b);
    free(a);
}

static void tokens_lie_on_pages(void **state)
{
    struct shard_file f;
    struct err e = {0};
    size_t n;

    (void)state;
    free(written("a", &n));
    KIT(shard_file_open(testdir_path("a/CT/s00-00000-000000000000.h5"), true, &f, &e), &e);
    assert_true(f.block.token_bytes >= 4096);
    assert_int_equal(f.block.token_offset % 4096, 0);
    assert_true(n < f.block.token_bytes + 300 * 100 + 64 * 1024); /* no spare megabytes */
    shard_file_close(&f);
}

static void files_are_private(void **state)
{
    struct stat st;
    size_t n;

    (void)state;
    free(written("a", &n));
    assert_int_equal(stat(testdir_path("a/CT/s00-00000-000000000000.h5"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(testdir_path("a/manifest.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_bytes_at_any_time, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_lie_on_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
