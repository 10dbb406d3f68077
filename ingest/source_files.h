/*
 * ingest/source_files - the files of all sources, opened: what kind each is, its digest, the
 * directory of a zip.
 *
 * A digest and a directory are each made by one rank and told to the others: both take time that no
 * number of ranks makes shorter, and of a zip they are made by two ranks at once.
 */
#pragma once
#include "ingest/source.h"

/* The files are listed (path, bytes); all else of them but number and generation is set. Errors say
 * the source and the file. Collective. */
MUST_CHECK bool source_files_open(struct source_set *set, struct comm *c, struct err *e);
void source_file_close(struct source_file *f);
