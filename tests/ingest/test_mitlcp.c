/*
 * sections: mitlcp: records against the two tables that MIT-LCP/mimic-cxr create_section_files wrote
 * for the same archive (see the data's README): last sections, universal newlines, overrides.
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
#include "ingest/csv_read.h"
#include "ingest/ingest.h"
#include "ingest/mitlcp.h"
#include "support/testdir.h"
#include "text/clean.h"

static struct arena arena;
static struct err e;

static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *err)
{
    struct str *rest = ctx;
    (void)err;
    *got = rest->n < cap ? rest->n : cap;
    memcpy(buf, rest->p, *got);
    *rest = str_sub(*rest, *got, rest->n);
    return true;
}

struct row {
    struct str study, impression, findings, comparison;
    bool named; /* in the table of sections; the rest are overrides */
};
static struct row rows[4000];
static size_t nrows;

static struct str keep(struct str s)
{
    struct str out;
    assert_true(arena_str(&arena, s, &out, &e));
    return out;
}

static struct row *row_of(struct str study)
{
    for (size_t i = 0; i < nrows; i++) {
        if (rows[i].study.n == study.n + 1 && str_eq(str_sub(rows[i].study, 1, study.n + 1), study))
            return &rows[i];
    }
    return NULL;
}

static void read_tables(const char *sectioned, const char *sections)
{
    struct csv_limits limits = {1 << 20, 10};
    struct csv_reader *csv;
    struct csv_row r;
    bool more;
    size_t n;
    char *p = testdir_gunzip(sectioned, &n);
    struct str text = {p, n};
    assert_true(csv_reader_open(fill, &text, &limits, &csv, &e));
    while (csv_reader_next(csv, &r, &more, &e) && more) {
        assert_int_equal(r.fault, CSV_ROW_WHOLE);
        rows[nrows++] = (struct row){keep(r.cells[0]), keep(r.cells[1]), keep(r.cells[2]),
                                     keep(r.cells[4]), true};
    }
    csv_reader_close(csv);
    free(p);
    /* The other has no header: its first row is taken for one. */
    p = testdir_gunzip(sections, &n);
    text = (struct str){p, n};
    assert_true(csv_reader_open(fill, &text, &limits, &csv, &e));
    while (csv_reader_next(csv, &r, &more, &e) && more) {
        struct str study = str_sub(r.cells[0], 1, r.cells[0].n);
        assert_int_equal(r.fault, CSV_ROW_WHOLE);
        if (!row_of(study))
            rows[nrows++] = (struct row){.study = keep(r.cells[0]), .impression = keep(r.cells[1])};
    }
    csv_reader_close(csv);
    free(p);
}

static struct str section(const struct record *r, enum record_section s)
{
    return (struct str){r->text.p + r->section[s].offset, r->section[s].length};
}

static void expect(const struct record *r, size_t *overrides)
{
    const struct row *want = row_of(r->study);
    assert_non_null(want);
    assert_true(str_eq(section(r, SEC_IMPRESSION), clean_strip(want->impression)));
    assert_true(str_eq(section(r, SEC_FINDINGS), clean_strip(want->findings)));
    if (want->named)
        assert_true(str_eq(section(r, SEC_COMPARISON), clean_strip(want->comparison)));
    else
        ++*overrides;
}

static void test_equal_to_published(void **state)
{
    const char *zip = testdir_shared("data/mimic-like/mimic-cxr-reports.zip");
    const char *rules = testdir_shared("data/mimic-like/custom_rules.csv");
    const char *sectioned = testdir_shared("data/mimic-like/expected_mimic_cxr_sectioned.csv.gz");
    const char *sections = testdir_shared("data/mimic-like/expected_mimic_cxr_sections.csv.gz");
    struct ingest_source_opts source = {.name = "mimic",
                                        .path = zip,
                                        .split = INGEST_SPLIT_HASH,
                                        .sections = MODE_MITLCP,
                                        .custom_rules = rules};
    struct ingest_opts o;
    struct ingest_summary sum;
    struct record_corpus corpus;
    struct comm *c;
    size_t seen = 0, overrides = 0;
    (void)state;
    if (!zip || !rules || !sectioned || !sections) skip();
    testdir_make();
    log_setup(LOG_ERROR, 0);
    arena_init(&arena, 64 << 20);
    read_tables(sectioned, sections);
    assert_true(comm_open_self(&c, &e));
    assert_true(opt_defaults(ingest_table, &arena, &o, &e));
    o.dir = testdir_path("corpus");
    o.sources = (struct opt_list){&source, 1};
    if (!ingest_run(&o, c, &sum, &e)) fail_msg("%s", e.text);
    assert_true(record_corpus_open(o.dir, &arena, &corpus, &e));
    for (size_t b = 0; b < corpus.nblocks; b++) {
        struct record_reader *r;
        assert_true(record_block_open(&corpus.blocks[b], &r, &e));
        for (size_t i = 0; i < record_reader_count(r); i++, seen++) {
            struct record rec;
            record_reader_get(r, i, &rec);
            expect(&rec, &overrides);
        }
        record_reader_close(r);
    }
    assert_int_equal(seen, 3049);
    assert_int_equal(overrides, 15);
    comm_close(c);
    arena_free(&arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_newlines(void **state)
{
    struct sbuf b;
    (void)state;
    sbuf_init(&b, 100);
    assert_true(mitlcp_newlines(STR("a\r\nb\rc\n\r\r\nd\r"), &b, &e));
    assert_string_equal(b.p, "a\nb\nc\n\n\nd\n");
    sbuf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_published),
        cmocka_unit_test(test_newlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
