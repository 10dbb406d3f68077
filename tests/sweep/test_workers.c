#include "sweep_kit.h"

#include <math.h>

#include "base/fs.h"
#include "sweep/decide.h"

#define SPACE                                                                                      \
    "params: {train.lr: {log_uniform: [1.0e-5, 1.0e-3]}, lora.rank: [4, 8, 16], lora.dropout: "    \
    "{steps: [0, 0.2, 0.05]}}"

struct sum {
    unsigned done, units, failed, begun;
    double best;
    uint64_t best_trial;
};
static struct sum sum_up(const struct sweep *s)
{
    struct sum n = {.best = INFINITY};
    for (uint64_t k = 0; k < s->state.ntrials; k++) {
        n.begun += s->state.trial[k].known;
        for (uint32_t j = 0; j < s->rungs.n; j++) {
            const struct sweep_work_unit *u = sweep_state_unit(&s->state, k, j);
            if (!u || u->step == SWEEP_UNTOUCHED) continue;
            n.units++;
            n.failed += u->step == SWEEP_FAILED;
            n.done += u->step == SWEEP_DONE;
            if (u->step != SWEEP_DONE) continue;
            assert_int_equal(u->reports, 1);
            double v = sweep_loss(s->o, &u->r);
            assert_true(v == kit_loss(s, &s->state.trial[k].point, j));
            if (j + 1 == s->rungs.n && v < n.best) {
                n.best = v;
                n.best_trial = k;
            }
        }
    }
    return n;
}

/* What a trial's folder says: the rungs it went through, in order, each once unless a worker died in it. */
static void check_path(const struct sweep *s, uint64_t trial, bool killed)
{
    char path[600];
    size_t n;
    snprintf(path, sizeof path, "%s/trials/%05d/checkpoint", s->o->dir, (int)trial);
    if (!fs_exists(path)) return;
    char *text = testdir_read(path, &n);
    for (size_t i = 1; i < n; i++) {
        if (killed)
            assert_true(text[i] == text[i - 1] || text[i] == text[i - 1] + 1);
        else
            assert_int_equal(text[i], text[i - 1] + 1);
    }
    free(text);
}

/* Grid and random: the same trials and the same best for 1, 2 and 4 workers. */
static void test_same_for_any_number(void **state)
{
    static const char *const yaml[] = {"sweep: {method: random, trials: 60, " SPACE "}",
                                       "sweep: {method: grid, params: {a.x: {uniform: [0, 1]}, "
                                       "a.y: [1, 2, 3], a.z: {log_uniform: [1, 100], points: 4}}}"};
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct sum want = {0};
        struct space_point first[60];
        for (unsigned workers = 1; workers <= 4; workers *= 2) {
            struct kit k;
            struct sweep s;
            char name[20];
            snprintf(name, sizeof name, "m%d-%u", m, workers);
            kit_make(&k, name, yaml[m]);
            assert_int_equal(kit_run(&k, workers), 0);
            kit_open(&k, &s);
            struct sum got = sum_up(&s);
            assert_int_equal(got.done, 60);
            assert_int_equal(s.state.ntrials, 60);
            for (uint64_t t = 0; t < 60; t++) {
                if (workers == 1) first[t] = s.state.trial[t].point;
                assert_true(space_equal(&s.space, &first[t], &s.state.trial[t].point));
            }
            if (workers == 1) want = got;
            assert_true(got.best == want.best && got.best_trial == want.best_trial);
            sweep_close(&s);
            kit_free(&k);
        }
    }
}

/* Every promotion is one that the paper allows: at the end no rung has sent on more than floor(n / eta), and none is
 * left to send. */
static void check_asha(const struct sweep *s)
{
    for (uint32_t j = 0; j + 1 < s->rungs.n; j++) {
        struct rung_entry v[64];
        size_t n = 0, sent = 0;
        for (uint64_t k = 0; k < s->state.ntrials; k++) {
            const struct sweep_work_unit *u = sweep_state_unit(&s->state, k, j);
            if (u->step != SWEEP_DONE && u->step != SWEEP_FAILED) continue;
            bool on = u[1].n > 0;
            sent += on;
            v[n++] =
                (struct rung_entry){k, u->step == SWEEP_DONE ? sweep_loss(s->o, &u->r) : NAN, on};
        }
        assert_true(rungs_promote(v, n, s->rungs.eta) == SIZE_MAX);
        assert_true(sent >= n / s->rungs.eta);
    }
}

