/* Begin and end of an attempt: what happened, and whether the job goes back into the queue. */
#include <stdio.h>

#include "base/fs.h"
#include "base/json.h"
#include "slurm/job_log.h"
#include "slurm/slurm.h"

enum {
    ARENA_BYTES = 64 << 20,
    STATUS_MAX_BYTES = 1 << 16,
    LOG_TAIL_BYTES = 256 << 10,
    EXIT_UNKNOWN = -1,
    EXIT_CONFIG = 2,
    EXIT_STOPPED = 75,
    EXIT_HUNG = 124 /* lib/comm/hang.h */
};

struct paths {
    const char *journal, *result, *log;
};

static bool path_of(struct arena *a, const struct slurm_attempt *t, const char *end,
                    const char **out, struct err *e)
{
    char name[128];

    if (snprintf(name, sizeof name, "%s%s", t->name, end) >= (int)sizeof name)
        return err_set(e, ERR_CONFIG, "name %.40s... of a job is too long", t->name);
    return fs_join(a, t->dir, name, out, e);
}

static bool find_paths(struct arena *a, const struct slurm_attempt *t, struct paths *p,
                       struct err *e)
{
    return path_of(a, t, ".journal.jsonl", &p->journal, e) &&
           path_of(a, t, ".result.json", &p->result, e) && path_of(a, t, ".log", &p->log, e);
}

/* ---- what the stage left */
struct state {
    uint64_t saved;
    bool done;
};

/* status.json of the stage. One that is missing or cannot be read has saved nothing. */
static struct state read_state(const struct slurm_attempt *t, struct arena *a)
{
    struct state s = {0};
    struct err ignored = {0};
    struct str state;
    const char *path;
    json_t *j = NULL;

    if (!t->status_dir || !fs_join(a, t->status_dir, "status.json", &path, &ignored) ||
        !fs_exists(path) || !json_read_file(path, STATUS_MAX_BYTES, &j, &ignored))
        return s;
    if (!json_get_u64(j, "saved", &s.saved, &ignored)) {
        err_clear(&ignored);
        if (!json_get_u64(j, "done", &s.saved, &ignored)) err_clear(&ignored);
    }
    s.done = json_get_str(j, "state", &state, &ignored) && str_eqz(state, "done");
    json_decref(j);
    return s;
}

struct result {
    int exit; /* EXIT_UNKNOWN: the program could not say */
    bool has_rank;
    uint64_t rank;         /* where it happened */
    struct str kind, text; /* in the arena */
};

static bool read_result(const char *path, struct arena *a, struct result *out)
{
    struct err ignored = {0};
    struct str kind, text;
    uint64_t code = 0;
    json_t *j = NULL;

    *out = (struct result){.exit = EXIT_UNKNOWN};
    if (!fs_exists(path) || !json_read_file(path, STATUS_MAX_BYTES, &j, &ignored)) return false;
    bool ok = json_get_u64(j, "exit", &code, &ignored) && code < 256 &&
              json_get_str(j, "kind", &kind, &ignored) &&
              json_get_str(j, "text", &text, &ignored) &&
              arena_str(a, kind, &out->kind, &ignored) && arena_str(a, text, &out->text, &ignored);
    if (ok) out->exit = (int)code;
    out->has_rank = ok && json_get_u64(j, "rank", &out->rank, &ignored);
    json_decref(j);
    return ok;
}

bool slurm_result_write(const char *path, int exit_code, const struct err *how, struct err *e)
{
    json_t *j = json_pack("{s:i, s:i, s:s, s:s}", "exit", exit_code, "rank", how->rank, "kind",
                          err_code_name(how->code), "text", how->text);
    if (!j) return err_set(e, ERR_NOMEM, "result of the job");
    bool ok = json_write_file(path, j, e);
    json_decref(j);
    return ok;
}

/* ---- what the launcher said */
/* The part of the log this attempt wrote, or its last LOG_TAIL_BYTES. Empty when unreadable. */
static struct str read_log(const char *path, uint64_t from, struct arena *a)
{
    struct fs_file f;
    struct err ignored = {0};
    struct str s = {"", 0};

    if (!fs_exists(path) || !fs_file_open(path, &f, &ignored)) return s;
    if (from > f.size_bytes) from = 0;
    if (f.size_bytes - from > LOG_TAIL_BYTES) from = f.size_bytes - LOG_TAIL_BYTES;
    size_t n = (size_t)(f.size_bytes - from);
    char *p = arena_alloc(a, n + 1, &ignored);
    if (p && fs_file_read(&f, from, p, n, &ignored)) s = (struct str){p, n};
    fs_file_close(&f);
    return s;
}

