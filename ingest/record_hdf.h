/*
 * ingest/record_hdf - small HDF5 files of ours: built in memory, with a checksum behind.
 *
 * What record.c (blocks) and record_late.c share: datasets are contiguous and unfiltered, nothing
 * holds a time, so the same data give the same bytes. Behind the HDF5 data, where HDF5 does not
 * look, stands a trailer of 24 bytes: 8 of magic, XXH3-128 of all in front. It is checked before
 * HDF5 parses a byte, because HDF5 does not survive every damaged one. Only these two files include
 * this one. Handles belong to one thread.
 */
#pragma once
#include <hdf5.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

/* A dataset: rows of `width` numbers of `size` bytes (1, 2, 4, 8), unsigned, little-endian. */
struct hdf_data {
    const char *name;
    size_t size, width;
    struct str bytes; /* what is written; reading leaves it alone */
};

/* Once a process: HDF5's own atexit clean-up crashes after a failed write, and its error stack
 * would print to stderr. */
void hdf_setup(void);

/* A file in memory that will hold about so many bytes; negative on failure, as HDF5's own. */
hid_t hdf_create(size_t bytes);
bool hdf_groups(hid_t file, const char *const *names, size_t n);
bool hdf_put(hid_t file, const struct hdf_data *data, size_t n);
bool hdf_attribute(hid_t file, const char *name, hid_t type, hsize_t n, const void *p);
/* The file as it will stand on disk, trailer included; *out points into *image, which is grown by
 * mem_grow. magic: 7 characters. */
MUST_CHECK bool hdf_image(hid_t file, const char *magic, char **image, size_t *cap, struct str *out,
                          struct err *e);

/* Cut the trailer off the image, once it says that all in front is as it was written; *sum: of
 * that. `what` names the kind of file in errors. */
MUST_CHECK bool hdf_check(struct str *image, const char *magic, const char *what,
                          struct hash128 *sum, struct err *e);
/* The checked image, which must outlive the file; negative: HDF5 does not take it. */
hid_t hdf_open(struct str image);
/* At most max numbers of `size` bytes into p, *got of them. */
bool hdf_get_attribute(hid_t file, const char *name, size_t size, size_t max, void *p, size_t *got);
/* Read a dataset of this name and shape; no dataset is larger than the file that holds it. *out is
 * mem_alloc'ed. */
MUST_CHECK bool hdf_get(hid_t file, struct hdf_data what, size_t file_bytes, void **out,
                        size_t *bytes, struct err *e);
/* A dataset of bytes (size 1, width 1) where it lies in the image. */
MUST_CHECK bool hdf_view(hid_t file, struct hdf_data what, struct str image, struct str *out,
                         struct err *e);
