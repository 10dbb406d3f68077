/*
 * The register tile for AMX (Sapphire Rapids and later): two by two hardware tiles, 32 rows by 32
 * columns.
 *
 *     tiles 0 1   sums of rows 0-15     tiles 4, 5   A, rows 0-15 and 16-31, 16 units each
 *           2 3   and of rows 16-31     tiles 6, 7   B, columns 0-15 and 16-31
 *
 * A hardware tile knows how many of its rows are in use: the shape is loaded again when `rows`
 * changes. The packed panels are those of AVX512-BF16. On other processors test_amx.c includes
 * this file with tiles made of memory.
 */
#include "compute/cpu/tile.h"

#ifndef RADMILL_FAKE_AMX /* tests bring their own instructions */
#include <immintrin.h>
#endif

#include <string.h>

enum { TILE_ROWS = 16, TILE_BYTES = 64, UNITS = 16 };

/* The layout that ldtilecfg reads. */
struct tile_shape {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
};

static _Thread_local uint32_t shaped_for; /* rows of the shape in force; 0: none */

static void shape_tiles(uint32_t rows)
{
    if (rows == shaped_for) return;
    struct tile_shape s = {.palette = 1};
    uint8_t top = (uint8_t)(rows < TILE_ROWS ? rows : TILE_ROWS);
    uint8_t bottom = (uint8_t)(rows > TILE_ROWS ? rows - TILE_ROWS : 1);
    const uint8_t used[8] = {top, top, bottom, bottom, top, bottom, TILE_ROWS, TILE_ROWS};
    for (int i = 0; i < 8; i++) {
        s.bytes[i] = TILE_BYTES;
        s.rows[i] = used[i];
    }
    __asm__ volatile("" ::"r"(&s) : "memory"); /* gcc 12 drops the stores above otherwise */
    _tile_loadconfig(&s);
    shaped_for = rows;
}

static void begin(void)
{
    shaped_for = 0;
}

static void end(void)
{
    if (shaped_for != 0) _tile_release();
    shaped_for = 0;
}

static void sum_top(uint32_t cols, const unsigned char *a, size_t lda, const unsigned char *b,
                    size_t units)
{
    size_t ldb = (size_t)cols * 4;
    for (size_t k = 0; k < units; k += UNITS, a += TILE_BYTES, b += UNITS * ldb) {
        _tile_loadd(4, a, lda);
        _tile_loadd(6, b, ldb);
        _tile_dpbf16ps(0, 4, 6);
        if (cols <= 16) continue;
        _tile_loadd(7, b + TILE_BYTES, ldb);
        _tile_dpbf16ps(1, 4, 7);
    }
}

/* Where sums go, and the bytes from row to row there. */
static float *goal(const struct tile_args *t, size_t *ld)
{
    bool there = t->end == TILE_TO_F32;
    *ld = (there ? t->ld_to : t->ld) * sizeof(float);
    return there ? t->to : t->acc;
}

/* Up to 16 rows by one or two tiles of columns. */
static void run_top(const struct tile_args *t)
{
    size_t ld = t->ld * sizeof(float);
    _tile_zero(0);
    _tile_zero(1);
    if (t->add) {
        _tile_loadd(0, t->acc, ld);
        if (t->cols > 16) _tile_loadd(1, t->acc + 16, ld);
    }
    sum_top(t->cols, t->a, t->lda, t->b, t->k);
    if (t->k2 > 0) sum_top(t->cols, t->a2, t->lda2, t->b2, t->k2);
    float *to = goal(t, &ld);
    _tile_stored(0, to, ld);
    if (t->cols > 16) _tile_stored(1, to + 16, ld);
}

static void load_sums(const struct tile_args *t, size_t ld)
{
    const float *low = t->acc + TILE_ROWS * t->ld;
    _tile_loadd(0, t->acc, ld);
    _tile_loadd(2, low, ld);
    if (t->cols <= 16) return;
    _tile_loadd(1, t->acc + 16, ld);
    _tile_loadd(3, low + 16, ld);
}

static void store_sums(const struct tile_args *t)
{
    size_t ld;
    float *to = goal(t, &ld), *low = to + TILE_ROWS * ld / sizeof *to;
    _tile_stored(0, to, ld);
    _tile_stored(2, low, ld);
    if (t->cols <= 16) return;
    _tile_stored(1, to + 16, ld);
    _tile_stored(3, low + 16, ld);
}

static void sum_both(uint32_t cols, const unsigned char *a, size_t lda, const unsigned char *b,
                     size_t units)
{
    const unsigned char *a2 = a + TILE_ROWS * lda;
    size_t ldb = (size_t)cols * 4;
    for (size_t k = 0; k < units; k += UNITS, b += UNITS * ldb) {
        _tile_loadd(4, a + k * 4, lda);
        _tile_loadd(6, b, ldb);
        _tile_loadd(5, a2 + k * 4, lda);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        if (cols <= 16) continue;
        _tile_loadd(7, b + TILE_BYTES, ldb);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
}

/* More than 16 rows. */
static void run_both(const struct tile_args *t)
{
    size_t ld = t->ld * sizeof(float);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (t->add) load_sums(t, ld);
    sum_both(t->cols, t->a, t->lda, t->b, t->k);
    if (t->k2 > 0) sum_both(t->cols, t->a2, t->lda2, t->b2, t->k2);
    store_sums(t);
}

static void run(const struct tile_args *t)
{
    shape_tiles(t->rows);
    if (t->rows > TILE_ROWS)
        run_both(t);
    else
        run_top(t);
}

const struct tile tile_amx = {
    .name = "amx",
    .bf16 = true,
    .mr = 2 * TILE_ROWS,
    .nr = 32,
    .row_unit = TILE_ROWS,
    .kpad = UNITS,
    .kc = 512,
    .ends = {[TILE_TO_ACC] = true, [TILE_TO_F32] = true},
    .run = run,
    .begin = begin,
    .end = end,
};
