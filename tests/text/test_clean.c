/* Cleaning: MEDIQA's rules against a Python reference (golden/clean_mediqa.jsonl, made by
 * tests/support/golden/clean_mediqa.py), radmill's own by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "text/clean.h"
#include "text/utf8.h"

typedef bool (*clean_fn)(struct str s, struct sbuf *out, struct err *e);

static void test_mediqa(void **state)
{
    static const struct {
        const char *key;
        clean_fn clean;
    } kinds[] = {{"findings", clean_mediqa_findings},
                 {"impression", clean_mediqa_impression},
                 {"background", clean_mediqa_background}};
    size_t n, line = 0;
    char *text = testdir_read(RADMILL_SOURCE "/tests/text/golden/clean_mediqa.jsonl", &n);
    struct str rest = {text, n}, row;
    struct sbuf out;
    struct err e = {0};

    (void)state;
    sbuf_init(&out, 1 << 16);
    while (str_split(&rest, '\n', &row)) {
        json_t *j;
        if (row.n == 0 || line++ == 0) continue; /* the first line says what made the file */
        assert_true(json_parse(row, "golden", &j, &e));
        const json_t *in = json_object_get(j, "text");
        for (size_t k = 0; k < 3; k++) {
            const json_t *want = json_object_get(j, kinds[k].key);
            struct str s = {json_string_value(in), json_string_length(in)};
            assert_true(kinds[k].clean(s, &out, &e));
            if (out.n != json_string_length(want) ||
                (out.n && memcmp(out.p, json_string_value(want), out.n)))
                fail_msg("row %zu, %s: '%.*s' is not '%s'", line, kinds[k].key, (int)out.n,
                         out.n ? out.p : "", json_string_value(want));
        }
        json_decref(j);
    }
    assert_int_equal(line, 217);
    sbuf_free(&out);
    free(text);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_space_and_strip(void **state)
{
    static const struct {
        uint32_t first, last;
    } space[] = {{0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                 {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                 {0x205F, 0x205F}, {0x3000, 0x3000}};
    size_t k = 0;

    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        while (k < 9 && cp > space[k].last)
            k++;
        if (clean_is_space(cp) != (cp >= space[k].first && cp <= space[k].last))
            fail_msg("U+%04X", cp);
    }
    assert_true(str_eqz(clean_strip(STR("\xC2\xA0 \x1F"
                                        "a b\xE2\x80\x83\n")),
                        "a b"));
    assert_int_equal(clean_strip(STR(" \n")).n, 0);
    assert_int_equal(clean_strip(STR("")).n, 0);
}

static void test_own(void **state)
{
    static const struct {
        struct str in;
        const char *want;
    } rows[] = {
        {STR_INIT(""), ""},
        {STR_INIT(" \n\t "), ""},
        {STR_INIT("  Lungs are\n clear.\r\n\r\n No  effusion.\t"), "Lungs are clear. No effusion."},
        {STR_INIT("a\rb\xC2\xA0"
                  "c\xE2\x80\x83\xE2\x80\x83"
                  "d"),
         "a b c d"},
        /* list marks */
        {STR_INIT("1. Clear.\n2. Stable.\n 3) Gone."), "Clear. Stable. Gone."},
        {STR_INIT("1. Clear. 2. Stable. 3. Gone."), "Clear. Stable. Gone."},
        {STR_INIT("1. Stable heart\n2. No effusion"), "Stable heart No effusion"},
        {STR_INIT("- Clear.\n* Stable.\n\xE2\x80\xA2 Gone."), "Clear. Stable. Gone."},
        {STR_INIT("IMPRESSION:\n1. x"), "IMPRESSION: x"},
        {STR_INIT("a\n\n12. b"), "a b"},
        {STR_INIT("1.\nClear."), "Clear."},
        /* numbers that are text */
        {STR_INIT("Fracture of rib 6. No effusion."), "Fracture of rib 6. No effusion."},
        {STR_INIT("Fracture of rib\n6. No effusion."), "Fracture of rib 6. No effusion."},
        {STR_INIT("1. Fracture of rib 6. 2. No level 5. End"),
         "Fracture of rib 6. No level 5. End"},
        {STR_INIT("1.5 cm nodule"), "1.5 cm nodule"},
        {STR_INIT("123. x"), "123. x"},
        {STR_INIT("1. Clear. 3. Stable. 4. x"), "Clear. 3. Stable. 4. x"},
        {STR_INIT("see 2. above"), "see 2. above"},
        {STR_INIT("left-sided - mild"), "left-sided - mild"},
        {STR_INIT("1."), ""},
        {STR_INIT("Level 5."), "Level 5."},
        /* de-identification marks */
        {STR_INIT("_ year __ old ____F"), "_ year ___ old ___F"},
        {STR_INIT("XXXX-year-old XXXXXXX. XXX MAXXXXX XXXXY"),
         "___-year-old ___. XXX MAXXXXX XXXXY"},
        {STR_INIT("[**2112-4-18**] at [**Hospital 18\n**], [** open"), "___ at ___, [** open"},
        {STR_INIT("<DATE> <PHONE_NO> [REDACTED] <3 mm <A> < B >"), "___ ___ ___ <3 mm <A> < B >"},
        {STR_INIT("WET READ\n______________\nFINDINGS"), "WET READ FINDINGS"},
        {STR_INIT("a\n-----------\nb ----------- c"), "a b ----------- c"},
        /* controls */
        {STR_INIT("a\0b\x07"
                  "c\x7F\xC2\x80"
                  "d\xEF\xBB\xBF"
                  "e\xE2\x80\x8B"),
         "abcde"},
        {STR_INIT("caf\xC3\xA9 \xE2\x89\xA5"
                  "3 mm"),
         "caf\xC3\xA9 \xE2\x89\xA5"
         "3 mm"},
    };
    struct sbuf out;

    (void)state;
    sbuf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct err e = {0};
        assert_true(clean_own(rows[i].in, &out, &e));
        if (!str_eqz(sbuf_str(&out), rows[i].want))
            fail_msg("row %zu: '%.*s' is not '%s'", i, (int)out.n, out.n ? out.p : "",
                     rows[i].want);
    }
    sbuf_free(&out);
}

