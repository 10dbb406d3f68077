/*
 * ingest/phi: forms that are identifiers, forms that are measurements; masking before the sections
 * are found; and the share it finds of what synth/planted plants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "ingest/ingest.h"
#include "ingest/phi.h"
#include "support/testdir.h"
#include "synth/planted.h"

static struct err e;

/* Text with its hits in brackets and the kind's first letter. */
static void expect(const char *want)
{
    char text[512], got[1024];
    size_t n = 0, done = 0, g = 0;
    struct phi_hit h;
    for (const char *p = want; *p; p++) {
        if (*p == '[' && p[1] && p[2] == ':') {
            p += 2;
            continue;
        }
        if (*p != ']') text[n++] = *p;
    }
    struct str s = {text, n};
    for (size_t at = 0; phi_next(s, &at, &h);) {
        g += (size_t)sprintf(got + g, "%.*s[%c:%.*s]", (int)(h.begin - done), text + done,
                             "dpnem"[h.kind], (int)(h.end - h.begin), text + h.begin);
        done = h.end;
    }
    snprintf(got + g, sizeof got - g, "%.*s", (int)(n - done), text + done);
    assert_string_equal(got, want);
}

static void test_forms(void **state)
{
    (void)state;
    expect("since [d:9/14/2010], [d:2010-09-14] and [d:14.09.10].");
    expect(
        "of [d:September 14, 2010]; [d:Sept. 2010]; [d:14 Sep 2010]; [d:14-Sep-2010]; [d:May 4th]");
    expect("[p:(617) 555-0100], [p:617-555-0100], [p:617.555.0100], call [p:555-0100].");
    expect("[p:+1 617 555 0100] ext. [p:4417] pager [p:12345], x[p:4417]");
    expect("MRN: [n:12345], accession #[n:4711], [n:12345678].");
    expect("to [e:a.b+c@d-e.org], please");
    expect("by Dr. [m:Smith], Mrs. [m:Jones], DR [m:SMITH], Dr. [m:J. O'Neil] and [m:Jane Smith], "
           "M.D.");
    expect("[m:Jane Smith] MD on [d:1/2/2003] at 9:14 AM");
}

static void test_measurements(void **state)
{
    static const char *const plain[] = {
        "3/4 of the lobe, 1.5 x 2.3 x 4.1 cm, 12.5 mm",
        "at 9:14 AM, L4-5 and T12-L1, 45-50 %, 100-200 HU",
        "2010 views, C5-6, 1.2.3 is a list, 120/80",
        "Dr. ___ and Dr. XXXX; the drain, DRAINAGE, drip",
        "may be 4 mm; May be seen; sept of the nose; in march of disease",
        "MR. imaging, MR Brain, MS Patient; an MD was told; MDCT of 64 rows; DRIP of 1000 ml",
        "786.2, 272.4, 60,000, 0.123456, a@b, @home",
        "Octreotide 5, Decreased 3 mm, Marked 2 cm, Januvia 100",
    };
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        expect(plain[i]);
}

static void test_mask(void **state)
{
    struct sbuf b;
    (void)state;
    sbuf_init(&b, 1000);
    assert_true(phi_mask(STR("Dr. Smith on 9/14/2010."), &b, &e));
    assert_string_equal(b.p, "Dr. ___ on ___.");
    sbuf_clear(&b);
    assert_true(phi_mask(STR("nothing"), &b, &e));
    assert_string_equal(b.p, "nothing");
    sbuf_free(&b);
    assert_int_equal(phi_flags(STR("Dr. Smith on 9/14/2010")),
                     RECORD_PHI << PHI_NAME | RECORD_PHI << PHI_DATE);
}

