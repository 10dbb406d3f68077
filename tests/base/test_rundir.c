#include "base/base_test.h"

#include <sys/stat.h>

#include "base/audit.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/rundir.h"

static struct rundir run;

static int quiet_setup(void **state)
{
    log_setup(LOG_ERROR, 0);
    return live_setup(state);
}

static int quiet_teardown(void **state)
{
    log_close();
    clock_freeze(-1);
    return live_teardown(state);
}

#define QUIET_TEST(f) cmocka_unit_test_setup_teardown(f, quiet_setup, quiet_teardown)

static bool open_as(const char *dump, const char *const *free_keys, struct err *e)
{
    return rundir_open(testdir_path("run"), "train", str_of(dump), free_keys, 0, &run, e);
}

static void assert_yaml(const char *want)
{
    char *got = testdir_read(testdir_path("run/run.yaml"), NULL);
    assert_string_equal(got, want);
    free(got);
}

static void begins_and_continues(void **state)
{
    (void)state;
    struct err e = {0};
    OK(open_as("train:\n  lr: 1\n", NULL, &e));
    log_info("hello", "x=1");
    rundir_close(&run);
    assert_yaml("train:\n  lr: 1\n");
    OK(open_as("train:\n  lr: 1\n", NULL, &e));
    rundir_close(&run);
    rundir_close(&run);
    rundir_close(NULL);
    char *log = testdir_read(testdir_path("run/log/rank0.log"), NULL);
    assert_non_null(strstr(log, " rank=0 info hello x=1\n"));
    free(log);
}

static void refuses_other_options(void **state)
{
    (void)state;
    struct err e = {0};
    static const char *const free_keys[] = {"train.save_every", "slurm", NULL};
    const char *old = "train:\n  lr: 1\n  save_every: 10\nslurm:\n  time: 1\n";
    OK(open_as(old, free_keys, &e));
    rundir_close(&run);
    FAILS(open_as("train:\n  lr: 2\n  save_every: 20\nslurm:\n  time: 1\n", free_keys, &e),
          ERR_CONFIG, "was begun with other options: train.lr; restore");
    FAILS(open_as("corpus:\n  x: 1\n", free_keys, &e), ERR_CONFIG, "train, corpus;");
    assert_yaml(old);
    const char *allowed = "train:\n  lr: 1\n  save_every: 20\nslurm:\n  time: 2\n";
    OK(open_as(allowed, free_keys, &e)); /* and a refusal left no lock behind */
    rundir_close(&run);
    assert_yaml(allowed);
}

static void one_job_at_a_time(void **state)
{
    (void)state;
    struct err e = {0};
    struct rundir first;
    OK(open_as("a: 1\n", NULL, &e));
    first = run;
    FAILS(open_as("a: 1\n", NULL, &e), ERR_CONFIG, "another job is using");
    rundir_close(&first);
    OK(open_as("a: 1\n", NULL, &e));
    rundir_close(&run);
}

static void other_ranks_only_log(void **state)
{
    (void)state;
    struct err e = {0};
    struct rundir r;
    log_setup(LOG_ERROR, 3);
    OK(rundir_open(testdir_path("run"), "train", STR("a: 1\n"), NULL, 3, &r, &e));
    log_debug("here", "x=1");
    rundir_close(&r);
    log_setup(LOG_ERROR, 0);
    assert_true(fs_exists(testdir_path("run/log/rank3.log")));
    assert_false(fs_exists(testdir_path("run/run.yaml")));
    assert_false(fs_exists(testdir_path("run/.lock")));
}

static bool open_work(struct err *e)
{
    static const char *const free_keys[] = {"t.b", NULL};
    bool ok = open_as("t: {a: 1, b: 3}\n", free_keys, e);
    if (ok) rundir_close(&run);
    return ok;
}

