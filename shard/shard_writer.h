/*
 * shard/shard_writer - arrays in memory -> one shard file, atomically and with the same bytes
 * each time.
 *
 * HDF5 builds the file in memory (core driver); base/fs writes it. The peak is twice the file.
 */
#pragma once
#include "shard/shard_file.h"

/* Columns as plain little-endian bytes; SHARD_COL_OFFSET has one row more than the others,
 * SHARD_COL_SPLIT three. */
struct shard_data {
    struct sbuf col[SHARD_COLS];
    uint64_t samples;
};
void shard_data_init(struct shard_data *d);
void shard_data_free(struct shard_data *d);

/* Write `path`. fact gets bytes and sha256; the counts are the caller's. */
MUST_CHECK bool shard_writer_write(const char *path, const struct shard_head *h,
                                   const struct shard_data *d, struct shard_fact *fact,
                                   struct err *e);
