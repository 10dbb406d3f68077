/*
 * tests/train/driver - trains a tiny random model on the kit's samples, for scripts that stop, kill
 * and resume it: driver MODEL_DIR SHARDS_DIR RUN_DIR [SECTION.KEY=VALUE ...]
 *
 * Model and shards are made when missing. Exit codes as radmill's: 0, 1, 2, 75. SIGTERM asks to stop.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "comm/hang.h"
#include "train/kit.h"
#include "train/train.h"

static void on_signal(int number)
{
    (void)number;
    stop_request();
}

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static int exit_code(const struct err *e)
{
    if (e->code == ERR_STOPPED) return 75;
    return e->code == ERR_CONFIG ? 2 : 1;
}

static bool bind(char **argv, int argc, struct arena *a, struct train_opts *t, struct lora_opts *l,
                 struct model_opts *m, struct err *e)
{
    static const struct str text = STR_INIT("train: {epochs: 3}\nlora: {rank: 4, alpha: 8}\n");
    struct opt_doc doc;
    const char *sets[64];
    size_t n = 0;

    for (int i = 4; i < argc && n < 60; i++)
        sets[n++] = argv[i];
    return opt_doc_parse(text, "driver", sets, n, no_env, a, &doc, e) &&
           opt_bind(&doc, "train", train_table, t, e) && opt_bind(&doc, "lora", lora_table, l, e) &&
           opt_bind(&doc, "model", model_table, m, e);
}

int main(int argc, char **argv)
{
    struct comm *c = NULL;
    struct err e = {0};
    struct arena a;
    struct train_opts t;
    struct lora_opts l;
    struct model_opts m;
    struct train_summary s;

    if (!comm_open(&argc, &argv, &c, &e)) kit_die("comm", &e);
    if (argc < 4) return 2;
    test_device_rank(comm_local_rank(c));
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, on_signal);
    log_setup(getenv("DRIVER_VERBOSE") ? LOG_INFO : LOG_WARN, comm_rank(c));
    arena_init(&a, 1 << 20);
    bool ok = bind(argv, argc, &a, &t, &l, &m, &e);
    if (ok) {
        if (comm_rank(c) == 0) {
            kit_model(argv[1], &kit_small);
            kit_shards(argv[2]);
        }
        comm_barrier(c);
        t.dir = argv[3];
        m.base = argv[1];
        struct train_job job = {.train = &t,
                                .lora = &l,
                                .model = &m,
                                .shards_dir = argv[2],
                                .version = "test",
                                .commit = "test"};
        struct hang_opts watch = {t.hang_minutes * 60, "train", argv[3]};
        if (getenv("DRIVER_PAUSE")) job.pause_at_step = strtoull(getenv("DRIVER_PAUSE"), NULL, 10);
        ok = hang_watch(c, &watch, &e) && train_run(&job, c, &s, &e);
        hang_release();
    }
    if (!ok && comm_rank(c) == 0) fprintf(stderr, "driver: rank %d: %s\n", e.rank, e.text);
    if (ok && comm_rank(c) == 0)
        printf(
            "step=%d of=%d train_loss=%.6f dev_loss=%.6f best=%d finished=%d early=%d paused=%d\n",
            (int)s.steps, (int)s.total_steps, s.train_loss, s.dev_loss, (int)s.best_step,
            s.finished, s.early_stopped, s.paused);
    int code = ok ? 0 : exit_code(&e);
    arena_free(&a);
    comm_close(c);
    return code;
}