static void old_or_new_yaml(bool ok)
{
    struct err e = {0};
    char *got = testdir_read(testdir_path("run/run.yaml"), NULL);
    bool new = strcmp(got, "t: {a: 1, b: 3}\n") == 0;
    assert_true(new || strcmp(got, "t: {a: 1, b: 2}\n") == 0);
    assert_true(new || !ok);
    free(got);
    OK(open_as("t: {a: 1, b: 2}\n", (const char *const[]){"t.b", NULL}, &e)); /* not locked */
    rundir_close(&run);
}

static void faults(void **state)
{
    (void)state;
    struct err e = {0};
    static const enum fault_point points[] = {FAULT_MEM,   FAULT_OPEN,   FAULT_READ, FAULT_WRITE,
                                              FAULT_FSYNC, FAULT_RENAME, FAULT_MKDIR};
    int positions = 0;
    log_setup(LOG_ERROR, 1); /* what is logged to a full disk is not looked at here */
    OK(open_as("t: {a: 1, b: 2}\n", NULL, &e));
    rundir_close(&run);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int forever = 0; forever < 2; forever++)
            positions += sweep(points[i], forever, open_work, old_or_new_yaml, false);
    assert_true(positions > 40);
}

/* ---- progress */

static json_t *status(void)
{
    struct err e = {0};
    json_t *j = NULL;
    OK(json_read_file(testdir_path("status.json"), 10000, &j, &e));
    return j;
}

static double number(const json_t *j, const char *key)
{
    struct err e = {0};
    double v = -1;
    OK(json_get_f64(j, key, &v, &e));
    return v;
}

static void assert_word(const json_t *j, const char *key, const char *want)
{
    struct err e = {0};
    struct str s;
    OK(json_get_str(j, key, &s, &e));
    assert_string_equal(s.p, want);
}

static void status_says_how_far(void **state)
{
    (void)state;
    struct progress p;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", testdir_path("."));
    clock_freeze(1000);
    progress_start(&p, 0, "train", "tokens", 10000, dir);
    progress_update(&p, 4000, NULL); /* a resumed run: no work of ours */
    json_t *j = status();
    assert_word(j, "stage", "train");
    assert_word(j, "state", "running");
    assert_word(j, "unit", "tokens");
    assert_word(j, "updated", "1970-01-01T00:16:40Z");
    assert_true(number(j, "done") == 4000 && number(j, "total") == 10000);
    assert_true(json_is_null(json_object_get(j, "rate")));
    assert_true(json_is_null(json_object_get(j, "eta_s")));
    assert_true(number(j, "pid") == getpid());
    json_decref(j);

    clock_freeze(1001.5); /* too soon */
    progress_update(&p, 4100, "loss=3");
    j = status();
    assert_true(number(j, "done") == 4000);
    json_decref(j);

    clock_freeze(1010);
    progress_update(&p, 5000, "loss=2.5");
    j = status();
    assert_true(number(j, "done") == 5000 && number(j, "rate") == 100 && number(j, "eta_s") == 50);
    assert_word(j, "detail", "loss=2.5");
    json_decref(j);

    progress_end(&p, "stopped");
    j = status();
    assert_word(j, "state", "stopped");
    json_decref(j);
    progress_update(&p, 9999, NULL); /* after the end: nothing */
    j = status();
    assert_true(number(j, "done") == 5000);
    json_decref(j);
}

/* After minutes at one speed and minutes at another the rate is the later one. */
static void rate_is_recent(void **state)
{
    (void)state;
    struct progress p;
    char dir[1024];
    uint64_t done = 0;
    double t = 0;
    snprintf(dir, sizeof dir, "%s", testdir_path("."));
    clock_freeze(t);
    progress_start(&p, 0, "shard", "reports", 0, dir);
    for (int i = 0; i < 300; i++, t += 1) {
        clock_freeze(t);
        progress_update(&p, done += 1000, NULL);
    }
    for (int i = 0; i < 200; i++, t += 1) {
        clock_freeze(t);
        progress_update(&p, done += 10, NULL);
    }
    json_t *j = status();
    assert_true(number(j, "rate") > 9 && number(j, "rate") < 11);
    assert_true(json_is_null(json_object_get(j, "eta_s"))); /* no total */
    json_decref(j);
    progress_end(&p, "done");
}

