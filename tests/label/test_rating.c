/* A rating's state: what is drawn, who judges what in which order, what a restart remembers, what is
 * refused, and that the system stays hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "label/rating.h"
#include "support/testdir.h"

enum { REPORTS = 40 };
static char path_a[600], path_b[600], dir[600];

/* System b's file in another order, without the last report, and without findings. */
static void write_pairs(void)
{
    static char a[20000], b[20000];
    size_t na = 0, nb = 0;
    for (int i = 0; i < REPORTS; i++)
        na += (size_t)snprintf(a + na, sizeof a - na,
                               "{\"id\": \"s:0:%d\", \"prediction\": \"alpha \xc3\xa9 %d\", "
                               "\"reference\": \"ref %d\", \"findings\": \"found %d\", \"group\": "
                               "\"g%d\"}\n",
                               i, i, i, i, i / 2);
    for (int i = REPORTS - 2; i >= 0; i--)
        nb += (size_t)snprintf(b + nb, sizeof b - nb,
                               "{\"id\": \"s:0:%d\", \"prediction\": \"beta %d\", \"reference\": "
                               "\"ref %d\"}\n",
                               i, i, i);
    testdir_make();
    snprintf(path_a, sizeof path_a, "%s", testdir_path("a.jsonl"));
    snprintf(path_b, sizeof path_b, "%s", testdir_path("b.jsonl"));
    snprintf(dir, sizeof dir, "%s", testdir_path("rating"));
    testdir_write(path_a, a, na);
    testdir_write(path_b, b, nb);
}

static struct label_system systems[2] = {{"SystemAlpha", path_a}, {"SystemBeta", path_b}};
static const char *const raters[] = {"r1", "r2", "r3"};

static struct label_opts opts(void)
{
    return (struct label_opts){.dir = dir,
                               .systems = {systems, 2},
                               .raters = {raters, 2},
                               .reports = 20,
                               .twice = 0.3,
                               .seed = 4};
}

static struct rating *open_it(const struct label_opts *o)
{
    struct rating *r;
    struct err e = {0};
    if (!rating_open(o, "test", &r, &e)) fail_msg("%s", e.text);
    return r;
}

static char *task(struct rating *r, size_t rater, size_t place)
{
    static struct sbuf b;
    struct err e = {0};
    sbuf_free(&b);
    sbuf_init(&b, 1 << 16);
    assert_true(rating_task_json(r, rater, place, &b, &e));
    char *copy = strdup(b.p);
    sbuf_free(&b);
    return copy;
}

static bool say(struct rating *r, size_t rater, size_t place, const char *label, bool *refused,
                struct err *e)
{
    json_t *j;
    *e = (struct err){0};
    assert_true(json_parse(str_of(label), "test", &j, e));
    bool ok = rating_put(r, rater, place, j, refused, e);
    json_decref(j);
    return ok;
}

static int setup(void **state)
{
    (void)state;
    write_pairs();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return mem_live_blocks() == 0 ? 0 : -1;
}

static void drawing(void **state)
{
    (void)state;
    struct label_opts o = opts();
    struct rating *r = open_it(&o), *again;
    size_t done, all[2], seen_a = 0, mixed = 0, last = 9;
    for (size_t k = 0; k < 2; k++)
        rating_count(r, k, &done, &all[k]);
    /* 20 reports, 6 of them twice, two systems */
    assert_int_equal(all[0] + all[1], 2 * (20 + 6));
    assert_true(done == 0 && rating_next(r, 0) == 0);
    for (size_t i = 0; i < all[0]; i++) {
        char *t = task(r, 0, i);
        assert_null(strstr(t, "System"));
        assert_null(strstr(t, "system"));
        assert_null(strstr(t, "s:0:"));
        assert_non_null(strstr(t, "found ")); /* b's own file has none: the first system's */
        assert_null(strstr(t, "ref 39"));     /* not answered by both */
        size_t is_a = strstr(t, "alpha") != NULL;
        seen_a += is_a;
        mixed += is_a != last;
        last = is_a;
        free(t);
    }
    assert_int_equal(seen_a, all[0] / 2);
    assert_true(mixed > all[0] / 4); /* not one system after the other */
    char *first = task(r, 0, 0);
    rating_close(r);
    again = open_it(&o);
    char *same = task(again, 0, 0);
    assert_string_equal(first, same);
    rating_close(again);
    free(first);
    free(same);
}

