/*
 * ingest/near: what is nearly the same is found, what only shares words is not; who the head is;
 * and dedup's order of status, time and site.
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
#include "ingest/ingest.h"
#include "support/testdir.h"

static struct comm *comm;
static struct arena arena;
static struct ingest_opts opts;
static struct ingest_source_opts sources[2];
static struct ingest_summary sum;
static struct err e;

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
    for (size_t i = 0; i < 2; i++) {
        struct str path;
        assert_true(arena_str(&arena, str_of(testdir_path(i ? "b.csv" : "a.csv")), &path, &e));
        sources[i] = (struct ingest_source_opts){.name = i ? "two" : "one",
                                                 .format = FORMAT_CSV,
                                                 .path = path.p,
                                                 .split = INGEST_SPLIT_TRAIN};
    }
    opts.dir = testdir_path("corpus");
    opts.sources = (struct opt_list){sources, 2};
    opts.near_duplicates = 0.7;
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

static void run(void)
{
    if (!ingest_run(&opts, comm, &sum, &e)) fail_msg("%s", e.text);
}

/* Flags of all records in corpus order. */
static size_t read_flags(uint32_t mask, uint32_t *flags)
{
    struct record_corpus c;
    size_t n = 0;
    assert_true(record_corpus_open(opts.dir, &arena, &c, &e));
    for (size_t b = 0; b < c.nblocks; b++) {
        struct record_reader *r;
        struct record rec;
        assert_true(record_block_open(&c.blocks[b], &r, &e));
        for (size_t i = 0; i < record_reader_count(r); i++) {
            record_reader_get(r, i, &rec);
            flags[n++] = rec.flags & mask;
        }
        record_reader_close(r);
    }
    return n;
}

/* 60 words of a text; word `changed` is another, word 30 a number. */
static void put_row(FILE *f, unsigned id, unsigned text, unsigned changed)
{
    fprintf(f, "%u,p%u,\"", id, id);
    for (unsigned w = 0; w < 60; w++) {
        unsigned v = (text * 7919 + w) * 2654435761u;
        if (w == 30)
            fprintf(f, "%u mm ", id + 10);
        else
            fprintf(f, "%s%c%c%c%c ", w == changed ? "other" : "", 'a' + v % 26, 'a' + v / 26 % 26,
                    'a' + v / 676 % 26, 'a' + v / 17576 % 26);
    }
    fprintf(f, "\",Impression %u.\n", id);
}

static void write_tables(void)
{
    for (size_t i = 0; i < 2; i++) {
        FILE *f = fopen(sources[i].path, "w");
        assert_non_null(f);
        fprintf(f, "accession,mrn,findings,impression\n");
        if (i == 0) {
            put_row(f, 1, 1, 99);
            put_row(f, 2, 2, 99);
            put_row(f, 3, 1, 40); /* one word of 60: nearly text 1 */
            put_row(f, 4, 3, 99);
        } else {
            put_row(f, 5, 1, 10); /* across sources */
            put_row(f, 6, 4, 99);
            put_row(f, 7, 2, 99); /* another number: the same but for digits */
        }
        assert_int_equal(fclose(f), 0);
    }
}

static void test_near(void **state)
{
    uint32_t flags[10];
    size_t n;
    (void)state;
    write_tables();
    run();
    assert_int_equal(read_flags(RECORD_NEAR_DUPLICATE | RECORD_DUPLICATE, flags), 7);
    assert_int_equal(flags[0], 0);
    assert_int_equal(flags[1], 0);
    assert_int_equal(flags[2], RECORD_NEAR_DUPLICATE);
    assert_int_equal(flags[3], 0);
    assert_int_equal(flags[4], RECORD_NEAR_DUPLICATE);
    assert_int_equal(flags[5], 0);
    assert_int_equal(flags[6], RECORD_DUPLICATE); /* is no near one beside */
    assert_int_equal(sum.flags[8], 2);
    const char *path;
    assert_true(fs_join(&arena, opts.dir, "near.jsonl", &path, &e));
    char *p = testdir_read(path, &n);
    assert_non_null(strstr(p, "{\"id\": \"one:0:2\", \"head\": \"one:0:0\", \"similarity\": 0."));
    assert_non_null(strstr(p, "{\"id\": \"two:0:0\", \"head\": \"one:0:0\", \"similarity\": 0."));
    free(p);
    /* Asked no longer: the marks and the list go, and nothing is read again. */
    opts.near_duplicates = 0;
    run();
    assert_int_equal(sum.blocks_made, 0);
    assert_int_equal(sum.flags[8], 0);
    assert_false(fs_exists(path));
}