static void logs_every_30_s(void **state)
{
    (void)state;
    struct err e = {0};
    struct progress p;
    OK(log_open_file(testdir_path("log"), &e));
    clock_freeze(100);
    progress_start(&p, 0, "ingest", "reports", 200, NULL);
    for (int i = 0; i <= 65; i++) {
        clock_freeze(100 + i);
        progress_update(&p, (uint64_t)i, "loss=1.5 lr=2");
    }
    progress_end(&p, "done");
    log_close();
    char *got = testdir_read(testdir_path("log"), NULL);
    assert_string_equal(
        got,
        "1970-01-01T00:02:10Z rank=0 info ingest.progress done=30 total=200 unit=reports rate=1 "
        "eta_s=170 loss=1.5 lr=2\n"
        "1970-01-01T00:02:40Z rank=0 info ingest.progress done=60 total=200 unit=reports rate=1 "
        "eta_s=140 loss=1.5 lr=2\n"
        "1970-01-01T00:02:45Z rank=0 info ingest.done done=65 unit=reports s=65.0 rate=1 "
        "loss=1.5 lr=2\n");
    free(got);
    assert_false(fs_exists(testdir_path("status.json")));
}

/* No rate, rather than a false one: no time has passed, nothing has moved yet, or all there was
 * came with the first count. A rate that has fallen to nothing is one. */
static void no_rate_without_grounds(void **state)
{
    (void)state;
    struct err e = {0};
    struct progress p;
    OK(log_open_file(testdir_path("log"), &e));
    clock_freeze(100);
    progress_start(&p, 0, "stats", "reports", 7, NULL);
    progress_update(&p, 0, NULL);
    progress_update(&p, 7, NULL); /* at once */
    progress_end(&p, "done");
    progress_start(&p, 0, "stats", "reports", 7, NULL);
    clock_freeze(101);
    progress_update(&p, 7, NULL);
    clock_freeze(102);
    progress_end(&p, "done");
    progress_start(&p, 0, "stats", "reports", 7, NULL); /* failed before it could count */
    clock_freeze(103);
    progress_end(&p, "failed");
    progress_start(&p, 0, "train", "steps", 0, NULL);
    progress_update(&p, 4, NULL);
    clock_freeze(133);
    progress_update(&p, 4, "loss=1");
    clock_freeze(163);
    progress_update(&p, 10, NULL); /* the last figure: six in sixty seconds */
    for (int s = 193; s <= 343; s += 30) {
        clock_freeze(s);
        progress_update(&p, 10, NULL);
    }
    progress_end(&p, "stopped");
    log_close();
    char *got = testdir_read(testdir_path("log"), NULL);
    static const char *const want[] = {
        "stats.done done=7 unit=reports s=0.0\n",
        "stats.done done=7 unit=reports s=2.0\n",
        "stats.failed done=0 unit=reports s=1.0\n",
        "train.progress done=4 total=0 unit=steps loss=1\n",
        "train.progress done=10 total=0 unit=steps rate=0.1\n",
        "train.progress done=10 total=0 unit=steps rate=0.06667\n",
        "train.progress done=10 total=0 unit=steps rate=0\n",
        "train.stopped done=10 unit=steps s=240.0 rate=0.025\n",
    };
    const char *at = got;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *next = strstr(at, want[i]);
        if (!next) fail_msg("no \"%s\" in\n%s", want[i], at);
        at = next + 1;
    }
    free(got);
}

static void other_ranks_are_silent(void **state)
{
    (void)state;
    struct progress p;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", testdir_path("."));
    progress_start(&p, 1, "train", "steps", 5, dir);
    progress_update(&p, 5, NULL);
    progress_end(&p, "done");
    assert_false(fs_exists(testdir_path("status.json")));
}

