#include "sweep_kit.h"

#include <math.h>

#include "base/fs.h"
#include "base/log.h"

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

double kit_loss(const struct sweep *s, const struct space_point *p, uint32_t rung)
{
    double sum = 0;
    for (size_t d = 0; d < s->space.n; d++) {
        const struct space_param *q = &s->space.p[d];
        double lo = q->log ? log(q->lo) : q->lo, hi = q->log ? log(q->hi) : q->hi;
        double x = ((q->log ? log(p->v[d]) : p->v[d]) - lo) / (hi - lo);
        sum += (x - 0.3) * (x - 0.3);
    }
    return sum + 1.0 / (1 + (double)s->rungs.resource[rung]);
}

/* kill -9 now, if the dice say so. */
static void maybe_die(struct kit *k)
{
    k->dice = k->dice * 6364136223846793005ULL + 1442695040888963407ULL;
    if ((k->dice >> 33) % 1000 < k->die_in) kill(getpid(), SIGKILL);
}

static bool fake_trial(void *ctx, const struct sweep *s, const struct sweep_unit *u,
                       const struct space_point *p, struct sweep_result *out, struct comm *c,
                       struct err *e)
{
    struct kit *k = ctx;
    const char *dir, *path;
    char text[64];
    struct str was = {"", 0};
    (void)c;

    if (!sweep_trial_dir(s->o, u->trial, &k->arena, &dir, e) || !fs_mkdirs(dir, e)) return false;
    if (!fs_join(&k->arena, dir, "checkpoint", &path, e)) return false;
    if (fs_exists(path) && !fs_read_file(path, 64, &k->arena, &was, e)) return false;
    k->trials++;
    k->resumed += was.n > 0;
    maybe_die(k);
    if (k->naps_us) usleep(k->naps_us);
    snprintf(text, sizeof text, "%.*s%u", STR_ARG(was), u->rung);
    if (!fs_replace(path, str_of(text), e)) return false;
    maybe_die(k);
    out->value[SWEEP_DEV_LOSS] = kit_loss(s, p, u->rung);
    out->total_steps = 1000;
    out->step = rungs_steps(&s->rungs, u->rung, 1000);
    return true;
}

void kit_make(struct kit *k, const char *name, const char *yaml)
{
    struct err e = {0};
    struct opt_doc doc;
    struct sbuf b;

    *k = (struct kit){.runner = {.trial = fake_trial, .poll_s = 0.02}};
    k->runner.ctx = k;
    arena_init(&k->arena, 256 << 20);
    log_setup(LOG_ERROR, 0);
    OK(opt_doc_parse(str_of(yaml), "kit", NULL, 0, no_env, &k->arena, &doc, &e));
    OK(opt_bind(&doc, "sweep", sweep_table, &k->opts, &e));
    k->opts.dir = testdir_path(name);
    struct str dir;
    OK(arena_str(&k->arena, str_of(k->opts.dir), &dir, &e));
    k->opts.dir = dir.p;
    sbuf_init(&b, sizeof k->config);
    OK(opt_dump("sweep", sweep_table, &k->opts, &b, &e));
    snprintf(k->config, sizeof k->config, "%s", b.p);
    sbuf_free(&b);
}

void kit_free(struct kit *k)
{
    arena_free(&k->arena);
}

void kit_open(struct kit *k, struct sweep *s)
{
    struct err e = {0};
    OK(sweep_open(&k->opts, str_of(k->config), &k->runner, true, s, &e));
}

void kit_work(struct kit *k, struct sweep *s)
{
    struct err e = {0};
    struct comm *c;
    OK(comm_open_self(&c, &e));
    OK(sweep_work(s, &k->runner, c, &e));
    comm_close(c);
}

pid_t kit_fork(struct kit *k, unsigned number)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    struct err e = {0};
    struct sweep s;
    struct comm *c;
    k->dice = number * 0x9e3779b97f4a7c15ULL + 1;
    bool ok = sweep_open(&k->opts, str_of(k->config), &k->runner, true, &s, &e) &&
              comm_open_self(&c, &e) && sweep_work(&s, &k->runner, c, &e);
    if (!ok) fprintf(stderr, "worker %u: %s\n", number, e.text);
    _exit(ok ? 0 : 1);
}

unsigned kit_run(struct kit *k, unsigned n)
{
    unsigned number = 0, live = 0, killed = 0;
    for (; live < n; live++)
        assert_true(kit_fork(k, ++number) > 0);
    while (live > 0) {
        int status;
        pid_t pid = wait(&status);
        assert_true(pid > 0);
        live--;
        if (WIFSIGNALED(status)) {
            killed++;
            assert_true(killed < 10000);
            assert_true(kit_fork(k, ++number) > 0);
            live++;
        } else {
            assert_int_equal(WEXITSTATUS(status), 0);
        }
    }
    return killed;
}
