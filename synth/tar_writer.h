/*
 * synth/tar_writer - a .tar.gz written front to back (POSIX ustar, gzip by libdeflate).
 *
 * Each file is one gzip member, so memory is bounded by the largest file; a gzip file of several
 * members is as valid as one (RFC 1952, 2.2). Times and owners are fixed.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct tar_writer;
MUST_CHECK bool tar_writer_open(const char *path, struct tar_writer **out, struct err *e);
/* Names are ASCII, at most 99 bytes. */
MUST_CHECK bool tar_writer_put(struct tar_writer *t, const char *name, struct str data,
                               struct err *e);
MUST_CHECK bool tar_writer_commit(struct tar_writer *t, uint64_t *bytes, struct err *e);
void tar_writer_close(struct tar_writer *t); /* drops the file unless committed */
