/* Where words end: against the regular expressions matched the plain way, on texts of many kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "split_ref.h"
#include "text/tok_impl.h"

static const struct tokenizer kinds[] = {
    {.split = TOK_SPLIT_GPT2},
    {.split = TOK_SPLIT_GPT2, .digits = true},
    {.split = TOK_SPLIT_LLAMA3},
};

/* Ends asked for `step` at a time. */
static size_t split_all(const struct tokenizer *t, struct str s, size_t step, uint32_t *ends)
{
    size_t n = 0, at = 0, k;

    while ((k = tok_split_words(t, s.p, s.n, at, ends + n, step)) > 0) {
        n += k;
        at = ends[n - 1];
    }
    return n;
}

static void check(struct str s)
{
    static struct ref_text ref;
    static uint32_t want[4096], got[4096];
    char *copy = malloc(s.n + 1); /* its own block, so that reading past it is seen */

    assert_non_null(copy);
    memcpy(copy, s.p, s.n);
    s.p = copy;
    ref_decode(s, &ref);
    assert_true(ref.n < 4096);
    for (size_t k = 0; k < 3; k++) {
        size_t n = ref_split(&ref, kinds[k].split == TOK_SPLIT_LLAMA3, kinds[k].digits, want);
        for (int way = 0; way < 4; way++) { /* with AVX-512 and without, one at a time and many */
            size_t step = way % 2 ? 64 : 1;
            tok_split_plain(way >= 2);
            size_t m = split_all(&kinds[k], s, step, got);
            for (size_t i = 0; i < n && i < m; i++)
                if (got[i] != want[i])
                    fail_msg("kind %zu, step %zu: word %zu of '%.*s' ends at %u, not %u", k, step,
                             i, (int)s.n, s.p, got[i], want[i]);
            assert_int_equal(m, n);
        }
    }
    free(copy);
}

static void test_by_hand(void **state)
{
    static const struct str rows[] = {
        STR_INIT(""),
        STR_INIT(" "),
        STR_INIT("a"),
        STR_INIT("'"),
        STR_INIT("'s"),
        STR_INIT("'ll"),
        STR_INIT("'S'LL"),
        STR_INIT("'\xC5\xBFs"),
        STR_INIT("''s"),
        STR_INIT(" 's"),
        STR_INIT("don't we'VE o'clock"),
        STR_INIT("a  b   c"),
        STR_INIT("a \n b"),
        STR_INIT("a\n\n  b\r\n c"),
        STR_INIT("x  1 22  333 4444 55555"),
        STR_INIT("(abc ((d _e"),
        STR_INIT("\t(abc\tdef \t g"),
        STR_INIT("...\n\n.\r\na"),
        STR_INIT("a   "),
        STR_INIT("\xC3\xA9t\xC3\xA9 \xE2\x80\x83\xE2\x80\x83x \xC2\xA0y"),
        STR_INIT("1\xC2\xB2\xF0\x91\xB7\xA0 2"),
        STR_INIT("e\xCC\x81x \xCC\x81"),
        STR_INIT("\0\0a \0"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check(rows[i]);
    /* lengths about the size of a block, each kind of run, alone and behind something */
    static const char runs[] = "a1. \n\t'";
    for (size_t k = 0; runs[k]; k++) {
        for (size_t n = 1; n < 200; n++) {
            char text[210] = "x ";
            memset(text + 2, runs[k], n);
            text[n + 2] = n % 3 ? 'b' : ' ';
            check((struct str){text + 2, n});
            check((struct str){text, n + 3});
        }
    }
}

static void test_random(void **state)
{
    static const char *const pieces[] = {"a",
                                         "bc",
                                         "Word",
                                         "the",
                                         " ",
                                         " ",
                                         " ",
                                         "  ",
                                         "\n",
                                         "\r\n",
                                         "\t",
                                         "1",
                                         "23",
                                         "4567",
                                         ".",
                                         ",",
                                         "(",
                                         "--",
                                         "'s",
                                         "'",
                                         "'LL",
                                         "_",
                                         "\0",
                                         "\x7F",
                                         "\v",
                                         "\xC3\xA9",
                                         "\xC2\xA0",
                                         "\xE2\x80\xA8",
                                         "\xE4\xB8\xAD",
                                         "\xCC\x81",
                                         "\xC5\xBF",
                                         "\xF0\x9F\x98\x80",
                                         "\xD9\xA3",
                                         "\xF0\x91\xB7\xA3",
                                         "\xC2\x85"};
    struct rng_key k = rng_key(3, RNG_TEST, 0);
    uint64_t turn = 0;

    (void)state;
    for (size_t i = 0; i < 6000; i++) {
        char text[900];
        size_t n = 0, parts = rng_below(k, turn++, i % 2 ? 12 : 120);
        size_t kinds_used = i % 3 ? 16 : sizeof(pieces) / sizeof(*pieces); /* mostly ASCII */
        for (size_t p = 0; p < parts; p++) {
            const char *s = pieces[rng_below(k, turn++, kinds_used)];
            size_t len = *s ? strlen(s) : 1;
            memcpy(text + n, s, len);
            n += len;
        }
        check((struct str){text, n});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