#define ASHA "method: asha, trials: 24, retries: 50, min: 1, max: 9, eta: 3, "

/* ASHA with 4 workers of which random ones are killed with -9, before or after their checkpoint. */
static void test_asha_killed(void **state)
{
    struct kit calm, wild;
    struct sweep a, b;
    unsigned killed = 0;
    (void)state;

    kit_make(&calm, "calm", "sweep: {" ASHA SPACE "}");
    assert_int_equal(kit_run(&calm, 4), 0);
    kit_open(&calm, &a);
    check_asha(&a);
    for (int round = 0; killed < 10; round++) {
        char name[20];
        assert_true(round < 20);
        snprintf(name, sizeof name, "wild%d", round);
        kit_make(&wild, name, "sweep: {" ASHA SPACE "}");
        wild.die_in = 150;
        wild.naps_us = 2000;
        killed += kit_run(&wild, 4);
        kit_open(&wild, &b);
        check_asha(&b);
        struct sum n = sum_up(&b); /* each (trial, rung) once, with the right value */
        assert_int_equal(n.begun, 24);
        assert_int_equal(n.failed, 0);
        assert_int_equal(n.done, n.units);
        for (uint64_t k = 0; k < 24; k++) {
            assert_true(space_equal(&a.space, &a.state.trial[k].point, &b.state.trial[k].point));
            check_path(&b, k, true);
            for (uint32_t j = 0; j < 3; j++) { /* what both did came out the same */
                const struct sweep_work_unit *x = sweep_state_unit(&a.state, k, j),
                                             *y = sweep_state_unit(&b.state, k, j);
                if (x->step == SWEEP_DONE && y->step == SWEEP_DONE)
                    assert_true(x->r.value[0] == y->r.value[0] && x->r.step == y->r.step);
            }
        }
        sweep_close(&b);
        kit_free(&wild);
    }
    for (uint64_t k = 0; k < 24; k++)
        check_path(&a, k, false);
    sweep_close(&a);
    kit_free(&calm);
}

/* One worker decides alone, so its sweep is a function of the seed; killed again and again, it decides the same. */
static void test_alone_killed_is_the_same(void **state)
{
    struct kit k[2];
    struct sweep s[2];
    unsigned killed = 0;
    (void)state;

    for (int i = 0; i < 2; i++) {
        kit_make(&k[i], i ? "killed" : "calm", "sweep: {" ASHA SPACE "}");
        k[i].die_in = i ? 250 : 0;
        killed += kit_run(&k[i], 1);
        kit_open(&k[i], &s[i]);
    }
    assert_true(killed > 0);
    for (uint64_t t = 0; t < 24; t++)
        for (uint32_t j = 0; j < 3; j++) {
            const struct sweep_work_unit *x = sweep_state_unit(&s[0].state, t, j),
                                         *y = sweep_state_unit(&s[1].state, t, j);
            assert_int_equal(x->step, y->step);
            if (x->step == SWEEP_DONE) assert_true(x->r.value[0] == y->r.value[0]);
        }
    for (int i = 0; i < 2; i++) {
        sweep_close(&s[i]);
        kit_free(&k[i]);
    }
}

static void test_methods(void **state)
{
    static const char *const yaml[] = {
        "sweep: {method: hyperband, trials: 40, min: 1, max: 9, eta: 3, " SPACE "}",
        "sweep: {method: median, trials: 30, min: 1, max: 8, eta: 2, startup: 3, " SPACE "}",
        "sweep: {method: tpe, trials: 40, " SPACE "}",
        "sweep: {method: asha, sampler: tpe, trials: 40, min: 1, max: 9, eta: 3, " SPACE "}",
    };
    (void)state;
    for (int m = 0; m < 4; m++) {
        struct kit k;
        struct sweep s;
        struct err e = {0};
        char name[20];
        snprintf(name, sizeof name, "m%d", m);
        kit_make(&k, name, yaml[m]);
        assert_int_equal(kit_run(&k, 3), 0);
        kit_open(&k, &s);
        struct sum n = sum_up(&s);
        assert_int_equal(n.begun, m == 1 ? 30 : 40);
        assert_int_equal(n.done, n.units);
        uint64_t all, same;
        OK(sweep_replay(&s, &all, &same, &e));
        assert_int_equal(all, m < 2 ? 0 : 40);
        assert_int_equal(same, all);
        unsigned stopped = 0, ended = 0;
        for (uint64_t t = 0; t < s.state.ntrials; t++) {
            stopped += s.state.trial[t].stopped;
            ended += sweep_state_reached(&s.state, t) + 1 == (int)s.rungs.n;
            check_path(&s, t, false);
        }
        if (m == 0) assert_true(ended >= 3 && ended < 20 && n.units > 50 && n.units < 100);
        if (m == 1) assert_true(stopped > 3 && stopped + ended == 30);
        if (m == 2) assert_int_equal(ended, 40);
        sweep_close(&s);
        kit_free(&k);
    }
}

