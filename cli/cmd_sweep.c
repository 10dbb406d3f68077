/* radmill sweep: run, worker, status, best, report. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stop.h"
#include "cli/sweep_env.h"
#include "sweep/sweep_report.h"

enum { WORKERS_MAX = 256, RESTARTS_PER_WORKER = 5, TOP_MAX = 1000 };

/* ---- counting */

static void show(struct sweep_env *v, struct progress *p)
{
    struct sweep_tally t = sweep_tally(&v->s);
    char detail[128];

    if (t.has_best)
        snprintf(detail, sizeof detail,
                 "running=%" PRIu64 " failed=%" PRIu64 " best=%.5g trial=%" PRIu64, t.running,
                 t.failed, t.best_value, t.best);
    else
        snprintf(detail, sizeof detail, "running=%" PRIu64 " failed=%" PRIu64, t.running, t.failed);
    progress_update(p, t.ended, detail);
}

/* ---- worker */

static void on_progress(void *ctx, const struct sweep *s)
{
    struct trial_env *env = ctx;
    struct sweep_env *v = env->ctx;
    (void)s;
    show(v, &v->progress);
}

/* "1234_5" in a job array, "1234" in a job, NULL elsewhere. */
static const char *own_job(struct cmd_call *call)
{
    const char *job = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");
    char text[128];
    struct str s;

    if (!job || !task) return getenv("SLURM_JOB_ID");
    snprintf(text, sizeof text, "%.60s_%.60s", job, task);
    return arena_str(&call->arena, str_of(text), &s, &call->err) ? s.p : NULL;
}

static bool work(struct cmd_call *call)
{
    struct sweep_env v;
    bool ok = sweep_env_open(&v, call, comm_rank(call->comm) == 0, false);

    ok = comm_agree(call->comm, ok, &call->err);
    if (ok) {
        v.runner.job = own_job(call);
        v.runner.progress = on_progress;
        log_setup(LOG_WARN, comm_rank(call->comm)); /* a line a trial, not a line a step */
        progress_start(&v.progress, comm_rank(call->comm), "sweep", "trials", v.c.sweep.trials,
                       v.c.sweep.dir);
        ok = sweep_work(&v.s, &v.runner, call->comm, &call->err);
        show(&v, &v.progress);
        progress_end(&v.progress, ok                              ? "done"
                                  : call->err.code == ERR_STOPPED ? "stopped"
                                                                  : "failed");
    }
    sweep_env_close(&v);
    return ok;
}

/* A worker of several ranks needs MPI; the other actions must not start it. */
static bool start_ranks(struct cmd_call *call)
{
    static char name[] = "radmill";
    static char *words[] = {name, NULL};
    char **argv = words;
    int argc = 1;

    comm_close(call->comm);
    call->comm = NULL;
    if (!comm_open(&argc, &argv, &call->comm, &call->err)) return false;
    log_setup(LOG_INFO, comm_rank(call->comm));
    return true;
}

/* ---- run: workers on this machine */

struct crew {
    struct cmd_call *call;
    pid_t pid[WORKERS_MAX];
    unsigned n, live, restarts, failed;
    char *argv[2 * CMD_MAX_SETS + 8];
    const char *log; /* of the workers' terminal lines */
};

static void become_worker(struct crew *w)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* when the parent is killed: save and go */
    if (!freopen(w->log, "a", stderr) || !freopen("/dev/null", "w", stdout)) _exit(1);
    execv("/proc/self/exe", w->argv);
    _exit(1);
}

static bool start_worker(struct crew *w, unsigned slot)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) return err_sys(&w->call->err, "cannot start a worker");
    if (pid == 0) become_worker(w);
    w->pid[slot] = pid;
    w->live++;
    return true;
}

/* Take in one that ended; those that were killed are replaced. */
static bool take_in(struct crew *w, pid_t pid, int status)
{
    for (unsigned i = 0; i < w->n; i++) {
        if (w->pid[i] != pid) continue;
        w->live--;
        w->pid[i] = 0;
        bool killed = WIFSIGNALED(status);
        if (!killed && WEXITSTATUS(status) != 0) w->failed++;
        if (!killed || stop_requested()) return true;
        log_warn("worker_killed", "signal=%d", WTERMSIG(status));
        if (w->restarts++ == RESTARTS_PER_WORKER * w->n)
            return err_set(&w->call->err, ERR_LIB,
                           "workers were killed %u times; %s has what they said", w->restarts,
                           w->log);
        return start_worker(w, i);
    }
    return true;
}

static bool watch(struct crew *w, struct sweep_env *v, struct progress *p)
{
    bool told = false, ok = true;
    double next_s = 0;

    while (ok && w->live > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) ok = take_in(w, pid, status);
        if (stop_requested() && !told) {
            for (unsigned i = 0; i < w->n; i++)
                if (w->pid[i] > 0) kill(w->pid[i], SIGTERM);
            told = true;
        }
        if (pid > 0 || clock_mono_s() < next_s) {
            usleep(20000);
            continue;
        }
        next_s = clock_mono_s() + 1;
        ok = ok && sweep_refresh(&v->s, &w->call->err);
        if (ok) show(v, p);
    }
    for (unsigned i = 0; !ok && i < w->n; i++)
        if (w->pid[i] > 0) kill(w->pid[i], SIGTERM);
    return ok && sweep_refresh(&v->s, &w->call->err);
}

