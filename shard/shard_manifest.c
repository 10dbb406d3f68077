#include "shard/shard_manifest.h"

#include "base/json.h"

enum { MANIFEST_MAX_BYTES = 256 << 20, MAX_TOKEN_LIMIT = 1 << 20 };

/* SHA-256 over the files' names, digests and counts, in their order. */
static void dataset_digest(const struct shard_manifest *m, uint8_t out[32])
{
    struct sha256 h;

    sha256_init(&h);
    sha256_put(&h, SHARD_SCHEMA, sizeof SHARD_SCHEMA);
    for (size_t i = 0; i < m->nfiles; i++) {
        const struct shard_manifest_file *f = &m->files[i];
        sha256_put(&h, f->modality, strlen(f->modality) + 1);
        sha256_put(&h, &f->source, sizeof f->source);
        sha256_put(&h, &f->number, sizeof f->number);
        sha256_put(&h, f->fact.sha256, sizeof f->fact.sha256);
        sha256_put(&h, f->fact.samples, sizeof f->fact.samples);
    }
    sha256_end(&h, out);
}

/* ---- writing; jansson fails only for want of memory */
static bool lacking(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the manifest");
}

static bool put(json_t *obj, const char *key, json_t *value, struct err *e)
{
    return json_object_set_new(obj, key, value) == 0 || lacking(e);
}

static bool put_u64(json_t *obj, const char *key, uint64_t v, struct err *e)
{
    return put(obj, key, json_integer((json_int_t)v), e);
}

static bool put_hex(json_t *obj, const char *key, const void *digest, struct err *e)
{
    char hex[65];
    hash_hex(digest, 32, hex);
    return put(obj, key, json_string(hex), e);
}

static bool put_counts(json_t *obj, const char *key, const char *const *names, const uint64_t *n,
                       struct err *e)
{
    json_t *map = json_object();
    bool ok = map != NULL;

    for (size_t i = 0; ok && names[i]; i++)
        ok = json_object_set_new(map, names[i], json_integer((json_int_t)n[i])) == 0;
    if (ok) return put(obj, key, map, e);
    json_decref(map);
    return lacking(e);
}

static bool file_json(const struct shard_manifest_file *f, json_t *j, struct err *e)
{
    return put(j, "path", json_string(f->path), e) &&
           put(j, "modality", json_string(f->modality), e) && put_u64(j, "source", f->source, e) &&
           put_u64(j, "number", f->number, e) && put_u64(j, "bytes", f->fact.bytes, e) &&
           put_hex(j, "sha256", f->fact.sha256, e) && put_u64(j, "records", f->fact.records, e) &&
           put_u64(j, "cut", f->fact.cut, e) && put_u64(j, "cut_tokens", f->fact.cut_tokens, e) &&
           put_u64(j, "unknown", f->fact.unknown, e) &&
           put_counts(j, "samples", shard_split_names, f->fact.samples, e) &&
           put_counts(j, "tokens", shard_split_names, f->fact.tokens, e) &&
           put_counts(j, "targets", shard_split_names, f->fact.targets, e) &&
           put_counts(j, "dropped", shard_drop_names, f->fact.dropped, e);
}

static bool modality_json(const struct shard_manifest_modality *m, json_t *j, struct err *e)
{
    return put(j, "name", json_string(m->name), e) &&
           put(j, "options", json_string(m->options ? m->options : ""), e) &&
           put_hex(j, "config_sha256", m->config_sha256, e) &&
           put_hex(j, "corpus_sha256", m->corpus_sha256, e) &&
           put_u64(j, "records", m->records, e) && put_u64(j, "cut", m->cut, e) &&
           put_u64(j, "cut_tokens", m->cut_tokens, e) && put_u64(j, "unknown", m->unknown, e) &&
           put_counts(j, "dropped", shard_drop_names, m->dropped, e);
}

/* Append a new object to a list. */
static json_t *element(json_t *list, struct err *e)
{
    json_t *j = json_object();

    if (j && json_array_append_new(list, j) == 0) return j;
    lacking(e);
    return NULL;
}

/* {"source": "its terms"}, only those that have any; left out where none has. */
static bool put_terms(const struct shard_manifest *m, json_t *root, struct err *e)
{
    json_t *map = json_object();
    bool ok = map != NULL || lacking(e);

    for (size_t i = 0; ok && m->terms && i < m->nsources; i++)
        if (m->terms[i][0]) ok = put(map, m->sources[i], json_string(m->terms[i]), e);
    if (ok && json_object_size(map) > 0) return put(root, "terms", map, e);
    json_decref(map);
    return ok;
}

