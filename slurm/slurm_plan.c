/* From a request to jobs with scripts; the table that --dry-run prints. */
#include <stdio.h>

#include "base/fs.h"
#include "slurm/render.h"

enum { SCRIPT_MAX_BYTES = 1 << 18 };

static const char *const without_gpu[] = {"ingest", "shard", "stats"};
static const char *const one_by_default[] = {"evaluate"}; /* minutes: more ranks on request */
static const char *const stage_names[] = {"ingest",   "stats",    "shard", "train",
                                          "generate", "evaluate", "sweep", "serve"};

/* ---- options of a stage */
static bool is_one_of(const char *name, const char *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqz(str_of(name), v[i])) return true;
    return false;
}
#define IS_ONE_OF(name, list) is_one_of(name, list, sizeof(list) / sizeof(list)[0])

/* What a stage is given unless slurm.stages says otherwise. */
static void stage_defaults(const struct slurm_stage *s, struct slurm_opts *o)
{
    if (IS_ONE_OF(s->name, without_gpu)) {
        o->gpus_per_node = 0;
        o->gres = NULL;
    }
    if (s->ranks && !IS_ONE_OF(s->name, one_by_default)) return;
    o->nodes = 1;
    o->ranks_per_node = 1;
    if (o->gpus_per_node > 1) o->gpus_per_node = 1;
}

/* "gpu:a100:4" asks for four, "gpu" and "gpu:a100" for one. */
static uint32_t gres_gpus(const char *gres)
{
    struct str rest = str_of(gres), item, piece;
    uint64_t sum = 0;

    while (str_split(&rest, ',', &item)) {
        struct err bad = {0};
        uint64_t n = 1, v;
        if (!str_split(&item, ':', &piece) || !str_eqz(piece, "gpu")) continue;
        while (str_split(&item, ':', &piece)) {
            err_clear(&bad);
            if (parse_u64(piece, &v, &bad) && v <= 1024) n = v;
        }
        sum += n;
    }
    return sum > 1024 ? 1024 : (uint32_t)sum;
}

static const struct opt_node *override_of(const struct slurm_opts *o, const char *stage)
{
    return o->stages && o->stages->kind == OPT_MAPPING ? opt_node_get(o->stages, stage) : NULL;
}

static bool check_overrides(const struct slurm_opts *o, struct err *e)
{
    static const char *const whole[] = {"dir", "program", "job_name", "stages"};

    if (!o->stages) return true;
    if (o->stages->kind != OPT_MAPPING)
        return err_set(e, ERR_CONFIG, "slurm.stages must be a mapping (stage: {key: value})");
    for (size_t i = 0; i < o->stages->n; i++) {
        const char *stage = o->stages->keys[i];
        if (!IS_ONE_OF(stage, stage_names))
            return err_set(e, ERR_CONFIG,
                           "slurm.stages.%.60s: no such stage; stages are ingest, stats, shard, "
                           "train, generate, evaluate, sweep, serve",
                           stage);
        for (size_t k = 0; k < sizeof whole / sizeof *whole; k++)
            if (o->stages->items[i]->kind == OPT_MAPPING &&
                opt_node_get(o->stages->items[i], whole[k]))
                return err_set(
                    e, ERR_CONFIG,
                    "slurm.stages.%s.%s: this option belongs to all stages; set slurm.%s", stage,
                    whole[k], whole[k]);
    }
    return true;
}

bool slurm_stage_opts(const struct slurm_opts *o, const struct slurm_stage *s, struct arena *a,
                      struct slurm_opts *out, struct err *e)
{
    char prefix[96];

    *out = *o;
    stage_defaults(s, out);
    snprintf(prefix, sizeof prefix, "slurm.stages.%s", s->name);
    if (!check_overrides(o, e) ||
        !opt_bind_over(override_of(o, s->name), prefix, slurm_table, a, out, e))
        return false;
    if (out->gres && out->gpus_per_node == 0) out->gpus_per_node = gres_gpus(out->gres);
    if (out->ranks_per_node == 0) out->ranks_per_node = out->gpus_per_node ? out->gpus_per_node : 1;
    if (out->gpus_per_node && out->ranks_per_node > out->gpus_per_node && !out->share_gpus)
        return err_set(
            e, ERR_CONFIG,
            "stage %s: %u ranks would share %u GPUs of a node; lower %s.ranks_per_node, or "
            "set slurm.share_gpus",
            s->name, out->ranks_per_node, out->gpus_per_node, prefix);
    if (s->ranks || (uint64_t)out->nodes * out->ranks_per_node == 1) return true;
    return err_set(e, ERR_CONFIG,
                   "stage %s runs as one process: %s.nodes and ranks_per_node must be 1", s->name,
                   prefix);
}

