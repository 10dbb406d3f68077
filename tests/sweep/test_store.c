#include "sweep_kit.h"

#include <math.h>

#include "base/fs.h"

static const char yaml[] =
    "sweep: {method: random, trials: 1000, params: {train.lr: {log_uniform: [1.0e-5, 1.0e-3]}, "
    "lora.rank: [4, 8]}}";

static struct sweep_unit unit(uint64_t trial, uint32_t attempt)
{
    return (struct sweep_unit){.trial = trial, .attempt = attempt};
}

/* Only one of many who try gets a claim, whoever asks how often. */
static void test_claims_are_won_once(void **state)
{
    enum { WORKERS = 6, UNITS = 300 };
    struct err e = {0};
    struct kit k;
    struct sweep s;
    int pipes[2];
    (void)state;

    kit_make(&k, "sweep", yaml);
    kit_open(&k, &s);
    assert_int_equal(pipe(pipes), 0);
    for (int w = 0; w < WORKERS; w++) {
        if (fork() != 0) continue;
        uint16_t won_units[UNITS];
        size_t n = 0;
        bool ok = sweep_store_join(s.store, "77_1", &e);
        for (uint64_t i = 0; ok && i < UNITS; i++) {
            struct sweep_unit u = unit((i * 7 + (uint64_t)w * 50) % UNITS, 0);
            bool won;
            ok = sweep_store_claim(s.store, &u, &won, &e);
            if (won) won_units[n++] = (uint16_t)u.trial;
        }
        ok = ok && write(pipes[1], won_units, n * 2) == (ssize_t)(n * 2);
        _exit(ok ? 0 : 1);
    }
    close(pipes[1]);
    unsigned seen[UNITS] = {0}, total = 0;
    uint16_t id;
    while (read(pipes[0], &id, 2) == 2) {
        seen[id]++;
        total++;
    }
    close(pipes[0]);
    for (int w = 0; w < WORKERS; w++) {
        int status;
        wait(&status);
        assert_int_equal(status, 0);
    }
    assert_int_equal(total, UNITS);
    for (int i = 0; i < UNITS; i++)
        assert_int_equal(seen[i], 1);
    sweep_close(&s);
    kit_free(&k);
}

static void put(struct sweep *s, enum sweep_op op, uint64_t trial, uint32_t attempt, double loss)
{
    struct err e = {0};
    struct sweep_record r = {
        .op = op, .trial = trial, .attempt = attempt, .failure = SWEEP_NODE, .time = 5};
    space_random(&s->space, s->o->seed, trial, &r.point);
    r.text = STR("a \"reason\"\nof two lines");
    r.r = (struct sweep_result){.value = {loss, NAN, NAN}, .total_steps = 10, .gpu_s = 1};
    OK(sweep_store_put(s->store, &s->space, &r, &e));
}

static const char *log_path(struct sweep *s)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/log/%s.jsonl", s->o->dir, sweep_store_name(s->store));
    return path;
}

/* A fresh reader's view. */
static void reopen(struct kit *k, struct sweep *s)
{
    sweep_close(s);
    kit_open(k, s);
}

static unsigned done(const struct sweep *s)
{
    unsigned n = 0;
    for (uint64_t k = 0; k < s->state.ntrials; k++)
        if (sweep_state_unit(&s->state, k, 0) &&
            sweep_state_unit(&s->state, k, 0)->step == SWEEP_DONE)
            n++;
    return n;
}

/* Whatever byte of a journal is flipped, one record at most is lost, and the damage is told. */
static void test_any_flipped_byte(void **state)
{
    enum { TRIALS = 4 };
    struct err e = {0};
    struct kit k;
    struct sweep s;
    size_t n;
    (void)state;

    kit_make(&k, "sweep", yaml);
    kit_open(&k, &s);
    OK(sweep_store_join(s.store, NULL, &e));
    for (uint64_t t = 0; t < TRIALS; t++)
        put(&s, SWEEP_OP_REPORT, t, 0, (double)t);
    char *path = strdup(log_path(&s)), *whole = testdir_read(path, &n);
    reopen(&k, &s);
    assert_int_equal(done(&s), TRIALS);
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            char was = whole[i];
            whole[i] = (char)(was ^ 1 << bit);
            testdir_write(path, whole, n);
            whole[i] = was;
            reopen(&k, &s);
            struct sweep_damage d = sweep_store_damage(s.store);
            if (done(&s) < TRIALS - 1) fail_msg("byte %zu: %u trials are left", i, done(&s));
            if (d.lines == 0 && d.torn == 0) fail_msg("byte %zu: nothing told", i);
            for (uint64_t t = 0; t < s.state.ntrials; t++) {
                const struct sweep_work_unit *u = sweep_state_unit(&s.state, t, 0);
                if (u && u->step == SWEEP_DONE) assert_true(u->r.value[0] == (double)t);
            }
        }
    }
    free(whole);
    free(path);
    sweep_close(&s);
    kit_free(&k);
}

