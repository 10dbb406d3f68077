#include "base/fs_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/pulse.h"

static atomic_int access_mode = FS_PRIVATE;

void fs_set_access(enum fs_access a)
{
    atomic_store(&access_mode, (int)a);
}

mode_t fs_sys_file_mode(void)
{
    return atomic_load(&access_mode) == FS_GROUP_READ ? 0640 : 0600;
}

mode_t fs_sys_dir_mode(void)
{
    return atomic_load(&access_mode) == FS_GROUP_READ ? 0750 : 0700;
}

int fs_sys_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        if (fault_hit(FAULT_WRITE)) return -1;
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -1;
        at += put;
        pulse_beat();
        n -= (size_t)put;
    }
    return 0;
}

ssize_t fs_sys_read_at(int fd, void *p, size_t n, uint64_t offset)
{
    char *at = p;
    size_t left = n;
    while (left > 0) {
        if (fault_hit(FAULT_READ)) return -1;
        ssize_t got = pread(fd, at, left, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        at += got;
        pulse_beat();
        left -= (size_t)got;
        offset += (uint64_t)got;
    }
    return (ssize_t)(n - left);
}

int fs_sys_fsync(int fd)
{
    if (fault_hit(FAULT_FSYNC)) return -1;
    int rc;
    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    pulse_beat();
    return rc;
}

int fs_sys_rename(const char *from, const char *to)
{
    return fault_hit(FAULT_RENAME) ? -1 : rename(from, to);
}

int fs_sys_unlink(const char *path)
{
    return fault_hit(FAULT_UNLINK) ? -1 : unlink(path);
}

int fs_sys_rmdir(const char *path)
{
    return fault_hit(FAULT_UNLINK) ? -1 : rmdir(path);
}

int fs_sys_mkdir(const char *path, mode_t mode)
{
    return fault_hit(FAULT_MKDIR) ? -1 : mkdir(path, mode);
}

int fs_sys_fstat(int fd, struct stat *st)
{
    return fault_hit(FAULT_READ) ? -1 : fstat(fd, st);
}

int fs_sys_truncate(int fd, uint64_t size)
{
    return fault_hit(FAULT_WRITE) ? -1 : ftruncate(fd, (off_t)size);
}

/* Digits before `end`, back to a '.': the position of the dot, or NULL. */
static const char *digits_before(const char *name, const char *end)
{
    const char *at = end;
    while (at > name && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return at < end && end - at <= 10 && at > name && at[-1] == '.' ? at - 1 : NULL;
}

bool fs_sys_is_tmp(const char *name, pid_t *pid)
{
    const char *count = digits_before(name, name + strlen(name));
    const char *dot = count ? digits_before(name, count) : NULL;
    if (!dot || dot - name < 4 || memcmp(dot - 4, ".tmp", 4) != 0) return false;
    int64_t v = 0;
    for (const char *d = dot + 1; d < count; d++)
        v = v * 10 + (*d - '0');
    *pid = v <= INT_MAX ? (pid_t)v : 0;
    return true;
}

int fs_sys_sync_parent(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;
    if (n >= sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (slash && n == 0) n = 1; /* "/name" */
    memcpy(dir, slash ? path : ".", n);
    dir[n] = 0;
    int fd = fs_sys_open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return -1;
    int rc = fs_sys_fsync(fd), no = errno;
    close(fd);
    errno = no;
    return rc;
}
