#include "cli/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "comm/hang.h"
#include "text/prompt.h"
#include "text/tokenizer.h"

enum { CONFIG_MAX_BYTES = 1 << 20, MANIFEST_MAX_BYTES = 256 << 20 };

static const char *const access_names[] = {"private", "group", NULL}; /* as enum fs_access */
static const struct opt files_table[] = {
    OPT_ENUM(struct files_opts, access, "private", access_names,
             "who may read what is written: private, the user alone (0600, folders 0700); group, "
             "the user's group too (0640, 0750). serve and label always write private files"),
    OPT_END,
};

const struct config_section config_section_list[] = {
    {"corpus", ingest_table, offsetof(struct config, corpus)},
    {"shards", shard_table, offsetof(struct config, shards)},
    {"stats", stats_table, offsetof(struct config, stats)},
    {"model", model_table, offsetof(struct config, model)},
    {"lora", lora_table, offsetof(struct config, lora)},
    {"train", train_table, offsetof(struct config, train)},
    {"generate", generate_table, offsetof(struct config, generate)},
    {"evaluate", evaluate_table, offsetof(struct config, evaluate)},
    {"label", label_table, offsetof(struct config, label)},
    {"judge", judge_table, offsetof(struct config, judge)},
    {"sweep", sweep_table, offsetof(struct config, sweep)},
    {"serve", serve_table, offsetof(struct config, serve)},
    {"slurm", slurm_table, offsetof(struct config, slurm)},
    {"files", files_table, offsetof(struct config, files)},
    {NULL, NULL, 0},
};

static const char *environment(const char *name)
{
    return getenv(name);
}

enum opt_type config_key_type(const char *key)
{
    struct str rest = str_of(key), section;

    if (!str_split(&rest, '.', &section)) return OPT_T_END;
    for (const struct config_section *s = config_section_list; s->name; s++) {
        if (!str_eqz(section, s->name)) continue;
        for (const struct opt *o = s->table; o->key; o++)
            if (str_eqz(rest, o->key)) return o->type;
    }
    return OPT_T_END;
}

/* Paths in sweep.params are meant as the file that names them means them, like all others. */
static bool resolve_paths(const struct opt_doc *doc, struct err *e)
{
    const struct opt_node *sweep = opt_doc_section(doc, "sweep");
    const struct opt_node *params = sweep ? opt_node_get(sweep, "params") : NULL;

    for (size_t i = 0; params && params->kind == OPT_MAPPING && i < params->n; i++) {
        const struct opt_node *list = params->items[i];
        if (config_key_type(params->keys[i]) != OPT_T_PATH) continue;
        if (list->kind == OPT_MAPPING) list = opt_node_get(list, "choice");
        for (size_t k = 0; list && list->kind == OPT_SEQ && k < list->n; k++) {
            struct opt_node *n = list->items[k];
            const char *path;
            if (n->kind != OPT_SCALAR) continue;
            if (!opt_path_resolve(doc->arena, n->file, n->scalar, &path, e)) return false;
            n->scalar = str_of(path);
        }
    }
    return true;
}

static bool bind_sections(const struct opt_doc *doc, struct config *out, struct err *e)
{
    enum { SECTIONS = sizeof config_section_list / sizeof config_section_list[0] };
    const char *names[SECTIONS];

    *out = (struct config){0};
    for (size_t i = 0; i < SECTIONS; i++)
        names[i] = config_section_list[i].name;
    if (!opt_doc_sections(doc, names, e) || !resolve_paths(doc, e)) return false;
    for (const struct config_section *s = config_section_list; s->name; s++)
        if (!opt_bind(doc, s->name, s->table, (char *)out + s->offset, e)) return false;
    return true;
}

static void set_access(const struct cmd_call *call, const struct config *c)
{
    for (const char *const *s = call->cmd->sections; s && *s; s++)
        if (str_eqz(str_of(*s), "files")) fs_set_access((enum fs_access)c->files.access);
}

/* Both keep a manifest.json: in one folder, shards would take the corpus's place. */
static bool check_apart(struct cmd_call *call, const struct config *c)
{
    const char *corpus = c->corpus.dir, *shards = c->shards.dir;

    if (!corpus || !shards || strcmp(corpus, shards) != 0) return true;
    return err_set(&call->err, ERR_CONFIG,
                   "%s: corpus.dir and shards.dir are one folder, %s: give shards another",
                   call->pos[0], corpus);
}

bool config_load(struct cmd_call *call, struct config *out)
{
    struct opt_doc doc;

    if (!opt_doc_load(call->pos[0], call->sets, call->nsets, environment, &call->arena, &doc,
                      &call->err) ||
        !bind_sections(&doc, out, &call->err) || !check_apart(call, out))
        return false;
    set_access(call, out);
    return !call->cmd->ranks || config_watch(call, out);
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

bool config_parse(struct str dump, const char *const *sets, size_t n, struct arena *a,
                  struct config *out, struct err *e)
{
    struct opt_doc doc;
    return opt_doc_parse(dump, "the configuration", sets, n, no_environment, a, &doc, e) &&
           bind_sections(&doc, out, e);
}

bool config_defaults(struct cmd_call *call, struct config *out)
{
    struct opt_doc doc;
    if (!opt_doc_parse(STR("{}"), "the command line", call->sets, call->nsets, environment,
                       &call->arena, &doc, &call->err) ||
        !bind_sections(&doc, out, &call->err))
        return false;
    set_access(call, out);
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
    } dirs[] = {{"ingest", c->corpus.dir},     {"shard", c->shards.dir},
                {"train", c->train.dir},       {"generate", c->generate.dir},
                {"evaluate", c->evaluate.dir}, {"sweep", c->sweep.dir},
                {"serve", c->serve.dir}};

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (str_eqz(str_of(stage), dirs[i].stage)) return dirs[i].dir;
    return NULL;
}

