/* Labels by construction: the rubric, the same labels for the same seed, valid label files, errors
 * that the text shows, every grade reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "judge/judge_made.h"
#include "judge/judge_set.h"
#include "support/testdir.h"

static const char *const reports[] = {
    "Small left pleural effusion, unchanged. No pneumothorax.",
    "Moderate cardiomegaly with mild pulmonary edema. Follow-up chest radiograph in 6 weeks.",
    "8 mm nodule in the right upper lobe. No focal consolidation.",
    "No acute cardiopulmonary abnormality.",
    "Large right pneumothorax, new since the prior study.",
};
enum { REPORTS = sizeof reports / sizeof reports[0], MADE = 200 };
static char path[600];

static int setup(void **state)
{
    (void)state;
    char text[4096];
    size_t n = 0;
    testdir_make();
    snprintf(path, sizeof path, "%s", testdir_path("pairs.jsonl"));
    for (int i = 0; i < REPORTS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "{\"id\": \"s:0:%d\", \"group\": \"g%d\", \"prediction\": \"\", "
                              "\"reference\": \"%s\"}\n",
                              i, i, reports[i]);
    testdir_write(path, text, n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return mem_live_blocks() == 0 ? 0 : -1;
}

static void rubric(void **state)
{
    (void)state;
    struct factlabel_error v[] = {{.significance = FACTLABEL_MINOR},
                                  {.significance = FACTLABEL_ACTIONABLE},
                                  {.significance = FACTLABEL_ACTIONABLE},
                                  {.significance = FACTLABEL_URGENT}};
    assert_int_equal(judge_made_grade(v, 0, false), 5);
    assert_int_equal(judge_made_grade(v, 0, true), 4);
    assert_int_equal(judge_made_grade(v, 1, true), 3);
    assert_int_equal(judge_made_grade(v, 2, false), 2);
    assert_int_equal(judge_made_grade(v, 3, false), 1);
    assert_int_equal(judge_made_grade(v + 3, 1, false), 1);
}

static void made(void **state)
{
    (void)state;
    struct judge_made_opts o = {.reports = path, .count = MADE, .seed = 3};
    struct factlabel *v, *w, *read;
    struct arena a;
    struct err e = {0};
    size_t n, m, grades[6] = {0}, types[FACTLABEL_TYPES] = {0};
    arena_init(&a, 256 << 20);
    assert_true(judge_made_labels(&o, &a, &v, &n, &e) && n == MADE);
    assert_true(judge_made_labels(&o, &a, &w, &m, &e) && m == MADE);
    for (size_t i = 0; i < n; i++) {
        assert_true(str_eq(v[i].generated, w[i].generated) && str_eq(v[i].id, w[i].id));
        assert_true(factlabel_check(&v[i], &e));
        assert_true(str_eqz(v[i].rater, "made") && v[i].subject.n == 2);
        /* unchanged exactly when it says so */
        assert_true(str_eq(v[i].generated, v[i].reference) == (v[i].overall == 5));
        grades[v[i].overall]++;
        for (size_t k = 0; k < v[i].nerrors; k++)
            types[v[i].errors[k].type]++;
    }
    for (int g = 1; g <= 5; g++)
        assert_true(grades[g] > 5);
    assert_true(types[FACTLABEL_NEGATION] > 0 && types[FACTLABEL_FALSE_ADDED] > 0 &&
                types[FACTLABEL_LOCATION] > 0 && types[FACTLABEL_STYLE] == 0);
    assert_true(judge_made_write(testdir_path("made.jsonl"), v, n, &e));
    assert_true(factlabel_read(testdir_path("made.jsonl"), &a, &read, &m, &e) && m == MADE);
    assert_true(factlabel_latest(read, &m, &e) && m == MADE); /* no two of one id */
    o.seed = 4;
    assert_true(judge_made_labels(&o, &a, &w, &m, &e));
    size_t same = 0;
    for (size_t i = 0; i < n; i++)
        same += str_eq(v[i].generated, w[i].generated);
    assert_true(same < n);
    arena_free(&a);
}

/* The judgements of labels: truth of readers, the adjudicator's word, patients, the rule check. */
static void sets(void **state)
{
    (void)state;
    struct factlabel v[] = {
        {.id = STR("1"), .subject = STR("p"), .rater = STR("a"), .overall = 2},
        {.id = STR("2"), .subject = STR("q"), .rater = STR("a"), .overall = 5},
        {.id = STR("1"), .subject = STR("p"), .rater = STR("b"), .overall = 4},
        {.id = STR("3"), .subject = STR("p"), .rater = STR("a"), .overall = 1},
        {.id = STR("3"), .subject = STR("p"), .rater = STR("adj"), .overall = 3},
        {.id = STR("4"), .rater = STR("a"), .overall = 3},
    };
    struct facts *f;
    struct judge_set s;
    struct arena a;
    struct err e = {0};
    for (size_t i = 0; i < 6; i++) {
        v[i].reference = STR("No pneumothorax.");
        v[i].generated = i == 1 ? STR("No pneumothorax.") : STR("Large pneumothorax.");
    }
    arena_init(&a, 64 << 20);
    assert_true(facts_open(NULL, &f, &e));
    assert_true(judge_set_make(v, 6, f, true, &a, &s, &e));
    assert_true(s.n == 4 && s.ngroups == 3);
    assert_true(s.items[0].truth == 3 && s.items[0].nlabels == 2);
    assert_true(s.items[2].truth == 3 && s.items[2].nlabels == 1);
    assert_true(s.items[0].group == s.items[2].group && s.items[0].group != s.items[1].group);
    assert_true(s.items[0].rule < s.items[1].rule);
    assert_non_null(strstr(s.items[0].fields.check.p, "negation"));
    assert_true(str_starts(s.items[1].fields.check, STR("none; ")));
    double sum = 0;
    assert_true(judge_set_shuffle(&s, 1, &e));
    for (size_t i = 0; i < s.n; i++)
        sum += s.items[i].truth;
    assert_true(sum == 3 + 5 + 3 + 3);
    facts_close(f);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rubric),
        cmocka_unit_test_setup_teardown(made, setup, teardown),
        cmocka_unit_test(sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