static void judging(void **state)
{
    (void)state;
    struct label_opts o = opts();
    struct rating *r = open_it(&o);
    struct err e;
    bool refused;
    size_t done, all;
    assert_true(say(r, 0, 0,
                    "{\"overall\": 4, \"seconds\": 2.5, \"errors\": [{\"type\": \"style\", "
                    "\"significance\": \"none\", \"gen_span\": [0, 4]}]}",
                    &refused, &e));
    assert_true(say(r, 0, 2, "{\"overall\": 5, \"errors\": []}", &refused, &e));
    assert_true(say(r, 0, 0, "{\"overall\": 2, \"errors\": []}", &refused, &e));
    rating_count(r, 0, &done, &all);
    assert_true(done == 2 && rating_next(r, 0) == 1);
    rating_count(r, 1, &done, &all);
    assert_int_equal(done, 0);
    rating_close(r);
    /* a restart remembers, the file holds all three, the last word counts */
    r = open_it(&o);
    rating_count(r, 0, &done, &all);
    assert_true(done == 2 && rating_next(r, 0) == 1);
    char *t = task(r, 0, 0);
    assert_true(strstr(t, "\"overall\": 2") || strstr(t, "\"overall\":2"));
    assert_null(strstr(t, "System"));
    free(t);
    rating_close(r);
    struct arena a;
    struct factlabel *v;
    size_t n;
    char path[700];
    arena_init(&a, 1 << 20);
    e = (struct err){0};
    snprintf(path, sizeof path, "%s/labels.jsonl", dir);
    assert_true(factlabel_read(path, &a, &v, &n, &e) && n == 3);
    assert_true(str_starts(v[0].system, STR("System")) && str_eqz(v[0].rater, "r1"));
    assert_true(v[0].order_seed == 4 && v[0].seconds == 2.5 && str_eqz(v[0].tool, "test"));
    assert_true(factlabel_latest(v, &n, &e) && n == 2 && v[0].overall == 2);
    arena_free(&a);
}

static void refusing(void **state)
{
    (void)state;
    struct label_opts o = opts();
    struct rating *r = open_it(&o);
    struct err e;
    bool refused;
    static const char *const bad[] = {
        "{\"errors\": []}",
        "{\"overall\": 9, \"errors\": []}",
        "{\"overall\": 3}",
        "{\"overall\": 3, \"errors\": [{\"type\": \"x\", \"significance\": \"none\"}]}",
        ("{\"overall\": 3, \"errors\": [{\"type\": \"style\", \"significance\": \"none\", "
         "\"gen_span\": [0, 4000]}]}"),
        "{\"overall\": 3, \"errors\": [], \"scales\": {\"coherence\": 7}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(say(r, 0, 0, bad[i], &refused, &e));
        assert_true(refused);
        assert_null(strstr(e.text, "alpha"));
        assert_null(strstr(e.text, "beta"));
    }
    /* what the page does not send cannot be slipped in */
    assert_true(say(r, 0, 0, "{\"overall\": 3, \"errors\": [], \"rater\": \"adj\"}", &refused, &e));
    assert_int_equal(rating_next(r, 0), 1);
    rating_close(r);
}

static void opening(void **state)
{
    (void)state;
    struct label_opts o = opts();
    struct rating *r, *second;
    struct err e = {0}, f = {0}, g = {0};
    o.raters.n = 0;
    assert_false(rating_open(&o, "test", &r, &e));
    assert_true(e.code == ERR_CONFIG);
    o = opts();
    r = open_it(&o);
    assert_false(rating_open(&o, "test", &second, &f)); /* two servers on one file */
    assert_true(f.code == ERR_CONFIG);
    rating_close(r);
    systems[1].path = path_a;
    systems[1].name = "SystemAlpha";
    assert_false(rating_open(&o, "test", &r, &g));
    systems[1] = (struct label_system){"SystemBeta", path_b};
    /* three readers: everyone's share, nobody reads a report alone with himself */
    o.raters = (struct opt_strs){raters, 3};
    r = open_it(&o);
    size_t done, all, sum = 0;
    for (size_t k = 0; k < 3; k++) {
        rating_count(r, k, &done, &all);
        sum += all;
    }
    assert_int_equal(sum, 2 * 26);
    rating_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(drawing, setup, teardown),
        cmocka_unit_test_setup_teardown(judging, setup, teardown),
        cmocka_unit_test_setup_teardown(refusing, setup, teardown),
        cmocka_unit_test_setup_teardown(opening, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
