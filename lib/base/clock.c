#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"

static double frozen_s = -1.0;

static double read_s(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_mono_s(void)
{
    return frozen_s >= 0.0 ? frozen_s : read_s(CLOCK_MONOTONIC);
}

double clock_cpu_s(void)
{
    return read_s(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_wall_s(void)
{
    return (int64_t)(frozen_s >= 0.0 ? frozen_s : read_s(CLOCK_REALTIME));
}

void clock_iso8601(int64_t wall_s, char out[21])
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    CHECK(gmtime_r(&t, &tm) && tm.tm_year >= -1900 && tm.tm_year < 8100); /* four digits */
    CHECK(strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm) == 20);
}

void clock_freeze(double s)
{
    frozen_s = s;
}
