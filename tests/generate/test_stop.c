/* Where answers end besides at their end mark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "generate/gen_stop.h"

static const char *const words[] = {"###", "\n\n", ""};

static size_t at(bool header, size_t nwords, const char *text)
{
    struct gen_stop s = {{words, nwords}, header};
    return gen_stop_at(&s, str_of(text));
}

static void headers(void **state)
{
    (void)state;
    assert_int_equal(at(true, 0, "No edema.\nFINDINGS: clear"), 10);
    assert_int_equal(at(true, 0, "No edema.\n\nCLINICAL HISTORY/INDICATION: x"), 11);
    /* at the very beginning it is the answer's own */
    assert_int_equal(at(true, 0, "IMPRESSION: no edema."), 21);
    assert_int_equal(at(true, 0, "\nIMPRESSION: no edema.\nFINDINGS: a"), 23);
    /* not in a line, not in small letters, not too short or long, not a list */
    assert_int_equal(at(true, 0, "a FINDINGS: b"), 13);
    assert_int_equal(at(true, 0, "a\nFindings: b"), 13);
    assert_int_equal(at(true, 0, "a\nCT: b"), 7);
    assert_int_equal(at(true, 0, "a\n- EDEMA: b"), 12);
    assert_int_equal(at(true, 0, "a\nEDEMA"), 7);
    assert_int_equal(at(true, 0, "a\nABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ: b"), 57);
    assert_int_equal(at(false, 0, "a\nFINDINGS: b"), 13);
    assert_int_equal(at(true, 0, ""), 0);
}

static void strings(void **state)
{
    (void)state;
    assert_int_equal(at(false, 3, "a b ### c"), 4);
    assert_int_equal(at(false, 3, "a\n\nb ### c"), 1);
    assert_int_equal(at(false, 1, "a\n\nb ## # c"), 11);
    assert_int_equal(at(true, 2, "a ###\nFINDINGS: x"), 2);
    assert_int_equal(at(true, 2, "a\nFINDINGS: ### x"), 2);
    struct gen_stop none = {{NULL, 0}, false}, some = {{words, 1}, false};
    assert_true(!gen_stop_any(&none) && gen_stop_any(&some));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(strings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
