/*
 * ingest/dedup - which records repeat an earlier one, and which a later one supersedes.
 *
 * Each search is dealt over the ranks by hash: what it needs of a record, 40 bytes, goes to the
 * rank that has the hash, which looks at them in the order of the corpus; only the flags found, two
 * bytes a record, are put together on all ranks.
 *
 * Of the reports of one study in one source (or in all sources of one site) the most final counts,
 * then the one with the latest time, then the last (or as sources[].versions says); the others are
 * superseded. A withdrawn report supersedes them all, and itself. An addendum of which findings or
 * impression are missing counts like a preliminary report: it is not the report. Of records with
 * the same normalised findings and impression the first that is not superseded counts, the others
 * are duplicates.
 */
#pragma once
#include "comm/comm.h"
#include "ingest/order.h"

/* Patients of one source, or of one site, who stand in two splits; the same answer on every rank.
 * Collective. */
MUST_CHECK bool dedup_crossing(struct comm *c, const struct block_list *l, uint64_t *patients,
                               struct err *e);
/* Flags of all records in corpus order, the same on every rank; mem_alloc'ed. Collective. */
MUST_CHECK bool dedup_flags(struct comm *c, const struct block_order *o, const struct block_list *l,
                            uint16_t **out, struct err *e);