/* A worker killed while it wrote leaves half a line: it is left alone, and read once it is whole. */
static void test_half_a_line(void **state)
{
    struct err e = {0};
    struct kit k;
    struct sweep s;
    size_t n;
    (void)state;

    kit_make(&k, "sweep", yaml);
    kit_open(&k, &s);
    OK(sweep_store_join(s.store, NULL, &e));
    put(&s, SWEEP_OP_REPORT, 0, 0, 1);
    put(&s, SWEEP_OP_REPORT, 1, 0, 1);
    char *path = strdup(log_path(&s)), *whole = testdir_read(path, &n);
    sweep_close(&s);
    testdir_write(path, whole, n - 20);
    kit_open(&k, &s);
    assert_int_equal(done(&s), 1);
    assert_int_equal(sweep_store_damage(s.store).torn, 1);
    assert_int_equal(sweep_store_damage(s.store).lines, 0);
    testdir_write(path, whole, n);
    OK(sweep_refresh(&s, &e));
    assert_int_equal(done(&s), 2);
    assert_int_equal(sweep_store_damage(s.store).torn, 0);
    OK(sweep_refresh(&s, &e)); /* nothing is counted twice */
    assert_int_equal(s.state.records, 2);
    free(whole);
    free(path);
    sweep_close(&s);
    kit_free(&k);
}

/* The state is the same in whatever order records come; a late report of a superseded attempt is not used. */
static void test_order_does_not_matter(void **state)
{
    struct err e = {0};
    struct kit k;
    struct sweep s;
    struct sweep_record r[6] = {{.op = SWEEP_OP_START, .attempt = 0},
                                {.op = SWEEP_OP_FAIL, .attempt = 0, .failure = SWEEP_NODE},
                                {.op = SWEEP_OP_START, .attempt = 1},
                                {.op = SWEEP_OP_START, .attempt = 2},
                                {.op = SWEEP_OP_REPORT, .attempt = 2},
                                {.op = SWEEP_OP_REPORT, .attempt = 1}};
    (void)state;

    kit_make(&k, "sweep", yaml);
    kit_open(&k, &s);
    for (int i = 0; i < 6; i++) {
        space_random(&s.space, (uint64_t)(r[i].op == SWEEP_OP_REPORT) + 8, r[i].attempt,
                     &r[i].point);
        r[i].r = (struct sweep_result){.value = {r[i].attempt, NAN, NAN}, .gpu_s = 1};
    }
    struct space_point want = r[0].point;
    for (int order = 0; order < 720; order++) {
        struct sweep_state st;
        bool used[6] = {0};
        OK(sweep_state_init(&st, &s.space, &s.rungs, 0, 3, &e));
        for (int i = 0, left = order; i < 6; i++) {
            int pick = left % (6 - i), at = -1;
            left /= 6 - i;
            while (pick >= 0)
                if (!used[++at]) pick--;
            used[at] = true;
            OK(sweep_state_apply(&st, &r[at], "w", &e));
            if (i == 2) OK(sweep_state_apply(&st, &r[at], "w", &e)); /* twice is once */
        }
        const struct sweep_work_unit *u = sweep_state_unit(&st, 0, 0);
        assert_int_equal(u->step, SWEEP_DONE);
        assert_true(u->r.value[0] == 2);
        assert_int_equal(u->reports, 2);
        assert_true(space_equal(&s.space, &st.trial[0].point, &want));
        assert_true(st.gpu_s == 3);
        sweep_state_free(&st);
    }
    sweep_close(&s);
    kit_free(&k);
}

