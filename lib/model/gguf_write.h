/*
 * model/gguf_write - write GGUF version 3: metadata pairs first, then the tensor table, then the
 * tensors, streamed in the order of the table, each at a multiple of 32 bytes.
 *
 * Types written: F32, F16, BF16; in blocks of 32, bit for bit as the Python package gguf makes
 * them, Q8_0 (f16 scale = largest / 127, then int8) and Q4_0 (f16 scale = the value of largest size
 * / -8, then nibbles). Atomic like every file of ours. Layout: model/gguf.h.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "model/gguf.h"

/* ggml's numbers of the types written. */
enum { GGML_F32 = 0, GGML_F16 = 1, GGML_Q4_0 = 2, GGML_Q8_0 = 8, GGML_BF16 = 30 };

struct gguf_entry {
    char name[65];
    uint32_t type;    /* one of the five */
    uint32_t ndims;   /* 1 or 2 */
    uint64_t dims[2]; /* dims[0] is contiguous */
};
/* Bytes of one row of `cols` values; cols is a multiple of 32 for Q8_0 and Q4_0. */
uint64_t gguf_row_bytes(uint32_t type, uint64_t cols);
/* n values to a row of a type. */
void gguf_pack(uint32_t type, const float *f, uint64_t n, void *out);
/* What a reader will see of it. */
void gguf_unpack(uint32_t type, const void *row, uint64_t n, float *out);

struct gguf_writer;
MUST_CHECK bool gguf_writer_open(struct gguf_writer **out, struct err *e);
void gguf_writer_close(struct gguf_writer *w); /* drops the file unless committed */

/* ---- first the pairs */
MUST_CHECK bool gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v, struct err *e);
MUST_CHECK bool gguf_put_f32(struct gguf_writer *w, const char *key, float v, struct err *e);
MUST_CHECK bool gguf_put_bool(struct gguf_writer *w, const char *key, bool v, struct err *e);
MUST_CHECK bool gguf_put_str(struct gguf_writer *w, const char *key, struct str v, struct err *e);
/* An array of n items follows by as many calls of one of the three behind it. */
MUST_CHECK bool gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type item,
                               uint64_t n, struct err *e);
MUST_CHECK bool gguf_item_str(struct gguf_writer *w, struct str v, struct err *e);
MUST_CHECK bool gguf_item_i32(struct gguf_writer *w, int32_t v, struct err *e);
MUST_CHECK bool gguf_item_f32(struct gguf_writer *w, float v, struct err *e);

/* ---- then the file: list is borrowed until the commit */
MUST_CHECK bool gguf_writer_start(struct gguf_writer *w, const char *path,
                                  const struct gguf_entry *list, size_t n, struct err *e);
/* The next bytes; whole rows of one tensor. */
MUST_CHECK bool gguf_writer_put(struct gguf_writer *w, const void *p, size_t n, struct err *e);
/* CHECKs that every promised byte and item was put. */
MUST_CHECK bool gguf_writer_commit(struct gguf_writer *w, struct err *e);
