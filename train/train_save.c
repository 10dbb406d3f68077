/* Checkpoints and the result of a run. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "checkpoint/ckpt.h"
#include "train/train_run.h"

enum { META_BYTES = 1 << 16, ITEMS = 4 };

/* ---- arrays of a checkpoint, host side */
struct arrays {
    float *params, *m, *v; /* one block */
    int32_t shifts[GRAD_SYNC_SLICES];
    struct ckpt_item items[ITEMS];
};

static bool arrays_init(struct arrays *a, const struct step *s, struct err *e)
{
    uint64_t n = s->count;

    *a = (struct arrays){0};
    a->params = mem_calloc((size_t)n, 3 * sizeof(float), e);
    if (!a->params) return err_wrap(e, "host copy of the training state");
    a->m = a->params + n;
    a->v = a->m + n;
    a->items[0] = (struct ckpt_item){"params", CKPT_F32, n, a->params};
    a->items[1] = (struct ckpt_item){"m", CKPT_F32, n, a->m};
    a->items[2] = (struct ckpt_item){"v", CKPT_F32, n, a->v};
    a->items[3] = (struct ckpt_item){"shifts", CKPT_I32, s->sync.nslices, a->shifts};
    return true;
}

static void arrays_free(struct arrays *a)
{
    mem_free(a->params);
    *a = (struct arrays){0};
}

static bool arrays_get(struct arrays *a, struct step *s, struct err *e)
{
    for (size_t i = 0; i < s->sync.nslices; i++)
        a->shifts[i] = s->sync.slices[i].shift;
    return step_get(s, a->params, a->m, a->v, e);
}

static bool arrays_set(const struct arrays *a, struct step *s, struct err *e)
{
    for (size_t i = 0; i < s->sync.nslices; i++)
        s->sync.slices[i].shift = a->shifts[i];
    return step_set(s, a->params, a->m, a->v, e);
}

/* ---- saving */
/* Every rank computed its state by itself: a rank with other bits (unlike processor, broken memory)
 * must not go unnoticed. */
static bool same_everywhere(const struct train_run *r, const struct arrays *a, struct err *e)
{
    struct hash128 h[2] = {hash_xxh128(a->params, (size_t)r->step.count * 3 * sizeof(float)),
                           hash_xxh128(a->shifts, r->step.sync.nslices * sizeof a->shifts[0])};
    int n = comm_size(r->c);
    struct hash128 *all = mem_calloc((size_t)n, sizeof h, e);
    bool ok = all != NULL;

    if (!comm_agree(r->c, ok, e)) {
        mem_free(all);
        return false;
    }
    comm_allgather(r->c, h, sizeof h, all);
    for (int i = 1; i < n && ok; i++)
        if (memcmp(all, (char *)all + (size_t)i * sizeof h, sizeof h) != 0)
            ok = err_set(e, ERR_LIB,
                         "rank %d computed another state than rank 0 up to step %" PRIu64
                         "; all ranks need the same kind of processor or GPU, build and threads",
                         i, r->state.step);
    mem_free(all);
    return ok;
}

static bool write_checkpoint(struct train_run *r, struct arrays *a, struct err *e)
{
    struct sbuf meta;
    uint64_t pinned = r->state.best_step;
    size_t npinned = train_run_wants_best(r) && r->state.best.rows > 0;

    sbuf_init(&meta, META_BYTES);
    bool ok = metrics_log_sync(&r->metrics, &r->state.metrics_bytes, e) &&
              train_state_put(&r->state, &r->id, &meta, e);
    if (comm_agree(r->c, ok, e))
        ok = ckpt_save(r->c, r->paths.checkpoints, r->state.step, a->items, ITEMS, sbuf_str(&meta),
                       r->o->keep, &pinned, npinned, e);
    else
        ok = false;
    sbuf_free(&meta);
    return ok;
}

bool train_run_save(struct train_run *r, struct err *e)
{
    struct arrays a;
    bool ok = arrays_init(&a, &r->step, e) && arrays_get(&a, &r->step, e);

    ok = comm_agree(r->c, ok, e) && same_everywhere(r, &a, e) && write_checkpoint(r, &a, e);
    arrays_free(&a);
    if (!ok) return err_wrap(e, "checkpoint of step %" PRIu64, r->state.step);
    r->last_save_s = clock_mono_s();
    r->saved_step = r->state.step;
    log_info("checkpoint", "step=%" PRIu64, r->state.step);
    return true;
}

