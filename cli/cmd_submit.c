/* radmill submit: stages as SLURM jobs. */
#include <stdio.h>
#include <unistd.h>

#include "cli/build_info.h"
#include "cli/sweep_env.h"

enum { TEXT_MAX_BYTES = 1 << 20 };

static const char *const order[] = {"ingest",   "stats",    "shard", "sweep", "train",
                                    "generate", "evaluate", "serve", NULL};

/* ---- which stages */
static size_t place_of(struct str name)
{
    size_t i = 0;
    while (order[i] && !str_eqz(name, order[i]))
        i++;
    return i;
}

static bool take_stages(struct cmd_call *call, const struct config *c, struct slurm_stage *out,
                        size_t *n)
{
    struct str rest = str_of(cmd_value(call, "--stages")), word, name;
    size_t last = 0;

    *n = 0;
    while (str_split(&rest, ',', &word)) {
        word = str_trim(word);
        size_t place = place_of(word);
        if (!order[place] || !cmd_find(order[place]))
            return err_set(&call->err, ERR_CONFIG,
                           "--stages: %.40s is no stage; ingest, stats, shard, sweep, train, "
                           "generate, evaluate, serve",
                           word.n ? word.p : "nothing");
        if (*n > 0 && place <= last)
            return err_set(&call->err, ERR_CONFIG, "--stages: %s comes before %s, and each once",
                           order[place], order[last]);
        last = place;
        if (!arena_str(&call->arena, word, &name, &call->err)) return false;
        out[*n] = (struct slurm_stage){
            .name = name.p,
            .dir = config_stage_dir(c, name.p),
            .ranks = cmd_find(name.p)->ranks,
            .command = str_eqz(name, "sweep") ? "sweep worker" : NULL,
        };
        if (!out[*n].dir && !str_eqz(name, "stats")) /* which keeps no status */
            return err_set(&call->err, ERR_CONFIG, "%s: the folder of stage %s is not set",
                           call->pos[0], name.p);
        ++*n;
    }
    return *n > 0 || err_set(&call->err, ERR_CONFIG, "submit needs --stages LIST");
}

/* ---- one modality: its own results beside the others' */
static bool behind_dash(struct cmd_call *call, const char **dir, struct str list)
{
    struct sbuf b;
    struct str s;
    bool ok = true;

    if (!*dir) return true;
    sbuf_init(&b, 8192);
    ok = sbuf_printf(&b, &call->err, "%s-", *dir);
    for (size_t i = 0; ok && i < list.n; i++) {
        char c = list.p[i];
        if (c != ' ' && c != '[' && c != ']')
            ok = sbuf_putc(&b, c == ',' || c == '/' ? '+' : c, &call->err);
    }
    ok = ok && arena_str(&call->arena, sbuf_str(&b), &s, &call->err);
    if (ok) *dir = s.p;
    sbuf_free(&b);
    return ok;
}

static bool one_modality(struct cmd_call *call, struct config *c)
{
    struct str list = str_of(cmd_value(call, "--modality")), rest = list, word;
    bool known[MOD_COUNT] = {false};
    const char **v;
    size_t n = 0;

    if (!list.n) return true;
    if (!cmd_modalities(call, known)) return false;
    v = arena_alloc(&call->arena, (list.n + 1) * sizeof *v, &call->err);
    if (!v) return false;
    while (str_split(&rest, ',', &word)) {
        while (word.n && (word.p[0] == '[' || word.p[0] == ' '))
            word = str_sub(word, 1, word.n);
        while (word.n && (word.p[word.n - 1] == ']' || word.p[word.n - 1] == ' '))
            word.n--;
        if (!word.n) continue;
        if (!arena_str(&call->arena, word, &word, &call->err)) return false;
        v[n++] = word.p;
    }
    c->shards.modality = (struct opt_strs){v, n};
    return behind_dash(call, &c->train.dir, list) && behind_dash(call, &c->generate.dir, list) &&
           behind_dash(call, &c->evaluate.dir, list);
}

/* ---- paths */
/* This program, as the nodes of a shared file system see it. */
static bool own_path(struct cmd_call *call, const char **out)
{
    char path[4096];
    struct str s;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);

    if (n <= 0 || n == (ssize_t)sizeof path)
        return err_set(&call->err, ERR_CONFIG,
                       "cannot find this program's own path; set slurm.program");
    if (!arena_str(&call->arena, (struct str){path, (size_t)n}, &s, &call->err)) return false;
    *out = s.p;
    return true;
}

