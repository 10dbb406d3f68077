/* Writing a submission and giving it to sbatch. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "slurm/queue.h"
#include "slurm/spawn.h"

static const double answer_s = 120; /* sbatch waits for a busy controller about as long */

/* What a SLURM command says when it fails, in one line. */
static void last_words(const struct spawn_result *r, char *out, size_t size)
{
    struct str s = str_trim(sbuf_str(r->err.n ? &r->err : &r->out));
    size_t n = s.n < size - 1 ? s.n : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)s.p[i] < 0x20 ? ' ' : s.p[i];
    out[n] = 0;
}

/* ---- test only */
bool slurm_test_only(const struct slurm_plan *p, struct sbuf *b, struct err *e)
{
    static const char *const argv[] = {"sbatch", "--test-only", NULL};
    char words[300];

    for (size_t i = 0; i < p->njobs; i++) {
        const struct slurm_job *j = &p->jobs[i];
        struct spawn_result r;
        bool ok = spawn_run(argv, j->script, answer_s, &r, e);
        bool found = r.found;
        int code = r.code;
        if (ok) last_words(&r, words, sizeof words);
        spawn_free(&r);
        if (!ok) return false;
        if (!found) return sbuf_put(b, STR("sbatch is not on this machine: not asked\n"), e);
        if (code != 0)
            return err_set(e, ERR_CONFIG, "stage %s: sbatch refuses the job: %s", j->stage->name,
                           words);
        if (!sbuf_printf(b, e, "%s: %s\n", j->stage->name, words)) return false;
    }
    return true;
}

/* ---- the folder */
static json_t *jobs_json(const struct slurm_plan *p)
{
    json_t *out = json_array();

    for (size_t i = 0; out && i < p->njobs; i++) {
        const struct slurm_job *j = &p->jobs[i];
        json_t *o = json_pack("{s:s, s:s, s:i}", "stage", j->stage->name, "job", j->id, "tasks",
                              str_eqz(str_of(j->stage->name), "sweep") ? (int)j->o.workers : 0);
        if (json_array_append_new(out, o) == 0) continue;
        json_decref(out);
        out = NULL;
    }
    return out;
}

static bool write_submission(const struct slurm_plan *p, struct arena *a, struct err *e)
{
    const char *path;
    json_t *j;

    if (!fs_join(a, p->dir, "submission.json", &path, e)) return false;
    j = json_pack("{s:i, s:I, s:o}", "format", 1, "time", (json_int_t)clock_wall_s(), "jobs",
                  jobs_json(p));
    if (!j) return err_set(e, ERR_NOMEM, "list of jobs");
    bool ok = json_write_file(path, j, e);
    json_decref(j);
    return ok;
}

static bool write_folder(const struct slurm_plan *p, const struct slurm_request *q, struct arena *a,
                         struct err *e)
{
    const char *path;

    if (!fs_mkdirs(p->dir, e) || !fs_join(a, p->dir, "config.yaml", &path, e) ||
        !fs_replace(path, q->config, e))
        return false;
    for (size_t i = 0; i < p->njobs; i++)
        if (!fs_replace(p->jobs[i].script_path, p->jobs[i].script, e)) return false;
    return write_submission(p, a, e);
}

/* ---- sbatch */
/* "123" or "123;cluster". */
static bool take_id(struct slurm_job *j, struct str out, struct err *e)
{
    struct str rest = str_trim(out), id;
    uint64_t v;
    struct err bad = {0};

    if (!str_split(&rest, ';', &id) || id.n >= sizeof j->id || !parse_u64(id, &v, &bad))
        return err_set(e, ERR_LIB, "sbatch answered something else than a job id");
    snprintf(j->id, sizeof j->id, "%.*s", STR_ARG(id));
    return true;
}

static bool submit_one(struct slurm_job *j, const char *after, struct err *e)
{
    char depends[64], words[300];
    const char *argv[] = {"sbatch", "--parsable", j->script_path, NULL, NULL};
    struct spawn_result r;

    if (after) {
        snprintf(depends, sizeof depends, "--dependency=afterok:%s", after);
        argv[2] = depends;
        argv[3] = j->script_path;
    }
    bool ok = spawn_run(argv, STR(""), answer_s, &r, e);
    if (ok && !r.found)
        ok = err_set(e, ERR_CONFIG, "sbatch is not on this machine; submit from a login node");
    if (ok && r.code != 0) {
        last_words(&r, words, sizeof words);
        ok = err_set(e, ERR_CONFIG, "sbatch refuses it: %s", words);
    }
    ok = ok && take_id(j, sbuf_str(&r.out), e);
    spawn_free(&r);
    return ok || err_wrap(e, "stage %s", j->stage->name);
}

/* Whatever was submitted is taken back, so that half a chain does not run. */
static void cancel(const struct slurm_plan *p, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        const char *argv[] = {"scancel", p->jobs[i].id, NULL};
        struct spawn_result r;
        struct err ignored = {0};
        if (!spawn_run(argv, STR(""), answer_s, &r, &ignored)) err_clear(&ignored);
        spawn_free(&r);
    }
}

static bool submit_all(struct slurm_plan *p, struct arena *a, struct err *e)
{
    for (size_t i = 0; i < p->njobs; i++) {
        bool ok = submit_one(&p->jobs[i], i ? p->jobs[i - 1].id : NULL, e);
        if (ok && write_submission(p, a, e)) continue;
        cancel(p, ok ? i + 1 : i);
        return i == 0 ? false : err_wrap(e, "the jobs before it are cancelled");
    }
    return true;
}

/* ---- the previous one */
static bool refuse_second(const char *dir, struct arena *a, struct err *e)
{
    const char *last;
    struct queue_jobs jobs;
    char live[200];

    if (!slurm_latest(dir, a, &last, e)) return false;
    if (!last) return true;
    if (!queue_load(last, a, &jobs, e) || !queue_ask(&jobs, a, e)) return false;
    if (queue_live(&jobs, live, sizeof live) == 0) return true;
    return err_set(e, ERR_CONFIG,
                   "jobs of the previous submission are still in the queue (%s): wait for them, or "
                   "scancel %s",
                   last, live);
}

bool slurm_submit(struct slurm_plan *p, const struct slurm_request *q, struct arena *a,
                  struct err *e)
{
    const char *lock_path;
    int lock = -1;

    if (!fs_mkdirs(q->opts->dir, e) || !fs_join(a, q->opts->dir, ".lock", &lock_path, e) ||
        !fs_lock(lock_path, &lock, e))
        return false;
    bool ok = refuse_second(q->opts->dir, a, e) && write_folder(p, q, a, e) && submit_all(p, a, e);
    fs_unlock(lock);
    return ok;
}
