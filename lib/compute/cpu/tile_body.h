/*
 * compute/cpu/tile_body - the register tile of tile.h for processors with vector registers.
 *
 * Included by kern_<isa>.c after it defined VEC (type), VEC_LOAD, VEC_STORE, VEC_ZERO, TILE_UNIT
 * (f32 or u32), VEC_SPREAD (unit to all lanes), VEC_FMA(acc, a, b), VEC_LANES, TILE_MR (6 or 14),
 * TILE (name); TILE_A when VEC_SPREAD gives another type; VEC_STORE16 (rounds to bf16) for the end
 * TILE_TO_BF16. A tile is TILE_MR rows by two vectors;
 * all accumulators stay in registers. TILE_WIDE: TILE_WIDE_ROWS rows by four vectors do, too.
 */
#include "compute/cpu/tile.h"

#ifndef TILE_A
#define TILE_A VEC
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The compiler must not see how the strides are related, or it keeps a pointer for each row. */
#define OPAQUE(x) __asm__("" : "+r"(x))

ALWAYS_INLINE TILE_UNIT tile_unit(const char *p)
{
    TILE_UNIT u;
    __builtin_memcpy(&u, p, sizeof u);
    return u;
}

/* The rows of the next tile come while this one is multiplied: weights that are read once a step,
 * 14 rows side by side, are more than the processor foresees by itself. */
enum { LINE_UNITS = 16 }; /* of a cache line */
ALWAYS_INLINE void fetch_rows(const char *p, size_t stride, const int rows)
{
    for (int r = 0; r < rows; r++, p += stride)
        __builtin_prefetch(p);
}

/* acc += A B; rows and vecs are constants where this is inlined: the loops vanish. */
ALWAYS_INLINE void tile_sum(VEC acc[TILE_MR][2], const char *p, size_t s1, const char *b, size_t k,
                            const int rows, const int vecs)
{
    size_t s3 = 3 * s1, s5 = 5 * s1, s7 = 7 * s1;
    OPAQUE(s3);
    OPAQUE(s5);
    OPAQUE(s7);
    const char *p8 = p + 8 * s1;
    OPAQUE(p8);
    for (; k > 0; k--) {
        if (k % LINE_UNITS == 0) fetch_rows(p + (size_t)rows * s1, s1, rows);
        const size_t at[8] = {0, s1, 2 * s1, s3, 4 * s1, s5, 2 * s3, s7};
        VEC bv[2];
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            bv[v] = VEC_LOAD(b + v * VEC_LANES * 4);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            TILE_A av = VEC_SPREAD(tile_unit((r < 8 ? p : p8) + at[r % 8]));
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                acc[r][v] = VEC_FMA(acc[r][v], av, bv[v]);
        }
        b += vecs * VEC_LANES * 4;
        p += 4;
        p8 += 4;
    }
}

/* What the sums are added to comes while they are formed: rows of the result lie far apart. */
ALWAYS_INLINE void fetch_to(const struct tile_args *t, const int rows, const int vecs)
{
    const float *to = t->to;
    for (int r = 0; r < rows; r++, to += t->ld_to)
        for (int v = 0; v < vecs; v++)
            __builtin_prefetch(to + v * VEC_LANES, 1);
}

ALWAYS_INLINE void store_f32(VEC acc[TILE_MR][2], float *to, size_t ld, bool add, const int rows,
                             const int vecs)
{
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) {
            float *p = to + (size_t)r * ld + v * VEC_LANES;
            if (add) acc[r][v] = acc[r][v] + VEC_LOAD(p);
            VEC_STORE(p, acc[r][v]);
        }
}

#ifdef VEC_STORE16
ALWAYS_INLINE void store_bf16(VEC acc[TILE_MR][2], uint16_t *to, size_t ld, const int rows,
                              const int vecs)
{
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            VEC_STORE16(to + (size_t)r * ld + v * VEC_LANES, acc[r][v]);
}
#endif

ALWAYS_INLINE void tile_store(const struct tile_args *t, VEC acc[TILE_MR][2], const int rows,
                              const int vecs)
{
    switch (t->end) {
    case TILE_TO_F32:
        store_f32(acc, t->to, t->ld_to, false, rows, vecs);
        break;
    case TILE_TO_F32_ADD:
        store_f32(acc, t->to, t->ld_to, true, rows, vecs);
        break;
#ifdef VEC_STORE16
    case TILE_TO_BF16:
        store_bf16(acc, t->to, t->ld_to, rows, vecs);
        break;
#endif
    default:
        store_f32(acc, t->acc, t->ld, false, rows, vecs);
        break;
    }
}

