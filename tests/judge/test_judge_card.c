/* A judge's own validity on made-up readings: a good one beats the rule check and its interval
 * covers what it says; one that learned nothing declares itself not validated, again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "judge/judge_card.h"
#include "support/testdir.h"

enum { N = 400, PATIENTS = 100, PARTS = 5 };
static double truth[N], value[N], spread[N], rule[N];
static uint32_t group[N], part[N];

static struct judge_held held = {truth, value, spread, rule, group, part, N, PATIENTS, PARTS, NULL};

/* Readings whose error is `noise` (and their spread says so); a rule check of medium quality. */
static void make(uint64_t seed, double noise)
{
    struct rng_key k = rng_key(seed, RNG_TEST, 0);
    for (uint64_t i = 0; i < N; i++) {
        group[i] = (uint32_t)(i / 4);
        part[i] = group[i] % PARTS;
        truth[i] = 1 + (double)rng_below(k, 8 * i, 5);
        spread[i] = noise * (0.5 + rng_unit(k, 8 * i + 1));
        value[i] = 0.5 * truth[i] + 1 + spread[i] * rng_normal(k, 8 * i + 2);
        rule[i] = 20 * truth[i] + 40 * rng_normal(k, 8 * i + 4);
    }
}

static void a_good_judge(void **state)
{
    (void)state;
    struct judge_card c = {.truth = "made up"};
    struct err e = {0};
    make(1, 0.3);
    assert_true(judge_card_make(&held, 1, 300, &c, &e));
    assert_true(c.v.validated && c.v.tau.a.value > 0.7 && c.v.tau.b.value < 0.6);
    assert_true(c.v.tau.n == N && c.v.tau.groups == PATIENTS);
    assert_true(c.v.coverage > 0.85 && c.v.coverage <= 0.95);
    /* the map turns 0.5 t + 1 back into t */
    assert_true(fabs(judge_card_grade(&c, 2.5, 0.3, 60).value - 3) < 0.3);
    struct judge_grade sure = judge_card_grade(&c, 2.5, 0.05, 60);
    struct judge_grade unsure = judge_card_grade(&c, 2.5, 2, 60);
    assert_true(sure.hi - sure.lo < unsure.hi - unsure.lo);
    assert_true(!sure.abstains && unsure.abstains && unsure.lo >= 1 && unsure.hi <= 5);
    judge_card_free(&c);
}

static void one_that_learned_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    int validated = 0;
    double covered = 0;
    for (uint64_t round = 0; round < 20; round++) {
        struct judge_card c = {.truth = "made up"};
        struct rng_key k = rng_key(round, RNG_TEST, 1);
        make(100 + round, 0.3);
        for (uint64_t i = 0; i < N; i++)
            value[i] = rng_normal(k, i);
        assert_true(judge_card_make(&held, 1, 100, &c, &e));
        validated += c.v.validated;
        covered += c.v.coverage / 20;
        assert_true(fabs(c.v.alone) < 0.15);
        /* with the rule check beside it, it is the rule check and no better */
        assert_true(c.v.tau.a.value < c.v.tau.b.value + 0.02);
        judge_card_free(&c);
    }
    assert_true(validated == 0);
    assert_true(covered > 0.88 && covered < 0.99); /* wide intervals, but honest ones */
}