static void set_argv(struct crew *w)
{
    static char program[] = "radmill", sweep[] = "sweep", worker[] = "worker", set[] = "--set";
    struct cmd_call *call = w->call;
    size_t n = 0;

    w->argv[n++] = program;
    w->argv[n++] = sweep;
    w->argv[n++] = worker;
    w->argv[n++] = (char *)(uintptr_t)call->pos[0];
    for (size_t i = 0; i < call->nsets; i++) {
        w->argv[n++] = set;
        w->argv[n++] = (char *)(uintptr_t)call->sets[i];
    }
    w->argv[n] = NULL;
}

static bool finish(struct crew *w, struct sweep_env *v, struct progress *p, bool ok)
{
    struct err *e = &w->call->err;
    struct sweep_tally t = sweep_tally(&v->s);

    show(v, p);
    if (ok && stop_requested())
        ok = err_set(e, ERR_STOPPED, "stopped as asked; the same command goes on");
    else if (ok && w->failed > 0)
        ok = err_set(e, ERR_LIB,
                     "%u of %u workers failed; the last lines of %s say why; the same "
                     "command goes on",
                     w->failed, w->n, w->log);
    progress_end(p, ok ? "done" : e->code == ERR_STOPPED ? "stopped" : "failed");
    if (t.has_best)
        cmd_print(w->call,
                  "%s: %" PRIu64 " trials, best %s %.6g of trial %" PRIu64
                  "; radmill sweep best, radmill sweep report\n",
                  v->c.sweep.dir, t.ended, sweep_metric_names[v->c.sweep.goal.metric], t.best_value,
                  t.best);
    return ok;
}

static bool run(struct cmd_call *call)
{
    struct crew w = {.call = call};
    struct progress p;
    struct sweep_env v;
    bool ok = sweep_env_open(&v, call, !call->dry_run, true);

    if (ok && call->dry_run) ok = sweep_env_cost(&v);
    if (!ok || call->dry_run) goto out;
    w.n = v.c.sweep.workers;
    set_argv(&w);
    ok = fs_join(&call->arena, v.c.sweep.dir, "workers.log", &w.log, &call->err);
    progress_start(&p, 0, "sweep", "trials", v.c.sweep.trials, v.c.sweep.dir);
    for (unsigned i = 0; ok && i < w.n; i++)
        ok = start_worker(&w, i);
    ok = finish(&w, &v, &p, watch(&w, &v, &p) && ok);
out:
    sweep_env_close(&v);
    return ok;
}

/* ---- status, best, report */

static bool status(struct cmd_call *call)
{
    struct sweep_env v;
    bool ok = sweep_env_open(&v, call, false, false);

    if (ok) {
        struct sweep_tally t = sweep_tally(&v.s);
        struct sweep_damage d = sweep_store_damage(v.s.store);
        uint64_t all, same;
        ok = sweep_replay(&v.s, &all, &same, &call->err);
        cmd_print(call, "%s: %s\n", v.c.sweep.dir, sweep_method_name(&v.c.sweep));
        cmd_print(call,
                  "  trials     %" PRIu64 " begun, %" PRIu64 " ended, %" PRIu64 " running, %" PRIu64
                  " waiting, %" PRIu64 " failed, %" PRIu64 " stopped early\n",
                  t.begun, t.ended, t.running, t.waiting, t.failed, t.stopped);
        for (uint32_t j = 0; v.s.rungs.n > 1 && j < v.s.rungs.n; j++)
            cmd_print(call, "  rung %-5u %" PRIu64 " done, at %.2f %% of a run\n", j, t.at[j],
                      100.0 * (double)v.s.rungs.resource[j] / (double)v.s.rungs.max);
        cmd_print(call, "  GPU-hours  %.4g\n", v.s.state.gpu_s / 3600);
        if (all > 0)
            cmd_print(call,
                      "  TPE        %" PRIu64 " of %" PRIu64
                      " suggestions come out the same when computed again%s\n",
                      same, all,
                      same < all ? " (the others are of another version, or of damaged records)"
                                 : "");
        if (t.has_best)
            cmd_print(call, "  best       %s %.6g, trial %" PRIu64 "\n",
                      sweep_metric_names[v.c.sweep.goal.metric], t.best_value, t.best);
        if (d.lines > 0)
            cmd_print(call,
                      "  damaged    %" PRIu64 " journal records skipped, the first in %s at "
                      "byte %" PRIu64 "\n",
                      d.lines, d.first, d.first_offset);
    }
    sweep_env_close(&v);
    return ok;
}

