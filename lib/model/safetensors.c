#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/threads.h"
#include "model/torch_bin.h"

#define MAX_HEADER_BYTES (100u << 20)
#define MAX_INDEX_BYTES  (100u << 20)
#define MAX_TENSORS      200000u
#define MAX_SHARDS       1000u
#define MAX_NAME         512u
#define MAX_PATH         4096u

struct safetensors {
    struct arena names;
    struct safetensor *list; /* by name */
    size_t n, cap;
    struct fs_map *maps;
    size_t nmaps, cap_maps;
};

/* ---- one header */

static bool parse_shape(const json_t *shape, struct safetensor *t, const char *what, struct err *e)
{
    size_t nd = json_array_size(shape);
    if (nd > SAFETENSORS_MAX_DIMS)
        return err_set(e, ERR_LIMIT, "%s: tensor %s has %zu dimensions, at most %d", what, t->name,
                       nd, SAFETENSORS_MAX_DIMS);
    t->ndims = (uint32_t)nd;
    t->count = 1;
    for (size_t i = 0; i < nd; i++) {
        const json_t *v = json_array_get(shape, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_set(e, ERR_FORMAT, "%s: tensor %s: shape is not a list of sizes", what,
                           t->name);
        t->dims[i] = (uint64_t)json_integer_value(v);
        if (__builtin_mul_overflow(t->count, t->dims[i], &t->count))
            return err_set(e, ERR_LIMIT, "%s: tensor %s: shape overflows", what, t->name);
    }
    if (__builtin_mul_overflow(t->count, (uint64_t)dtype_bytes(t->dtype), &t->bytes))
        return err_set(e, ERR_LIMIT, "%s: tensor %s: shape overflows", what, t->name);
    return true;
}

static bool parse_offsets(const json_t *off, const uint8_t *data, size_t ndata,
                          struct safetensor *t, const char *what, struct err *e)
{
    const json_t *b = json_array_get(off, 0), *z = json_array_get(off, 1);
    if (json_array_size(off) != 2 || !json_is_integer(b) || !json_is_integer(z) ||
        json_integer_value(b) < 0 || json_integer_value(z) < json_integer_value(b))
        return err_set(e, ERR_FORMAT, "%s: tensor %s: data_offsets is not [begin, end]", what,
                       t->name);
    uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(z);
    if (end > ndata)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s ends at byte %llu of %zu: the file is cut short", what,
                       t->name, (unsigned long long)end, ndata);
    if (end - begin != t->bytes)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has %llu bytes, its shape asks for %llu", what,
                       t->name, (unsigned long long)(end - begin), (unsigned long long)t->bytes);
    t->data = data + begin;
    return true;
}

static bool parse_entry(struct safetensors *s, const char *name, const json_t *j,
                        const uint8_t *data, size_t ndata, const char *what, struct err *e)
{
    struct safetensor t = {0};
    struct str dt, copy;
    json_t *shape, *off;

    if (strlen(name) > MAX_NAME)
        return err_set(e, ERR_LIMIT, "%s: a tensor name is longer than %u bytes", what, MAX_NAME);
    if (s->n >= MAX_TENSORS)
        return err_set(e, ERR_LIMIT, "%s: more than %u tensors", what, MAX_TENSORS);
    if (!arena_str(&s->names, str_of(name), &copy, e)) return false;
    t.name = copy.p;
    if (!json_get_str(j, "dtype", &dt, e) || !json_get_arr(j, "shape", &shape, e) ||
        !json_get_arr(j, "data_offsets", &off, e))
        return err_wrap(e, "%s: tensor %s", what, t.name);
    if (!dtype_parse(dt, &t.dtype))
        return err_set(e, ERR_FORMAT, "%s: tensor %s: unknown dtype", what, t.name);
    if (!parse_shape(shape, &t, what, e)) return false;
    if (!parse_offsets(off, data, ndata, &t, what, e)) return false;
    if (!mem_grow((void **)&s->list, &s->cap, s->n + 1, sizeof *s->list, e)) return false;
    s->list[s->n++] = t;
    return true;
}

static int by_data(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty tensors before what follows */
}

