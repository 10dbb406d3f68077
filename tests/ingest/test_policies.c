/* sources[].no_patient, no_study, versions, unlisted: what is done with reports that lack an id, that
 * a list does not name, or that come several times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/forget.h"
#include "ingest/ingestkit.h"
#include "support/testdir.h"

static struct record rows[16];
static char texts[16][2][64];

static void copy(struct str *to, char buf[64], struct str from)
{
    assert_true(from.n < 64);
    memcpy(buf, from.p, from.n);
    *to = (struct str){buf, from.n};
}

static void put(const struct record *r, size_t i, void *ctx)
{
    (void)ctx;
    assert_true(i < 16);
    rows[i] = *r;
    copy(&rows[i].patient, texts[i][0], r->patient);
    copy(&rows[i].study, texts[i][1], r->study);
}

static size_t run(const char *table)
{
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = ingestkit_path("a.csv");
    testdir_write(kit.sources[0].path, table, strlen(table));
    ingestkit_run();
    ingestkit_each(NULL, put, NULL);
    return kit.sum.reports;
}

static bool superseded(size_t i)
{
    return rows[i].flags & RECORD_SUPERSEDED;
}

static const char lacking[] = "accession,mrn,report_time,findings,impression\n"
                              "A1,P1,2026-01-02 10:00,Lung one.,Clear.\n"
                              "A2,,2026-01-02 10:00,Lung two.,Clear.\n"
                              "A2,,2026-01-02 11:00,Lung three.,Clear.\n"
                              ",P2,2026-01-02 12:00,Lung four.,Clear.\n"
                              ",P2,2026-01-02 12:00,Lung five.,Clear.\n"
                              ",,2026-01-02 12:00,Lung six.,Clear.\n"
                              ",,2026-01-02 12:00,Lung seven.,Clear.\n";

static void test_no_patient(void **state)
{
    struct str first;
    char kept[64];
    (void)state;
    assert_int_equal(run(lacking), 7);
    assert_int_equal(rows[1].patient.n, 0); /* the study stands in: both in one split */
    assert_true(rows[1].flags & RECORD_SPLIT_WEAK);
    assert_int_equal(rows[1].split, rows[2].split);
    assert_true(str_starts(rows[5].patient, STR("own-"))); /* nothing stands in */
    assert_false(str_eq(rows[5].patient, rows[6].patient));
    assert_true(rows[5].flags & RECORD_SPLIT_WEAK);
    copy(&first, kept, rows[5].patient);
    kit.sources[0].no_patient = NO_PATIENT_OWN;
    assert_int_equal(run(lacking), 7);
    assert_true(str_eq(rows[5].patient, first)); /* the same in every run */
    assert_true(str_starts(rows[1].patient, STR("own-")));
    assert_false(str_eq(rows[1].patient, rows[2].patient));
    assert_true(str_eqz(rows[0].patient, "P1"));
    assert_false(rows[0].flags & RECORD_SPLIT_WEAK);
    kit.sources[0].split = INGEST_SPLIT_TEST;
    assert_int_equal(run(lacking), 7);
    assert_int_equal(rows[1].split, SPLIT_TEST);
    assert_false(rows[1].flags & RECORD_SPLIT_WEAK);
    kit.sources[0].no_patient = NO_PATIENT_DROP;
    assert_int_equal(run(lacking), 3);
    assert_int_equal(kit.sum.rejected[REJECT_NO_PATIENT], 4);
    assert_int_equal(ingestkit_files_with(ingestkit_path("corpus/quarantine"), "no-patient"), 1);
}

static void test_no_study(void **state)
{
    (void)state;
    assert_int_equal(run(lacking), 7);
    assert_false(superseded(3));
    kit.sources[0].no_study = NO_STUDY_DERIVE;
    assert_int_equal(run(lacking), 7);
    assert_true(str_eqz(rows[3].study, "P2@20260102120000"));
    assert_true(superseded(3) && !superseded(4));
    assert_int_equal(rows[5].study.n, 0); /* no patient to derive it from */
    kit.sources[0].no_study = NO_STUDY_DROP;
    assert_int_equal(run(lacking), 3);
    assert_int_equal(kit.sum.rejected[REJECT_NO_STUDY], 4);
}

static void test_versions(void **state)
{
    static const char table[] = "accession,mrn,status,report_time,findings,impression\n"
                                "A1,P1,F,2026-01-02 12:00,Lung one.,Clear.\n"
                                "A1,P1,F,2026-01-02 10:00,Lung two.,Clear.\n"
                                "A1,P1,P,2026-01-02 14:00,Lung three.,Clear.\n"
                                "A2,P1,F,,Lung four.,Clear.\n"
                                "A2,P1,F,,Lung five.,Clear.\n"
                                "A3,P1,F,,Lung six.,Clear.\n"
                                "A3,P1,X,,Lung seven.,Clear.\n";
    static const char *const counts[] = {[VERSIONS_BEST] = "+--.+..",
                                         [VERSIONS_FIRST] = "-+-+...",
                                         [VERSIONS_LAST] = "--+.+..",
                                         [VERSIONS_ALL] = "+++++++"};
    (void)state;
    for (int v = 0; v < VERSIONS_COUNT; v++) {
        struct forget_summary gone;
        kit.sources[0].versions = v;
        assert_int_equal(run(table), 7);
        assert_int_equal(kit.sum.blocks_made, v == 0);
        for (size_t i = 0; i < 5; i++) {
            if (superseded(i) == (counts[v][i] == '+')) fail_msg("%s: row %zu", counts[v], i);
        }
        /* forget decides as ingest did. */
        assert_true(forget_run(&kit.opts, STR("nobody\n"), &gone, &kit.e));
        ingestkit_each(NULL, put, NULL);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(superseded(i), counts[v][i] != '+');
    }
}

static void test_unlisted(void **state)
{
    static const char list[] = "study_id,subject_id,split\nA1,P1,dev\n";
    (void)state;
    testdir_write(ingestkit_path("list.csv"), list, sizeof list - 1);
    kit.sources[0].split = INGEST_SPLIT_LIST;
    kit.sources[0].split_list = ingestkit_path("list.csv");
    kit.sources[0].unlisted = UNLISTED_DROP;
    assert_int_equal(run("accession,mrn,findings,impression\nA1,P1,One.,Clear.\nA2,P1,Two.,Clear.\n"
                         "A3,P9,Three.,Clear.\n"),
                     2);
    assert_int_equal(rows[0].split, SPLIT_DEV);
    assert_int_equal(rows[1].split, SPLIT_DEV); /* a listed patient's other study */
    assert_int_equal(kit.sum.rejected[REJECT_UNLISTED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_patient, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_no_study, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_versions, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_unlisted, ingestkit_setup, ingestkit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
