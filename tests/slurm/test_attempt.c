/* What becomes of a job, for every way an attempt can end. */
#include "base/base_test.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "slurm/job_log.h"
#include "slurm/slurm.h"

static struct slurm_opts opts;
static struct slurm_attempt t;
static struct sbuf avoid, reason;
static char dir[256];

static int setup(void **state)
{
    int rc = live_setup(state);
    clock_freeze(1790000000);
    snprintf(dir, sizeof dir, "%s", testdir_path(""));
    opts = (struct slurm_opts){.ranks_per_node = 2, .retries = 2, .requeue = true};
    t = (struct slurm_attempt){.opts = &opts,
                               .dir = dir,
                               .name = "train",
                               .status_dir = dir,
                               .job = "12",
                               .nodes = "n1 n2 "};
    sbuf_init(&avoid, 4096);
    sbuf_init(&reason, 4096);
    return rc;
}

static int teardown(void **state)
{
    clock_freeze(-1);
    sbuf_free(&avoid);
    sbuf_free(&reason);
    return live_teardown(state);
}

#define ATTEMPT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- what the attempt leaves */
static void status(const char *state, int saved)
{
    char text[160];
    int n = snprintf(text, sizeof text, "{\"state\": \"%s\", \"done\": 99, \"saved\": %d}", state,
                     saved);
    testdir_write(testdir_path("status.json"), text, (size_t)n);
}

static void result(int code, enum err_code kind, int rank, const char *text)
{
    struct err e = {0}, how = {.code = kind, .rank = rank};
    snprintf(how.text, sizeof how.text, "%s", text);
    OK(slurm_result_write(testdir_path("train.result.json"), code, &how, &e));
}

