/* Options to scripts: times, overrides, GPU-hours, what is refused. */
#include "base/base_test.h"

#include "slurm/render.h"

static struct arena arena;
static struct slurm_opts opts;
static struct slurm_plan plan;
static struct slurm_stage stages[] = {
    {.name = "ingest", .dir = "/w/corpus", .ranks = true},
    {.name = "train", .dir = "/w/run", .ranks = true},
    {.name = "evaluate", .dir = "/w/report"},
};

static int setup(void **state)
{
    int rc = live_setup(state);
    arena_init(&arena, 16 << 20);
    return rc;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return live_teardown(state);
}

#define RENDER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static bool load(const char *yaml, struct err *e)
{
    struct opt_doc doc;
    return opt_doc_parse(str_of(yaml), "c.yaml", NULL, 0, NULL, &arena, &doc, e) &&
           opt_bind(&doc, "slurm", slurm_table, &opts, e);
}

static bool make(const char *yaml, struct err *e)
{
    struct slurm_request q = {.opts = &opts,
                              .stages = stages,
                              .nstages = 3,
                              .title = "a\nb.yaml",
                              .program = "/opt/rad mill",
                              .version = "1"};
    return load(yaml, e) && slurm_plan(&q, &arena, &plan, e);
}

static void has(size_t job, const char *text)
{
    if (!strstr(plan.jobs[job].script.p, text))
        fail_msg("no '%s' in\n%s", text, plan.jobs[job].script.p);
}

static void has_not(size_t job, const char *text)
{
    if (strstr(plan.jobs[job].script.p, text))
        fail_msg("'%s' in\n%s", text, plan.jobs[job].script.p);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t s;
    } good[] = {{"10", 600},    {"0:30", 60},        {"90:00", 5400},       {"04:00:00", 14400},
                {"1-0", 86400}, {"1-12:30", 131400}, {"2-01:00:01", 176460}},
      bad[] = {{"", 0},      {"x", 0},  {"-", 0},         {"1-", 0},  {"1:2:3:4", 0},
               {"0", 0},     {"1:", 0}, {"UNLIMITED", 0}, {"1 0", 0}, {"99999999999999999999", 0},
               {"1-1-1", 0}, {":5", 0}};
    struct err e = {0};
    uint64_t s;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(render_time("t", str_of(good[i].text), &s, &e));
        if (s != good[i].s) fail_msg("%s: %llu", good[i].text, (unsigned long long)s);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(render_time("slurm.time", str_of(bad[i].text), &s, &e), ERR_CONFIG, "slurm.time");
}

static void a_chain(void **state)
{
    (void)state;
    struct err e = {0};
    OK(make("slurm:\n  dir: /w/s\n  partition: gpu\n  account: a b\n  nodes: 2\n"
            "  gpus_per_node: 4\n  cpus_per_rank: 8\n  time: \"10:00:00\"\n  modules: [x/1, y]\n"
            "  prologue: |\n    export A=1\n    source b\n  exclude: [n1, n2]\n"
            "  extra: [--mail-type=END]\n  container: apptainer exec --nv r.sif\n"
            "  stages: {train: {nodes: 3, gres: \"gpu:a100:2\", gpus_per_node: 2, time: 1-0, "
            "launcher: mpirun}}\n",
            &e));
    assert_string_equal(plan.dir, "/w/s/001");
    assert_int_equal(plan.njobs, 3);
    has(0, "#!/bin/bash -l\n");
    has(0, "stage ingest of a?b.yaml.\n");
    has(0, "#SBATCH --partition=gpu\n#SBATCH --account=\"a b\"\n");
    has(0, "#SBATCH --exclude=n1,n2\n#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n");
    has_not(0, "--gres");
    has(0, "#SBATCH --output=/w/s/001/ingest.log\n#SBATCH --open-mode=append\n");
    has(0, "#SBATCH --signal=B:USR1@180\n#SBATCH --requeue\n");
    has(0, "#SBATCH --mail-type=END\n");
    has(0, "module load x/1 y\n");
    has(0, "# slurm.prologue\nexport A=1\nsource b\n");
    has(0, "program='/opt/rad mill'\n");
    has(0, "  srun -K1 --mpi=pmix apptainer exec --nv r.sif \"$program\" ingest ");
    has(1, "#SBATCH --nodes=3\n#SBATCH --ntasks-per-node=2\n#SBATCH --cpus-per-task=8\n"
           "#SBATCH --gres=gpu:a100:2\n#SBATCH --time=1-0\n");
    has(1, "  mpirun apptainer exec --nv r.sif \"$program\" train \"$submission/config.yaml\" &\n");
    has(2, "#SBATCH --nodes=1\n#SBATCH --ntasks-per-node=1\n");
    assert_true(plan.jobs[0].gpu_hours == 0.0);
    assert_true(plan.jobs[1].gpu_hours == 3 * 2 * 24.0);
    assert_true(plan.jobs[2].gpu_hours == 10.0);
    struct sbuf b;
    sbuf_init(&b, 65536);
    OK(slurm_plan_table(&plan, &b, &e));
    assert_non_null(strstr(b.p, "at most 154.0 GPU-hours"));
    sbuf_free(&b);
}

