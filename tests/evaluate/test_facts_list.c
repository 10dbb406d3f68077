/* The listing of the fact check: places alone, or with the words, of the field they lie in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "evaluate/facts_list.h"
#include "support/testdir.h"

static const struct pair pairs[] = {
    {.id = STR_INIT("a:0:1"),
     .prediction = STR_INIT("Left effusion.\nAneurysm. Nodule."),
     .reference = STR_INIT("Right effusion."),
     .findings = STR_INIT("Right pleural effusion."),
     .clinical = STR_INIT("Known nodule.")},
    {.prediction = STR_INIT("Normal."), .reference = STR_INIT("Normal.")},
    {.prediction = STR_INIT("Normal heart."), .reference = STR_INIT("Hip fracture.")},
};

static char *listing(bool with_text)
{
    struct err e = {0};
    size_t n;
    if (!facts_list_write(testdir_path("flags"), NULL, pairs, 3, with_text, &e))
        fail_msg("%s", e.text);
    return testdir_read(testdir_path("flags"), &n);
}

static void expect(const char *text, const char *part, bool there)
{
    if ((strstr(text, part) != NULL) != there)
        fail_msg("%s: \"%s\" in:\n%s", there ? "missing" : "unwanted", part, text);
}

static void places(void **state)
{
    (void)state;
    testdir_make();
    char *text = listing(false);
    expect(text, "a:0:1  score ", true);
    expect(text, "laterality", true);
    expect(text, "generated 5-13   reference 6-14   findings 6-22\n", true);
    expect(text, "generated 25-31   clinical 6-12\n", true);
    expect(text, "generated 15-23   not supported\n", true);
    expect(text, "pair 2", false); /* no flag */
    expect(text, "pair 3  score ", true);
    expect(text, "missing", true);
    expect(text, "3 reports, 1 without a flag; facts|lexicon:", true);
    expect(text, "ffusion", true); /* the lexicon's id, never the report's word */
    expect(text, "Aneurysm", false);
    expect(text, "\"", false);
    free(text);
    testdir_remove();
}

static void words(void **state)
{
    (void)state;
    testdir_make();
    char *text = listing(true);
    expect(text, "generated 15-23 \"Aneurysm\"   not supported\n", true);
    expect(text, "clinical 6-12 \"nodule\"", true);
    expect(text, "findings 6-22 \"pleural effusion\"", true);
    free(text);
    testdir_remove();
}

static void failures(void **state)
{
    (void)state;
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};
    testdir_make();
    for (size_t p = 0; p < sizeof points / sizeof *points; p++)
        for (uint64_t n = 1;; n += n < 20 ? 1 : 97) {
            struct err e = {0};
            fault_arm(points[p], n, false);
            bool ok = facts_list_write(testdir_path("flags"), NULL, pairs, 3, true, &e);
            bool fired = fault_fired();
            fault_disarm_all();
            assert_int_equal(mem_live_blocks(), 0);
            assert_true(ok == (e.code == ERR_NONE));
            if (!fired) break;
        }
    testdir_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
        cmocka_unit_test(words),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
