#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/testdir.h"
#include "synth/mimic.h"

static void type_one(size_t i, double scale, struct story *s, struct sbuf *out, uint32_t *traits)
{
    struct gram_rng rng = {rng_key(11, RNG_TEST, i), 0};
    struct err e = {0};

    assert_true(story_make(s, &synth_chest, &rng, &e));
    assert_true(mimic_type(s, &rng, scale, out, traits, &e));
}

static void irregularities_come_at_their_rates(void **state)
{
    enum { N = 8000 };
    size_t count[MIMIC_TRAITS] = {0}, several = 0;
    struct story s;
    struct sbuf text;

    (void)state;
    story_init(&s);
    sbuf_init(&text, STORY_TEXT_MAX);
    for (size_t i = 0; i < N; i++) {
        uint32_t traits;
        type_one(i, 1.0, &s, &text, &traits);
        several += s.nshown > 1;
        for (int t = 0; t < MIMIC_TRAITS; t++)
            count[t] += traits >> t & 1;
    }
    for (int t = 0; t < MIMIC_TRAITS; t++) {
        double n = t == MIMIC_NUMBERED ? (double)several : N, p = mimic_rates[t] / 10000.0;
        double off = fabs((double)count[t] - n * p), sigma = sqrt(n * p * (1 - p));
        if (off > 4.5 * sigma) fail_msg("trait %d: %zu of %.0f", t, count[t], n);
    }
    sbuf_free(&text);
    story_free(&s);
}

/* At scale 0: the exact form of the archive. */
static void clean_reports_keep_the_form(void **state)
{
    struct story s;
    struct sbuf text;

    (void)state;
    story_init(&s);
    sbuf_init(&text, STORY_TEXT_MAX);
    for (size_t i = 0; i < 500; i++) {
        uint32_t traits;
        struct str rest, line;
        type_one(i, 0.0, &s, &text, &traits);
        assert_int_equal(traits & ~(1u << MIMIC_NUMBERED), 0);
        assert_true(mimic_parses(traits));
        rest = sbuf_str(&text);
        assert_true(str_starts(rest, STR("                                 FINAL REPORT\n")));
        assert_true(str_find(rest, STR("\n FINDINGS:"), 0) != SIZE_MAX);
        assert_true(str_find(rest, STR("\n IMPRESSION: \n"), 0) != SIZE_MAX);
        assert_true(str_ends(rest, STR(".\n")));
        rest.n--;
        while (str_split(&rest, '\n', &line)) {
            assert_in_range(line.n, 1, 79);
            assert_int_equal(line.p[0], ' ');
        }
    }
    sbuf_free(&text);
    story_free(&s);
}

static void traits_show_in_the_text(void **state)
{
    size_t checked = 0;
    struct story s;
    struct sbuf text;

    (void)state;
    story_init(&s);
    sbuf_init(&text, STORY_TEXT_MAX);
    for (size_t i = 0; i < 3000; i++) {
        uint32_t traits;
        type_one(i, 1.0, &s, &text, &traits);
        struct str t = sbuf_str(&text);
        bool lf = !(traits >> MIMIC_NO_LEADING & 1);
        bool shown = str_find(t, lf ? STR("\n FINDINGS:") : STR("\nFINDINGS:"), 0) != SIZE_MAX;
        if (traits >> MIMIC_NO_FINDINGS & 1) assert_false(shown), checked++;
        if (traits >> MIMIC_VIEW_HEADER & 1) assert_false(shown), checked++;
        if (traits >> MIMIC_LOWER_CASE & 1)
            checked += str_find(t, STR(" Findings:"), 0) != SIZE_MAX;
        if (traits >> MIMIC_CRLF & 1)
            assert_true(str_find(t, STR("\r\n"), 0) != SIZE_MAX);
        else
            assert_true(str_find(t, STR("\r"), 0) == SIZE_MAX);
        if (traits >> MIMIC_WET_READ & 1) assert_true(str_starts(t, STR(" WET READ: ")) || !lf);
        if (traits >> MIMIC_ADJACENT & 1)
            assert_true(str_find(t, STR("FINDINGS:"), 0) != SIZE_MAX), checked++;
        bool ends = str_ends(t, STR("\n"));
        assert_int_equal(ends, !(traits >> MIMIC_NO_NEWLINE & 1));
    }
    assert_true(checked > 100);
    sbuf_free(&text);
    story_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(irregularities_come_at_their_rates),
        cmocka_unit_test(clean_reports_keep_the_form),
        cmocka_unit_test(traits_show_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