static bool put_lists(const struct shard_manifest *m, json_t *root, struct err *e)
{
    json_t *files = json_array(), *modalities = json_array(), *sources = json_array(), *j;
    bool ok = put(root, "files", files, e) && put(root, "modalities", modalities, e) &&
              put(root, "sources", sources, e);

    for (size_t i = 0; ok && i < m->nsources; i++)
        ok = json_array_append_new(sources, json_string(m->sources[i])) == 0 || lacking(e);
    ok = ok && put_terms(m, root, e);
    for (size_t i = 0; ok && i < m->nmodalities; i++)
        ok = (j = element(modalities, e)) != NULL && modality_json(&m->modalities[i], j, e);
    for (size_t i = 0; ok && i < m->nfiles; i++)
        ok = (j = element(files, e)) != NULL && file_json(&m->files[i], j, e);
    return ok;
}

static bool put_info(const struct shard_info *i, json_t *root, struct err *e)
{
    return put(root, "schema", json_string(SHARD_SCHEMA), e) &&
           put_hex(root, "dataset_digest", i->dataset_digest, e) &&
           put_hex(root, "tokenizer_sha256", i->tokenizer_digest, e) &&
           put_hex(root, "template_sha256", i->template_digest, e) &&
           put(root, "template", json_string(i->template_name), e) &&
           put(root, "inputs", json_string(i->inputs), e) &&
           put_u64(root, "vocab_size", i->vocab_size, e) &&
           put(root, "layout", json_string(shard_layout_names[i->layout]), e) &&
           put_u64(root, "max_tokens", i->max_tokens, e) &&
           put_u64(root, "max_input_tokens", i->max_input_tokens, e) &&
           put_u64(root, "max_target_tokens", i->max_target_tokens, e) &&
           put(root, "bos", json_integer(i->bos), e) && put(root, "eos", json_integer(i->eos), e) &&
           put(root, "pad", json_integer(i->pad), e);
}

static bool put_groups(const struct shard_manifest *m, json_t *root, struct err *e)
{
    json_t *j;

    if (!m->groups) return true;
    j = json_object();
    if (!j) return lacking(e);
    if (!put(root, "groups", j, e)) return false; /* root's from here on, or gone */
    return put(j, "path", json_string(m->groups), e) && put_hex(j, "sha256", m->groups_sha256, e) &&
           put_u64(j, "texts", m->groups_texts, e) &&
           put_counts(j, "text_nearly_seen_in_train", shard_split_names, m->near_seen, e);
}

bool shard_manifest_write(const char *dir, struct shard_manifest *m, struct err *e)
{
    json_t *root = json_object();
    struct arena a;
    const char *path;
    bool ok = false;

    arena_init(&a, 1 << 16);
    if (!root) {
        lacking(e);
        goto out;
    }
    dataset_digest(m, m->info.dataset_digest);
    if (!fs_join(&a, dir, "manifest.json", &path, e)) goto out;
    ok = put_info(&m->info, root, e) && put_lists(m, root, e) && put_groups(m, root, e) &&
         put_u64(root, "patients", m->patients, e) &&
         put_counts(root, "text_seen_in_train", shard_split_names, m->seen, e) &&
         put_u64(root, "shared_ids", m->shared_ids, e) && json_seal(root, e) &&
         json_write_file(path, root, e);
out:
    json_decref(root);
    arena_free(&a);
    return ok;
}

/* ---- reading */
static bool get_text(const json_t *obj, const char *key, struct arena *a, const char **out,
                     struct err *e)
{
    struct str s, copy;

    if (!json_get_str(obj, key, &s, e)) return false;
    if (s.n == 0 || s.n >= SHARD_TEXT_BYTES || memchr(s.p, 0, s.n))
        return err_set(e, ERR_FORMAT, "%s is empty or too long", key);
    if (!arena_str(a, s, &copy, e)) return false;
    *out = copy.p;
    return true;
}

static bool get_hex(const json_t *obj, const char *key, void *out, struct err *e)
{
    struct str hex;
    return json_get_str(obj, key, &hex, e) &&
           (hash_unhex(hex, out, 32, e) || err_wrap(e, "%s", key));
}

static bool get_u32(const json_t *obj, const char *key, uint32_t max, uint32_t *out, struct err *e)
{
    uint64_t v;

    if (!json_get_u64(obj, key, &v, e)) return false;
    *out = (uint32_t)v;
    return v <= max || err_set(e, ERR_FORMAT, "%s is out of range", key);
}

static bool get_id(const json_t *obj, const char *key, int32_t *out, struct err *e)
{
    const json_t *j = json_object_get(obj, key);
    json_int_t v = json_is_integer(j) ? json_integer_value(j) : -2;

    *out = (int32_t)v;
    return (v >= -1 && v <= INT32_MAX) || err_set(e, ERR_FORMAT, "%s is out of range", key);
}

