/* radmill inspect: what a file or folder of ours holds; counts and digests, no report text unless
 * --show-text. */
#include "base/audit.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "cli/inspect_sample.h"
#include "cli/inspect_shards.h"
#include "generate/pairs.h"
#include "ingest/record.h"
#include "model/spec.h"

struct tally {
    uint64_t modality[MOD_COUNT], split[SPLIT_COUNT], origin[ORIGIN_COUNT], section[SEC_COUNT];
};

static void print_tally(const struct cmd_call *call, const char *label, const char *const *names,
                        const uint64_t *v, size_t n)
{
    cmd_print(call, "  %-10s", label);
    for (size_t i = 0; i < n; i++)
        if (v[i]) cmd_print(call, " %s %llu", names[i], (unsigned long long)v[i]);
    cmd_print(call, "\n");
}

static void print_digest(const struct cmd_call *call, const char *label, const uint8_t d[32])
{
    char hex[65];
    hash_hex(d, 32, hex);
    cmd_print(call, "  %-10s %s\n", label, hex);
}

static void show_record(const struct cmd_call *call, size_t i, const struct record *r)
{
    cmd_print(call, "\n-- row %zu, entry %llu, %s from %s, %s\n", i, (unsigned long long)r->entry,
              record_modality_names[r->modality], record_origin_names[r->origin],
              record_split_names[r->split]);
    for (int s = 0; s < SEC_COUNT; s++) {
        struct str t =
            str_sub(r->text, r->section[s].offset, r->section[s].offset + r->section[s].length);
        if (t.n) cmd_print(call, "[%s] %.*s\n", record_section_names[s], STR_ARG(str_trim(t)));
    }
}

static bool tally_block(struct cmd_call *call, const char *path, struct tally *t, bool show)
{
    struct record_reader *r = NULL;
    struct record rec;

    if (!record_reader_open(path, &r, &call->err)) return false;
    for (size_t i = 0; i < record_reader_count(r); i++) {
        record_reader_get(r, i, &rec);
        t->modality[rec.modality]++;
        t->split[rec.split]++;
        t->origin[rec.origin]++;
        for (int s = 0; s < SEC_COUNT; s++)
            t->section[s] += rec.section[s].length > 0;
        if (show) show_record(call, i, &rec);
    }
    record_reader_close(r);
    return true;
}

static void print_tallies(const struct cmd_call *call, const struct tally *t)
{
    print_tally(call, "modality", record_modality_names, t->modality, MOD_COUNT);
    print_tally(call, "label from", record_origin_names, t->origin, ORIGIN_COUNT);
    print_tally(call, "split", record_split_names, t->split, SPLIT_COUNT);
    print_tally(call, "sections", record_section_names, t->section, SEC_COUNT);
}

/* Where the log of a record block is: its corpus, else the folder it lies in. */
static bool block_home(struct cmd_call *call, const char *path, const char **out)
{
    size_t at = str_find(str_of(path), STR("/records/"), 0);
    struct str dir = str_sub(str_of(path), 0, at == SIZE_MAX ? 0 : at);

    if (dir.n == 0) return fs_dir_of(&call->arena, path, out, &call->err);
    if (!arena_str(&call->arena, dir, &dir, &call->err)) return false;
    *out = dir.p;
    return true;
}

static bool inspect_block(struct cmd_call *call, const char *path)
{
    bool show = cmd_value(call, "--show-text") != NULL;
    struct tally t = {0};
    const char *home;

    if (show && !(block_home(call, path, &home) &&
                  audit_note(home, "show", "report text of one record block", &call->err)))
        return false;
    cmd_print(call, "%s: record block\n", path);
    if (!tally_block(call, path, &t, show)) return false;
    print_tallies(call, &t);
    return true;
}

static bool inspect_corpus(struct cmd_call *call, const char *dir)
{
    struct record_corpus corpus;
    struct tally t = {0};
    uint64_t records = 0;

    if (!record_corpus_open(dir, &call->arena, &corpus, &call->err)) return false;
    for (size_t i = 0; i < corpus.nblocks; i++) {
        if (!tally_block(call, corpus.blocks[i].path, &t, false)) return false;
        records += corpus.blocks[i].records;
    }
    cmd_print(call, "%s: corpus, %llu records in %zu blocks\n", dir, (unsigned long long)records,
              corpus.nblocks);
    print_digest(call, "digest", corpus.digest);
    print_tallies(call, &t);
    return true;
}

