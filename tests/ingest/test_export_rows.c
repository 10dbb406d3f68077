/*
 * The exports in corpus order: the section finder's output and the two tables of MIT-LCP against the
 * files that the published scripts wrote (see the data's README), and our own rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/export.h"
#include "support/testdir.h"

static struct arena arena;
static struct comm *comm;
static struct ingest_opts opts;
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
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(comm);
    arena_free(&arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static void ingest(struct ingest_source_opts *sources, size_t n)
{
    struct ingest_summary sum;
    struct str dir;
    assert_true(arena_str(&arena, str_of(testdir_path("corpus")), &dir, &e));
    opts.dir = dir.p;
    opts.sources = (struct opt_list){sources, n};
    if (!ingest_run(&opts, comm, &sum, &e)) fail_msg("%s", e.text);
}

static uint64_t export(const struct ingest_source_opts *s, enum export_format f, const char *path)
{
    struct export_opts o = {
        .corpus_dir = opts.dir, .source = s, .format = f, .split = -1, .path = path};
    struct export_counts n;
    if (!export_run(&o, &n, &e)) fail_msg("%s", e.text);
    return n.written;
}

/* ---- lists to compare as sets */
struct lines {
    struct str v[20000];
    size_t n;
};
static struct lines got, want;

static int compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* sep: what ends a row, which may not occur within one. */
static void cut(struct str text, struct str sep, struct lines *l)
{
    for (l->n = 0; text.n > 0;) {
        size_t at = str_find(text, sep, 0);
        if (at == SIZE_MAX) at = text.n;
        l->v[l->n++] = str_sub(text, 0, at);
        text = str_sub(text, at + sep.n, text.n);
    }
}

static void expect_set(const char *name, const char *golden, size_t rows)
{
    char path[600];
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s", testdir_path("tables"), name);
    char *p = testdir_read(path, &n), *q = testdir_gunzip(golden, &m);
    cut((struct str){p, n}, STR("\r\n"), &got);
    cut((struct str){q, m}, STR("\r\n"), &want);
    assert_int_equal(got.n, rows);
    assert_int_equal(want.n, rows);
    qsort(got.v, got.n, sizeof *got.v, compare);
    qsort(want.v, want.n, sizeof *want.v, compare);
    for (size_t i = 0; i < rows; i++)
        assert_true(str_eq(got.v[i], want.v[i]));
    free(p);
    free(q);
}

/* One of each mode: the tables do not depend on it. */
static void test_mitlcp_tables(void **state)
{
    static const enum record_mode modes[] = {MODE_MITLCP, MODE_OWN, MODE_MEDIQA};
    const char *zip = testdir_shared("data/mimic-like/mimic-cxr-reports.zip");
    const char *sectioned = testdir_shared("data/mimic-like/expected_mimic_cxr_sectioned.csv.gz");
    const char *sections = testdir_shared("data/mimic-like/expected_mimic_cxr_sections.csv.gz");
    (void)state;
    if (!zip || !sectioned || !sections) skip();
    for (size_t i = 0; i < 3; i++) {
        struct ingest_source_opts s = {.name = "mimic", .path = zip, .split = INGEST_SPLIT_AUTO};
        s.sections = (int)modes[i];
        ingest(&s, 1);
        assert_int_equal(export(&s, EXPORT_MITLCP, testdir_path("tables")), 3049);
        expect_set("mimic_cxr_sectioned.csv", sectioned, 3035);
        expect_set("mimic_cxr_sections.csv", sections, 3049);
    }
}

static struct str study_of(const json_t *j, const char *key)
{
    struct str s;
    assert_true(json_get_str(j, key, &s, &e));
    return s;
}

static json_t *parse(struct str line)
{
    json_t *j;
    assert_true(json_parse(line, "line", &j, &e));
    return j;
}

static int compare_studies(const void *a, const void *b)
{
    json_t *const *x = a, *const *y = b;
    struct str s = study_of(*x, json_object_get(*x, "study") ? "study" : "study_id");
    struct str t = study_of(*y, json_object_get(*y, "study") ? "study" : "study_id");
    return str_cmp(s, t);
}

static size_t read_rows(char *p, size_t n, json_t **rows)
{
    struct str rest = {p, n}, line;
    size_t count = 0;
    while (str_split(&rest, '\n', &line))
        if (line.n) rows[count++] = parse(line);
    qsort(rows, count, sizeof *rows, compare_studies);
    free(p);
    return count;
}

static void test_sections(void **state)
{
    static json_t *a[4000], *b[4000];
    const char *zip = testdir_shared("data/mimic-like/mimic-cxr-reports.zip");
    const char *golden = testdir_shared("data/mimic-like/expected_sections.jsonl.gz");
    struct ingest_source_opts s = {
        .name = "m", .path = zip, .split = INGEST_SPLIT_AUTO, .sections = MODE_MEDIQA};
    size_t n;
    (void)state;
    if (!zip || !golden) skip();
    ingest(&s, 1);
    const char *path = testdir_path("sections.jsonl");
    assert_int_equal(export(&s, EXPORT_SECTIONS, path), 3049);
    char *p = testdir_read(path, &n);
    assert_int_equal(read_rows(p, n, a), 3049);
    p = testdir_gunzip(golden, &n);
    assert_int_equal(read_rows(p, n, b), 3049);
    for (size_t i = 0; i < 3049; i++) {
        assert_true(str_eq(study_of(a[i], "study"), study_of(b[i], "study_id")));
        assert_true(
            json_equal(json_object_get(a[i], "sections"), json_object_get(b[i], "sections")));
        json_decref(a[i]);
        json_decref(b[i]);
    }
}

