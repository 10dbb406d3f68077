/*
 * model/gguf_quant - block formats of GGUF tensors (ggml's Q4_0 and kin) back to f32.
 *
 * A row is cut into blocks of `values` values kept in `bytes` bytes: a scale d (f16), for the _1
 * types a minimum m (f16), packed integers. Layouts are in gguf_quant.c.
 */
#pragma once
#include <stdint.h>

struct gguf_quant {
    uint32_t type; /* ggml's number */
    const char *name;
    uint32_t values, bytes;
    void (*block)(const uint8_t *p, float *out);
};
/* NULL for a type that is not supported. */
const struct gguf_quant *gguf_quant_of(uint32_t type);
