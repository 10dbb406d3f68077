/* Append-only files and lock files of base/fs. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/fs_sys.h"
#include "base/mem.h"

struct fs_append {
    int fd;
    bool torn; /* a failed write may have left half a line behind size */
    uint64_t size;
    char path[];
};

/* The size up to and including the last newline. */
static bool whole_lines(struct fs_append *f, uint64_t size, uint64_t *out, struct err *e)
{
    char buf[4096];
    while (size > 0) {
        size_t n = size < sizeof buf ? (size_t)size : sizeof buf;
        ssize_t got = fs_sys_read_at(f->fd, buf, n, size - n);
        if (got < 0) return err_sys(e, "cannot read %s", f->path);
        if ((size_t)got != n) return err_set(e, ERR_IO, "%s changes while it is opened", f->path);
        const char *newline = memrchr(buf, '\n', n);
        if (newline) {
            *out = size - n + (uint64_t)(newline - buf) + 1;
            return true;
        }
        size -= n;
    }
    *out = 0;
    return true;
}

static bool open_whole(struct fs_append *f, struct err *e)
{
    struct stat st;
    f->fd = fs_sys_open(f->path, O_RDWR | O_APPEND, 0);
    if (f->fd < 0 && errno == ENOENT) {
        f->fd = fs_sys_open(f->path, O_RDWR | O_APPEND | O_CREAT, fs_sys_file_mode());
        if (f->fd < 0) return err_sys(e, "cannot create %s", f->path);
        if (fchmod(f->fd, fs_sys_file_mode()) != 0 || fs_sys_sync_parent(f->path) != 0)
            return err_sys(e, "cannot create %s", f->path);
    }
    if (f->fd < 0) return err_sys(e, "cannot open %s", f->path);
    if (fs_sys_fstat(f->fd, &st) != 0) return err_sys(e, "cannot read %s", f->path);
    if (!S_ISREG(st.st_mode)) return err_set(e, ERR_IO, "%s is not a file", f->path);
    if (!whole_lines(f, (uint64_t)st.st_size, &f->size, e)) return false;
    if (f->size == (uint64_t)st.st_size) return true;
    if (fs_sys_truncate(f->fd, f->size) == 0) return true;
    return err_sys(e, "cannot cut the torn last line off %s", f->path);
}

bool fs_append_open(const char *path, struct fs_append **out, struct err *e)
{
    size_t n = strlen(path);
    struct fs_append *f = mem_calloc(1, sizeof *f + n + 1, e);
    if (!f) return err_wrap(e, "%s", path);
    memcpy(f->path, path, n + 1);
    f->fd = -1;
    if (!open_whole(f, e)) {
        fs_append_close(f);
        return false;
    }
    *out = f;
    return true;
}

bool fs_append_truncate(struct fs_append *f, uint64_t size_bytes, struct err *e)
{
    CHECK(size_bytes <= f->size);
    if (fs_sys_truncate(f->fd, size_bytes) != 0) return err_sys(e, "cannot cut %s back", f->path);
    f->size = size_bytes;
    f->torn = false;
    return true;
}

bool fs_append_line(struct fs_append *f, struct str line, struct err *e)
{
    CHECK(line.n == 0 || !memchr(line.p, '\n', line.n));
    if (f->torn && !fs_append_truncate(f, f->size, e)) return false;
    struct iovec v[2] = {{(void *)(uintptr_t)line.p, line.n}, {(void *)(uintptr_t) "\n", 1}};
    ssize_t want = (ssize_t)line.n + 1, put = -1;
    if (!fault_hit(FAULT_WRITE)) {
        do
            put = writev(f->fd, v, 2);
        while (put < 0 && errno == EINTR);
    }
    if (put >= 0 && put < want) errno = ENOSPC; /* the only reason for a short write to a file */
    if (put != want) {
        err_sys(e, "cannot write %s", f->path);
        f->torn = true;
        return false;
    }
    f->size += (uint64_t)want;
    return true;
}

bool fs_append_sync(struct fs_append *f, struct err *e)
{
    if (fs_sys_fsync(f->fd) == 0) return true;
    return err_sys(e, "cannot flush %s to disk", f->path);
}

uint64_t fs_append_size(const struct fs_append *f)
{
    return f->size;
}

void fs_append_close(struct fs_append *f)
{
    if (!f) return;
    /* Readers in the meantime should not see half a line; opening again cuts it off anyway. */
    if (f->torn && ftruncate(f->fd, (off_t)f->size) != 0) f->torn = true;
    if (f->fd >= 0) close(f->fd);
    mem_free(f);
}

/* ---- locks */

static int lock_now(int fd)
{
    if (fault_hit(FAULT_OPEN)) return -1;
    int rc;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    return rc;
}

bool fs_lock(const char *path, int *handle, struct err *e)
{
    *handle = -1;
    int fd = fs_sys_open(path, O_RDWR | O_CREAT, fs_sys_file_mode());
    if (fd < 0) return err_sys(e, "cannot open the lock %s", path);
    if (lock_now(fd) == 0) {
        *handle = fd;
        return true;
    }
    const char *slash = strrchr(path, '/');
    if (errno == EWOULDBLOCK)
        err_set(e, ERR_CONFIG, "another job is using %.*s", slash ? (int)(slash - path) : 1,
                slash ? path : ".");
    else
        err_sys(e, "cannot lock %s", path);
    close(fd);
    return false;
}

void fs_unlock(int handle)
{
    if (handle > 0) close(handle); /* 0: a zeroed struct */
}