static void log_text(const char *text)
{
    FILE *f = fopen(testdir_path("train.log"), "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void begins(void)
{
    struct err e = {0};
    OK(slurm_attempt_begin(&t, &e));
}

static void ends(int code, enum slurm_verdict want, const char *why, const char *nodes)
{
    struct err e = {0};
    enum slurm_verdict got;
    sbuf_clear(&avoid);
    sbuf_clear(&reason);
    OK(slurm_attempt_end(&t, code, &got, &avoid, &reason, &e));
    if (got != want || !strstr(reason.p, why) || strcmp(avoid.n ? avoid.p : "", nodes) != 0)
        fail_msg("verdict %d, avoid '%s', because: %s", (int)got, avoid.n ? avoid.p : "", reason.p);
}

/* ---- cases */
static void finished(void **state)
{
    (void)state;
    begins();
    status("done", 16);
    result(0, ERR_NONE, 0, "");
    ends(0, SLURM_DONE, "finished", "");
    begins(); /* the program's word counts, not that of a launcher that died in its last breath */
    result(0, ERR_NONE, 0, "");
    ends(143, SLURM_DONE, "finished", "");
    begins(); /* and without the program's word: the stage's own state */
    ends(0, SLURM_DONE, "finished", "");
    status("running", 16);
    ends(0, SLURM_REQUEUE, "killed", "");
}

static void stopped_goes_back(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) { /* as long as it saves something */
        begins();
        status("stopped", i);
        result(75, ERR_STOPPED, 0, "stopped as asked after step 3 of 16");
        ends(75, SLURM_REQUEUE, "stopped as asked", "");
    }
}

static void restarts_that_save_nothing_end(void **state)
{
    (void)state;
    struct err e = {0};
    status("running", 4);
    for (int i = 0; i < 2; i++) {
        begins();
        log_text("srun: error: n2: task 2: Killed\n");
        ends(143, SLURM_REQUEUE, "killed: srun: error: n2: task 2: Killed", "n2");
    }
    begins();
    log_text("srun: error: n1: tasks 0-1: Killed\n");
    ends(143, SLURM_FAIL, "no restart left", "n2,n1");
    FAILS(slurm_attempt_begin(&t, &e), ERR_LIMIT, "2 restarts in a row saved nothing");
    t.job = "13"; /* submitted again by hand: a new count */
    begins();
}

/* SLURM itself requeued (a lost node): attempts without an end count too. */
static void silent_restarts_end(void **state)
{
    (void)state;
    struct err e = {0};
    begins();
    begins();
    begins();
    FAILS(slurm_attempt_begin(&t, &e), ERR_LIMIT, "restarts in a row");
    struct arena a;
    struct job_log j;
    arena_init(&a, 1 << 20);
    OK(job_log_read(testdir_path("train.journal.jsonl"), NULL, &a, &j, &e));
    assert_int_equal(j.attempts, 3);
    assert_false(j.running);
    assert_true(str_eqz(j.verdict, "failed"));
    arena_free(&a);
    status("running", 1);
    begins();
}

static void errors(void **state)
{
    (void)state;
    begins();
    result(2, ERR_CONFIG, 0, "train.lr: no");
    ends(2, SLURM_FAIL, "failed: train.lr: no", "");
    begins();
    result(1, ERR_FORMAT, 0, "shard 3 is broken");
    ends(1, SLURM_FAIL, "shard 3 is broken", "");
    /* what a node may be to blame for is tried once more, elsewhere */
    status("running", 8);
    begins();
    result(1, ERR_IO, 3, "cannot write x: No space left on device");
    ends(1, SLURM_REQUEUE, "tried once more", "n2");
    begins();
    result(1, ERR_IO, 0, "cannot write x: No space left on device");
    ends(1, SLURM_FAIL, "No space left", "n2");
    status("running", 9);
    begins();
    result(124, ERR_LIB, -1, "all wait for one another"); /* no rank is named: no node to avoid */
    ends(143, SLURM_REQUEUE, "hung: all wait", "n2");
    begins();
    result(124, ERR_LIB, 1, "rank 1 stands still");
    ends(143, SLURM_REQUEUE, "hung: rank 1 stands still", "n2,n1");
}

static void the_log_names_the_node(void **state)
{
    (void)state;
    opts.retries = 100;
    opts.exclude = (struct opt_strs){(const char *const[]){"bad[1-9]"}, 1};
    log_text("srun: error: n1: task 0: Killed\n"); /* of an earlier run of the log */
    begins();
    log_text("radmill: hello\nslurmstepd: error: x\nsrun: error: n2: task 2: Segmentation fault\n"
             "srun: error: n1: tasks 0-1: Terminated\n");
    ends(139, SLURM_REQUEUE, "n2: task 2: Segmentation", "n2,bad[1-9]");
    begins();
    log_text("srun: error: other: task 2: Killed\n"); /* not one of ours */
    ends(143, SLURM_REQUEUE, "other: task 2", "n2,bad[1-9]");
    begins();
    log_text("srun: error: n1: task 1: Out Of Memory\n"); /* any node would be too small */
    ends(143, SLURM_REQUEUE, "Out Of Memory", "n2,bad[1-9]");
    begins();
    log_text("mpirun noticed that process rank 1 with PID 9 on node n1 exited on signal 9 (K).\n");
    ends(137, SLURM_REQUEUE, "mpirun noticed", "n2,n1,bad[1-9]");
    begins();
    ends(143, SLURM_REQUEUE, "without a word", "n2,n1,bad[1-9]");
}

static void torn_files_cost_little(void **state)
{
    (void)state;
    begins();
    FILE *f = fopen(testdir_path("train.journal.jsonl"), "a");
    assert_non_null(f);
    fputs("{\"event\":\"end\",\"jo\n[]\n7\n{\"event\":\"begin\",\"job\":\"1", f);
    fclose(f);
    testdir_write(testdir_path("train.result.json"), "{\"exit\": 0", 10);
    testdir_write(testdir_path("status.json"), "[", 1);
    ends(0, SLURM_REQUEUE, "killed", "");
    begins();
    result(75, ERR_STOPPED, 0, "stopped");
    ends(75, SLURM_REQUEUE, "stopped", "");
}

static bool attempt(struct err *e)
{
    enum slurm_verdict v;
    t.job = "77";
    opts.retries = 1000;
    bool ok = slurm_attempt_begin(&t, e) && slurm_attempt_end(&t, 143, &v, &avoid, &reason, e);
    sbuf_free(&avoid);
    sbuf_free(&reason);
    return ok;
}

static void whole(bool ok)
{
    struct err e = {0};
    struct arena a;
    struct job_log j;
    (void)ok;
    arena_init(&a, 1 << 20);
    OK(job_log_read(testdir_path("train.journal.jsonl"), "77", &a, &j, &e));
    arena_free(&a);
}

static void faults(void **state)
{
    (void)state;
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_READ, FAULT_WRITE,
                                              FAULT_FSYNC};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        assert_true(sweep(points[i], false, attempt, whole, true) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ATTEMPT_TEST(finished),
        ATTEMPT_TEST(stopped_goes_back),
        ATTEMPT_TEST(restarts_that_save_nothing_end),
        ATTEMPT_TEST(silent_restarts_end),
        ATTEMPT_TEST(errors),
        ATTEMPT_TEST(the_log_names_the_node),
        ATTEMPT_TEST(torn_files_cost_little),
        ATTEMPT_TEST(faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
