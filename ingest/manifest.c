#include "ingest/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

enum { MAX_MANIFEST_BYTES = 256 << 20 };

/* ---- small steps of JSON; jansson fails only for want of memory */
static bool lacking(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the manifest");
}

static bool put(json_t *obj, const char *key, json_t *value, struct err *e)
{
    return json_object_set_new(obj, key, value) == 0 || lacking(e);
}

static bool put_hex(json_t *obj, const char *key, const uint8_t digest[32], struct err *e)
{
    char hex[65];
    hash_hex(digest, 32, hex);
    return put(obj, key, json_string(hex), e);
}

static bool put_count(json_t *obj, const char *key, uint64_t n, struct err *e)
{
    return put(obj, key, json_integer((json_int_t)n), e);
}

/* Only what there is any of. */
static bool put_counts(json_t *obj, const char *key, const char *const *names, const uint64_t *n,
                       struct err *e)
{
    json_t *map = json_object();
    bool ok = map != NULL || lacking(e);

    for (size_t i = 0; ok && names[i]; i++) {
        if (n[i] > 0) ok = put_count(map, names[i], n[i], e);
    }
    if (!ok) {
        json_decref(map);
        return false;
    }
    return put(obj, key, map, e);
}

static const char *const flag_names[] = {
    "no-findings", "no-impression", "repaired-utf8", "truncated",      "duplicate",
    "superseded",  "split-weak",    "guessed",       "near-duplicate", "phi-date",
    "phi-phone",   "phi-number",    "phi-email",     "phi-name",       NULL};

