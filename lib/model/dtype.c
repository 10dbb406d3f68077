#include "model/dtype.h"

#include <math.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[DTYPES] = {
    [DTYPE_F32] = {"F32", 4}, [DTYPE_BF16] = {"BF16", 2},       [DTYPE_F16] = {"F16", 2},
    [DTYPE_F64] = {"F64", 8}, [DTYPE_BOOL] = {"BOOL", 1},       [DTYPE_U8] = {"U8", 1},
    [DTYPE_I8] = {"I8", 1},   [DTYPE_F8_E5M2] = {"F8_E5M2", 1}, [DTYPE_F8_E4M3] = {"F8_E4M3", 1},
    [DTYPE_I16] = {"I16", 2}, [DTYPE_U16] = {"U16", 2},         [DTYPE_I32] = {"I32", 4},
    [DTYPE_U32] = {"U32", 4}, [DTYPE_I64] = {"I64", 8},         [DTYPE_U64] = {"U64", 8},
};

const char *dtype_name(enum dtype t)
{
    CHECK(t < DTYPES);
    return dtypes[t].name;
}

const char *dtype_torch_name(enum dtype t)
{
    CHECK(t == DTYPE_F32 || t == DTYPE_BF16 || t == DTYPE_F16);
    return t == DTYPE_F32 ? "float32" : t == DTYPE_BF16 ? "bfloat16" : "float16";
}

size_t dtype_bytes(enum dtype t)
{
    CHECK(t < DTYPES);
    return dtypes[t].bytes;
}

bool dtype_parse(struct str name, enum dtype *out)
{
    for (int t = 0; t < DTYPES; t++) {
        if (!str_eqz(name, dtypes[t].name)) continue;
        *out = (enum dtype)t;
        return true;
    }
    return false;
}

bool dtype_is_weight(enum dtype t)
{
    return t == DTYPE_F32 || t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F64;
}

static float f32_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Shift exponent and mantissa into place, then let one exact multiplication by 2^112 rebias the
 * exponent: subnormals come out right without a loop. */
float dtype_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t rest = (uint32_t)(h & 0x7fffu) << 13;
    if ((h & 0x7c00u) == 0x7c00u) return f32_of_bits(sign | 0x7f800000u | rest);
    return f32_of_bits(sign | bits_of_f32(f32_of_bits(rest) * 0x1p112f));
}

uint16_t dtype_f32_to_f16(float f)
{
    uint32_t u = bits_of_f32(f);
    uint16_t sign = (uint16_t)((u >> 16) & 0x8000u);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds past 65504 */
    if (u < 0x38800000u) { /* subnormal: adding 0.5 leaves the f16 mantissa in the low bits */
        float v = f32_of_bits(u) + 0.5f;
        return (uint16_t)(sign | (bits_of_f32(v) - 0x3f000000u));
    }
    u += 0xfffu + ((u >> 13) & 1u);
    return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}

float dtype_bf16_to_f32(uint16_t h)
{
    return f32_of_bits((uint32_t)h << 16);
}

uint16_t dtype_f32_to_bf16(float f)
{
    uint32_t u = bits_of_f32(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static uint16_t load16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

void dtype_to_f32(enum dtype t, const void *src, size_t n, float *dst)
{
    const uint8_t *p = src;
    switch (t) {
    case DTYPE_F32:
        if (n) memcpy(dst, src, n * 4);
        return;
    case DTYPE_BF16:
        for (size_t i = 0; i < n; i++)
            dst[i] = dtype_bf16_to_f32(load16(p + 2 * i));
        return;
    case DTYPE_F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = dtype_f16_to_f32(load16(p + 2 * i));
        return;
    case DTYPE_F64:
        for (size_t i = 0; i < n; i++) {
            double v;
            memcpy(&v, p + 8 * i, sizeof v);
            dst[i] = (float)v;
        }
        return;
    default:
        UNREACHABLE();
    }
}

void dtype_from_f32(enum dtype t, const float *src, size_t n, void *dst)
{
    uint8_t *p = dst;
    switch (t) {
    case DTYPE_F32:
        if (n) memcpy(dst, src, n * 4);
        return;
    case DTYPE_BF16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h = dtype_f32_to_bf16(src[i]);
            memcpy(p + 2 * i, &h, sizeof h);
        }
        return;
    case DTYPE_F16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h = dtype_f32_to_f16(src[i]);
            memcpy(p + 2 * i, &h, sizeof h);
        }
        return;
    default:
        UNREACHABLE();
    }
}