/* The tensors list[from..] must tile [data, data + n). */
static bool check_tiling(struct safetensors *s, size_t from, const uint8_t *data, size_t n,
                         const char *what, struct err *e)
{
    const uint8_t *at = data;
    if (s->n > from) qsort(s->list + from, s->n - from, sizeof *s->list, by_data);
    for (size_t i = from; i < s->n; i++) {
        if (s->list[i].data != at)
            return err_set(e, ERR_FORMAT, "%s: %s before tensor %s", what,
                           s->list[i].data < at ? "overlapping data" : "a hole in the data",
                           s->list[i].name);
        at += s->list[i].bytes;
    }
    if (at != data + n)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes behind the last tensor", what,
                       (size_t)(data + n - at));
    return true;
}

static bool is_lfs_pointer(const uint8_t *p, size_t n)
{
    struct str s = {(const char *)p, n < 200 ? n : 200};
    return n < 1024 && str_starts(s, STR("version ")) && str_find(s, STR("git-lfs"), 0) != SIZE_MAX;
}

/* A tensor of a PyTorch file joins the set. */
static bool add_tensor(void *ctx, const struct safetensor *t, struct err *e)
{
    struct safetensors *s = ctx;
    struct str copy;
    if (s->n >= MAX_TENSORS) return err_set(e, ERR_LIMIT, "more than %u tensors", MAX_TENSORS);
    if (!arena_str(&s->names, str_of(t->name), &copy, e)) return false;
    if (!mem_grow((void **)&s->list, &s->cap, s->n + 1, sizeof *s->list, e)) return false;
    s->list[s->n] = *t;
    s->list[s->n++].name = copy.p;
    return true;
}

static bool add_memory(struct safetensors *s, const uint8_t *p, size_t n, const char *what,
                       struct err *e)
{
    json_t *root = NULL, *v;
    const char *name;
    size_t from = s->n;
    uint64_t len = 0;
    bool ok = false;

    if (is_lfs_pointer(p, n))
        return err_set(e, ERR_FORMAT,
                       "%s is a git-LFS pointer, not the weights: fetch them with `git lfs pull`",
                       what);
    if (torch_bin_is(p, n)) return torch_bin_read(p, n, what, add_tensor, s, e);
    if (n < 8) return err_set(e, ERR_FORMAT, "%s: %zu bytes are no safetensors file", what, n);
    for (int i = 7; i >= 0; i--)
        len = len << 8 | p[i];
    if (len > MAX_HEADER_BYTES)
        return err_set(e, ERR_LIMIT,
                       "%s: header of %llu bytes, at most %u: not a safetensors file?", what,
                       (unsigned long long)len, MAX_HEADER_BYTES);
    if (len > n - 8) return err_set(e, ERR_FORMAT, "%s: cut short inside its header", what);
    if (len == 0 || p[8] != '{')
        return err_set(e, ERR_FORMAT, "%s: header does not start with '{'", what);

    struct str text = str_trim((struct str){(const char *)p + 8, (size_t)len});
    if (!json_parse(text, what, &root, e)) goto out;
    json_object_foreach(root, name, v)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        if (!parse_entry(s, name, v, p + 8 + len, n - 8 - (size_t)len, what, e)) goto out;
    }
    ok = check_tiling(s, from, p + 8 + len, n - 8 - (size_t)len, what, e);
out:
    json_decref(root);
    return ok;
}

/* ---- sets of files */

