#include "slurm/queue.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "slurm/job_log.h"
#include "slurm/spawn.h"

enum { FILE_MAX_BYTES = 1 << 20, SELDOM_S = 60, TASKS_MAX = 1000 };
static const double answer_s = 30;

/* ---- submission.json */
static bool take_job(const json_t *o, struct arena *a, struct queue_job *out, struct err *e)
{
    struct str stage, id;

    *out = (struct queue_job){0};
    if (!json_get_str(o, "stage", &stage, e) || !json_get_str(o, "job", &id, e) ||
        !json_get_u64(o, "tasks", &out->tasks, e))
        return false;
    if (out->tasks > TASKS_MAX) return err_set(e, ERR_LIMIT, "more than %d tasks", TASKS_MAX);
    return arena_str(a, stage, &out->stage, e) && arena_str(a, id, &out->id, e);
}

bool queue_load(const char *dir, struct arena *a, struct queue_jobs *out, struct err *e)
{
    const char *path;
    json_t *j = NULL, *jobs;
    bool ok = false;

    *out = (struct queue_jobs){0};
    if (!fs_join(a, dir, "submission.json", &path, e) ||
        !json_read_file(path, FILE_MAX_BYTES, &j, e))
        return false;
    if (!json_get_arr(j, "jobs", &jobs, e)) goto out;
    for (; out->n < json_array_size(jobs); out->n++) {
        if (out->n == SLURM_STAGES_MAX) {
            err_set(e, ERR_LIMIT, "more than %d jobs", SLURM_STAGES_MAX);
            goto out;
        }
        if (!take_job(json_array_get(jobs, out->n), a, &out->v[out->n], e)) goto out;
    }
    ok = true;
out:
    json_decref(j);
    return ok || err_wrap(e, "%s", path);
}

