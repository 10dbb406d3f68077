/*
 * model/safetensors - weights: read and write safetensors files (a JSON header, then raw tensors),
 * and read PyTorch's files as if they were such (model/torch_bin).
 *
 *     u64 n | n bytes of JSON {"name": {"dtype","shape","data_offsets":[begin,end]}, ...} | data
 *
 * Reading maps the files; nothing is copied, data may have any alignment. Ranks of one node that
 * read one model therefore share one copy in the page cache: the disk is read once a node, without
 * a word between the ranks. A set is one file, or a folder's model.safetensors, else the shards
 * that its model.safetensors.index.json names, else pytorch_model.bin or its index. Links are
 * followed (a Hugging Face cache's snapshots are folders of links). Everything in a header is
 * checked before use: sizes against shapes, offsets against the file, no holes and no overlaps.
 * Writing streams: the header first, then the tensors' bytes in the same order.
 *
 * Limits: header 100 MB, 200,000 tensors, 8 dimensions, 1,000 shards.
 */
#pragma once
#include "model/dtype.h"

#define SAFETENSORS_MAX_DIMS 8

struct safetensor {
    const char *name;
    enum dtype dtype;
    uint32_t ndims;
    uint64_t dims[SAFETENSORS_MAX_DIMS];
    uint64_t count; /* elements */
    uint64_t bytes;
    const uint8_t *data; /* into the map; NULL in a writer's list */
};

struct safetensors;
/* path: a *.safetensors or PyTorch file, an index, or a folder. A git-LFS pointer is an error that
 * says so, a missing shard one that names it. */
MUST_CHECK bool safetensors_open(const char *path, struct safetensors **out, struct err *e);
void safetensors_close(struct safetensors *s);
/* By name; all live as long as the set. */
const struct safetensor *safetensors_list(const struct safetensors *s, size_t *n);
const struct safetensor *safetensors_find(const struct safetensors *s, const char *name);
/* The tensor, or an error that names it and, for a wrong shape, both shapes. ndims 1: d1 is 0. */
MUST_CHECK bool safetensors_need(const struct safetensors *s, const char *name, uint64_t d0,
                                 uint64_t d1, const struct safetensor **out, struct err *e);
/* SHA-256 over name, dtype, shape and XXH3-128 of the bytes of every tensor, in byte order of
 * names: independent of how the tensors are spread over files. Reads all of the files, the tensors
 * side by side on so many threads (0 counts as 1), which keeps a disk busy. */
MUST_CHECK bool safetensors_digest(const struct safetensors *s, uint32_t threads, uint8_t out[32],
                                   struct err *e);
/* Check one header; data follows it in the same memory. For the fuzzer and safetensors_open. */
MUST_CHECK bool safetensors_open_memory(const uint8_t *p, size_t n, const char *what,
                                        struct safetensors **out, struct err *e);

struct safetensors_writer;
/* list[i]: name, dtype, ndims, dims; borrowed for the call. */
MUST_CHECK bool safetensors_writer_open(const char *path, const struct safetensor *list, size_t n,
                                        struct safetensors_writer **out, struct err *e);
/* The next bytes, tensor after tensor in list order, in pieces of any size. */
MUST_CHECK bool safetensors_writer_put(struct safetensors_writer *w, const void *p, size_t n,
                                       struct err *e);
/* Atomic; CHECKs that every promised byte was put. */
MUST_CHECK bool safetensors_writer_commit(struct safetensors_writer *w, struct err *e);
void safetensors_writer_close(struct safetensors_writer *w); /* drops the file unless committed */
