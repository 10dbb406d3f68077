/*
 * shard/shard_groups - the side file of a shards folder that says which texts are nearly one:
 * layout `groups/v1`.
 *
 *     shards.dir/groups-<key12>.h5     named by what it holds; the manifest names it
 *         bytes 0..4095   our own block: magic, sizes, checksums of all that follows
 *         bytes 4096..    an HDF5 file, as of a shard (shard/shard_file.h)
 *         /group/text     u64 [m, 2]   text_hash of a text that is nearly another's, ascending
 *         /group/head     u64 [m, 2]   that of its group's head; two texts with one head are alike
 *
 * The main idea: samples know their text's hash, so a table of hashes groups them without a byte
 * of any shard being other than before: near-duplicates can be looked for, or looked for anew, and
 * no shard is made again. A text that does not stand there is its own group. It holds the texts of
 * all modalities of the corpus that can become samples, whichever were chosen, so a run for one
 * modality leaves it alone. Only `train.duplicates: weight` reads it (shard/once).
 *
 * Where the corpus has no near-duplicates (corpus.near_duplicates: 0), there is no such file.
 */
#pragma once
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "ingest/record.h"

enum { SHARD_GROUPS_NAME = 32 };
#define SHARD_GROUPS_MAGIC "RADGROUP"

/* Write it into the folder unless it is there; v ascending by norm, hi before lo. name and
 * digest are of what it holds. */
MUST_CHECK bool shard_groups_write(const char *dir, const struct record_near *v, size_t n,
                                   char name[SHARD_GROUPS_NAME], uint8_t sha256[32], struct err *e);

/* An open file: views into the map. */
struct shard_groups {
    struct fs_map map;
    const uint8_t *text, *head;
    uint64_t n;
    uint8_t sha256[32];
};
/* Map and check all of it. On failure *out is zeroed. */
MUST_CHECK bool shard_groups_open(const char *path, struct shard_groups *out, struct err *e);
void shard_groups_close(struct shard_groups *g);
/* Row i < n. */
struct record_near shard_groups_at(const struct shard_groups *g, uint64_t i);
/* The group of a text: its head's hash, or its own. g may be zeroed: no groups. */
struct hash128 shard_groups_of(const struct shard_groups *g, struct hash128 text);
