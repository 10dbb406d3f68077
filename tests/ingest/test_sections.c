/*
 * ingest/sections, ingest/section_names: the published section finder. Each rule by itself, then all
 * sections of 3,049 reports against what the published script found (see the data's README).
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
#include "base/json.h"
#include "base/mem.h"
#include "ingest/report.h"
#include "ingest/section_names.h"
#include "ingest/sections.h"
#include "ingest/zip_read.h"
#include "support/testdir.h"
#include "text/utf8.h"

static struct arena arena;
static struct section_list list;
static struct err e;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 24);
    err_clear(&e);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    section_list_free(&list);
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

/* want: "name=text|name=text" with \n as they are. */
static void expect(const char *text, const char *want)
{
    char got[4096] = "";
    assert_true(sections_published(str_of(text), &arena, &list, &e));
    for (size_t i = 0; i < list.n; i++) {
        struct section s = list.v[i];
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s=%.*s", i ? "|" : "",
                 STR_ARG(s.name), (int)(s.end - s.begin), text + s.begin);
    }
    assert_string_equal(got, want);
}

static void test_header_rules(void **state)
{
    (void)state;
    expect("no header at all", "full report=no header at all");
    expect("", "full report=");
    expect(" A\n FINDINGS: x\n IMPRESSION: y", "preamble= A\n |findings=x|impression=y");
    /* Exactly one blank, but a blank is a header character too: deeper indents are headers. */
    expect("A\n   FINDINGS: x", "preamble=A\n |findings=x");
    expect("A\n FINDINGS : x", "preamble=A\n |findings=x");
    /* No header: on line 1, without blank, digits, lower case, no white space behind the colon. */
    expect(" FINDINGS: x\n IMPRESSION:\ty", "preamble= FINDINGS: x\n |impression=y");
    expect("A\nFINDINGS: x\n IMPRESSION: y", "preamble=A\nFINDINGS: x\n |impression=y");
    expect("A\n CHEST, 2 VIEWS: x\n IMPRESSION: y",
           "preamble=A\n CHEST, 2 VIEWS: x\n |impression=y");
    expect("A\n Findings: x\n IMPRESSION: y", "preamble=A\n Findings: x\n |impression=y");
    expect("A\n FINDINGS:x\n IMPRESSION: y", "preamble=A\n FINDINGS:x\n |impression=y");
    expect("A\n FINDINGS: x\n IMPRESSION:", "preamble=A\n |findings=x\n IMPRESSION:");
    /* One white space of Python's is taken, of any width. */
    expect("A\n FINDINGS:\xe3\x80\x80x", "preamble=A\n |findings=x");
    expect("A\n FINDINGS:\xc2\xa0x", "preamble=A\n |findings=x");
    expect("A\n FINDINGS:\xe2\x80\x8bx\n IMPRESSION: y",
           "preamble=A\n FINDINGS:\xe2\x80\x8bx\n |impression=y"); /* U+200B is none */
    expect("A\n FINDINGS:\x1cx", "preamble=A\n |findings=x");
}

static void test_swallowed_header(void **state)
{
    (void)state;
    /* The newline behind the colon is taken: the next header line is text. */
    expect("A\n COMPARISON:\n FINDINGS: x\n IMPRESSION: y",
           "preamble=A\n |comparison= FINDINGS: x|impression=y");
    expect("A\n FINDINGS: \n IMPRESSION: y", "preamble=A\n |impression=y"); /* empty: dropped */
    expect("A\n COMPARISON: \n FINDINGS: x", "preamble=A\n |comparison=|findings=x");
}

static void test_last_paragraph(void **state)
{
    (void)state;
    expect("A\n HISTORY: h\n \n p1\n \n p2", "preamble=A\n |history=h|last_paragraph= p1\n \n p2");
    assert_int_equal(list.v[1].start, 12);
    assert_int_equal(list.v[2].start, 13); /* as published: without the three parting characters */
    expect("A\n HISTORY: h\n \n p1\n FINDINGS: f", "preamble=A\n |history=h\n \n p1|findings=f");
    expect("a\n \n b", "full report=a|last_paragraph= b");
}