/* ---- going on */
/* Load a checkpoint into the device. meta may be NULL. Collective. */
static bool load(struct train_run *r, uint64_t step, struct str *meta, struct err *e)
{
    struct arrays a;
    struct arena arena;
    struct str text = {0};

    arena_init(&arena, META_BYTES + 4096);
    bool ok = comm_agree(r->c, arrays_init(&a, &r->step, e), e) &&
              ckpt_load(r->c, r->paths.checkpoints, step, a.items, ITEMS, meta ? &r->arena : &arena,
                        &text, e);
    if (ok) ok = comm_agree(r->c, arrays_set(&a, &r->step, e), e);
    arrays_free(&a);
    arena_free(&arena);
    if (meta) *meta = text;
    return ok;
}

static bool take_state(struct train_run *r, uint64_t step, struct str meta, struct err *e)
{
    char what[64];

    snprintf(what, sizeof what, "checkpoint of step %" PRIu64, step);
    if (!train_state_get(meta, what, &r->id, &r->state, e)) return false;
    if (r->state.step == step && step <= r->course.total) return true;
    return err_set(e, ERR_FORMAT, "%s says step %" PRIu64 ", the run has %" PRIu64, what,
                   r->state.step, r->course.total);
}

bool train_run_resume(struct train_run *r, struct err *e)
{
    uint64_t step;
    bool found;
    struct str meta;

    if (!ckpt_find(r->c, r->paths.checkpoints, &step, &found, e)) return false;
    if (found) {
        if (!load(r, step, &meta, e)) return false;
        if (!comm_agree(r->c, take_state(r, step, meta, e), e)) return false;
        r->saved_step = step;
        log_info("resume", "step=%" PRIu64 " of=%" PRIu64, step, r->course.total);
    }
    bool ok = metrics_log_open(&r->metrics, r->paths.metrics, r->paths.events, comm_rank(r->c),
                               r->state.metrics_bytes, e);
    return comm_agree(r->c, ok, e);
}

/* ---- the result */
static json_t *hex_json(const uint8_t digest[32])
{
    char hex[65];
    hash_hex(digest, 32, hex);
    return json_string(hex);
}

/* Data-use terms of the sources, {"source": "terms"}: whoever holds the adapter holds them too. */
static json_t *terms_json(const struct shard_set *s)
{
    json_t *map = json_object();

    for (size_t k = 0; map && k < shard_set_sources(s); k++)
        if (shard_set_terms(s, k)[0] &&
            json_object_set_new(map, shard_set_source_name(s, k),
                                json_string(shard_set_terms(s, k))) != 0) {
            json_decref(map);
            map = NULL;
        }
    return map;
}

static json_t *shards_json(const struct train_run *r)
{
    const struct shard_info *i = shard_set_info(r->set);
    json_t *modalities = json_array();

    for (size_t k = 0; modalities && k < r->j->modalities.n; k++)
        if (json_array_append_new(modalities, json_string(r->j->modalities.v[k])) != 0) {
            json_decref(modalities);
            modalities = NULL;
        }
    return json_pack("{s:o, s:o, s:o, s:o, s:s?, s:s?, s:o, s:I}", "terms", terms_json(r->set),
                     "dataset", hex_json(i->dataset_digest), "tokenizer",
                     hex_json(i->tokenizer_digest), "template", hex_json(i->template_digest),
                     "template_name", i->template_name, "inputs", i->inputs, "modalities",
                     modalities, "samples", (json_int_t)shard_set_count(r->set));
}

static const char *base_name(const struct train_run *r)
{
    return r->j->model->name ? r->j->model->name : r->j->model->base;
}

