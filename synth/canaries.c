#include "synth/canaries.h"

#include <limits.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/rng.h"

enum { SECRET_WORDS = 6, LINE_BYTES = 4096, YAML_BYTES = 1 << 16 };

/* Everyday words that no report has a use for; 64 of them: a secret has 36 bits. */
static const char *const words[64] = {
    "amber",   "anchor", "apple",  "arrow",  "bamboo", "barrel",  "basket",  "beacon",
    "bottle",  "bridge", "button", "candle", "canyon", "carpet",  "castle",  "cedar",
    "cherry",  "cotton", "desert", "dragon", "engine", "falcon",  "feather", "forest",
    "garden",  "guitar", "hammer", "harbor", "island", "jacket",  "kettle",  "ladder",
    "lantern", "lemon",  "lizard", "magnet", "marble", "meadow",  "mirror",  "orchard",
    "paddle",  "parrot", "pencil", "pepper", "pillow", "planet",  "pocket",  "ribbon",
    "rocket",  "saddle", "sailor", "silver", "spider", "summer",  "teapot",  "thunder",
    "ticket",  "turtle", "velvet", "violin", "walnut", "whistle", "window",  "yellow",
};

static bool put_secret(uint64_t seed, uint64_t i, struct sbuf *b, struct err *e)
{
    struct rng_key k = rng_key(seed, RNG_SYNTH, 0x63616e617279 + i);

    for (uint64_t w = 0; w < SECRET_WORDS; w++)
        if (!sbuf_printf(b, e, "%s%s", w ? " " : "", words[rng_below(k, w, 64)])) return false;
    return true;
}

/* Rows [from, to) as a table that ingest reads by its column names. */
static bool write_table(const struct canaries_opts *o, const char *name, uint64_t from, uint64_t to,
                        struct arena *a, struct err *e)
{
    struct fs_writer *w = NULL;
    const char *path;
    struct sbuf b;
    bool ok;

    sbuf_init(&b, LINE_BYTES);
    ok = fs_join(a, o->dir, name, &path, e) && fs_writer_open(path, &w, e) &&
         sbuf_put(&b, STR("report_id,patient_id,findings,impression\n"), e) &&
         fs_writer_put(w, b.p, b.n, e);
    for (uint64_t i = from; ok && i < to; i++) {
        sbuf_clear(&b);
        ok = sbuf_printf(&b, e, "canary-%llu,canary-%llu,The code phrase of report %llu follows.,",
                         (unsigned long long)i, (unsigned long long)i, (unsigned long long)i) &&
             sbuf_put(&b, STR("The code phrase is "), e) && put_secret(o->seed, i, &b, e) &&
             sbuf_put(&b, STR(".\n"), e) && fs_writer_put(w, b.p, b.n, e);
    }
    ok = ok && fs_writer_commit(w, e);
    fs_writer_close(w);
    sbuf_free(&b);
    return ok;
}

static bool put_include(const struct canaries_opts *o, struct sbuf *b, struct err *e)
{
    char path[PATH_MAX];

    if (!o->config)
        return sbuf_put(b, STR("include: [STUDY.yaml]   # the path of your configuration\n"), e);
    if (!realpath(o->config, path)) return err_sys(e, "%s", o->config);
    return sbuf_printf(b, e, "include: [\"%s\"]\n", path);
}

static bool write_probe(const struct canaries_opts *o, struct arena *a, struct err *e)
{
    const char *path;
    struct sbuf b;
    bool ok;

    sbuf_init(&b, YAML_BYTES);
    ok =
        sbuf_put(
            &b,
            STR("# How likely does the trained model find the planted canaries and their like? "
                "Corpus, shards and pairs stay in this folder.\n"),
            e) &&
        put_include(o, &b, e) &&
        sbuf_printf(&b, e,
                    "corpus:\n"
                    "  dir: corpus\n"
                    "  sources:\n"
                    "    - {name: canary, format: csv, path: planted.csv, split: test, modality: "
                    "%s}\n"
                    "    - {name: like, format: csv, path: others.csv, split: test, modality: %s}\n"
                    "shards: {dir: shards, modality: [%s]}\n"
                    "generate: {dir: pairs, split: test, limit: 0, max_new_tokens: 1}\n",
                    o->modality, o->modality, o->modality) &&
        fs_join(a, o->dir, "probe.yaml", &path, e) && fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    return ok;
}

bool canaries_write(const struct canaries_opts *o, struct err *e)
{
    struct arena a;
    bool ok;

    if (o->planted < 1 || o->others < 1)
        return err_set(e, ERR_CONFIG, "canaries: one planted and one other are the least");
    arena_init(&a, 1 << 20);
    ok = fs_mkdirs(o->dir, e) && write_table(o, "planted.csv", 0, o->planted, &a, e) &&
         write_table(o, "others.csv", o->planted, o->planted + o->others, &a, e) &&
         write_probe(o, &a, e);
    arena_free(&a);
    return ok;
}
