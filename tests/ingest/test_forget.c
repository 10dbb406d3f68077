/*
 * ingest/forget: no byte of a forgotten patient stays in the corpus, none comes back, the others'
 * records stay as they were, and a failure at any step is repaired by the same call.
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
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/forget.h"
#include "ingest/ingestkit.h"
#include "support/testdir.h"

static struct forget_summary gone;

static void write_table(const char *path)
{
    static char text[200000];
    size_t n = (size_t)snprintf(text, sizeof text, "accession,mrn,modality,findings,impression\n");
    for (unsigned i = 0; i < 600; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "A%u,%s%u,%s,\"%s %c%c%c\",Word %c%c%c.\n",
                              i, i % 3 ? "P" : "ZYX", i / 3, i % 2 ? "CT" : "MR",
                              i % 3 ? "Finding" : "Canary", 'a' + i / 676 % 26, 'a' + i / 26 % 26,
                              'a' + i % 26, 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26);
    testdir_write(path, text, n);
}

static int setup(void **state)
{
    ingestkit_setup(state);
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = ingestkit_path("a.csv");
    write_table(kit.sources[0].path);
    return 0;
}

/* Every third report's patient: 200 of 600. */
static struct str ids(void)
{
    static char text[4000];
    size_t n = (size_t)snprintf(text, sizeof text, "patient_id\r\n");
    for (unsigned i = 0; i < 200; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "ZYX%u\r\n", i);
    return (struct str){text, n};
}

static void expect_gone(uint64_t records)
{
    assert_int_equal(ingestkit_count(), records);
    assert_int_equal(ingestkit_files_with(kit.opts.dir, "Canary"), 0);
    assert_int_equal(ingestkit_files_with(kit.opts.dir, "ZYX"), 0);
}

static void test_purge_and_return(void **state)
{
    uint8_t before[32];
    struct record_corpus c;
    (void)state;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 600);
    assert_true(ingestkit_files_with(kit.opts.dir, "Canary") > 0); /* else the test is blind */
    assert_true(forget_run(&kit.opts, ids(), &gone, &kit.e));
    assert_int_equal(gone.patients, 200);
    assert_int_equal(gone.known, 200);
    assert_int_equal(gone.records, 200);
    assert_true(gone.modality[MOD_CT] && gone.modality[MOD_MR] && !gone.modality[MOD_US]);
    expect_gone(400);
    /* Again: nothing to do, but what they were is still known. */
    assert_true(forget_run(&kit.opts, ids(), &gone, &kit.e));
    assert_int_equal(gone.records, 0);
    assert_int_equal(gone.known, 200);
    assert_true(gone.split[SPLIT_TRAIN]);
    /* The archive still holds them; a rerun takes the purged blocks as they are. */
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 400);
    assert_int_equal(kit.sum.ignored, 200);
    assert_int_equal(kit.sum.blocks_made, 0);
    expect_gone(400);
    assert_true(record_corpus_open(kit.opts.dir, &kit.arena, &c, &kit.e));
    memcpy(before, c.digest, 32);
    /* The same corpus as if they had never been taken. */
    assert_true(fs_join(&kit.arena, kit.opts.dir, "records", &kit.sources[0].modality, &kit.e));
    assert_true(fs_remove_tree(kit.sources[0].modality, &kit.e));
    kit.sources[0].modality = NULL;
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 1);
    assert_true(record_corpus_open(kit.opts.dir, &kit.arena, &c, &kit.e));
    assert_memory_equal(before, c.digest, 32);
}

/* A block that was hidden from the manifest comes into no corpus again. */
static void test_stale_block(void **state)
{
    (void)state;
    ingestkit_run();
    assert_true(forget_run(&kit.opts, STR("ZYX0\nZYX1\nnobody\n"), &gone, &kit.e));
    assert_int_equal(gone.patients, 3);
    assert_int_equal(gone.known, 2);
    kit.sources[1] = kit.sources[0];
    kit.sources[1].name = "two";
    kit.opts.sources.n = 2;
    ingestkit_run(); /* a second dump brings them back: it does not */
    assert_int_equal(kit.sum.reports, 2 * 598);
    kit.opts.sources.n = 1;
    ingestkit_run(); /* records/two is there, but not of the corpus */
    assert_true(forget_run(&kit.opts, ids(), &gone, &kit.e));
    expect_gone(400);
}

