#include "base/base_test.h"

#include <math.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/stop.h"
#include "base/str.h"

static void views(void **state)
{
    (void)state;
    struct str none = {NULL, 0};
    assert_true(str_eq(str_of(NULL), STR("")));
    assert_true(str_eqz(STR("abc"), "abc"));
    assert_false(str_eqz(STR("abc"), "abcd"));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), none));
    assert_false(str_starts(STR("ab"), STR("abc")));
    assert_true(str_ends(STR("abc"), STR("bc")) && str_ends(STR("abc"), none));
    assert_false(str_ends(STR("bc"), STR("abc")));
    assert_true(str_cmp(STR("ab"), STR("abc")) < 0 && str_cmp(STR("b"), STR("abc")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(none, STR("")), 0);
}

static void finding(void **state)
{
    (void)state;
    struct str s = STR("banana");
    assert_int_equal(str_find(s, STR("an"), 0), 1);
    assert_int_equal(str_find(s, STR("an"), 2), 3);
    assert_true(str_find(s, STR("an"), 4) == SIZE_MAX);
    assert_true(str_find(s, STR("bananas"), 0) == SIZE_MAX);
    assert_int_equal(str_find(s, STR(""), 6), 6);
    assert_true(str_find(s, STR(""), 7) == SIZE_MAX);
    assert_true(str_find((struct str){NULL, 0}, STR("a"), 0) == SIZE_MAX);
}

static void trimming_and_cutting(void **state)
{
    (void)state;
    assert_true(str_eqz(str_trim(STR(" \t\n\v\f\ra b\n ")), "a b"));
    assert_int_equal(str_trim(STR(" \n")).n, 0);
    assert_int_equal(str_trim((struct str){NULL, 0}).n, 0);
    assert_true(str_eqz(str_sub(STR("abcdef"), 2, 4), "cd"));
    assert_true(str_eqz(str_sub(STR("abc"), 1, 99), "bc"));
    assert_int_equal(str_sub(STR("abc"), 5, 2).n, 0);
}

static void splitting(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,"), piece;
    const char *want[] = {"a", "", "b", ""};
    size_t n = 0;
    while (str_split(&rest, ',', &piece)) {
        assert_true(n < 4);
        assert_true(str_eqz(piece, want[n++]));
    }
    assert_int_equal(n, 4);
    rest = STR("");
    assert_true(str_split(&rest, ',', &piece));
    assert_int_equal(piece.n, 0);
    assert_false(str_split(&rest, ',', &piece));
}

static void whole_numbers(void **state)
{
    (void)state;
    struct err e = {0};
    uint64_t u;
    int64_t i;
    OK(parse_u64(STR("18446744073709551615"), &u, &e));
    assert_true(u == UINT64_MAX);
    OK(parse_u64(STR("007"), &u, &e));
    assert_int_equal(u, 7);
    OK(parse_i64(STR("-9223372036854775808"), &i, &e));
    assert_true(i == INT64_MIN);
    OK(parse_i64(STR("+9223372036854775807"), &i, &e));
    assert_true(i == INT64_MAX);
    FAILS(parse_u64(STR("18446744073709551616"), &u, &e), ERR_FORMAT, "out of range");
    FAILS(parse_i64(STR("9223372036854775808"), &i, &e), ERR_FORMAT, "out of range");
    FAILS(parse_i64(STR("-9223372036854775809"), &i, &e), ERR_FORMAT, "out of range");
    static const char *const bad[] = {"",    " 1",  "1 ",  "-1",    "+1",
                                      "1.0", "0x1", "1e3", "1_000", "١"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        FAILS(parse_u64(str_of(bad[k]), &u, &e), ERR_FORMAT, "whole number");
    FAILS(parse_u64(STR("1\0"), &u, &e), ERR_FORMAT, "whole number");
    FAILS(parse_i64(STR("--1"), &i, &e), ERR_FORMAT, "whole number");
    FAILS(parse_i64(STR("-"), &i, &e), ERR_FORMAT, "whole number");
}

static void decimal_numbers(void **state)
{
    (void)state;
    struct err e = {0};
    static const struct {
        const char *text;
        double v;
    } good[] = {{"1", 1},
                {"-2.5", -2.5},
                {".5", 0.5},
                {"5.", 5},
                {"1e-4", 1e-4},
                {"+1E+2", 100},
                {"1.0e-5", 1e-5},
                {"0", 0},
                {"5e-324", 5e-324},
                {"1e-999", 0},
                {"1.7976931348623157e308", 1.7976931348623157e308}};
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        double v = -1;
        OK(parse_f64(str_of(good[k].text), &v, &e));
        assert_true(v == good[k].v);
    }
    double v;
    static const char *const bad[] = {"",    ".",  "e5", "1e",  "1e+",   "inf", "nan", "0x1p3",
                                      "1,5", " 1", "1 ", "--1", "1.2.3", "1d5", "+",   "-.e1"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        FAILS(parse_f64(str_of(bad[k]), &v, &e), ERR_FORMAT, "number was expected");
    FAILS(parse_f64(STR("1e309"), &v, &e), ERR_FORMAT, "out of range");
    FAILS(parse_f64(STR("-1e309"), &v, &e), ERR_FORMAT, "out of range");
    char longest[600];
    memset(longest, '1', sizeof longest);
    FAILS(parse_f64((struct str){longest, sizeof longest}, &v, &e), ERR_FORMAT, "number");
}

static void doubles_come_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    sbuf_init(&b, 100);
    struct rng_key k = rng_key(1, RNG_TEST, 0);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(k, i);
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        sbuf_clear(&b);
        OK(sbuf_put_f64(&b, v, &e));
        OK(parse_f64(sbuf_str(&b), &back, &e));
        assert_memory_equal(&v, &back, sizeof v);
    }
    sbuf_clear(&b);
    OK(sbuf_put_f64(&b, 0.1, &e));
    OK(sbuf_put(&b, STR(" "), &e));
    OK(sbuf_put_f64(&b, 1000000, &e));
    assert_string_equal(b.p, "0.1 1000000");
    sbuf_free(&b);
}

