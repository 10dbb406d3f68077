#include "judge/judge_run.h"

#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/progress.h"

/* ---- open */
static bool open_local(struct judge_run *r, struct err *e)
{
    const struct judge_opts *o = r->o;

    if (r->j->lora->method != LORA_FULL) r->shared = &r->slot;
    return facts_open(o->lexicon, &r->facts, e) &&
           judge_prompt_open(r->j->model->base, o->template, o->max_tokens, o->list, &r->prompt, e);
}

bool judge_run_open(struct judge_run *r, const struct judge_job *j, struct comm *c, struct err *e)
{
    *r = (struct judge_run){.j = j, .o = j->judge, .c = c};
    arena_init(&r->arena, JUDGE_ARENA_BYTES);
    return comm_agree(c, open_local(r, e), e);
}

void judge_run_close(struct judge_run *r)
{
    model_slot_free(&r->slot);
    judge_prompt_close(r->prompt);
    facts_close(r->facts);
    arena_free(&r->arena);
}

/* ---- a stage */
static bool list_of(struct judge_run *r, const struct factlabel *l, struct str *out, struct err *e)
{
    struct sbuf b;
    bool ok;

    sbuf_init(&b, 4096);
    ok = judge_prompt_errors(l, &b, e) && arena_str(&r->arena, sbuf_str(&b), out, e);
    sbuf_free(&b);
    return ok;
}

static bool samples_of(struct judge_run *r, const struct judge_stage *s, struct judge_sample **out,
                       size_t *n, struct err *e)
{
    const struct judge_set *set = s->set;
    size_t total = 0;

    for (size_t i = 0; i < set->n; i++)
        total += s->split[i] == JUDGE_APART ? 0 : set->items[i].nlabels;
    *out = arena_alloc(&r->arena, (total + 1) * sizeof **out, e);
    if (!*out) return false;
    *n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct judge_item *it = &set->items[i];
        for (size_t k = 0; s->split[i] != JUDGE_APART && k < it->nlabels; k++) {
            const struct factlabel *l = set->labels[it->first + k];
            struct judge_sample *x = &(*out)[(*n)++];
            *x = (struct judge_sample){.fields = it->fields,
                                       .grade = l->overall,
                                       .group = it->group,
                                       .split = (enum shard_split)s->split[i]};
            if (!list_of(r, l, &x->list, e)) return false;
        }
    }
    return true;
}

static bool write_shards(struct judge_run *r, const struct judge_stage *s, const char *dir,
                         struct err *e)
{
    struct arena_mark mark = arena_mark(&r->arena);
    struct judge_shards_fact fact = {{0}, 0};
    struct judge_sample *v;
    size_t n;
    bool ok = samples_of(r, s, &v, &n, e) &&
              judge_shards_write(r->prompt, r->o->template, r->o->max_tokens, v, n, dir, &fact, e);

    r->cut += fact.cut;
    arena_reset(&r->arena, mark);
    return ok;
}

bool judge_run_stage(struct judge_run *r, const struct judge_stage *s, const char **adapter,
                     struct err *e)
{
    struct tok_info info = tokenizer_info(judge_prompt_tokenizer(r->prompt));
    struct train_opts train = *r->j->train;
    struct lora_opts lora = *r->j->lora;
    struct train_summary done;
    const char *dir, *shards;
    struct str copy;
    bool ok = fs_join(&r->arena, r->o->dir, s->name, &dir, e) &&
              fs_join(&r->arena, dir, "shards", &shards, e) &&
              fs_join(&r->arena, dir, "run", &train.dir, e);

    if (ok && comm_rank(r->c) == 0) ok = write_shards(r, s, shards, e);
    if (!comm_agree(r->c, ok, e)) return err_wrap(e, "stage %s", s->name);
    train.epochs = s->epochs;
    train.lr = s->lr;
    if (s->init_from) lora.init_from = s->init_from;
    struct train_job job = {.train = &train,
                            .lora = &lora,
                            .model = r->j->model,
                            .shards_dir = shards,
                            .tokenizer_digest = info.digest,
                            .version = r->j->version,
                            .commit = r->j->commit,
                            .slot = r->shared};
    if (!train_run(&job, r->c, &done, e)) return err_wrap(e, "stage %s", s->name);
    ok = arena_str(&r->arena, str_of(done.adapter), &copy, e);
    *adapter = copy.p;
    return comm_agree(r->c, ok, e);
}

/* ---- readings */
struct watch {
    struct progress p;
    uint64_t done, mine, all;
};

static void seen(void *ctx, size_t i)
{
    struct watch *w = ctx;

    (void)i;
    w->done++;
    progress_update(&w->p, w->done * w->all / w->mine, NULL);
}

static bool read_share(struct judge_run *r, const char *adapter, const struct judge_fields *v,
                       struct comm_range mine, size_t n, struct judge_reading *out, char base[65],
                       char digest[65], struct err *e)
{
    struct watch w = {.mine = mine.end - mine.begin, .all = n};
    struct judge_read *read;

    if (!judge_read_open(r->prompt, r->j->model, r->shared, adapter, r->o->max_tokens, &read, e))
        return false;
    if (base) judge_read_digests(read, base, digest);
    progress_start(&w.p, comm_rank(r->c), "judge", "answers", n, NULL);
    progress_update(&w.p, 0, NULL);
    bool ok = judge_read_run(read, v + mine.begin, (size_t)w.mine, out, seen, &w, e);
    progress_end(&w.p, ok ? "done" : "failed");
    judge_read_close(read);
    return ok;
}

bool judge_run_read(struct judge_run *r, const char *adapter, const struct judge_fields *v,
                    size_t n, struct judge_reading *out, char base[65], char digest[65],
                    struct err *e)
{
    struct comm_range mine = comm_share(r->c, n);
    size_t bytes = (size_t)(mine.end - mine.begin) * sizeof *out, total;
    struct judge_reading *part = mem_calloc((size_t)(mine.end - mine.begin) + 1, sizeof *part, e);
    void *all = NULL;
    bool ok = part && read_share(r, adapter, v, mine, n, part, base, digest, e);

    ok = comm_agree(r->c, ok, e) && comm_allgatherv(r->c, part, bytes, &all, &total, NULL, e);
    if (ok) memcpy(out, all, total);
    mem_free(all);
    mem_free(part);
    return ok;
}
