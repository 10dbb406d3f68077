/* Sentences with an identifier planted in each: words around it are the form's own, the identifier
 * is of its kind, the file says where it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "synth/planted.h"

enum { SENTENCES = 6000, FORMS = 64 };

static int teardown(void **state)
{
    return testdir_teardown(state) != 0 || mem_live_blocks() != 0 ? -1 : 0;
}

static struct str sentence(struct sbuf *b, uint64_t seed, uint64_t i, struct planted *p)
{
    struct err e = {0};
    sbuf_clear(b);
    assert_true(planted_put(seed, i, b, p, &e));
    assert_true(p->kind == i % PLANTED_KINDS && p->begin < p->end && p->end <= b->n);
    return sbuf_str(b);
}

/* Around the identifiers of a kind are as many texts as planted.c has forms of it: what fills an
 * identifier changes no other word ("M.D." is no month). */
static void words_around_are_the_forms(void **state)
{
    static const size_t forms[PLANTED_KINDS] = {12, 10, 8, 4, 10};
    static char seen[PLANTED_KINDS][FORMS][128];
    size_t n[PLANTED_KINDS] = {0};
    struct sbuf b;
    (void)state;
    sbuf_init(&b, 4096);
    for (uint64_t i = 0; i < SENTENCES; i++) {
        struct planted p;
        struct str s = sentence(&b, 5, i, &p);
        char around[128];
        size_t k = 0;
        snprintf(around, sizeof around, "%.*s_%.*s", (int)p.begin, s.p, (int)(s.n - p.end),
                 s.p + p.end);
        while (k < n[p.kind] && strcmp(seen[p.kind][k], around) != 0)
            k++;
        if (k < n[p.kind]) continue;
        if (k == forms[p.kind]) fail_msg("one more: %s", around);
        memcpy(seen[p.kind][n[p.kind]++], around, sizeof around);
    }
    for (int kind = 0; kind < PLANTED_KINDS; kind++)
        assert_int_equal(n[kind], forms[kind]);
    sbuf_free(&b);
}

static size_t digits(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] >= '0' && s.p[i] <= '9';
    return n;
}

/* No number begins with 0; addresses have their sign, names and dates what makes them one. */
static void identifiers_are_of_their_kind(void **state)
{
    size_t with_digits[PLANTED_KINDS] = {0}, with_sign = 0;
    struct sbuf b;
    (void)state;
    sbuf_init(&b, 4096);
    for (uint64_t i = 0; i < SENTENCES; i++) {
        struct planted p;
        struct str s = sentence(&b, 5, i, &p);
        s = str_sub(s, p.begin, p.end);
        for (size_t k = 0; k < s.n; k++) {
            bool first = k == 0 || s.p[k - 1] < '0' || s.p[k - 1] > '9';
            if ((p.kind == PLANTED_PHONE || p.kind == PLANTED_NUMBER) && first)
                assert_true(s.p[k] != '0');
            assert_true(s.p[k] != '#' && s.p[k] != '\1' && s.p[k] != '\2');
        }
        with_digits[p.kind] += digits(s) > 0;
        with_sign += p.kind == PLANTED_EMAIL && memchr(s.p, '@', s.n) != NULL;
        if (p.kind == PLANTED_NUMBER) assert_true(digits(s) >= 5);
        if (p.kind == PLANTED_NAME) assert_int_equal(digits(s), 0);
    }
    size_t each = SENTENCES / PLANTED_KINDS;
    assert_int_equal(with_digits[PLANTED_NUMBER], each);
    assert_int_equal(with_digits[PLANTED_DATE], each);
    assert_true(with_digits[PLANTED_PHONE] > each / 2 && with_digits[PLANTED_PHONE] < each);
    assert_true(with_sign > each / 2 && with_sign < each); /* some are spelt out */
    sbuf_free(&b);
}

static void pure_function_of_seed_and_number(void **state)
{
    struct sbuf a, b;
    size_t same = 0;
    (void)state;
    sbuf_init(&a, 4096);
    sbuf_init(&b, 4096);
    for (uint64_t i = 200; i-- > 0;) {
        struct planted p, q;
        struct str s = sentence(&a, 9, i, &p), t = sentence(&b, 9, i, &q);
        assert_true(str_eq(s, t) && p.begin == q.begin && p.end == q.end);
        same += str_eq(s, sentence(&b, 10, i, &q));
    }
    assert_true(same < 50);
    /* behind what is there already, places count from where the sentence begins */
    struct planted p, q;
    struct err e = {0};
    struct str s = sentence(&a, 9, 3, &p);
    sbuf_clear(&b);
    assert_true(sbuf_put(&b, STR("before "), &e) && planted_put(9, 3, &b, &q, &e));
    assert_true(str_eq(s, str_sub(sbuf_str(&b), 7, b.n)));
    assert_true(p.begin == q.begin && p.end == q.end);
    sbuf_free(&a);
    sbuf_free(&b);
}

/* The file has the same sentences, a line each, and their places. */
static void the_file(void **state)
{
    struct err e = {0};
    struct sbuf b;
    (void)state;
    const char *path = testdir_path("planted.jsonl");
    assert_true(planted_write(path, 5, 100, &e));
    char *text = testdir_read(path, NULL);
    struct str rest = str_of(text), line;
    sbuf_init(&b, 4096);
    for (uint64_t i = 0; i < 100; i++) {
        struct planted p;
        struct str kind = {0}, got = {0};
        uint64_t begin = 0, end = 0;
        json_t *j = NULL;
        assert_true(str_split(&rest, '\n', &line) && json_parse(line, "line", &j, &e));
        assert_true(json_get_str(j, "kind", &kind, &e) && json_get_str(j, "text", &got, &e));
        assert_true(json_get_u64(j, "begin", &begin, &e) && json_get_u64(j, "end", &end, &e));
        assert_true(str_eq(got, sentence(&b, 5, i, &p)));
        assert_true(begin == p.begin && end == p.end);
        assert_true(str_eqz(kind, planted_kind_names[p.kind]));
        json_decref(j);
    }
    assert_int_equal(rest.n, 0);
    sbuf_free(&b);
    free(text);
}

/* Whatever fails, and when: no file, or the whole one (its folder alone could not be synced). */
static void no_half_file(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};
    const char *path = testdir_path("half.jsonl");
    struct err none = {0};
    assert_true(planted_write(testdir_path("whole.jsonl"), 5, 3, &none));
    char *want = testdir_read(testdir_path("whole.jsonl"), NULL);
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct err e = {0};
            fault_arm(points[k], n, false);
            bool ok = planted_write(path, 5, 3, &e);
            done = !fault_fired();
            fault_disarm_all();
            assert_true(ok == done && ok == (e.code == ERR_NONE) && n < 100);
            if (!fs_exists(path)) continue;
            char *text = testdir_read(path, NULL);
            assert_string_equal(text, want);
            free(text);
            assert_true(fs_remove(path, &(struct err){0}));
        }
    }
    free(want);
#else
    print_message("SKIP: built without fault points\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_around_are_the_forms),
        cmocka_unit_test(identifiers_are_of_their_kind),
        cmocka_unit_test(pure_function_of_seed_and_number),
        cmocka_unit_test(the_file),
        cmocka_unit_test(no_half_file),
    };
    return cmocka_run_group_tests(tests, testdir_setup, teardown);
}
