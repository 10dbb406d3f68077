/* Submitting and asking, with a sbatch, squeue and scancel of the test's own: what they are told, what is made of what
 * they say. The real ones: chain.sh, living.sh. */
#include "base/base_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "slurm/queue.h"

static struct arena arena;
static struct slurm_opts opts;
static struct slurm_plan plan;
static const struct slurm_stage stages[] = {
    {.name = "ingest", .dir = "/w/corpus", .ranks = true},
    {.name = "train", .dir = "/w/run", .ranks = true},
    {.name = "evaluate", .dir = "/w/report"},
};
static const struct slurm_request request = {.opts = &opts,
                                             .stages = stages,
                                             .nstages = 3,
                                             .title = "c.yaml",
                                             .program = "/opt/radmill",
                                             .version = "1",
                                             .config = STR_INIT("a: 1\n")};

/* A program of this name that notes its arguments, then does `body`. */
static void stand_in(const char *name, const char *body)
{
    char path[1100], text[2400];
    int n = snprintf(text, sizeof text, "#!/bin/sh\necho \"%s $*\" >>'%s'\n%s\n", name,
                     testdir_path("calls"), body);
    snprintf(path, sizeof path, "%s", testdir_path(name));
    testdir_write(path, text, (size_t)n);
    assert_int_equal(chmod(path, 0700), 0);
}

/* Ids count up from 101; at the refused one sbatch says no. */
static void stand_ins(int refused, const char *squeue)
{
    char body[1400];
    snprintf(body, sizeof body,
             "n=$((100 + $(grep -c sbatch '%s')))\n[ $n != %d ] || { echo no such account >&2; "
             "exit 1; }\necho \"$n;cluster\"",
             testdir_path("calls"), refused);
    stand_in("sbatch", body);
    stand_in("scancel", "");
    stand_in("squeue", squeue);
}

static int setup(void **state)
{
    static char path[4096];
    static const char *before;
    int rc = live_setup(state);
    struct opt_doc doc;
    struct err e = {0};
    char yaml[700];

    if (!before) before = getenv("PATH");
    snprintf(path, sizeof path, "%s:%s", testdir_path(""), before);
    setenv("PATH", path, 1);
    arena_init(&arena, 16 << 20);
    snprintf(yaml, sizeof yaml, "slurm: {dir: '%s'}\n", testdir_path("jobs"));
    OK(opt_doc_parse(str_of(yaml), "c.yaml", NULL, 0, NULL, &arena, &doc, &e));
    OK(opt_bind(&doc, "slurm", slurm_table, &opts, &e));
    OK(slurm_plan(&request, &arena, &plan, &e));
    return rc;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return live_teardown(state);
}

#define SUBMIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The calls since the last look, each ended by a comma, without folders. */
static const char *calls(void)
{
    static char out[2000];
    size_t n = 0;
    char *text = testdir_read(testdir_path("calls"), NULL), *word = text;
    for (char *p = text;; p++) {
        if (*p && *p != ' ' && *p != '\n') continue;
        char *base = word;
        for (char *q = word; q < p; q++)
            if (*q == '/') base = q + 1;
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s%s", (int)(p - base), base,
                              *p == '\n' ? ","
                              : *p       ? " "
                                         : "");
        word = p + 1;
        if (!*p) break;
    }
    free(text);
    testdir_write(testdir_path("calls"), "", 0);
    return out;
}

static void a_chain_and_its_queue(void **state)
{
    struct err e = {0};
    struct queue_jobs jobs;
    char live[64];
    (void)state;

    stand_ins(0, "printf '102|PENDING|Dependency\\n101|RUNNING|None\\n99|RUNNING|None\\n'");
    OK(slurm_submit(&plan, &request, &arena, &e));
    assert_string_equal(calls(), "sbatch --parsable ingest.sh,"
                                 "sbatch --parsable --dependency=afterok:101 train.sh,"
                                 "sbatch --parsable --dependency=afterok:102 evaluate.sh,");
    assert_string_equal(plan.jobs[2].id, "103");
    char *config = testdir_read(testdir_path("jobs/001/config.yaml"), NULL);
    assert_string_equal(config, "a: 1\n");
    free(config);
    OK(queue_load(plan.dir, &arena, &jobs, &e));
    assert_int_equal(jobs.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(str_eqz(jobs.v[i].stage, stages[i].name));
        assert_true(str_eqz(jobs.v[i].id, plan.jobs[i].id));
    }
    OK(queue_ask(&jobs, &arena, &e));
    assert_string_equal(jobs.v[0].state, "RUNNING");
    assert_string_equal(jobs.v[1].state, "PENDING (Dependency)");
    assert_string_equal(jobs.v[2].state, "");
    assert_int_equal(queue_live(&jobs, live, sizeof live), 2);
    assert_string_equal(live, "101 102");
    (void)calls();
    OK(slurm_plan(&request, &arena, &plan, &e));
    assert_int_equal(plan.number, 2);
    FAILS(slurm_submit(&plan, &request, &arena, &e), ERR_CONFIG, "101 102");
    assert_null(strstr(calls(), "sbatch"));
}

static void half_a_chain_is_taken_back(void **state)
{
    struct err e = {0};
    (void)state;

    stand_ins(103, "");
    FAILS(slurm_submit(&plan, &request, &arena, &e), ERR_CONFIG, "no such account");
    assert_non_null(strstr(calls(), "evaluate.sh,scancel 102,scancel 101,"));
}

static void nothing_is_submitted_without_its_files(void **state)
{
    struct err e = {0};
    (void)state;

    stand_ins(0, "");
    OK(fs_mkdirs(opts.dir, &e));
    testdir_write(plan.dir, "", 0); /* in the way of the folder */
    testdir_write(testdir_path("calls"), "", 0);
    assert_false(slurm_submit(&plan, &request, &arena, &e));
    assert_string_equal(calls(), "");
}

static void an_answer_is_kept_for_a_minute(void **state)
{
    struct queue_jobs jobs = {.v = {{.stage = STR_INIT("ingest"), .id = STR_INIT("7")},
                                    {.stage = STR_INIT("sweep"), .id = STR_INIT("8"), .tasks = 3}},
                              .n = 2};
    double age;
    (void)state;

    stand_ins(
        0, "printf '8|RUNNING|None\\n8|PENDING|Resources\\n7|COMPLETING|None\\n8|RUNNING|None\\n'");
    for (int i = 0; i < 2; i++) {
        queue_ask_seldom(testdir_path("."), &jobs, &arena, &age);
        assert_string_equal(jobs.v[0].state, "COMPLETING");
        assert_string_equal(jobs.v[1].state, "2 RUNNING, 1 waiting");
        assert_true(age >= 0);
    }
    assert_null(strstr(calls() + 1, "squeue"));                           /* once */
    testdir_write(testdir_path("squeue.txt"), "5\n7|RUNNING|None\n", 17); /* of 1970 */
    stand_in("squeue", "exit 1");
    queue_ask_seldom(testdir_path("."), &jobs, &arena, &age);
    assert_true(age < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUBMIT_TEST(a_chain_and_its_queue),
        SUBMIT_TEST(half_a_chain_is_taken_back),
        SUBMIT_TEST(nothing_is_submitted_without_its_files),
        SUBMIT_TEST(an_answer_is_kept_for_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
