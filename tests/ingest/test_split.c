/* ingest/split: lists, hashes, and that no patient is in two splits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "ingest/split.h"
#include "support/testdir.h"

static struct split *split;
static struct err e;

static int setup(void **state)
{
    (void)state;
    err_clear(&e);
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    split_close(split);
    split = NULL;
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static struct split_rules by_hash(void)
{
    return (struct split_rules){
        .kind = SPLIT_BY_HASH, .dev = 0.05, .test = 0.05, .salt = "radmill"};
}

static bool open_list(const char *text, struct split_rules rules)
{
    rules.kind = SPLIT_BY_LIST;
    rules.list_path = testdir_path("list.csv");
    testdir_write(rules.list_path, text, strlen(text));
    split_close(split);
    return split_open(&rules, &split, &e);
}

static enum record_split of(const char *patient, const char *study)
{
    bool weak;
    return split_of(split, str_of(patient), str_of(study), &weak);
}

/* Python hashlib: int.from_bytes(sha256(salt + patient)[:8], "big") / 2**64, cut at .9 and .95. */
static void test_hash(void **state)
{
    static const struct {
        const char *patient;
        enum record_split want;
    } golden[] = {
        {"10000000", SPLIT_TRAIN}, {"10000001", SPLIT_TRAIN}, {"10000002", SPLIT_TEST},
        {"10000013", SPLIT_TEST},  {"10000031", SPLIT_TEST},  {"10000030", SPLIT_DEV},
        {"10000094", SPLIT_DEV},   {"10000139", SPLIT_DEV},   {"10000004", SPLIT_TRAIN},
    };
    size_t count[SPLIT_COUNT] = {0};
    struct split_rules rules = by_hash();
    (void)state;
    assert_true(split_open(&rules, &split, &e));
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        assert_int_equal(of(golden[i].patient, "1"), golden[i].want);
    for (int i = 10000000; i < 10000400; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        count[of(id, "whatever")]++;
    }
    assert_int_equal(count[SPLIT_TRAIN], 359);
    assert_int_equal(count[SPLIT_DEV], 13);
    assert_int_equal(count[SPLIT_TEST], 28);
}

static void test_without_patient(void **state)
{
    struct split_rules rules = by_hash();
    bool weak;
    (void)state;
    assert_true(split_open(&rules, &split, &e));
    assert_int_equal(split_of(split, STR("10000002"), STR("x"), &weak), SPLIT_TEST);
    assert_false(weak);
    assert_int_equal(split_of(split, STR(""), STR("10000002"), &weak), SPLIT_TEST);
    assert_true(weak);
}

static void test_whole_source(void **state)
{
    struct split_rules rules = {.kind = SPLIT_ALL_TEST, .salt = ""};
    (void)state;
    assert_true(split_open(&rules, &split, &e));
    assert_int_equal(of("1", "2"), SPLIT_TEST);
    assert_int_equal(of("", ""), SPLIT_TEST);
}

static void test_list(void **state)
{
    struct split_rules rules = by_hash();
    size_t n;
    (void)state;
    rules.mimic_ids = true;
    /* Columns by name, in any order, ids with or without their letters. */
    assert_true(open_list("Split,Study_ID,other,Subject_ID\ntrain,s50,x,p10000002\nvalidate,51,x,"
                          "10000000\ntest,52,x,10000001\n",
                          rules));
    assert_int_equal(of("10000002", "50"), SPLIT_TRAIN);
    assert_int_equal(of("10000000", "51"), SPLIT_DEV);
    assert_int_equal(of("10000001", "52"), SPLIT_TEST);
    assert_int_equal(of("10000002", "99"), SPLIT_TRAIN); /* unlisted study, listed patient */
    assert_int_equal(of("10000001", "98"), SPLIT_TEST);
    assert_int_equal(of("10000013", "97"), SPLIT_TEST); /* unlisted patient: by hash */
    const struct split_row *rows = split_rows(split, &n);
    assert_int_equal(n, 3);
    assert_true(str_eqz(rows[0].study, "50") && str_eqz(rows[0].patient, "10000002"));
    rules.unlisted = SPLIT_UNLISTED_NONE;
    assert_true(open_list("study_id,subject_id,split\n50,10000002,train\n", rules));
    assert_int_equal(of("10000002", "99"), SPLIT_TRAIN);
    assert_int_equal(of("10000013", "97"), SPLIT_NONE);
    rules.unlisted = SPLIT_UNLISTED_EXACT;
    assert_true(open_list("study_id,subject_id,split\n50,10000002,train\n", rules));
    assert_int_equal(of("10000002", "50"), SPLIT_TRAIN);
    assert_int_equal(of("10000002", "99"), SPLIT_NONE);
}

