/* What a sweep takes: memory of every combination that matters for it, steps, tokens, hours. */
#include <inttypes.h>
#include <math.h>

#include "base/fs.h"
#include "cli/sweep_env.h"
#include "sweep/decide.h"

enum { SCRATCH_BYTES = 64 << 20, PLANNED_MAX = 64, SAMPLED_MAX = 12 };

/* Keys that change how much memory a trial takes, or whether it is possible at all. */
static bool matters(const char *key)
{
    static const char *const keys[] = {"model.",
                                       "shards.",
                                       "lora.rank",
                                       "lora.targets",
                                       "lora.method",
                                       "lora.layers",
                                       "train.bin_tokens",
                                       "train.tokens_per_step",
                                       "train.loss_on",
                                       "train.epochs",
                                       NULL};
    for (size_t i = 0; keys[i]; i++)
        if (str_starts(str_of(key), str_of(keys[i]))) return true;
    return false;
}

/* More of it takes more memory: only the most is planned. */
static bool grows(const char *key)
{
    return str_eqz(str_of(key), "lora.rank") || str_eqz(str_of(key), "train.bin_tokens") ||
           str_eqz(str_of(key), "train.epochs");
}

static bool only_most(const struct space *s, size_t d)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->p[i].parent == (int)d) return false;
    return grows(s->p[d].key);
}

/* Is point p the largest in what grows? */
static bool largest(const struct space *s, const struct space_point *p)
{
    for (size_t d = 0; d < s->n; d++) {
        const struct space_param *q = &s->p[d];
        struct err ignored = {0};
        double most = -INFINITY, x = 0, mine = p->v[d];
        if (!only_most(s, d) || !(p->on >> d & 1)) continue;
        for (size_t i = 0; i < q->n; i++) {
            if (!parse_f64(str_of(q->choices[i]), &x, &ignored)) return true;
            if ((double)i == p->v[d]) mine = x;
            if (x > most) most = x;
        }
        if (q->kind != SPACE_CHOICE) most = q->hi;
        if (mine < most) return false;
    }
    return true;
}

/* A dry run of training with these values. *other: it is of other shards. Collective. */
static bool plan_one(struct sweep_env *v, const struct sweep_combo *k, const struct space *s,
                     const struct space_point *p, struct comm *c, bool *other,
                     struct train_summary *out, struct err *e)
{
    struct trial_config t;
    struct train_job job;
    struct arena a;
    const char **sets;
    size_t n = 0;
    bool ok;

    arena_init(&a, SCRATCH_BYTES);
    ok = space_sets(s, p, &a, &sets, &n, e) && sweep_env_plan(v, sets, n, &a, &t, e) &&
         trial_check(&v->c.sweep, &t, e);
    *other = ok && k && !str_eqz(str_of(t.shards_dir), k->dir);
    ok = ok && trial_job(&t, &v->trial, v->c.sweep.dir, &a, &job, e);
    if (ok) job.dry_run = true;
    ok = comm_agree(c, ok, e) && (*other || train_run(&job, c, out, e));
    if (!ok) {
        for (size_t i = n; i-- > 0;)
            err_wrap(e, "%s", sets[i]);
        err_wrap(e, "a combination of sweep.params is not possible");
    }
    arena_free(&a);
    return ok;
}

bool sweep_env_memory(struct sweep_env *v, size_t i, struct comm *c, uint64_t *bytes,
                      size_t *planned, struct err *e)
{
    struct train_summary sum;
    struct space sub;
    struct space_point *g;
    struct arena a;
    size_t n;
    bool ok = false, other;

    *bytes = *planned = 0;
    arena_init(&a, SCRATCH_BYTES);
    space_part(&v->space, matters, &sub);
    if (!space_grid(&sub, &a, &g, &n, e)) goto out;
    for (size_t k = 0; k < n && *planned < PLANNED_MAX; k++) {
        if (!largest(&sub, &g[k])) continue;
        if (!plan_one(v, &v->combo[i], &sub, &g[k], c, &other, &sum, e)) goto out;
        if (other) continue;
        ++*planned;
        if (sum.memory_bytes > *bytes) *bytes = sum.memory_bytes;
    }
    ok = true;
out:
    arena_free(&a);
    return ok;
}

