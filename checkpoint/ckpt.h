/*
 * checkpoint/ckpt - save and load named arrays, all or nothing.
 *
 *     DIR/step-00000120/arrays.rmck   header, arrays, checksums (docs/FORMATS.md)
 *     DIR/step-00000120/COMPLETE      written last, deleted first; holds size and digest
 *
 * A checkpoint knows neither model nor device: the caller hands over items of host memory plus a
 * JSON text of scalars. All ranks hold equal state, so rank 0 writes and all ranks learn the
 * outcome. kill -9, a full disk or a torn file at any moment leave the previous checkpoint
 * loadable: loading takes the newest complete one whose checksums hold.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "comm/comm.h"

enum ckpt_dtype { CKPT_U8, CKPT_F32, CKPT_I32, CKPT_I64, CKPT_F64 };
struct ckpt_item {
    const char *name;
    enum ckpt_dtype dtype;
    uint64_t count;
    void *data; /* read on save, filled on load */
};

/* Save as step `step`, then drop the oldest so that `keep` (1 or more) remain; steps listed in
 * pinned[] (the best one) stay besides. Later steps than this one, unless pinned, belong to a run
 * that was set back, and go too. Saving a step over itself is safe: at every moment the old or the
 * new one loads. If only the dropping fails, the save stands and the error says so. Collective. */
MUST_CHECK bool ckpt_save(struct comm *c, const char *dir, uint64_t step,
                          const struct ckpt_item *items, size_t nitems, struct str meta_json,
                          uint32_t keep, const uint64_t *pinned, size_t npinned, struct err *e);
/* Newest complete checkpoint whose checksums hold (all of it is read), or *found = false. A damaged
 * one is a warning in the log and an older one is taken; a disk that cannot be read is an error.
 * Collective (rank 0 looks, all agree). */
MUST_CHECK bool ckpt_find(struct comm *c, const char *dir, uint64_t *step, bool *found,
                          struct err *e);
/* Load step into items: names, dtypes and counts must match exactly, and the error names the first
 * difference. After a failure the items' memory is half filled. meta_json lives in the arena. Rank
 * 0 reads, the others get copies. Collective. */
MUST_CHECK bool ckpt_load(struct comm *c, const char *dir, uint64_t step, struct ckpt_item *items,
                          size_t nitems, struct arena *a, struct str *meta_json, struct err *e);