static bool add_file(struct safetensors *s, const char *path, struct err *e)
{
    struct fs_map m = {0};
    if (!mem_grow((void **)&s->maps, &s->cap_maps, s->nmaps + 1, sizeof *s->maps, e)) return false;
    if (!fs_map_open(path, &m, e)) return false;
    s->maps[s->nmaps++] = m;
    return add_memory(s, m.p, m.n, path, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

static bool sort_names(struct safetensors *s, const char *what, struct err *e)
{
    if (s->n) qsort(s->list, s->n, sizeof *s->list, by_name);
    for (size_t i = 1; i < s->n; i++) {
        if (strcmp(s->list[i - 1].name, s->list[i].name) == 0)
            return err_set(e, ERR_FORMAT, "%s: tensor %s is there twice", what, s->list[i].name);
    }
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A shard is named by its plain file name: a path would read outside the folder. */
static bool plain_name(const char *f)
{
    return f[0] && f[0] != '.' && !strchr(f, '/') && strlen(f) < 256;
}

static bool index_files(const json_t *map, const char *path, const char **files, size_t *n,
                        struct err *e)
{
    const char *name;
    json_t *v;
    size_t count = 0, uniq = 0;
    json_object_foreach((json_t *)(uintptr_t)map, name, v)
    {
        const char *f = json_string_value(v);
        if (!f || !plain_name(f))
            return err_set(e, ERR_FORMAT, "%s: weight_map entry %.200s names no plain file", path,
                           name);
        files[count++] = f;
    }
    if (count) qsort(files, count, sizeof *files, by_text);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(files[i], files[uniq - 1]) != 0) files[uniq++] = files[i];
    }
    if (uniq == 0 || uniq > MAX_SHARDS)
        return err_set(e, ERR_LIMIT, "%s: names %zu shards, expected 1 to %u", path, uniq,
                       MAX_SHARDS);
    *n = uniq;
    return true;
}

static bool add_index(struct safetensors *s, const char *path, struct err *e)
{
    json_t *root = NULL, *map, *v;
    const char **files = NULL, *name, *slash = strrchr(path, '/');
    char file[MAX_PATH];
    size_t nfiles = 0;
    bool ok = false;

    if (!json_read_file(path, MAX_INDEX_BYTES, &root, e)) goto out;
    if (!json_get_obj(root, "weight_map", &map, e)) goto out;
    files = mem_calloc(json_object_size(map) + 1, sizeof *files, e);
    if (!files || !index_files(map, path, files, &nfiles, e)) goto out;
    for (size_t i = 0; i < nfiles; i++) {
        int dir = slash ? (int)(slash + 1 - path) : 0;
        int len = snprintf(file, sizeof file, "%.*s%s", dir, path, files[i]);
        if (len < 0 || (size_t)len >= sizeof file) {
            err_set(e, ERR_LIMIT, "%s: path too long", path);
            goto out;
        }
        if (!fs_exists(file)) {
            err_set(e, ERR_IO,
                    "%s names %s, which is not there: %zu of %zu shards come before it; fetch the "
                    "rest of the model",
                    path, files[i], i, nfiles);
            goto out;
        }
        if (!add_file(s, file, e)) goto out;
    }
    if (!sort_names(s, path, e)) goto out;
    json_object_foreach(map, name, v)
    {
        if (safetensors_find(s, name)) continue;
        err_set(e, ERR_FORMAT, "%s: tensor %.200s is not in %s", path, name, json_string_value(v));
        goto out;
    }
    ok = true;
out:
    mem_free(files);
    json_decref(root);
    return ok;
}

/* DIR/snapshots is the mark of a Hugging Face cache entry; its snapshots are folders of links. */
static bool no_weights(const char *dir, struct err *e)
{
    char path[MAX_PATH];
    int len = snprintf(path, sizeof path, "%s/snapshots", dir);
    if (len > 0 && (size_t)len < sizeof path && fs_is_dir(path))
        return err_set(e, ERR_IO,
                       "%s is an entry of a Hugging Face cache: name the folder below "
                       "%s/snapshots that refs/main names",
                       dir, dir);
    return err_set(e, ERR_IO,
                   "%s holds no weights: neither model.safetensors nor pytorch_model.bin, nor an "
                   ".index.json of either, is there",
                   dir);
}

static bool add_dir(struct safetensors *s, const char *dir, struct err *e)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};
    char path[MAX_PATH];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int len = snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (len < 0 || (size_t)len >= sizeof path)
            return err_set(e, ERR_LIMIT, "%s: path too long", dir);
        if (fs_exists(path)) return i % 2 ? add_index(s, path, e) : add_file(s, path, e);
    }
    return no_weights(dir, e);
}

static struct safetensors *new_set(struct err *e)
{
    struct safetensors *s = mem_calloc(1, sizeof *s, e);
    if (s) arena_init(&s->names, (size_t)MAX_TENSORS * (MAX_NAME + 16));
    return s;
}

