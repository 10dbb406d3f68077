/* radmill status: a line a stage, from the status.json that each keeps in its folder; for submitted
 * stages also the job, its restarts and its last error. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "cli/config.h"

enum { STATUS_MAX_BYTES = 1 << 16 };

static const char *const stages[] = {"ingest", "shard", "sweep", "train", "generate", "evaluate"};

/* What a submission knows, by stage. */
struct jobs {
    struct slurm_watch v[SLURM_STAGES_MAX];
    size_t n;
    double asked; /* seconds ago; negative: squeue was not asked */
    const char *dir;
};

/* ---- the stage itself */
static void put_time(double s, char *out, size_t size)
{
    if (s < 0 || s > 1e9)
        snprintf(out, size, "?");
    else if (s >= 3600)
        snprintf(out, size, "%.0fh%02.0fm", s / 3600 - 0.5 < 0 ? 0 : (double)(long)(s / 3600),
                 (double)((long)(s / 60) % 60));
    else
        snprintf(out, size, "%ldm%02lds", (long)s / 60, (long)s % 60);
}

static bool print_numbers(struct cmd_call *call, const json_t *j, const char *name)
{
    struct str state, unit, detail;
    double rate = 0, seconds = 0, eta = -1;
    uint64_t done = 0, total = 0;
    char took[32], left[48] = "", pace[32] = "";

    if (!json_get_str(j, "state", &state, &call->err) ||
        !json_get_str(j, "unit", &unit, &call->err) ||
        !json_get_u64(j, "done", &done, &call->err) ||
        !json_get_u64(j, "total", &total, &call->err) ||
        !json_get_f64(j, "elapsed_s", &seconds, &call->err) ||
        !json_get_str(j, "detail", &detail, &call->err))
        return false;
    if (!json_is_null(json_object_get(j, "rate"))) { /* null: nothing to say yet */
        if (!json_get_f64(j, "rate", &rate, &call->err)) return false;
        snprintf(pace, sizeof pace, ", %.4g/s", rate);
    }
    if (str_eqz(state, "running") && json_is_number(json_object_get(j, "eta_s"))) {
        eta = json_number_value(json_object_get(j, "eta_s"));
        put_time(eta, took, sizeof took);
        snprintf(left, sizeof left, ", eta %s", took);
    }
    put_time(seconds, took, sizeof took);
    cmd_print(call, "  %-10s %.*s, %llu of %llu %.*s in %s%s%s %.*s\n", name, STR_ARG(state),
              (unsigned long long)done, (unsigned long long)total, STR_ARG(unit), took, pace, left,
              STR_ARG(detail));
    return true;
}

static bool print_stage(struct cmd_call *call, const char *name, const char *dir)
{
    json_t *j = NULL;
    const char *path;

    if (!fs_join(&call->arena, dir, "status.json", &path, &call->err)) return false;
    if (!fs_exists(path)) {
        cmd_print(call, "  %-10s not started\n", name);
        return true;
    }
    bool ok =
        json_read_file(path, STATUS_MAX_BYTES, &j, &call->err) && print_numbers(call, j, name);
    json_decref(j);
    return ok;
}

/* ---- its job */
static void print_job(const struct cmd_call *call, const struct slurm_watch *w, bool asked)
{
    bool settled = str_eqz(str_of(w->last), "done") || str_eqz(str_of(w->last), "failed");

    if (!w->id[0]) {
        cmd_print(call, "             not submitted\n");
        return;
    }
    cmd_print(call, "             job %s", w->id);
    if (w->queue[0]) cmd_print(call, ", %s", w->queue);
    if (w->attempts) cmd_print(call, ", %u restarts, latest attempt: %s", w->restarts, w->last);
    if (asked && !w->queue[0] && !settled)
        cmd_print(call, ", gone from the queue before its end (scancel, or the stage before it "
                        "failed): submit it again");
    cmd_print(call, "\n");
    if (w->error) cmd_print(call, "             last error: %s\n", w->error);
}

static bool load_jobs(struct cmd_call *call, struct config *c, struct jobs *out)
{
    *out = (struct jobs){.asked = -1};
    if (!c->slurm.dir && !c->train.dir && !c->corpus.dir) return true;
    if (!config_slurm_dir(call, c) ||
        !slurm_latest(c->slurm.dir, &call->arena, &out->dir, &call->err))
        return false;
    return !out->dir ||
           slurm_look(out->dir, &call->arena, out->v, &out->n, &out->asked, &call->err);
}

/* ---- RUN: a folder that holds submissions, or the folder "slurm" that does */
static bool find_config(struct cmd_call *call)
{
    const char *dir = call->pos[0], *inner, *last = NULL, *path;

    if (!fs_is_dir(dir)) return true;
    if (!fs_join(&call->arena, dir, "slurm", &inner, &call->err) ||
        !slurm_latest(dir, &call->arena, &last, &call->err) ||
        (!last && !slurm_latest(inner, &call->arena, &last, &call->err)))
        return false;
    if (!last)
        return err_set(&call->err, ERR_CONFIG,
                       "%s holds neither status.json nor a submission; give the CONFIG.yaml of the "
                       "run, a stage's folder, or slurm.dir",
                       dir);
    if (!fs_join(&call->arena, last, "config.yaml", &path, &call->err)) return false;
    call->pos[0] = path;
    return true;
}

/* A run without a submission: its folder has a status.json alone, which names the stage. */
static bool is_lone_run(struct cmd_call *call, const char *dir, bool *yes)
{
    const char *inner, *last = NULL, *path;

    *yes = false;
    if (!fs_is_dir(dir)) return true;
    if (!fs_join(&call->arena, dir, "slurm", &inner, &call->err) ||
        !fs_join(&call->arena, dir, "status.json", &path, &call->err) ||
        !slurm_latest(inner, &call->arena, &last, &call->err))
        return false;
    *yes = !last && fs_exists(path);
    return true;
}

static bool print_lone_run(struct cmd_call *call, const char *dir)
{
    struct str stage;
    const char *path;
    json_t *j = NULL;

    bool ok = fs_join(&call->arena, dir, "status.json", &path, &call->err) &&
              json_read_file(path, STATUS_MAX_BYTES, &j, &call->err) &&
              json_get_str(j, "stage", &stage, &call->err) && print_numbers(call, j, stage.p);
    json_decref(j);
    return ok;
}

bool cmd_status(struct cmd_call *call)
{
    struct config c;
    struct jobs jobs;
    bool lone;

    if (!is_lone_run(call, call->pos[0], &lone)) return false;
    if (lone) return print_lone_run(call, call->pos[0]);
    if (!find_config(call) || !config_load(call, &c) || !load_jobs(call, &c, &jobs)) return false;
    if (jobs.dir) cmd_print(call, "submission %s\n", jobs.dir);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        const char *dir = config_stage_dir(&c, stages[i]);
        if (!dir) continue;
        if (!print_stage(call, stages[i], dir)) return false;
        for (size_t k = 0; k < jobs.n; k++)
            if (str_eqz(str_of(stages[i]), jobs.v[k].stage))
                print_job(call, &jobs.v[k], jobs.asked >= 0);
    }
    if (jobs.dir && jobs.asked < 0)
        cmd_print(call, "squeue does not answer here: states are from the journals alone\n");
    else if (jobs.dir && jobs.asked > 0)
        cmd_print(call, "squeue was asked %.0f s ago\n", jobs.asked);
    return true;
}
