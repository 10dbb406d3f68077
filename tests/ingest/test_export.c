/*
 * ingest/export on one rank: what is left out and counted, the order, rows listed twice; faults. The
 * bytes themselves are compared with the script's in mpi_mediqa.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/export.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

static struct arena arena;
static struct comm *comm;
static struct ingest_opts opts;
static struct ingest_source_opts source;
static struct err e;

static void add(struct zipmake *z, const char *name, const char *text)
{
    zipmake_add(z, name, text, strlen(text), (struct zipmake_how){0});
}

static const char *keep(const char *path)
{
    struct str out;
    assert_true(arena_str(&arena, str_of(path), &out, &e));
    return out.p;
}

static int setup(void **state)
{
    const char *list =
        "study_id,subject_id,split\n50000003,10000003,train\n50000001,10000001,train\n"
        "50000009,10000009,train\n50000002,10000002,train\n50000004,10000004,dev\n"
        "50000001,10000005,train\n";
    struct ingest_summary sum;
    struct zipmake z;
    (void)state;
    err_clear(&e);
    testdir_make();
    arena_init(&arena, 16 << 20);
    log_setup(LOG_ERROR, 0);
    zipmake_init(&z);
    add(&z, "files/p10/p10000001/s50000001.txt", "bg\n FINDINGS: f\"1\n IMPRESSION: i1");
    add(&z, "files/p10/p10000002/s50000002.txt", "bg\n IMPRESSION: no findings");
    add(&z, "files/p10/p10000003/s50000003.txt", "\xc3\xa9\n FINDINGS: f3\n IMPRESSION: i3");
    add(&z, "files/p10/p10000004/s50000004.txt", "bg\n FINDINGS: f4\n IMPRESSION: i4");
    add(&z, "files/p10/p10000005/s50000001.txt", "bg\n FINDINGS: f5\n IMPRESSION: i5");
    zipmake_end(&z, false, NULL);
    source = (struct ingest_source_opts){.name = "mimic", .split = INGEST_SPLIT_LIST};
    source.sections = MODE_MEDIQA;
    source.path = keep(testdir_path("a.zip"));
    source.split_list = keep(testdir_path("list.csv"));
    testdir_write(source.path, z.p, z.n);
    testdir_write(source.split_list, list, strlen(list));
    zipmake_free(&z);
    assert_true(comm_open_self(&comm, &e));
    assert_true(opt_defaults(ingest_table, &arena, &opts, &e));
    opts.dir = keep(testdir_path("corpus"));
    opts.sources = (struct opt_list){&source, 1};
    if (!ingest_run(&opts, comm, &sum, &e)) fail_msg("%s", e.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(comm);
    arena_free(&arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

#define ROW(s, p, f, i, b)                                                                         \
    "{\"study_id\": \"" s "\", \"subject_id\": \"" p "\", \"findings\": \"" f                      \
    "\", \"impression\": \"" i "\", \"background\": \"" b "\"}"

static const char want[] = "[" ROW("50000003", "10000003", "f3", "i3", "\\u00e9") ", " ROW(
    "50000001", "10000001", "f5", "i5", "bg") ", " /* the last that was read */
    ROW("50000001", "10000005", "f5", "i5", "bg") "]";

static bool export(const char *split, const char *path)
{
    struct export_opts o = {.corpus_dir = opts.dir,
                            .source = &source,
                            .format = EXPORT_MEDIQA,
                            .split = record_split_of(str_of(split)),
                            .path = path};
    struct export_counts n;
    return export_run(&o, &n, &e);
}

static void expect_file(const char *path)
{
    size_t n;
    char *p = testdir_read(path, &n);
    assert_string_equal(p, want);
    free(p);
}

static void test_rows(void **state)
{
    const char *path = testdir_path("train.json");
    (void)state;
    assert_true(export("train", path));
    expect_file(path);
}

static void expect_refusal(const char *split, const char *part)
{
    assert_false(export(split, testdir_path("x.json")));
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.text, part)) fail_msg("%s", e.text);
    err_clear(&e);
}

static void test_refused(void **state)
{
    (void)state;
    expect_refusal("test", "no test rows; it has train 5, dev 1, test 0");
    expect_refusal("everything", "train, dev or test");
    source.name = "other";
    expect_refusal("dev", "no source other");
    source.split_list = NULL;
    expect_refusal("dev", "no split_list");
    source.split_list = "x";
    opts.dir = testdir_path("nowhere");
    expect_refusal("dev", "run radmill ingest first");
}

/* The old file is there, or the new one; never half of one. */
static void test_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};
    const char *path = testdir_path("train.json");
    (void)state;
    assert_true(export("train", path));
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        for (uint64_t n = 1;; n++) {
            bool ok, fired;
            fault_arm(points[k], n, n % 2);
            ok = export("train", path);
            fired = fault_fired();
            fault_disarm_all();
            expect_file(path);
            if (!fired) break;
            if (ok && points[k] == FAULT_MEM) continue; /* libcsv asks again for less */
            assert_false(ok);
            err_clear(&e);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
