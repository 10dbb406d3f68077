/* Opening a run. */
#include <inttypes.h>
#include <math.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "train/grad_team.h"
#include "train/train_run.h"

enum { ARENA_BYTES = 1 << 20, CONFIG_BYTES = 1 << 20 };

/* What may change when a run is continued: where things lie, and what leaves the bits alone. */
static const char *const free_keys[] = {
    "train.dir",          "train.keep",          "train.save_every",
    "train.memory_gib",   "train.verify_tokens", "train.recompute",

    "model.base",         "model.name",          "model.threads",
    "model.share_gpu",    "shards.dir",          "train.stop_after_steps",
    "train.hang_minutes", "train.gradient_sum",  NULL};

/* ---- options */
static bool check_every(const char *key, struct opt_every v, struct err *e)
{
    if (v.unit == OPT_NEVER || (v.unit == OPT_STEPS ? v.n >= 1 : v.n > 0)) return true;
    return err_set(e, ERR_CONFIG, "train.%s: %g is not a distance; give at least 1 step, or never",
                   key, v.n);
}

bool train_run_check(const struct train_job *j, struct err *e)
{
    const struct train_opts *o = j->train;

    if (!o->dir && !j->dry_run) return err_set(e, ERR_CONFIG, "train.dir is not set");
    if (!j->model->base) return err_set(e, ERR_CONFIG, "model.base is not set");
    if (!j->shards_dir) return err_set(e, ERR_CONFIG, "shards.dir is not set");
    if (o->tokens_per_step % o->bin_tokens != 0)
        return err_set(
            e, ERR_CONFIG,
            "train.tokens_per_step %u is not a multiple of train.bin_tokens %u: a bin is "
            "the unit of work; %u or %u would be",
            o->tokens_per_step, o->bin_tokens, o->tokens_per_step / o->bin_tokens * o->bin_tokens,
            (o->tokens_per_step / o->bin_tokens + 1) * o->bin_tokens);
    if (!check_every("eval_every", o->eval_every, e)) return false;
    if (!check_every("save_every", o->save_every, e)) return false;
    bool best = o->export == TRAIN_EXPORT_BEST;
    if (o->eval_every.unit == OPT_NEVER && (o->patience > 0 || best))
        return err_set(e, ERR_CONFIG, "%s needs train.eval_every",
                       best ? "train.export: best" : "train.patience");
    if (o->eval_every.unit == OPT_MINUTES && (o->patience > 0 || best))
        return err_set(e, ERR_CONFIG,
                       "%s with train.eval_every in minutes would make the adapter depend on the "
                       "clock; give steps or epochs",
                       best ? "train.export: best" : "train.patience");
    return true;
}

bool train_run_wants_best(const struct train_run *r)
{
    if (r->o->export != TRAIN_EXPORT_AUTO) return r->o->export == TRAIN_EXPORT_BEST;
    return r->o->eval_every.unit == OPT_STEPS || r->o->eval_every.unit == OPT_EPOCHS;
}

struct shards_part {
    const char *dir;
    struct opt_strs modality;
};
static const struct opt shards_part_table[] = {
    OPT_PATH(struct shards_part, dir, NULL, "shards"),
    OPT_STRS(struct shards_part, modality, NULL, "modalities; all when empty"),
    OPT_END,
};

static bool dump_config(struct train_run *r, struct err *e)
{
    struct shards_part shards = {r->j->shards_dir, r->j->modalities};

    sbuf_init(&r->config, CONFIG_BYTES);
    if (!opt_dump("shards", shards_part_table, &shards, &r->config, e) ||
        !opt_dump("model", model_table, r->j->model, &r->config, e) ||
        !opt_dump("lora", lora_table, r->j->lora, &r->config, e) ||
        !opt_dump("train", train_table, r->o, &r->config, e))
        return false;
    sha256_of(sbuf_str(&r->config), r->id.config);
    return true;
}

