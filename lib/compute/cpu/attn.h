/*
 * compute/cpu/attn - what the attention passes share.
 *
 * The main idea: one block is a few neighbouring queries of all heads that share a key-value head.
 * Its scores against all keys it may see are a small matrix, made and used by the matrix product of
 * gemm.h:
 *
 *     rows of a block: head 0 query i0, i0+1, .., head 1 query i0, ..     columns: keys j0 .. j1
 *
 * Masked scores become probability 0, and adding 0 does not change a sum: so a query's result does
 * not depend on the queries that share its block.
 */
#pragma once
#include "compute/cpu/gemm.h"

struct attn_plan {
    const struct cpu *c;
    const struct tile *t;
    const struct dev_attn *a;
    enum dev_dtype type; /* in which scores are multiplied: f32, or bf16 where the tile does that */
    size_t hd, group;
    size_t queries; /* of one head in a block */
    size_t rows;    /* group * queries */
    size_t keys;    /* most keys of a sample, and room for padding */
    size_t ld;      /* row length of score matrices, in elements */
    size_t span;    /* most queries and keys of a sample together */
    size_t align;   /* a block's first key is a multiple of this */
};

void attn_plan_init(struct attn_plan *p, const struct cpu *c, const struct dev_attn *a,
                    enum dev_dtype t, size_t most_queries, size_t most_keys);

/* Rows of the longest sample, at least 1. */
size_t attn_longest(const uint32_t *cu, uint32_t nseq);

/* A bias by distance, spread out so that the row of query i is contiguous: element
 * [h][at + j - i] for the keys j of head h of a group. */
struct attn_bias {
    float *p; /* [group, span]; NULL: none */
    size_t at;
};
size_t attn_bias_bytes(const struct attn_plan *p);
/* For queries 0..last and keys 0..nkeys of group g. */
void attn_bias_spread(const struct attn_plan *p, size_t g, size_t last, size_t nkeys,
                      struct attn_bias *b);
static inline float *attn_bias_row(const struct attn_plan *p, const struct attn_bias *b, size_t h,
                                   size_t i, size_t j)
{
    return b->p + h * p->span + b->at + j - i;
}

/* One block: queries [i0, i0 + n) of a sample, keys [j0, j1) for all of them. */
struct attn_block {
    size_t i0, n, j0, j1;
};
struct attn_block attn_block_of(const struct attn_plan *p, size_t i0, size_t end);

/* Keys that query i sees: [*from, *to). */
static inline void attn_visible(const struct attn_plan *p, size_t i, size_t *from, size_t *to)
{
    *from = p->a->window && i + 1 > p->a->window ? i + 1 - p->a->window : 0;
    *to = p->a->bidirectional ? p->keys : i + 1;
}

/* m's rows from r0, columns of head h: as an operand. */
static inline struct gemm_src attn_head(struct dev_mat m, size_t r0, size_t h, size_t hd,
                                        bool trans)
{
    return (struct gemm_src){(const unsigned char *)dev_mat_row(m, r0) +
                                 h * hd * dev_dtype_bytes(m.dtype),
                             m.dtype, m.ld, trans};
}

/* Pack the block's rows of the heads of group g, one head after the other. */
void attn_pack_rows(const struct attn_plan *p, struct dev_mat m, size_t r0, size_t n, size_t g,
                    float *tmp, void *out);
/* s [block rows, j1 - j0] = rows times the packed keys (panels over key index, k = head dim). */
void attn_scores(const struct attn_plan *p, const struct attn_block *b, const void *rows,
                 const void *packed, float *s, void *scratch);
/* out [rows, hd] = rows row0.. of weights [block rows, ld] times packed (panels over the head's
 * columns, k the key index). */
void attn_weigh(const struct attn_plan *p, const struct attn_block *b, const void *weights,
                size_t row0, size_t rows, const void *packed, struct gemm_dst out, void *scratch);
/* A row of x [block rows, ld] of p->type, where columns [c0, c1) are about to be written: those
 * outside, up to the padded width, become 0. Column c0 is returned. */
void *attn_clear_row(const struct attn_plan *p, size_t c0, size_t c1, size_t width, void *x,
                     size_t row);

/* ---- attn_kv.c: keys and values that stay packed from step to step (dev.h's dev_kv)
 *
 * A slot is blocks of 32 tokens; a block holds all layers, each its heads' keys, then its heads'
 * values, as the panels that gemm_pack_b would make of those 32 tokens:
 *
 *     slot 0: [block 0: [layer 0: k of head 0, 1, .. v of head 0, 1, ..] [layer 1: ..] ..] [block 1
 *
 * So nothing is packed again when a step reads all of it, what a sequence has not reached yet is
 * memory that nobody has touched, and a copy of a beginning is one stretch. */
struct attn_kv {
    const unsigned char *k, *v; /* of the first block; k NULL: not of that kind */
    size_t stride;              /* bytes from block to block */
};
/* Keys and values of head g of a slot. */
struct attn_kv attn_kv_of(const struct cpu *c, const struct dev_call *call, uint32_t slot,
                          size_t g);
/* As attn_scores and attn_weigh, for so many key-value heads from kv's on: the rows of each behind
 * those of the one before. Heads lie side by side in a block: together they are read in stretches
 * of memory that the processor foresees. */
void attn_kv_scores(const struct attn_plan *p, const struct attn_block *b, const void *rows,
                    const struct attn_kv *kv, size_t heads, float *s);
void attn_kv_weigh(const struct attn_plan *p, const struct attn_block *b, const void *weights,
                   const struct attn_kv *kv, size_t heads, float *out);