static void test_errors(void **state)
{
    static const clean_fn all[] = {clean_mediqa_findings, clean_mediqa_impression,
                                   clean_mediqa_background, clean_own};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct err e = {0}, e2 = {0};
        struct sbuf out;
        sbuf_init(&out, 4);
        assert_false(all[i](STR("ok\xC3("), &out, &e));
        assert_int_equal(e.code, ERR_FORMAT);
        assert_non_null(strstr(e.text, "byte 2"));
        assert_false(all[i](STR("too long"), &out, &e2));
        assert_int_equal(e2.code, ERR_LIMIT);
        sbuf_free(&out);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

/* Hostile text costs no more than its length: each of these takes minutes if something is squared.
 * */
static void test_worst_cases(void **state)
{
    static const char *const unit[] = {"X", "_", "[**", "<A", " ", "\n", "1. ", " 1. ", "\r", "-"};
    static const clean_fn all[] = {clean_mediqa_findings, clean_mediqa_impression,
                                   clean_mediqa_background, clean_own};

    (void)state;
    for (size_t i = 0; i < sizeof(unit) / sizeof(*unit); i++) {
        struct sbuf in, out;
        struct err e = {0};
        sbuf_init(&in, 1 << 20);
        sbuf_init(&out, 1 << 21);
        assert_true(sbuf_putc(&in, 'a', &e));
        while (in.n < 200000)
            assert_true(sbuf_put(&in, str_of(unit[i]), &e));
        assert_true(sbuf_putc(&in, 'a', &e));
        for (size_t k = 0; k < 4; k++)
            assert_true(all[k](sbuf_str(&in), &out, &e));
        sbuf_free(&in);
        sbuf_free(&out);
    }
}

#ifdef RADMILL_FAULTS
static void test_faults(void **state)
{
    static const clean_fn all[] = {clean_mediqa_findings, clean_mediqa_impression,
                                   clean_mediqa_background, clean_own};

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        uint64_t n = 0;
        for (bool fired = true; fired;) {
            struct err e = {0};
            struct sbuf out;
            sbuf_init(&out, 100);
            fault_arm(FAULT_MEM, ++n, false);
            bool ok = all[k](STR("1. a  b\n 2. c"), &out, &e);
            fired = fault_fired();
            fault_disarm_all();
            assert_true(ok == !fired);
            sbuf_free(&out);
            assert_int_equal(mem_live_blocks(), 0);
        }
        assert_true(n > 2);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mediqa),      cmocka_unit_test(test_space_and_strip),
        cmocka_unit_test(test_own),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_worst_cases),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_faults),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
