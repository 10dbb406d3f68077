/*
 * base/progress - how far a long stage is: a live line on a terminal, a log line every 30 s
 * otherwise, and status.json in the run folder for `radmill status`.
 *
 * A rate is shown once something was counted after the first count, and time has passed since: else
 * there is none, in line, log and status.json (null), rather than a 0 that would be untrue.
 *
 * Only rank 0 shows anything; on other ranks every call is cheap and silent. Nothing here can fail:
 * a status.json that cannot be written is a warning in the log. Not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct progress {
    const char *stage; /* borrowed */
    const char *unit;  /* "reports", "tokens", "steps" */
    uint64_t total;    /* 0: unknown */
    uint64_t done;
    uint64_t saved; /* of done, what a restart would not lose; only where has_saved */
    uint64_t first; /* the first count reported: what a resumed run had already done */
    double start_s, first_s, last_show_s, last_status_s;
    struct {
        double s;
        uint64_t done;
    } window[2]; /* the rate is that of the last one to two minutes */
    char detail[128];
    char status_path[512]; /* empty: no status.json */
    bool active, tty, begun, has_saved;
};

/* run_dir may be NULL (no status.json). */
void progress_start(struct progress *p, int rank, const char *stage, const char *unit,
                    uint64_t total, const char *run_dir);
/* Set the count; detail ("loss=1.23") may be NULL. Shows at most ten times a second. The first
 * count is where the rate is measured from, so a resumed run reports it before it works on. */
void progress_update(struct progress *p, uint64_t done, const char *detail);
/* So many are safe on disk (a checkpoint). Without it, a restart is taken to lose nothing that was
 * done. Written to status.json at once: whoever restarts the run goes by it. */
void progress_saved(struct progress *p, uint64_t saved);
/* Last line and status; state is "done", "stopped" or "failed". */
void progress_end(struct progress *p, const char *state);
