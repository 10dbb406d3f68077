/*
 * ingest/walk - all items of one source file that cannot be split, in order: containers opened, a
 * format chosen for each member, its items handed to a function.
 *
 * Archives in archives are opened once more, with packed files in them; an archive deeper still is
 * rejected as a whole. A member whose name is not the format's is ignored, as is litter; what
 * cannot be read is rejected. Members are counted over the file: item->in.member.
 */
#pragma once
#include "ingest/format.h"
#include "ingest/source.h"

/* One item; everything in it is borrowed. False ends the walk. */
typedef bool (*walk_fn)(void *ctx, struct format_item *item, struct err *e);
/* A damaged container or an unreadable file is an error that names file and member. */
MUST_CHECK bool walk_file(const struct ingest_opts *o, const struct source *s, size_t file,
                          walk_fn fn, void *ctx, struct err *e);
