#include "serve/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"

enum { BACKLOG = 256 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

static bool parse_address(const char *text, uint16_t port, union address *a, socklen_t *n,
                          struct err *e)
{
    *a = (union address){0};
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        *n = sizeof a->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        *n = sizeof a->v6;
        return true;
    }
    return err_set(e, ERR_CONFIG,
                   "serve.address: %.60s is no numeric address, such as 127.0.0.1 or ::1", text);
}

bool listener_is_loopback(const char *address, bool *out, struct err *e)
{
    union address a;
    socklen_t n;

    if (!parse_address(address, 0, &a, &n, e)) return false;
    if (a.any.sa_family == AF_INET)
        *out = ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
    else
        *out = IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
    return true;
}

static bool bind_tcp(struct listener *l, const char *address, uint16_t port, struct err *e)
{
    union address a;
    socklen_t n;
    int one = 1;

    if (!parse_address(address, port, &a, &n, e)) return false;
    bool v6 = a.any.sa_family == AF_INET6;
    l->fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0) return err_sys(e, "no socket");
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(l->fd, &a.any, n) != 0) {
        if (errno == EADDRINUSE)
            return err_set(e, ERR_CONFIG,
                           "port %u of %s is taken: set serve.port to another, or 0 for a free one",
                           port, address);
        return err_sys(e, "cannot listen at %s port %u", address, port);
    }
    if (listen(l->fd, BACKLOG) != 0) return err_sys(e, "listen");
    n = sizeof a;
    if (getsockname(l->fd, &a.any, &n) != 0) return err_sys(e, "getsockname");
    l->port = ntohs(v6 ? a.v6.sin6_port : a.v4.sin_port);
    (void)snprintf(l->address, sizeof l->address, v6 ? "[%s]" : "%s", address);
    return true;
}

/* Does nobody answer at the socket that lies there? */
static bool is_dead(const union address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, &a->any, sizeof a->un) != 0 && errno == ECONNREFUSED;

    if (fd >= 0) (void)close(fd);
    return dead;
}

static bool clear_path(const char *path, const union address *a, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0) return errno == ENOENT || err_sys(e, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_CONFIG, "serve.socket: %s is there and is no socket", path);
    if (!is_dead(a))
        return err_set(e, ERR_CONFIG, "serve.socket: another server answers at %s", path);
    return fs_remove(path, e);
}

static bool bind_unix(struct listener *l, const char *path, struct err *e)
{
    union address a = {0};
    size_t n = strlen(path);

    a.un.sun_family = AF_UNIX;
    if (n >= sizeof a.un.sun_path || n >= sizeof l->path)
        return err_set(e, ERR_CONFIG, "serve.socket: %zu bytes, the system allows %zu", n,
                       sizeof a.un.sun_path - 1);
    memcpy(a.un.sun_path, path, n + 1);
    if (!clear_path(path, &a, e)) return false;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0) return err_sys(e, "no socket");
    mode_t old = umask(0177); /* never open to others, not even for a moment */
    int rc = bind(l->fd, &a.any, sizeof a.un);
    (void)umask(old);
    if (rc != 0) return err_sys(e, "cannot listen at %s", path);
    memcpy(l->path, path, n + 1);
    if (listen(l->fd, BACKLOG) != 0) return err_sys(e, "listen");
    return true;
}

bool listener_open(const char *address, uint16_t port, const char *path, struct listener *out,
                   struct err *e)
{
    bool ok;

    *out = (struct listener){.fd = -1};
    if (path) {
        out->loopback = true;
        ok = bind_unix(out, path, e);
    } else {
        ok = listener_is_loopback(address, &out->loopback, e) && bind_tcp(out, address, port, e);
    }
    if (!ok) listener_close(out);
    return ok;
}

void listener_close(struct listener *l)
{
    struct err ignored = {0};

    if (l->fd >= 0 && (l->path[0] || l->port)) (void)close(l->fd);
    if (l->path[0] && !fs_remove(l->path, &ignored)) err_clear(&ignored);
    *l = (struct listener){.fd = -1};
}