bool slurm_latest(const char *dir, struct arena *a, const char **out, struct err *e)
{
    struct str *names;
    size_t n;
    uint64_t best = 0;

    *out = NULL;
    if (!fs_is_dir(dir)) return true;
    if (!fs_list(dir, a, &names, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        struct err bad = {0};
        const char *path, *file;
        uint64_t v;
        if (!parse_u64(names[i], &v, &bad) || v < best) continue;
        if (!fs_join(a, dir, names[i].p, &path, e) ||
            !fs_join(a, path, "submission.json", &file, e))
            return false;
        if (!fs_exists(file)) continue;
        best = v;
        *out = path;
    }
    return true;
}

/* ---- squeue's answer: lines "JOB|STATE|REASON" */
static void take_line(struct queue_job *j, struct str line, size_t *counts)
{
    struct str id, state, reason = {"", 0};

    if (!str_split(&line, '|', &id) || !str_eq(id, j->id) || !str_split(&line, '|', &state)) return;
    if (!str_split(&line, '|', &reason)) reason = (struct str){"", 0};
    if (j->tasks) {
        counts[str_eqz(state, "RUNNING") ? 0 : 1]++;
        return;
    }
    if (str_eqz(reason, "None") || reason.n == 0)
        snprintf(j->state, sizeof j->state, "%.*s", (int)(state.n > 40 ? 40 : state.n), state.p);
    else
        snprintf(j->state, sizeof j->state, "%.*s (%.*s)", (int)(state.n > 20 ? 20 : state.n),
                 state.p, (int)(reason.n > 38 ? 38 : reason.n), reason.p);
}

static void take_answer(struct queue_jobs *jobs, struct str text)
{
    for (size_t i = 0; i < jobs->n; i++) {
        struct queue_job *j = &jobs->v[i];
        struct str rest = text, line;
        size_t counts[2] = {0};
        j->state[0] = 0;
        while (j->id.n && str_split(&rest, '\n', &line))
            take_line(j, line, counts);
        if (counts[0] + counts[1] > 0)
            snprintf(j->state, sizeof j->state, "%zu RUNNING, %zu waiting", counts[0], counts[1]);
    }
}

/* *found false: there is no squeue. */
static bool ask(struct arena *a, struct str *out, bool *found, struct err *e)
{
    char uid[24];
    const char *argv[] = {"squeue", "-h", "-r", "-u", uid, "-o", "%F|%T|%r", NULL};
    struct spawn_result r;

    snprintf(uid, sizeof uid, "%lu", (unsigned long)getuid());
    bool ok = spawn_run(argv, STR(""), answer_s, &r, e);
    *found = r.found;
    if (ok && r.found && r.code != 0)
        ok = err_set(e, ERR_IO, "squeue fails: %.200s", r.err.n ? r.err.p : "it does not say why");
    ok = ok && arena_str(a, sbuf_str(&r.out), out, e);
    spawn_free(&r);
    return ok;
}

bool queue_ask(struct queue_jobs *jobs, struct arena *a, struct err *e)
{
    struct str text;
    bool found;

    if (!ask(a, &text, &found, e)) return false;
    if (found) take_answer(jobs, text);
    return true;
}

/* The file begins with a line of the time it was asked at. */
static bool read_kept(const char *path, struct arena *a, int64_t now, struct str *out,
                      double *age_s)
{
    struct err ignored = {0};
    struct str line;
    int64_t then;

    if (!fs_exists(path) || !fs_read_file(path, FILE_MAX_BYTES, a, out, &ignored) ||
        !str_split(out, '\n', &line) || !parse_i64(line, &then, &ignored))
        return false;
    *age_s = (double)(now - then);
    return now >= then && now - then < SELDOM_S;
}

static void keep_answer(const char *path, struct str text, int64_t now)
{
    struct err ignored = {0}; /* a folder of somebody else's: the next one asks again */
    struct sbuf b;

    sbuf_init(&b, FILE_MAX_BYTES);
    if (!sbuf_printf(&b, &ignored, "%lld\n", (long long)now) || !sbuf_put(&b, text, &ignored) ||
        !fs_replace(path, sbuf_str(&b), &ignored))
        err_clear(&ignored);
    sbuf_free(&b);
}

void queue_ask_seldom(const char *dir, struct queue_jobs *jobs, struct arena *a, double *age_s)
{
    struct err ignored = {0};
    struct str text = {"", 0};
    const char *path;
    int64_t now = clock_wall_s();
    bool found;

    *age_s = -1;
    if (!fs_join(a, dir, "squeue.txt", &path, &ignored)) return;
    if (read_kept(path, a, now, &text, age_s)) {
        take_answer(jobs, text);
        return;
    }
    *age_s = -1;
    if (!ask(a, &text, &found, &ignored) || !found) return;
    *age_s = 0;
    keep_answer(path, text, now);
    take_answer(jobs, text);
}

size_t queue_live(const struct queue_jobs *jobs, char *out, size_t size)
{
    size_t n = 0, at = 0;

    out[0] = 0;
    for (size_t i = 0; i < jobs->n; i++) {
        if (!jobs->v[i].state[0]) continue;
        int k = snprintf(out + at, size - at, "%s%.*s", n ? " " : "", STR_ARG(jobs->v[i].id));
        if (k > 0 && (size_t)k < size - at) at += (size_t)k;
        n++;
    }
    return n;
}

/* ---- the whole picture */
/* Attempts of one job, or of one task of an array, added to w. */
static bool add_attempts(const char *submission, const char *name, struct arena *a,
                         struct slurm_watch *w, struct err *e)
{
    const char *path;
    struct job_log j;

    if (!fs_join(a, submission, name, &path, e) || !job_log_read(path, NULL, a, &j, e))
        return false;
    w->attempts += j.attempts;
    w->restarts += j.attempts > 0 ? j.attempts - 1 : 0;
    if (j.error.n) w->error = j.error.p;
    struct str last = j.running ? STR("running") : j.verdict;
    /* an array has failed when a task has, and is done when the last one is */
    if (last.n && !str_eqz(str_of(w->last), "failed"))
        snprintf(w->last, sizeof w->last, "%.*s", STR_ARG(last));
    return true;
}

static bool look_at(const char *submission, const struct queue_job *q, struct arena *a,
                    struct slurm_watch *w, struct err *e)
{
    char name[160];

    *w = (struct slurm_watch){.stage = q->stage.p};
    snprintf(w->id, sizeof w->id, "%.*s", STR_ARG(q->id));
    snprintf(w->queue, sizeof w->queue, "%s", q->state);
    for (uint64_t t = 0; t < q->tasks; t++) {
        snprintf(name, sizeof name, "%.*s-%llu.journal.jsonl", STR_ARG(q->stage),
                 (unsigned long long)t);
        if (!add_attempts(submission, name, a, w, e)) return false;
    }
    if (q->tasks > 0) return true;
    snprintf(name, sizeof name, "%.*s.journal.jsonl", STR_ARG(q->stage));
    return add_attempts(submission, name, a, w, e);
}

bool slurm_look(const char *submission, struct arena *a, struct slurm_watch *out, size_t *count,
                double *asked, struct err *e)
{
    struct queue_jobs jobs;

    *count = 0;
    if (!queue_load(submission, a, &jobs, e)) return false;
    queue_ask_seldom(submission, &jobs, a, asked);
    for (; *count < jobs.n; ++*count)
        if (!look_at(submission, &jobs.v[*count], a, &out[*count], e)) return false;
    return true;
}

bool slurm_lists(const char *job, bool *known)
{
    const char *argv[] = {"squeue", "-h", "-o", "%i", "-j", job, NULL};
    struct spawn_result r = {0};
    struct err ignored = {0};

    *known = spawn_run(argv, STR(""), answer_s, &r, &ignored) && r.found;
    /* A job it has forgotten is an error of squeue: "Invalid job id specified". */
    bool listed = *known && r.code == 0 && r.out.n > 0;
    struct str said = sbuf_str(&r.err);
    if (*known && r.code != 0 && str_find(said, STR("Invalid job id"), 0) == SIZE_MAX)
        *known = false;
    spawn_free(&r);
    return listed;
}
