/*
 * serve/listener - the socket that requests come to, and who could reach it.
 *
 * Loopback TCP, a Unix socket of mode 0600, or, said twice (TLS or an explicit flag), another
 * address. Numeric addresses only: a name could mean another interface tomorrow.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

struct listener {
    int fd;
    uint16_t port;    /* 0: a Unix socket */
    char address[64]; /* "127.0.0.1", "[::1]": as a URL has it */
    char path[112];   /* of the Unix socket; removed by listener_close */
    bool loopback;
};
/* path not NULL: a Unix socket there; one that a dead server left is replaced, any other file is
 * not. Else address and port (0: a free one). A listener that is zeroed or closed has fd -1 or is
 * zeroed with path and port empty. */
MUST_CHECK bool listener_open(const char *address, uint16_t port, const char *path,
                              struct listener *out, struct err *e);
void listener_close(struct listener *l);
/* Is this numeric address one that only this machine reaches? */
MUST_CHECK bool listener_is_loopback(const char *address, bool *out, struct err *e);
