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
#include "ingest/ingest.h"
#include "support/testdir.h"

static struct comm *comm;
static struct arena arena;
static struct ingest_opts opts;
static struct ingest_source_opts sources[2];
static struct ingest_summary sum;
static struct forget_summary gone;
static struct err e;

static const char *keep(const char *path)
{
    struct str out;
    assert_true(arena_str(&arena, str_of(path), &out, &e));
    return out.p;
}

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
    (void)state;
    err_clear(&e);
    testdir_make();
    arena_init(&arena, 64 << 20);
    log_setup(LOG_ERROR, 0);
    assert_true(comm_open_self(&comm, &e));
    assert_true(opt_defaults(ingest_table, &arena, &opts, &e));
    memset(sources, 0, sizeof sources);
    sources[0] = (struct ingest_source_opts){
        .name = "one", .format = FORMAT_CSV, .split = INGEST_SPLIT_HASH};
    sources[0].path = keep(testdir_path("a.csv"));
    write_table(sources[0].path);
    opts.dir = keep(testdir_path("corpus"));
    opts.sources = (struct opt_list){sources, 1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_disarm_all();
    comm_close(comm);
    arena_free(&arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static void ingest(void)
{
    if (!ingest_run(&opts, comm, &sum, &e)) fail_msg("%s", e.text);
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

/* How many files below the corpus hold the word. */
static size_t files_with(const char *dir, const char *word)
{
    struct arena a;
    struct str *names, bytes;
    const char *path;
    size_t n, hits = 0;
    arena_init(&a, 64 << 20);
    assert_true(fs_list(dir, &a, &names, &n, &e));
    for (size_t i = 0; i < n; i++) {
        assert_true(fs_join(&a, dir, names[i].p, &path, &e));
        if (fs_is_dir(path)) {
            hits += files_with(path, word);
        } else {
            assert_true(fs_read_file(path, 16 << 20, &a, &bytes, &e));
            hits += str_find(bytes, str_of(word), 0) != SIZE_MAX;
        }
    }
    arena_free(&a);
    return hits;
}

static void expect_gone(uint64_t records)
{
    struct record_corpus c;
    struct arena a;
    uint64_t n = 0;
    arena_init(&a, 16 << 20);
    assert_true(record_corpus_open(opts.dir, &a, &c, &e));
    for (size_t b = 0; b < c.nblocks; b++) {
        struct record_reader *r;
        uint8_t sha[32];
        assert_true(record_reader_open(c.blocks[b].path, &r, &e));
        record_reader_sha256(r, sha);
        assert_memory_equal(sha, c.blocks[b].sha256, 32);
        assert_int_equal(record_reader_count(r), c.blocks[b].records);
        n += record_reader_count(r);
        record_reader_close(r);
    }
    assert_int_equal(n, records);
    assert_int_equal(files_with(opts.dir, "Canary"), 0);
    assert_int_equal(files_with(opts.dir, "ZYX"), 0);
    arena_free(&a);
}

static void test_purge_and_return(void **state)
{
    uint8_t before[32];
    struct record_corpus c;
    (void)state;
    ingest();
    assert_int_equal(sum.reports, 600);
    assert_true(files_with(opts.dir, "Canary") > 0); /* else the test is blind */
    assert_true(forget_run(opts.dir, ids(), &gone, &e));
    assert_int_equal(gone.patients, 200);
    assert_int_equal(gone.known, 200);
    assert_int_equal(gone.records, 200);
    assert_true(gone.modality[MOD_CT] && gone.modality[MOD_MR] && !gone.modality[MOD_US]);
    expect_gone(400);
    /* Again: nothing to do, but what they were is still known. */
    assert_true(forget_run(opts.dir, ids(), &gone, &e));
    assert_int_equal(gone.records, 0);
    assert_int_equal(gone.known, 200);
    assert_true(gone.split[SPLIT_TRAIN]);
    /* The archive still holds them; a rerun takes the purged blocks as they are. */
    ingest();
    assert_int_equal(sum.reports, 400);
    assert_int_equal(sum.ignored, 200);
    assert_int_equal(sum.blocks_made, 0);
    expect_gone(400);
    assert_true(record_corpus_open(opts.dir, &arena, &c, &e));
    memcpy(before, c.digest, 32);
    /* The same corpus as if they had never been taken. */
    assert_true(fs_join(&arena, opts.dir, "records", &sources[0].modality, &e));
    assert_true(fs_remove_tree(sources[0].modality, &e));
    sources[0].modality = NULL;
    ingest();
    assert_int_equal(sum.blocks_made, 1);
    assert_true(record_corpus_open(opts.dir, &arena, &c, &e));
    assert_memory_equal(before, c.digest, 32);
}

/* A block that was hidden from the manifest comes into no corpus again. */
static void test_stale_block(void **state)
{
    (void)state;
    ingest();
    assert_true(forget_run(opts.dir, STR("ZYX0\nZYX1\nnobody\n"), &gone, &e));
    assert_int_equal(gone.patients, 3);
    assert_int_equal(gone.known, 2);
    sources[1] = sources[0];
    sources[1].name = "two";
    opts.sources.n = 2;
    ingest(); /* a second dump brings them back: it does not */
    assert_int_equal(sum.reports, 2 * 598);
    opts.sources.n = 1;
    ingest(); /* records/two is there, but not of the corpus */
    assert_true(forget_run(opts.dir, ids(), &gone, &e));
    expect_gone(400);
}

static void test_wrong_lists(void **state)
{
    (void)state;
    assert_false(forget_run(opts.dir, STR("patient\n\n"), &gone, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    err_clear(&e);
    assert_false(forget_run(opts.dir, STR("12,34\n"), &gone, &e));
    assert_non_null(strstr(e.text, "line 1"));
    assert_null(strstr(e.text, "12,"));
    err_clear(&e);
    /* Before the first ingest. */
    assert_true(forget_run(opts.dir, ids(), &gone, &e));
    assert_int_equal(gone.known, 0);
    ingest();
    expect_gone(400);
    /* A damaged list is no empty list. */
    const char *path;
    assert_true(fs_join(&arena, opts.dir, "forgotten.list", &path, &e));
    testdir_write(path, "abc", 3);
    assert_false(ingest_run(&opts, comm, &sum, &e));
    assert_non_null(strstr(e.text, "forgotten.list"));
    err_clear(&e);
}

static void test_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME};
    (void)state;
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        for (uint64_t n = 1;; n++) {
            bool ok, fired;
            assert_true(fs_remove_tree(opts.dir, &e));
            ingest();
            fault_arm(points[k], n, n % 2);
            ok = forget_run(opts.dir, ids(), &gone, &e);
            fired = fault_fired();
            fault_disarm_all();
            if (!ok) {
                err_clear(&e);
                assert_true(forget_run(opts.dir, ids(), &gone, &e));
            }
            expect_gone(400);
            if (!fired) break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_purge_and_return, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_block, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
