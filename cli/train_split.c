#include "cli/train_split.h"

#include "base/fs.h"
#include "base/mem.h"
#include "shard/shard_reader.h"
#include "shard/source_text.h"

enum { TEXT_MAX_BYTES = 4 << 20 };

struct train_split {
    struct train_texts texts;
    struct shard_set *set;
    struct source_text *source;
    struct sbuf findings, impression;
};

static bool get(void *ctx, size_t i, struct str *findings, struct str *impression, struct err *e)
{
    struct train_split *t = ctx;
    struct sample s;
    if (!shard_set_get(t->set, i, &s, e)) return false;
    if (findings) {
        if (!source_text_get(t->source, &s, PROMPT_FINDINGS, &t->findings, e)) return false;
        *findings = sbuf_str(&t->findings);
    }
    if (impression) {
        if (!source_text_target(t->source, &s, &t->impression, e)) return false;
        *impression = sbuf_str(&t->impression);
    }
    return true;
}

/* Folders that are not configured, or not on this machine, are no error. */
static bool has_manifest(const char *dir, struct arena *a, bool *out, struct err *e)
{
    const char *path;
    *out = false;
    if (!dir) return true;
    if (!fs_join(a, dir, "manifest.json", &path, e)) return false;
    *out = fs_exists(path);
    return true;
}

static bool open_all(const struct config *c, struct train_split *t, const char **why, struct err *e)
{
    const struct opt_strs *m = &c->shards.modality;
    if (!shard_set_open(c->shards.dir, SHARD_TRAIN, m->v, m->n, false, &t->set, e)) {
        if (e->code != ERR_CONFIG) return false;
        err_clear(e);
        *why = "shards.dir has no train split";
        return true;
    }
    t->texts = (struct train_texts){t, shard_set_count(t->set), c->shards.dir, get};
    return source_text_open(c->corpus.dir, &t->source, e);
}

bool train_split_wanted(const struct config *c)
{
    for (size_t i = 0; i < c->evaluate.baselines.n; i++)
        if (str_eqz(str_of(c->evaluate.baselines.v[i]), "knn")) return !c->evaluate.train_pairs;
    return false;
}

bool train_split_open(const struct config *c, struct arena *a, struct train_split **out,
                      const char **why, struct err *e)
{
    bool shards, corpus;
    *out = NULL;
    *why = NULL;
    if (!has_manifest(c->shards.dir, a, &shards, e) || !has_manifest(c->corpus.dir, a, &corpus, e))
        return false;
    if (!shards || !corpus) {
        *why = "no shards.dir and corpus.dir here to read training reports from";
        return true;
    }
    struct train_split *t = mem_calloc(1, sizeof *t, e);
    if (!t) return false;
    sbuf_init(&t->findings, TEXT_MAX_BYTES);
    sbuf_init(&t->impression, TEXT_MAX_BYTES);
    bool ok = open_all(c, t, why, e);
    if (ok && !*why)
        *out = t;
    else
        train_split_close(t);
    return ok;
}

void train_split_close(struct train_split *t)
{
    if (!t) return;
    sbuf_free(&t->findings);
    sbuf_free(&t->impression);
    source_text_close(t->source);
    shard_set_close(t->set);
    mem_free(t);
}

const struct train_texts *train_split_texts(const struct train_split *t)
{
    return &t->texts;
}
