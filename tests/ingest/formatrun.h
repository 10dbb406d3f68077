/*
 * tests/ingest/formatrun - run a format over bytes in memory, and what came of it as one line of
 * text an item:
 *
 *     line:patient/study status time {text} findings[...] impression[...] ...
 *     line!reason
 *     line-
 */
#pragma once
#include <stdbool.h>

#include "ingest/format.h"

/* The bytes come in pieces of `piece`. Appends to out, if not NULL; false with e set if the reader failed. */
bool formatrun(const struct format *f, const struct ingest_source_opts *source, struct str name,
               struct str bytes, size_t piece, struct sbuf *out, struct err *e);
