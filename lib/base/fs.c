#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs_sys.h"
#include "base/mem.h"

#define BUFFER_BYTES ((size_t)1 << 20)

int fs_sys_open(const char *path, int flags, mode_t mode)
{
    if (fault_hit(FAULT_OPEN)) return -1;
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

bool fs_read_file(const char *path, size_t max_bytes, struct arena *a, struct str *out,
                  struct err *e)
{
    struct fs_file f;
    bool ok = false;
    if (!fs_file_open(path, &f, e)) return false;
    if (f.size_bytes > max_bytes) {
        err_set(e, ERR_LIMIT, "%s: %llu bytes are more than the limit of %zu", path,
                (unsigned long long)f.size_bytes, max_bytes);
        goto out;
    }
    size_t n = (size_t)f.size_bytes;
    char *p = arena_alloc(a, n + 1, e);
    if (!p) {
        err_wrap(e, "%s", path);
        goto out;
    }
    if (!fs_file_read(&f, 0, p, n, e)) {
        err_wrap(e, "%s", path);
        goto out;
    }
    *out = (struct str){p, n};
    ok = true;
out:
    fs_file_close(&f);
    return ok;
}

bool fs_replace(const char *path, struct str data, struct err *e)
{
    struct fs_writer *w;
    if (!fs_writer_open(path, &w, e)) return false;
    bool ok = fs_writer_put(w, data.p, data.n, e) && fs_writer_commit(w, e);
    fs_writer_close(w);
    return ok;
}

static bool has_bytes(const char *path, struct str data)
{
    struct err none = {0};
    struct fs_map map;

    if (!fs_map_open(path, &map, &none)) return false;
    bool same = map.n == data.n && (map.n == 0 || memcmp(map.p, data.p, data.n) == 0);
    fs_map_close(&map);
    return same;
}

bool fs_replace_changed(const char *path, struct str data, struct err *e)
{
    return has_bytes(path, data) || fs_replace(path, data, e);
}

/* ---- streaming writer */

struct fs_writer {
    int fd;
    bool committed, failed;
    uint64_t bytes;
    size_t buffered;
    char *buffer;
    const char *path; /* both names follow the struct */
    char *tmp;
};

/* Take a temporary name that nobody has: O_EXCL, since a crashed process with our pid may have left
 * one. The lock tells fs_gc_tmp that the writer lives, on whatever host. */
static bool open_tmp(struct fs_writer *w, size_t tmp_size, struct err *e)
{
    static atomic_uint counter;
    for (int tries = 0; tries < 1000; tries++) {
        unsigned count = atomic_fetch_add(&counter, 1);
        snprintf(w->tmp, tmp_size, "%s.tmp.%ld.%u", w->path, (long)getpid(), count);
        w->fd = fs_sys_open(w->tmp, O_WRONLY | O_CREAT | O_EXCL, fs_sys_file_mode());
        if (w->fd >= 0 || errno != EEXIST) break;
    }
    if (w->fd < 0) return err_sys(e, "cannot create %s", w->tmp);
    (void)flock(w->fd, LOCK_EX | LOCK_NB); /* without locks fs_gc_tmp goes by the pid alone */
    if (fchmod(w->fd, fs_sys_file_mode()) == 0) return true; /* whatever the umask took */
    return err_sys(e, "cannot set the mode of %s", w->tmp);
}

/* The file to replace: behind a link the one that it leads to, so that the link stays. The rename
 * would put a file in the place of a device or pipe just as well, and root may. */
static bool find_target(const char **path, char real[PATH_MAX], struct err *e)
{
    struct stat st;
    if (lstat(*path, &st) != 0)
        return true; /* nothing there; creating it says what else is wrong */
    if (S_ISLNK(st.st_mode)) {
        if (!realpath(*path, real)) return err_sys(e, "%s is a link that leads nowhere", *path);
        *path = real;
        if (stat(real, &st) != 0) return err_sys(e, "cannot read %s", real);
    }
    if (S_ISREG(st.st_mode)) return true;
    return err_set(e, ERR_IO, "%s is there and is no regular file: name another one to write",
                   *path);
}

bool fs_writer_open(const char *path, struct fs_writer **out, struct err *e)
{
    char real[PATH_MAX];
    if (!find_target(&path, real, e)) return false;
    size_t n = strlen(path), tmp_size = n + 40;
    if (n + 40 > PATH_MAX) return err_set(e, ERR_LIMIT, "path of %zu bytes is too long", n);
    struct fs_writer *w = mem_calloc(1, sizeof *w + n + 1 + tmp_size, e);
    if (!w) return err_wrap(e, "%s", path);
    char *names = (char *)(w + 1);
    w->path = memcpy(names, path, n + 1);
    w->tmp = names + n + 1;
    w->fd = -1;
    w->buffer = mem_alloc(BUFFER_BYTES, e);
    if (!w->buffer) {
        err_wrap(e, "%s", path);
        fs_writer_close(w);
        return false;
    }
    if (!open_tmp(w, tmp_size, e)) {
        fs_writer_close(w);
        return false;
    }
    *out = w;
    return true;
}

static bool write_out(struct fs_writer *w, const void *p, size_t n, struct err *e)
{
    if (fs_sys_write_all(w->fd, p, n) == 0) return true;
    w->failed = true;
    return err_sys(e, "cannot write %s", w->path);
}

static bool flush(struct fs_writer *w, struct err *e)
{
    size_t n = w->buffered;
    w->buffered = 0;
    return write_out(w, w->buffer, n, e);
}

bool fs_writer_put(struct fs_writer *w, const void *p, size_t n, struct err *e)
{
    CHECK(!w->failed && !w->committed);
    w->bytes += n;
    if (n >= BUFFER_BYTES - w->buffered && !flush(w, e)) return false;
    if (n >= BUFFER_BYTES) return write_out(w, p, n, e);
    if (n) memcpy(w->buffer + w->buffered, p, n);
    w->buffered += n;
    return true;
}

uint64_t fs_writer_bytes(const struct fs_writer *w)
{
    return w->bytes;
}

bool fs_writer_commit(struct fs_writer *w, struct err *e)
{
    CHECK(!w->failed && !w->committed);
    w->failed = true; /* until all is done */
    if (!flush(w, e)) return false;
    if (fs_sys_fsync(w->fd) != 0) return err_sys(e, "cannot flush %s to disk", w->path);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) return err_sys(e, "cannot write %s", w->path); /* NFS reports here */
    if (fs_sys_rename(w->tmp, w->path) != 0) return err_sys(e, "cannot rename to %s", w->path);
    w->committed = true;
    w->failed = false;
    if (fs_sys_sync_parent(w->path) != 0)
        return err_sys(e, "cannot flush the folder of %s to disk", w->path);
    return true;
}