/* Two that err differently are better together; the reading alone is still told, and asked for. */
static void both_together(void **state)
{
    (void)state;
    static const struct blend alone = BLEND_READING_INIT;
    struct judge_card both = {.truth = "made up"}, one = {.truth = "made up"};
    struct err e = {0};
    make(6, 0.8);
    assert_true(judge_card_make(&held, 1, 300, &both, &e));
    held.weights = &alone;
    bool ok = judge_card_make(&held, 1, 300, &one, &e);
    held.weights = NULL;
    assert_true(ok);
    assert_true(both.v.tau.a.value > one.v.tau.a.value + 0.03);
    assert_true(both.v.alone == one.v.tau.a.value && both.v.tau.b.value == one.v.tau.b.value);
    assert_true(both.v.error < one.v.error && both.v.coverage > 0.85);
    assert_true(both.blend.reading > 0 && both.blend.rule > 0);
    assert_true(one.blend.reading == 1 && one.blend.rule == 0);
    /* a worse rule score, a worse grade */
    assert_true(judge_card_grade(&both, 2.5, 0.3, 20).value <
                judge_card_grade(&both, 2.5, 0.3, 90).value);
    assert_true(judge_card_grade(&one, 2.5, 0.3, 20).value ==
                judge_card_grade(&one, 2.5, 0.3, 90).value);
    judge_card_free(&both);
    judge_card_free(&one);
}

static void weights(void **state)
{
    (void)state;
    enum { FEW = 200 };
    double v[FEW], r[FEW], t[FEW], same[FEW], scratch[4 * FEW];
    struct rng_key k = rng_key(9, RNG_TEST, 2);
    for (uint64_t i = 0; i < FEW; i++) {
        v[i] = rng_normal(k, 4 * i);
        r[i] = 30 * rng_normal(k, 4 * i + 2);
        t[i] = v[i] + r[i] / 30; /* as much of one as of the other */
        same[i] = 3;
    }
    struct blend b = blend_fit(v, r, t, FEW, scratch);
    assert_true(b.reading == 1 && b.rule > 0.5 && b.rule < 0.85); /* 20 / 30, in steps */
    assert_true(fabs(blend_at(&b, 3, 40) - 3 - 2 * b.rule) < 1e-12);
    for (size_t i = 0; i < FEW; i++)
        t[i] = v[i] - r[i] / 30; /* a number that points the wrong way gets no weight */
    b = blend_fit(v, r, t, FEW, scratch);
    assert_true(b.reading == 1 && b.rule == 0);
    for (size_t i = 0; i < FEW; i++)
        t[i] = r[i] / 30 - v[i];
    b = blend_fit(v, r, t, FEW, scratch);
    assert_true(b.reading == 0 && b.rule == 1);
    b = blend_fit(v, same, v, FEW, scratch); /* a number that never changes */
    assert_true(b.reading == 1 && b.rule == 0);
    b = blend_fit(v, v, v, FEW, scratch); /* one number twice */
    assert_true(b.reading == 1 && b.rule == 0);
    b = blend_fit(v, r, t, 0, scratch);
    assert_true(b.reading == 1 && b.rule == 0);
}

/* As good as the rule check is not better than the rule check. */
static void a_copy_of_the_rule(void **state)
{
    (void)state;
    struct judge_card c = {.truth = "made up"};
    struct err e = {0};
    make(3, 0.3);
    memcpy(value, rule, sizeof value);
    assert_true(judge_card_make(&held, 1, 300, &c, &e));
    assert_true(!c.v.validated && fabs(c.v.tau.diff.value) < 0.02);
    judge_card_free(&c);
}

static void few_answers(void **state)
{
    (void)state;
    struct judge_held few = held;
    struct judge_card c = {.truth = "made up"};
    struct err e = {0};
    make(4, 0.3);
    few.n = 6;
    few.ngroups = 2;
    assert_true(judge_card_make(&few, 1, 50, &c, &e));
    assert_true(isinf(c.quantile) && judge_card_grade(&c, 2, 0.1, 50).abstains);
    judge_card_free(&c);
    few.n = 0;
    assert_false(judge_card_make(&few, 1, 50, &c, &e));
    assert_true(e.code == ERR_CONFIG);
}

