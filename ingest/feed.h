/*
 * ingest/feed - a stream that cannot be split, decoded by one rank and made into blocks by all.
 *
 *     decoder   unpack -> format's items -> 4,096 of them -> post to a rank that is free, or
 *                                                            make the block itself
 *     others    receive -> sections, modality, hashes -> write the block -> receive ...
 *
 * A tar.gz, a 7z, one .gz: where an item begins is known only to who unpacked and read all in front
 * of it, quotes and brackets included, so that much stays with one rank (measured:
 * docs/PERFORMANCE.md). What follows is most of the work, and needs nothing but the item. Blocks
 * are cut by count, as block_stream cuts them, and whoever makes one makes the same bytes; so it
 * does not matter who does, and a rank that is behind gets less.
 *
 * Memory: the decoder fills one block and keeps posted ones until they are taken: at most one a
 * rank, and no further ones while FEED_POSTED bytes wait. Errors of any rank end the stream on all.
 */
#pragma once
#include "ingest/block.h"

enum { FEED_POSTED = 64 << 20 };
/* A stream of fewer bytes goes to one rank whole. Tests make it small. */
extern uint64_t feed_least;

/* How much of a stream's work stays with the decoder, about: in hundredths. */
enum { FEED_DECODER = 40 };

/* The blocks that this rank made, or that the decoder found whole, are appended to w->list.
 * Collective. */
MUST_CHECK bool feed_stream(struct comm *c, const struct source_set *set, const struct source *s,
                            size_t file, int decoder, struct block_work *w, struct err *e);
