/*
 * train/metrics_log - metrics.jsonl: one line a step and an evaluation; TensorBoard's view of it.
 *
 *     {"kind":"train","step":7,"time":1790000000,"epoch":0.03,"loss":1.93,"lr":0.0002,
 *      "grad_norm":0.7,"tokens":65120,"targets":14210,"tokens_per_s":20110,"targets_per_s":4388}
 *      (on a GPU: ,"gpu_busy":0.991: at least so much of the step's time it had work)
 *     {"kind":"dev","step":250,"time":1790000100,"epoch":1.0,"loss":1.71,"targets":80123}
 *
 * A checkpoint holds the size of the file; going on from it cuts what came later, so a step is
 * never listed twice. Only rank 0 writes: elsewhere a log is closed and all calls do nothing.
 */
#pragma once
#include "base/fs.h"

struct metrics_log {
    struct fs_append *f;           /* NULL: not rank 0 */
    const char *path, *event_path; /* borrowed */
};
struct metrics_step {
    uint64_t step;
    double epoch, loss, lr, grad_norm;
    uint64_t tokens, targets;
    double tokens_per_s, targets_per_s;
    double gpu_busy; /* share of the step's time; below 0: not known, and left out */
};

/* Open (rank 0) and cut back to size_bytes. */
MUST_CHECK bool metrics_log_open(struct metrics_log *m, const char *path, const char *event_path,
                                 int rank, uint64_t size_bytes, struct err *e);
void metrics_log_close(struct metrics_log *m);
MUST_CHECK bool metrics_log_step(struct metrics_log *m, const struct metrics_step *s,
                                 struct err *e);
/* loss NaN is written as null. */
MUST_CHECK bool metrics_log_dev(struct metrics_log *m, uint64_t step, double epoch, double loss,
                                uint64_t targets, struct err *e);
/* Flush to disk and remake the event file; *size_bytes for the checkpoint (0 on other ranks). */
MUST_CHECK bool metrics_log_sync(struct metrics_log *m, uint64_t *size_bytes, struct err *e);