/* ---- our own rows */
static const char table[] = "accession,mrn,status,modality,findings,impression,split\n"
                            "1,p1,P,CT,\"Preliminary, \"\"early\"\" words here\",Wait.,train\n"
                            "1,p1,F,CT,\"The lungs\nare clear\",No disease.,train\n"
                            "2,p2,,MR,The brain is normal,Normal \xc3\xa9tude.,dev\n"
                            "3,p3,C,,the LUNGS are  clear,no disease.,train\n";
static const char other[] = "accession,mrn,findings,impression\n"
                            "9,q,The lungs are clear,No disease.\n"
                            "8,q,The lungs are clear,No disease.\n";

static struct ingest_source_opts tables[2];

static void ingest_tables(void)
{
    for (size_t i = 0; i < 2; i++) {
        struct str path;
        assert_true(arena_str(&arena, str_of(testdir_path(i ? "b.csv" : "a.csv")), &path, &e));
        testdir_write(path.p, i ? other : table, strlen(i ? other : table));
        tables[i] = (struct ingest_source_opts){.name = i ? "b" : "a",
                                                .format = FORMAT_CSV,
                                                .path = path.p,
                                                .split = INGEST_SPLIT_TRAIN};
    }
    ingest(tables, 2);
}

static void expect_text(const char *path, const char *text)
{
    size_t n;
    char *p = testdir_read(path, &n);
    assert_string_equal(p, text);
    free(p);
}

static void test_jsonl(void **state)
{
    const char *path = testdir_path("out.jsonl");
    (void)state;
    ingest_tables();
    assert_int_equal(export(&tables[0], EXPORT_JSONL, path), 4);
#define ROW(acc, pat, split, status, mod, from, f, i, sup, dup)                                    \
    "{\"accession\": \"" acc "\", \"study\": \"" acc "\", \"patient\": \"" pat                     \
    "\", \"source\": \"a\", \"split\": \"" split "\", \"status\": \"" status                       \
    "\", \"modality\": \"" mod "\", \"modality_from\": \"" from                                    \
    "\", \"clinical\": \"\", \"examination\": \"\", \"technique\": \"\", \"comparison\": \"\", "   \
    "\"findings\": \"" f "\", \"impression\": \"" i "\", \"superseded\": " sup                     \
    ", \"duplicate_of\": " dup "}\n"
    expect_text(path, ROW("1", "p1", "train", "P", "CT", "column",
                          "Preliminary, \\\"early\\\" words here", "Wait.", "true", "null")
                          ROW("1", "p1", "train", "F", "CT", "column", "The lungs\\nare clear",
                              "No disease.", "false", "null")
                              ROW("2", "p2", "dev", "", "MR", "column", "The brain is normal",
                                  "Normal \xc3\xa9tude.", "false", "null")
                                  ROW("3", "p3", "train", "C", "unknown", "none",
                                      "the LUNGS are  clear", "no disease.", "false", "\"1\""));
}

/* The first of its source names the other source's, the second the first. */
static void test_duplicate_of(void **state)
{
    const char *path = testdir_path("out.csv");
    (void)state;
    ingest_tables();
    assert_int_equal(export(&tables[1], EXPORT_CSV, path), 2);
    expect_text(path,
                "accession,study,patient,source,split,status,modality,modality_from,clinical,"
                "examination,technique,comparison,findings,impression,superseded,duplicate_of\n"
                "9,9,q,b,train,,unknown,none,,,,,The lungs are clear,No disease.,false,1\n"
                "8,8,q,b,train,,unknown,none,,,,,The lungs are clear,No disease.,false,9\n");
}

static void test_filters(void **state)
{
    struct export_opts o = {.corpus_dir = opts.dir, .format = EXPORT_SECTIONS, .split = SPLIT_DEV};
    struct export_counts n;
    (void)state;
    ingest_tables();
    o.corpus_dir = opts.dir;
    o.path = testdir_path("dev.jsonl");
    assert_true(export_run(&o, &n, &e));
    expect_text(o.path, "{\"study\": \"2\", \"sections\": [{\"name\": \"findings\", \"start\": 0, "
                        "\"text\": \"The brain is normal\"}, {\"name\": \"impression\", \"start\": "
                        "20, \"text\": \"Normal \xc3\xa9tude.\"}]}\n");
    o.modality[MOD_CT] = true;
    o.path = testdir_path("none.jsonl");
    assert_false(export_run(&o, &n, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "train 5, dev 1, unknown 3, CT 2, MR 1"));
    err_clear(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mitlcp_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jsonl, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duplicate_of, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