/* A note that does not belong: another suggestion is noticed. */
static void test_replay_sees_a_forgery(void **state)
{
    struct kit k;
    struct sweep s;
    struct err e = {0};
    uint64_t all, same;
    (void)state;

    kit_make(&k, "tpe", "sweep: {method: tpe, trials: 30, " SPACE "}");
    kit_open(&k, &s);
    kit_work(&k, &s);
    assert_non_null(s.state.trial[20].seen);
    assert_string_equal(s.state.trial[20].seen, "0-19:0");
    s.state.trial[20].seen[3] = '8'; /* "0-18:0" would have been "0-19:0" */
    s.state.trial[25].seen[0] = 'x';
    OK(sweep_replay(&s, &all, &same, &e));
    assert_int_equal(all, 30);
    assert_int_equal(same, 28);
    sweep_close(&s);
    kit_free(&k);
}

/* Budgets: one worker stops before they are passed; more trials go on where they ended. */
static void test_budgets(void **state)
{
    struct kit k;
    struct sweep s;
    (void)state;

    kit_make(&k, "steps", "sweep: {method: random, steps: 5500, " SPACE "}");
    kit_open(&k, &s);
    kit_work(&k, &s);
    assert_int_equal(s.state.ntrials, 5); /* of 1000 steps each */
    sweep_close(&s);
    k.opts.steps = 0;
    k.opts.trials = 8;
    kit_open(&k, &s);
    kit_work(&k, &s);
    assert_int_equal(k.trials, 8);
    assert_int_equal(s.state.ntrials, 8);
    sweep_close(&s);
    kit_free(&k);
}

/* Trial k has begun; done: and reported half a GPU-hour. */
static void tell_run(struct sweep *s, uint64_t k, bool done)
{
    struct sweep_record r = {.op = done ? SWEEP_OP_REPORT : SWEEP_OP_START, .trial = k};
    struct err e = {0};

    space_random(&s->space, 1, k, &r.point);
    r.r.gpu_s = done ? 1800 : 0;
    r.r.total_steps = 1000;
    OK(sweep_state_apply(&s->state, &r, "w", &e));
}

/* Two GPU-hours, half an hour a trial: what is under way counts at the mean cost so far. */
static void test_gpu_hours(void **state)
{
    struct decision d;
    struct kit k;
    struct sweep s;
    struct err e = {0};
    (void)state;

    kit_make(&k, "s", "sweep: {method: random, gpu_hours: 2, " SPACE "}");
    kit_open(&k, &s);
    for (uint64_t t = 0; t < 4; t++) {
        decide_turn(&s);
        OK(decide_next(&s, false, &d, &e));
        assert_true(d.kind == DECIDE_DO && d.fresh && d.unit.trial == t);
        tell_run(&s, t, false);
        if (t == 3) break;
        tell_run(&s, t, true);
    }
    OK(decide_next(&s, false, &d, &e)); /* 1.5 h spent, 0.5 h under way: no fifth trial */
    assert_true(d.kind == DECIDE_CHECK && d.unit.trial == 3);
    decide_pass(&s, &d);
    OK(decide_next(&s, false, &d, &e));
    assert_int_equal(d.kind, DECIDE_WAIT);
    tell_run(&s, 3, true);
    decide_turn(&s);
    OK(decide_next(&s, false, &d, &e));
    assert_int_equal(d.kind, DECIDE_END);
    k.opts.gpu_hours = 2.5; /* more of it: it goes on */
    OK(decide_next(&s, false, &d, &e));
    assert_true(d.kind == DECIDE_DO && d.unit.trial == 4);
    sweep_close(&s);
    kit_free(&k);
}