/* The node a line blames: "srun: error: NODE: task 2: Killed", "srun: error: Node failure on NODE",
 * "... on node NODE exited on signal 9 (Killed)." (mpirun). */
static struct str blamed(struct str line)
{
    struct str none = {"", 0}, rest = line, word;
    size_t at;

    if (str_starts(line, STR("srun: error: Node failure on ")))
        return str_trim(str_sub(line, sizeof "srun: error: Node failure on " - 1, line.n));
    at = str_find(line, STR(" exited on signal"), 0);
    if (str_starts(line, STR("mpirun")) && at != SIZE_MAX) {
        size_t node = str_find(line, STR(" on node "), 0);
        return node < at ? str_sub(line, node + sizeof " on node " - 1, at) : none;
    }
    if (!str_starts(line, STR("srun: error: "))) return none;
    rest = str_sub(line, sizeof "srun: error: " - 1, line.n);
    if (!str_split(&rest, ':', &word) || !str_starts(rest, STR(" task"))) return none;
    /* out of memory follows the job to any node */
    return str_find(rest, STR("Out Of Memory"), 0) == SIZE_MAX ? word : none;
}

static bool is_node_of(const struct slurm_attempt *t, struct str name)
{
    struct str rest = str_of(t->nodes), w;

    while (str_split(&rest, ' ', &w))
        if (w.n && str_eq(w, name)) return true;
    return false;
}

static bool is_loud(struct str line)
{
    return str_starts(line, STR("srun: error: ")) || str_starts(line, STR("slurmstepd")) ||
           str_starts(line, STR("mpirun noticed")) || str_starts(line, STR("radmill: error"));
}

/* The first line of the log that says what went wrong, and the node it blames. */
static void ask_log(const struct slurm_attempt *t, struct str log, struct str *why,
                    struct str *node)
{
    struct str line;

    *why = *node = (struct str){"", 0};
    while (str_split(&log, '\n', &line)) {
        line = str_trim(line);
        if (!is_loud(line)) continue;
        if (why->n == 0) *why = line;
        struct str name = blamed(line);
        if (name.n == 0 || !is_node_of(t, name)) continue;
        *why = line;
        *node = name;
        return;
    }
}

/* SLURM gives ranks to nodes in blocks, and so does mpirun. */
static struct str node_of(const struct slurm_attempt *t, const struct result *r)
{
    struct str rest = str_of(t->nodes), w;
    uint64_t i = r->rank / t->opts->ranks_per_node;

    while (r->has_rank && str_split(&rest, ' ', &w)) {
        if (w.n == 0) continue;
        if (i-- == 0) return w;
    }
    return (struct str){"", 0};
}

/* ---- begin */
static bool too_idle(const struct slurm_attempt *t, const struct job_log *j, uint64_t saved)
{
    return j->attempts > 0 && saved == j->saved && j->idle + 1 > t->opts->retries;
}

static bool give_up(const struct slurm_attempt *t, const struct job_log *j, struct err *e)
{
    return err_set(e, ERR_LIMIT,
                   "%u restarts in a row saved nothing (slurm.retries)%s%.*s; mend the cause and "
                   "submit again: what is saved stays",
                   t->opts->retries, j->error.n ? "; the last error: " : "",
                   (int)(j->error.n > 300 ? 300 : j->error.n), j->error.n ? j->error.p : "");
}

bool slurm_attempt_begin(const struct slurm_attempt *t, struct err *e)
{
    struct arena a;
    struct paths p;
    struct job_log j;
    uint64_t log = 0;
    bool ok = false;

    arena_init(&a, ARENA_BYTES);
    if (!find_paths(&a, t, &p, e) || !job_log_read(p.journal, t->job, &a, &j, e)) goto out;
    uint64_t saved = read_state(t, &a).saved;
    if (too_idle(t, &j, saved)) {
        give_up(t, &j, e);
        struct job_log_end end = {.job = t->job,
                                  .verdict = "failed",
                                  .exit = EXIT_UNKNOWN,
                                  .saved = saved,
                                  .error = e->text};
        struct err ignored = {0}; /* the error that counts is given up on */
        if (!job_log_put_end(p.journal, &end, &ignored)) err_clear(&ignored);
        goto out;
    }
    if (!fs_remove(p.result, e)) goto out;
    if (fs_exists(p.log) && !fs_size(p.log, &log, e)) goto out;
    struct job_log_begin b = {t->job, t->nodes, t->restart, saved, log};
    ok = job_log_put_begin(p.journal, &b, e);
out:
    arena_free(&a);
    return ok;
}

/* ---- end */
struct finding {
    enum slurm_verdict verdict;
    struct str error, node; /* empty: none */
    const char *what;
};

static bool same_again(const struct job_log *j, struct str text, uint64_t saved)
{
    return j->error.n > 0 && str_eq(j->error, text) && j->error_saved == saved;
}