ALWAYS_INLINE void tile_fixed(const struct tile_args *t, const int rows, const int vecs)
{
    VEC acc[TILE_MR][2];
    if (t->end == TILE_TO_F32_ADD) fetch_to(t, rows, vecs);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            acc[r][v] = t->add ? VEC_LOAD(t->acc + (size_t)r * t->ld + v * VEC_LANES) : VEC_ZERO();
    const char *p = t->a, *b = t->b;
    size_t lda = t->lda, k = t->k;
    for (int part = 0;; part++) {
        tile_sum(acc, p, lda, b, k, rows, vecs);
        if (part == 1 || t->k2 == 0) break;
        p = t->a2;
        b = t->b2;
        lda = t->lda2;
        k = t->k2;
    }
    tile_store(t, acc, rows, vecs);
}

#define TILE_CASE(n)                                                                               \
    case n:                                                                                        \
        if (t->cols > VEC_LANES)                                                                   \
            tile_fixed(t, n, 2);                                                                   \
        else                                                                                       \
            tile_fixed(t, n, 1);                                                                   \
        break;

/* One case a height, so that every tile has its size at compile time. */
/* NOLINTNEXTLINE(readability-function-cognitive-complexity) */
static void tile_run(const struct tile_args *t)
{
    switch (t->rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
#if TILE_MR > 6
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
        TILE_CASE(13)
        TILE_CASE(14)
#endif
    default:
        break;
    }
}

#ifdef TILE_WIDE
enum { TILE_WIDE_ROWS = 6, TILE_WIDE_VECS = 4 };

ALWAYS_INLINE void wide_fixed(const struct tile_args *t, const int rows)
{
    VEC acc[TILE_WIDE_ROWS][TILE_WIDE_VECS];
    const char *p = t->a, *b = t->b, *beside = t->beside;
    size_t lda = t->lda;
    ptrdiff_t ahead = t->ahead;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < TILE_WIDE_VECS; v++)
            acc[r][v] = t->add ? VEC_LOAD(t->acc + (size_t)r * t->ld + v * VEC_LANES) : VEC_ZERO();
    for (size_t k = t->k; k > 0; k--) {
        VEC bv[TILE_WIDE_VECS];
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            __builtin_prefetch(b + ahead + v * VEC_LANES * 4);
            __builtin_prefetch(beside + ahead + v * VEC_LANES * 4);
            bv[v] = VEC_LOAD(b + v * VEC_LANES * 4);
            bv[2 + v] = VEC_LOAD(beside + v * VEC_LANES * 4);
        }
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            TILE_A av = VEC_SPREAD(tile_unit(p + (size_t)r * lda));
#pragma GCC unroll 4
            for (int v = 0; v < TILE_WIDE_VECS; v++)
                acc[r][v] = VEC_FMA(acc[r][v], av, bv[v]);
        }
        b += 2 * VEC_LANES * 4;
        beside += 2 * VEC_LANES * 4;
        p += 4;
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < TILE_WIDE_VECS; v++)
            VEC_STORE(t->acc + (size_t)r * t->ld + v * VEC_LANES, acc[r][v]);
}

static void tile_run_wide(const struct tile_args *t)
{
    switch (t->rows) {
    case 1:
        wide_fixed(t, 1);
        break;
    case 2:
        wide_fixed(t, 2);
        break;
    case 3:
        wide_fixed(t, 3);
        break;
    case 4:
        wide_fixed(t, 4);
        break;
    case 5:
        wide_fixed(t, 5);
        break;
    case 6:
        wide_fixed(t, 6);
        break;
    default:
        break;
    }
}
#endif

const struct tile TILE = {
    .name = TILE_NAME,
    .bf16 = TILE_BF16,
    .mr = TILE_MR,
    .nr = 2 * VEC_LANES,
    .row_unit = 1,
    .kpad = 1,
    .kc = TILE_KC,
    .ends = {[TILE_TO_ACC] = true,
             [TILE_TO_F32] = true,
             [TILE_TO_F32_ADD] = true,
#ifdef VEC_STORE16
             [TILE_TO_BF16] = true
#endif
    },
    .run = tile_run,
#ifdef TILE_WIDE
    .run_wide = tile_run_wide,
    .wide_rows = TILE_WIDE_ROWS,
#endif
};
