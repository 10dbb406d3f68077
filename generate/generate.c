#include "generate/generate.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rundir.h"
#include "generate/gen_answers.h"

enum {
    CONFIG_MAX_BYTES = 1 << 20,
    META_MAX_BYTES = 1 << 20,
};

static const char *const adapter_words[] = {"auto", "none", NULL};
static const char *const adapter_uses[] = {"applied", "merged", NULL};
static const char *const early_words[] = {"when-worse", "at-once", "never", NULL};

const struct opt generate_table[] = {
    OPT_PATH(struct generate_opts, dir, NULL, "folder of the pairs file"),
    OPT_ENUM(struct generate_opts, split, "test", shard_split_names, "which reports to answer"),
    OPT_U32(struct generate_opts, max_new_tokens, 128, 1, 65536, "longest answer"),
    OPT_U32(struct generate_opts, slots, 32, 1, 4096, "answers in the making at once"),
    OPT_U32(struct generate_opts, prefill_rows, 1024, 1, 1048576, "prompt tokens in one step"),
    OPT_BOOL(struct generate_opts, share_nothing, false,
             "compute what prompts begin with again for each: to measure what sharing saves"),
    OPT_F64(struct generate_opts, temperature, 0, 0, 100, "0: the most probable token, always"),
    OPT_U32(struct generate_opts, top_k, 0, 0, 1048576, "draw among that many; 0: all"),
    OPT_F64(struct generate_opts, top_p, 1, 0, 1,
            "draw among the fewest that have this probability together"),
    OPT_U64(struct generate_opts, seed, 1, 0, 9007199254740992.0, "of what is drawn"),
    OPT_U32(struct generate_opts, beams, 1, 1, DECODE_BEAMS,
            "answers searched side by side; one slot each"),
    OPT_F64(struct generate_opts, length_penalty, 1, -100, 100,
            "beams: log-probability is divided by length to this power"),
    OPT_ENUM(struct generate_opts, early_stopping, "when-worse", early_words,
             "beams: end when no running one is better than the finished; at-once: when there are "
             "enough finished; never: when none could become better (transformers: False, True, "
             "never)"),
    OPT_STRS(struct generate_opts, stop, "[]", "texts that end an answer, and are left out"),
    OPT_BOOL(struct generate_opts, stop_at_header, false,
             "end an answer where a line like \"FINDINGS:\" begins"),
    OPT_PATH_OR(struct generate_opts, adapter, "auto", adapter_words,
                "auto (the one in train.dir), none, or a folder"),
    OPT_ENUM(struct generate_opts, adapter_use, "applied", adapter_uses,
             "applied: beside the base, as in training; merged: added to its weights, faster"),
    OPT_U64(struct generate_opts, limit, 0, 0, 9007199254740992.0,
            "only the first reports of the split; 0: all"),
    OPT_STRS(struct generate_opts, fields, "[findings, clinical]",
             "fields of the report that stand in the pairs file, for baselines and fact checks; "
             "[]: none"),
    OPT_STRING(struct generate_opts, name, NULL, "what to call this system in tables"),
    OPT_END,
};

/* Keys that change speed alone. */
static const char *const free_keys[] = {"generate.slots", "generate.prefill_rows",
                                        "generate.share_nothing", NULL};

struct run {
    const struct generate_job *j;
    struct comm *c;
    struct arena arena;
    struct rundir dir;
    bool dir_open;
    struct gen_inputs in;
    json_t *identity;
    struct gen_blocks blocks;
    struct gen_seen seen;
    const char *pairs, *meta; /* paths */
    uint8_t *done;            /* of each block, as found */
    uint32_t *todo;           /* unfinished blocks, all ranks' */
    size_t ntodo;
    bool whole; /* the pairs file was there already */
    struct progress progress;
    struct generate_summary *out;
};

/* ---- folder */

/* The rest of what the run is a function of, for run.yaml. */
struct job_part {
    const char *shards, *adapter;
    struct opt_strs modality;
};
static const struct opt job_part_table[] = {
    OPT_STRING(struct job_part, shards, NULL, "shards.dir"),
    OPT_STRS(struct job_part, modality, NULL, "shards.modality"),
    OPT_STRING(struct job_part, adapter, NULL, "adapter folder"),
    OPT_END,
};