/* The program said how it ended. */
static void judge_result(const struct slurm_attempt *t, const struct result *r,
                         const struct job_log *j, uint64_t saved, struct finding *f)
{
    bool maybe_node = str_eqz(r->kind, "io") || str_eqz(r->kind, "lib");

    f->error = r->text;
    if (r->exit == 0) {
        *f = (struct finding){.verdict = SLURM_DONE, .what = "finished"};
    } else if (r->exit == EXIT_STOPPED) {
        *f = (struct finding){.verdict = SLURM_REQUEUE, .what = "stopped as asked, state saved"};
    } else if (r->exit == EXIT_HUNG) {
        f->verdict = SLURM_REQUEUE;
        f->what = "hung";
        f->node = node_of(t, r);
    } else if (r->exit != EXIT_CONFIG && maybe_node && !same_again(j, r->text, saved)) {
        f->verdict = SLURM_REQUEUE;
        f->what = "failed, perhaps by its node: tried once more";
        f->node = node_of(t, r);
    } else {
        f->verdict = SLURM_FAIL;
        f->what = "failed";
    }
}

static void judge(const struct slurm_attempt *t, int code, const struct result *r,
                  const struct job_log *j, struct state s, struct str log, struct finding *f)
{
    *f = (struct finding){.verdict = SLURM_REQUEUE};
    if (r->exit != EXIT_UNKNOWN) {
        judge_result(t, r, j, s.saved, f);
    } else if (code == EXIT_STOPPED) {
        f->what = "asked to stop before it began";
    } else if (code == 0 && s.done) {
        f->verdict = SLURM_DONE;
        f->what = "finished";
    } else {
        f->what = "killed";
        ask_log(t, log, &f->error, &f->node);
        if (f->error.n == 0) f->error = STR("the ranks ended without a word");
    }
    if (f->verdict != SLURM_REQUEUE || s.saved != j->saved || j->idle < t->opts->retries) return;
    f->verdict = SLURM_FAIL;
    f->what = "failed: no restart left that may save nothing (slurm.retries)";
}

static bool put_avoid(const struct slurm_attempt *t, const struct job_log *j, struct str node,
                      struct sbuf *b, struct err *e)
{
    struct opt_strs never = t->opts->exclude;
    bool known = node.n == 0;

    for (size_t i = 0; i < j->nbad; i++) {
        known = known || str_eq(j->bad[i], node);
        if ((b->n && !sbuf_putc(b, ',', e)) || !sbuf_put(b, j->bad[i], e)) return false;
    }
    if (!known && ((b->n && !sbuf_putc(b, ',', e)) || !sbuf_put(b, node, e))) return false;
    for (size_t i = 0; i < never.n && b->n; i++) /* the list replaces sbatch's own */
        if (!sbuf_printf(b, e, ",%s", never.v[i])) return false;
    return true;
}

static bool note_end(const struct slurm_attempt *t, const char *path, int code, int own,
                     uint64_t saved, const struct finding *f, struct arena *a, struct err *e)
{
    static const char *const names[] = {"done", "requeue", "failed"};
    struct str error = {0}, node = {0};

    if (!arena_str(a, f->error, &error, e) || !arena_str(a, f->node, &node, e)) return false;
    struct job_log_end end = {.job = t->job,
                              .verdict = names[f->verdict],
                              .code = code,
                              .exit = own,
                              .saved = saved,
                              .error = error.n ? error.p : NULL,
                              .bad = node.n ? node.p : NULL};
    return job_log_put_end(path, &end, e);
}

bool slurm_attempt_end(const struct slurm_attempt *t, int code, enum slurm_verdict *verdict,
                       struct sbuf *avoid, struct sbuf *reason, struct err *e)
{
    struct arena a;
    struct paths p;
    struct job_log j;
    struct result r;
    struct finding f;
    bool ok = false;

    arena_init(&a, ARENA_BYTES);
    if (!find_paths(&a, t, &p, e) || !job_log_read(p.journal, t->job, &a, &j, e)) goto out;
    if (!read_result(p.result, &a, &r)) r.exit = EXIT_UNKNOWN;
    struct state s = read_state(t, &a);
    judge(t, code, &r, &j, s, read_log(p.log, j.log, &a), &f);
    if (!note_end(t, p.journal, code, r.exit, s.saved, &f, &a, e) ||
        !put_avoid(t, &j, f.node, avoid, e))
        goto out;
    *verdict = f.verdict;
    ok = sbuf_printf(reason, e, "%s%s%.*s", f.what, f.error.n ? ": " : "", (int)f.error.n,
                     f.error.n ? f.error.p : "");
out:
    arena_free(&a);
    return ok;
}
