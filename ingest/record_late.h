/*
 * ingest/record_late - the late file: what only a look at the whole corpus tells about a record.
 *
 *     corpus.dir/late-<key12>.h5     HDF5, schema late/v1, named by its own digest
 *         /flags        u16[n]       RECORD_LATE bits, one a record of the corpus, in its order
 *         /near/norm    u64[m,2]     normalised hash of a text that is nearly another's, ascending
 *         /near/head    u64[m,2]     that of the head of its group
 *
 * One generation of the corpus has one: the manifest names it, and the next ingest or forget writes
 * another. So a correction or a removal changes 2 bytes a record here and no block. Readers hold
 * all of it: 2 bytes a record (200 MB at 100 million), 32 a near-duplicate text.
 */
#pragma once
#include "ingest/record.h"

enum { RECORD_LATE_NAME = 32 };
struct record_late {
    uint16_t *flags;
    size_t n;
    struct record_near *near;
    size_t nnear;
};
/* Write it into the folder unless it is there; name and digest are of what it holds. */
MUST_CHECK bool record_late_write(const char *dir, const struct record_late *late,
                                  char name[RECORD_LATE_NAME], uint8_t sha256[32], struct err *e);
/* Everything lives in the arena. The file must have this digest, and hold n records. */
MUST_CHECK bool record_late_read(const char *path, const uint8_t sha256[32], size_t n,
                                 struct arena *a, struct record_late *out, struct err *e);