bool safetensors_open(const char *path, struct safetensors **out, struct err *e)
{
    struct safetensors *s = new_set(e);
    bool ok = false;
    if (!s) return false;
    if (fs_is_dir(path))
        ok = add_dir(s, path, e);
    else if (str_ends(str_of(path), STR(".index.json")))
        ok = add_index(s, path, e);
    else
        ok = add_file(s, path, e);
    ok = ok && sort_names(s, path, e);
    if (ok)
        *out = s;
    else
        safetensors_close(s);
    return ok;
}

bool safetensors_open_memory(const uint8_t *p, size_t n, const char *what, struct safetensors **out,
                             struct err *e)
{
    struct safetensors *s = new_set(e);
    if (!s) return false;
    if (!add_memory(s, p, n, what, e) || !sort_names(s, what, e)) {
        safetensors_close(s);
        return false;
    }
    *out = s;
    return true;
}

void safetensors_close(struct safetensors *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->nmaps; i++)
        fs_map_close(&s->maps[i]);
    mem_free(s->maps);
    mem_free(s->list);
    arena_free(&s->names);
    mem_free(s);
}

const struct safetensor *safetensors_list(const struct safetensors *s, size_t *n)
{
    *n = s->n;
    return s->list;
}

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct safetensor key = {.name = name};
    return s->n ? bsearch(&key, s->list, s->n, sizeof key, by_name) : NULL;
}

static void shape_text(const struct safetensor *t, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < t->ndims && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%llu", i ? ", " : "",
                               (unsigned long long)t->dims[i]);
}

bool safetensors_need(const struct safetensors *s, const char *name, uint64_t d0, uint64_t d1,
                      const struct safetensor **out, struct err *e)
{
    const struct safetensor *t = safetensors_find(s, name);
    struct safetensor want = {.ndims = d1 ? 2 : 1, .dims = {d0, d1}};
    char found[200], asked[64];

    if (!t) return err_set(e, ERR_FORMAT, "tensor %s is missing", name);
    if (t->ndims != want.ndims || t->dims[0] != d0 || (d1 && t->dims[1] != d1)) {
        shape_text(t, found, sizeof found);
        shape_text(&want, asked, sizeof asked);
        return err_set(e, ERR_FORMAT, "tensor %s has shape [%s], expected [%s]", name, found,
                       asked);
    }
    if (!dtype_is_weight(t->dtype))
        return err_set(e, ERR_FORMAT, "tensor %s has dtype %s, expected F32, BF16, F16 or F64",
                       name, dtype_name(t->dtype));
    *out = t;
    return true;
}

static void put_u64(struct sha256 *h, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    sha256_put(h, b, sizeof b);
}

struct digesting {
    const struct safetensors *s;
    struct hash128 *sums;
};

static bool digest_job(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    const struct digesting *d = ctx;
    const struct safetensor *t = &d->s->list[job];
    (void)worker;
    (void)e;
    d->sums[job] = hash_xxh128(t->data, (size_t)t->bytes);
    return true;
}

bool safetensors_digest(const struct safetensors *s, uint32_t threads, uint8_t out[32],
                        struct err *e)
{
    struct digesting d = {s, mem_calloc(s->n + 1, sizeof *d.sums, e)};
    struct sha256 h;
    bool ok = d.sums && threads_run(threads ? threads : 1, s->n, digest_job, &d, e);

    if (!ok) goto out;
    sha256_init(&h);
    for (size_t i = 0; i < s->n; i++) {
        const struct safetensor *t = &s->list[i];
        sha256_put(&h, t->name, strlen(t->name) + 1);
        sha256_put(&h, dtype_name(t->dtype), strlen(dtype_name(t->dtype)) + 1);
        put_u64(&h, t->ndims);
        for (uint32_t k = 0; k < t->ndims; k++)
            put_u64(&h, t->dims[k]);
        put_u64(&h, d.sums[i].lo);
        put_u64(&h, d.sums[i].hi);
    }
    sha256_end(&h, out);
out:
    mem_free(d.sums);
    return ok;
}