static bool write_provenance(const struct train_run *r, bool best, struct err *e)
{
    const struct train_state *s = &r->state;
    const struct dev_loss *d = best ? &s->best : &s->last;
    bool scored = d->rows > 0 && isfinite(d->mean) && (best || s->last_step == s->step);
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:{s:s, s:o, s:s}, s:o, s:{s:o, s:I}, s:{s:s, s:I, s:I, s:o}, s:s, s:o, "
        "s:s}",
        "format", "radmill-adapter/1", "version", r->j->version ? r->j->version : "unknown",
        "commit", r->j->commit ? r->j->commit : "unknown", "base", "name", base_name(r), "weights",
        hex_json(r->id.base), "dtype", dev_dtype_names[model_dtype(r->model)], "shards",
        shards_json(r), "plan", "first_epoch", hex_json(r->id.plan), "seed", (json_int_t)r->o->seed,
        "training", "state", best ? "best" : "last", "step",
        (json_int_t)(best ? s->best_step : s->step), "total_steps", (json_int_t)r->course.total,
        "dev_loss", scored ? json_real(d->mean) : json_null(), "device", r->id.describe,
        "config_digest", hex_json(r->id.config), "config", r->config.p);
    if (!j) return err_set(e, ERR_NOMEM, "provenance of the adapter");
    bool ok = json_write_file(r->paths.provenance, j, e);
    json_decref(j);
    return ok;
}

static json_t *number_json(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static bool write_summary(const struct train_run *r, const struct train_summary *s, struct err *e)
{
    json_t *j = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:f, s:o, s:o, s:I, s:s, s:I, s:I, s:o, "
        "s:i, "
        "s:s, s:b}",
        "steps", (json_int_t)s->steps, "total_steps", (json_int_t)s->total_steps, "samples",
        (json_int_t)s->samples, "tokens", (json_int_t)r->state.tokens, "targets",
        (json_int_t)r->state.targets, "train_loss", number_json(s->train_loss), "dev_loss",
        number_json(s->dev_loss), "best_dev_loss", number_json(s->best_dev_loss), "best_step",
        (json_int_t)s->best_step, "seconds", r->state.seconds, "tokens_per_s",
        number_json((double)r->state.tokens / r->state.seconds), "targets_per_s",
        number_json((double)r->state.targets / r->state.seconds), "device_bytes",
        (json_int_t)s->memory_bytes, "recompute", s->recompute, "recompute_blocks",
        (json_int_t)s->recompute_blocks, "device_bytes_used", (json_int_t)s->memory_used,
        "gpu_busy", number_json(s->gpu_busy < 0 ? (double)NAN : s->gpu_busy), "ranks",
        comm_size(r->c), "gradient_sum", r->gradient_sum, "early_stopped", s->early_stopped);
    if (!j) return err_set(e, ERR_NOMEM, "summary of the run");
    bool ok = json_write_file(r->paths.summary, j, e);
    json_decref(j);
    return ok;
}

/* A finished run that is started again, perhaps by another radmill on other ranks, does not become
 * the maker of an adapter that is there: summary.json, the last to be written, says that all is. */
static bool is_published(const struct train_run *r)
{
    static const char *const weights[] = {"adapter_model.safetensors", "model.safetensors"};
    char path[4096];
    bool there = false;

    for (int i = 0; i < 2; i++)
        there = there || (snprintf(path, sizeof path, "%s/%s", r->paths.adapter, weights[i]) <
                              (int)sizeof path &&
                          fs_exists(path));
    return there && r->steps_done == 0 && fs_exists(r->paths.summary) &&
           fs_exists(r->paths.provenance);
}

bool train_run_export(struct train_run *r, const struct train_summary *s, struct err *e)
{
    bool best = train_run_wants_best(r) && r->state.best.rows > 0;

    if (best && r->state.best_step != r->state.step && !load(r, r->state.best_step, NULL, e))
        return err_wrap(e, "the best state, of step %" PRIu64, r->state.best_step);
    bool ok = comm_rank(r->c) != 0 || is_published(r) ||
              (lora_save(r->lora, r->paths.adapter, base_name(r), e) &&
               write_provenance(r, best, e) && write_summary(r, s, e));
    if (!comm_agree(r->c, ok, e)) return err_wrap(e, "writing the adapter");
    log_info("adapter", "dir=%s state=%s step=%" PRIu64, r->paths.adapter, best ? "best" : "last",
             best ? r->state.best_step : r->state.step);
    return true;
}
