/* radmill export: records of a source in a published exchange form, or as a table. */
#include "base/audit.h"
#include "cli/config.h"
#include "ingest/export.h"

static const struct ingest_source_opts *find_source(const struct config *c, const char *name)
{
    const struct ingest_source_opts *s = c->corpus.sources.items;
    for (size_t i = 0; i < c->corpus.sources.n; i++)
        if (str_eqz(str_of(name), s[i].name)) return &s[i];
    return NULL;
}

static bool need(struct cmd_call *call, const char *name, const char **out)
{
    *out = cmd_value(call, name);
    return *out || err_set(&call->err, ERR_CONFIG, "export needs %s", name);
}

static bool read_format(struct cmd_call *call, const char *name, struct export_opts *o)
{
    for (int i = 0; i < EXPORT_FORMATS; i++) {
        if (!str_eqz(str_of(name), export_format_names[i])) continue;
        o->format = (enum export_format)i;
        return true;
    }
    return err_set(&call->err, ERR_CONFIG,
                   "--format %s is not known; there are mediqa, mitlcp, sections, jsonl, csv",
                   name);
}

static bool read_filters(struct cmd_call *call, struct export_opts *o)
{
    const char *split = cmd_value(call, "--split");

    o->split = split ? record_split_of(str_of(split)) : -1;
    if (split && o->split < 0)
        return err_set(&call->err, ERR_CONFIG, "--split %s is not train, dev, test or none", split);
    return cmd_modalities(call, o->modality);
}

bool cmd_export(struct cmd_call *call)
{
    const char *format, *name = cmd_value(call, "--source");
    struct export_opts o = {0};
    struct export_counts n;
    struct sbuf what;
    struct config c;
    bool stop, ok;

    if (!need(call, "--format", &format) || !need(call, "--output", &o.path)) return false;
    if (!read_format(call, format, &o) || !read_filters(call, &o)) return false;
    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!cmd_apart(call, o.path, call->pos[0])) return false;
    for (size_t i = 0; i < c.corpus.sources.n; i++) {
        const struct ingest_source_opts *s =
            (const struct ingest_source_opts *)c.corpus.sources.items + i;
        if (!cmd_apart(call, o.path, s->path) || !cmd_apart(call, o.path, s->split_list))
            return false;
    }
    o.corpus_dir = c.corpus.dir;
    o.hashed_ids = c.corpus.ids == INGEST_IDS_HASH;
    o.source = name ? find_source(&c, name) : NULL;
    if (name && !o.source)
        return err_set(&call->err, ERR_CONFIG, "corpus.sources has no source %s", name);
    sbuf_init(&what, 1024);
    ok = sbuf_printf(&what, &call->err, "format=%s source=%s split=%s", format, name ? name : "all",
                     o.split < 0 ? "all" : record_split_names[o.split]) &&
         audit_note(o.corpus_dir, "export", what.p, &call->err) && export_run(&o, &n, &call->err);
    sbuf_free(&what);
    if (ok) cmd_print(call, "%s: %llu reports\n", o.path, (unsigned long long)n.written);
    return ok;
}
