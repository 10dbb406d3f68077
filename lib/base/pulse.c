#include "base/pulse.h"

#include <stdatomic.h>
#include <stdbool.h>

static atomic_uint_fast64_t beats, last_n;
static _Atomic(const char *) last_what;
static _Thread_local bool muted;

void pulse_beat(void)
{
    if (!muted) atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
}

void pulse_at(const char *what, uint64_t n)
{
    atomic_store_explicit(&last_what, what, memory_order_relaxed);
    atomic_store_explicit(&last_n, n, memory_order_relaxed);
    pulse_beat();
}

void pulse_mute(void)
{
    muted = true;
}

struct pulse pulse_read(void)
{
    return (struct pulse){.beats = atomic_load_explicit(&beats, memory_order_relaxed),
                          .what = atomic_load_explicit(&last_what, memory_order_relaxed),
                          .n = atomic_load_explicit(&last_n, memory_order_relaxed)};
}
