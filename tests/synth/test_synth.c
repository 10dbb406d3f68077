#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "synth/people.h"
#include "synth/synth.h"

static struct synth_opts opts(const char *dir, uint64_t n, uint64_t seed)
{
    struct synth_opts o = {0};
    struct arena a;
    struct err e = {0};

    arena_init(&a, 1 << 16);
    assert_true(opt_defaults(synth_table, &a, &o, &e));
    arena_free(&a);
    o.dir = dir;
    o.reports = o.institution = n;
    o.seed = seed;
    return o;
}

static void digests(const char *dir, uint8_t out[3][32])
{
    static const char *const names[] = {"mimic-cxr-reports.zip", "mimic_split.csv",
                                        "institution.tar.gz"};
    struct err e = {0};

    for (int i = 0; i < 3; i++) {
        char path[1200];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_true(sha256_file(path, out[i], &e));
    }
}

static void same_seed_same_bytes(void **state)
{
    const char *dir = testdir_path("c");
    uint8_t a[3][32], b[3][32], c[3][32];
    struct synth_summary s;
    struct err e = {0};
    struct synth_opts o = opts(dir, 300, 1);

    (void)state;
    assert_true(synth_run(&o, &s, &e));
    digests(dir, a);
    assert_true(synth_run(&o, &s, &e));
    digests(dir, b);
    assert_memory_equal(a, b, sizeof a);
    o.seed = 2;
    assert_true(synth_run(&o, &s, &e));
    digests(dir, c);
    for (int i = 0; i < 3; i++)
        assert_memory_not_equal(a[i], c[i], 32);
    assert_int_equal(mem_live_blocks(), 0);
}

static void python_reads_it(void **state)
{
    const char *dir = testdir_path("c");
    struct synth_summary s;
    struct err e = {0};
    struct synth_opts o = opts(dir, 1500, 5);
    char cmd[2500];
    unsigned long long reports, listed, rows;

    (void)state;
    assert_true(synth_run(&o, &s, &e));
    assert_int_equal(s.reports, 1500);
    assert_true(s.listed[0] > 1000 && s.listed[1] > 10 && s.listed[2] == 0);
    if (system("python3 -c 'import zipfile' 2>/dev/null") != 0) {
        printf("SKIP: python3 is not installed\n");
        skip();
    }
    snprintf(cmd, sizeof cmd, "python3 '%s/tests/synth/check_corpus.py' '%s'", RADMILL_SOURCE, dir);
    FILE *f = popen(cmd, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llu %llu %llu", &reports, &listed, &rows), 3);
    assert_int_equal(pclose(f), 0);
    assert_int_equal(reports, s.reports);
    assert_int_equal(listed, s.listed[0] + s.listed[1] + s.listed[2]);
    assert_int_equal(rows, s.rows);
    assert_true(rows > 1500 && rows < 1700);
}

/* Every report has one patient, also at odd counts. */
static void people_tile_the_reports(void **state)
{
    static const uint64_t cases[][2] = {{1, 1},      {7, 2},       {100, 0},
                                        {1000, 999}, {1000, 5000}, {5, 3}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct people p = people_of(9, SYNTH_INSTITUTION, cases[c][1], cases[c][0]);
        uint64_t last = 0;
        assert_int_equal(people_first(&p, 0), 0);
        assert_int_equal(people_first(&p, p.patients), p.reports);
        for (uint64_t r = 0; r < p.reports; r++) {
            uint64_t i = people_patient(&p, r);
            assert_true(people_first(&p, i) <= r && r < people_first(&p, i + 1));
            assert_true(i >= last);
            last = i;
        }
    }
}

static void bad_options_are_named(void **state)
{
    struct synth_summary s;
    struct err e = {0};
    struct synth_opts o = opts(NULL, 5, 1);

    (void)state;
    assert_false(synth_run(&o, &s, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "synth.dir"));
    err_clear(&e);
    o = opts(testdir_path("c"), 5, 1);
    o.dev_share = o.test_share = 0.7;
    assert_false(synth_run(&o, &s, &e));
    assert_non_null(strstr(e.text, "exceed 1"));
    err_clear(&e);
    o = opts(testdir_path("c"), 5000, 1);
    o.patients = 2;
    assert_false(synth_run(&o, &s, &e));
    assert_non_null(strstr(e.text, "raise patients"));
    assert_false(fs_exists(testdir_path("c/mimic-cxr-reports.zip")));
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_seed_same_bytes, testdir_setup, testdir_teardown),
        cmocka_unit_test_setup_teardown(python_reads_it, testdir_setup, testdir_teardown),
        cmocka_unit_test(people_tile_the_reports),
        cmocka_unit_test_setup_teardown(bad_options_are_named, testdir_setup, testdir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
