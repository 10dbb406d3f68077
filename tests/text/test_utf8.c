/* UTF-8 and the character classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "support/testdir.h"
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/unifold.h"
#include "text/utf8.h"

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char buf[4];
        size_t len, last;
        if (cp == 0xD800) cp = 0xE000;
        size_t n = utf8_encode(cp, buf);
        struct str s = {buf, n};
        assert_int_equal(n, cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4);
        assert_true(utf8_valid(s));
        assert_int_equal(utf8_decode(s, &len), cp);
        assert_int_equal(len, n);
        assert_int_equal(utf8_decode_last(s, &last), cp);
        assert_int_equal(last, n);
    }
}

/* Unicode 15, tables 3-8 to 3-11, and what Python's errors="replace" gives for the rest. */
static void test_repair(void **state)
{
    static const struct {
        struct str in;
        const char *want;
        uint64_t bad;
    } rows[] = {
        {STR_INIT("plain text of more than eight bytes"), "plain text of more than eight bytes", 0},
        {STR_INIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
         0},
        {STR_INIT("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                  "A"),
         "########A", 8},
        {STR_INIT("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                  "A"),
         "########A", 8},
        {STR_INIT("\xF4\x91\x92\x93\xFF"
                  "A\x80\xBF"
                  "B"),
         "#####A##B", 7},
        {STR_INIT("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                  "A"),
         "####A", 4},
        {STR_INIT("a\xF0\x9F\x98"), "a#", 1},
        {STR_INIT("12345678\xC3"), "12345678#", 1},
        {STR_INIT("\x80"), "#", 1},
        {STR_INIT(""), "", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sbuf out, want;
        struct err e = {0};
        uint64_t bad = 0;
        sbuf_init(&out, 1000);
        sbuf_init(&want, 1000);
        for (const char *p = rows[i].want; *p; p++)
            assert_true(*p == '#' ? utf8_put(&want, UTF8_REPLACEMENT, &e)
                                  : sbuf_putc(&want, *p, &e));
        assert_true(utf8_repair(rows[i].in, &out, &bad, &e));
        if (!str_eq(sbuf_str(&out), sbuf_str(&want)) || bad != rows[i].bad) fail_msg("row %zu", i);
        assert_true(utf8_valid(rows[i].in) == (bad == 0));
        assert_true(utf8_valid(sbuf_str(&out)));
        sbuf_free(&out);
        sbuf_free(&want);
    }
    assert_int_equal(utf8_valid_prefix(STR("12345678ab\xFFzz")), 10);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_lower(void **state)
{
    (void)state;
    assert_int_equal(utf8_lower('A'), 'a');
    assert_int_equal(utf8_lower('['), '[');
    assert_int_equal(utf8_lower(0xC9), 0xE9);
    assert_int_equal(utf8_lower(0x3A3), 0x3C3);
    assert_int_equal(utf8_lower(0x10400), 0x10428);
    assert_int_equal(utf8_lower(0x4E2D), 0x4E2D);
}

/* Counts as the reference has them, and some edges. */
static void test_classes(void **state)
{
    uint32_t n[5] = {0};

    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++)
        for (int b = 0; b < 5; b++)
            n[b] += uniclass(cp) >> b & 1;
    assert_int_equal(n[0], 141028); /* letters */
    assert_int_equal(n[1], 1911);   /* numbers */
    assert_int_equal(n[2], 25);     /* white space */
    assert_int_equal(n[3], 1911 + 13);
    assert_true(uniclass(0x85) == (UNI_SPACE | UNI_DROP));
    assert_true(uniclass(0x200B) == UNI_DROP && uniclass(0xFEFF) == UNI_DROP);
    assert_true(uniclass(0x1C) == UNI_DROP && uniclass(0) == UNI_DROP);
    assert_true(uniclass(0x11DE0) & UNI_DIGIT && !(uniclass(0x11DE0) & UNI_NUMBER));
    assert_true(uniclass('_') == (UNI_WORD | UNI_PUNCT) && uniclass('-') == UNI_PUNCT);
    assert_true(uniclass(0x301) == (UNI_WORD | UNI_MARK)); /* neither letter nor number */
    assert_true(!(uniclass('\n') & UNI_DROP) && (uniclass(0xFFFD) & UNI_DROP));
}

/* Each range of the measured tables, where they are at hand. */
static void test_class_tables(void **state)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } tables[] = {{"L", UNI_LETTER},    {"N", UNI_NUMBER},        {"S", UNI_SPACE},
                  {"digit", UNI_DIGIT}, {"bertpunct", UNI_PUNCT}, {"bertdrop", UNI_DROP}};

    (void)state;
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        char name[100];
        size_t n;
        snprintf(name, sizeof(name), "data/tokenizers/unicode-classes/%s.ranges.tsv",
                 tables[i].name);
        const char *path = testdir_shared(name);
        if (!path) skip();
        char *text = testdir_read(path, &n), *at = text, *end;
        uint8_t *in = calloc(0x110000, 1);
        assert_non_null(in);
        for (;;) {
            unsigned long a = strtoul(at, &end, 16);
            if (end == at) break;
            unsigned long b = strtoul(end, &at, 16);
            for (; a <= b; a++)
                in[a] = 1;
        }
        for (uint32_t cp = 0; cp < 0x110000; cp++)
            if (((uniclass(cp) & tables[i].bit) != 0) != in[cp]) fail_msg("%s U+%04X", name, cp);
        free(in);
        free(text);
    }
}

/* "41\t61" or "FB01\t66 69": every row of the measured map; blanks around ideographs left out. */
static void test_fold(void **state)
{
    const char *path =
        testdir_shared("data/tokenizers/unicode-classes/bert_uncased_extra.map.tsv.gz");
    size_t n, rows = 0;

    (void)state;
    if (!path) skip();
    char *text = testdir_gunzip(path, &n), *at = text, *end;
    uint8_t *seen = calloc(0x110000, 1);
    assert_non_null(seen);
    for (; *at; at = strchr(at, '\n') + 1, rows++) {
        uint32_t cp = (uint32_t)strtoul(at, &end, 16), want[5], got[UNIFOLD_MAX], k = 0;
        seen[cp] = 1;
        while (*end != '\n')
            if (*end == '\t' || *end == ' ')
                end++;
            else
                want[k++] = (uint32_t)strtoul(end, &end, 16);
        bool mark = (uniclass(cp) & UNI_MARK) != 0;
        if (mark != (k == 0)) fail_msg("U+%04X is%s a mark", cp, mark ? "" : " not");
        if (mark) continue;
        uint32_t *w = k == 3 && want[0] == ' ' ? want + 1 : want;
        if (w != want) k = 1;
        if (unifold(cp, got) != k || memcmp(got, w, k * sizeof(*w))) fail_msg("U+%04X", cp);
    }
    assert_int_equal(rows, 15887);
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        uint32_t got[UNIFOLD_MAX];
        if (!seen[cp] && (unifold(cp, got) != 1 || got[0] != cp)) fail_msg("U+%04X", cp);
        /* what is folded stays as it is: a stretch may be normalised twice */
        for (size_t i = unifold(cp, got); i-- > 0;) {
            uint32_t again[UNIFOLD_MAX];
            assert_true(unifold(got[i], again) == 1 && again[0] == got[i]);
        }
    }
    free(seen);
    free(text);
}

/* NFC as the reference does it: U+0C3C, newer than its tables, stands alone. */
static void test_nfc(void **state)
{
    static const struct {
        struct str in, out;
    } rows[] = {
        {STR_INIT("plain"), STR_INIT("plain")},
        {STR_INIT("e\xCC\x81"), STR_INIT("\xC3\xA9")},
        {STR_INIT("q\xCC\x81\xCC\xB4"), STR_INIT("q\xCC\xB4\xCC\x81")},
        {STR_INIT("\xE2\x84\xAB"), STR_INIT("\xC3\x85")},
        {STR_INIT("q\xCC\x81\xE0\xB0\xBC"), STR_INIT("q\xCC\x81\xE0\xB0\xBC")},
        {STR_INIT("e\xE0\xB0\xBC\xCC\x81"), STR_INIT("e\xE0\xB0\xBC\xCC\x81")},
    };
    struct sbuf b;
    struct err e = {0};

    (void)state;
    sbuf_init(&b, 100);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        sbuf_clear(&b);
        assert_true(tok_norm_nfc(rows[i].in, &b, &e));
        if (!str_eq(sbuf_str(&b), rows[i].out)) fail_msg("row %zu", i);
    }
    sbuf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_class_tables),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_nfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
