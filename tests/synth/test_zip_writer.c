#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "synth/tar_writer.h"
#include "synth/zip_writer.h"

static int run(const char *before, const char *path, const char *after)
{
    char cmd[1500];
    snprintf(cmd, sizeof cmd, "%s'%s'%s", before, path, after);
    int rc = system(cmd);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static bool write_zip(const char *path, size_t n, struct err *e)
{
    struct zip_writer *z = NULL;
    uint64_t bytes = 0;
    char name[64], text[256];
    bool ok = zip_writer_open(path, &z, e) && zip_writer_put(z, "d/", STR(""), e);

    for (size_t i = 0; ok && i < n; i++) {
        snprintf(name, sizeof name, "d/%06zu.txt", i);
        snprintf(text, sizeof text, "entry %zu entry %zu entry %zu\n", i, i, i);
        ok = zip_writer_put(z, name, str_of(i % 3 ? text : "x"), e);
    }
    ok = ok && zip_writer_commit(z, &bytes, e);
    zip_writer_close(z);
    if (ok) {
        uint64_t size;
        assert_true(fs_size(path, &size, e));
        assert_int_equal(size, bytes);
    }
    return ok;
}

static void unzip_reads_it(void **state)
{
    const char *path = testdir_path("a.zip");
    struct err e = {0};

    (void)state;
    assert_true(write_zip(path, 50, &e));
    if (run("command -v ", "unzip", " >/dev/null") != 0) {
        printf("SKIP: unzip is not installed\n");
        skip();
    }
    assert_int_equal(run("unzip -tq ", path, " >/dev/null"), 0);
    assert_int_equal(
        run("test \"$(unzip -p ", path, " d/000001.txt)\" = 'entry 1 entry 1 entry 1'"), 0);
}

/* More entries than 16 bits count: the zip64 records must be there and right. */
static void many_entries_need_zip64(void **state)
{
    const char *path = testdir_path("big.zip");
    struct err e = {0};
    size_t n;

    (void)state;
    assert_true(write_zip(path, 66000, &e));
    char *p = testdir_read(path, &n);
    assert_memory_equal(p + n - 22, "PK\5\6", 4);
    assert_memory_equal(p + n - 22 - 20, "PK\6\7", 4);
    assert_memory_equal(p + n - 22 - 20 - 56, "PK\6\6", 4);
    uint64_t entries;
    memcpy(&entries, p + n - 22 - 20 - 56 + 24, 8);
    assert_int_equal(entries, 66001);
    free(p);
    if (run("command -v ", "unzip", " >/dev/null") != 0) return;
    assert_int_equal(run("test $(unzip -Z1 ", path, " | wc -l) = 66001"), 0);
}

static void tar_reads_it(void **state)
{
    const char *path = testdir_path("a.tar.gz");
    struct tar_writer *t = NULL;
    uint64_t bytes;
    struct err e = {0};

    (void)state;
    assert_true(tar_writer_open(path, &t, &e));
    assert_true(tar_writer_put(t, "export/a.csv", STR("a,b\n1,2\n"), &e));
    assert_true(tar_writer_put(t, "export/b.csv", STR(""), &e));
    assert_true(tar_writer_commit(t, &bytes, &e));
    tar_writer_close(t);
    if (run("command -v ", "tar", " >/dev/null") != 0) {
        printf("SKIP: tar is not installed\n");
        skip();
    }
    assert_int_equal(run("gzip -t ", path, ""), 0);
    assert_int_equal(run("test \"$(tar -xzOf ", path, " export/a.csv | tail -n 1)\" = 1,2"), 0);
    assert_int_equal(run("test $(tar -tzf ", path, " | wc -l) = 2"), 0);
}

/* The old file or the new one, whole; a fault in flushing the folder comes after the rename. */
static void check_whole(const char *path, const char *good, size_t ngood)
{
    size_t n;
    char *p = testdir_read(path, &n);

    if (n == ngood)
        assert_memory_equal(p, good, n);
    else
        assert_string_equal(p, "old");
    free(p);
}

/* Each fault is reported, leaves a whole file and leaks nothing. */
static void faults_leave_whole_files(void **state)
{
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};
    const char *path = testdir_path("f.zip");
    struct err e = {0};
    size_t fired = 0, blocks = mem_live_blocks(), ngood;

    (void)state;
#ifndef RADMILL_FAULTS
    printf("SKIP: built without fault points\n");
    skip();
#endif
    assert_true(write_zip(path, 5, &e));
    char *good = testdir_read(path, &ngood);
    for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
        for (uint64_t n = 1;; n++) {
            testdir_write(path, "old", 3);
            fault_arm(points[p], n, false);
            bool ok = write_zip(path, 5, &e), hit = fault_fired();
            fault_disarm_all();
            assert_int_equal(ok, !hit);
            check_whole(path, good, ngood);
            assert_int_equal(mem_live_blocks(), blocks);
            if (!hit) break;
            err_clear(&e);
            fired++;
        }
    }
    assert_true(fired >= 6);
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unzip_reads_it, testdir_setup, testdir_teardown),
        cmocka_unit_test_setup_teardown(many_entries_need_zip64, testdir_setup, testdir_teardown),
        cmocka_unit_test_setup_teardown(tar_reads_it, testdir_setup, testdir_teardown),
        cmocka_unit_test_setup_teardown(faults_leave_whole_files, testdir_setup, testdir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
