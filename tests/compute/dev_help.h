/*
 * tests/compute/dev_help - host matrices of doubles to and from a device, and their distance.
 *
 * Everything aborts on failure. Values are reproducible: help_random(seed, i) lies in [-1, 1).
 */
#pragma once
#include "compute/dev.h"
#include "support/test_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct err must_e = {0};                                                                   \
        struct err *e = &must_e;                                                                   \
        if (!(call)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, must_e.text);            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline double help_random(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * 0xD1342543DE82EF95u + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0;
}

static inline uint16_t help_bf16(double x)
{
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, 4);
    return (uint16_t)((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}

static inline double help_from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* x rounded to what the dtype holds. */
static inline double help_round(double x, enum dev_dtype t)
{
    return t == DEV_BF16 ? help_from_bf16(help_bf16(x)) : (double)(float)x;
}

/* A matrix on the device with a host copy of what was put there. ld may exceed cols; the gap is
 * NaN. */
struct hmat {
    struct dev *d;
    struct dev_buf *buf;
    struct dev_mat m;
    size_t bytes;
};

static inline void help_put(struct hmat *h, const double *x)
{
    unsigned char *raw = malloc(h->bytes);
    memset(raw, 0xFF, h->bytes);
    for (uint32_t r = 0; r < h->m.rows; r++)
        for (uint32_t c = 0; c < h->m.cols; c++) {
            size_t i = (size_t)r * h->m.ld + c;
            double v = x[(size_t)r * h->m.cols + c];
            if (h->m.dtype == DEV_F32) ((float *)(void *)raw)[i] = (float)v;
            if (h->m.dtype == DEV_BF16) ((uint16_t *)(void *)raw)[i] = help_bf16(v);
            if (h->m.dtype == DEV_I32) ((int32_t *)(void *)raw)[i] = (int32_t)v;
            if (h->m.dtype == DEV_I64) ((int64_t *)(void *)raw)[i] = (int64_t)v;
        }
    MUST(dev_upload(h->d, h->buf, 0, raw, h->bytes, e));
    free(raw);
}

static inline struct hmat help_mat(struct dev *d, enum dev_dtype t, uint32_t rows, uint32_t cols,
                                   uint32_t ld, const double *x)
{
    struct hmat h = {.d = d};
    h.bytes = ((size_t)rows * ld + 1) * dev_dtype_bytes(t);
    MUST(dev_buf_open(d, h.bytes, &h.buf, e));
    h.m = dev_mat_of(h.buf, 0, t, rows, cols);
    h.m.ld = ld;
    if (x) help_put(&h, x);
    return h;
}

/* malloc'ed doubles, rows * cols. */
static inline double *help_get(const struct hmat *h)
{
    unsigned char *raw = malloc(h->bytes);
    double *x = malloc(((size_t)h->m.rows * h->m.cols + 1) * sizeof *x);
    MUST(dev_download(h->d, h->buf, 0, raw, h->bytes, e));
    for (uint32_t r = 0; r < h->m.rows; r++)
        for (uint32_t c = 0; c < h->m.cols; c++) {
            size_t i = (size_t)r * h->m.ld + c;
            double v = 0;
            if (h->m.dtype == DEV_F32) v = ((float *)(void *)raw)[i];
            if (h->m.dtype == DEV_BF16) v = help_from_bf16(((uint16_t *)(void *)raw)[i]);
            if (h->m.dtype == DEV_I32) v = ((int32_t *)(void *)raw)[i];
            if (h->m.dtype == DEV_I64) v = (double)((int64_t *)(void *)raw)[i];
            x[(size_t)r * h->m.cols + c] = v;
        }
    free(raw);
    return x;
}

static inline void help_drop(struct hmat *h)
{
    dev_buf_close(h->buf);
    h->buf = NULL;
}

/* malloc'ed values in [-scale, scale), rounded to the dtype. */
static inline double *help_values(uint64_t seed, size_t n, double scale, enum dev_dtype t)
{
    double *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = help_round(scale * help_random(seed, i), t);
    return x;
}

/* |x - y| / |y| in the root mean square; infinite when x holds a NaN. */
static inline double help_distance(const double *x, const double *y, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        d += (x[i] - y[i]) * (x[i] - y[i]);
        s += y[i] * y[i];
    }
    if (!(d >= 0)) return INFINITY;
    return s > 0 ? sqrt(d / s) : sqrt(d);
}