bool config_watch(struct cmd_call *call, const struct config *c)
{
    const char *stage = call->cmd->name;
    struct hang_opts o = {.stage = stage, .dir = config_stage_dir(c, stage)};
    double minutes = c->train.hang_minutes;
    bool ok = true;

    if (call->dry_run) return true;
    if (!str_eqz(str_of(stage), "train"))
        ok = slurm_stage_hang(&c->slurm, stage, &call->arena, &minutes, &call->err);
    if (!comm_agree(call->comm, ok, &call->err)) return false;
    o.limit_s = minutes * 60;
    return hang_watch(call->comm, &o, &call->err);
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

bool config_find_layout(const char *base, int *layout, struct err *e)
{
    char path[4096];
    json_t *root = NULL;

    if (*layout != SHARD_LAYOUT_AUTO) return true;
    *layout = SHARD_DECODER;
    if (snprintf(path, sizeof path, "%s/config.json", base) >= (int)sizeof path) return true;
    if (!fs_exists(path)) return true;
    if (!json_read_file(path, CONFIG_MAX_BYTES, &root, e)) return false;
    if (json_is_true(json_object_get(root, "is_encoder_decoder"))) *layout = SHARD_ENCODER_DECODER;
    json_decref(root);
    return true;
}

/* ---- are the shards those of this configuration? */

struct made_with {
    const char *tokenizer, *prompt, *name, *inputs, *layout; /* of the manifest; NULL: not there */
};

/* The prompt as it is configured now, of this tokenizer: its digest. */
static bool digest_prompt(const struct config *c, const struct tokenizer *tok, bool encoder,
                          char out[65], struct err *e)
{
    enum prompt_field inputs[PROMPT_FIELDS];
    const struct opt_strs *in = &c->shards.input;
    struct prompt *prompt = NULL;
    uint8_t digest[32];
    bool ok = false;

    for (size_t i = 0; i < in->n; i++) {
        int f = prompt_field_of(str_of(in->v[i]));
        if (f < 0 || i == PROMPT_FIELDS)
            return err_set(e, ERR_CONFIG, "shards.input: %.40s is no field", in->v[i]);
        inputs[i] = (enum prompt_field)f;
    }
    if (!prompt_open(c->shards.template, inputs, in->n, tok, &prompt, e)) goto out;
    if (encoder && !prompt_for_encoder(prompt, e)) goto out;
    prompt_digest(prompt, digest);
    hash_hex(digest, sizeof digest, out);
    ok = true;
out:
    prompt_close(prompt);
    return ok;
}

static bool compare_prompt(const struct config *c, const struct made_with *m, struct err *e)
{
    struct tokenizer *tok = NULL;
    char now[65];
    bool ok = false;

    if (!tokenizer_open(c->model.base, &tok, e)) goto out;
    struct tok_info info = tokenizer_info(tok);
    hash_hex(info.digest, sizeof info.digest, now);
    ok = strcmp(m->tokenizer, now) != 0; /* the stage's to refuse */
    if (ok || !digest_prompt(c, tok, strcmp(m->layout, "encoder-decoder") == 0, now, e)) goto out;
    ok = strcmp(m->prompt, now) == 0 ||
         err_set(e, ERR_CONFIG,
                 "the shards in %s were made with template %.40s and input [%.80s], other than "
                 "shards.template and shards.input say now: run radmill shard, or put them back",
                 c->shards.dir, m->name, m->inputs);
out:
    tokenizer_close(tok);
    return ok;
}

static bool check_shards(struct cmd_call *call, const struct config *c)
{
    const char *path;
    struct made_with m = {0};
    json_t *root = NULL;
    bool ok;

    if (!fs_join(&call->arena, c->shards.dir, "manifest.json", &path, &call->err)) return false;
    if (!fs_exists(path)) return true;
    if (!json_read_file(path, MANIFEST_MAX_BYTES, &root, &call->err)) return false;
    m.tokenizer = json_string_value(json_object_get(root, "tokenizer_sha256"));
    m.prompt = json_string_value(json_object_get(root, "template_sha256"));
    m.name = json_string_value(json_object_get(root, "template"));
    m.inputs = json_string_value(json_object_get(root, "inputs"));
    m.layout = json_string_value(json_object_get(root, "layout"));
    /* a manifest that lacks one of these is the stage's to refuse, too */
    ok = !m.tokenizer || !m.prompt || !m.name || !m.inputs || !m.layout ||
         compare_prompt(c, &m, &call->err);
    json_decref(root);
    return ok;
}

bool config_check_shards(struct cmd_call *call, const struct config *c)
{
    return comm_agree(call->comm, check_shards(call, c), &call->err);
}
