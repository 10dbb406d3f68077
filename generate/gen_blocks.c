#include "generate/gen_blocks.h"

#include "base/fs.h"

enum {
    PART_MAX_BYTES = 256 << 20, /* 32 pairs */
    INPUTS_MAX_BYTES = 1 << 16,
    NAME_BYTES = 64,
};

bool gen_blocks_init(struct gen_blocks *b, const char *dir, size_t samples, struct arena *a,
                     struct err *e)
{
    *b = (struct gen_blocks){
        .dir = dir, .samples = samples, .nblocks = (samples + GEN_BLOCK - 1) / GEN_BLOCK};
    return fs_join(a, dir, "parts", &b->parts, e);
}

size_t gen_blocks_size(const struct gen_blocks *b, size_t k)
{
    size_t left = b->samples - k * GEN_BLOCK;
    return left < GEN_BLOCK ? left : GEN_BLOCK;
}

/* parts/name, in p. */
static bool part_path(const struct gen_blocks *b, size_t k, struct sbuf *p, struct err *e)
{
    sbuf_clear(p);
    return sbuf_printf(p, e, "%s/block-%07zu.jsonl", b->parts, k);
}

bool gen_identity_same(const json_t *before, const json_t *now, const char *what, struct err *e)
{
    struct sbuf keys;
    const char *key;
    json_t *value;
    bool ok = true;
    sbuf_init(&keys, 1024);
    json_object_foreach((json_t *)(uintptr_t)now, key, value)
    {
        if (json_equal(json_object_get(before, key), value)) continue;
        if (ok) ok = sbuf_printf(&keys, e, "%s%s", keys.n ? ", " : "", key);
    }
    if (ok && keys.n > 0)
        ok = err_set(e, ERR_CONFIG,
                     "%s was made from something else: %s changed; restore it, or give generate "
                     "another folder",
                     what, keys.p);
    sbuf_free(&keys);
    return ok;
}

bool gen_blocks_begin(const struct gen_blocks *b, const json_t *identity, struct err *e)
{
    struct sbuf path;
    json_t *before = NULL;
    sbuf_init(&path, 4096);
    bool ok = fs_mkdirs(b->parts, e) && fs_gc_tmp(b->parts, e) &&
              sbuf_printf(&path, e, "%s/inputs.json", b->parts);
    if (ok && !fs_exists(path.p))
        ok = json_write_file(path.p, identity, e);
    else if (ok)
        ok = json_read_file(path.p, INPUTS_MAX_BYTES, &before, e) &&
             gen_identity_same(before, identity, b->parts, e);
    json_decref(before);
    sbuf_free(&path);
    return ok;
}

bool gen_blocks_list(const struct gen_blocks *b, uint8_t *done, struct err *e)
{
    struct sbuf path;
    sbuf_init(&path, 4096);
    bool ok = true;
    for (size_t k = 0; ok && k < b->nblocks; k++) {
        ok = part_path(b, k, &path, e);
        if (ok) done[k] = fs_exists(path.p);
    }
    sbuf_free(&path);
    return ok;
}

bool gen_blocks_write(const struct gen_blocks *b, size_t k, struct str lines, struct err *e)
{
    struct sbuf path;
    sbuf_init(&path, 4096);
    bool ok = part_path(b, k, &path, e) && fs_replace(path.p, lines, e);
    sbuf_free(&path);
    return ok;
}

static bool join_one(const struct gen_blocks *b, size_t k, const char *path, struct fs_writer *w,
                     struct arena *a, struct err *e)
{
    struct arena_mark m = arena_mark(a);
    struct str text;
    size_t lines = 0;
    bool ok = fs_read_file(path, PART_MAX_BYTES, a, &text, e);
    for (size_t i = 0; ok && i < text.n; i++)
        lines += text.p[i] == '\n';
    if (ok && (lines != gen_blocks_size(b, k) || text.p[text.n - 1] != '\n'))
        ok = err_set(e, ERR_FORMAT, "%s has %zu pairs, %zu are needed; remove it and run again",
                     path, lines, gen_blocks_size(b, k));
    if (ok) ok = fs_writer_put(w, text.p, text.n, e);
    arena_reset(a, m);
    return ok;
}

bool gen_blocks_join(const struct gen_blocks *b, const char *path, struct err *e)
{
    struct fs_writer *w = NULL;
    struct arena a;
    struct sbuf part;
    arena_init(&a, (size_t)2 * PART_MAX_BYTES);
    sbuf_init(&part, 4096);
    bool ok = fs_writer_open(path, &w, e);
    for (size_t k = 0; ok && k < b->nblocks; k++)
        ok = part_path(b, k, &part, e) && join_one(b, k, part.p, w, &a, e);
    if (ok) ok = fs_writer_commit(w, e);
    fs_writer_close(w);
    sbuf_free(&part);
    arena_free(&a);
    return ok;
}

bool gen_blocks_drop(const struct gen_blocks *b, struct err *e)
{
    return fs_remove_tree(b->parts, e);
}
