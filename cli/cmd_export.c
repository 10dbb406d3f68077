/* radmill export: records of one source and split in a published exchange format. */
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

bool cmd_export(struct cmd_call *call)
{
    const char *format, *source, *split, *to;
    struct sbuf what;
    struct config c;
    bool stop, ok = false;

    if (!need(call, "--format", &format) || !need(call, "--source", &source) ||
        !need(call, "--split", &split) || !need(call, "--output", &to))
        return false;
    if (!str_eqz(str_of(format), "mediqa"))
        return err_set(&call->err, ERR_CONFIG, "--format %s is not known; there is mediqa", format);
    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    const struct ingest_source_opts *s = find_source(&c, source);
    if (!s) return err_set(&call->err, ERR_CONFIG, "corpus.sources has no source %s", source);
    sbuf_init(&what, 1024);
    if (sbuf_printf(&what, &call->err, "format=mediqa source=%s split=%s", source, split))
        ok = audit_note(c.corpus.dir, "export", what.p, &call->err) &&
             export_mediqa(c.corpus.dir, s, split, to, &call->err);
    sbuf_free(&what);
    return ok;
}
