#include "base/stop.h"

#include <stdatomic.h>

#include "base/pulse.h"

static atomic_bool wanted; /* lock-free, so a signal handler may set it */
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "stop_request must be async-signal-safe");

void stop_request(void)
{
    atomic_store(&wanted, true);
}

bool stop_requested(void)
{
    pulse_beat();
    return atomic_load(&wanted);
}

void stop_reset(void)
{
    atomic_store(&wanted, false);
}