static bool get_counts(const json_t *obj, const char *key, const char *const *names, uint64_t *n,
                       struct err *e)
{
    json_t *map;

    if (!json_get_obj(obj, key, &map, e)) return false;
    for (size_t i = 0; names[i]; i++)
        if (!json_get_u64(map, names[i], &n[i], e)) return err_wrap(e, "%s", key);
    return true;
}

/* Names come from a file: they must stay below the folder. */
static bool safe_path(const char *path)
{
    for (const char *p = path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("_-./", *p);
        if (!plain) return false;
    }
    return path[0] != '/' && strstr(path, "..") == NULL;
}

static bool get_file(const json_t *j, struct arena *a, struct shard_manifest_file *f, struct err *e)
{
    if (!get_text(j, "path", a, &f->path, e) || !get_text(j, "modality", a, &f->modality, e))
        return false;
    if (!safe_path(f->path) || strlen(f->modality) >= SHARD_NAME_BYTES)
        return err_set(e, ERR_FORMAT, "path or modality is not one of ours");
    return json_get_u64(j, "source", &f->source, e) && json_get_u64(j, "number", &f->number, e) &&
           json_get_u64(j, "bytes", &f->fact.bytes, e) && get_hex(j, "sha256", f->fact.sha256, e) &&
           json_get_u64(j, "records", &f->fact.records, e) &&
           json_get_u64(j, "cut", &f->fact.cut, e) &&
           json_get_u64(j, "cut_tokens", &f->fact.cut_tokens, e) &&
           json_get_u64(j, "unknown", &f->fact.unknown, e) &&
           get_counts(j, "samples", shard_split_names, f->fact.samples, e) &&
           get_counts(j, "tokens", shard_split_names, f->fact.tokens, e) &&
           get_counts(j, "targets", shard_split_names, f->fact.targets, e) &&
           get_counts(j, "dropped", shard_drop_names, f->fact.dropped, e);
}

static bool get_modality(const json_t *j, struct arena *a, struct shard_manifest_modality *m,
                         struct err *e)
{
    struct str options, copy;

    if (!json_get_str(j, "options", &options, e) || !arena_str(a, options, &copy, e)) return false;
    m->options = copy.p;
    return get_text(j, "name", a, &m->name, e) &&
           get_hex(j, "config_sha256", m->config_sha256, e) &&
           get_hex(j, "corpus_sha256", m->corpus_sha256, e) &&
           json_get_u64(j, "records", &m->records, e) && json_get_u64(j, "cut", &m->cut, e) &&
           json_get_u64(j, "cut_tokens", &m->cut_tokens, e) &&
           json_get_u64(j, "unknown", &m->unknown, e) &&
           get_counts(j, "dropped", shard_drop_names, m->dropped, e);
}

static bool get_terms(const json_t *root, struct arena *a, struct shard_manifest *m, struct err *e)
{
    const json_t *map = json_object_get(root, "terms");
    const char **terms = arena_alloc(a, (m->nsources + 1) * sizeof *terms, e);

    m->terms = terms;
    if (!terms) return false;
    if (map && !json_is_object(map)) return err_set(e, ERR_FORMAT, "terms is not an object");
    for (size_t i = 0; i < m->nsources; i++) {
        const char *s = json_string_value(json_object_get(map, m->sources[i]));
        struct str copy;
        if (!arena_str(a, str_of(s), &copy, e)) return false;
        terms[i] = copy.p;
    }
    return true;
}

static bool get_lists(const json_t *root, struct arena *a, struct shard_manifest *m, struct err *e)
{
    json_t *files, *modalities, *sources;
    const char **names;

    if (!json_get_arr(root, "files", &files, e) ||
        !json_get_arr(root, "modalities", &modalities, e) ||
        !json_get_arr(root, "sources", &sources, e))
        return false;
    m->nfiles = json_array_size(files);
    m->nmodalities = json_array_size(modalities);
    m->nsources = json_array_size(sources);
    m->files = arena_alloc(a, (m->nfiles + 1) * sizeof *m->files, e);
    if (!m->files) return false;
    m->modalities = arena_alloc(a, (m->nmodalities + 1) * sizeof *m->modalities, e);
    if (!m->modalities) return false;
    m->sources = names = arena_alloc(a, (m->nsources + 1) * sizeof *names, e);
    if (!names) return false;
    for (size_t i = 0; i < m->nsources; i++) {
        const char *s = json_string_value(json_array_get(sources, i));
        struct str copy;
        if (!s) return err_set(e, ERR_FORMAT, "sources[%zu] is no string", i);
        if (!arena_str(a, str_of(s), &copy, e)) return false;
        names[i] = copy.p;
    }
    if (!get_terms(root, a, m, e)) return false;
    for (size_t i = 0; i < m->nmodalities; i++)
        if (!get_modality(json_array_get(modalities, i), a, &m->modalities[i], e))
            return err_wrap(e, "modalities[%zu]", i);
    for (size_t i = 0; i < m->nfiles; i++)
        if (!get_file(json_array_get(files, i), a, &m->files[i], e))
            return err_wrap(e, "files[%zu]", i);
    return true;
}