/* ---- cost */

struct cost {
    double runs;            /* whole runs' worth of training */
    uint64_t at[RUNGS_MAX]; /* trials that train to the rung */
    double tokens, steps;   /* mean of a whole run */
    size_t sampled;
    uint64_t memory;
    double tokens_per_s;
    const char *speed_from;
};

/* How many trials each rung sees. */
static void count_rungs(const struct sweep *s, uint64_t trials, struct cost *c)
{
    uint64_t first[RUNGS_MAX] = {0};

    for (uint64_t k = 0; k < trials; k++)
        first[decide_first_rung(s, k)]++;
    for (uint32_t b = 0; b < s->rungs.n; b++) {
        uint64_t n = first[b];
        for (uint32_t j = b; j < s->rungs.n; j++) {
            uint64_t before = j > b ? s->rungs.resource[j - 1] : 0;
            c->at[j] += n;
            c->runs += (double)n * (double)(s->rungs.resource[j] - before) / (double)s->rungs.max;
            if (s->o->method != SWEEP_MEDIAN) n /= s->rungs.eta; /* median: at worst nobody stops */
        }
    }
}

static bool all_built(const struct sweep_env *v)
{
    for (size_t i = 0; i < v->ncombo; i++)
        if (!v->combo[i].built) return false;
    return true;
}

/* Tokens and steps of whole runs: of the first trials, which are known for grid and random. */
static bool sample_runs(struct sweep_env *v, const struct sweep *s, uint64_t trials,
                        struct cost *out, struct err *e)
{
    struct train_summary sum;
    struct space_point p;
    bool other;

    for (uint64_t k = 0; k < trials && out->sampled < SAMPLED_MAX; k++) {
        uint64_t at = trials > SAMPLED_MAX ? k * (trials - 1) / (SAMPLED_MAX - 1) : k;
        if (s->grid)
            p = s->grid[at];
        else
            space_random(&s->space, s->o->seed, k, &p);
        if (!plan_one(v, NULL, &s->space, &p, v->call->comm, &other, &sum, e)) return false;
        out->steps += (double)sum.total_steps;
        out->tokens += (double)sum.run_tokens;
        if (sum.memory_bytes > out->memory) out->memory = sum.memory_bytes;
        out->sampled++;
    }
    out->steps /= fmax((double)out->sampled, 1);
    out->tokens /= fmax((double)out->sampled, 1);
    return true;
}

/* Tokens a second of one device, evaluation, loading and all. */
static void find_speed(const struct sweep *s, struct cost *out)
{
    double tokens = 0, gpu_s = 0;

    out->tokens_per_s = s->o->tokens_per_s;
    out->speed_from = "sweep.tokens_per_s";
    if (out->tokens_per_s > 0) return;
    for (uint64_t k = 0; k < s->state.ntrials; k++)
        for (uint32_t j = 0; j < s->rungs.n; j++) {
            const struct sweep_work_unit *u = sweep_state_unit(&s->state, k, j);
            if (!u || u->step != SWEEP_DONE) continue;
            tokens += (double)u->r.tokens;
            gpu_s += u->r.gpu_s;
        }
    out->tokens_per_s = gpu_s > 0 ? tokens / gpu_s : 0;
    out->speed_from = "measured by the trials so far";
}

