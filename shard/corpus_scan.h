/*
 * shard/corpus_scan - one look at all records before any shard is made: how many candidates each
 * block has of each modality (so that every rank cuts the same shards), what is left out, and
 * whether patients cross splits.
 *
 * Blocks are read in parallel; what is exchanged is counts, and the audit's words.
 */
#pragma once
#include "shard/audit_splits.h"
#include "shard/builder.h"

struct corpus_scan {
    bool wanted[MOD_COUNT];
    uint8_t *ends;   /* [block]: the last one of its archive or dump */
    uint32_t *taken; /* [block * MOD_COUNT + modality]: candidates, see builder_screen */
    uint64_t *late;  /* the same: digest of which of them are left out by late flags */
    uint64_t records[MOD_COUNT];
    uint64_t dropped[MOD_COUNT][SHARD_DROPS]; /* by flags and spans alone */
    uint64_t patients, seen[SHARD_SPLITS], shared_ids;
    uint8_t *near; /* [corpus->nnear]: candidates of any modality have this text */
    uint64_t near_seen[SHARD_SPLITS]; /* as seen, of groups of texts that are nearly one */
};
/* wanted is set by the caller. ERR_FORMAT where patients cross splits. Collective. */
MUST_CHECK bool corpus_scan_run(struct corpus_scan *s, const struct record_corpus *corpus,
                                const struct builder *b, struct comm *c, struct err *e);
void corpus_scan_free(struct corpus_scan *s);