static bool write_best(struct sweep_env *v, size_t place, uint64_t trial, const char **path)
{
    struct cmd_call *call = v->call;
    struct err *e = &call->err;
    struct trial_config t;
    struct train_job job;
    struct config c;
    struct sbuf b;
    const char **sets, *dir, *folder;
    char name[64];
    size_t n;
    bool ok = false;

    sbuf_init(&b, 4 << 20);
    snprintf(name, sizeof name, "best/%zu-trial%05" PRIu64 ".yaml", place, trial);
    if (!space_sets(&v->space, &v->s.state.trial[trial].point, &call->arena, &sets, &n, e) ||
        !config_parse(sbuf_str(&v->dump), sets, n, &call->arena, &c, e) ||
        !sweep_env_plan(v, sets, n, &call->arena, &t, e) ||
        !sweep_trial_dir(&v->c.sweep, trial, &call->arena, &dir, e) ||
        !trial_job(&t, &v->trial, dir, &call->arena, &job, e) ||
        /* The trial's own pairs are of the dev split, cut short perhaps: leave them alone. */
        !fs_join(&call->arena, dir, "best-pairs", &c.generate.dir, e) ||
        !fs_join(&call->arena, dir, "best-report", &c.evaluate.dir, e) ||
        !fs_join(&call->arena, v->c.sweep.dir, "best", &folder, e) || !fs_mkdirs(folder, e) ||
        !fs_join(&call->arena, v->c.sweep.dir, name, path, e))
        goto out;
    c.train.dir = t.train.dir;
    c.shards.dir = t.shards_dir;
    c.slurm.dir = NULL;
    if (!sbuf_printf(&b, e,
                     "# Trial %" PRIu64 ", place %zu of the sweep in %s. radmill train "
                     "goes on with (or finds finished) the trial's own run.\n",
                     trial, place, v->c.sweep.dir))
        goto out;
    for (const struct config_section *s = config_section_list; s->name; s++)
        if (!str_eqz(str_of(s->name), "sweep") &&
            !opt_dump(s->name, s->table, (const char *)&c + s->offset, &b, e))
            goto out;
    ok = fs_replace(*path, sbuf_str(&b), e);
out:
    sbuf_free(&b);
    return ok;
}

static bool print_place(struct sweep_env *v, size_t place, uint64_t trial)
{
    struct cmd_call *call = v->call;
    int rung = sweep_state_reached(&v->s.state, trial);
    const struct sweep_work_unit *u = sweep_state_unit(&v->s.state, trial, (uint32_t)rung);
    const char *path, **sets;
    size_t n;

    if (!write_best(v, place, trial, &path)) return false;
    if (!space_sets(&v->space, &v->s.state.trial[trial].point, &call->arena, &sets, &n, &call->err))
        return false;
    cmd_print(call, "%zu. trial %" PRIu64 "  %s %.6g  after %" PRIu64 " of %" PRIu64 " steps\n",
              place, trial, sweep_metric_names[v->c.sweep.goal.metric],
              u->r.value[v->c.sweep.goal.metric], u->r.step, u->r.total_steps);
    for (size_t i = 0; i < n; i++)
        cmd_print(call, "     %s\n", sets[i]);
    cmd_print(call, "     %s\n", path);
    return true;
}

static bool best(struct cmd_call *call)
{
    uint64_t top = 5, *order = NULL;
    struct sweep_env v;
    size_t n = 0;
    if (!cmd_number(call, "--top", TOP_MAX, &top)) return false;
    bool ok = sweep_env_open(&v, call, false, false);

    ok = ok && sweep_ranking(&v.s, &call->arena, &order, &n, &call->err);
    for (size_t i = 0; ok && i < n && i < top && i < TOP_MAX; i++)
        ok = print_place(&v, i + 1, order[i]);
    if (ok && n == 0) cmd_print(call, "%s: no trial has a score yet\n", v.c.sweep.dir);
    sweep_env_close(&v);
    return ok;
}

static bool report(struct cmd_call *call)
{
    struct sweep_env v;
    const char *html, *csv;
    bool ok = sweep_env_open(&v, call, false, false);

    ok = ok && fs_join(&call->arena, v.c.sweep.dir, "report.html", &html, &call->err) &&
         fs_join(&call->arena, v.c.sweep.dir, "report.csv", &csv, &call->err) &&
         sweep_report(&v.s, html, csv, &call->err);
    if (ok) cmd_print(call, "%s\n%s\n", html, csv);
    sweep_env_close(&v);
    return ok;
}

bool cmd_sweep(struct cmd_call *call)
{
    static const struct {
        const char *name;
        bool (*run)(struct cmd_call *call);
    } actions[] = {
        {"run", run}, {"worker", work}, {"status", status}, {"best", best}, {"report", report}};
    struct str action = str_of(call->pos[0]);

    call->pos[0] = call->pos[1];
    call->npos = 1;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (!str_eqz(action, actions[i].name)) continue;
        if (actions[i].run == work && !start_ranks(call)) return false;
        return actions[i].run(call);
    }
    return err_set(&call->err, ERR_CONFIG,
                   "sweep knows run, worker, status, best and report, not %.40s", action.p);
}
