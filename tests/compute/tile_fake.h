/*
 * tests/compute/tile_fake - AMX tiles as plain memory, so that kern_amx.c is tested on any
 * processor.
 *
 * Checks what the hardware would fault on: unconfigured tiles, rows and widths out of range,
 * operands whose shapes do not match. Sums as the instruction does: pairs in turn, each product
 * rounded (the hardware flushes denormals; no test meets one).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct fake_tile {
    unsigned rows, bytes;
    unsigned char data[16][64];
};
static _Thread_local struct fake_tile fake[8];
static _Thread_local bool fake_on;

static inline void fake_need(bool ok)
{
    if (!ok) abort();
}

static inline struct fake_tile *fake_get(int i)
{
    fake_need(fake_on && i >= 0 && i < 8 && fake[i].rows > 0);
    return &fake[i];
}

static inline void _tile_loadconfig(const void *p)
{
    const unsigned char *c = p;
    fake_need(c[0] == 1 && c[1] == 0);
    for (int i = 2; i < 16; i++)
        fake_need(c[i] == 0);
    for (int i = 0; i < 8; i++) {
        uint16_t bytes;
        memcpy(&bytes, c + 16 + 2 * i, 2);
        fake[i].bytes = bytes;
        fake[i].rows = c[48 + i];
        fake_need(bytes <= 64 && bytes % 4 == 0 && fake[i].rows <= 16);
        memset(fake[i].data, 0, sizeof fake[i].data);
    }
    fake_on = true;
}

static inline void _tile_release(void)
{
    fake_on = false;
}

static inline void _tile_zero(int i)
{
    memset(fake_get(i)->data, 0, sizeof fake[i].data);
}

static inline void _tile_loadd(int i, const void *p, size_t stride)
{
    struct fake_tile *t = fake_get(i);
    memset(t->data, 0, sizeof t->data);
    for (unsigned r = 0; r < t->rows; r++)
        memcpy(t->data[r], (const unsigned char *)p + r * stride, t->bytes);
}

static inline void _tile_stored(int i, void *p, size_t stride)
{
    const struct fake_tile *t = fake_get(i);
    for (unsigned r = 0; r < t->rows; r++)
        memcpy((unsigned char *)p + r * stride, t->data[r], t->bytes);
}

static inline float fake_value(const unsigned char *p)
{
    float f;
    unsigned char b[4] = {0, 0, p[0], p[1]};
    memcpy(&f, b, 4);
    return f;
}

static inline void _tile_dpbf16ps(int d, int a, int b)
{
    struct fake_tile *td = fake_get(d);
    const struct fake_tile *ta = fake_get(a), *tb = fake_get(b);
    fake_need(d != a && d != b && a != b);
    fake_need(td->rows == ta->rows && td->bytes == tb->bytes && tb->rows * 4 == ta->bytes);
    for (unsigned m = 0; m < td->rows; m++)
        for (unsigned n = 0; n < td->bytes / 4; n++) {
            float sum;
            memcpy(&sum, td->data[m] + (size_t)4 * n, 4);
            for (unsigned k = 0; k < tb->rows; k++)
                for (unsigned half = 0; half < 2; half++)
                    sum += fake_value(ta->data[m] + (size_t)4 * k + (size_t)2 * half) *
                           fake_value(tb->data[k] + (size_t)4 * n + (size_t)2 * half);
            memcpy(td->data[m] + (size_t)4 * n, &sum, 4);
        }
}
