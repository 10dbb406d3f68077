/*
 * shard/shard_file - one token shard on disk, layout `shards/v2`: what writer and reader share.
 *
 *     bytes 0..4095   our own block (below): magic, sizes, checksums of all that follows
 *     bytes 4096..    an HDF5 file; for HDF5 the first 4,096 bytes are its "user block", so h5py
 *                     and h5dump read the whole as it is
 *
 *     /tokens/ids        u16 or u32 [T]   prompt, target, EOS of all samples; contiguous
 *     /tokens/offset     u64 [n + 1]      where sample i's tokens begin
 *     /tokens/target     u32 [n]          index of the first target token within the sample
 *     /sample/length     u32 [n]          tokens
 *     /sample/record     u32 [n, 3]       source, block, row of the corpus
 *     /sample/entry      u64 [n]          ordinal in the archive
 *     /sample/text_hash  u64 [n, 2]       xxh3-128 of the normalised findings and impression
 *     /sample/target_hash u64 [n, 2]      xxh3-128 of the lower-cased, blank-folded target
 *     /sample/patient_key u64 [n]
 *     /split             u64 [3, 2]       first sample and count of train, dev, test
 *
 * Samples are sorted by (split, source, entry). Every dataset carries `xxh3_128` and `count`; the
 * root carries what the shard was made with.
 *
 * Why the block in front: HDF5 is not made to parse hostile or rotten bytes. With it, everything
 * but the tokens is known to be what was written before libhdf5 sees a byte, at 9 GB/s.
 */
#pragma once
#include <stdint.h>

#include "base/fs.h"
#include "base/hash.h"
#include "shard/shard.h"

enum {
    SHARD_BLOCK_BYTES = 4096,
    SHARD_NAME_BYTES = 32,
    SHARD_TEXT_BYTES = 256,
    SHARD_MAX_SAMPLES = 1 << 20,
};
#define SHARD_SCHEMA "shards/v2"

enum shard_column {
    SHARD_COL_IDS,
    SHARD_COL_OFFSET,
    SHARD_COL_TARGET,
    SHARD_COL_LENGTH,
    SHARD_COL_RECORD,
    SHARD_COL_ENTRY,
    SHARD_COL_TEXT_HASH,
    SHARD_COL_TARGET_HASH,
    SHARD_COL_PATIENT,
    SHARD_COL_SPLIT,
    SHARD_COLS
};
struct shard_column_def {
    const char *name;
    uint8_t size;  /* bytes of one number; 0: 2 or 4, by the vocabulary */
    uint8_t width; /* numbers a row */
};
extern const struct shard_column_def shard_columns[SHARD_COLS];

/* What a shard was made with and what came of it. Plain data, zero-padded: compared by memcmp. */
struct shard_head {
    char modality[SHARD_NAME_BYTES];
    uint64_t source, number; /* index of the corpus's source; of the run within it */
    uint8_t tokenizer_sha256[32], template_sha256[32], config_sha256[32], inputs_sha256[32];
    char template_name[SHARD_TEXT_BYTES], inputs[SHARD_TEXT_BYTES];
    uint32_t vocab_size, layout; /* enum shard_layout */
    uint32_t max_tokens, max_input_tokens, max_target_tokens;
    int32_t bos, eos, pad;
    uint32_t token_bytes; /* 2 or 4 */
    uint64_t records;     /* of the run, filtered ones included */
    uint64_t dropped[SHARD_DROPS], cut, cut_tokens, unknown;
};
/* One file's numbers, for the manifest. */
struct shard_fact {
    uint64_t bytes, samples[SHARD_SPLITS], tokens[SHARD_SPLITS], targets[SHARD_SPLITS];
    uint64_t dropped[SHARD_DROPS], cut, cut_tokens, unknown, records, made;
    uint64_t sha256[4]; /* of the bytes behind the block */
};

/* Where a column lies in the file. */
struct shard_place {
    uint64_t offset, bytes;
    struct hash128 hash;
};
/* The first 4,096 bytes, little-endian. */
struct shard_block {
    char magic[8];
    uint32_t version, block_bytes;
    uint64_t file_bytes;
    uint64_t token_offset, token_bytes;    /* of /tokens/ids in the file */
    struct hash128 before, tokens, after;  /* [4096, tokens), tokens, (tokens, end) */
    uint8_t sha256[32];                    /* [4096, end) */
    struct shard_place places[SHARD_COLS]; /* so that damage is named by its dataset */
    struct hash128 self;                   /* of this block with self zeroed */
};
#define SHARD_MAGIC   "RADSHARD"
#define SHARD_VERSION 2u

_Static_assert(sizeof(struct shard_block) == 136 + 32 * SHARD_COLS,
               "no padding: it is written as it is");

/* An open shard: views into the mapped file. Nothing in it needs to be aligned: read through
 * shard_file_u32 and shard_file_u64. */
struct shard_file {
    struct fs_map map;
    struct shard_block block;
    struct shard_head head;
    uint64_t samples;
    uint64_t split[SHARD_SPLITS][2]; /* first, count */
    const uint8_t *col[SHARD_COLS];
    uint64_t rows[SHARD_COLS];
};
/* Map and check everything but, without verify_tokens, the tokens themselves. On failure *out is
 * zeroed. */
MUST_CHECK bool shard_file_open(const char *path, bool verify_tokens, struct shard_file *out,
                                struct err *e);
void shard_file_close(struct shard_file *f);
/* Number i of a column, counted over all widths. */
uint32_t shard_file_u32(const struct shard_file *f, enum shard_column c, uint64_t i);
uint64_t shard_file_u64(const struct shard_file *f, enum shard_column c, uint64_t i);
/* Tokens [from, from + n) as u32 into out; false when one is not of the vocabulary. */
MUST_CHECK bool shard_file_tokens(const struct shard_file *f, uint64_t from, uint64_t n,
                                  uint32_t *out);
/* The numbers of a file for the manifest (made: 0). */
void shard_file_fact(const struct shard_file *f, struct shard_fact *out);