static void write_versions(void)
{
    const char *a = "accession,mrn,status,time,findings,impression\n"
                    "A1,P1,F,2020-01-02 10:00,One new.,Later.\n"
                    "A1,P1,F,2020-01-01 10:00,One old.,Earlier.\n"
                    "A2,P1,F,,Two whole.,Two.\n"
                    "A2,P1,A,,,Addendum alone.\n"
                    "A3,P1,F,,Three.,Three.\n"
                    "A3,P1,A,,Three again.,Three added.\n"
                    "A4,P1,F,,Four.,Four.\n";
    const char *b = "accession,mrn,status,findings,impression\nA4,P1,C,Four mended.,Four.\n";
    testdir_write(sources[0].path, a, strlen(a));
    testdir_write(sources[1].path, b, strlen(b));
}

static void test_versions(void **state)
{
    uint32_t flags[10];
    (void)state;
    static const char *const time[] = {"time"};
    sources[0].columns.role[ROLE_TIME] = (struct opt_strs){time, 1};
    write_versions();
    run();
    assert_int_equal(read_flags(RECORD_SUPERSEDED, flags), 8);
    assert_int_equal(flags[0], 0); /* the later by its time, not by its place */
    assert_int_equal(flags[1], RECORD_SUPERSEDED);
    assert_int_equal(flags[2], 0);
    assert_int_equal(flags[3], RECORD_SUPERSEDED); /* no report of its own */
    assert_int_equal(flags[4], RECORD_SUPERSEDED);
    assert_int_equal(flags[5], 0);
    assert_int_equal(flags[6], 0); /* another hospital may number alike */
    assert_int_equal(flags[7], 0);
    sources[0].site = sources[1].site = "here";
    run();
    assert_int_equal(sum.blocks_made, 0);
    assert_int_equal(read_flags(RECORD_SUPERSEDED, flags), 8);
    assert_int_equal(flags[6], RECORD_SUPERSEDED);
    assert_int_equal(flags[7], 0);
}

static void test_no_patient_in_two_splits(void **state)
{
    const char *a = "accession,mrn,split,findings,impression\n1,P1,train,One.,One.\n"
                    "2,P1,test,Two.,Two.\n3,P2,dev,Three.,Three.\n4,P1,test,Four.,Four.\n";
    const char *b = "accession,mrn,findings,impression\n5,P2,Five.,Five.\n";
    (void)state;
    testdir_write(sources[0].path, a, strlen(a));
    testdir_write(sources[1].path, b, strlen(b));
    assert_false(ingest_run(&opts, comm, &sum, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "1 patients stand in two splits"));
    err_clear(&e);
    a = "accession,mrn,split,findings,impression\n1,P1,train,One.,One.\n2,P1,none,Two.,Two.\n"
        "3,P2,dev,Three.,Three.\n";
    testdir_write(sources[0].path, a, strlen(a));
    run(); /* P2 of another hospital is another patient */
    sources[0].site = sources[1].site = "here";
    assert_false(ingest_run(&opts, comm, &sum, &e));
    assert_non_null(strstr(e.text, "1 patients stand in two splits"));
    err_clear(&e);
}

static void test_memory_faults(void **state)
{
    (void)state;
    write_tables();
    for (uint64_t n = 1;; n += 3) {
        bool ok, fired;
        assert_true(fs_remove_tree(opts.dir, &e));
        fault_arm(FAULT_MEM, n, false);
        ok = ingest_run(&opts, comm, &sum, &e);
        fired = fault_fired();
        fault_disarm_all();
        if (!fired) break;
        if (!ok) err_clear(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_near, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_patient_in_two_splits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
