#include "cli/sweep_env.h"

#include <math.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/build_info.h"
#include "comm/hang.h"
#include "text/tokenizer.h"

enum { DUMP_BYTES = 4 << 20, SCRATCH_BYTES = 64 << 20, COUNT_MAX = 4096 };

/* ---- the space fits the configuration */

static bool is_shard_key(const char *key)
{
    return str_starts(str_of(key), STR("shards.")) || str_eqz(str_of(key), "model.base");
}

static bool may_vary(const char *key, struct err *e)
{
    static const char *const own[] = {
        "sweep.", "slurm.", "serve.", "corpus.", "evaluate.", "generate.", "train.stop_after_steps",
        NULL};
    struct str k = str_of(key);

    if (config_key_type(key) == OPT_T_END)
        return err_set(e, ERR_CONFIG, "sweep.params: %s is no key of the configuration", key);
    bool dir = str_ends(k, STR(".dir"));
    for (size_t i = 0; !dir && own[i]; i++)
        dir = str_starts(k, str_of(own[i]));
    if (!dir) return true;
    return err_set(e, ERR_CONFIG, "sweep.params: %s cannot vary within a sweep", key);
}

static bool one_value(struct sweep_env *v, const struct space_param *p, double x, struct err *e)
{
    struct config c;
    struct arena a;
    struct sbuf b;

    arena_init(&a, SCRATCH_BYTES);
    sbuf_init(&b, DUMP_BYTES);
    bool ok = sbuf_printf(&b, e, "%s=", p->key) && space_put_text(p, x, &b, e);
    if (ok) {
        const char *set = b.p;
        ok = config_parse(sbuf_str(&v->dump), &set, 1, &a, &c, e);
        if (!ok) err_wrap(e, "sweep.params");
    }
    sbuf_free(&b);
    arena_free(&a);
    return ok;
}

/* Every choice, both ends of every range. */
static bool check_space(struct sweep_env *v, struct err *e)
{
    for (size_t d = 0; d < v->space.n; d++) {
        const struct space_param *p = &v->space.p[d];
        if (!may_vary(p->key, e)) return false;
        for (size_t i = 0; p->kind == SPACE_CHOICE && i < p->n; i++)
            if (!one_value(v, p, (double)i, e)) return false;
        if (p->kind == SPACE_CHOICE) continue;
        if (!one_value(v, p, p->lo, e) || !one_value(v, p, p->hi, e)) return false;
        if (is_shard_key(p->key) && p->kind == SPACE_UNIFORM)
            return err_set(e, ERR_CONFIG,
                           "sweep.params: %s is what shards are made by: give choices, integers "
                           "or steps",
                           p->key);
    }
    return true;
}

/* ---- combinations of what shards are made by */

static bool tokenizer_of(struct sweep_env *v, const char *base, const uint8_t **out, struct err *e)
{
    struct tokenizer *t = NULL;
    struct str path;

    for (size_t i = 0; i < v->nbase; i++)
        if (str_eqz(str_of(base), v->base[i].path)) {
            *out = v->base[i].tokenizer;
            return true;
        }
    if (v->nbase == SWEEP_BASES_MAX) return err_set(e, ERR_LIMIT, "too many base models");
    if (!arena_str(&v->call->arena, str_of(base), &path, e)) return false;
    if (!tokenizer_open(base, &t, e)) return false;
    struct tok_info info = tokenizer_info(t);
    struct sweep_base *b = &v->base[v->nbase++];
    b->path = path.p;
    memcpy(b->tokenizer, info.digest, sizeof info.digest);
    tokenizer_close(t);
    *out = b->tokenizer;
    return true;
}

/* The lines of the options' dump that are not those of the defaults; dir has no part in it. */
static bool hash_shards(const struct shard_opts *from, struct arena *a, struct sha256 *h,
                        struct err *e)
{
    struct shard_opts o = *from, left_out;
    struct sbuf mine, plain;
    struct str rest, line;
    struct arena_mark mark = arena_mark(a);
    bool ok = false;

    sbuf_init(&mine, DUMP_BYTES);
    sbuf_init(&plain, DUMP_BYTES);
    o.dir = NULL;
    if (!opt_defaults(shard_table, a, &left_out, e) ||
        !opt_dump("shards", shard_table, &o, &mine, e) ||
        !opt_dump("shards", shard_table, &left_out, &plain, e))
        goto out;
    for (rest = sbuf_str(&mine); str_split(&rest, '\n', &line);) {
        struct str all = sbuf_str(&plain), other = {NULL, 0};
        while (str_split(&all, '\n', &other) && !str_eq(line, other))
            other = (struct str){NULL, 0};
        if (other.p) continue;
        sha256_put(h, line.p, line.n);
        sha256_put(h, "\n", 1);
    }
    ok = true;
out:
    sbuf_free(&plain);
    sbuf_free(&mine);
    arena_reset(a, mark);
    return ok;
}

