/*
 * base/pulse - signs of life: that the work of this process goes on, and where it stands.
 *
 * Whoever watches for ranks that hang (comm/hang) reads them. They come from the places that all
 * long work passes through: files (fs_sys), checksums, jobs of threads, operations of a device,
 * counts of progress, polls of stop_requested. Work of another kind that may take minutes beats
 * itself. Any thread may; a beat is one atomic addition.
 */
#pragma once
#include <stdint.h>

/* Something went on. */
void pulse_beat(void);
/* It goes on at number n of `what` ("bin", "reports"), which is a literal. */
void pulse_at(const char *what, uint64_t n);
/* What this thread does is no sign of life from now on: it is the one that watches. */
void pulse_mute(void);

struct pulse {
    uint64_t beats;
    const char *what; /* NULL: nothing was told yet */
    uint64_t n;
};
struct pulse pulse_read(void);
