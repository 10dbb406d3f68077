/*
 * base/fault - make the n-th hit of a point fail, once or for good, or never come back.
 *
 * Points are named: mem, open, read, write, fsync, rename, unlink, mkdir, link. Compiled in when
 * RADMILL_FAULTS is defined (dev, asan, tsan builds); otherwise fault_hit is constant false. Tests
 * arm a point in-process; for child processes the environment variable
 * RADMILL_FAULT="point:n[:forever|:hang]" is read once by cli/main, which calls fault_arm_spec;
 * hang: as a file server that does not answer, only the thread that met it stands still.
 * Thread-safe counters.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum fault_point {
    FAULT_MEM,
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_FSYNC,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_MKDIR,
    FAULT_LINK,
    FAULT_POINTS
};

#ifdef RADMILL_FAULTS
/* True when this hit is to fail; errno is set (ENOSPC for write and fsync, ENOMEM, EIO). */
bool fault_hit(enum fault_point p);
#else
static inline bool fault_hit(enum fault_point p)
{
    (void)p;
    return false;
}
#endif

/* Fail hit number n (1, 2, ...) of p, and with forever all later ones. n == 0 disarms. */
void fault_arm(enum fault_point p, uint64_t n, bool forever);
void fault_disarm_all(void);
/* Did an armed fault fire since it was armed? */
bool fault_fired(void);
/* "write:3", "fsync:1:forever" or "rename:2:hang". */
MUST_CHECK bool fault_arm_spec(const char *spec, struct err *e);
