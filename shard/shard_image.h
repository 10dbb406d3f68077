/*
 * shard/shard_image - an HDF5 file of contiguous columns, built in memory: the same bytes each
 * time.
 *
 * HDF5's core driver builds the file in memory that is ours; the caller fills in the first
 * SHARD_IMAGE_BLOCK bytes, which are HDF5's user block, and writes it with base/fs. No times, a
 * fixed library format, every dataset on a page of its own. Knows nothing of what the columns mean.
 */
#pragma once
#include <hdf5.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

enum { SHARD_IMAGE_BLOCK = 4096 };

/* The memory of a file: the caller's after shard_image_close; mem_free(p). */
struct shard_image {
    char *p;
    size_t n;
    hid_t file, gcpl, dcpl; /* while it is built */
};
/* Once a process, before HDF5 does anything: its atexit clean-up crashes after a failed write
 * and its error stack would print. Idempotent. */
void shard_hdf5_setup(void);

/* These return false for want of memory, and where HDF5 has another reason. bytes: about as many as
 * the file will have; more is possible. After create, close must follow. */
MUST_CHECK bool shard_image_create(struct shard_image *im, size_t bytes);
MUST_CHECK bool shard_image_group(struct shard_image *im, const char *name);
MUST_CHECK bool shard_image_numbers(hid_t at, const char *name, hid_t type, hsize_t n,
                                    const void *p);
/* A scalar string of fixed length, as h5dump and h5py show text. */
MUST_CHECK bool shard_image_text(hid_t at, const char *name, const char *text);
/* A dataset of numbers of `size` bytes, `width` a row, with its count and checksum as attributes;
 * *offset: where it lies in the file. */
struct shard_image_column {
    const char *name;
    size_t size, width;
    struct str data;
    struct hash128 hash; /* of data */
};
MUST_CHECK bool shard_image_column(struct shard_image *im, const struct shard_image_column *c,
                                   uint64_t *offset);
/* *n: the file's length, without the driver's spare room. ok: what came before; false frees all. */
MUST_CHECK bool shard_image_close(struct shard_image *im, bool ok, size_t *n);
