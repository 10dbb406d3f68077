/*
 * ingest/order - what the ranks made, in the order of the corpus.
 *
 * Any rank may make any block (ingest/feed deals a stream's out as ranks are free), so the ranks'
 * lists one after the other are in no order. Here every rank learns all blocks and sorts them: by
 * source, dump, block. What they hold a record each is gathered into that order.
 */
#pragma once
#include "comm/comm.h"
#include "ingest/block.h"

struct block_order {
    struct block_fact *facts; /* of all blocks, in corpus order; the same on every rank */
    size_t n;
    uint64_t records;
    /* By block as the ranks have them, one rank after the other. */
    uint64_t *to; /* ordinal in the corpus of its first record */
    uint64_t *count;
    size_t mine;   /* the first of this rank's */
    bool straight; /* they stand in corpus order as they are */
};
/* *out was zeroed. Collective. */
MUST_CHECK bool order_open(struct comm *c, const struct block_list *l, struct block_order *out,
                           struct err *e);
void order_close(struct block_order *o);
/* items: one of `each` bytes a record of this rank's list. *out: of all records, in corpus order;
 * mem_alloc'ed. Collective. */
MUST_CHECK bool order_gather(struct comm *c, const struct block_order *o, const void *items,
                             size_t n, size_t each, void **out, struct err *e);
