/* Alpha and kappa against krippendorff and scikit-learn (label_stats.jsonl), F1 of error types by
 * hand, units, readers that do not count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonl.h"
#include "base/mem.h"
#include "label/agreement.h"
#include "support/testdir.h"

static struct comm *self;
static struct agreement got;

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    return comm_open_self(&self, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(self);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
static const struct boot_opts boot = {.seed = 1, .replicates = 200};

static struct str number(struct arena *a, size_t i)
{
    struct err e = {0};
    char text[32];
    struct str out;
    snprintf(text, sizeof text, "%zu", i);
    assert_true(arena_str(a, str_of(text), &out, &e));
    return out;
}

static size_t labels_of(json_t *ratings, struct arena *a, struct factlabel *v)
{
    size_t n = 0;
    for (size_t r = 0; r < json_array_size(ratings); r++)
        for (size_t i = 0; i < json_array_size(json_array_get(ratings, r)); i++) {
            json_t *grade = json_array_get(json_array_get(ratings, r), i);
            if (json_is_null(grade)) continue;
            v[n++] = (struct factlabel){.id = number(a, i),
                                        .rater = str_of(names[r]),
                                        .overall = (int)json_integer_value(grade)};
        }
    return n;
}

static bool golden_case(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    size_t *cases = ctx;
    struct arena a;
    struct factlabel v[512];

    if (index == 0) return true; /* who made it */
    arena_init(&a, 1 << 20);
    size_t n = labels_of(json_object_get(obj, "ratings"), &a, v);
    assert_true(agreement_of(v, n, &boot, self, &got, e));
    double alpha = json_number_value(json_object_get(obj, "alpha"));
    double kappa = json_number_value(json_object_get(obj, "kappa"));
    if (!(fabs(got.alpha.mean - alpha) <= 1e-9))
        fail_msg("case %zu: alpha %.12g, not %.12g", index, got.alpha.mean, alpha);
    assert_true(got.npairs > 0 && got.pairs[0].a == 0 && got.pairs[0].b == 1);
    if (!(fabs(got.pairs[0].kappa.mean - kappa) <= 1e-9))
        fail_msg("case %zu: kappa %.12g, not %.12g", index, got.pairs[0].kappa.mean, kappa);
    assert_true(got.alpha.lo <= got.alpha.hi && got.alpha.hi <= 1);
    ++*cases;
    arena_free(&a);
    return true;
}

static void references(void **state)
{
    (void)state;
    struct err e = {0};
    size_t size, cases = 0;
    char *text = testdir_read(RADMILL_SOURCE "/tests/support/golden/label_stats.jsonl", &size);
    assert_true(jsonl_each((struct str){text, size}, "golden", 1 << 20, golden_case, &cases, &e));
    assert_true(cases >= 15);
    free(text);
}

static struct factlabel_error err_of(int type)
{
    return (struct factlabel_error){.type = type};
}

static void error_types(void **state)
{
    (void)state;
    struct err e = {0};
    struct factlabel_error x[] = {err_of(FACTLABEL_NEGATION), err_of(FACTLABEL_NEGATION),
                                  err_of(FACTLABEL_MISSING)};
    struct factlabel_error y[] = {err_of(FACTLABEL_NEGATION), err_of(FACTLABEL_SEVERITY)};
    struct factlabel v[] = {
        {.id = STR("1"), .rater = STR("r1"), .overall = 2, .errors = x, .nerrors = 3},
        {.id = STR("1"), .rater = STR("r2"), .overall = 3, .errors = y, .nerrors = 2},
        {.id = STR("2"), .rater = STR("r1"), .overall = 5},
        {.id = STR("2"), .rater = STR("r2"), .overall = 5},
        {.id = STR("3"), .rater = STR("r1"), .overall = 1},
        {.id = STR("3"), .rater = STR("r3"), .overall = 4},
        {.id = STR("1"), .rater = STR("adj"), .overall = 2},
        {.id = STR("1"), .rater = STR("made"), .overall = 2},
    };
    assert_true(agreement_of(v, 8, &boot, self, &got, &e));
    assert_true(got.labels == 6 && got.items == 3 && got.doubled == 3 && got.subjects == 0);
    assert_true(got.nraters == 3 && got.npairs == 2);
    const struct agreement_pair *p = &got.pairs[0];
    assert_true(p->n == 2 && p->exact == 0.5 && p->within_one == 1.0);
    const struct agreement_type *t = &p->types[FACTLABEL_NEGATION];
    assert_true(t->a == 2 && t->b == 1 && t->both == 1);
    assert_true(fabs(t->f1.mean - 2.0 / 3) < 1e-12);
    assert_true(p->types[FACTLABEL_MISSING].f1.mean == 0);
    assert_true(p->types[FACTLABEL_TEMPORAL].a == 0 && p->types[FACTLABEL_TEMPORAL].f1.mean == 0);
    assert_true(got.pairs[1].n == 1 && got.pairs[1].within_one == 0);
}

static void patients(void **state)
{
    (void)state;
    struct err e = {0};
    struct factlabel v[] = {
        {.id = STR("1"), .subject = STR("p"), .rater = STR("r1"), .overall = 2},
        {.id = STR("1"), .subject = STR("p"), .rater = STR("r2"), .overall = 2},
        {.id = STR("2"), .subject = STR("p"), .rater = STR("r1"), .overall = 4},
        {.id = STR("2"), .subject = STR("p"), .rater = STR("r2"), .overall = 5},
        {.id = STR("2"), .subject = STR("p"), .system = STR("s"), .rater = STR("r2"), .overall = 5},
    };
    assert_true(agreement_of(v, 5, &boot, self, &got, &e));
    assert_true(got.items == 3 && got.doubled == 2 && got.subjects == 1);
    /* one patient: every resample is the data */
    assert_true(got.alpha.lo == got.alpha.mean && got.alpha.hi == got.alpha.mean);
}

static void nothing_to_compare(void **state)
{
    (void)state;
    struct err e = {0};
    struct factlabel v[18] = {{.id = STR("1"), .rater = STR("r1"), .overall = 3},
                              {.id = STR("1"), .rater = STR("r2"), .overall = 3}};
    assert_true(agreement_of(v, 0, &boot, self, &got, &e) && got.items == 0);
    assert_true(agreement_of(v, 1, &boot, self, &got, &e) && got.doubled == 0 && got.npairs == 0);
    /* one grade only: agreement shows no skill */
    assert_true(agreement_of(v, 2, &boot, self, &got, &e));
    assert_true(got.alpha.mean == 0 && got.pairs[0].kappa.mean == 0 && got.pairs[0].exact == 1);
    static const char many[] = "ABCDEFGHIJKLMNOPQR";
    for (size_t i = 0; i < 18; i++)
        v[i] = (struct factlabel){.id = STR("1"), .rater = {many + i, 1}, .overall = 3};
    assert_false(agreement_of(v, 18, &boot, self, &got, &e));
    assert_true(e.code == ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),
        cmocka_unit_test(error_types),
        cmocka_unit_test(patients),
        cmocka_unit_test(nothing_to_compare),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
