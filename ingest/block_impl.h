/*
 * ingest/block_impl - what the makers of blocks (block_zip.c, block_stream.c, feed.c) share. Only
 * they and block.c include it.
 */
#pragma once
#include "ingest/block.h"
#include "ingest/format.h"

/* Is block number `block` there from an earlier run? Then it is in l. */
MUST_CHECK bool block_reuse(const struct source *s, size_t file, uint64_t block,
                            struct block_list *l, bool *found, bool *last, struct err *e);

/* w->builder is there after this. */
MUST_CHECK bool block_builder(const struct source_set *set, struct block_work *w, struct err *e);

/* A block being made by w->writer; its keys go into the list at once, its fact at commit. */
struct block_maker {
    const struct source *source;
    size_t file;
    struct block_work *work;
    struct block_fact fact;
};
MUST_CHECK bool block_maker_begin(const struct source *s, size_t file, uint64_t block,
                                  uint64_t first_entry, struct block_work *w, struct block_maker *m,
                                  struct err *e);
/* raw has the ids as they came. */
MUST_CHECK bool block_maker_put(struct block_maker *m, const struct record *raw, struct err *e);
MUST_CHECK bool block_maker_reject(struct block_maker *m, uint64_t entry, uint64_t offset,
                                   enum record_reject reason, struct err *e);
void block_maker_ignore(struct block_maker *m, uint64_t entries);
/* One item of a format: put, rejected or ignored, as is a report that a trial does not take. */
MUST_CHECK bool block_maker_item(struct block_maker *m, struct format_item *item, struct err *e);
/* Is the whole stream there from an earlier run? Then its blocks are in l. */
MUST_CHECK bool block_reuse_stream(const struct source *s, size_t file, struct block_list *l,
                                   bool *found, struct err *e);
MUST_CHECK bool block_maker_commit(struct block_maker *m, bool last, struct err *e);