/* The form of mimic-cxr-2.0.0-split.csv.gz. */
static void test_list_of_images(void **state)
{
    struct split_rules rules = by_hash();
    size_t n;
    (void)state;
    rules.mimic_ids = true;
    assert_true(open_list("dicom_id,study_id,subject_id,split\na-1,50,10000002,validate\n"
                          "a-2,50,10000002,validate\na-3,51,10000002,validate\n"
                          "a-4,52,10000003,train\na-5,50,10000002,validate\n",
                          rules));
    const struct split_row *rows = split_rows(split, &n);
    assert_int_equal(n, 3);
    assert_true(str_eqz(rows[0].study, "50") && str_eqz(rows[1].study, "51") &&
                str_eqz(rows[2].study, "52"));
    assert_int_equal(of("10000002", "51"), SPLIT_DEV);
    assert_int_equal(of("10000002", "99"), SPLIT_DEV);
    assert_int_equal(of("10000003", "52"), SPLIT_TRAIN);
}

static void expect_refusal(const char *text, const char *part)
{
    struct split_rules rules = by_hash();
    assert_false(open_list(text, rules));
    assert_non_null(strstr(e.text, part));
    assert_null(strstr(e.text, "SECRET"));
    err_clear(&e);
}

static void test_bad_lists(void **state)
{
    (void)state;
    expect_refusal("study_id,subject_id,split\nSECRET1,SECRET,train\nSECRET2,SECRET,dev\n",
                   "lines 2 and 3");
    expect_refusal("study_id,subject_id,split\nSECRET,,train\nSECRET,,test\n", "lines 2 and 3");
    expect_refusal("study_id,subject_id,split\nSECRET,1,training\n", "line 2");
    expect_refusal("study_id,subject_id\n1,2\n", "a column split");
    expect_refusal("study_id,subject_id,split\n,1,train\n", "line 2");
    expect_refusal("study_id,subject_id,split\n1,2\n", "line 2");
    expect_refusal("study_id,subject_id,split\n1,2,\"train\n", "line 2");
    expect_refusal("", "empty");
}

static void test_digest_follows_the_rules(void **state)
{
    struct split_rules rules = by_hash();
    uint8_t a[32], b[32];
    (void)state;
    assert_true(open_list("study_id,subject_id,split\n1,2,train\n", rules));
    split_digest(split, a);
    assert_true(open_list("split,study_id,subject_id\ntrain,1,2\n", rules)); /* the same rows */
    split_digest(split, b);
    assert_memory_equal(a, b, 32);
    assert_true(open_list("study_id,subject_id,split\n1,2,dev\n", rules));
    split_digest(split, b);
    assert_memory_not_equal(a, b, 32);
    rules.salt = "other";
    assert_true(open_list("study_id,subject_id,split\n1,2,train\n", rules));
    split_digest(split, b);
    assert_memory_not_equal(a, b, 32);
}

static void test_official_list(void **state)
{
    const char *path = testdir_shared("data/mimic-like/mimic_split_train_dev.csv");
    struct split_rules rules = by_hash();
    const struct split_row *rows;
    size_t n, count[SPLIT_COUNT] = {0};
    (void)state;
    if (!path) skip();
    rules.kind = SPLIT_BY_LIST;
    rules.list_path = path;
    assert_true(split_open(&rules, &split, &e));
    rows = split_rows(split, &n);
    for (size_t i = 0; i < n; i++)
        count[rows[i].split]++;
    assert_int_equal(count[SPLIT_TRAIN], 2050);
    assert_int_equal(count[SPLIT_DEV], 145);
}

static void test_no_memory(void **state)
{
    struct split_rules rules = by_hash();
    size_t failures = 0;
    (void)state;
    for (uint64_t n = 1;; n++) {
        bool ok, fired;
        fault_arm(FAULT_MEM, n, false);
        ok = open_list("study_id,subject_id,split\n1,2,train\n3,4,dev\n", rules);
        fired = fault_fired();
        fault_disarm_all();
        assert_true(ok || fired);
        if (!fired) break;
        if (ok) continue; /* libcsv asks again for less */
        failures++;
        assert_int_equal(e.code, ERR_NOMEM);
        err_clear(&e);
        assert_int_equal(mem_live_blocks(), 0);
    }
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_patient, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_of_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digest_follows_the_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_official_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
