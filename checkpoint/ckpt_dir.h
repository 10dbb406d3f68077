/*
 * checkpoint/ckpt_dir - the folders of checkpoints: names, the COMPLETE marker, what to keep.
 * One rank only; private to checkpoint/.
 *
 * COMPLETE holds one line "rmck SIZE DIGEST" for the arrays file beside it. While a step is saved
 * over itself it holds two, the old file's and the new one's, so that at every moment the file that
 * is there is one of them.
 */
#pragma once
#include "checkpoint/ckpt_format.h"

struct ckpt_mark {
    uint64_t file_bytes;
    struct hash128 digest; /* of the head */
};
struct ckpt_paths {
    char dir[3072];    /* DIR/step-00000120 */
    char arrays[3200]; /* .../arrays.rmck */
    char mark[3200];   /* .../COMPLETE */
};

MUST_CHECK bool ckpt_paths(const char *dir, uint64_t step, struct ckpt_paths *out, struct err *e);
/* Up to two marks; a COMPLETE that is not there gives none, a damaged one is ERR_FORMAT. */
MUST_CHECK bool ckpt_mark_read(const struct ckpt_paths *p, struct ckpt_mark out[2], size_t *n,
                               struct err *e);
MUST_CHECK bool ckpt_mark_write(const struct ckpt_paths *p, const struct ckpt_mark *marks, size_t n,
                                struct err *e);
/* The steps below dir, newest first, complete or not; a missing dir has none. */
MUST_CHECK bool ckpt_steps(const char *dir, struct arena *a, uint64_t **steps, size_t *n,
                           struct err *e);
/* After step was saved: remove all but the newest `keep` up to it and the pinned ones. */
MUST_CHECK bool ckpt_retain(const char *dir, uint64_t step, uint32_t keep, const uint64_t *pinned,
                            size_t npinned, struct err *e);
