/*
 * model/quant - a linear layer's frozen weight in 8 or 4 bits (QLoRA), made at loading.
 *
 *     int8   a scale a row: largest / 127; codes rounded to nearest
 *     nf4    bitsandbytes' 4-bit normal float: blocks of 64 along the matrix, each divided by its
 *            largest; 16 values; the blocks' scales, less their mean, are themselves kept in 8 bits
 *            of a dynamic map in blocks of 256 (double quantisation): 4.13 bits a weight
 *
 * Host side: it makes what dev_dequant reads back. Each part of a merged layer (q, k, v; gate, up)
 * is a matrix of its own, as PEFT and bitsandbytes have it.
 */
#pragma once
#include "compute/dev.h"
#include "model/dtype.h"

struct quant_size {
    uint64_t codes, scales; /* U8 elements (int8: scales are floats, and counted there) */
    uint64_t floats;        /* int8: scales; nf4: outer scales and table */
};
struct quant_size quant_size(enum dev_quant_kind kind, uint64_t rows, uint64_t cols);

/* A matrix as it lies in its file: read where it is, a few thousand values at a time. */
struct quant_source {
    enum dtype dtype;
    const void *data;
    uint64_t rows, cols;
    uint32_t threads; /* 0 counts as 1; the result does not depend on it */
};
/* To bytes (codes, then scales) and floats, of the sizes above. */
MUST_CHECK bool quant_pack(enum dev_quant_kind kind, const struct quant_source *src, uint8_t *bytes,
                           float *floats, struct err *e);
/* The two tables behind nf4, for tests: 16 values; 256 values in increasing order. */
void quant_nf4_book(float out[DEV_NF4_BOOK]);
void quant_dynamic_map(float out[DEV_NF4_MAP]);