bool slurm_stage_hang(const struct slurm_opts *o, const char *stage, struct arena *a,
                      double *minutes, struct err *e)
{
    struct slurm_opts over = *o;
    char prefix[96];

    snprintf(prefix, sizeof prefix, "slurm.stages.%s", stage);
    if (!opt_bind_over(override_of(o, stage), prefix, slurm_table, a, &over, e)) return false;
    *minutes = over.hang_minutes;
    return true;
}

/* ---- the plan */
static bool next_number(const char *dir, struct arena *a, uint32_t *out, struct err *e)
{
    struct str *names;
    size_t n;

    *out = 1;
    if (!fs_is_dir(dir)) return true;
    if (!fs_list(dir, a, &names, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        struct err bad = {0};
        uint64_t v;
        if (parse_u64(names[i], &v, &bad) && v >= *out && v < 1000000) *out = (uint32_t)v + 1;
    }
    return true;
}

static bool keep(struct arena *a, const struct sbuf *b, struct str *out, struct err *e)
{
    return arena_str(a, sbuf_str(b), out, e);
}

static bool plan_job(const struct slurm_request *q, const struct slurm_stage *s, struct arena *a,
                     const char *dir, struct slurm_job *j, struct err *e)
{
    struct sbuf b;
    struct str path;
    char name[96];

    j->stage = s;
    if (!slurm_stage_opts(q->opts, s, a, &j->o, e)) return false;
    snprintf(name, sizeof name, "stage %s: slurm.time", s->name);
    if (!render_time(name, str_of(j->o.time), &j->limit_s, e) || !render_check(j, e)) return false;
    uint32_t jobs = str_eqz(str_of(s->name), "sweep") ? j->o.workers : 1;
    j->gpu_hours = (double)jobs * j->o.nodes * j->o.gpus_per_node * (double)j->limit_s / 3600.0;
    sbuf_init(&b, SCRIPT_MAX_BYTES);
    bool ok = sbuf_printf(&b, e, "%s/%s.sh", dir, s->name) && keep(a, &b, &path, e);
    if (ok) {
        j->script_path = path.p;
        sbuf_clear(&b);
        ok = render_script(q, j, dir, &b, e) && keep(a, &b, &j->script, e);
    }
    sbuf_free(&b);
    return ok;
}

bool slurm_plan(const struct slurm_request *q, struct arena *a, struct slurm_plan *out,
                struct err *e)
{
    char name[16];

    *out = (struct slurm_plan){0};
    CHECK(q->nstages > 0 && q->nstages <= SLURM_STAGES_MAX && q->opts->dir);
    if (!next_number(q->opts->dir, a, &out->number, e)) return false;
    snprintf(name, sizeof name, "%03u", out->number);
    if (!fs_join(a, q->opts->dir, name, &out->dir, e)) return false;
    for (; out->njobs < q->nstages; out->njobs++)
        if (!plan_job(q, &q->stages[out->njobs], a, out->dir, &out->jobs[out->njobs], e))
            return false;
    return true;
}

/* ---- the table */
static bool put_job(struct sbuf *b, const struct slurm_job *j, struct err *e)
{
    const struct slurm_opts *o = &j->o;
    bool array = str_eqz(str_of(j->stage->name), "sweep");
    char jobs[32] = "";

    if (array) snprintf(jobs, sizeof jobs, " x %u", o->workers);
    return sbuf_printf(b, e, "  %-10s %5u%-5s %6u %5u  %12s %-12s %9.1f\n", j->stage->name,
                       o->nodes, jobs, o->nodes * o->ranks_per_node, o->nodes * o->gpus_per_node,
                       o->time, o->partition ? o->partition : "(default)", j->gpu_hours);
}

bool slurm_plan_table(const struct slurm_plan *p, struct sbuf *b, struct err *e)
{
    double sum = 0;
    uint32_t retries = 0;

    if (!sbuf_put(
            b, STR("  stage      nodes        ranks  GPUs    time limit partition    GPU-hours\n"),
            e))
        return false;
    for (size_t i = 0; i < p->njobs; i++) {
        const struct slurm_job *j = &p->jobs[i];
        if (!put_job(b, j, e)) return false;
        sum += j->gpu_hours;
        if (j->o.requeue && j->o.retries > retries) retries = j->o.retries;
    }
    if (!sbuf_printf(b, e, "  at most %.1f GPU-hours when every job runs to its limit once", sum))
        return false;
    if (retries == 0) return sbuf_putc(b, '\n', e);
    return sbuf_printf(b, e,
                       "; a restart may use its stage's\n  figure again, and a job fails after %u "
                       "restarts in a row that save nothing\n",
                       retries);
}
