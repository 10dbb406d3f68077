/* Who may pass: secrets, tickets, sessions, names, origins, rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "serve/gate.h"

static struct gate *open_with(struct gate_opts o)
{
    struct gate *g;
    struct err e = {0};

    if (!gate_open(&o, &g, &e)) fail_msg("%s", e.text);
    return g;
}

static void test_token(void **state)
{
    struct gate *g = open_with((struct gate_opts){.idle_s = 60});
    struct str token = str_of(gate_new_token(g));

    (void)state;
    assert_int_equal(token.n, 64);
    assert_int_equal(gate_check(g, token), GATE_TOKEN);
    assert_int_equal(gate_check(g, str_sub(token, 0, 63)), GATE_NOBODY);
    assert_int_equal(gate_check(g, (struct str){0}), GATE_NOBODY);
    assert_int_equal(gate_check(g, STR("0000000000000000000000000000000000000000000000000000000000"
                                       "000000")),
                     GATE_NOBODY);
    gate_close(g);
    g = open_with((struct gate_opts){.token = STR("a token of somebody's"), .idle_s = 60});
    assert_string_equal(gate_new_token(g), "");
    assert_int_equal(gate_check(g, STR("a token of somebody's")), GATE_TOKEN);
    gate_close(g);
    struct err e = {0};
    assert_false(gate_open(&(struct gate_opts){.token = STR("short")}, &g, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_null(strstr(e.text, "short"));
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_ticket_once(void **state)
{
    struct gate *g = open_with((struct gate_opts){.idle_s = 60});
    char ticket[GATE_SECRET_BYTES], next[GATE_SECRET_BYTES], a[GATE_SECRET_BYTES],
        b[GATE_SECRET_BYTES];

    (void)state;
    clock_freeze(1000);
    gate_ticket(g, ticket);
    assert_int_equal(gate_check(g, str_of(ticket)), GATE_NOBODY); /* opens a session, no more */
    assert_true(gate_enter(g, str_of(ticket), a));
    assert_false(gate_enter(g, str_of(ticket), b));
    gate_ticket(g, next);
    assert_string_not_equal(ticket, next);
    assert_int_equal(gate_tickets_used(g), 1);
    assert_int_equal(gate_check(g, str_of(a)), GATE_SESSION);
    assert_false(gate_enter(g, str_of(a), b)); /* a session does not make sessions */
    assert_true(gate_enter(g, str_of(gate_new_token(g)), b));
    assert_string_not_equal(a, b);
    assert_int_equal(gate_sessions(g), 2);
    clock_freeze(1050);
    assert_int_equal(gate_check(g, str_of(a)), GATE_SESSION); /* used: it lives on */
    clock_freeze(1100);
    assert_int_equal(gate_check(g, str_of(b)), GATE_NOBODY);
    assert_int_equal(gate_check(g, str_of(a)), GATE_SESSION);
    gate_leave(g, str_of(a));
    assert_int_equal(gate_check(g, str_of(a)), GATE_NOBODY);
    assert_int_equal(gate_sessions(g), 0);
    clock_freeze(-1);
    gate_close(g);
}

/* The 65th session ends the one that was not used for longest. */
static void test_session_limit(void **state)
{
    struct gate *g = open_with((struct gate_opts){.idle_s = 100000});
    struct str token = str_of(gate_new_token(g));
    char first[GATE_SECRET_BYTES], one[GATE_SECRET_BYTES], last[GATE_SECRET_BYTES];

    (void)state;
    for (int i = 0; i < 65; i++) {
        clock_freeze(100 + i);
        assert_true(gate_enter(g, token, i == 0 ? first : i == 64 ? last : one));
    }
    assert_int_equal(gate_check(g, str_of(first)), GATE_NOBODY);
    assert_int_equal(gate_check(g, str_of(last)), GATE_SESSION);
    assert_int_equal(gate_sessions(g), 64);
    clock_freeze(-1);
    gate_close(g);
}

static void test_names(void **state)
{
    static const char *const more[] = {"radiology.example.org"};
    struct gate *g = open_with((struct gate_opts){.hosts = more, .nhosts = 1});
    static const char *const good[] = {"localhost", "LocalHost:8765", "127.0.0.1:1",
                                       "[::1]:80",  "[::1]",          "radiology.example.org:443",
                                       "10.0.0.7:9"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "127.0.0.1.evil.example",
                                      "localhost.evil.example:80",
                                      "localhost:80@evil.example",
                                      "evil.example:127",
                                      "[::1",
                                      "localhost:8o",
                                      "[::1]x",
                                      "127.0.0.1 ",
                                      "127.0.0.2",
                                      ":80"};
    struct err e = {0};

    (void)state;
    assert_true(gate_allow_host(g, "10.0.0.7", &e));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!gate_host_ok(g, str_of(good[i]))) fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (gate_host_ok(g, str_of(bad[i]))) fail_msg("%s passes", bad[i]);
    struct str host = STR("localhost:8765");
    assert_true(gate_origin_ok((struct str){0}, host));
    assert_true(gate_origin_ok(STR("http://localhost:8765"), host));
    assert_true(gate_origin_ok(STR("https://localhost:8765"), host));
    assert_false(gate_origin_ok(STR("http://localhost:9999"), host)); /* another user's server */
    assert_false(gate_origin_ok(STR("null"), host));
    assert_false(gate_origin_ok(STR("http://evil.example"), host));
    assert_false(gate_origin_ok(STR("http://localhost:87650"), host));
    gate_close(g);
}

static void test_rate(void **state)
{
    char a[GATE_SECRET_BYTES], b[GATE_SECRET_BYTES];
    uint32_t wait;

    (void)state;
    clock_freeze(50);
    struct gate *g = open_with((struct gate_opts){.rate_per_min = 6, .idle_s = 1000});
    struct str token = str_of(gate_new_token(g));
    assert_true(gate_enter(g, token, a) && gate_enter(g, token, b));
    for (int i = 0; i < 6; i++)
        assert_true(gate_rate_ok(g, str_of(a), &wait));
    assert_false(gate_rate_ok(g, str_of(a), &wait));
    assert_in_range(wait, 10, 11);
    assert_true(gate_rate_ok(g, str_of(b), &wait)); /* each has its own */
    assert_true(gate_rate_ok(g, token, &wait));
    clock_freeze(61);
    assert_true(gate_rate_ok(g, str_of(a), &wait));
    assert_false(gate_rate_ok(g, str_of(a), &wait));
    clock_freeze(-1);
    gate_close(g);
    g = open_with((struct gate_opts){.rate_per_min = 0, .idle_s = 1000, .open = true});
    for (int i = 0; i < 100; i++)
        assert_true(gate_rate_ok(g, (struct str){0}, &wait));
    assert_int_equal(gate_check(g, (struct str){0}), GATE_SOCKET);
    gate_close(g);
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),         cmocka_unit_test(test_ticket_once),
        cmocka_unit_test(test_session_limit), cmocka_unit_test(test_names),
        cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