/* Name of the shards this configuration trains on: of the options that are not left out, without
 * where they lie, and the tokenizer. An option that a later radmill has does not change it. */
static bool combo_key(struct sweep_env *v, const struct config *c, char key[SWEEP_KEY_BYTES],
                      struct err *e)
{
    const uint8_t *tokenizer;
    uint8_t digest[32];
    struct sha256 h;

    if (!c->model.base) return err_set(e, ERR_CONFIG, "model.base is not set");
    if (!tokenizer_of(v, c->model.base, &tokenizer, e)) return false;
    sha256_init(&h);
    sha256_put(&h, tokenizer, 32);
    bool ok = hash_shards(&c->shards, &v->call->arena, &h, e);
    sha256_end(&h, digest);
    hash_hex(digest, SWEEP_KEY_BYTES / 2, key);
    return ok;
}

static struct sweep_combo *find_combo(struct sweep_env *v, const char *key)
{
    for (size_t i = 0; i < v->ncombo; i++)
        if (str_eqz(str_of(key), v->combo[i].key)) return &v->combo[i];
    return NULL;
}

static bool shards_dir(struct sweep_env *v, struct sweep_combo *k, struct err *e)
{
    struct arena *a = &v->call->arena;
    const char *all, *manifest;

    k->dir = v->c.shards.dir;
    if (v->own_shards &&
        (!fs_join(a, v->c.sweep.dir, "shards", &all, e) || !fs_join(a, all, k->key, &k->dir, e)))
        return false;
    if (!fs_join(a, k->dir, "manifest.json", &manifest, e)) return false;
    k->built = fs_exists(manifest);
    return true;
}

static bool add_combo(struct sweep_env *v, const struct space *sub, const struct space_point *p,
                      struct err *e)
{
    struct arena scratch;
    struct config c;
    char key[SWEEP_KEY_BYTES];
    const char **sets;
    size_t n;

    arena_init(&scratch, SCRATCH_BYTES);
    bool ok = space_sets(sub, p, &v->call->arena, &sets, &n, e) &&
              config_parse(sbuf_str(&v->dump), sets, n, &scratch, &c, e) &&
              combo_key(v, &c, key, e);
    arena_free(&scratch);
    if (!ok || find_combo(v, key)) return ok;
    if (v->ncombo == SWEEP_COMBOS_MAX)
        return err_set(e, ERR_LIMIT, "sweep.params asks for more than %d kinds of shards",
                       SWEEP_COMBOS_MAX);
    CHECK(v->combo);
    struct sweep_combo *k = &v->combo[v->ncombo++];
    *k = (struct sweep_combo){.sets = sets, .nsets = n};
    memcpy(k->key, key, sizeof k->key);
    return shards_dir(v, k, e);
}