static void a_full_disk_does_not_stop_the_work(void **state)
{
    (void)state;
    struct err e = {0};
    struct progress p;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", testdir_path("."));
    clock_freeze(0);
    progress_start(&p, 0, "train", "steps", 5, dir);
    fault_arm(FAULT_FSYNC, 1, true);
    for (int i = 0; i < 5; i++) {
        clock_freeze(3 * i);
        progress_update(&p, (uint64_t)i, NULL);
    }
    fault_disarm_all();
    OK(log_open_file(testdir_path("log"), &e));
    progress_end(&p, "done");
    assert_false(fs_exists(testdir_path("status.json")));
}

/* ---- audit */

static void audit_lines(void **state)
{
    (void)state;
    struct err e = {0};
    clock_freeze(86400);
    OK(audit_note(testdir_path("d"), "export", "mediqa \"train\", 91544 pairs", &e));
    OK(audit_note(testdir_path("d"), "convert", "gguf", &e));
    char *got = testdir_read(testdir_path("d/audit.jsonl"), NULL), want[1200], host[256];
    assert_int_equal(gethostname(host, sizeof host), 0);
    snprintf(want, sizeof want,
             "{\"time\": \"1970-01-02T00:00:00Z\", \"uid\": %u, \"host\": \"%s\", \"action\": "
             "\"export\", \"what\": \"mediqa \\\"train\\\", 91544 pairs\"}\n"
             "{\"time\": \"1970-01-02T00:00:00Z\", \"uid\": %u, \"host\": \"%s\", \"action\": "
             "\"convert\", \"what\": \"gguf\"}\n",
             getuid(), host, getuid(), host);
    assert_string_equal(got, want);
    free(got);
}

/* Several processes at once: every line whole. */
static void audit_of_many(void **state)
{
    (void)state;
    struct err e = {0};
    enum { PROCESSES = 4, NOTES = 10 };
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0) continue;
        for (int k = 0; k < NOTES; k++)
            if (!audit_note(testdir_path("d"), "show", "one report", &e)) _exit(1);
        _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        wait(&status);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    char *got = testdir_read(testdir_path("d/audit.jsonl"), NULL);
    int lines = 0;
    for (char *line = strtok(got, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        json_t *j;
        OK(json_parse(str_of(line), "line", &j, &e));
        json_decref(j);
    }
    assert_int_equal(lines, PROCESSES * NOTES);
    free(got);
}

static bool audit_work(struct err *e)
{
    return audit_note(testdir_path("d"), "export", "x", e);
}

static size_t audit_size;

static void noted_if_ok(bool ok)
{
    size_t n;
    char *p = testdir_read(testdir_path("d/audit.jsonl"), &n);
    assert_true(n == 0 || p[n - 1] == '\n');
    if (ok) assert_true(n > audit_size);
    audit_size = n;
    free(p);
}

static void audit_faults(void **state)
{
    (void)state;
    struct err e = {0};
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_READ, FAULT_WRITE,
                                              FAULT_FSYNC};
    OK(audit_work(&e));
    audit_size = 0;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int forever = 0; forever < 2; forever++)
            assert_true(sweep(points[i], forever, audit_work, noted_if_ok, false) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUIET_TEST(begins_and_continues),
        QUIET_TEST(refuses_other_options),
        QUIET_TEST(one_job_at_a_time),
        QUIET_TEST(other_ranks_only_log),
        QUIET_TEST(faults),
        QUIET_TEST(status_says_how_far),
        QUIET_TEST(rate_is_recent),
        QUIET_TEST(logs_every_30_s),
        QUIET_TEST(no_rate_without_grounds),
        QUIET_TEST(other_ranks_are_silent),
        QUIET_TEST(a_full_disk_does_not_stop_the_work),
        QUIET_TEST(audit_lines),
        QUIET_TEST(audit_of_many),
        QUIET_TEST(audit_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