static void building(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    sbuf_init(&b, 10);
    assert_int_equal(sbuf_str(&b).n, 0);
    OK(sbuf_put(&b, STR("abc"), &e));
    OK(sbuf_putc(&b, 'd', &e));
    OK(sbuf_printf(&b, &e, "%d", 123456));
    assert_string_equal(b.p, "abcd123456");
    FAILS(sbuf_putc(&b, 'x', &e), ERR_LIMIT, "limit of 10");
    FAILS(sbuf_printf(&b, &e, "%s", "y"), ERR_LIMIT, "limit of 10");
    FAILS(sbuf_put(&b, (struct str){"z", SIZE_MAX}, &e), ERR_LIMIT, "limit of 10");
    OK(sbuf_put(&b, STR(""), &e));
    assert_string_equal(b.p, "abcd123456");
    sbuf_clear(&b);
    assert_string_equal(b.p, "");
    fault_arm(FAULT_MEM, 1, true);
    OK(sbuf_put(&b, STR("0123456789"), &e)); /* room is kept */
    fault_disarm_all();
    sbuf_free(&b);
    sbuf_free(&b);
    fault_arm(FAULT_MEM, 1, true);
    FAILS(sbuf_put(&b, STR("x"), &e), ERR_NOMEM, "out of memory");
    fault_disarm_all();
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
    assert_int_equal(str_distance(STR(""), STR("abc")), 3);
    assert_int_equal(str_distance(STR("abc"), STR("")), 3);
    assert_int_equal(str_distance(STR("lr"), STR("lr")), 0);
    assert_int_equal(str_distance(STR("flaw"), STR("lawn")), 2);
    char a[200], b[200];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    assert_int_equal(str_distance((struct str){a, 200}, (struct str){b, 100}), 64);
}

/* ---- clock and stop */

static void clocks(void **state)
{
    (void)state;
    char text[21];
    clock_iso8601(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    clock_iso8601(1795244645, text);
    assert_string_equal(text, "2026-11-21T07:04:05Z");
    double a = clock_mono_s(), b = clock_mono_s();
    assert_true(b >= a && a > 0);
    assert_true(clock_wall_s() > 1700000000);
    clock_freeze(12.5);
    assert_true(clock_mono_s() == 12.5);
    assert_int_equal(clock_wall_s(), 12);
    clock_freeze(-1);
    assert_true(clock_mono_s() > 12.5 || clock_mono_s() < 12.5);
    double cpu = clock_cpu_s();
    for (volatile int i = 0; i < 3000000; i++) {
    }
    assert_true(clock_cpu_s() > cpu);
}

static void on_signal(int sig)
{
    (void)sig;
    stop_request();
}

static void stopping(void **state)
{
    (void)state;
    assert_false(stop_requested());
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    assert_true(stop_requested());
    stop_reset();
    assert_false(stop_requested());
    signal(SIGUSR1, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(views),
        TEST(finding),
        TEST(trimming_and_cutting),
        TEST(splitting),
        TEST(whole_numbers),
        TEST(decimal_numbers),
        TEST(doubles_come_back),
        TEST(building),
        TEST(distances),
        TEST(clocks),
        TEST(stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