static bool oom_trial(void *ctx, const struct sweep *s, const struct sweep_unit *u,
                      const struct space_point *p, struct sweep_result *out, struct comm *c,
                      struct err *e)
{
    struct kit *k = ctx;
    (void)s, (void)p, (void)c;
    k->trials++;
    if (u->trial == 1) return err_set(e, ERR_LIMIT, "memory plan is above the limit");
    if (u->trial == 2) {
        out->value[SWEEP_DEV_LOSS] = NAN;
        return true;
    }
    if (u->trial == 3 && u->attempt < 2) return err_set(e, ERR_IO, "disk full");
    if (u->trial == 4 && u->attempt < 1) return err_set(e, ERR_STOPPED, "asked to stop");
    out->value[SWEEP_DEV_LOSS] = 1;
    out->total_steps = 10;
    return true;
}

static void test_failures(void **state)
{
    struct kit k;
    struct sweep s;
    (void)state;

    kit_make(&k, "s", "sweep: {method: random, trials: 6, " SPACE "}");
    k.runner.trial = oom_trial;
    kit_open(&k, &s);
    kit_work(&k, &s);
    static const enum sweep_step want[6] = {SWEEP_DONE, SWEEP_FAILED, SWEEP_FAILED,
                                            SWEEP_DONE, SWEEP_DONE,   SWEEP_DONE};
    static const unsigned attempts[6] = {1, 1, 1, 3, 2, 1};
    for (uint64_t t = 0; t < 6; t++) {
        assert_int_equal(sweep_state_unit(&s.state, t, 0)->step, want[t]);
        assert_int_equal(sweep_state_unit(&s.state, t, 0)->n, attempts[t]);
    }
    assert_true(strstr(s.state.trial[1].error, "memory plan") != NULL);
    sweep_close(&s);
    kit_free(&k);
}

static unsigned prepared[3];
static bool prepare(void *ctx, uint64_t i, struct comm *c, struct err *e)
{
    struct kit *k = ctx;
    char path[600];
    (void)c, (void)e;
    assert_int_equal(k->trials, 0);
    snprintf(path, sizeof path, "%s/made-%d-%d", k->opts.dir, (int)i, (int)getpid());
    testdir_write(path, "", 0);
    prepared[i]++;
    return true;
}

/* What comes before all trials is done once, by whoever is first. */
static void test_preparations(void **state)
{
    struct kit k;
    struct sweep s;
    struct arena a;
    struct str *names;
    size_t n, made = 0;
    struct err e = {0};
    (void)state;

    kit_make(&k, "s", "sweep: {method: random, trials: 30, " SPACE "}");
    k.runner.nprepare = 3;
    k.runner.prepare = prepare;
    assert_int_equal(kit_run(&k, 4), 0);
    kit_open(&k, &s);
    assert_int_equal(sum_up(&s).done, 30);
    arena_init(&a, 1 << 20);
    OK(fs_list(k.opts.dir, &a, &names, &n, &e));
    for (size_t i = 0; i < n; i++)
        made += str_starts(names[i], STR("made-"));
    assert_int_equal(made, 3);
    arena_free(&a);
    sweep_close(&s);
    kit_free(&k);
}

/* 16 workers, 500 short trials for each of them: none lost, none twice. */
static void test_many_workers(void **state)
{
    struct kit k;
    struct sweep s;
    struct arena a;
    struct str *names;
    size_t n, claims = 0;
    struct err e = {0};
    (void)state;

    kit_make(&k, "s", "sweep: {method: random, trials: 8000, " SPACE "}");
    assert_int_equal(kit_run(&k, 16), 0);
    kit_open(&k, &s);
    struct sum sum = sum_up(&s);
    assert_int_equal(sum.done, 8000);
    assert_int_equal(sum.units, 8000);
    arena_init(&a, 4 << 20);
    for (int i = 0; i < 32; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/claim/%d", k.opts.dir, i);
        OK(fs_list(path, &a, &names, &n, &e));
        claims += n;
    }
    assert_int_equal(claims, 8000);
    assert_int_equal(sweep_store_damage(s.store).lines, 0);
    arena_free(&a);
    sweep_close(&s);
    kit_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_same_for_any_number),
                                       TEST(test_asha_killed),
                                       TEST(test_alone_killed_is_the_same),
                                       TEST(test_methods),
                                       TEST(test_replay_sees_a_forgery),
                                       TEST(test_budgets),
                                       TEST(test_gpu_hours),
                                       TEST(test_failures),
                                       TEST(test_preparations),
                                       TEST(test_many_workers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
