/* Names that exactly one process gets, and the file server's clock. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/fs_sys.h"

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

bool fs_link_once(const char *from, const char *path, bool *won, struct err *e)
{
    *won = false;
    int rc = fault_hit(FAULT_LINK) ? -1 : link(from, path);
    if (rc != 0) {
        int no = errno;
        if (same_file(from, path)) { /* the server did it and its answer was lost */
            *won = true;
            return true;
        }
        if (no == EEXIST) return true;
        errno = no;
        return err_sys(e, "cannot link %s", path);
    }
    *won = true;
    return true;
}

bool fs_touch(const char *path, struct err *e)
{
    /* NULL times mean "now" to the server, not to us. */
    if (!fault_hit(FAULT_WRITE) && utimensat(AT_FDCWD, path, NULL, 0) == 0) return true;
    return err_sys(e, "cannot touch %s", path);
}

bool fs_mtime(const char *path, double *seconds, bool *found, struct err *e)
{
    struct stat st;
    *found = false;
    if (fault_hit(FAULT_READ) || stat(path, &st) != 0)
        return errno == ENOENT || err_sys(e, "cannot read %s", path);
    *seconds = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec * 1e-9;
    *found = true;
    return true;
}