/* ---- output */
static bool print_plan(struct cmd_call *call, const struct slurm_plan *p, bool scripts)
{
    struct sbuf b;
    bool ok = true;

    sbuf_init(&b, TEXT_MAX_BYTES);
    for (size_t i = 0; ok && scripts && i < p->njobs; i++)
        ok = sbuf_printf(&b, &call->err, "==== %s\n%.*s\n", p->jobs[i].script_path,
                         STR_ARG(p->jobs[i].script));
    ok = ok && slurm_plan_table(p, &b, &call->err);
    if (ok) cmd_print(call, "%s", b.p);
    sbuf_free(&b);
    return ok;
}

static bool dry_run(struct cmd_call *call, const struct slurm_plan *p)
{
    struct sbuf b;

    if (!print_plan(call, p, true)) return false;
    sbuf_init(&b, TEXT_MAX_BYTES);
    bool ok = slurm_test_only(p, &b, &call->err);
    if (b.n) cmd_print(call, "%s", b.p);
    sbuf_free(&b);
    return ok;
}

/* A sweep that cannot be is told now, not by workers that waited in the queue for a night. */
static bool check_sweep(struct cmd_call *call, const struct slurm_request *q)
{
    struct sweep_env v;

    for (size_t i = 0; i < q->nstages; i++) {
        if (!str_eqz(str_of(q->stages[i].name), "sweep")) continue;
        bool ok = sweep_env_open(&v, call, false, true) && sweep_env_preflight(&v);
        sweep_env_close(&v);
        return ok || err_wrap(&call->err, "stage sweep");
    }
    return true;
}

static bool serves(const struct slurm_request *q)
{
    return str_eqz(str_of(q->stages[q->nstages - 1].name), "serve"); /* the last there is */
}

/* How to reach a server that will run on a node not yet known. */
static void print_tunnel(struct cmd_call *call, const struct config *c)
{
    char login[128] = "LOGIN";

    if (c->serve.socket || !c->serve.port) {
        cmd_print(call, "serve: when it runs, %s/connect.txt says how to reach it\n", c->serve.dir);
        return;
    }
    (void)gethostname(login, sizeof login - 1);
    cmd_print(call,
              "serve: when it runs, %s/connect.txt has the one-time link, and the name of the node "
              "for\n  ssh -N -J %s -L %u:%s:%u NODE\n",
              c->serve.dir, login, c->serve.port, c->serve.address, c->serve.port);
}

bool cmd_submit(struct cmd_call *call)
{
    struct slurm_stage stages[SLURM_STAGES_MAX];
    struct slurm_plan *p;
    struct config c;
    struct sbuf dump;
    bool ok = false;

    struct slurm_request q = {
        .opts = &c.slurm, .stages = stages, .title = call->pos[0], .version = build_info_version};
    sbuf_init(&dump, TEXT_MAX_BYTES);
    p = arena_alloc(&call->arena, sizeof *p, &call->err);
    if (!p || !config_load(call, &c) || !one_modality(call, &c)) goto out;
    if (!take_stages(call, &c, stages, &q.nstages) || !config_slurm_dir(call, &c)) goto out;
    if (!c.slurm.program && c.slurm.container) c.slurm.program = "radmill";
    if (!c.slurm.program && !own_path(call, &c.slurm.program)) goto out;
    if (!config_dump(&c, &dump, &call->err)) goto out;
    q.program = c.slurm.program;
    q.config = sbuf_str(&dump);
    if (!slurm_plan(&q, &call->arena, p, &call->err) || !check_sweep(call, &q)) goto out;
    if (call->dry_run) {
        ok = dry_run(call, p);
        if (ok && serves(&q)) print_tunnel(call, &c);
        goto out;
    }
    ok = slurm_submit(p, &q, &call->arena, &call->err) && print_plan(call, p, false);
    for (size_t i = 0; ok && i < p->njobs; i++)
        cmd_print(call, "%s: job %s\n", p->jobs[i].stage->name, p->jobs[i].id);
    if (ok && serves(&q)) print_tunnel(call, &c);
    if (ok) cmd_print(call, "follow it with: radmill status %s\n", c.slurm.dir);
out:
    sbuf_free(&dump);
    return ok;
}