/* What is planted, and how much of it the header owns up to: a bar below and above. */
static void test_recall(void **state)
{
    static const unsigned least[PHI_KINDS] = {72, 85, 70, 70, 68};
    unsigned planted[PHI_KINDS] = {0}, found[PHI_KINDS] = {0};
    struct sbuf b;
    (void)state;
    sbuf_init(&b, 4096);
    for (uint64_t i = 0; i < 5000; i++) {
        struct planted p;
        struct phi_hit h;
        unsigned hits = 0;
        sbuf_clear(&b);
        assert_true(planted_put(7, i, &b, &p, &e));
        assert_true(p.begin < p.end && p.end <= b.n);
        for (size_t at = 0; phi_next(sbuf_str(&b), &at, &h);)
            hits += h.begin <= p.begin && h.end >= p.end;
        planted[p.kind]++;
        found[p.kind] += hits > 0;
        if (!hits && getenv("SHOW")) print_message("%s\n", b.p);
    }
    for (int k = 0; k < PHI_KINDS; k++) {
        print_message("%s: %u of %u planted ones found\n", phi_kind_names[k], found[k], planted[k]);
        assert_int_equal(planted[k], 1000);
        assert_in_range(100 * found[k] / planted[k], least[k], 99);
    }
    sbuf_free(&b);
}

/* ---- in ingest */
static void test_policies(void **state)
{
    const char *text = "accession,mrn,text,findings,impression\n"
                       "1,p,\"FINDINGS: Compared with 9/14/2010.\nIMPRESSION: Told Dr. Smith.\",,\n"
                       "2,p,,Lungs clear.,Call 617-555-0100.\n3,q,,Heart small.,Normal.\n";
    struct ingest_source_opts source = {
        .name = "a", .format = FORMAT_CSV, .split = INGEST_SPLIT_TRAIN};
    struct ingest_opts o;
    struct ingest_summary sum;
    struct record_corpus c;
    struct record_reader *r;
    struct record rec;
    struct arena a;
    struct comm *comm;
    (void)state;
    testdir_make();
    log_setup(LOG_ERROR, 0);
    arena_init(&a, 16 << 20);
    assert_true(comm_open_self(&comm, &e));
    assert_true(opt_defaults(ingest_table, &a, &o, &e));
    source.path = testdir_path("a.csv");
    testdir_write(source.path, text, strlen(text));
    o.dir = testdir_path("corpus");
    o.sources = (struct opt_list){&source, 1};
    o.phi = INGEST_PHI_REFUSE;
    assert_false(ingest_run(&o, comm, &sum, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_non_null(strstr(e.text, "dates in 1 reports"));
    assert_null(strstr(e.text, "9/14"));
    err_clear(&e);
    assert_false(record_corpus_open(o.dir, &a, &c, &e));
    err_clear(&e);
    o.phi = INGEST_PHI_REPORT;
    assert_true(ingest_run(&o, comm, &sum, &e));
    assert_int_equal(sum.flags[PHI_FIRST_FLAG + PHI_DATE], 1);
    assert_int_equal(sum.flags[PHI_FIRST_FLAG + PHI_PHONE], 1);
    assert_int_equal(sum.flags[PHI_FIRST_FLAG + PHI_NAME], 1);
    o.phi = INGEST_PHI_MASK;
    assert_true(ingest_run(&o, comm, &sum, &e));
    assert_int_equal(sum.flags[PHI_FIRST_FLAG + PHI_DATE], 1); /* where something was masked */
    assert_true(record_corpus_open(o.dir, &a, &c, &e));
    assert_true(record_block_open(&c.blocks[0], &r, &e));
    record_reader_get(r, 0, &rec);
    assert_true(str_eqz(rec.text, "FINDINGS: Compared with ___.\nIMPRESSION: Told Dr. ___."));
    assert_int_equal(rec.section[SEC_IMPRESSION].length, strlen("Told Dr. ___."));
    record_reader_get(r, 1, &rec);
    assert_true(str_eqz(rec.text, "Lungs clear.\nCall ___."));
    record_reader_close(r);
    comm_close(comm);
    arena_free(&a);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_measurements),
        cmocka_unit_test(test_mask),     cmocka_unit_test(test_recall),
        cmocka_unit_test(test_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