static void gres_alone_counts(void **state)
{
    (void)state;
    struct err e = {0};
    OK(make("slurm: {dir: /w/s, gres: \"shard:1,gpu:a100:4\", time: \"01:00:00\"}\n", &e));
    has_not(0, "--gres");
    has(1, "#SBATCH --ntasks-per-node=4\n#SBATCH --gres=shard:1,gpu:a100:4\n");
    assert_true(plan.jobs[1].gpu_hours == 4.0);
    OK(make("slurm: {dir: /w/s, requeue: false, signal: USR2}\n", &e));
    has(1, "#SBATCH --signal=B:USR2@180\n#SBATCH --no-requeue\n");
    has_not(1, "scontrol requeue");
}

static void numbers_go_on(void **state)
{
    (void)state;
    struct err e = {0};
    char yaml[600];
    testdir_write(testdir_path("x"), "", 0);
    snprintf(yaml, sizeof yaml, "slurm: {dir: %s}\n", testdir_path(""));
    testdir_write(testdir_path("007"), "", 0);
    OK(make(yaml, &e));
    assert_int_equal(plan.number, 8);
}

static void refused(void **state)
{
    (void)state;
    struct err e = {0};
    FAILS(make("slurm: {dir: /w/s, stages: {trian: {nodes: 2}}}\n", &e), ERR_CONFIG, "trian");
    FAILS(make("slurm: {dir: /w/s, stages: {train: {nods: 2}}}\n", &e), ERR_CONFIG,
          "slurm.stages.train.nods'; the nearest is 'slurm.stages.train.nodes");
    FAILS(make("slurm: {dir: /w/s, stages: {train: {nodes: 0}}}\n", &e), ERR_CONFIG,
          "slurm.stages.train.nodes");
    FAILS(make("slurm: {dir: /w/s, stages: {train: {dir: x}}}\n", &e), ERR_CONFIG, "set slurm.dir");
    FAILS(make("slurm: {dir: /w/s, stages: {evaluate: {nodes: 2}}}\n", &e), ERR_CONFIG,
          "evaluate runs as one process");
    FAILS(make("slurm: {dir: /w/s, partition: \"a\\nb\"}\n", &e), ERR_CONFIG, "slurm.partition");
    FAILS(make("slurm: {dir: /w/s, extra: [mail]}\n", &e), ERR_CONFIG, "no option of sbatch");
    FAILS(make("slurm: {dir: /w/s, time: soon}\n", &e), ERR_CONFIG, "stage ingest: slurm.time");
    FAILS(make("slurm: {dir: /w/s, time: \"3\"}\n", &e), ERR_CONFIG, "leaves no time for work");
    FAILS(make("slurm: {dir: \"/w/\\\\s\"}\n", &e), ERR_CONFIG, "backslash");
    FAILS(make("slurm: {dir: /w/s, gpus_per_node: 2, ranks_per_node: 3, stages: {ingest: {nodes: "
               "2}}}\n",
               &e),
          ERR_CONFIG, "stage train: 3 ranks would share 2 GPUs");
    FAILS(make("slurm: {dir: /w/s, launcher: \"\"}\n", &e), ERR_CONFIG, "slurm.launcher");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RENDER_TEST(times),         RENDER_TEST(a_chain), RENDER_TEST(gres_alone_counts),
        RENDER_TEST(numbers_go_on), RENDER_TEST(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
