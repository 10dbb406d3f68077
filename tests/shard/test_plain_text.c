/* The fast ways through plain text against what they stand for: clean_own of text/clean, and loops
 * byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "shard/plain_text.h"
#include "text/clean.h"

enum { TEXTS = 60000, LONGEST = 400 };

/* What reports are made of, and what cleaning knows; the first ones come more often. */
static const char *const pieces[] = {
    "heart",
    " ",
    "lungs ",
    ".",
    ". ",
    "\n",
    "\n ",
    "no ",
    "effusion",
    "  ",
    ",",
    "size",
    "\n\n",
    "\r\n",
    "5 mm",
    "(3)",
    "_",
    "___",
    "__",
    "____",
    "X",
    "CXR",
    "XX",
    "XXXX",
    "[",
    "[**",
    "[**A**]",
    "[REDACTED]",
    "[2]",
    "<",
    "<5",
    "<DATE>",
    "<_",
    ">",
    "1. ",
    "2. ",
    "2) ",
    "- ",
    "-",
    "* ",
    "\n1. ",
    "\n- ",
    "\n* ",
    "\n2) ",
    "\n=",
    "=====",
    "__________",
    "----------",
    "\r",
    "\t",
    "\x7f",
    "\x01",
    "\xc2\xa0",
    "\xc3\xa9",
    "\xe2\x80\xa2",
    "\x1f",
    "\xff",
    "X ",
    "_a",
    "\n==========\n",
    "\n__________\n",
    "A",
    "0",
    ": ",
};
enum { PIECES = sizeof pieces / sizeof *pieces, COMMON = 16 };

static struct str make(uint64_t number, char out[LONGEST + 64])
{
    struct rng_key key = rng_key(7, RNG_TEST, number);
    size_t n = 0, most = rng_below(key, 0, 4) ? rng_below(key, 1, 40) : rng_below(key, 1, LONGEST);
    unsigned odd = (unsigned)rng_below(key, 2, 12); /* how many of 24 pieces may be odd ones */

    for (uint64_t i = 0; n < most; i++) {
        bool any = rng_below(key, 3 * i + 3, 24) < odd * odd / 12;
        const char *p = pieces[rng_below(key, 3 * i + 4, any ? PIECES : COMMON)];
        size_t len = strlen(p);
        memcpy(out + n, p, len);
        n += len;
    }
    return (struct str){out, n};
}

static void same(struct str text, struct sbuf *a, struct sbuf *b)
{
    if (a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0)) return;
    fail_msg("'%.*s' gives '%.*s', not '%.*s'", STR_ARG(text), (int)a->n, a->n ? a->p : "",
             (int)b->n, b->n ? b->p : "");
}

static void plain_is_clean_own(void **state)
{
    struct sbuf got, want;
    char buf[LONGEST + 64];
    size_t plain = 0;

    (void)state;
    sbuf_init(&got, 1 << 16);
    sbuf_init(&want, 1 << 16);
    for (uint64_t i = 0; i < TEXTS; i++) {
        struct str text = make(i, buf);
        struct err e = {0};
        bool is;
        assert_true(plain_clean(text, &got, &is, &e));
        if (!is) {
            assert_int_equal(got.n, 0);
            continue;
        }
        assert_true(clean_own(text, &want, &e));
        same(text, &got, &want);
        plain++;
    }
    if (plain < TEXTS / 4 || plain > TEXTS * 3 / 4) fail_msg("%zu texts are plain", plain);
    sbuf_free(&got);
    sbuf_free(&want);
}

/* What nearly every report has does not send it the long way. */
static void reports_are_plain(void **state)
{
    static const char *const texts[] = {
        "PA and lateral views.\n The lungs are clear.  No effusion.\n\n Heart size is normal.",
        "Compared with ___, a 5 mm nodule (image 3) is stable.\r\nCXR in 6 weeks.",
        "Less than <5 mm, see [2]; a_b.",
        "",
        "  \n ",
        "No acute disease.",
    };
    struct sbuf got;
    struct err e = {0};

    (void)state;
    sbuf_init(&got, 1 << 16);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bool is;
        assert_true(plain_clean(str_of(texts[i]), &got, &is, &e));
        if (!is) fail_msg("text %zu", i);
    }
    sbuf_free(&got);
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static void fold_and_words(void **state)
{
    struct sbuf got, want;
    char buf[LONGEST + 64];
    struct err e = {0};

    (void)state;
    sbuf_init(&got, 1 << 16);
    sbuf_init(&want, 1 << 16);
    for (uint64_t i = 0; i < TEXTS / 4; i++) {
        struct str s = make(i, buf);
        size_t words = 0;
        bool gap = false;
        sbuf_clear(&want);
        for (size_t k = 0; k < s.n; k++) {
            char c = s.p[k];
            words += !is_blank(c) && (k == 0 || is_blank(s.p[k - 1]));
            if (is_blank(c)) {
                gap = want.n > 0;
                continue;
            }
            if (gap) assert_true(sbuf_putc(&want, ' ', &e));
            gap = false;
            assert_true(sbuf_putc(&want, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c, &e));
        }
        assert_true(plain_fold(s, &got, &e));
        same(s, &got, &want);
        assert_int_equal(plain_words(s), words);
    }
    sbuf_free(&got);
    sbuf_free(&want);
    assert_int_equal(mem_live_blocks(), 0);
}

/* Longer than the buffer may be: refused. */
static void limits(void **state)
{
    struct sbuf got;
    struct err e = {0};
    bool is;

    (void)state;
    sbuf_init(&got, 8);
    assert_false(plain_clean(STR("nine chars"), &got, &is, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    err_clear(&e);
    assert_false(plain_fold(STR("nine chars"), &got, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    sbuf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_clean_own),
        cmocka_unit_test(reports_are_plain),
        cmocka_unit_test(fold_and_words),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
