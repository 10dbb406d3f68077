/*
 * generate/gen_blocks - the folder of finished blocks, and their joining into one pairs file.
 *
 *     dir/parts/inputs.json          what the blocks were made from
 *     dir/parts/block-0000012.jsonl  samples 12 * 32 .. 12 * 32 + 31, one pair a line
 *
 * A block's file is there whole or not at all, so its name alone says that it is done.
 */
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

enum { GEN_BLOCK = 32 };

struct gen_blocks {
    const char *dir;   /* generate.dir, borrowed */
    const char *parts; /* in the arena */
    size_t samples, nblocks;
};
MUST_CHECK bool gen_blocks_init(struct gen_blocks *b, const char *dir, size_t samples,
                                struct arena *a, struct err *e);
/* Samples in block k. */
size_t gen_blocks_size(const struct gen_blocks *b, size_t k);
/* Make the folder, or refuse one whose blocks were made from something else. One rank. */
MUST_CHECK bool gen_blocks_begin(const struct gen_blocks *b, const json_t *identity, struct err *e);
/* done[k] = 1 for finished blocks, else 0. One rank. */
MUST_CHECK bool gen_blocks_list(const struct gen_blocks *b, uint8_t *done, struct err *e);
MUST_CHECK bool gen_blocks_write(const struct gen_blocks *b, size_t k, struct str lines,
                                 struct err *e);
/* All blocks in order into path, atomically; blocks are counted line by line. One rank. */
MUST_CHECK bool gen_blocks_join(const struct gen_blocks *b, const char *path, struct err *e);
/* Drop the folder. */
MUST_CHECK bool gen_blocks_drop(const struct gen_blocks *b, struct err *e);
/* Which keys differ between two identities, as "adapter, shards"; false with ERR_CONFIG naming them
 * and `what` when any does. */
MUST_CHECK bool gen_identity_same(const json_t *before, const json_t *now, const char *what,
                                  struct err *e);
