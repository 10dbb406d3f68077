#include "base/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

static const struct {
    const char *name;
    int errno_value;
} points[FAULT_POINTS] = {
    [FAULT_MEM] = {"mem", ENOMEM},     [FAULT_OPEN] = {"open", EIO},
    [FAULT_READ] = {"read", EIO},      [FAULT_WRITE] = {"write", ENOSPC},
    [FAULT_FSYNC] = {"fsync", ENOSPC}, [FAULT_RENAME] = {"rename", EIO},
    [FAULT_UNLINK] = {"unlink", EIO},  [FAULT_MKDIR] = {"mkdir", EIO},
    [FAULT_LINK] = {"link", EIO},
};

static struct {
    atomic_uint_fast64_t hits; /* since it was armed */
    atomic_uint_fast64_t at;   /* 0: not armed */
    atomic_bool forever, hang;
} armed[FAULT_POINTS];
static atomic_bool fired;

#ifdef RADMILL_FAULTS
bool fault_hit(enum fault_point p)
{
    uint64_t at = atomic_load_explicit(&armed[p].at, memory_order_relaxed);
    if (at == 0) return false;
    uint64_t hit = atomic_fetch_add(&armed[p].hits, 1) + 1;
    if (hit != at && !(hit > at && atomic_load(&armed[p].forever))) return false;
    atomic_store(&fired, true);
    while (atomic_load(&armed[p].hang))
        pause();
    errno = points[p].errno_value;
    return true;
}
#endif

void fault_arm(enum fault_point p, uint64_t n, bool forever)
{
    CHECK((unsigned)p < FAULT_POINTS);
    atomic_store(&armed[p].at, 0);
    atomic_store(&armed[p].hits, 0);
    atomic_store(&armed[p].forever, forever);
    atomic_store(&armed[p].hang, false);
    atomic_store(&fired, false);
    atomic_store(&armed[p].at, n);
}

void fault_disarm_all(void)
{
    for (int p = 0; p < FAULT_POINTS; p++)
        atomic_store(&armed[p].at, 0);
}

bool fault_fired(void)
{
    return atomic_load(&fired);
}

bool fault_arm_spec(const char *spec, struct err *e)
{
    struct str rest = str_of(spec), name, n, tail = {NULL, 0};
    uint64_t hit = 0;
    if (!str_split(&rest, ':', &name) || !str_split(&rest, ':', &n))
        return err_set(e, ERR_CONFIG, "fault: expected point:n[:forever|:hang]");
    bool more = str_split(&rest, ':', &tail);
    bool forever = more && str_eqz(tail, "forever"), hang = more && str_eqz(tail, "hang");
    if ((more && !forever && !hang) || rest.p)
        return err_set(e, ERR_CONFIG, "fault: expected point:n[:forever|:hang]");
    if (!parse_u64(n, &hit, e)) return err_wrap(e, "fault: count");
    for (int p = 0; p < FAULT_POINTS; p++) {
        if (!str_eqz(name, points[p].name)) continue;
        fault_arm((enum fault_point)p, hit, forever);
        atomic_store(&armed[p].hang, hang);
        return true;
    }
    return err_set(e, ERR_CONFIG, "fault: unknown point '%.*s'", (int)name.n, name.p);
}
