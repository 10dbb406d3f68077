/* Folders and names of base/fs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/fs_sys.h"
#include "base/mem.h"

#define TREE_DEPTH_MAX 32
#define NAMES_MAX      ((size_t)1 << 24)

bool fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool fs_size(const char *path, uint64_t *out, struct err *e)
{
    struct stat st;
    if (fault_hit(FAULT_READ) || stat(path, &st) != 0) return err_sys(e, "cannot read %s", path);
    *out = (uint64_t)st.st_size;
    return true;
}

static bool mkdir_one(const char *path, struct err *e)
{
    if (fs_is_dir(path)) return true;
    if (fs_sys_mkdir(path, fs_sys_dir_mode()) != 0) {
        if (errno == EEXIST && fs_is_dir(path)) return true; /* another rank was faster */
        return err_sys(e, "cannot make the folder %s", path);
    }
    if (chmod(path, fs_sys_dir_mode()) != 0) return err_sys(e, "cannot set the mode of %s", path);
    if (fs_sys_sync_parent(path) != 0)
        return err_sys(e, "cannot flush the folder of %s to disk", path);
    return true;
}

bool fs_mkdirs(const char *path, struct err *e)
{
    char at[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0) return err_set(e, ERR_CONFIG, "an empty name of a folder");
    if (n >= sizeof at) return err_set(e, ERR_LIMIT, "path of %zu bytes is too long", n);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(at, path, i);
        at[i] = 0;
        if (!mkdir_one(at, e)) return false;
    }
    return true;
}

bool fs_remove(const char *path, struct err *e)
{
    if (fs_sys_unlink(path) == 0 || errno == ENOENT) return true;
    return err_sys(e, "cannot remove %s", path);
}

bool fs_sync_dir(const char *path, struct err *e)
{
    int fd = fs_sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return err_sys(e, "cannot open %s", path);
    bool ok = fs_sys_fsync(fd) == 0 || err_sys(e, "cannot flush %s to disk", path);
    close(fd);
    return ok;
}

/* ---- listing */

static bool open_dir(const char *path, DIR **out, struct err *e)
{
    *out = fault_hit(FAULT_OPEN) ? NULL : opendir(path);
    return *out || err_sys(e, "cannot open the folder %s", path);
}

/* The next name but "." and ".."; NULL at the end and on error, which *ok tells apart. */
static const char *next_name(DIR *d, const char *path, bool *ok, struct err *e)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = fault_hit(FAULT_READ) ? NULL : readdir(d);
        if (!entry) {
            *ok = errno == 0 || err_sys(e, "cannot read the folder %s", path);
            return NULL;
        }
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return name;
    }
}

