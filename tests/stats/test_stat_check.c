/* The word rules for contradictions, one report at a time; made-up text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "stats/stat_check.h"

static int check(enum stat_check which, const char *findings, const char *impression)
{
    static char text[1024];
    struct record r = {.modality = MOD_CT};
    size_t nf = strlen(findings), ni = strlen(impression);

    snprintf(text, sizeof text, "%s%s", findings, impression);
    r.text = (struct str){text, nf + ni};
    r.section[SEC_FINDINGS] = (struct record_span){0, (uint32_t)nf};
    r.section[SEC_IMPRESSION] = (struct record_span){(uint32_t)nf, (uint32_t)ni};
    return stat_check_record(&r, which);
}

static void same_words(void **state)
{
    (void)state;
    assert_int_equal(check(CHECK_SAME, "No acute process.", "1. NO ACUTE  process"), 0);
    assert_int_equal(check(CHECK_SAME, "No acute process.", "NO ACUTE\n process"), 1);
    assert_int_equal(check(CHECK_SAME, "No acute process here.", "No acute process"), 0);
    assert_int_equal(check(CHECK_SAME, "", "No acute process"), -1);
    assert_int_equal(check(CHECK_LONGER, "Clear.", "No acute process."), 1);
    assert_int_equal(check(CHECK_LONGER, "No acute process.", "No acute process."), 0);
}

static void sides(void **state)
{
    (void)state;
    assert_int_equal(check(CHECK_SIDE, "Left effusion.", "Right effusion."), 1);
    assert_int_equal(check(CHECK_SIDE, "Left effusion.", "LEFT effusion."), 0);
    assert_int_equal(check(CHECK_SIDE, "Bilateral effusions.", "Right effusion."), 0);
    assert_int_equal(check(CHECK_SIDE, "Left effusion.", "Both sides."), 1);
    assert_int_equal(check(CHECK_SIDE, "An effusion.", "Right effusion."), -1);
    assert_int_equal(check(CHECK_SIDE, "Left effusion.", "Effusion, upright."), -1);
}

static void measures(void **state)
{
    (void)state;
    assert_int_equal(check(CHECK_MEASURE, "A 12 mm nodule.", "12 mm nodule."), 0);
    assert_int_equal(check(CHECK_MEASURE, "A 12mm nodule.", "12 mm nodule."), 0);
    assert_int_equal(check(CHECK_MEASURE, "A 1.2 cm nodule.", "A 1.3cm nodule."), 1);
    assert_int_equal(check(CHECK_MEASURE, "A 112 mm mass.", "A 12 mm mass."), 1);
    assert_int_equal(check(CHECK_MEASURE, "A 12 mm mass.", "A mass in 3 mm slices and 12 mm."), 1);
    assert_int_equal(check(CHECK_MEASURE, "A 12 mm mass.", "A mass, 3 of them."), -1);
    assert_int_equal(check(CHECK_NORMAL, "A 12 mm nodule.", "Normal."), 1);
    assert_int_equal(check(CHECK_NORMAL, "A nodule.", "No acute process."), 0);
    assert_int_equal(check(CHECK_NORMAL, "A 12 mm nodule.", "An acute process."), -1);
}

static int named(const char *technique, enum record_modality label)
{
    struct record r = {.modality = (uint8_t)label, .text = str_of(technique)};
    r.section[SEC_TECHNIQUE].length = (uint32_t)strlen(technique);
    return stat_check_record(&r, CHECK_LABEL);
}

static void labels(void **state)
{
    (void)state;
    assert_int_equal(named("MRI of the knee", MOD_MR), 0);
    assert_int_equal(named("MRI of the knee", MOD_CT), 1);
    assert_int_equal(named("MRI of the knee, CT before", MOD_CT), -1);
    assert_int_equal(named("Views of the intact structures", MOD_CT), -1);
    assert_int_equal(named("MRI of the knee", MOD_UNKNOWN), -1);
}

static void lengths(void **state)
{
    static struct stat_lengths l;
    uint64_t above;

    (void)state;
    assert_int_equal(stat_quantile(&l, 0.5), 0);
    for (uint64_t n = 1; n <= 100; n++) {
        l.reports++;
        l.cell[n]++;
    }
    assert_int_equal(stat_quantile(&l, 0), 1);
    assert_int_equal(stat_quantile(&l, 0.25), 25);
    assert_int_equal(stat_quantile(&l, 0.5), 50);
    assert_int_equal(stat_quantile(&l, 1), 100);
    assert_int_equal(stat_fence(&l, &above), 75 + 3 * 50);
    assert_int_equal(above, 0);
    l.cell[300]++;
    l.reports++;
    (void)stat_fence(&l, &above);
    assert_int_equal(above, 1);
    assert_int_equal(stat_words(STR(" a\tb\n\nc d ")), 4);
    assert_int_equal(stat_words(STR(" \v\f ")), 0);
}

static void longest(void **state)
{
    struct stat_top t = {.n = 0};

    (void)state;
    for (uint32_t i = 0; i < 50; i++)
        stat_top_put(&t, (struct stat_long){i * 7 % 25, 0, 0, i, 0});
    assert_int_equal(t.n, STAT_TOP);
    for (size_t i = 0; i < t.n; i++)
        assert_int_equal(t.v[i].words, 24 - i / 2);
    assert_true(t.v[0].row < t.v[1].row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_words), cmocka_unit_test(sides),   cmocka_unit_test(measures),
        cmocka_unit_test(labels),     cmocka_unit_test(lengths), cmocka_unit_test(longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
