/*
 * ingest/zip_read - the bytes of one zip entry, checked: the fast path for plain zips.
 *
 * Stored and deflated entries go through libdeflate straight from the mapped file; deflate64,
 * bzip2, zstd, and every doubt, go through libarchive (ingest/archive.h). Both give equal bytes or
 * both reject. What an entry says about itself is checked against limits before anything is
 * unpacked, and what it unpacks to is never more than it says. An entry that is not whole is
 * rejected with a reason; that is no error of the run.
 */
#pragma once
#include "ingest/record.h"
#include "ingest/zip_dir.h"

struct zip_limits {
    uint64_t max_entry; /* bytes of one entry */
    uint32_t max_ratio; /* of entries above 64 KiB */
};
struct zip_reader;

/* file and d are borrowed until close. */
MUST_CHECK bool zip_reader_open(struct str file, const struct zip_dir *d, struct zip_limits limits,
                                struct zip_reader **out, struct err *e);
/* Text of entry i, borrowed until the next get or close; or *rejected true with the reason. False:
 * no memory. */
MUST_CHECK bool zip_reader_get(struct zip_reader *r, size_t i, struct str *out, bool *rejected,
                               enum record_reject *reason, struct err *e);
/* Tests: everything through libarchive. */
void zip_reader_slow(struct zip_reader *r, bool slow);
void zip_reader_close(struct zip_reader *r);