void fs_writer_close(struct fs_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (!w->committed && w->tmp[0]) unlink(w->tmp); /* best effort: fs_gc_tmp finds the rest */
    mem_free(w->buffer);
    mem_free(w);
}

void fs_hold_standard_files(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = dup(fd);
    if (fd > STDERR_FILENO) close(fd);
}

/* ---- reading */

bool fs_file_open(const char *path, struct fs_file *out, struct err *e)
{
    struct stat st;
    out->fd = -1;
    out->size_bytes = 0;
    int fd = fs_sys_open(path, O_RDONLY, 0);
    if (fd < 0) return err_sys(e, "cannot open %s", path);
    if (fs_sys_fstat(fd, &st) != 0) {
        err_sys(e, "cannot read %s", path);
        close(fd);
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_IO, "%s is not a file", path);
    }
    out->fd = fd;
    out->size_bytes = (uint64_t)st.st_size;
    return true;
}

bool fs_file_read(const struct fs_file *f, uint64_t offset, void *p, size_t n, struct err *e)
{
    ssize_t got = fs_sys_read_at(f->fd, p, n, offset);
    if (got < 0)
        return err_sys(e, "cannot read %zu bytes at offset %llu", n, (unsigned long long)offset);
    if ((size_t)got != n)
        return err_set(e, ERR_FORMAT, "file ends early: %zu bytes at offset %llu, %zd there", n,
                       (unsigned long long)offset, got);
    return true;
}

void fs_file_close(struct fs_file *f)
{
    if (f && f->fd > 0) close(f->fd); /* 0: a zeroed struct */
    if (f) f->fd = -1;
}

bool fs_map_open(const char *path, struct fs_map *out, struct err *e)
{
    struct fs_file f;
    *out = (struct fs_map){NULL, 0};
    if (!fs_file_open(path, &f, e)) return false;
    bool ok = true;
    if (f.size_bytes > 0) {
        void *p = MAP_FAILED;
        if (!fault_hit(FAULT_READ))
            p = mmap(NULL, (size_t)f.size_bytes, PROT_READ, MAP_SHARED, f.fd, 0);
        ok = p != MAP_FAILED;
        if (ok)
            *out = (struct fs_map){p, (size_t)f.size_bytes};
        else
            err_sys(e, "cannot map %s", path);
    }
    fs_file_close(&f);
    return ok;
}

void fs_map_drop(const struct fs_map *m, size_t from, size_t to)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (to > m->n) to = m->n;
    from = (from + page - 1) / page * page;
    to = to / page * page;
    if (from < to) (void)madvise((void *)(uintptr_t)(m->p + from), to - from, MADV_DONTNEED);
}

void fs_map_close(struct fs_map *m)
{
    if (!m || !m->p) return;
    munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct fs_map){NULL, 0};
}
