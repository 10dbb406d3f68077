/* The label file: what is written is read, what is wrong is named by line and key and never shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "label/factlabel.h"
#include "support/testdir.h"

#define HEAD                                                                                       \
    "{\"format\": \"radmill.factlabel/1\", \"id\": \"1\", \"reference\": \"caf\xc3\xa9\", "        \
    "\"generated\": \"SECRETWORD\", \"rater\": \"r\", "
#define ROW HEAD "\"errors\": [], \"overall\": 3}\n"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static size_t parse(const char *text, struct factlabel **v)
{
    struct err e = {0};
    size_t n;
    if (!factlabel_parse(str_of(text), "file", &arena, v, &n, &e)) fail_msg("%s", e.text);
    return n;
}

static void round_trip(void **state)
{
    (void)state;
    struct factlabel_error errors[] = {
        {.type = FACTLABEL_FALSE_ADDED,
         .significance = FACTLABEL_URGENT,
         .support = FACTLABEL_IN_CLINICAL,
         .gen = {true, 0, 4},
         .note = STR("line\n\"two\"")},
        {.type = FACTLABEL_STYLE, .ref = {true, 2, 2}, .src = {true, 0, 1}},
    };
    struct factlabel l = {.id = STR("a:1:2"),
                          .subject = STR("9f"),
                          .modality = STR("MR"),
                          .clinical = STR("c"),
                          .findings = STR("f"),
                          .reference = STR("ref"),
                          .generated = STR("gener"),
                          .system = STR("s"),
                          .rater = STR("r1"),
                          .tool = STR("t"),
                          .order_seed = 1ull << 40,
                          .errors = errors,
                          .nerrors = 2,
                          .overall = 1,
                          .scales = {0, 2, 0, 0, 5},
                          .seconds = 12};
    struct sbuf b;
    struct err e = {0};
    struct factlabel *v;
    sbuf_init(&b, 1 << 16);
    assert_true(factlabel_put(&b, &l, &e));
    assert_int_equal(parse(b.p, &v), 1);
    assert_true(str_eq(v->subject, l.subject) && str_eq(v->tool, l.tool));
    assert_true(v->order_seed == l.order_seed && v->seconds == 12 && v->overall == 1);
    assert_true(v->nerrors == 2 && v->errors[0].support == FACTLABEL_IN_CLINICAL);
    assert_true(v->errors[0].gen.to == 4 && !v->errors[0].ref.given);
    assert_true(str_eq(v->errors[0].note, errors[0].note));
    assert_true(v->errors[1].ref.given && v->errors[1].ref.from == 2 && v->errors[1].src.given);
    assert_true(v->scales[1] == 2 && v->scales[4] == 5 && v->scales[0] == 0);
    sbuf_free(&b);
}

/* An error that names the line and this, and no text of the report. */
static void refused(const char *text, const char *what)
{
    struct err e = {0};
    struct factlabel *v;
    size_t n;
    char both[4096];
    snprintf(both, sizeof both, ROW "\n%s\n", text);
    assert_false(factlabel_parse(str_of(both), "file", &arena, &v, &n, &e));
    if (!strstr(e.text, "file: line 3: ") || !strstr(e.text, what)) fail_msg("%s", e.text);
    assert_null(strstr(e.text, "SECRETWORD"));
}

static void bad_labels(void **state)
{
    (void)state;
    refused("[1]", "not a JSON object");
    refused("{\"format\": \"radmill.factlabel/2\"}", "radmill.factlabel/1");
    refused(HEAD "\"errors\": []}", "overall");
    refused(HEAD "\"errors\": [], \"overall\": 6}", "1 to 5");
    refused(HEAD "\"errors\": [], \"overall\": 2.5}", "1 to 5");
    refused(HEAD "\"overall\": 2}", "errors");
    refused(HEAD "\"errors\": [3], \"overall\": 2}", "error 0");
    refused(HEAD "\"errors\": [{\"type\": \"typo\", \"significance\": \"none\"}], \"overall\": 2}",
            "type");
    refused(HEAD "\"errors\": [{\"type\": \"style\"}], \"overall\": 2}", "significance");
    refused(HEAD "\"errors\": [{\"type\": \"style\", \"significance\": \"none\", \"gen_span\": [0, "
                 "11]}], \"overall\": 2}",
            "outside");
    refused(HEAD "\"errors\": [{\"type\": \"style\", \"significance\": \"none\", \"ref_span\": [4, "
                 "5]}], \"overall\": 2}",
            "cuts a character");
    refused(HEAD "\"errors\": [{\"type\": \"style\", \"significance\": \"none\", \"ref_span\": [2, "
                 "1]}], \"overall\": 2}",
            "ascending");
    refused(HEAD "\"errors\": [], \"overall\": 2, \"scales\": {\"coherence\": 0}}", "coherence");
    refused(HEAD "\"errors\": [], \"overall\": 2, \"seconds\": -1}", "seconds");
    refused("{\"format\": \"radmill.factlabel/1\", \"id\": \"\", \"reference\": \"\", "
            "\"generated\": \"\", \"rater\": \"r\", \"errors\": [], \"overall\": 2}",
            "\"id\" is empty");
}

static void last_word_counts(void **state)
{
    (void)state;
    struct factlabel *v;
    struct err e = {0};
    size_t n = parse(ROW ROW HEAD "\"errors\": [], \"overall\": 1}\n" HEAD
                                  "\"system\": \"s\", \"errors\": [], \"overall\": 4}\n",
                     &v);
    assert_int_equal(n, 4);
    assert_true(factlabel_latest(v, &n, &e));
    assert_true(n == 2 && v[0].overall == 1 && v[1].overall == 4);
    assert_int_equal(parse("\n", &v), 0);
}

static void many_errors(void **state)
{
    (void)state;
    struct sbuf b;
    struct err e = {0};
    struct factlabel *v;
    size_t n;
    sbuf_init(&b, 1 << 20);
    assert_true(sbuf_put(&b, STR(HEAD "\"overall\": 2, \"errors\": [0"), &e));
    for (int i = 0; i < FACTLABEL_ERRORS_MAX; i++)
        assert_true(sbuf_put(&b, STR(", 0"), &e));
    assert_true(sbuf_put(&b, STR("]}"), &e));
    assert_false(factlabel_parse(sbuf_str(&b), "file", &arena, &v, &n, &e));
    assert_true(e.code == ERR_LIMIT);
    sbuf_free(&b);
}

static void from_disk(void **state)
{
    (void)state;
    struct factlabel *v;
    struct err e = {0};
    size_t n;
    testdir_make();
    testdir_write(testdir_path("labels.jsonl"), ROW, sizeof ROW - 1);
    assert_true(factlabel_read(testdir_path("labels.jsonl"), &arena, &v, &n, &e) && n == 1);
    assert_false(factlabel_read(testdir_path("none.jsonl"), &arena, &v, &n, &e));
    assert_true(e.code == ERR_IO);
    testdir_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(last_word_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(many_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(from_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
