#include "cli/config.h"

#include <stdlib.h>

#include "base/fs.h"

const struct config_section config_section_list[] = {
    {"corpus", ingest_table, offsetof(struct config, corpus)},
    {"shards", shard_table, offsetof(struct config, shards)},
    {"stats", stats_table, offsetof(struct config, stats)},
    {"model", model_table, offsetof(struct config, model)},
    {"lora", lora_table, offsetof(struct config, lora)},
    {"train", train_table, offsetof(struct config, train)},
    {"generate", generate_table, offsetof(struct config, generate)},
    {"evaluate", evaluate_table, offsetof(struct config, evaluate)},
    {"slurm", slurm_table, offsetof(struct config, slurm)},
    {NULL, NULL, 0},
};

static const char *environment(const char *name)
{
    return getenv(name);
}

bool config_load(struct cmd_call *call, struct config *out)
{
    enum { SECTIONS = sizeof config_section_list / sizeof config_section_list[0] };
    const char *names[SECTIONS];
    struct opt_doc doc;

    *out = (struct config){0};
    for (size_t i = 0; i < SECTIONS; i++)
        names[i] = config_section_list[i].name;
    if (!opt_doc_load(call->pos[0], call->sets, call->nsets, environment, &call->arena, &doc,
                      &call->err))
        return false;
    if (!opt_doc_sections(&doc, names, &call->err)) return false;
    for (const struct config_section *s = config_section_list; s->name; s++)
        if (!opt_bind(&doc, s->name, s->table, (char *)out + s->offset, &call->err)) return false;
    return true;
}

bool config_defaults(struct cmd_call *call, struct config *out)
{
    *out = (struct config){0};
    for (const struct config_section *s = config_section_list; s->name; s++)
        if (!opt_defaults(s->table, &call->arena, (char *)out + s->offset, &call->err))
            return false;
    return true;
}

bool config_dump(const struct config *c, struct sbuf *b, struct err *e)
{
    for (const struct config_section *s = config_section_list; s->name; s++)
        if (!opt_dump(s->name, s->table, (const char *)c + s->offset, b, e)) return false;
    return true;
}

const char *config_stage_dir(const struct config *c, const char *stage)
{
    const struct {
        const char *stage, *dir;
    } dirs[] = {{"ingest", c->corpus.dir},
                {"shard", c->shards.dir},
                {"train", c->train.dir},
                {"generate", c->generate.dir},
                {"evaluate", c->evaluate.dir}};

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (str_eqz(str_of(stage), dirs[i].stage)) return dirs[i].dir;
    return NULL;
}

bool config_slurm_dir(struct cmd_call *call, struct config *c)
{
    const char *home = c->train.dir ? c->train.dir : c->corpus.dir;

    if (c->slurm.dir) return true;
    if (!home)
        return err_set(&call->err, ERR_CONFIG,
                       "%s: none of slurm.dir, train.dir, corpus.dir is set", call->pos[0]);
    return fs_join(&call->arena, home, "slurm", &c->slurm.dir, &call->err);
}

bool config_dry_run(struct cmd_call *call, const struct config *c, bool *stop)
{
    struct sbuf b;
    bool ok;

    *stop = call->dry_run;
    if (!call->dry_run) return true;
    sbuf_init(&b, 1 << 20);
    ok = config_dump(c, &b, &call->err);
    if (ok) cmd_print(call, "%.*s", STR_ARG(sbuf_str(&b)));
    sbuf_free(&b);
    return ok;
}

bool config_need(struct cmd_call *call, const char *value, const char *key)
{
    return value || err_set(&call->err, ERR_CONFIG, "%s: %s is not set", call->pos[0], key);
}
