/* ingest/csv_read: quoting, marks, delimiters, line ends; and staying whole after broken rows. */
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
#include "ingest/csv_read.h"

static struct err e;

struct stream {
    struct str rest;
    size_t piece; /* bytes given at once */
};

static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *err)
{
    struct stream *s = ctx;
    (void)err;
    *got = s->piece < cap ? s->piece : cap;
    if (*got > s->rest.n) *got = s->rest.n;
    memcpy(buf, s->rest.p, *got);
    s->rest = str_sub(s->rest, *got, s->rest.n);
    return true;
}

/* "line:[cell|cell]..." for all rows, "line!cells", "line!quotes" and "line!long" for broken ones.
 */
static bool render(struct str text, size_t piece, char *out, size_t cap)
{
    struct csv_limits limits = {200, 10};
    struct stream s = {text, piece};
    struct csv_reader *r;
    struct csv_row row;
    size_t n;
    bool more, ok = false;
    const struct str *h;
    out[0] = 0;
    if (!csv_reader_open(fill, &s, &limits, &r, &e)) return false;
    h = csv_reader_header(r, &n);
    snprintf(out, cap, "[");
    for (size_t i = 0; i < n; i++)
        snprintf(out + strlen(out), cap - strlen(out), "%s%.*s", i ? "|" : "", STR_ARG(h[i]));
    snprintf(out + strlen(out), cap - strlen(out), "]");
    while ((ok = csv_reader_next(r, &row, &more, &e)) && more) {
        snprintf(out + strlen(out), cap - strlen(out), " %llu", (unsigned long long)row.line);
        if (row.fault != CSV_ROW_WHOLE)
            snprintf(out + strlen(out), cap - strlen(out), "%s",
                     row.fault == CSV_ROW_CELLS  ? "!cells"
                     : row.fault == CSV_ROW_LONG ? "!long"
                                                 : "!quotes");
        for (size_t i = 0; i < row.n; i++)
            snprintf(out + strlen(out), cap - strlen(out), "%s%.*s", i ? "|" : ":",
                     STR_ARG(row.cells[i]));
    }
    csv_reader_close(r);
    return ok;
}

/* However the stream is cut. */
static void expect_n(const char *text, size_t n, const char *want)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1 << 20};
    char got[2048];
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        assert_true(render((struct str){text, n}, pieces[i], got, sizeof got));
        assert_string_equal(got, want);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

static void expect(const char *text, const char *want)
{
    expect_n(text, strlen(text), want);
}

static void test_rows(void **state)
{
    (void)state;
    expect("a,b\n1,2\n3,4\n", "[a|b] 2:1|2 3:3|4");
    expect("a,b\r\n1,2\r\n3,4", "[a|b] 2:1|2 3:3|4");
    expect("a,b\r1,2\r3,4\r", "[a|b] 2:1|2 3:3|4");
    expect("a,b\n\n1,2\n   \n\r\n3,4\n", "[a|b] 3:1|2 6:3|4");
    expect("a,b\n,\n\"\",\" x \"\n", "[a|b] 2:| 3:| x ");
    expect("a\n1\n2\n", "[a] 2:1 3:2");
    expect("\n\na,b\n1,2\n", "[a|b] 4:1|2");
}

static void test_quotes(void **state)
{
    (void)state;
    expect("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n", "[a|b] 2:x,y|say \"hi\"");
    expect("a,b\n\"one\ntwo\n\nthree\",2\n3,4\n", "[a|b] 2:one\ntwo\n\nthree|2 6:3|4");
    expect("a,b\r\n\"one\r\ntwo\",2\r\n3,4\r\n", "[a|b] 2:one\r\ntwo|2 4:3|4");
    expect("a,b\n5'10\" tall,2\n", "[a|b] 2:5'10\" tall|2");
    expect("\"first, name\",b\n1,2\n", "[first, name|b] 2:1|2");
}

static void test_marks_and_delimiters(void **state)
{
    (void)state;
    expect("\xEF\xBB\xBF"
           "a,b\n1,2\n",
           "[a|b] 2:1|2");
    expect("a;b\n1,5;2\n", "[a|b] 2:1,5|2");
    expect("a\tb\n1,5\t2;3\n", "[a|b] 2:1,5|2;3");
    expect("a|b|c\n1|2|3\n", "[a|b|c] 2:1|2|3");
    expect("\"a;b\",c\n1,2\n", "[a;b|c] 2:1|2");
    expect_n("\xFF\xFE"
             "a\0,\0b\0\n\0\xe9\0,\0\x3d\xd8\xa1\xdc\n\0",
             20, "[a|b] 2:\xc3\xa9|\xf0\x9f\x92\xa1");
    expect_n("\xFE\xFF"
             "\0a\0,\0b\0\n\x20\x13\0,\0"
             "2\0\n",
             18, "[a|b] 2:\xe2\x80\x93|2");
    expect_n("\xFF\xFE"
             "a\0\n\0\x3d\xd8x\0\n\0",
             12, "[a] 2:\xef\xbf\xbdx"); /* half a pair */
}

