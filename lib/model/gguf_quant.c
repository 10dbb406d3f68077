#include "model/gguf_quant.h"

#include <stdio.h>

#include "model/dtype.h"
#include "model/gguf.h"

static float half_at(const uint8_t *p)
{
    return dtype_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

static void block_f32(const uint8_t *p, float *out)
{
    dtype_to_f32(DTYPE_F32, p, 1, out);
}

static void block_f16(const uint8_t *p, float *out)
{
    dtype_to_f32(DTYPE_F16, p, 1, out);
}

static void block_bf16(const uint8_t *p, float *out)
{
    dtype_to_f32(DTYPE_BF16, p, 1, out);
}

/* 16 bytes hold 32 nibbles: the low ones are values 0..15, the high ones 16..31. Fifth bits, where
 * there are any, are bit i of a u32 for value i. */
static void nibbles(const uint8_t *p, uint32_t fifth, float d, float offset, float *out)
{
    for (int i = 0; i < 16; i++) {
        uint32_t lo = (p[i] & 15U) | (fifth >> i & 1U) << 4;
        uint32_t hi = (uint32_t)(p[i] >> 4) | (fifth >> (i + 16) & 1U) << 4;
        out[i] = d * (float)lo + offset;
        out[i + 16] = d * (float)hi + offset;
    }
}

/* v = d * (q - 8): the product is formed from the integer, as ggml does, so that bits agree. */
static void block_q4_0(const uint8_t *p, float *out)
{
    float d = half_at(p);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((int)(p[2 + i] & 15U) - 8);
        out[i + 16] = d * (float)((int)(p[2 + i] >> 4) - 8);
    }
}

static void block_q4_1(const uint8_t *p, float *out)
{
    nibbles(p + 4, 0, half_at(p), half_at(p + 2), out);
}

static uint32_t u32_at(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void block_q5_0(const uint8_t *p, float *out)
{
    float d = half_at(p);
    uint32_t fifth = u32_at(p + 2);
    for (int i = 0; i < 16; i++) {
        int lo = (int)((p[6 + i] & 15U) | (fifth >> i & 1U) << 4);
        int hi = (int)((uint32_t)(p[6 + i] >> 4) | (fifth >> (i + 16) & 1U) << 4);
        out[i] = d * (float)(lo - 16);
        out[i + 16] = d * (float)(hi - 16);
    }
}

static void block_q5_1(const uint8_t *p, float *out)
{
    nibbles(p + 8, u32_at(p + 4), half_at(p), half_at(p + 2), out);
}

static void block_q8_0(const uint8_t *p, float *out)
{
    float d = half_at(p);
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)p[2 + i];
}

/* 8 groups of 32 share d and a minimum's scale; 6-bit (scale, minimum) of a group are packed into
 * 12 bytes, the upper two bits of groups 4..7 in the top of the first eight. */
static void scale_min(const uint8_t *s, int group, uint32_t *scale, uint32_t *min)
{
    if (group < 4) {
        *scale = s[group] & 63U;
        *min = s[group + 4] & 63U;
    } else {
        *scale = (s[group + 4] & 15U) | (uint32_t)(s[group - 4] >> 6) << 4;
        *min = (uint32_t)(s[group + 4] >> 4) | (uint32_t)(s[group] >> 6) << 4;
    }
}

/* d, minimum's d, 12 bytes of scales, then 32 bytes for each two groups: low nibbles, high
 * nibbles. */
static void block_q4_k(const uint8_t *p, float *out)
{
    float d = half_at(p), dmin = half_at(p + 2);
    for (int g = 0; g < 8; g++) {
        const uint8_t *q = p + 16 + 32 * (g / 2);
        uint32_t scale, min;
        scale_min(p + 4, g, &scale, &min);
        float dg = d * (float)scale, mg = dmin * (float)min;
        for (int i = 0; i < 32; i++)
            out[32 * g + i] = dg * (float)(g % 2 ? q[i] >> 4 : q[i] & 15U) - mg;
    }
}

/* Halves of 128: four low bits in ql (64 bytes), two high ones in qh (32), int8 scales for 16
 * values. */
static void block_q6_k(const uint8_t *p, float *out)
{
    float d = half_at(p + 208);
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = p + 64 * h, *qh = p + 128 + 32 * h, *sc = p + 192 + 8 * h;
        for (int i = 0; i < 128; i++) {
            int part = i / 32, l = i % 32;
            uint32_t low =
                part < 2 ? ql[l + 32 * part] & 15U : (uint32_t)(ql[l + 32 * (part - 2)] >> 4);
            int q = (int)(low | (uint32_t)(qh[l] >> (2 * part) & 3U) << 4) - 32;
            out[128 * h + i] = d * (float)(int8_t)sc[l / 16 + 2 * part] * (float)q;
        }
    }
}

static const struct gguf_quant quants[] = {
    {0, "F32", 1, 4, block_f32},        {1, "F16", 1, 2, block_f16},
    {30, "BF16", 1, 2, block_bf16},     {2, "Q4_0", 32, 18, block_q4_0},
    {3, "Q4_1", 32, 20, block_q4_1},    {6, "Q5_0", 32, 22, block_q5_0},
    {7, "Q5_1", 32, 24, block_q5_1},    {8, "Q8_0", 32, 34, block_q8_0},
    {12, "Q4_K", 256, 144, block_q4_k}, {14, "Q6_K", 256, 210, block_q6_k},
};

const struct gguf_quant *gguf_quant_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof quants / sizeof *quants; i++) {
        if (quants[i].type == type) return &quants[i];
    }
    return NULL;
}

const char *gguf_type_name(uint32_t type)
{
    static const char *const k_types[] = {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K"};
    static _Thread_local char other[24];
    const struct gguf_quant *q = gguf_quant_of(type);
    if (q) return q->name;
    if (type >= 10 && type <= 15) return k_types[type - 10];
    snprintf(other, sizeof other, "type %u", type);
    return other;
}

void gguf_row(const struct gguf_tensor *t, uint64_t r, float *out)
{
    const struct gguf_quant *q = gguf_quant_of(t->type);
    uint64_t blocks = t->dims[0] / q->values;
    const uint8_t *p = t->data + r * blocks * q->bytes;
    for (uint64_t i = 0; i < blocks; i++)
        q->block(p + i * q->bytes, out + i * q->values);
}