static void note_late(const struct record *r, size_t i, void *ctx)
{
    ((uint32_t *)ctx)[i] = r->flags & RECORD_LATE;
}

/* A copy of a text whose first is gone takes its place at once; so does a near one, and a report
 * that stood behind a later one of another patient's id. */
static void test_copy_takes_over(void **state)
{
    static const char words[] = "one two three four five six seven eight nine ten eleven twelve "
                                "thirteen fourteen fifteen sixteen seventeen eighteen nineteen";
    char text[2000];
    uint32_t late[8];
    (void)state;
    size_t n = (size_t)snprintf(text, sizeof text,
                                "accession,mrn,findings,impression\n"
                                "A1,GONE,%s.,Canary.\nA2,P1,%s.,Canary.\nA3,P2,%s.,Canary.\n"
                                "A4,P3,%s twenty.,Canary.\nA5,P4,Old.,Text.\nA5,GONE,New.,Text.\n",
                                words, words, words, words);
    testdir_write(kit.sources[0].path, text, n);
    kit.opts.near_duplicates = 0.7;
    ingestkit_run();
    ingestkit_each(NULL, note_late, late);
    const uint32_t before[] = {
        0, RECORD_DUPLICATE, RECORD_DUPLICATE, RECORD_NEAR_DUPLICATE, RECORD_SUPERSEDED, 0};
    assert_memory_equal(late, before, sizeof before);
    assert_true(forget_run(&kit.opts, STR("GONE\n"), &gone, &kit.e));
    assert_int_equal(gone.records, 2);
    assert_int_equal(ingestkit_count(), 4);
    ingestkit_each(NULL, note_late, late);
    const uint32_t after[] = {0, RECORD_DUPLICATE, RECORD_NEAR_DUPLICATE, 0};
    assert_memory_equal(late, after, sizeof after);
    assert_int_equal(ingestkit_files_with(kit.opts.dir, "\"head\": \"one:0:0\""), 1);
    ingestkit_run(); /* and ingest finds the same */
    assert_int_equal(kit.sum.blocks_made, 0);
    ingestkit_each(NULL, note_late, late);
    assert_memory_equal(late, after, sizeof after);
}

static void test_wrong_lists(void **state)
{
    (void)state;
    assert_false(forget_run(&kit.opts, STR("patient\n\n"), &gone, &kit.e));
    assert_int_equal(kit.e.code, ERR_CONFIG);
    err_clear(&kit.e);
    assert_false(forget_run(&kit.opts, STR("12,34\n"), &gone, &kit.e));
    assert_non_null(strstr(kit.e.text, "line 1"));
    assert_null(strstr(kit.e.text, "12,"));
    err_clear(&kit.e);
    /* Before the first ingest. */
    assert_true(forget_run(&kit.opts, ids(), &gone, &kit.e));
    assert_int_equal(gone.known, 0);
    ingestkit_run();
    expect_gone(400);
    /* A damaged list is no empty list. */
    const char *path;
    assert_true(fs_join(&kit.arena, kit.opts.dir, "forgotten.list", &path, &kit.e));
    testdir_write(path, "abc", 3);
    assert_false(ingest_run(&kit.opts, kit.comm, &kit.sum, &kit.e));
    assert_non_null(strstr(kit.e.text, "forgotten.list"));
    err_clear(&kit.e);
}

static void test_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME};
    (void)state;
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        for (uint64_t n = 1;; n++) {
            bool ok, fired;
            assert_true(fs_remove_tree(kit.opts.dir, &kit.e));
            ingestkit_run();
            fault_arm(points[k], n, n % 2);
            ok = forget_run(&kit.opts, ids(), &gone, &kit.e);
            fired = fault_fired();
            fault_disarm_all();
            if (!ok) {
                err_clear(&kit.e);
                assert_true(forget_run(&kit.opts, ids(), &gone, &kit.e));
            }
            expect_gone(400);
            if (!fired) break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_purge_and_return, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_stale_block, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_copy_takes_over, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lists, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, ingestkit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
