#include "sweep/trial_run.h"

#include <math.h>

#include "base/fs.h"
#include "base/mem.h"
#include "comm/hang.h"

enum { ARENA_BYTES = 16 << 20, BOOTSTRAP = 100 };

bool trial_check(const struct sweep_opts *o, const struct trial_config *c, struct err *e)
{
    if (c->train.eval_every.unit == OPT_NEVER)
        return err_set(e, ERR_CONFIG, "a sweep judges by the dev split: set train.eval_every");
    if (c->train.stop_after_steps > 0)
        return err_set(e, ERR_CONFIG, "train.stop_after_steps has no place in a sweep");
    if (o->goal.metric == SWEEP_BITS_PER_BYTE && c->train.loss_on != TRAIN_LOSS_TARGET)
        return err_set(e, ERR_CONFIG, "dev_bits_per_byte needs train.loss_on: target");
    return true;
}

bool trial_job(struct trial_config *c, const struct trial_env *env, const char *dir,
               struct arena *a, struct train_job *out, struct err *e)
{
    if (!fs_join(a, dir, "run", &c->train.dir, e) ||
        !fs_join(a, dir, "pairs", &c->generate.dir, e) ||
        !fs_join(a, dir, "report", &c->evaluate.dir, e))
        return false;
    *out = (struct train_job){.train = &c->train,
                              .lora = &c->lora,
                              .model = &c->model,
                              .shards_dir = c->shards_dir,
                              .modalities = c->modality,
                              .tokenizer_digest = c->tokenizer_digest,
                              .version = env->version,
                              .commit = env->commit,
                              .slot = env->slot};
    return true;
}

/* Collective. */
static bool generate(const struct trial_config *t, const struct trial_env *env, const char *adapter,
                     struct comm *c, double *rouge_l, struct err *e)
{
    struct generate_summary g;
    static const char *const rouge[] = {"rouge"};
    struct evaluate_opts o = t->evaluate;
    struct evaluate_summary *s = NULL;
    struct generate_job j = {.generate = &t->generate,
                             .model = &t->model,
                             .shards_dir = t->shards_dir,
                             .modalities = t->modality,
                             .adapter = adapter,
                             .version = env->version,
                             .commit = env->commit,
                             .slot = t->lora.method == LORA_FULL ? NULL : env->slot};

    if (!generate_run(&j, c, &g, e)) return false;
    o.bootstrap = BOOTSTRAP;
    o.strata = false;
    o.metrics = (struct opt_strs){rouge, 1};
    o.baselines.n = 0;
    s = mem_calloc(1, sizeof *s, e);
    bool ok = comm_agree(c, s != NULL, e) && evaluate_run(&o, g.pairs_path, NULL, 0, c, s, e);
    if (ok) *rouge_l = evaluate_value(s, "rougeL.f")->mean;
    mem_free(s);
    return ok;
}

/* A trial has its folder to itself; the sweep's is shared by workers. Collective. */
static bool watch(const struct trial_config *t, const char *dir, struct comm *c, struct err *e)
{
    struct hang_opts o = {t->train.hang_minutes * 60, "a trial", dir};
    return hang_watch(c, &o, e);
}

static double score(const struct trial_config *t, const struct train_summary *s)
{
    bool best = s->finished && t->train.export != TRAIN_EXPORT_LAST && isfinite(s->best_dev_loss);
    return best ? s->best_dev_loss : s->dev_loss;
}

/* Collective. */
static bool run(const struct sweep *s, const struct sweep_unit *u, struct trial_config *t,
                const struct trial_env *env, struct sweep_result *out, struct comm *c,
                struct err *e)
{
    struct train_summary sum;
    struct train_job job;
    struct arena a;
    const char *dir;
    bool top = u->rung + 1 == s->rungs.n, ok = false;

    arena_init(&a, ARENA_BYTES);
    ok = sweep_trial_dir(s->o, u->trial, &a, &dir, e) && trial_job(t, env, dir, &a, &job, e);
    if (!comm_agree(c, ok, e)) goto out;
    if (!top) {
        job.pause_num = s->rungs.resource[u->rung];
        job.pause_den = s->rungs.max;
    }
    ok = watch(t, dir, c, e) && train_run(&job, c, &sum, e);
    if (!ok) goto out;
    out->value[SWEEP_DEV_LOSS] = score(t, &sum);
    out->value[SWEEP_BITS_PER_BYTE] = score(t, &sum) * t->tokens_per_byte / log(2);
    out->train_loss = sum.train_loss;
    out->step = sum.steps;
    out->total_steps = sum.total_steps;
    out->tokens = sum.tokens;
    out->memory_bytes = sum.memory_bytes;
    if (top && s->o->generate) ok = generate(t, env, sum.adapter, c, &out->value[SWEEP_ROUGE_L], e);
out:
    hang_release();
    arena_free(&a);
    return ok;
}

bool trial_run(void *ctx, const struct sweep *s, const struct sweep_unit *u,
               const struct space_point *p, struct sweep_result *out, struct comm *c, struct err *e)
{
    const struct trial_env *env = ctx;
    struct trial_config t = {.tokens_per_byte = (double)NAN};
    const char **sets;
    struct arena a;
    size_t n;

    arena_init(&a, ARENA_BYTES);
    bool ok = space_sets(&s->space, p, &a, &sets, &n, e) &&
              env->bind(env->ctx, sets, n, &a, &t, e) && trial_check(s->o, &t, e);
    ok = comm_agree(c, ok, e) && run(s, u, &t, env, out, c, e);
    arena_free(&a);
    return ok;
}