static void on_disk(void **state)
{
    (void)state;
    struct judge_card c = {.truth = "readers",
                           .folder = "final",
                           .template = "judge",
                           .max_tokens = 512,
                           .list = true};
    struct judge_card d;
    struct arena a;
    struct err e = {0};
    struct sbuf line, again;
    arena_init(&a, 1 << 20);
    sbuf_init(&line, 4096);
    sbuf_init(&again, 4096);
    testdir_make();
    make(5, 0.3);
    memset(c.base, 'a', 64);
    memset(c.adapter, 'b', 64);
    assert_true(judge_card_make(&held, 1, 50, &c, &e));
    assert_true(judge_card_write(testdir_path("judge.json"), &c, &e));
    assert_true(judge_card_read(testdir_path("judge.json"), &a, &d, &e));
    assert_true(judge_card_line(&c, &line, &e) && judge_card_line(&d, &again, &e));
    assert_true(str_eq(sbuf_str(&line), sbuf_str(&again)));
    assert_non_null(strstr(line.p, "validated: tau="));
    assert_true(d.list && !d.check && d.max_tokens == 512 && strcmp(d.template, "judge") == 0);
    for (double v = 0; v < 4; v += 0.37)
        assert_true(judge_card_grade(&c, v, 0.2, 40).lo == judge_card_grade(&d, v, 0.2, 40).lo);
    judge_card_free(&d);
    /* one digit changed by hand does not pass */
    size_t n;
    char *text = testdir_read(testdir_path("judge.json"), &n);
    char *at = strstr(text, "\"max_tokens\": 512");
    assert_non_null(at);
    at[14] = '4';
    testdir_write(testdir_path("bad.json"), text, n);
    assert_false(judge_card_read(testdir_path("bad.json"), &a, &d, &e));
    assert_true(e.code == ERR_FORMAT);
    free(text);
    judge_card_free(&c);
    sbuf_free(&line);
    sbuf_free(&again);
    arena_free(&a);
    testdir_remove();
}

/* A card that cannot be made or written leaves the one that was there. */
static void faults(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};
    testdir_make();
    make(7, 0.3);
    json_set_alloc_funcs(malloc, free); /* jansson may not be let down */
    for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
        size_t live = mem_live_blocks();
        bool fired = true;
        for (uint64_t n = 1; fired; n++) {
            struct judge_card c = {.truth = "old", .folder = "final", .template = "judge"}, d;
            struct err e = {0};
            struct arena a;
            arena_init(&a, 1 << 20);
            memset(c.base, 'a', 64);
            memset(c.adapter, 'b', 64);
            c.max_tokens = 9;
            assert_true(judge_card_make(&held, 1, 20, &c, &e));
            assert_true(judge_card_write(testdir_path("judge.json"), &c, &e));
            judge_card_free(&c);
            c.truth = "new";
            fault_arm(points[p], n, false);
            bool ok = judge_card_make(&held, 1, 20, &c, &e) &&
                      judge_card_write(testdir_path("judge.json"), &c, &e);
            fired = fault_fired();
            fault_disarm_all();
            assert_true(ok || (fired && e.code != ERR_NONE));
            judge_card_free(&c);
            e = (struct err){0};
            if (!judge_card_read(testdir_path("judge.json"), &a, &d, &e)) fail_msg("%s", e.text);
            /* one or the other, whole: a failure behind the rename leaves the new one */
            assert_true(strcmp(d.truth, "new") == 0 || (!ok && strcmp(d.truth, "old") == 0));
            judge_card_free(&d);
            arena_free(&a);
            assert_int_equal(mem_live_blocks(), live);
            assert_true(n < 1000);
        }
    }
    testdir_remove();
#else
    print_message("SKIP: this build has no fault points\n");
    skip();
#endif
}

static int leaks(void **state)
{
    (void)state;
    return mem_live_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_judge),
        cmocka_unit_test(one_that_learned_nothing),
        cmocka_unit_test(both_together),
        cmocka_unit_test(weights),
        cmocka_unit_test(a_copy_of_the_rule),
        cmocka_unit_test(few_answers),
        cmocka_unit_test(on_disk),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, NULL, leaks);
}
