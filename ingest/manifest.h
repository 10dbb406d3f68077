/*
 * ingest/manifest - the corpus as a whole: manifest.json, the quarantine lists, what may go.
 *
 * Written by one rank, last. No times, no ranks, no paths outside the corpus: the same corpus has
 * the same manifest.
 */
#pragma once
#include "ingest/late.h"

struct manifest_reject {
    uint32_t source, file;
    uint64_t entry, offset;
    uint32_t reason, pad;
};
/* facts of all blocks in corpus order. */
MUST_CHECK bool manifest_write(const struct source_set *set, const struct block_fact *facts,
                               size_t n, const struct late *late, struct err *e);
/* Is there a corpus in the folder that is no trial? */
MUST_CHECK bool manifest_is_whole(const char *dir, bool *whole, struct err *e);
/* The manifest there is with these blocks in place of its own, one for one: for blocks that lost
 * records. Files and rejections stay as they were. */
MUST_CHECK bool manifest_replace(const char *dir, const struct block_fact *facts, size_t n,
                                 const struct late *late, struct err *e);
/* quarantine/<source>.jsonl for every source; none where nothing was rejected. */
MUST_CHECK bool manifest_quarantine(const struct source_set *set,
                                    const struct manifest_reject *rejects, size_t n, struct err *e);
/* Remove blocks and temporary files of these sources that the manifest does not name. */
MUST_CHECK bool manifest_sweep(const struct source_set *set, const struct block_fact *facts,
                               size_t n, struct err *e);
/* The same for all sources of a corpus; folders of others below records/ go whole. */
MUST_CHECK bool manifest_sweep_dir(const char *dir, const struct record_corpus *c,
                                   const struct block_fact *facts, size_t n, struct err *e);