static bool add_name(struct str **v, size_t *cap, size_t *n, struct str name, struct arena *a,
                     struct err *e)
{
    if (*n == NAMES_MAX) return err_set(e, ERR_LIMIT, "more than %zu names", NAMES_MAX);
    void *items = *v;
    if (!mem_grow(&items, cap, *n + 1, sizeof **v, e)) return false;
    *v = items;
    if (!arena_str(a, name, &(*v)[*n], e)) return false;
    ++*n;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sort, and move from the heap to the arena. */
static bool hand_over(struct str *v, size_t n, struct arena *a, struct str **names, size_t *count,
                      struct err *e)
{
    struct str *out = arena_alloc(a, n * sizeof *v, e);
    if (!out) return false;
    if (n) {
        qsort(v, n, sizeof *v, by_bytes);
        memcpy(out, v, n * sizeof *v);
    }
    *names = out;
    *count = n;
    return true;
}

bool fs_list(const char *path, struct arena *a, struct str **names, size_t *count, struct err *e)
{
    DIR *d = NULL;
    struct str *v = NULL;
    size_t cap = 0, n = 0;
    const char *name;
    pid_t pid;
    bool ok = false;

    if (!open_dir(path, &d, e)) goto out;
    while ((name = next_name(d, path, &ok, e))) {
        if (name[0] == '.' || fs_sys_is_tmp(name, &pid)) continue;
        if (!add_name(&v, &cap, &n, str_of(name), a, e)) {
            ok = err_wrap(e, "%s", path);
            goto out;
        }
    }
    if (ok) ok = hand_over(v, n, a, names, count, e);
out:
    mem_free(v);
    if (d) closedir(d);
    return ok;
}

static bool run_glob(const char *pattern, glob_t *g, struct err *e)
{
    /* GLOB_ERR: a folder that cannot be read would otherwise pass for an empty one. */
    int rc = fault_hit(FAULT_READ) ? GLOB_ABORTED : glob(pattern, GLOB_ERR | GLOB_NOSORT, NULL, g);
    switch (rc) {
    case 0:
        return true;
    case GLOB_NOMATCH:
        return err_set(e, ERR_IO, "no file matches %s", pattern);
    case GLOB_NOSPACE:
        return err_set(e, ERR_NOMEM, "out of memory for the names matching %s", pattern);
    default:
        return err_sys(e, "cannot read a folder of %s", pattern);
    }
}

bool fs_glob(const char *pattern, struct arena *a, struct str **paths, size_t *count, struct err *e)
{
    glob_t g = {0};
    struct str *v = NULL;
    size_t cap = 0, n = 0;
    pid_t pid;
    bool ok = false;

    if (fs_exists(pattern)) { /* a file whose name holds '[' is named, not matched */
        ok = add_name(&v, &cap, &n, str_of(pattern), a, e) && hand_over(v, n, a, paths, count, e);
        goto out;
    }
    if (!run_glob(pattern, &g, e)) goto out;
    for (size_t i = 0; i < g.gl_pathc; i++) {
        if (fs_sys_is_tmp(g.gl_pathv[i], &pid)) continue;
        if (!add_name(&v, &cap, &n, str_of(g.gl_pathv[i]), a, e)) goto out;
    }
    if (n == 0) {
        err_set(e, ERR_IO, "no file matches %s", pattern);
        goto out;
    }
    ok = hand_over(v, n, a, paths, count, e);
out:
    mem_free(v);
    globfree(&g);
    return ok;
}

bool fs_join(struct arena *a, const char *dir, const char *name, const char **out, struct err *e)
{
    size_t nd = strlen(dir), nn = strlen(name);
    while (nd > 1 && dir[nd - 1] == '/')
        nd--;
    bool slash = nd > 0 && dir[nd - 1] != '/';
    size_t size = nd + slash + nn + 1;
    char *p = arena_alloc(a, size, e);
    if (!p) return false;
    snprintf(p, size, "%.*s%s%s", (int)nd, dir, slash ? "/" : "", name);
    *out = p;
    return true;
}

/* ---- removing */

static bool path_of(const char *dir, const char *name, char out[PATH_MAX], struct err *e)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    if (n < PATH_MAX) return true;
    return err_set(e, ERR_LIMIT, "path of %d bytes is too long", n);
}

static bool remove_below(const char *path, int depth, struct err *e)
{
    struct stat st;
    if (fault_hit(FAULT_READ) || lstat(path, &st) != 0)
        return errno == ENOENT || err_sys(e, "cannot read %s", path);
    if (!S_ISDIR(st.st_mode)) return fs_remove(path, e);
    if (depth == 0) return err_set(e, ERR_LIMIT, "folders nested too deep at %s", path);

    DIR *d;
    char below[PATH_MAX];
    const char *name;
    bool ok = false;
    if (!open_dir(path, &d, e)) return false;
    while ((name = next_name(d, path, &ok, e))) {
        ok = path_of(path, name, below, e) && remove_below(below, depth - 1, e);
        if (!ok) break;
    }
    closedir(d);
    if (!ok) return false;
    if (fs_sys_rmdir(path) == 0 || errno == ENOENT) return true;
    return err_sys(e, "cannot remove the folder %s", path);
}

bool fs_remove_tree(const char *path, struct err *e)
{
    return remove_below(path, TREE_DEPTH_MAX, e);
}

/* Its process is gone here, and no process anywhere holds the writer's lock. */
static bool is_orphan(const char *path, pid_t pid)
{
    if (pid > 0 && (pid == getpid() || kill(pid, 0) == 0 || errno != ESRCH)) return false;
    int fd = fs_sys_open(path, O_RDONLY, 0);
    if (fd < 0) return false;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return !locked;
}

bool fs_gc_tmp(const char *dir, struct err *e)
{
    DIR *d;
    char path[PATH_MAX];
    const char *name;
    pid_t pid;
    bool ok = false;
    if (!open_dir(dir, &d, e)) return false;
    while ((name = next_name(d, dir, &ok, e))) {
        if (!fs_sys_is_tmp(name, &pid)) continue;
        ok = path_of(dir, name, path, e);
        if (ok && is_orphan(path, pid)) ok = fs_remove(path, e);
        if (!ok) break;
    }
    closedir(d);
    return ok;
}

struct str fs_name(const char *path)
{
    struct str s = str_of(path);

    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    size_t from = s.n;
    while (from > 0 && s.p[from - 1] != '/')
        from--;
    return str_sub(s, from, s.n);
}

bool fs_dir_of(struct arena *a, const char *path, const char **out, struct err *e)
{
    size_t n = (size_t)(fs_name(path).p - path);
    struct str dir = n == 0 ? STR(".") : (struct str){path, n > 1 ? n - 1 : 1};

    if (!arena_str(a, dir, &dir, e)) return false;
    *out = dir.p;
    return true;
}