static bool open_rundir(struct run *r, struct err *e)
{
    const struct generate_job *j = r->j;
    struct job_part part = {j->shards_dir, j->adapter, j->modalities};
    struct sbuf dump;
    sbuf_init(&dump, CONFIG_MAX_BYTES);
    bool ok = opt_dump("inputs", job_part_table, &part, &dump, e) &&
              opt_dump("model", model_table, j->model, &dump, e) &&
              opt_dump("generate", generate_table, j->generate, &dump, e);
    if (ok)
        r->dir_open = ok = rundir_open(j->generate->dir, "generate", sbuf_str(&dump), free_keys,
                                       comm_rank(r->c), &r->dir, e);
    sbuf_free(&dump);
    return ok;
}

/* Is the pairs file whole and made from the same inputs? */
static bool check_whole(struct run *r, struct err *e)
{
    json_t *meta = NULL, *inputs;
    r->whole = fs_exists(r->meta) && fs_exists(r->pairs);
    if (!r->whole) return true;
    bool ok = json_read_file(r->meta, META_MAX_BYTES, &meta, e) &&
              json_get_obj(meta, "inputs", &inputs, e) &&
              gen_identity_same(inputs, r->identity, r->pairs, e);
    json_decref(meta);
    return ok;
}

/* Rank 0 alone: lock the folder, see what is there. */
static bool begin_first(struct run *r, struct err *e)
{
    if (!open_rundir(r, e) || !check_whole(r, e)) return false;
    if (r->whole) return gen_blocks_drop(&r->blocks, e); /* killed between the last two steps */
    return gen_blocks_begin(&r->blocks, r->identity, e) && gen_blocks_list(&r->blocks, r->done, e);
}

/* Collective. */
static bool begin(struct run *r, struct err *e)
{
    uint8_t whole;
    bool first = comm_rank(r->c) == 0;

    if (!comm_agree(r->c, !first || begin_first(r, e), e)) return false;
    if (!comm_agree(r->c, first || open_rundir(r, e), e)) return false;
    whole = r->whole;
    comm_bcast(r->c, &whole, 1, 0);
    comm_bcast(r->c, r->done, r->blocks.nblocks, 0);
    r->whole = whole;
    for (size_t k = 0; k < r->blocks.nblocks; k++)
        if (!r->done[k]) r->todo[r->ntodo++] = (uint32_t)k;
    return true;
}

/* ---- start */

/* How tokens are chosen and answers end. */
static json_t *decoding_json(const struct generate_opts *o)
{
    json_t *stop = json_array();
    for (size_t i = 0; stop && i < o->stop.n; i++)
        if (json_array_append_new(stop, json_string(o->stop.v[i])) != 0) return NULL;
    return json_pack("{s:f, s:i, s:f, s:I, s:i, s:f, s:s, s:b, s:o, s:s}", "temperature",
                     o->temperature, "top_k", (int)o->top_k, "top_p", o->top_p, "seed",
                     (json_int_t)o->seed, "beams", (int)o->beams, "length_penalty",
                     o->length_penalty, "early_stopping", early_words[o->early_stopping],
                     "stop_at_header", o->stop_at_header, "stop", stop, "adapter_use",
                     adapter_uses[o->adapter_use]);
}

static bool check_opts(const struct generate_opts *o, struct err *e)
{
    if (o->beams > 1 && o->temperature > 0)
        return err_set(e, ERR_CONFIG,
                       "generate.beams searches, generate.temperature draws: set one of them");
    return o->beams <= o->slots ||
           err_set(e, ERR_CONFIG, "generate.beams is %u: generate.slots must be as many", o->beams);
}

static void plan_memory(struct run *r)
{
    const double gib = 1.0 / (1 << 30);
    uint64_t all = gen_planned_bytes(r->j->generate, &r->in);
    r->out->planned_bytes = all;
    log_info("generate.memory", "planned_gib=%.3f model_gib=%.3f slots=%u longest=%u",
             (double)all * gib, (double)r->in.model_bytes * gib,
             gen_decode_opts(r->j->generate, &r->in).slots, r->in.max_len);
}

static bool start(struct run *r, struct err *e)
{
    const struct generate_opts *o = r->j->generate;
    struct arena *a = &r->arena;

    if (!o->dir)
        return err_set(e, ERR_CONFIG, "generate.dir is missing: where should the pairs go?");
    if (!r->j->model->base)
        return err_set(e, ERR_CONFIG, "model.base is missing: which model shall answer?");
    if (!check_opts(o, e) || !gen_inputs_open(r->j, &r->in, e)) return false;
    plan_memory(r);
    r->identity = gen_inputs_identity(&r->in);
    if (!r->identity) return err_set(e, ERR_NOMEM, "no memory");
    if (json_object_set_new(r->identity, "max_new_tokens", json_integer(o->max_new_tokens)) != 0 ||
        json_object_set_new(r->identity, "decoding", decoding_json(o)) != 0)
        return err_set(e, ERR_NOMEM, "no memory");
    if (!gen_blocks_init(&r->blocks, o->dir, r->in.n, a, e) ||
        !fs_join(a, o->dir, "pairs.jsonl", &r->pairs, e) ||
        !fs_join(a, o->dir, "pairs.meta.json", &r->meta, e))
        return false;
    if (r->blocks.nblocks > UINT32_MAX) return err_set(e, ERR_LIMIT, "%zu samples", r->in.n);
    r->done = arena_alloc(a, r->blocks.nblocks, e);
    r->todo = r->done ? arena_alloc(a, r->blocks.nblocks * sizeof *r->todo, e) : NULL;
    return r->todo != NULL;
}

