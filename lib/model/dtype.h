/*
 * model/dtype - number formats in weight files, and their conversion to and from f32.
 *
 * Only what weights come in: floats convert, integers are known by size alone. Conversions round to
 * nearest, ties to even; NaN stays NaN, overflow of f16 becomes infinity.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum dtype {
    DTYPE_F32,
    DTYPE_BF16,
    DTYPE_F16,
    DTYPE_F64,
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_F8_E5M2,
    DTYPE_F8_E4M3,
    DTYPE_I16,
    DTYPE_U16,
    DTYPE_I32,
    DTYPE_U32,
    DTYPE_I64,
    DTYPE_U64,
    DTYPES
};
/* "F32", "BF16", ... as safetensors writes them. */
const char *dtype_name(enum dtype t);
/* "float32", "bfloat16", "float16" as config.json writes them; only for those three. */
const char *dtype_torch_name(enum dtype t);
size_t dtype_bytes(enum dtype t);
/* False when name is none of ours. */
bool dtype_parse(struct str name, enum dtype *out);
/* F32, BF16, F16, F64: what the conversions take. */
bool dtype_is_weight(enum dtype t);

float dtype_f16_to_f32(uint16_t h);
uint16_t dtype_f32_to_f16(float f);
float dtype_bf16_to_f32(uint16_t h);
uint16_t dtype_f32_to_bf16(float f);

/* n values of a weight dtype at src (any alignment) to f32, and back. */
void dtype_to_f32(enum dtype t, const void *src, size_t n, float *dst);
void dtype_from_f32(enum dtype t, const float *src, size_t n, void *dst);