static void test_names(void **state)
{
    static const char *const pairs[][2] = {
        {"chest, two views", "findings"},
        {"ndication", "impression"},
        {"findings and impression", "impression"},
        {"pfi", "history"},
        {"recommendation(s)", "recommendations"},
        {"wetread", "wet read"},
        {"impression and findings", "impression"},
        {"portable ap", "findings"},
        {"final addendum", "addendum"},
        {"clinical histories", "clinical histories"},
        {"clinical history of note", "history"},
        {"right ribs", "findings"},
        {"", ""},
        {"heart", "heart"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct str got = section_name_published(str_of(pairs[i][0]));
        assert_true(str_eqz(got, pairs[i][1]));
    }
}

static void test_first_and_last(void **state)
{
    struct record_span s[SEC_COUNT];
    const char *text = "A\n INDICATION: why\n FINDINGS: one\n FINDINGS: two\n IMPRESSION: a\n "
                       "IMPRESSION: b\n HISTORY: old\n TECHNIQUE:  \n";
    (void)state;
    assert_true(sections_published(str_of(text), &arena, &list, &e));
    sections_to_spans(str_of(text), &list, MODE_MEDIQA, s);
    assert_memory_equal(text + s[SEC_FINDINGS].offset, "one", 3);
    assert_memory_equal(text + s[SEC_IMPRESSION].offset, "a", 1);
    assert_memory_equal(text + s[SEC_CLINICAL].offset, "why", 3);
    assert_int_equal(s[SEC_TECHNIQUE].length, 0);
    assert_int_equal(s[SEC_BACKGROUND].offset, 0);
    assert_int_equal(s[SEC_BACKGROUND].length, s[SEC_FINDINGS].offset);
    sections_to_spans(str_of(text), &list, MODE_MITLCP, s);
    assert_memory_equal(text + s[SEC_FINDINGS].offset, "two", 3);
    assert_memory_equal(text + s[SEC_IMPRESSION].offset, "b", 1);
    assert_int_equal(s[SEC_BACKGROUND].length, 0);
}

static void test_no_memory(void **state)
{
    const char *text = "A\n INDICATION: why\n FINDINGS: one\n IMPRESSION: a\n SOMETHING ELSE: b";
    (void)state;
    for (uint64_t n = 1;; n++) {
        bool ok, fired;
        section_list_free(&list);
        arena_free(&arena);
        arena_init(&arena, 1 << 20);
        fault_arm(FAULT_MEM, n, false);
        ok = sections_published(str_of(text), &arena, &list, &e);
        fired = fault_fired();
        fault_disarm_all();
        assert_true(ok != fired);
        if (!fired) break;
        assert_int_equal(e.code, ERR_NOMEM);
        err_clear(&e);
    }
}

/* ---- against the published script */
struct archive_text {
    struct fs_map map;
    struct zip_dir dir;
    struct zip_reader *reader;
};

static struct str text_of(struct archive_text *a, struct str study)
{
    for (size_t i = 0; i < a->dir.n; i++) {
        struct str patient, s, text;
        bool rejected;
        enum record_reject why;
        if (!report_member(zip_dir_name(&a->dir, i), &patient, &s) || !str_eq(s, study)) continue;
        assert_true(zip_reader_get(a->reader, i, &text, &rejected, &why, &e));
        assert_false(rejected);
        return text;
    }
    fail();
    return (struct str){0};
}

static size_t code_points(struct str s, size_t bytes)
{
    size_t n = 0, len;
    for (size_t at = 0; at < bytes; at += len, n++)
        utf8_decode(str_sub(s, at, s.n), &len);
    return n;
}

static void expect_report(struct archive_text *a, const json_t *want)
{
    struct str study, text, name, body;
    json_t *sections;
    uint64_t start;
    assert_true(json_get_str(want, "study_id", &study, &e));
    assert_true(json_get_arr(want, "sections", &sections, &e));
    text = text_of(a, study);
    assert_true(sections_published(text, &arena, &list, &e));
    assert_int_equal(list.n, json_array_size(sections));
    for (size_t i = 0; i < list.n; i++) {
        struct section s = list.v[i];
        const json_t *j = json_array_get(sections, i);
        assert_true(json_get_str(j, "name", &name, &e));
        assert_true(json_get_str(j, "text", &body, &e));
        assert_true(json_get_u64(j, "start", &start, &e));
        assert_true(str_eq(s.name, name));
        assert_true(str_eq(str_sub(text, s.begin, s.end), body));
        assert_int_equal(code_points(text, s.start), start);
    }
}

static void test_equal_to_published(void **state)
{
    const char *zip = testdir_shared("data/mimic-like/mimic-cxr-reports.zip");
    const char *golden = testdir_shared("data/mimic-like/expected_sections.jsonl.gz");
    struct archive_text a = {0};
    struct zip_limits limits = {1 << 20, 200};
    struct str all, line;
    char *p;
    size_t n, reports = 0;
    (void)state;
    if (!zip || !golden) skip();
    assert_true(fs_map_open(zip, &a.map, &e));
    struct str file = {(const char *)a.map.p, a.map.n};
    assert_true(zip_dir_read(file, 1 << 20, &a.dir, &e));
    assert_true(zip_reader_open(file, &a.dir, limits, &a.reader, &e));
    p = testdir_gunzip(golden, &n);
    all = (struct str){p, n};
    while (str_split(&all, '\n', &line)) {
        json_t *j;
        struct arena_mark m = arena_mark(&arena);
        if (line.n == 0) continue;
        assert_true(json_parse(line, golden, &j, &e));
        expect_report(&a, j);
        json_decref(j);
        arena_reset(&arena, m);
        reports++;
    }
    assert_int_equal(reports, 3049);
    free(p);
    zip_reader_close(a.reader);
    zip_dir_free(&a.dir);
    fs_map_close(&a.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_header_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swallowed_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_paragraph, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_and_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_equal_to_published, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