/* Which failures are tried again. */
static void test_retries(void **state)
{
    static const struct {
        enum sweep_failure f;
        unsigned tries; /* 0: until it works */
    } table[] = {
        {SWEEP_OOM, 1}, {SWEEP_DIVERGED, 1}, {SWEEP_CODE, 1}, {SWEEP_NODE, 4}, {SWEEP_LOST, 4}};
    struct err e = {0};
    struct kit k;
    struct sweep s;
    (void)state;

    kit_make(&k, "sweep", yaml);
    kit_open(&k, &s);
    for (size_t t = 0; t < 5; t++) {
        for (uint32_t a = 0; a < table[t].tries; a++) {
            struct sweep_record r = {.op = SWEEP_OP_START, .trial = t, .attempt = a};
            space_random(&s.space, 1, t, &r.point);
            OK(sweep_state_apply(&s.state, &r, "w", &e));
            assert_int_equal(sweep_state_unit(&s.state, t, 0)->step, SWEEP_RUNNING);
            r.op = SWEEP_OP_FAIL;
            r.failure = table[t].f;
            OK(sweep_state_apply(&s.state, &r, "w", &e));
            bool last = a + 1 == table[t].tries;
            assert_int_equal(sweep_state_unit(&s.state, t, 0)->step,
                             last ? SWEEP_FAILED : SWEEP_READY);
        }
    }
    for (uint32_t a = 0; a < 50; a++) { /* asked to stop: as often as it pleases the cluster */
        struct sweep_record r = {.op = SWEEP_OP_RELEASE, .trial = 7, .attempt = a};
        OK(sweep_state_apply(&s.state, &r, "w", &e));
        assert_int_equal(sweep_state_unit(&s.state, 7, 0)->step, SWEEP_READY);
    }
    sweep_close(&s);
    kit_free(&k);
}

static enum sweep_job ask(void *ctx, const char *job)
{
    assert_string_equal(job, "12_3");
    return *(enum sweep_job *)ctx;
}

/* Who counts as gone. */
static void test_gone(void **state)
{
    struct err e = {0};
    struct kit k;
    struct sweep s;
    struct sweep_unit u = unit(3, 0), none = unit(4, 0);
    enum sweep_job says = SWEEP_JOB_THERE;
    struct sweep_jobs jobs = {&says, ask};
    bool gone, won;
    (void)state;

    kit_make(&k, "sweep", yaml);
    kit_open(&k, &s);
    OK(sweep_store_join(s.store, "12_3", &e));
    OK(sweep_store_claim(s.store, &u, &won, &e));
    assert_true(won);
    OK(sweep_store_gone(s.store, &u, NULL, 0, &jobs, &gone, &e));
    assert_false(gone); /* this very process */
    OK(sweep_store_gone(s.store, &none, NULL, 0, &jobs, &gone, &e));
    assert_true(gone); /* nobody has it */
    pid_t pid = fork();
    if (pid == 0) {
        struct sweep_store *other;
        struct sweep_unit v = unit(5, 0);
        bool ok = sweep_store_open(s.o->dir, &other, &e) && sweep_store_join(other, NULL, &e) &&
                  sweep_store_claim(other, &v, &won, &e);
        _exit(ok ? 0 : 1);
    }
    usleep(1000);
    int status;
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT),
                     0); /* dead, not yet reaped */
    u.trial = 5;
    OK(sweep_store_gone(s.store, &u, NULL, 1e9, NULL, &gone, &e));
    assert_true(gone);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    OK(sweep_store_gone(s.store, &u, NULL, 1e9, NULL, &gone, &e));
    assert_true(gone); /* its process is no more: no need to wait for the lease */

    /* A card from elsewhere: by the lease, its work's sign of life, and what the scheduler says. */
    static const char card[] = "{\"worker\": \"w\", \"machine\": \"other\", \"pid\": 1, "
                               "\"started\": 5, \"job\": \"12_3\"}";
    char path[600], sign[600];
    snprintf(path, sizeof path, "%s/claim/0/6.0.0", s.o->dir);
    snprintf(sign, sizeof sign, "%s/status.json", s.o->dir);
    testdir_write(path, card, sizeof card - 1);
    testdir_write(sign, "{}", 2);
    u.trial = 6;
    OK(sweep_store_gone(s.store, &u, NULL, 1000, &jobs, &gone, &e));
    assert_false(gone); /* the lease has not passed */
    OK(sweep_store_gone(s.store, &u, NULL, -1, &jobs, &gone, &e));
    assert_false(gone); /* it has, but SLURM knows the job */
    says = SWEEP_JOB_GONE;
    OK(sweep_store_gone(s.store, &u, NULL, -1, &jobs, &gone, &e));
    assert_true(gone);
    OK(sweep_store_gone(s.store, &u, sign, 1000, &jobs, &gone, &e));
    assert_false(gone);
    says = SWEEP_JOB_UNKNOWN;
    OK(sweep_store_gone(s.store, &u, sign, -1, &jobs, &gone, &e));
    assert_true(gone);
    sweep_close(&s);
    kit_free(&k);
}