/* ---- work */

/* This rank's share of the unfinished blocks, by the tokens in them. */
static bool share(struct run *r, struct comm_range *out, struct err *e)
{
    const uint32_t *prompt = shard_set_targets(r->in.set), *length = shard_set_lengths(r->in.set);
    uint64_t *cost = mem_calloc(r->ntodo, sizeof *cost, e);
    if (!cost) return false;
    for (size_t t = 0; t < r->ntodo; t++) {
        size_t from = (size_t)r->todo[t] * GEN_BLOCK;
        for (size_t i = from; i < from + gen_blocks_size(&r->blocks, r->todo[t]); i++)
            cost[t] += prompt[i] + 8 * (uint64_t)(length[i] - prompt[i]); /* answers cost more */
    }
    *out = comm_share_cost(r->c, cost, r->ntodo);
    mem_free(cost);
    return true;
}

static void add_up(struct run *r, const struct gen_work *w)
{
    struct generate_summary *s = r->out;
    uint64_t v[] = {w->made,
                    w->ended,
                    w->stats.prompt_tokens,
                    w->stats.new_tokens,
                    (uint64_t)(w->stats.prefill_s * 1e6),
                    (uint64_t)(w->stats.decode_s * 1e6),
                    w->stats.shared_tokens,
                    w->stats.follow_tokens,
                    (uint64_t)(w->stats.follow_s * 1e6)};
    comm_sum_u64(r->c, v, sizeof v / sizeof v[0]);
    s->made = v[0];
    s->ended = v[1];
    s->prompt_tokens = v[2];
    s->new_tokens = v[3];
    s->prefill_s = (double)v[4] / 1e6;
    s->decode_s = (double)v[5] / 1e6;
    s->shared_tokens = v[6];
    s->reference_tokens = v[7];
    s->reference_s = (double)v[8] / 1e6;
    double peak = (double)dev_bytes_peak(r->in.dev);
    comm_max_f64(r->c, &peak, 1);
    s->peak_bytes = (uint64_t)peak;
}

static uint64_t pairs_of(const struct run *r, const uint32_t *blocks, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += gen_blocks_size(&r->blocks, blocks[i]);
    return sum;
}

/* Collective. */
static bool work(struct run *r, struct err *e)
{
    const struct generate_job *j = r->j;
    struct comm_range mine = {0, 0};
    double t0 = clock_mono_s();

    bool ok = share(r, &mine, e) &&
              gen_seen_init(&r->seen, j->shards_dir, j->modalities.v, j->modalities.n, e);
    if (!comm_agree(r->c, ok, e)) return false;
    struct gen_work w = {.opts = j->generate,
                         .in = &r->in,
                         .blocks = &r->blocks,
                         .seen = &r->seen,
                         .todo = r->todo + mine.begin,
                         .ntodo = (size_t)(mine.end - mine.begin),
                         .progress = &r->progress};
    w.mine = pairs_of(r, w.todo, w.ntodo);
    w.all = pairs_of(r, r->todo, r->ntodo);
    progress_start(&r->progress, comm_rank(r->c), "generate", "reports", w.all, j->generate->dir);
    progress_update(&r->progress, 0, NULL);
    ok = comm_agree(r->c, gen_answers(&w, e), e);
    add_up(r, &w);
    progress_update(&r->progress, r->out->made, NULL);
    r->out->wall_s = clock_mono_s() - t0;
    comm_max_f64(r->c, &r->out->wall_s, 1);
    if (r->out->wall_s > 0) {
        r->out->reports_per_s = (double)r->out->made / r->out->wall_s;
        r->out->new_tokens_per_s = (double)r->out->new_tokens / r->out->wall_s;
    }
    progress_end(&r->progress, ok ? "done" : e->code == ERR_STOPPED ? "stopped" : "failed");
    return ok;
}

/* ---- finish */

