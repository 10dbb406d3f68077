/*
 * radmill forget: patients out of the corpus for good, and out of what the configuration made of
 * it. Records are purged one by one (ingest/forget). Shards of the modalities, pairs and reports of
 * the splits that these patients were in are removed whole: they are remade from records. Adapters
 * cannot be purged: those that may have seen them are named, and so are exports.
 */
#include "base/audit.h"
#include "base/fs.h"
#include "base/json.h"
#include "cli/config.h"
#include "ingest/forget.h"

enum { MAX_IDS_BYTES = 256 << 20, MAX_AUDIT_BYTES = 256 << 20 };

struct job {
    struct cmd_call *call;
    struct config c;
    struct forget_summary sum;
    bool trained; /* they were in train or dev */
};

static bool remove_file(struct job *j, const char *dir, const char *name)
{
    struct cmd_call *call = j->call;
    const char *path;

    if (!fs_join(&call->arena, dir, name, &path, &call->err)) return false;
    if (!fs_exists(path)) return true;
    if (!fs_remove(path, &call->err)) return false;
    cmd_print(call, "  removed %s\n", path);
    return true;
}

/* Hashes of texts, theirs too. */
static bool remove_groups(struct job *j, const char *dir)
{
    struct cmd_call *call = j->call;
    struct str *names;
    size_t n;

    if (!fs_list(dir, &call->arena, &names, &n, &call->err)) return false;
    for (size_t i = 0; i < n; i++)
        if (str_starts(names[i], STR("groups-")) && str_ends(names[i], STR(".h5")) &&
            !remove_file(j, dir, names[i].p))
            return false;
    return true;
}

/* The manifest first: without it no shard is read. */
static bool remove_shards(struct job *j)
{
    struct cmd_call *call = j->call;
    const char *path;

    if (!j->c.shards.dir || !fs_is_dir(j->c.shards.dir)) return true;
    if (!remove_file(j, j->c.shards.dir, "manifest.json") || !remove_groups(j, j->c.shards.dir))
        return false;
    for (int m = 0; m < MOD_COUNT; m++) {
        if (!j->sum.modality[m]) continue;
        if (!fs_join(&call->arena, j->c.shards.dir, record_modality_names[m], &path, &call->err))
            return false;
        if (!fs_is_dir(path)) continue;
        if (!fs_remove_tree(path, &call->err)) return false;
        cmd_print(call, "  removed %s\n", path);
    }
    return true;
}

static bool remove_results(struct job *j)
{
    static const char *const pairs[] = {"pairs.meta.json", "pairs.jsonl", "labels.jsonl"};
    static const char *const report[] = {"report.json", "report.md", "per_pair.jsonl",
                                         "labels.jsonl"};
    const struct config *c = &j->c;
    const char *parts;
    bool ok = true;

    for (size_t i = 0; ok && c->generate.dir && i < sizeof pairs / sizeof *pairs; i++)
        ok = remove_file(j, c->generate.dir, pairs[i]);
    for (size_t i = 0; ok && c->evaluate.dir && i < sizeof report / sizeof *report; i++)
        ok = remove_file(j, c->evaluate.dir, report[i]);
    if (!ok || !c->generate.dir) return ok;
    return fs_join(&j->call->arena, c->generate.dir, "parts", &parts, &j->call->err) &&
           fs_remove_tree(parts, &j->call->err);
}

static bool name_adapters(struct job *j)
{
    static const char *const folders[] = {"adapter", "checkpoints"};
    struct cmd_call *call = j->call;
    const char *path;

    for (size_t i = 0; j->trained && j->c.train.dir && i < 2; i++) {
        if (!fs_join(&call->arena, j->c.train.dir, folders[i], &path, &call->err)) return false;
        if (fs_is_dir(path))
            cmd_print(call, "  may have seen them, train again: %s, and all made from it\n", path);
    }
    return true;
}

/* Exports of a split that none of them was in did not hold them. */
static bool may_hold(const struct job *j, struct str what)
{
    size_t at = str_find(what, STR("split="), 0);
    struct str name;

    if (at == SIZE_MAX) return true;
    name = str_sub(what, at + 6, what.n);
    (void)str_split(&name, ' ', &name);
    for (int s = 0; s < SPLIT_COUNT; s++) {
        if (str_eqz(name, record_split_names[s])) return j->sum.split[s];
    }
    return true;
}

static bool name_export(struct job *j, struct str line)
{
    struct str when, action, what;
    struct err *e = &j->call->err;
    json_t *root = NULL;
    bool ok = json_parse(line, "audit line", &root, e) && json_get_str(root, "time", &when, e) &&
              json_get_str(root, "action", &action, e) && json_get_str(root, "what", &what, e);

    if (ok && !str_eqz(action, "forget") && may_hold(j, what))
        cmd_print(j->call, "  may have left with them: %.*s %.*s %.*s\n", STR_ARG(when),
                  STR_ARG(action), STR_ARG(what));
    json_decref(root);
    return ok;
}

static bool name_exports(struct job *j)
{
    struct cmd_call *call = j->call;
    struct str text, line;
    const char *path;

    if (!fs_join(&call->arena, j->c.corpus.dir, "audit.jsonl", &path, &call->err)) return false;
    if (!fs_exists(path)) return true;
    if (!fs_read_file(path, MAX_AUDIT_BYTES, &call->arena, &text, &call->err)) return false;
    while (str_split(&text, '\n', &line)) {
        if (line.n && !name_export(j, line)) return err_wrap(&call->err, "%s", path);
    }
    return true;
}

static bool note(struct job *j)
{
    struct sbuf what;
    bool ok;

    sbuf_init(&what, 256);
    ok = sbuf_printf(&what, &j->call->err, "patients=%llu records=%llu",
                     (unsigned long long)j->sum.patients, (unsigned long long)j->sum.records) &&
         audit_note(j->c.corpus.dir, "forget", what.p, &j->call->err);
    sbuf_free(&what);
    return ok;
}

bool cmd_forget(struct cmd_call *call)
{
    struct job j = {.call = call};
    const char *file = cmd_value(call, "--patients");
    struct str ids;
    bool stop;

    if (!file) return err_set(&call->err, ERR_CONFIG, "forget needs --patients");
    if (!config_load(call, &j.c) || !config_dry_run(call, &j.c, &stop)) return false;
    if (stop) return true;
    if (!fs_read_file(file, MAX_IDS_BYTES, &call->arena, &ids, &call->err)) return false;
    if (!forget_run(&j.c.corpus, ids, &j.sum, &call->err))
        return err_wrap(&call->err, "forget %s", file);
    if (!note(&j)) return false;
    j.trained = j.sum.split[SPLIT_TRAIN] || j.sum.split[SPLIT_DEV];
    cmd_print(call, "%s: patients given %llu, with reports here %llu; records purged %llu\n",
              j.c.corpus.dir, (unsigned long long)j.sum.patients, (unsigned long long)j.sum.known,
              (unsigned long long)j.sum.records);
    if (j.sum.known > 0 && (!remove_shards(&j) || !remove_results(&j))) return false;
    return !j.sum.known || (name_adapters(&j) && name_exports(&j));
}
