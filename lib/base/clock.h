/*
 * base/clock - time, in one place, so that tests can freeze it.
 */
#pragma once
#include <stdint.h>

double clock_mono_s(void);  /* monotonic seconds */
double clock_cpu_s(void);   /* CPU seconds of this process, all threads */
int64_t clock_wall_s(void); /* seconds since 1970 */
/* "2026-11-21T03:04:05Z" into out. */
void clock_iso8601(int64_t wall_s, char out[21]);
/* Tests: both clocks stand at this value; negative thaws. */
void clock_freeze(double s);
