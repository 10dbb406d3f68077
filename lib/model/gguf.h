/*
 * model/gguf - read GGUF version 3 files: metadata, tensor table, and block-quantised tensors
 * back to f32.
 *
 *     "GGUF" | u32 3 | u64 tensors | u64 pairs | pairs | tensor infos | pad | data
 *
 * The file is mapped; keys, strings and tensors are views into the map. Everything is checked when
 * the file is opened: lengths against the file, types, alignment, no tensor outside the data. Reads
 * F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q6_K; other types are an error that names
 * tensor and type. Does not write; does not know the vocabulary (lib/text does).
 *
 * Limits: 100,000 tensors, 100,000 pairs, keys of 65,535 bytes, tensor names of 64, 4 dimensions,
 * arrays inside arrays 4 deep.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};
struct gguf_kv {
    struct str key;
    enum gguf_type type;
    enum gguf_type item; /* of an array */
    uint64_t n;          /* items of an array, else 1 */
    const uint8_t *data; /* first value, any alignment */
    const uint8_t *end;
};
struct gguf_tensor {
    char name[65];
    uint32_t type; /* ggml's number */
    uint32_t ndims;
    uint64_t dims[4]; /* dims[0] is contiguous: a linear layer has {in, out} */
    uint64_t rows;    /* product of dims[1..] */
    uint64_t bytes;
    const uint8_t *data;
};

struct gguf;
MUST_CHECK bool gguf_open(const char *path, struct gguf **out, struct err *e);
/* The same over memory that outlives it; `what` names it in errors. */
MUST_CHECK bool gguf_open_memory(const uint8_t *p, size_t n, const char *what, struct gguf **out,
                                 struct err *e);
void gguf_close(struct gguf *g);

const struct gguf_tensor *gguf_tensors(const struct gguf *g, size_t *n);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name); /* NULL: none */
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key);        /* NULL: none */
/* Values of a key: absent is an error naming it, and so is another type (any integer type and bool
 * serve as u64, f32 as f64; of an array, all items must be equal). */
MUST_CHECK bool gguf_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *e);
MUST_CHECK bool gguf_f64(const struct gguf *g, const char *key, double *out, struct err *e);
MUST_CHECK bool gguf_str(const struct gguf *g, const char *key, struct str *out, struct err *e);

/* "Q4_1", or "type 42". Valid until the next call. */
const char *gguf_type_name(uint32_t type);
/* Row r (dims[0] values) to f32. */
void gguf_row(const struct gguf_tensor *t, uint64_t r, float *out);