static void print_rungs(struct sweep_env *v, const struct sweep *s, const struct cost *c)
{
    if (s->rungs.n < 2) return;
    cmd_print(v->call, "  rung   share of a run   trials%s\n",
              s->o->method == SWEEP_MEDIAN ? " (at most)" : "");
    for (uint32_t j = 0; j < s->rungs.n; j++)
        cmd_print(v->call, "  %4u   %6.2f %%         %6" PRIu64 "\n", j,
                  100.0 * (double)s->rungs.resource[j] / (double)s->rungs.max, c->at[j]);
}

static void print_cost(struct sweep_env *v, const struct sweep *s, const struct cost *c)
{
    struct cmd_call *call = v->call;

    cmd_print(call, "  training worth %.4g whole runs\n", c->runs);
    if (c->sampled == 0) {
        cmd_print(call, "  the shards are not all built: no tokens, memory or hours yet\n");
        return;
    }
    cmd_print(call,
              "  a run: %.4g steps, %.4g tokens (mean of %zu trials); largest memory plan "
              "%.3f GiB\n",
              c->steps, c->tokens, c->sampled, (double)c->memory / 1073741824.0);
    cmd_print(call, "  all: %.4g steps, %.4g tokens\n", c->steps * c->runs, c->tokens * c->runs);
    if (c->tokens_per_s > 0)
        cmd_print(call, "  %.4g GPU-hours at %.4g tokens/s (%s)\n",
                  c->tokens * c->runs / c->tokens_per_s / 3600, c->tokens_per_s, c->speed_from);
    else
        cmd_print(call, "  GPU-hours: set sweep.tokens_per_s to the speed of one device (radmill "
                        "train prints it)\n");
    if (s->o->gpu_hours > 0)
        cmd_print(call, "  ends after %.4g GPU-hours in any case\n", s->o->gpu_hours);
    if (s->o->steps > 0)
        cmd_print(call, "  ends after %" PRIu64 " steps in any case\n", s->o->steps);
}

bool sweep_env_preflight(struct sweep_env *v)
{
    struct sweep s = v->s;
    uint64_t most = 0, bytes;
    size_t all = 0, n;
    bool ok = true;

    if (!v->open) {
        arena_init(&s.arena, SCRATCH_BYTES);
        ok = sweep_lay_out(&v->c.sweep, &s, &v->call->err);
        arena_free(&s.arena);
    }
    if (ok && !all_built(v)) {
        cmd_print(v->call,
                  "sweep: memory is planned by the first worker, once the shards are built\n");
        return true;
    }
    for (size_t i = 0; ok && i < v->ncombo; i++) {
        ok = sweep_env_memory(v, i, v->call->comm, &bytes, &n, &v->call->err);
        if (ok && bytes > most) most = bytes;
        if (ok) all += n;
    }
    if (ok)
        cmd_print(v->call, "sweep: memory of %zu combinations planned, the largest %.3f GiB\n", all,
                  (double)most / 1073741824.0);
    return ok;
}

bool sweep_env_cost(struct sweep_env *v)
{
    struct cost c = {.runs = 0};
    struct sweep s = v->s;
    struct err *e = &v->call->err;
    bool ok = true;

    arena_init(&s.arena, SCRATCH_BYTES);
    if (!v->open) ok = sweep_lay_out(&v->c.sweep, &s, e);
    uint64_t trials = v->c.sweep.trials > 0 || s.grid ? s.limit : 0;
    if (ok) count_rungs(&s, trials, &c);
    if (ok && all_built(v)) ok = sample_runs(v, &s, trials > 0 ? trials : SAMPLED_MAX, &c, e);
    if (ok) {
        find_speed(&s, &c);
        cmd_print(v->call, "%s: %s, %" PRIu64 " trials over %zu keys, %zu kinds of shards%s\n",
                  v->c.sweep.dir, sweep_method_name(&v->c.sweep), trials, v->space.n, v->ncombo,
                  v->own_shards ? " to be built once" : "");
        print_rungs(v, &s, &c);
        print_cost(v, &s, &c);
    }
    arena_free(&s.arena);
    return ok;
}
