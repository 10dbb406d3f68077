#include "base/fs.h"
#include "base/json.h"
#include "ingest/record_late.h"

enum { MAX_MANIFEST_BYTES = 256 << 20 };

static bool bad(const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s; run radmill ingest again", what);
}

static bool get_digest(const json_t *obj, const char *key, uint8_t out[32], struct err *e)
{
    struct str hex;
    return json_get_str(obj, key, &hex, e) && hash_unhex(hex, out, 32, e);
}

/* A path that leaves the corpus is no path of ours. */
static bool inside(struct str path)
{
    return str_starts(path, STR("records/")) && str_find(path, STR(".."), 0) == SIZE_MAX &&
           !memchr(path.p, 0, path.n);
}

/* Data-use terms or site of a source; "" where none was stated. */
static bool read_words(const json_t *source, const char *key, struct arena *a, const char **out,
                       struct err *e)
{
    struct str text = STR("");

    if (json_object_get(source, key) && !json_get_str(source, key, &text, e)) return false;
    if (text.n >= RECORD_TERMS_BYTES) return bad("a source has overlong terms", e);
    if (!arena_str(a, text, &text, e)) return false;
    *out = text.p;
    return true;
}

static bool read_versions(const json_t *source, int *out, struct err *e)
{
    struct str name;

    *out = VERSIONS_BEST;
    if (!json_object_get(source, "versions")) return true;
    if (!json_get_str(source, "versions", &name, e)) return false;
    for (*out = 0; *out < VERSIONS_COUNT; ++*out) {
        if (str_eqz(name, record_versions_names[*out])) return true;
    }
    return bad("a source has unknown versions", e);
}

static bool read_block(const char *dir, const json_t *j, const json_t *sources, struct arena *a,
                       struct record_block *out, struct err *e)
{
    struct str path, name, copy;
    uint64_t source, file = 0;

    if (!json_get_str(j, "path", &path, e) || !json_get_u64(j, "source", &source, e) ||
        !json_get_u64(j, "records", &out->records, e) || !get_digest(j, "sha256", out->sha256, e))
        return false;
    if (!inside(path) || source >= json_array_size(sources))
        return bad("a block has a wrong path or source", e);
    if (json_object_get(j, "file") && !json_get_u64(j, "file", &file, e)) return false;
    out->source_index = (uint32_t)source;
    out->file = (uint32_t)file;
    if (!json_get_str(json_array_get(sources, source), "name", &name, e)) return false;
    if (!arena_str(a, name, &copy, e)) return false;
    out->source = copy.p;
    if (!read_words(json_array_get(sources, source), "terms", a, &out->terms, e)) return false;
    if (!read_words(json_array_get(sources, source), "site", a, &out->site, e)) return false;
    if (!read_versions(json_array_get(sources, source), &out->versions, e)) return false;
    if (!arena_str(a, path, &copy, e)) return false;
    return fs_join(a, dir, copy.p, &out->path, e);
}

/* The late file, laid beside the blocks. */
static bool read_late(const char *dir, const json_t *root, struct arena *a,
                      struct record_corpus *out, struct sha256 *h, struct err *e)
{
    struct record_late late;
    uint8_t sha256[32];
    struct str name, copy;
    const char *path;
    uint64_t n = 0;
    json_t *j;

    if (!json_object_get(root, "late")) return true; /* a corpus from before there was one */
    for (size_t i = 0; i < out->nblocks; i++)
        n += out->blocks[i].records;
    if (!json_get_obj(root, "late", &j, e) || !json_get_str(j, "path", &name, e) ||
        !get_digest(j, "sha256", sha256, e))
        return false;
    if (!str_starts(name, STR("late-")) || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n))
        return bad("the late file has a wrong path", e);
    if (!arena_str(a, name, &copy, e) || !fs_join(a, dir, copy.p, &path, e)) return false;
    if (!record_late_read(path, sha256, n, a, &late, e)) return false;
    out->near = late.near;
    out->nnear = late.nnear;
    for (size_t i = 0, at = 0; i < out->nblocks; at += out->blocks[i++].records)
        out->blocks[i].late = late.flags + at;
    if (json_object_get(root, "near_duplicates") &&
        !json_get_f64(root, "near_duplicates", &out->near_duplicates, e))
        return false;
    sha256_put(h, sha256, 32);
    return true;
}

static bool read_blocks(const char *dir, const json_t *root, struct arena *a,
                        struct record_corpus *out, struct err *e)
{
    json_t *sources, *blocks;
    struct hash128 *sums;
    struct sha256 h;
    uint8_t digest[32];
    uint32_t number = 0;

    if (!json_get_arr(root, "sources", &sources, e) || !json_get_arr(root, "blocks", &blocks, e))
        return false;
    out->nblocks = json_array_size(blocks);
    out->blocks = arena_alloc(a, out->nblocks * sizeof *out->blocks, e);
    if (!out->blocks) return false;
    sums = arena_alloc(a, out->nblocks * sizeof *sums, e);
    if (!sums) return false;
    sha256_init(&h);
    for (size_t i = 0; i < out->nblocks; i++) {
        struct record_block *b = &out->blocks[i];
        if (!read_block(dir, json_array_get(blocks, i), sources, a, b, e))
            return err_wrap(e, "blocks[%zu]", i);
        if (i > 0 && b->source_index < b[-1].source_index) return bad("blocks are out of order", e);
        number = i > 0 && b->source_index == b[-1].source_index ? number + 1 : 0;
        b->block_index = number;
        b->sum = &sums[i];
        sha256_put(&h, b->sha256, 32);
    }
    if (!read_late(dir, root, a, out, &h, e)) return false;
    sha256_end(&h, digest);
    if (!get_digest(root, "digest", out->digest, e)) return false;
    return memcmp(digest, out->digest, 32) == 0 || bad("the digest is not that of the blocks", e);
}

bool record_corpus_open(const char *dir, struct arena *a, struct record_corpus *out, struct err *e)
{
    json_t *root = NULL;
    const char *path;
    struct str schema;
    bool ok = false;

    memset(out, 0, sizeof *out);
    if (!fs_join(a, dir, "manifest.json", &path, e)) return false;
    if (!fs_exists(path))
        return err_set(e, ERR_CONFIG, "%s is not there: run radmill ingest first", path);
    if (!json_read_file(path, MAX_MANIFEST_BYTES, &root, e)) return false;
    if (!json_get_str(root, "schema", &schema, e)) goto out;
    if (!str_eqz(schema, "corpus/v1")) {
        bad("schema is not corpus/v1", e);
        goto out;
    }
    if (json_object_get(root, "checksum") && !json_check_seal(root, e)) goto out;
    ok = read_blocks(dir, root, a, out, e);
out:
    json_decref(root);
    if (!ok) err_wrap(e, "%s", path);
    return ok;
}

size_t record_corpus_near(const struct record_corpus *c, struct hash128 norm)
{
    size_t low = 0, high = c->nnear;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct hash128 *at = &c->near[mid].norm;
        if (at->hi < norm.hi || (at->hi == norm.hi && at->lo < norm.lo))
            low = mid + 1;
        else
            high = mid;
    }
    if (low == c->nnear || c->near[low].norm.hi != norm.hi || c->near[low].norm.lo != norm.lo)
        return c->nnear;
    return low;
}