/* ---- folder */
static bool make_paths(struct train_run *r, struct err *e)
{
    struct train_paths *p = &r->paths;
    struct arena *a = &r->arena;

    return fs_join(a, r->o->dir, "run.yaml", &p->options, e) &&
           fs_join(a, r->o->dir, "checkpoints", &p->checkpoints, e) &&
           fs_join(a, r->o->dir, "metrics.jsonl", &p->metrics, e) &&
           fs_join(a, r->o->dir, "tensorboard", &p->tensorboard, e) &&
           fs_join(a, p->tensorboard, "events.out.tfevents.radmill", &p->events, e) &&
           fs_join(a, r->o->dir, "adapter", &p->adapter, e) &&
           fs_join(a, p->adapter, "radmill.json", &p->provenance, e) &&
           fs_join(a, r->o->dir, "summary.json", &p->summary, e) &&
           fs_join(a, r->o->dir, "device_choices.bin", &p->choices, e);
}

static bool open_rundir(struct train_run *r, struct err *e)
{
    r->dir_open = rundir_open(r->o->dir, "train", sbuf_str(&r->config), free_keys, comm_rank(r->c),
                              &r->dir, e);
    return r->dir_open;
}

/* Rank 0 makes and locks the folder, then the others use it. */
static bool open_folder(struct train_run *r, struct err *e)
{
    bool first = comm_rank(r->c) == 0;
    bool ok = dump_config(r, e) && make_paths(r, e);

    if (ok && first) ok = open_rundir(r, e) && fs_mkdirs(r->paths.tensorboard, e);
    if (!comm_agree(r->c, ok, e)) return false;
    ok = first || open_rundir(r, e);
    return comm_agree(r->c, ok, e);
}

/* ---- data */
static bool check_tokenizer(const struct train_run *r, const struct shard_info *i, struct err *e)
{
    char then[65], now[65];

    if (!r->j->tokenizer_digest || memcmp(r->j->tokenizer_digest, i->tokenizer_digest, 32) == 0)
        return true;
    hash_hex(i->tokenizer_digest, 32, then);
    hash_hex(r->j->tokenizer_digest, 32, now);
    return err_set(e, ERR_CONFIG,
                   "%s was made with tokenizer %.12s, %s has %.12s; run `radmill shard` with this "
                   "model's tokenizer",
                   r->j->shards_dir, then, r->j->model->base, now);
}

static bool open_set(struct train_run *r, enum shard_split split, struct shard_set **out,
                     struct err *e)
{
    const struct opt_strs *m = &r->j->modalities;
    return shard_set_open(r->j->shards_dir, split, m->v, m->n, r->o->verify_tokens, out, e);
}

static uint32_t bins_per_step(const struct train_run *r)
{
    return r->o->tokens_per_step / r->o->bin_tokens;
}

static bool open_train_split(struct train_run *r, struct err *e)
{
    const struct train_opts *o = r->o;
    struct course_opts q = {.epochs = o->epochs,
                            .max_steps = o->max_steps,
                            .seed = o->seed,
                            .bin_tokens = o->bin_tokens,
                            .bin_targets = o->bin_targets,
                            .bins_per_step = bins_per_step(r),
                            .loss_on_all = o->loss_on == TRAIN_LOSS_ALL,
                            .once = o->duplicates == TRAIN_DUP_WEIGHT};

    if (!open_set(r, SHARD_TRAIN, &r->set, e)) return false;
    const struct shard_info *i = shard_set_info(r->set);
    if (!check_tokenizer(r, i, e)) return false;
    if (i->layout == SHARD_ENCODER_DECODER && q.loss_on_all)
        return err_set(e, ERR_CONFIG,
                       "train.loss_on all needs shards of layout decoder: an encoder's input bears "
                       "no loss");
    if (!course_init(&r->course, r->set, &q, e)) return false;
    memcpy(r->id.dataset, i->dataset_digest, 32);
    memcpy(r->id.plan, r->course.digest, 32);
    return schedule_init(&r->schedule, (enum schedule_kind)o->schedule, o->lr, o->min_lr, o->warmup,
                         r->course.total, e);
}

static bool open_dev_split(struct train_run *r, struct err *e)
{
    /* All bins in one step: ranks share them by plan_rank_bins. */
    struct plan_params q = {.bin_tokens = r->o->bin_tokens,
                            .bin_targets = r->o->bin_targets,
                            .bins_per_step = UINT32_MAX};

    if (r->o->eval_every.unit == OPT_NEVER) return true;
    if (!open_set(r, SHARD_DEV, &r->dev_set, e))
        return err_wrap(e, "train.eval_every needs a dev split (or set it to never)");
    if (!plan_init(&r->dev_plan, r->dev_set, &q, e)) return err_wrap(e, "plan of the dev split");
    return true;
}

