/*
 * checkpoint/ckpt_format - the bytes of arrays.rmck: a head that says everything, then the arrays.
 *
 *     0   magic "RMCKPT\x1a\n"     8  u32 version (1)     12  u32 items
 *     16  u64 step                 24  u64 table bytes     32  u64 meta bytes
 *     40  u64 file bytes           48  xxh3-128 of table and meta (lo, hi)
 *     64  xxh64 of bytes 0 to 63   72  table, then meta (JSON text)
 *
 *     table entry: u32 name bytes, u32 dtype, u64 count, u64 offset, xxh3-128 of the array
 *     (lo, hi), name. Arrays begin at multiples of 64, in the order of the table; between them
 *     are zeros, which are checked too. The file ends with the last one.
 *
 * All numbers and arrays are little-endian. The parser believes nothing: every length is checked
 * against the others before it is used. Because the head holds the arrays' sums, its own digest (in
 * COMPLETE) fixes the whole file.
 */
#pragma once
#include "base/arena.h"
#include "base/hash.h"
#include "checkpoint/ckpt.h"

#define CKPT_FIXED_BYTES 72
#define CKPT_HEAD_MAX    ((uint64_t)64 << 20)
#define CKPT_META_MAX    ((uint64_t)16 << 20)
#define CKPT_ITEMS_MAX   65536
#define CKPT_NAME_MAX    255

struct ckpt_entry {
    struct str name;
    enum ckpt_dtype dtype;
    uint64_t count, offset, bytes;
    struct hash128 sum;
};
struct ckpt_head {
    uint64_t step, file_bytes;
    struct str meta;
    struct ckpt_entry *entries;
    size_t n;
};

/* Bytes of one element, and "f32". */
uint64_t ckpt_dtype_bytes(enum ckpt_dtype t);
const char *ckpt_dtype_name(enum ckpt_dtype t);
/* Append the head of a file that holds these items to b. */
MUST_CHECK bool ckpt_head_build(uint64_t step, const struct ckpt_item *items, size_t n,
                                struct str meta, struct sbuf *b, uint64_t *file_bytes,
                                struct err *e);
/* From the fixed part: how long the whole head is. */
MUST_CHECK bool ckpt_head_size(struct str fixed, uint64_t *head_bytes, struct err *e);
/* Check and read a head of ckpt_head_size() bytes; names and meta are views into it. */
MUST_CHECK bool ckpt_head_parse(struct str head, uint64_t file_bytes, struct arena *a,
                                struct ckpt_head *out, struct err *e);
