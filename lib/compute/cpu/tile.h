/*
 * compute/cpu/tile - the innermost product, once for each instruction set.
 *
 * Operands are seen as 32-bit units: one f32, or two bf16 neighbours in k. acc[rows, cols] (+)=
 * A[rows, k] B[k, cols] with
 *
 *     A  row-major, `lda` bytes from row to row, units of a row contiguous (an ordinary matrix)
 *     B  one packed panel: unit (k, j) at k * cols + j, cols = one or two vectors wide
 *     acc f32, row-major, `ld` from row to row
 *
 * Each element is one chain of fused multiply-adds in increasing k, started from acc when add is
 * set: so its bits depend neither on rows nor on how k is cut into calls. The chain may go on with
 * a second A and B of the same shape but for k, while the sums are in registers. From there they
 * may also go straight to where the product is wanted (enum tile_end), instead of to acc.
 *
 * A few rows leave registers idle and wait for their own sums: run_wide takes two panels at once
 * (the same chains), and fetches memory that comes next between the multiplications.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tile_end {
    TILE_TO_ACC,     /* to acc */
    TILE_TO_F32,     /* to `to` */
    TILE_TO_F32_ADD, /* added to what is there */
    TILE_TO_BF16,    /* rounded to nearest even, as kern.h's narrow does it */
    TILE_TO_ALL
};

struct tile_args {
    uint32_t rows; /* 1..mr */
    uint32_t cols; /* nr or nr / 2 */
    size_t k;      /* units */
    const void *a;
    size_t lda;
    const void *b;
    size_t k2; /* 0: no second A and B */
    const void *a2;
    size_t lda2;
    const void *b2;
    float *acc;
    size_t ld; /* of acc, in elements */
    bool add;
    enum tile_end end;
    void *to;
    size_t ld_to; /* in elements */
    /* run_wide alone; cols is nr, k2 0: */
    const void *beside; /* the panel of the next nr columns */
    ptrdiff_t ahead;    /* bytes from both panels to what is read next */
};

struct tile {
    const char *name;
    bool bf16; /* units are bf16 pairs; else f32 */
    uint32_t mr, nr;
    uint32_t row_unit;      /* a tile of fewer rows costs as much as the next multiple of this */
    uint32_t kpad;          /* k is a multiple of this (units); operands are padded with zeros */
    uint32_t kc;            /* best k of one call (units): keeps a panel in the first-level cache */
    bool ends[TILE_TO_ALL]; /* which it knows; TILE_TO_ACC always */
    void (*run)(const struct tile_args *t);
    void (*run_wide)(const struct tile_args *t); /* NULL: there is none */
    uint32_t wide_rows;                          /* most rows of it */
    void (*begin)(void);                         /* around the calls of one thread; may be NULL */
    void (*end)(void);
};

extern const struct tile tile_generic, tile_avx2, tile_avx512, tile_avx512_bf16, tile_amx;
