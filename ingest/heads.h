/*
 * ingest/heads - which report a duplicate repeats: the first of its source with its normalised
 * text, else the first of the corpus.
 *
 * Reads the corpus once for the duplicates there are and, if any, once more for their heads; memory
 * is about 100 bytes a group.
 */
#pragma once
#include "ingest/record.h"

struct heads;
MUST_CHECK bool heads_open(const struct record_corpus *c, struct heads **out, struct err *e);
/* Study (accession) of the head of r, row `row` of the block, which is a duplicate; empty when the
 * head has none. Borrowed until close. */
struct str heads_study(const struct heads *h, const struct record_block *block, size_t row,
                       const struct record *r);
void heads_close(struct heads *h);