/* ---- sources */
static void add_fact(struct block_fact *sum, const struct block_fact *f)
{
    sum->entries += f->entries;
    sum->ignored += f->ignored;
    sum->records += f->records;
    sum->text_bytes += f->text_bytes;
    sum->pairs += f->pairs;
    for (int i = 0; i < REJECT_COUNT; i++)
        sum->rejected[i] += f->rejected[i];
    for (int i = 0; i < MOD_COUNT; i++)
        sum->modality[i] += f->modality[i];
    for (int i = 0; i < SPLIT_COUNT; i++)
        sum->split[i] += f->split[i];
    for (int i = 0; i < RECORD_FLAGS; i++)
        sum->flags[i] += f->flags[i];
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static json_t *file_json(const struct source_file *f, struct err *e)
{
    json_t *j = json_object();

    if (!j) {
        lacking(e);
    } else if (!put(j, "name", json_string(base_name(f->path)), e) ||
               !put_hex(j, "sha256", f->sha256, e) || !put_count(j, "bytes", f->bytes, e) ||
               !put_hex(j, "config_sha256", f->config, e) ||
               !put_count(j, "number", f->number, e) ||
               !put_count(j, "generation", f->generation, e)) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

static bool fill_counts(json_t *j, const struct block_fact *sum, struct err *e)
{
    return put_count(j, "entries", sum->entries, e) && put_count(j, "ignored", sum->ignored, e) &&
           put_count(j, "records", sum->records, e) && put_count(j, "pairs", sum->pairs, e) &&
           put_count(j, "text_bytes", sum->text_bytes, e) &&
           put_counts(j, "rejected", record_reject_names, sum->rejected, e) &&
           put_counts(j, "modality", record_modality_names, sum->modality, e) &&
           put_counts(j, "split", record_split_names, sum->split, e) &&
           put_counts(j, "flags", flag_names, sum->flags, e);
}

static bool fill_source(json_t *j, const struct source *s, const struct block_fact *sum,
                        struct err *e)
{
    json_t *files = json_array();

    if (!put(j, "files", files, e)) return false; /* now owned by j */
    for (size_t i = 0; i < s->nfiles; i++) {
        json_t *f = file_json(&s->files[i], e);
        if (!f) return false;
        if (json_array_append_new(files, f) != 0) return lacking(e);
    }
    return put(j, "name", json_string(s->o->name), e) &&
           put(j, "sections", json_string(record_mode_names[s->rules.mode]), e) &&
           (!s->o->site || put(j, "site", json_string(s->o->site), e)) &&
           (!s->o->versions ||
            put(j, "versions", json_string(record_versions_names[s->o->versions]), e)) &&
           (!s->o->terms || put(j, "terms", json_string(s->o->terms), e)) && fill_counts(j, sum, e);
}

static bool put_sources(json_t *root, const struct source_set *set, const struct block_fact *facts,
                        size_t n, struct err *e)
{
    json_t *list = json_array();

    if (!put(root, "sources", list, e)) return false;
    for (size_t i = 0; i < set->n; i++) {
        struct block_fact sum = {0};
        json_t *j = json_object();
        if (!j || json_array_append(list, j) != 0) {
            json_decref(j);
            return lacking(e);
        }
        json_decref(j); /* the list holds it */
        for (size_t k = 0; k < n; k++) {
            if (facts[k].source == i) add_fact(&sum, &facts[k]);
        }
        if (!fill_source(j, &set->v[i], &sum, e)) return false;
    }
    return true;
}

/* ---- blocks */
static bool put_blocks(json_t *root, const struct source_set *set, const struct block_fact *facts,
                       size_t n, struct err *e)
{
    json_t *list = json_array();

    if (!put(root, "blocks", list, e)) return false;
    for (size_t i = 0; i < n; i++) {
        const struct block_fact *f = &facts[i];
        json_t *j = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "path",
                              json_sprintf("records/%s/%s", set->v[f->source].o->name, f->name),
                              "source", (json_int_t)f->source, "file", (json_int_t)f->file,
                              "first_entry", (json_int_t)f->first_entry, "entries",
                              (json_int_t)f->entries, "records", (json_int_t)f->records);
        if (!j || json_array_append(list, j) != 0) {
            json_decref(j);
            return lacking(e);
        }
        json_decref(j);
        if (!put_hex(j, "sha256", f->sha256, e)) return false;
    }
    return true;
}

/* What the corpus is: its blocks, and what stands in the late file. Sealed. */
static bool put_digest(json_t *root, const struct block_fact *facts, size_t n,
                       const struct late *late, struct err *e)
{
    json_t *j = json_pack("{s:s}", "path", late->name);
    uint8_t digest[32];
    struct sha256 h;

    sha256_init(&h);
    for (size_t i = 0; i < n; i++)
        sha256_put(&h, facts[i].sha256, 32);
    sha256_put(&h, late->sha256, 32);
    sha256_end(&h, digest);
    return put(root, "late", j, e) && put_hex(j, "sha256", late->sha256, e) &&
           put_hex(root, "digest", digest, e) && json_seal(root, e);
}

bool manifest_is_whole(const char *dir, bool *whole, struct err *e)
{
    json_t *root = NULL;
    const char *path;
    struct arena a;
    bool ok;

    arena_init(&a, 64 << 10);
    *whole = false;
    ok = fs_join(&a, dir, "manifest.json", &path, e);
    if (ok && fs_exists(path)) {
        ok = json_read_file(path, MAX_MANIFEST_BYTES, &root, e);
        *whole = ok && !json_object_get(root, "limit");
    }
    json_decref(root);
    arena_free(&a);
    return ok;
}

bool manifest_write(const struct source_set *set, const struct block_fact *facts, size_t n,
                    const struct late *late, struct err *e)
{
    json_t *root = json_object();
    const char *path;
    struct arena a;
    bool ok = false;

    arena_init(&a, 64 << 10);
    if (!root) {
        lacking(e);
        goto out;
    }
    if (!put(root, "schema", json_string("corpus/v1"), e)) goto out;
    if (!put_count(root, "generation", set->generation, e)) goto out;
    if (set->o->limit && !put_count(root, "limit", set->o->limit, e)) goto out;
    if (!put_sources(root, set, facts, n, e)) goto out;
    if (!put_blocks(root, set, facts, n, e)) goto out;
    if (set->o->near_duplicates > 0 &&
        !put(root, "near_duplicates", json_real(set->o->near_duplicates), e))
        goto out;
    if (!put_digest(root, facts, n, late, e)) goto out;
    ok = fs_join(&a, set->o->dir, "manifest.json", &path, e) && json_write_file(path, root, e);
out:
    json_decref(root);
    arena_free(&a);
    return ok;
}

/* ---- blocks that lost records */
static bool replace_block(json_t *j, const struct block_fact *f, struct err *e)
{
    struct str path;
    size_t stem;

    if (!json_get_str(j, "path", &path, e)) return false;
    for (stem = path.n; stem > 0 && path.p[stem - 1] != '/';)
        stem--;
    return put(j, "path", json_sprintf("%.*s%s", (int)stem, path.p, f->name), e) &&
           put_count(j, "records", f->records, e) && put_hex(j, "sha256", f->sha256, e);
}

static bool replace_all(json_t *root, const struct block_fact *facts, size_t n,
                        const struct late *late, struct err *e)
{
    json_t *sources, *blocks;

    if (!json_get_arr(root, "sources", &sources, e) || !json_get_arr(root, "blocks", &blocks, e))
        return false;
    CHECK(json_array_size(blocks) == n);
    for (size_t i = 0; i < n; i++) {
        if (!replace_block(json_array_get(blocks, i), &facts[i], e)) return false;
    }
    for (size_t i = 0; i < json_array_size(sources); i++) {
        struct block_fact sum = {0};
        for (size_t k = 0; k < n; k++) {
            if (facts[k].source == i) add_fact(&sum, &facts[k]);
        }
        if (!fill_counts(json_array_get(sources, i), &sum, e)) return false;
    }
    return put_digest(root, facts, n, late, e);
}

bool manifest_replace(const char *dir, const struct block_fact *facts, size_t n,
                      const struct late *late, struct err *e)
{
    json_t *root = NULL;
    const char *path;
    struct arena a;
    bool ok;

    arena_init(&a, 64 << 10);
    ok = fs_join(&a, dir, "manifest.json", &path, e) &&
         json_read_file(path, MAX_MANIFEST_BYTES, &root, e) &&
         replace_all(root, facts, n, late, e) && json_write_file(path, root, e);
    json_decref(root);
    arena_free(&a);
    return ok;
}

/* ---- what was left out */
static bool write_list(const char *path, uint32_t source, const struct manifest_reject *rejects,
                       size_t n, struct err *e)
{
    struct fs_writer *w = NULL;
    struct sbuf line;
    size_t lines = 0;
    bool ok = false;

    sbuf_init(&line, 256);
    if (!fs_writer_open(path, &w, e)) goto out;
    for (size_t i = 0; i < n; i++) {
        const struct manifest_reject *r = &rejects[i];
        if (r->source != source) continue;
        sbuf_clear(&line);
        if (!sbuf_printf(&line, e,
                         "{\"file\": %u, \"entry\": %llu, \"offset\": %llu, \"reason\": \"%s\"}\n",
                         r->file, (unsigned long long)r->entry, (unsigned long long)r->offset,
                         record_reject_names[r->reason]))
            goto out;
        if (!fs_writer_put(w, line.p, line.n, e)) goto out;
        lines++;
    }
    ok = lines > 0 ? fs_writer_commit(w, e) : fs_remove(path, e);
out:
    fs_writer_close(w);
    sbuf_free(&line);
    return ok;
}

bool manifest_quarantine(const struct source_set *set, const struct manifest_reject *rejects,
                         size_t n, struct err *e)
{
    const char *dir, *path;
    char name[80];
    struct arena a;
    bool ok = false;

    arena_init(&a, 1 << 20);
    if (!fs_join(&a, set->o->dir, "quarantine", &dir, e)) goto out;
    if (!fs_mkdirs(dir, e)) goto out;
    for (size_t i = 0; i < set->n; i++) {
        (void)snprintf(name, sizeof name, "%s.jsonl", set->v[i].o->name);
        if (!fs_join(&a, dir, name, &path, e)) goto out;
        if (!write_list(path, (uint32_t)i, rejects, n, e)) goto out;
    }
    ok = true;
out:
    arena_free(&a);
    return ok;
}

/* ---- what may go */
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool sweep_source(const char *dir, const char *const *kept, size_t n, struct arena *a,
                         struct err *e)
{
    struct str *names;
    size_t count;

    if (!fs_list(dir, a, &names, &count, e)) return false;
    for (size_t i = 0; i < count; i++) {
        const char *path;
        if (bsearch(&names[i].p, kept, n, sizeof *kept, compare_names)) continue;
        if (names[i].p[0] != 'b' || !str_ends(names[i], STR(".h5"))) continue; /* not ours */
        if (!fs_join(a, dir, names[i].p, &path, e)) return false;
        if (!fs_remove(path, e)) return false;
    }
    return fs_gc_tmp(dir, e);
}

/* dirs[i]: of source i; NULL: there is none to sweep. */
static bool sweep_all(const char *const *dirs, size_t ndirs, const struct block_fact *facts,
                      size_t n, struct err *e)
{
    const char **kept = mem_calloc(n + 1, sizeof *kept, e);
    struct arena a;
    bool ok = kept != NULL;

    arena_init(&a, 1 << 30);
    for (size_t i = 0; ok && i < ndirs; i++) {
        size_t nkept = 0;
        if (!dirs[i]) continue;
        for (size_t k = 0; k < n; k++) {
            if (facts[k].source == i) kept[nkept++] = facts[k].name;
        }
        qsort(kept, nkept, sizeof *kept, compare_names);
        ok = sweep_source(dirs[i], kept, nkept, &a, e);
    }
    arena_free(&a);
    mem_free(kept);
    return ok;
}

bool manifest_sweep(const struct source_set *set, const struct block_fact *facts, size_t n,
                    struct err *e)
{
    const char **dirs = mem_calloc(set->n + 1, sizeof *dirs, e);
    bool ok;

    if (!dirs) return false;
    for (size_t i = 0; i < set->n; i++)
        dirs[i] = set->v[i].dir;
    ok = sweep_all(dirs, set->n, facts, n, e);
    mem_free(dirs);
    return ok;
}

/* Folders below records/ of sources that the corpus no longer has. */
static bool remove_strangers(const char *records, const struct record_corpus *c, struct arena *a,
                             struct err *e)
{
    struct str *names;
    size_t n;

    if (!fs_list(records, a, &names, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        const char *path;
        bool ours = false;
        for (size_t k = 0; k < c->nblocks && !ours; k++)
            ours = str_eqz(names[i], c->blocks[k].source);
        if (ours) continue;
        if (!fs_join(a, records, names[i].p, &path, e)) return false;
        if (fs_is_dir(path) && !fs_remove_tree(path, e)) return false;
    }
    return true;
}

bool manifest_sweep_dir(const char *dir, const struct record_corpus *c,
                        const struct block_fact *facts, size_t n, struct err *e)
{
    size_t sources = c->nblocks ? c->blocks[c->nblocks - 1].source_index + 1 : 0;
    const char **dirs = mem_calloc(sources + 1, sizeof *dirs, e);
    const char *records;
    struct arena a;
    bool ok;

    arena_init(&a, 64 << 20);
    ok = dirs && fs_join(&a, dir, "records", &records, e);
    for (size_t i = 0; ok && i < c->nblocks; i++) {
        const char **to = &dirs[c->blocks[i].source_index];
        if (!*to) ok = fs_join(&a, records, c->blocks[i].source, to, e);
    }
    ok = ok && sweep_all(dirs, sources, facts, n, e) && remove_strangers(records, c, &a, e);
    arena_free(&a);
    mem_free(dirs);
    return ok;
}
