#include "base/rundir.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/opt.h"

#define RUN_YAML_MAX ((size_t)4 << 20)

/* Is key one of the free ones, or below one ("slurm" frees "slurm.time")? */
static bool is_free(struct str key, const char *const *free_keys)
{
    for (; free_keys && *free_keys; free_keys++) {
        struct str f = str_of(*free_keys);
        if (str_eq(key, f)) return true;
        if (str_starts(key, f) && (key.p[f.n] == '.' || key.p[f.n] == '[')) return true;
    }
    return false;
}

/* The keys of "a, b, c" that must not change, joined the same way. */
static bool fixed_keys(struct str all, const char *const *free_keys, struct sbuf *out,
                       struct err *e)
{
    struct str key;
    while (str_split(&all, ',', &key)) {
        key = str_trim(key);
        if (key.n == 0 || is_free(key, free_keys)) continue;
        if (out->n && !sbuf_put(out, STR(", "), e)) return false;
        if (!sbuf_put(out, key, e)) return false;
    }
    return true;
}

/* Does `dump` continue the run whose options stand in `path`? */
static bool compare(const char *dir, const char *path, const char *stage, struct str dump,
                    const char *const *free_keys, struct err *e)
{
    struct arena a;
    struct str old;
    struct sbuf keys, changed;
    bool ok = false;
    arena_init(&a, 16 * RUN_YAML_MAX);
    sbuf_init(&keys, RUN_YAML_MAX);
    sbuf_init(&changed, RUN_YAML_MAX);
    if (!fs_read_file(path, RUN_YAML_MAX, &a, &old, e)) goto out;
    if (!str_eq(old, dump)) {
        if (!opt_diff(old, dump, &a, &keys, e)) goto out;
        if (!fixed_keys(sbuf_str(&keys), free_keys, &changed, e)) goto out;
    }
    ok = changed.n == 0;
    if (!ok)
        err_set(e, ERR_CONFIG,
                "%s was begun with other options: %s; restore them (%s has the old values) or give "
                "%s another folder",
                dir, changed.p, path, stage);
out:
    sbuf_free(&changed);
    sbuf_free(&keys);
    arena_free(&a);
    return ok;
}

static bool open_first(const char *path, const char *stage, struct str dump,
                       const char *const *free_keys, struct arena *a, struct rundir *r,
                       struct err *e)
{
    const char *lock, *yaml;
    if (!fs_join(a, path, ".lock", &lock, e) || !fs_join(a, path, "run.yaml", &yaml, e))
        return false;
    if (!fs_mkdirs(path, e) || !fs_lock(lock, &r->lock, e) || !fs_gc_tmp(path, e)) return false;
    bool begun = fs_exists(yaml);
    if (begun && !compare(path, yaml, stage, dump, free_keys, e)) return false;
    if (!fs_replace(yaml, dump, e)) return false;
    log_info(begun ? "run.continue" : "run.begin", "stage=%s dir=%s", stage, path);
    return true;
}

bool rundir_open(const char *path, const char *stage, struct str options_dump,
                 const char *const *free_keys, int rank, struct rundir *out, struct err *e)
{
    struct arena a;
    const char *log_dir, *log_file;
    char name[32];
    bool ok = false;
    struct rundir r = {.path = path, .lock = -1, .rank = rank};
    arena_init(&a, (size_t)1 << 16);
    snprintf(name, sizeof name, "rank%d.log", rank);
    if (!fs_join(&a, path, "log", &log_dir, e) || !fs_join(&a, log_dir, name, &log_file, e))
        goto out;
    if (rank == 0 && !open_first(path, stage, options_dump, free_keys, &a, &r, e)) goto out;
    if (!fs_mkdirs(log_dir, e) || !log_open_file(log_file, e)) goto out;
    *out = r;
    ok = true;
out:
    if (!ok) fs_unlock(r.lock);
    arena_free(&a);
    return ok;
}

void rundir_close(struct rundir *r)
{
    if (!r) return;
    log_close();
    fs_unlock(r->lock);
    *r = (struct rundir){.lock = -1};
}
