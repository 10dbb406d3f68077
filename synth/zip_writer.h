/*
 * synth/zip_writer - a plain zip file, written front to back: sizes in the local headers (no data
 * descriptors), deflate by libdeflate, zip64 records where the counts or offsets need them.
 *
 * The central directory is kept in memory until the end, about 90 bytes an entry. Times are
 * fixed, so the bytes depend on names and data alone (and on the version of libdeflate).
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct zip_writer;
MUST_CHECK bool zip_writer_open(const char *path, struct zip_writer **out, struct err *e);
/* A name ending in '/' is a folder (data must be empty). Names are ASCII, at most 1,024 bytes. */
MUST_CHECK bool zip_writer_put(struct zip_writer *z, const char *name, struct str data,
                               struct err *e);
/* *bytes gets the size of the file. */
MUST_CHECK bool zip_writer_commit(struct zip_writer *z, uint64_t *bytes, struct err *e);
void zip_writer_close(struct zip_writer *z); /* drops the file unless committed */
