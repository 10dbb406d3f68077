/* Phrases and headers out of made-up text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "stats/stat_phrase.h"

static char got[2048];

static bool put(void *ctx, struct str s, struct err *e)
{
    size_t n = strlen(got);
    (void)ctx;
    (void)e;
    snprintf(got + n, sizeof got - n, "%.*s|", (int)s.n, s.p);
    return true;
}

static const char *run(bool headers, const char *text)
{
    struct err e = {0};
    struct sbuf b;

    got[0] = 0;
    sbuf_init(&b, 1 << 16);
    if (headers)
        assert_true(stat_headers(str_of(text), &b, put, NULL, &e));
    else
        assert_true(stat_phrases(str_of(text), &b, put, NULL, &e));
    sbuf_free(&b);
    return got;
}

static void sentences(void **state)
{
    (void)state;
    assert_string_equal(run(false, "1. No  acute\nprocess. 2. Mass of 12.5 mm; stable?"),
                        "no acute process|mass of ##.# mm|");
    assert_string_equal(run(false, "The heart is normal\n\nLungs clear"),
                        "the heart is normal|lungs clear|");
    assert_string_equal(run(false, "Clear. Yes. Heart, lungs: fine and well."),
                        "heart lungs|fine and well|");
    assert_string_equal(run(false, ""), "");
    assert_string_equal(run(false, " . ; \n"), "");
    assert_string_equal(run(false, "a b c d e f g h i j k l m n o. Short one here."),
                        "short one here|");
}

static void headers(void **state)
{
    (void)state;
    assert_string_equal(run(true, "FINDINGS: Clear.\n  CT  CHEST 2 VIEWS : x\nNote: y\n"),
                        "FINDINGS|CT CHEST # VIEWS|");
    assert_string_equal(
        run(true, "at 12:30\nAB: x\nFINDINGS AND IMPRESSION:\nRECOMMENDATION(S): z"),
        "FINDINGS AND IMPRESSION|RECOMMENDATION(S)|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sentences), cmocka_unit_test(headers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