/* A folder that was begun with other options is refused, with the keys; budgets may grow. */
static void test_same_sweep(void **state)
{
    struct err e = {0};
    struct kit a, b;
    struct sweep s;
    (void)state;

    kit_make(&a, "sweep", yaml);
    kit_open(&a, &s);
    sweep_close(&s);
    kit_make(&b, "sweep",
             "sweep: {method: random, trials: 9, seed: 2, params: {train.lr: {log_uniform: "
             "[1.0e-5, 1.0e-3]}, lora.rank: [4, 16]}}");
    FAILS(sweep_open(&b.opts, str_of(b.config), &b.runner, true, &s, &e), ERR_CONFIG, "sweep.seed");
    FAILS(sweep_open(&b.opts, str_of(b.config), &b.runner, true, &s, &e), ERR_CONFIG,
          "sweep.params");
    kit_free(&b);
    kit_make(&b, "sweep",
             "sweep: {method: random, trials: 9, retries: 1, gpu_hours: 3, params: {train.lr: "
             "{log_uniform: [1.0e-5, 1.0e-3]}, lora.rank: [4, 8]}}");
    kit_open(&b, &s);
    sweep_close(&s);
    b.opts.dir = testdir_path("nothing");
    FAILS(sweep_open(&b.opts, str_of(b.config), &b.runner, false, &s, &e), ERR_CONFIG,
          "no sweep was begun");
    kit_free(&b);
    kit_free(&a);
}

/* Exit code of a child that sweeps with the n-th call failing: 0 done, 1 an error, 2 the fault never fired, 3 wrong. */
static int faulty_child(struct kit *k, enum fault_point point, uint64_t n)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        struct sweep s = {0};
        struct comm *c;
        size_t before = mem_live_blocks();
        if (!comm_open_self(&c, &e)) _exit(3);
        fault_arm(point, n, false);
        bool ok = sweep_open(&k->opts, str_of(k->config), &k->runner, true, &s, &e);
        ok = ok && sweep_work(&s, &k->runner, c, &e);
        bool fired = fault_fired();
        fault_disarm_all();
        if (s.o) sweep_close(&s);
        comm_close(c);
        bool sound = ok == (e.code == ERR_NONE) && (ok || fired) && mem_live_blocks() == before;
        _exit(!sound ? 3 : !fired ? 2 : !ok);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The n-th system call fails: the error arrives, nothing leaks, and another worker finishes the sweep. */
static void test_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_MEM,   FAULT_OPEN,   FAULT_READ,  FAULT_WRITE,
                                              FAULT_FSYNC, FAULT_RENAME, FAULT_MKDIR, FAULT_LINK};
    (void)state;
    for (size_t f = 0; f < sizeof points / sizeof *points; f++) {
        for (uint64_t n = 1;; n++) {
            struct kit k;
            struct sweep s;
            char name[40];
            snprintf(name, sizeof name, "s%zu-%llu", f, (unsigned long long)n);
            kit_make(&k, name, "sweep: {method: tpe, trials: 2, params: {a.b: {uniform: [0, 1]}}}");
            int code = faulty_child(&k, points[f], n);
            if (code == 3) fail_msg("point %zu, n %llu", f, (unsigned long long)n);
            kit_open(&k, &s);
            kit_work(&k, &s);
            for (uint64_t t = 0; t < 2; t++) {
                enum sweep_step step = sweep_state_unit(&s.state, t, 0)->step;
                assert_true(step == SWEEP_DONE || (code != 2 && step == SWEEP_FAILED));
            }
            sweep_close(&s);
            kit_free(&k);
            if (code == 2) break;
            assert_true(n < 2000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_claims_are_won_once),
                                       TEST(test_any_flipped_byte),
                                       TEST(test_half_a_line),
                                       TEST(test_order_does_not_matter),
                                       TEST(test_retries),
                                       TEST(test_gone),
                                       TEST(test_same_sweep),
                                       TEST(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
