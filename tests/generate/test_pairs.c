/* The pairs file: what is written reads back; anyone's file reads; errors name the line and no
 * text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "generate/pairs.h"
#include "support/testdir.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    testdir_remove();
    return mem_live_blocks() == 0 ? 0 : -1;
}

static void round_trip(void **state)
{
    (void)state;
    const struct pair p[] = {
        {.id = STR_INIT("m:0:1"),
         .source = STR_INIT("m"),
         .modality = STR_INIT("CT"),
         .split = STR_INIT("test"),
         .prediction = STR_INIT("a \"b\"\n\t\\ \xc3\xa9 \xf0\x9f\x98\x80"),
         .reference = STR_INIT(""),
         .findings = STR_INIT("f"),
         .clinical = STR_INIT("c"),
         .group = STR_INIT("00ff"),
         .seen = 0},
        {.prediction = STR_INIT("x"), .reference = STR_INIT("y"), .seen = -1},
        {.prediction = STR_INIT("x"), .reference = STR_INIT("y"), .seen = 1},
    };
    struct sbuf b;
    struct err e = {0};
    sbuf_init(&b, 4096);
    for (int i = 0; i < 3; i++)
        assert_true(pairs_put(&b, &p[i], &e) && sbuf_putc(&b, '\n', &e));
    assert_string_equal(b.p,
                        "{\"id\": \"m:0:1\", \"source\": \"m\", \"modality\": \"CT\", \"split\": "
                        "\"test\", \"prediction\": \"a \\\"b\\\"\\n\\t\\\\ \xc3\xa9 "
                        "\xf0\x9f\x98\x80\", \"reference\": \"\", \"findings\": \"f\", "
                        "\"clinical\": \"c\", \"group\": \"00ff\", \"seen\": false}\n"
                        "{\"prediction\": \"x\", \"reference\": \"y\"}\n"
                        "{\"prediction\": \"x\", \"reference\": \"y\", \"seen\": true}\n");
    struct pair *q;
    size_t n;
    testdir_write(testdir_path("p.jsonl"), b.p, b.n);
    assert_true(pairs_read(testdir_path("p.jsonl"), &arena, &q, &n, &e));
    assert_int_equal(n, 3);
    assert_true(str_eq(q[0].prediction, p[0].prediction) && q[0].reference.n == 0);
    assert_true(str_eq(q[0].clinical, p[0].clinical) && str_eq(q[0].findings, p[0].findings));
    assert_true(str_eq(q[0].group, p[0].group) && str_eq(q[0].modality, p[0].modality));
    assert_true(q[0].seen == 0 && q[1].seen == -1 && q[2].seen == 1 && q[1].id.n == 0);
    sbuf_free(&b);
}

static void anyones_file(void **state)
{
    (void)state;
    struct pair *q;
    struct err e = {0};
    size_t n;
    assert_true(
        pairs_parse(STR("\xef\xbb\xbf\r\n{\"id\": 12, \"extra\": {\"a\": [1]}, \"findings\": "
                        "null,\"reference\": \"r\\u00e9\", \"prediction\": \"p\"}\r\n\n  \n"
                        "{\"prediction\":\"\",\"reference\":\"\"}"),
                    "x", &arena, &q, &n, &e));
    assert_int_equal(n, 2);
    assert_true(str_eqz(q[0].id, "12") && str_eqz(q[0].reference, "r\xc3\xa9"));
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } t[] = {
        {"", "x: no pair in it"},
        {" \n\n", "x: no pair in it"},
        {"{\"prediction\": \"secret\"}", "x: line 1: \"reference\" is missing: a text is needed"},
        {"{\"prediction\": \"secret\", \"reference\": null}",
         "x: line 1: \"reference\" is missing"},
        {"\n{\"prediction\": \"a\", \"reference\": \"b\"}\n{\"prediction\": \"a\", \"reference\": "
         "\"b\", \"group\": [\"secret\"]}",
         "x: line 3: \"group\" is not a text"},
        {"{\"prediction\": 1.5, \"reference\": \"b\"}", "\"prediction\" is not a text"},
        {"{\"prediction\": \"\", \"reference\": \"b\", \"seen\": \"secret\"}",
         "\"seen\" is neither"},
        {"[\"secret\"]", "x: line 1: not a JSON object"},
        {"{\"prediction\": \"secret\", \"reference\"", "x: line 1: pair:1:"},
        {"{\"prediction\": \"\xff secret\", \"reference\": \"\"}", "x: line 1: pair:1:"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct pair *q;
        struct err e = {0};
        size_t n;
        if (pairs_parse(str_of(t[i].text), "x", &arena, &q, &n, &e)) fail_msg("%zu was read", i);
        if (!strstr(e.text, t[i].message)) fail_msg("%zu: %s", i, e.text);
        assert_null(strstr(e.text, "secret"));
    }
    struct pair *q;
    struct err none = {0};
    size_t n;
    assert_false(pairs_read(testdir_path("nowhere.jsonl"), &arena, &q, &n, &none));
    assert_true(none.code == ERR_IO && strstr(none.text, "nowhere.jsonl"));
}

static void limits(void **state)
{
    (void)state;
    size_t n = (size_t)5 << 20, count;
    char *text = malloc(n);
    struct pair *q;
    struct err e = {0}, small = {0};
    assert_non_null(text);
    memset(text, 'a', n);
    assert_false(pairs_parse((struct str){text, n}, "x", &arena, &q, &count, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    free(text);
    struct arena tiny;
    arena_init(&tiny, 64);
    assert_false(pairs_parse(STR("{\"prediction\":\"\",\"reference\":\"\"}"), "x", &tiny, &q,
                             &count, &small));
    assert_int_equal(small.code, ERR_LIMIT);
    arena_free(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(anyones_file),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