static bool get_layout(const json_t *root, enum shard_layout *out, struct err *e)
{
    struct str name;

    if (!json_get_str(root, "layout", &name, e)) return false;
    for (int i = 0; i < SHARD_LAYOUTS; i++) {
        *out = (enum shard_layout)i;
        if (str_eqz(name, shard_layout_names[i])) return true;
    }
    return err_set(e, ERR_FORMAT, "layout is none of ours");
}

static bool get_info(const json_t *root, struct arena *a, struct shard_info *i, struct err *e)
{
    return get_hex(root, "dataset_digest", i->dataset_digest, e) &&
           get_hex(root, "tokenizer_sha256", i->tokenizer_digest, e) &&
           get_hex(root, "template_sha256", i->template_digest, e) &&
           get_text(root, "template", a, &i->template_name, e) &&
           get_text(root, "inputs", a, &i->inputs, e) &&
           get_u32(root, "vocab_size", INT32_MAX, &i->vocab_size, e) &&
           get_layout(root, &i->layout, e) &&
           get_u32(root, "max_tokens", MAX_TOKEN_LIMIT, &i->max_tokens, e) &&
           get_u32(root, "max_input_tokens", MAX_TOKEN_LIMIT, &i->max_input_tokens, e) &&
           get_u32(root, "max_target_tokens", MAX_TOKEN_LIMIT, &i->max_target_tokens, e) &&
           get_id(root, "bos", &i->bos, e) && get_id(root, "eos", &i->eos, e) &&
           get_id(root, "pad", &i->pad, e);
}

static bool check_schema(const json_t *root, struct err *e)
{
    struct str schema;

    return json_get_str(root, "schema", &schema, e) &&
           (str_eqz(schema, SHARD_SCHEMA) ||
            err_set(e, ERR_FORMAT, "schema is not %s: run radmill shard", SHARD_SCHEMA));
}

static bool get_groups(const json_t *root, struct arena *a, struct shard_manifest *m, struct err *e)
{
    json_t *j;

    if (!json_object_get(root, "groups")) return true;
    return json_get_obj(root, "groups", &j, e) &&
           ((get_text(j, "path", a, &m->groups, e) && get_hex(j, "sha256", m->groups_sha256, e) &&
             (safe_path(m->groups) || err_set(e, ERR_FORMAT, "path is not one of ours")) &&
             json_get_u64(j, "texts", &m->groups_texts, e) &&
             get_counts(j, "text_nearly_seen_in_train", shard_split_names, m->near_seen, e)) ||
            err_wrap(e, "groups"));
}

static bool get_root(const json_t *root, struct arena *a, struct shard_manifest *m, struct err *e)
{
    uint8_t digest[32];

    if (!get_info(root, a, &m->info, e) || !get_lists(root, a, m, e) ||
        !get_groups(root, a, m, e) || !json_get_u64(root, "patients", &m->patients, e) ||
        !get_counts(root, "text_seen_in_train", shard_split_names, m->seen, e) ||
        !json_get_u64(root, "shared_ids", &m->shared_ids, e))
        return false;
    dataset_digest(m, digest);
    return memcmp(digest, m->info.dataset_digest, 32) == 0 ||
           err_set(e, ERR_FORMAT, "the digest is not that of the files: run radmill shard");
}

bool shard_manifest_read(const char *dir, struct arena *a, struct shard_manifest *out,
                         struct err *e)
{
    json_t *root = NULL;
    const char *path;
    bool ok;

    memset(out, 0, sizeof *out);
    if (!fs_join(a, dir, "manifest.json", &path, e)) return false;
    if (!fs_exists(path))
        return err_set(e, ERR_CONFIG, "%s is not there: run radmill shard first", path);
    if (!json_read_file(path, MANIFEST_MAX_BYTES, &root, e)) return false;
    ok = check_schema(root, e) && json_check_seal(root, e) && get_root(root, a, out, e);
    json_decref(root);
    return ok || err_wrap(e, "%s", path);
}