static void test_broken_rows(void **state)
{
    char text[1024];
    (void)state;
    expect("a,b\n1,2,3\n4,5\n", "[a|b] 2!cells 3:4|5");
    expect("a,b\n1\n4,5\n", "[a|b] 2!cells 3:4|5");
    /* A quote that never closes takes only its own line with it. */
    expect("a,b\n1,\"open\n4,5\n6,7\n", "[a|b] 2!quotes 3:4|5 4:6|7");
    expect("a,b\n1,2\n4,\"5", "[a|b] 2:1|2 3!quotes");
    /* It closes at the next row's quoted cell, with the right number of cells. */
    expect("a,b\n1,\"open\n4,\"x\"\n6,7\n", "[a|b] 2!quotes 3:4|x 4:6|7");
    /* Longer than max_row: over several lines a quote is open; else it is just long. */
    snprintf(text, sizeof text, "a,b\n1,\"%0100d\n%0100d\n4,5\n", 7, 7);
    expect(text, "[a|b] 2!quotes 3!cells 4:4|5");
    snprintf(text, sizeof text, "a,b\n1,%0300d\n4,5\n", 7);
    expect(text, "[a|b] 2!long 3:4|5");
    snprintf(text, sizeof text, "a,b\n1,\"%0300d\"\n4,5\n", 7);
    expect(text, "[a|b] 2!long 3:4|5");
    snprintf(text, sizeof text, "a,b\n1,2\n4,%0300d", 7);
    expect(text, "[a|b] 2:1|2 3!long");
}

static void test_refused(void **state)
{
    char out[256];
    (void)state;
    assert_false(render(STR(""), 10, out, sizeof out));
    assert_non_null(strstr(e.text, "empty"));
    err_clear(&e);
    assert_false(render(STR("a,\"b\n1,2\n"), 10, out, sizeof out));
    assert_non_null(strstr(e.text, "line 1"));
    err_clear(&e);
    assert_false(render(STR("a,b,c,d,e,f,g,h,i,j,k\n"), 10, out, sizeof out));
    assert_int_equal(e.code, ERR_LIMIT);
    err_clear(&e);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_columns(void **state)
{
    const struct str h[] = {STR("ACCESSION_NUMBER"), STR("Exam Date"), STR("Accession #"), STR("")};
    (void)state;
    assert_int_equal(csv_column(h, 4, STR("accession number")), 0);
    assert_int_equal(csv_column(h, 4, STR("AccessionNumber")), 0);
    assert_int_equal(csv_column(h, 4, STR("accession")), 2);
    assert_int_equal(csv_column(h, 4, STR("exam_date")), 1);
    assert_true(csv_column(h, 4, STR("exam")) == SIZE_MAX);
}

static void test_no_memory(void **state)
{
    char out[256];
    size_t failures = 0;
    (void)state;
    for (uint64_t n = 1;; n++) {
        bool ok, fired;
        fault_arm(FAULT_MEM, n, false);
        ok = render(STR("a,b\n\"one\ntwo\",2\n1\n3,4\n"), 4, out, sizeof out);
        fired = fault_fired();
        fault_disarm_all();
        assert_true(ok || fired);
        assert_int_equal(mem_live_blocks(), 0);
        if (!fired) break;
        if (ok) continue; /* libcsv asks again for less */
        failures++;
        assert_int_equal(e.code, ERR_NOMEM);
        err_clear(&e);
    }
    assert_true(failures > 5);
}

/* Rows that are all in the buffer are cut without libcsv; byte by byte none is. Same answers. */
static void test_common_rows_are_libcsvs(void **state)
{
    static const char alphabet[] = "ab\"\"\",,,\n\n\r \t;";
    static const char *const pieces[] = {"\"a\"", "\"a,\n\"\"b\"", "x",  "\"\"", ",", ",",
                                         "\n",    "\r\n",          "\"", " ",    "\t"};
    uint64_t seed = 88172645463325252u;
    char text[200], slow[4000], fast[4000];
    (void)state;
    for (int turn = 0; turn < 30000; turn++) {
        size_t n = (size_t)snprintf(text, sizeof text, "%s\n", turn % 2 ? "u,v" : "u,v,w");
        bool a, b;
        for (int k = 0; k < 30; k++) {
            const char *p;
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            p = pieces[seed % (sizeof pieces / sizeof *pieces)];
            if (turn % 3 == 0)
                text[n++] = alphabet[seed % (sizeof alphabet - 1)];
            else
                n += (size_t)snprintf(text + n, sizeof text - n, "%s", p);
        }
        a = render((struct str){text, n}, 1, slow, sizeof slow);
        err_clear(&e);
        b = render((struct str){text, n}, n, fast, sizeof fast);
        err_clear(&e);
        if (a != b || strcmp(slow, fast) != 0)
            fail_msg("%.*s\nlibcsv: %s\nours:   %s", (int)n, text, slow, fast);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_rows_are_libcsvs),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_marks_and_delimiters),
        cmocka_unit_test(test_broken_rows),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