static bool inspect_model(struct cmd_call *call, const char *dir, const char *config)
{
    struct model_spec s;

    if (!model_spec_read(config, &s, &call->err)) return false;
    cmd_print(call, "%s: %s model, %.1f M parameters\n", dir, s.arch,
              (double)model_spec_params(&s) / 1e6);
    cmd_print(call, "  layers %u, width %u, ff %u, heads %u/%u of %u, vocabulary %u%s\n", s.layers,
              s.d, s.ff, s.heads, s.kv_heads, s.head_dim, s.vocab, s.tied ? ", tied head" : "");
    return true;
}

static bool inspect_json(struct cmd_call *call, const char *what, const char *path)
{
    struct sbuf b;
    json_t *j = NULL;
    bool ok;

    sbuf_init(&b, 16 << 20);
    ok = json_read_file(path, 16 << 20, &j, &call->err) && json_put(&b, j, &call->err);
    if (ok) cmd_print(call, "%s: %s\n%.*s\n", path, what, STR_ARG(sbuf_str(&b)));
    json_decref(j);
    sbuf_free(&b);
    return ok;
}

static bool inspect_pairs(struct cmd_call *call, const char *path)
{
    struct pair *p;
    size_t n, empty = 0, seen = 0;

    if (!pairs_read(path, &call->arena, &p, &n, &call->err)) return false;
    for (size_t i = 0; i < n; i++) {
        empty += p[i].prediction.n == 0;
        seen += p[i].seen == 1;
    }
    cmd_print(
        call,
        "%s: %zu pairs, %zu with an empty prediction, %zu with a reference that occurs in train\n",
        path, n, empty, seen);
    return true;
}

static bool inspect_dir(struct cmd_call *call, const char *dir)
{
    static const struct {
        const char *name, *what;
    } json_files[] = {{"adapter_config.json", "adapter"},
                      {"pairs.meta.json", "pairs"},
                      {"report.json", "report"}};
    const char *path;

    if (!fs_join(&call->arena, dir, "records", &path, &call->err)) return false;
    if (fs_is_dir(path)) return inspect_corpus(call, dir);
    if (!fs_join(&call->arena, dir, "manifest.json", &path, &call->err)) return false;
    if (fs_exists(path)) return inspect_shards(call, dir);
    if (!fs_join(&call->arena, dir, "config.json", &path, &call->err)) return false;
    if (fs_exists(path)) return inspect_model(call, dir, path);
    for (size_t i = 0; i < sizeof json_files / sizeof json_files[0]; i++) {
        if (!fs_join(&call->arena, dir, json_files[i].name, &path, &call->err)) return false;
        if (fs_exists(path)) return inspect_json(call, json_files[i].what, path);
    }
    return err_set(&call->err, ERR_FORMAT,
                   "%s: no corpus, shards, model, adapter, pairs or report folder of radmill's",
                   dir);
}

bool cmd_inspect(struct cmd_call *call)
{
    const char *path = call->pos[0];
    struct str p = str_of(path);

    if (!fs_exists(path))
        return err_set(&call->err, ERR_CONFIG, "%s: no such file or folder", path);
    if (fs_is_dir(path)) return inspect_dir(call, path);
    if (str_ends(p, STR(".yaml")) || str_ends(p, STR(".yml"))) return inspect_sample(call);
    if (str_ends(p, STR(".h5")) && inspect_is_shard_file(path))
        return inspect_shard_file(call, path);
    if (str_ends(p, STR(".h5")) && inspect_is_groups_file(path))
        return inspect_groups_file(call, path);
    if (str_ends(p, STR(".h5"))) return inspect_block(call, path);
    if (str_ends(p, STR(".jsonl"))) return inspect_pairs(call, path);
    if (str_ends(p, STR(".json"))) return inspect_json(call, "JSON", path);
    return err_set(&call->err, ERR_CONFIG,
                   "%s: inspect reads folders, configurations (.yaml), .h5 record blocks and "
                   "shards, .jsonl and .json",
                   path);
}