static json_t *meta_json(const struct run *r)
{
    const struct generate_summary *s = r->out;
    const struct generate_job *j = r->j;
    char when[21];
    clock_iso8601(clock_wall_s(), when);
    json_t *measured = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:I, s:I}", "pairs",
        (json_int_t)s->made, "ended", (json_int_t)s->ended, "prompt_tokens",
        (json_int_t)s->prompt_tokens, "shared_tokens", (json_int_t)s->shared_tokens, "new_tokens",
        (json_int_t)s->new_tokens, "reference_tokens", (json_int_t)s->reference_tokens, "wall_s",
        s->wall_s, "prefill_s", s->prefill_s, "decode_s", s->decode_s, "reference_s",
        s->reference_s, "reports_per_s", s->reports_per_s, "new_tokens_per_s", s->new_tokens_per_s,
        "ranks", comm_size(r->c), "planned_bytes", (json_int_t)s->planned_bytes, "peak_bytes",
        (json_int_t)s->peak_bytes);
    return json_pack("{s:s, s:s?, s:s, s:I, s:O, s:s, s:s?, s:s, s:s, s:s, s:s, s:o}", "format",
                     "radmill.pairs/1", "name", j->generate->name, "split",
                     shard_split_names[j->generate->split], "pairs", (json_int_t)r->in.n, "inputs",
                     r->identity, "base", j->model->base, "adapter", j->adapter, "device",
                     dev_describe(r->in.dev), "version", j->version ? j->version : "unknown",
                     "commit", j->commit ? j->commit : "unknown", "finished", when, "measured",
                     measured);
}

/* Rank 0 alone: join, say what it is, drop the blocks. */
static bool finish_first(struct run *r, struct err *e)
{
    if (!gen_blocks_join(&r->blocks, r->pairs, e)) return false;
    json_t *meta = meta_json(r);
    if (!meta) return err_set(e, ERR_NOMEM, "cannot compose %s", r->meta);
    bool ok = json_write_file(r->meta, meta, e);
    json_decref(meta);
    return ok && gen_blocks_drop(&r->blocks, e);
}

static void summarise(struct run *r)
{
    struct generate_summary *s = r->out;
    struct str path = str_of(r->pairs);
    s->pairs = r->in.n;
    if (path.n < sizeof s->pairs_path) memcpy(s->pairs_path, path.p, path.n + 1);
    log_info(
        "generated",
        "pairs=%llu made=%llu new_tokens=%llu wall_s=%.2f reports_per_s=%.2f tokens_per_s=%.1f",
        (unsigned long long)s->pairs, (unsigned long long)s->made,
        (unsigned long long)s->new_tokens, s->wall_s, s->reports_per_s, s->new_tokens_per_s);
}

/* A run that failed before its first block binds nobody to its options and inputs. */
static void forget(struct run *r)
{
    struct err ignored = {0}; /* the error that counts is the caller's */
    const char *yaml;

    if (!r->dir_open || comm_rank(r->c) != 0 || r->whole) return;
    if (fs_exists(r->meta) || fs_exists(r->pairs)) return;
    bool ok = gen_blocks_list(&r->blocks, r->done, &ignored);
    for (size_t k = 0; ok && k < r->blocks.nblocks; k++)
        if (r->done[k]) return;
    ok = ok && gen_blocks_drop(&r->blocks, &ignored) &&
         fs_join(&r->arena, r->j->generate->dir, "run.yaml", &yaml, &ignored) &&
         fs_remove(yaml, &ignored);
    if (!ok) log_warn("generate.options_stay", "error=\"%s\"", ignored.text);
}

static void close_all(struct run *r)
{
    gen_seen_free(&r->seen);
    json_decref(r->identity);
    gen_inputs_close(&r->in);
    if (r->dir_open) rundir_close(&r->dir);
    arena_free(&r->arena);
}

bool generate_run(const struct generate_job *j, struct comm *c, struct generate_summary *out,
                  struct err *e)
{
    struct run r = {.j = j, .c = c, .out = out};
    *out = (struct generate_summary){0};
    arena_init(&r.arena, (size_t)1 << 32);
    bool ok = comm_agree(c, start(&r, e), e) &&
              comm_check_units(c, dev_unit(r.in.dev), j->model->share_gpu, e) && begin(&r, e);
    if (ok && !r.whole) {
        ok = work(&r, e);
        if (ok) ok = comm_agree(c, comm_rank(c) != 0 || finish_first(&r, e), e);
    }
    if (ok)
        summarise(&r);
    else
        forget(&r);
    close_all(&r);
    return ok;
}
