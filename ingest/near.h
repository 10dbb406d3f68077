/*
 * ingest/near - near-duplicates: reports whose findings and impression are nearly those of another.
 *
 * MinHash (Broder 1997): a text is the set of its runs of three words (letter case and digits
 * aside); 64 minima of hashes of these, 16 bits of each, estimate how much two sets share (Jaccard;
 * standard error 0.05 at 0.8). Candidates share one of 16 bands of 4 minima (a pair of similarity
 * 0.8 is missed once in 5,000). In corpus order a record joins the first head whose estimate
 * reaches the threshold, or becomes a head itself: groups do not depend on the ranks. In a band at
 * most 64 heads are compared.
 *
 * It is a pass of its own, after the blocks are made: it reads them again. The signatures are made
 * by the ranks that have the records; which heads there are follows from all records in order, so
 * every rank finds the groups itself. Up to 430 bytes a record on every rank while it runs, at most
 * 2^28 heads. Exact duplicates and superseded reports take no part.
 */
#pragma once
#include "comm/comm.h"
#include "ingest/order.h"

/* The corpus as these passes see it: where its blocks lie, by index of the source. */
struct late_corpus {
    const char *dir; /* corpus.dir */
    const char *const *names, *const *dirs;
    double near; /* least similarity; 0: not looked for */
};
/* Ordinals of records in the corpus. */
struct near_pair {
    uint64_t record, head;
    double similarity;
    struct record_near texts;
};
struct near_pairs {
    struct near_pair *v; /* by record */
    size_t n, cap;
};
/* flags are of all records in corpus order; RECORD_NEAR_DUPLICATE is set in them. out, the same on
 * every rank, was zeroed; mem_free(out->v). Collective. */
MUST_CHECK bool near_find(struct comm *c, const struct late_corpus *corpus,
                          const struct block_order *o, const struct block_list *l, uint16_t *flags,
                          struct near_pairs *out, struct err *e);
/* corpus.dir/near.jsonl: a line a near-duplicate, its id (source:block:row), its head's, the
 * estimate. No pairs: no file. facts of all blocks in corpus order. */
MUST_CHECK bool near_write(const struct late_corpus *c, const struct block_fact *facts, size_t n,
                           const struct near_pairs *pairs, struct err *e);