/* ---- model and memory */
static bool check_layout(const struct train_run *r, struct err *e)
{
    enum shard_layout have = shard_set_info(r->set)->layout;
    enum shard_layout want =
        model_get_spec(r->model)->enc_layers ? SHARD_ENCODER_DECODER : SHARD_DECODER;
    return have == want ||
           err_set(e, ERR_CONFIG,
                   "%s has layout %s, the model %s needs %s; run `radmill shard` with this model",
                   r->j->shards_dir, shard_layout_names[have], r->j->model->base,
                   shard_layout_names[want]);
}

static bool check_lengths(const struct train_run *r, const struct shard_set *set, struct err *e)
{
    uint32_t longest = 0;

    for (size_t i = 0; set && i < shard_set_count(set); i++)
        if (shard_set_lengths(set)[i] > longest) longest = shard_set_lengths(set)[i];
    return model_spec_check_length(model_get_spec(r->model), longest, e);
}

static bool open_model(struct train_run *r, struct err *e)
{
    const struct model_opts *o = r->j->model;
    uint32_t vocab = shard_set_info(r->set)->vocab_size;

    /* Method full writes into the model's own weights: nothing to share. */
    r->slot = r->j->lora->method == LORA_FULL ? NULL : r->j->slot;
    if (!model_slot_open_for(r->slot, o, r->j->lora, &r->dev, &r->model, e)) return false;
    r->id.describe = dev_describe(r->dev);
    model_digest(r->model, r->id.base);
    if (vocab > model_get_spec(r->model)->vocab)
        return err_set(e, ERR_CONFIG, "%s has %u token ids, the model %s only %u", r->j->shards_dir,
                       vocab, o->base, model_get_spec(r->model)->vocab);
    if (!check_layout(r, e) || !check_lengths(r, r->set, e) || !check_lengths(r, r->dev_set, e))
        return false;
    r->memory.bytes[MEMORY_WEIGHTS] = dev_bytes_live(r->dev);
    if (!lora_open(r->model, r->j->lora, r->o->seed, &r->lora, e)) return false;
    r->memory.bytes[MEMORY_ADAPTER] = dev_bytes_live(r->dev) - r->memory.bytes[MEMORY_WEIGHTS];
    return true;
}

/* The largest bin of training and evaluation. */
static void largest_bin(const struct train_run *r, uint32_t *tokens, uint32_t *rows)
{
    *tokens = r->course.max_tokens;
    *rows = r->course.max_rows;
    if (r->dev_set)
        course_largest(&r->dev_plan, shard_set_info(r->set)->layout,
                       r->o->loss_on == TRAIN_LOSS_ALL, tokens, rows);
}

static bool plan_memory(struct train_run *r, struct err *e)
{
    enum recompute_kind kind = (enum recompute_kind)(r->o->recompute - TRAIN_RECOMPUTE_NONE);
    struct memory_question q = {.spec = model_get_spec(r->model),
                                .dtype = model_dtype(r->model),
                                .lora = r->j->lora,
                                .folded = lora_folded(r->lora),
                                .limit_gib = r->o->memory_gib,
                                .left = dev_bytes_free(r->dev),
                                .asked = r->o->recompute == TRAIN_RECOMPUTE_AUTO ? NULL : &kind};

    largest_bin(r, &q.tokens, &q.rows);
    r->tune_tokens = q.tokens;
    r->tune_rows = q.rows;
    r->memory.bytes[MEMORY_OPTIMIZER] = step_bytes(lora_count(r->lora));
    r->memory.bytes[MEMORY_DEVICE] = dev_bytes_own(r->dev);
    if (!memory_plan_recompute(&r->memory, &q, &r->again, e)) return false;
    log_info("memory", "recompute=%s blocks=%u of=%u", recompute_names[r->again.kind],
             r->again.blocks, q.spec->layers);
    return memory_plan_check(&r->memory, q.limit_gib, e) && memory_plan_fits(&r->memory, q.left, e);
}

