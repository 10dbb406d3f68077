#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "support/testdir.h"
#include "synth/story.h"

static const struct {
    const struct synth_exam *exams;
    const size_t *n;
} groups[] = {
    {synth_exams_cr, &synth_exams_cr_n}, {synth_exams_ct, &synth_exams_ct_n},
    {synth_exams_mr, &synth_exams_mr_n}, {synth_exams_us, &synth_exams_us_n},
    {synth_exams_nm, &synth_exams_nm_n},
};

static bool has_word(const struct sbuf *text, const char *word)
{
    return text->p && strcasestr(text->p, word) != NULL;
}

/* No traces of the grammar, no double blanks, capitals and full stops where they belong. */
static void check_clean(const struct sbuf *text)
{
    assert_non_null(text->p);
    assert_null(strpbrk(text->p, "[]{}|"));
    assert_null(strstr(text->p, "  "));
    assert_null(strstr(text->p, " ."));
    assert_null(strstr(text->p, ".."));
    assert_null(strstr(text->p, " ,"));
    assert_null(strstr(text->p, " a a"));
    assert_null(strstr(text->p, "(null)"));
    assert_false(islower((unsigned char)text->p[0]));
    assert_true(text->n > 0 && text->p[text->n - 1] == '.');
    for (size_t i = 1; i + 1 < text->n; i++)
        if (text->p[i - 1] == '.' && text->p[i] == ' ') assert_false(islower(text->p[i + 1]));
}

static size_t items(const struct sbuf *impression)
{
    size_t n = 1;
    for (size_t i = 0; i < impression->n; i++)
        n += impression->p[i] == '\n';
    return n;
}

/* Many studies of one exam: pairs belong together, and every row of the tables is used. */
static void check_exam(const struct synth_exam *exam)
{
    uint32_t seen[64] = {0};
    size_t normal = 0, rounds = 1500;
    struct story s;
    struct err e = {0};

    story_init(&s);
    assert_true(exam->nlesions <= 64);
    for (size_t i = 0; i < rounds; i++) {
        struct gram_rng rng = {rng_key(7, RNG_TEST, i), 0};
        uint8_t last = 3;
        assert_true(story_make(&s, exam, &rng, &e));
        check_clean(&s.findings);
        check_clean(&s.impression);
        normal += s.nshown == 0;
        for (size_t k = 0; k < s.nshown; k++) {
            const struct synth_lesion *l = s.shown[k];
            if (!has_word(&s.findings, l->word) || !has_word(&s.impression, l->word))
                fail_msg("%s: '%s' not in both of\n%s\n%s", exam->modality, l->word, s.findings.p,
                         s.impression.p);
            assert_true(l->acuity <= last && l->organ < exam->norgans);
            last = l->acuity;
            seen[l - exam->lesions]++;
        }
        bool chronic = s.nshown && s.shown[0]->acuity == 1;
        assert_int_equal(items(&s.impression), s.nshown + (s.nshown == 0 || chronic));
    }
    assert_in_range(normal, rounds * 30 / 100, rounds * 40 / 100);
    for (size_t k = 0; k < exam->nlesions; k++)
        if (!seen[k]) fail_msg("lesion %zu (%s) never drawn", k, exam->lesions[k].word);
    story_free(&s);
}

static void findings_and_impression_belong_together(void **state)
{
    (void)state;
    check_exam(&synth_chest);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (size_t i = 0; i < *groups[g].n; i++)
            check_exam(&groups[g].exams[i]);
    assert_int_equal(mem_live_blocks(), 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A corpus of a few sentences would be learned by heart: most findings texts must differ. */
static void findings_are_varied(void **state)
{
    enum { N = 2000 };
    char **texts = calloc(N, sizeof *texts);
    size_t distinct = 1;
    struct story s;
    struct err e = {0};

    (void)state;
    story_init(&s);
    for (size_t i = 0; i < N; i++) {
        struct gram_rng rng = {rng_key(3, RNG_TEST, i), 0};
        assert_true(story_make(&s, story_exam(&rng), &rng, &e));
        texts[i] = strdup(s.findings.p);
    }
    qsort(texts, N, sizeof *texts, by_text);
    for (size_t i = 1; i < N; i++)
        distinct += strcmp(texts[i], texts[i - 1]) != 0;
    assert_true(distinct > N * 9 / 10);
    for (size_t i = 0; i < N; i++)
        free(texts[i]);
    free(texts);
    story_free(&s);
}

static const char *expand(const char *grammar, const char *value)
{
    static struct sbuf out;
    const struct gram_slot slots[] = {{"x", str_of(value)}, {NULL, {NULL, 0}}};
    struct gram_rng rng = {rng_key(1, RNG_TEST, 0), 0};
    struct gram g = {.rng = &rng, .slots = slots};
    struct err e = {0};
    static char copy[256];

    sbuf_init(&out, 256);
    assert_true(gram_put(&g, grammar, &out, &e));
    snprintf(copy, sizeof copy, "%s", out.p);
    sbuf_free(&out);
    return copy;
}

static void grammar_tidies_what_it_expands(void **state)
{
    (void)state;
    assert_string_equal(expand("a {x} effusion.", "acute"), "An acute effusion.");
    assert_string_equal(expand("a {x} effusion.", "small"), "A small effusion.");
    assert_string_equal(expand("there is a {x} tube .", "unilateral"),
                        "There is a unilateral tube.");
    assert_string_equal(expand("no mass {x}, no cyst. no  stone.", ""),
                        "No mass, no cyst. No stone.");
    assert_string_equal(expand("[[x|x]|x]{x}", "[y|y]"), "Xy");
    assert_string_equal(expand("a {x} cyst of 1.4 cm.", "8 mm"), "An 8 mm cyst of 1.4 cm.");
}

static void every_alternative_is_reached(void **state)
{
    size_t hits[3] = {0};

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        struct gram_rng rng = {rng_key(1, RNG_TEST, i), 0};
        struct str s = gram_pick(&rng, "a|bb|");
        assert_in_range(s.n, 0, 2);
        hits[s.n]++;
    }
    for (int k = 0; k < 3; k++)
        assert_in_range(hits[k], 60, 140);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(findings_and_impression_belong_together),
        cmocka_unit_test(findings_are_varied),
        cmocka_unit_test(grammar_tidies_what_it_expands),
        cmocka_unit_test(every_alternative_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
