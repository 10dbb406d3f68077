/*
 * compute/cpu/gemm - matrix products of the cpu device.
 *
 * The main idea: of the two operands one ("A") is read where it lies, row by row, and one ("B") is
 * packed into panels of a register tile's width; the smaller one is packed, and the result is
 * stored transposed when that exchanged the two. Every element of the result is one chain of
 * multiply-adds in increasing k: its bits depend on its own row and column alone, not on how many
 * others there are, nor on the number of threads. So a sample gives the same logits alone and in a
 * batch.
 *
 * bf16 is multiplied as bf16 where the processor can (AMX; AVX512-BF16 of AMD: Intel's runs at half
 * the rate of f32), else widened to f32 while it is packed, which is exact.
 */
#pragma once
#include "compute/cpu/cpu.h"
#include "compute/cpu/tile.h"

/* A stored matrix: rows are the row (A) or column (B) index of the product and k runs along a row;
 * trans: the other way round. */
struct gemm_src {
    const void *p;
    enum dev_dtype t;
    size_t ld;
    bool trans;
};

struct gemm_dst {
    void *p;
    enum dev_dtype t;
    size_t ld;
    float alpha, beta;
    bool trans; /* element (m, n) goes to p[n * ld + m] */
};

/* A and B as the tile wants them. */
struct gemm_packed {
    const void *a; /* row-major */
    size_t lda;    /* bytes */
    const void *b; /* panels */
    size_t depth;  /* units of k that each panel of b holds */
    size_t cols;   /* columns that were packed from b on: tells how wide the last panel is */
    size_t m, n;   /* wanted; n <= cols */
    size_t k;      /* units, <= depth */
};

struct gemm;
MUST_CHECK bool gemm_open(const struct cpu *c, struct gemm **out, struct err *e);
void gemm_close(struct gemm *g);
const char *gemm_describe(const struct gemm *g);

/* The register tile for operands stored as t. tile->bf16 tells what they are multiplied as. */
const struct tile *gemm_tile(const struct gemm *g, enum dev_dtype t);
/* Units of k for n values, padded as the tile wants. */
size_t gemm_units(const struct tile *t, size_t n);
/* Bytes of one row of A, packed; of B with n columns. */
size_t gemm_a_bytes(const struct tile *t, size_t k);
size_t gemm_b_bytes(const struct tile *t, size_t n, size_t k);
/* Floats of tmp that the two pack functions want. */
enum { GEMM_PACK_TMP = 32 * 256 };
/* Rows m0.. of A as contiguous rows of gemm_a_bytes; columns n0.. of B as panels. s.p is element
 * (0, 0). Values 0..k of each, then zeros up to the padding. */
void gemm_pack_a(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t m0, size_t m,
                 size_t k, float *tmp, void *out);
void gemm_pack_b(const struct cpu *c, const struct tile *t, struct gemm_src s, size_t n0, size_t n,
                 size_t k, float *tmp, void *out);
/* out = alpha (sum of the terms' A B) + beta out, with gemm_multiply_bytes of scratch. All terms
 * have the same m, n and cols. */
size_t gemm_multiply_bytes(const struct tile *t);
void gemm_multiply(const struct cpu *c, const struct tile *t, const struct gemm_packed *p,
                   size_t terms, struct gemm_dst out, void *scratch);

/* The two halves of it, for a product that is summed in several calls. Rows to take at a time: */
size_t gemm_row_block(const struct tile *t, size_t k);
/* Columns of the panel that begins at column n0 (a multiple of nr). */
size_t gemm_panel_width(const struct tile *t, const struct gemm_packed *p, size_t n0);
struct gemm_sums {
    float *p; /* [rows, ld], ld at least the panel's width */
    size_t ld;
    bool add; /* go on from what is there */
};
/* Rows [m0, m0 + rows), the panel at column n0; between t->begin and t->end. */
void gemm_sum(const struct tile *t, const struct gemm_packed *p, size_t m0, size_t rows, size_t n0,
              struct gemm_sums s);
/* All rows and columns of p, with begin and end. */
void gemm_add(const struct tile *t, const struct gemm_packed *p, struct gemm_sums s);
/* Sums of at most gemm_row_block rows and one panel go to (m0, n0) of o; turned: gemm_put_bytes. */
size_t gemm_put_bytes(const struct tile *t);
void gemm_put(const struct cpu *c, const struct tile *t, struct gemm_sums s, size_t rows,
              size_t cols, struct gemm_dst o, size_t m0, size_t n0, float *turned);

/* The triple loop, f32 sums in increasing k: the reference for tests. */
void gemm_naive(struct dev_gemm g, struct dev_mat a, struct dev_mat b, struct dev_mat c);