static bool take_memory(struct train_run *r, struct err *e)
{
    const struct train_opts *o = r->o;
    bool all = o->loss_on == TRAIN_LOSS_ALL;
    struct step_opts q = {.beta1 = o->beta1,
                          .beta2 = o->beta2,
                          .eps = o->eps,
                          .weight_decay = o->weight_decay,
                          .clip = o->clip,
                          .seed = o->seed,
                          .bins_per_step = bins_per_step(r),
                          .decay_vectors = r->j->lora->method == LORA_LORA};
    uint32_t most = r->tune_tokens > r->tune_rows ? r->tune_tokens : r->tune_rows;
    struct decoder_room room = {r->tune_tokens, r->tune_rows, true, r->again, lora_folded(r->lora)};

    if (!decoder_work_open_room(r->model, r->lora, &room, &r->work, e)) return false;
    if (!step_init(&r->step, &q, r->model, r->lora, r->work, r->c, e)) return false;
    if (!loader_init(&r->loader, r->set, all, most, e)) return false;
    if (!r->dev_set) return true;
    if (!loader_init(&r->dev_loader, r->dev_set, all, most, e)) return false;
    loader_plan(&r->dev_loader, &r->dev_plan);
    return true;
}

static void log_plan(const struct train_run *r)
{
    char digest[65];

    hash_hex(r->course.digest, 32, digest);
    log_info("plan",
             "samples=%zu steps=%" PRIu64 " epochs=%u bins_per_step=%u largest_bin=%u plan=%.12s "
             "trained=%" PRIu64 " ranks=%d gradient_sum=\"%s\" device=\"%s\"",
             shard_set_count(r->set), r->course.total, r->course.nepochs, bins_per_step(r),
             r->course.max_tokens, digest, lora_count(r->lora), comm_size(r->c), r->gradient_sum,
             r->id.describe);
}

/* Ranks on unlike devices compute unlike bits; their states would drift apart until the next
 * checkpoint notices. */
static void compare_devices(const struct train_run *r)
{
    uint64_t h = hash_xxh64(r->id.describe, strlen(r->id.describe), 0);
    double v[2] = {(double)(h >> 12), -(double)(h >> 12)};

    comm_max_f64(r->c, v, 2);
    if (v[0] != -v[1])
        log_warn("devices_differ", "what=\"ranks do not run on the same kind of device\"");
}

bool train_run_open(struct train_run *r, const struct train_job *j, struct comm *c, struct err *e)
{
    *r = (struct train_run){.j = j, .o = j->train, .c = c};
    arena_init(&r->arena, ARENA_BYTES);
    if (!comm_agree(c, train_run_check(j, e), e)) return false;
    if (!j->dry_run && !open_folder(r, e)) return false;
    bool ok = open_train_split(r, e) && open_dev_split(r, e) && open_model(r, e);
    if (!comm_agree(c, ok, e)) return false;
    if (!comm_check_units(c, dev_unit(r->dev), j->model->share_gpu, e)) return false;
    if (!j->dry_run && !grad_team_open(r->dev, c, (enum grad_sum)r->o->gradient_sum,
                                       r->gradient_sum, sizeof r->gradient_sum, e))
        return false;
    log_plan(r);
    if (!j->dry_run)
        log_debug("place", "local_rank=%d of=%d gpu=%s", comm_local_rank(c), comm_local_size(c),
                  comm_gpu(c)[0] ? comm_gpu(c) : "none");
    ok = plan_memory(r, e) && (j->dry_run || take_memory(r, e));
    if (!comm_agree(c, ok, e)) return false;
    compare_devices(r);
    return j->dry_run || train_run_tune(r, e);
}

void train_run_forget(struct train_run *r)
{
    struct err ignored = {0}; /* the error that counts is the caller's */

    if (!r->dir_open || comm_rank(r->c) != 0 || fs_exists(r->paths.checkpoints)) return;
    if (!fs_remove(r->paths.options, &ignored))
        log_warn("options_stay", "error=\"%s\"", ignored.text);
}

void train_run_close(struct train_run *r)
{
    metrics_log_close(&r->metrics);
    loader_free(&r->dev_loader);
    loader_free(&r->loader);
    step_free(&r->step);
    decoder_work_close(r->work);
    lora_close(r->lora);
    if (r->dev) dev_team_close(r->dev);
    if (!r->slot) {
        model_close(r->model);
        dev_close(r->dev);
    }
    if (r->plan_open) plan_free(&r->plan);
    plan_free(&r->dev_plan);
    course_free(&r->course);
    shard_set_close(r->dev_set);
    shard_set_close(r->set);
    if (r->dir_open) rundir_close(&r->dir);
    sbuf_free(&r->config);
    arena_free(&r->arena);
    *r = (struct train_run){0};
}