static bool find_combos(struct sweep_env *v, struct err *e)
{
    struct space sub;
    struct space_point *g;
    size_t n;

    v->combo = arena_alloc(&v->call->arena, SWEEP_COMBOS_MAX * sizeof *v->combo, e);
    if (!v->combo) return false;
    space_part(&v->space, is_shard_key, &sub);
    v->own_shards = sub.n > 0;
    if (!space_grid(&sub, &v->call->arena, &g, &n, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!add_combo(v, &sub, &g[i], e)) return false;
    if (v->own_shards && !v->c.corpus.dir)
        return err_set(e, ERR_CONFIG,
                       "the sweep varies how shards are made: corpus.dir is not set");
    return true;
}

/* The loss of one tokenizer's tokens says nothing about another's. */
static bool check_goal(const struct sweep_env *v, struct err *e)
{
    for (size_t i = 1; i < v->nbase; i++)
        if (memcmp(v->base[i].tokenizer, v->base[0].tokenizer, 32) != 0 &&
            v->c.sweep.goal.metric == SWEEP_DEV_LOSS)
            return err_set(e, ERR_CONFIG,
                           "sweep.params varies model.base over different tokenizers, whose "
                           "dev_loss cannot be compared: set sweep.goal.metric to "
                           "dev_bits_per_byte or rougeL");
    return true;
}

/* ---- a trial's configuration */

static bool read_count(const struct sweep_env *v, const struct sweep_combo *k, double *out,
                       struct err *e)
{
    char path[4096];
    json_t *j = NULL;

    if (snprintf(path, sizeof path, "%s/shards/%s.json", v->c.sweep.dir, k->key) >= 4096)
        return err_set(e, ERR_LIMIT, "the path of sweep.dir is too long");
    bool ok =
        json_read_file(path, COUNT_MAX, &j, e) && json_get_f64(j, "dev_tokens_per_byte", out, e);
    json_decref(j);
    return ok;
}

static bool bind(struct sweep_env *v, const char *const *sets, size_t n, struct arena *a,
                 const struct sweep_combo **k, struct trial_config *out, struct err *e)
{
    char key[SWEEP_KEY_BYTES];
    const uint8_t *tokenizer;
    struct config c;

    if (!config_parse(sbuf_str(&v->dump), sets, n, a, &c, e) || !combo_key(v, &c, key, e))
        return false;
    *k = find_combo(v, key);
    CHECK(*k != NULL);
    *out = (struct trial_config){.train = c.train,
                                 .lora = c.lora,
                                 .model = c.model,
                                 .generate = c.generate,
                                 .evaluate = c.evaluate,
                                 .shards_dir = (*k)->dir,
                                 .modality = c.shards.modality,
                                 .tokens_per_byte = (double)NAN};
    out->generate.split = SHARD_DEV;
    if (!tokenizer_of(v, c.model.base, &tokenizer, e)) return false;
    memcpy(out->tokenizer_digest, tokenizer, 32);
    return true;
}

bool sweep_env_plan(struct sweep_env *v, const char *const *sets, size_t n, struct arena *a,
                    struct trial_config *out, struct err *e)
{
    const struct sweep_combo *k;
    return bind(v, sets, n, a, &k, out, e);
}

bool sweep_env_bind(void *ctx, const char *const *sets, size_t n, struct arena *a,
                    struct trial_config *out, struct err *e)
{
    struct sweep_env *v = ctx;
    const struct sweep_combo *k;

    if (!bind(v, sets, n, a, &k, out, e)) return false;
    return v->c.sweep.goal.metric != SWEEP_BITS_PER_BYTE ||
           read_count(v, k, &out->tokens_per_byte, e);
}

/* ---- before all trials */

static bool count_sample(struct shard_set *set, const struct tokenizer *t, size_t i,
                         struct sbuf *text, uint64_t *tokens, uint64_t *bytes, struct err *e)
{
    struct sample s;

    sbuf_clear(text);
    if (!shard_set_get(set, i, &s, e)) return false;
    if (!tokenizer_decode(t, s.tokens + s.target, s.length - s.target - 1, true, text, e))
        return false;
    *tokens += s.length - s.target; /* the end mark bears loss too */
    *bytes += text->n;
    return true;
}

/* Target tokens for a byte of text, in the dev split. */
static bool count_bytes(struct sweep_env *v, const struct sweep_combo *k, const struct config *c,
                        struct err *e)
{
    struct shard_set *set = NULL;
    struct tokenizer *t = NULL;
    struct sbuf text, json;
    uint64_t tokens = 0, bytes = 0;
    char path[4096];
    bool ok = false;

    sbuf_init(&text, 16 << 20);
    sbuf_init(&json, COUNT_MAX);
    if (!shard_set_open(k->dir, SHARD_DEV, c->shards.modality.v, c->shards.modality.n, true, &set,
                        e) ||
        !tokenizer_open(c->model.base, &t, e))
        goto out;
    for (size_t i = 0; i < shard_set_count(set); i++)
        if (!count_sample(set, t, i, &text, &tokens, &bytes, e)) goto out;
    if (bytes == 0) {
        err_set(e, ERR_FORMAT, "%s: the dev split has no text", k->dir);
        goto out;
    }
    snprintf(path, sizeof path, "%s/shards", v->c.sweep.dir);
    if (!fs_mkdirs(path, e)) goto out;
    if (!sbuf_printf(&json, e, "{\"dev_tokens\": %llu, \"dev_bytes\": %llu, ",
                     (unsigned long long)tokens, (unsigned long long)bytes) ||
        !sbuf_put(&json, STR("\"dev_tokens_per_byte\": "), e) ||
        !sbuf_put_f64(&json, (double)tokens / (double)bytes, e) || !sbuf_put(&json, STR("}\n"), e))
        goto out;
    snprintf(path, sizeof path, "%s/shards/%s.json", v->c.sweep.dir, k->key);
    ok = fs_replace(path, sbuf_str(&json), e);
out:
    tokenizer_close(t);
    shard_set_close(set);
    sbuf_free(&json);
    sbuf_free(&text);
    return ok;
}

/* Collective. */
static bool build(struct sweep_env *v, struct sweep_combo *k, struct config *c, struct comm *comm,
                  struct err *e)
{
    struct shard_summary sum;

    if (!v->own_shards) return true;
    c->shards.dir = k->dir;
    struct hang_opts watch = {v->c.slurm.hang_minutes * 60, "shard", k->dir};
    bool ok = config_find_layout(c->model.base, &c->shards.layout, e);
    if (!comm_agree(comm, ok, e)) return false;
    ok = hang_watch(comm, &watch, e) &&
         shard_run(c->corpus.dir, &c->shards, c->model.base, comm, &sum, e);
    hang_release();
    return ok;
}

bool sweep_env_prepare(void *ctx, uint64_t i, struct comm *comm, struct err *e)
{
    struct trial_env *env = ctx;
    struct sweep_env *v = env->ctx;
    struct sweep_combo *k = &v->combo[i];
    struct arena a;
    struct config c;
    uint64_t bytes;
    size_t planned;

    arena_init(&a, SCRATCH_BYTES);
    bool ok = config_parse(sbuf_str(&v->dump), k->sets, k->nsets, &a, &c, e);
    ok = comm_agree(comm, ok, e) && build(v, k, &c, comm, e);
    if (ok && v->c.sweep.goal.metric == SWEEP_BITS_PER_BYTE)
        ok = comm_agree(comm, comm_rank(comm) != 0 || count_bytes(v, k, &c, e), e);
    ok = ok && sweep_env_memory(v, (size_t)i, comm, &bytes, &planned, e);
    if (ok)
        log_info("sweep_memory", "shards=%s combinations=%zu largest_gib=%.3f", k->key, planned,
                 (double)bytes / 1073741824.0);
    arena_free(&a);
    return ok;
}

/* ---- opening */

static bool settle(void *ctx, struct str config, struct arena *a, struct str *out, struct err *e)
{
    struct config c;
    struct sbuf b;

    (void)ctx;
    sbuf_init(&b, DUMP_BYTES);
    bool ok = config_parse(config, NULL, 0, a, &c, e) && config_dump(&c, &b, e) &&
              arena_str(a, sbuf_str(&b), out, e);
    sbuf_free(&b);
    return ok;
}

static enum sweep_job ask_slurm(void *ctx, const char *job)
{
    bool known, there = slurm_lists(job, &known);
    (void)ctx;
    return !known ? SWEEP_JOB_UNKNOWN : there ? SWEEP_JOB_THERE : SWEEP_JOB_GONE;
}

bool sweep_env_open(struct sweep_env *v, struct cmd_call *call, bool create, bool missing_ok)
{
    struct err *e = &call->err;
    const char *path;

    *v = (struct sweep_env){.call = call};
    sbuf_init(&v->dump, DUMP_BYTES);
    if (!config_load(call, &v->c) || !config_dump(&v->c, &v->dump, e)) return false;
    if (!config_need(call, v->c.sweep.dir, "sweep.dir")) return false;
    if (!space_parse(v->c.sweep.params, &call->arena, &v->space, e)) return false;
    if (!config_need(call, v->c.shards.dir, "shards.dir")) return false;
    if (!check_space(v, e) || !find_combos(v, e) || !check_goal(v, e)) return false;
    v->trial = (struct trial_env){.ctx = v,
                                  .bind = sweep_env_bind,
                                  .slot = &v->slot,
                                  .version = build_info_version,
                                  .commit = build_info_commit};
    v->runner = (struct sweep_runner){.ctx = &v->trial,
                                      .nprepare = v->ncombo,
                                      .prepare = sweep_env_prepare,
                                      .trial = trial_run,
                                      .settle = settle,
                                      .jobs = {NULL, ask_slurm},
                                      .poll_s = 1};
    if (!fs_join(&call->arena, v->c.sweep.dir, "sweep.json", &path, e)) return false;
    if (!create && missing_ok && !fs_exists(path)) return true;
    v->open = sweep_open(&v->c.sweep, sbuf_str(&v->dump), &v->runner, create, &v->s, e);
    return v->open;
}

void sweep_env_close(struct sweep_env *v)
{
    if (v->open) sweep_close(&v->s);
    model_slot_free(&v->slot);
    sbuf_free(&v->dump);
}
