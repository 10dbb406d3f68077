/*
 * ingest/late - the look at the whole corpus: duplicates, near-duplicates, superseded reports, and
 * the late file that says so (ingest/record_late).
 *
 * Run by ingest when all blocks are there, and by forget when some lost records: of what is left
 * the first copy of a text counts, at once.
 */
#pragma once
#include "ingest/near.h"
#include "ingest/record_late.h"

struct late {
    uint16_t *flags; /* of all records, in corpus order; the same on every rank */
    size_t n;
    struct near_pairs near;
    double near_s; /* seconds of the near pass */
    char name[RECORD_LATE_NAME];
    uint8_t sha256[32];
};
/* *out was zeroed. l: what this rank made. The facts of o are brought up to date. Collective. */
MUST_CHECK bool late_find(struct comm *c, const struct late_corpus *corpus, struct block_order *o,
                          const struct block_list *l, struct late *out, struct err *e);
/* The late file and near.jsonl; name and sha256 are set. One rank; facts of all blocks. */
MUST_CHECK bool late_write(const struct late_corpus *corpus, const struct block_fact *facts,
                           size_t n, struct late *late, struct err *e);
/* Remove late files of the folder but this one. */
MUST_CHECK bool late_sweep(const char *dir, const char *name, struct err *e);
void late_free(struct late *l);
