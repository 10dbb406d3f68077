/*
 * model/decoder_parts - the inside of the decoder: what forward, backward and decoding share.
 *
 * Notation: T tokens of a side, R loss rows, d model width, q = heads * head_dim, ff MLP width, w
 * width of a group's h. The residual stream is f32; what enters a matrix product has the model's
 * dtype.
 *
 *     x1 -> norm -> qkv -> rope -> attention -> o -> + -> x2 -> norm -> gate,up -> act -> down -> +
 *      '---------------------------------------------' '-----------------------------------------'
 *
 * A model with an encoder has two sides of that kind. The encoder's attention sees all of a sample,
 * and both add a bias by distance instead of rotating (T5). Behind its last norm stands the memory,
 * to which each block of the decoder looks back between attention and MLP:
 *
 *     x3 -> norm -> q ------> attention -> o -> +
 *      '    memory -> k,v -----^               '
 *
 * Saved for the backward pass are x1, x2, x3, qkv (after rope), the attentions' outputs and lse,
 * gate and up, and the narrow h of each adapter. Normed x and act(g) * u are cheaper to compute
 * again than to keep. A block that is made again (struct recompute) keeps what its forward pass
 * starts from in f32, as the residual stream has it, so that the same bits come out; the rest of
 * it lives in one slot that all such blocks share. In the decoder's last block all that follows
 * self-attention runs on the loss rows alone.
 *
 * With a folded adapter all that a linear reads, forward (n, act, ao, xo, memory) and backward (dy,
 * dqkv, gu, dxq, dkv), has rows with a tail of so many more columns, for h and dh.
 */
#pragma once
#include "model/decoder.h"
#include "model/head.h"
#include "model/parts.h"

/* Kept of one block; `in` and `mid` only of one that is made again, else without buffer. In the
 * last block x2, x3, gu, xq, xo and the h behind attention have R rows. */
struct kept {
    struct dev_mat x1, x2, x3; /* dtype [T, d] */
    struct dev_mat qkv;        /* dtype [T, q + 2 kv] */
    struct dev_mat ao;         /* dtype [T, q] */
    struct dev_mat gu;         /* dtype [T, 2 ff], not gated [T, ff] */
    struct dev_mat lse;        /* f32 [heads, T] */
    struct dev_mat xq, xo;     /* dtype [T, q]: cross attention's queries and output */
    struct dev_mat xkv;        /* dtype [T of the encoder, 2 kv] */
    struct dev_mat xlse;       /* f32 [heads, T] */
    struct dev_mat h[LINEARS]; /* dtype [T, w] */
    struct dev_mat in, mid;    /* f32 [T, d]: the block's input (full), its MLP's (selective) */
};

/* The encoder's tokens and blocks, or the decoder's. */
struct side {
    uint32_t stack;          /* 0 encoder, 1 decoder */
    uint32_t first, end;     /* its blocks; end == first: there is none */
    uint32_t max, t;         /* tokens, of a call */
    struct dev_mat ids, pos; /* I32 [1, T]: of the call's lane */
    struct dev_mat lane_ids[DEV_LANES], lane_pos[DEV_LANES];
    struct dev_mat x, dx;       /* f32 [T, d] */
    struct dev_mat buckets;     /* I32 [1, 2 reach + 1]: kind of every distance */
    struct dev_mat bias, dbias; /* f32 [2 reach + 1, heads] */
    struct dev_attn attn;       /* of the call */
};

struct decoder_work {
    struct model *m;
    struct lora *l; /* NULL: base model */
    bool train;
    uint32_t max_tokens, max_rows;
    uint32_t tail; /* columns behind the rows of what linears read; 0: not folded */
    struct dev_buf *buf;

    struct side enc, dec;
    struct dev_mat rows; /* I32 [1, R]; of the call's lane, as the head's labels, loss */
    struct dev_mat lane_rows[DEV_LANES], lane_labels[DEV_LANES], lane_loss[DEV_LANES];
    struct dev_mat memory, dmemory; /* dtype, f32 [T of the encoder, d] */
    /* of either side, dtype, each with room for a tail */
    struct dev_mat n, dy;  /* [T, max(d, q)], [T, d] */
    struct dev_mat s1, s2; /* [T, max(ff, q + 2 kv)] */
    struct dev_mat dxq;    /* dtype [R, q], with an encoder */
    struct dev_mat drop;   /* dtype [T, max(d, q, ff)]; only with dropout */
    struct dev_mat dh;     /* dtype [T, widest w] */
    struct dev_mat rstd;   /* f32 [1, T] */
    struct head head;
    struct kept *kept; /* one a block when training, else one */
    struct kept slot;  /* shared by blocks that are made again */
    struct recompute again;

    uint32_t *host;              /* [max of tokens and rows] */
    float *host_loss[DEV_LANES]; /* [max_rows] */
    uint32_t flies[DEV_LANES];   /* loss rows of the call under way; 0: none */

    /* of the call */
    uint32_t r;
    bool ahead; /* what it reads comes by a lane */
    struct dev_attn cross;
    uint64_t dropout_key;
    bool masked; /* this pass uses dropout */
    bool redo;   /* a block is being made again */
    struct dev_buf *grad;
};

/* One adapted (or bare) linear. x [n, in], y [n, out]; h keeps s x a^T when adapted. With tails and
 * a folded adapter, h and dh are made behind the rows of x and dy: model/parts.h. */
struct lin_call {
    uint32_t layer;
    enum linear lin;
    struct dev_mat x, h, drop;
    bool tails;  /* x and dy have room for h behind their rows, */
    bool keep_h; /* from where it goes to h, too */
    bool masked;
    uint64_t dropout_key;
};
/* y = beta y + x W^T + h b^T. */
MUST_CHECK bool lin_fwd(const struct model *m, const struct lora *l, const struct lin_call *c,
                        float beta, struct dev_mat y, struct err *e);
/* grad of the linear's trained parameters from dy [n, out] (model dtype), and dx [n, in] = dL/dx
 * unless dx.buf is NULL. dh: scratch [n, w]. */
MUST_CHECK bool lin_bwd(const struct model *m, const struct lora *l, const struct lin_call *c,
                        struct dev_mat dy, struct dev_mat dh, struct dev_buf *grad,
                        struct dev_mat dx, struct err *e);
/* The same in two: all but the gradient of A, and that. Unless lin_wants_x, x is read by the second
 * alone: it may be made in between, from dx's neighbours. */
bool lin_wants_x(const struct lora *l);
MUST_CHECK bool lin_bwd_first(const struct model *m, const struct lora *l, const struct lin_call *c,
                              struct dev_mat dy, struct dev_mat dh, struct dev_buf *grad,
                              struct dev_mat dx, struct err *e);
MUST_CHECK bool lin_bwd_a(const struct model *m, const struct lora *l, const struct lin_call *c,
                          struct dev_mat dy, struct dev_mat dh, struct dev_buf *grad,
                          struct err *e);

/* A workspace for forward passes through any of these adapters: set l before each. */
MUST_CHECK bool decoder_work_open_for(struct model *m, struct lora *const *adapters, uint32_t n,
                                      uint32_t max_tokens, struct decoder_work **out,
                                      struct err *e);

/* First rows of a matrix; a contiguous [rows, cols] at its start. */
struct dev_mat rows_of(struct dev_mat m, uint32_t n);
struct dev_mat shape_of(struct dev_mat m, uint32_t rows, uint32_t cols);
/* The same with a tail behind each row. */
struct dev_mat shape_tail(struct dev_mat m, uint32_t rows, uint32_t cols, uint32_t tail);

/* The block's views for this call. */
struct lin_call work_call(const struct decoder_work *w, uint32_t layer, enum linear lin,
                          struct dev_mat x);
struct kept *work_kept(const struct decoder_work *w, uint32_t layer);
/* n = the block's norm of x (0, 1 or 2), and x to where the backward pass will want it;
 * forward-only calls skip that, and blocks that will be made again as a whole. */
MUST_CHECK bool work_norm(const struct decoder_work *w, uint32_t layer, uint32_t which,
                          struct dev_mat x, struct dev_mat keep, struct dev_mat n, struct err *e);
/* On the way back: the gradient of the residual stream, rows of it in the model's dtype. Who
 * changes dx leaves a copy there, for the linear below. */
struct dev_mat work_dy(const struct decoder_work *w, uint32_t rows);
/* Heads, widths and scale of attention; samples and bias are the caller's. */
struct dev_attn attn_of(const struct model_spec *s);
/* All up to the loss rows' last hidden states, in head.xr. */
MUST_CHECK bool decoder_forward(struct decoder_work *w, struct err *e);
/* The encoder's part of it, up to the memory; and for one sequence of n tokens, from the start. */
MUST_CHECK bool encoder_forward(struct decoder_work *w, struct err *e);
MUST_CHECK bool decoder_encode(struct decoder_work *w, const uint32_t *tokens, uint32_t n,
                               struct err *e);
MUST_CHECK bool decoder_backward(struct decoder_work *w, struct err *e);
/* Before a block's backward pass: what it was not kept for it. Uses x of its side, n and s2. */
MUST_CHECK bool block_again(struct decoder_work *w, struct side *v, uint32_t layer, struct err *e);
/* Linear on the normed x that was saved: its gradient from dy, then through the norm into dx (f32)
 * and work_dy. dn: scratch [n, d]. */
MUST_CHECK bool backward_normed(struct decoder_work *w, uint32_t layer, enum linear lin,
                                struct dev_mat saved, struct dev_mat dy, struct dev_mat dn,
                                struct dev_mat dx, struct err *e);
/* Is a gradient wanted below this linear? Below the lowest adapted one nobody reads it. */
bool goes_on(const struct decoder_work *w, uint32_t layer, enum linear lin);
/* Gradient of a norm's weight, or a matrix without buffer when norms are frozen. which: 0, 1, 2 of
 * the layer's; norm of a stack. */
struct dev_mat norm_grad(const struct decoder_work *w, uint32_t layer, uint32_t which);

/* ---- encdec.c: what only models with an encoder have */

/* Cross attention on rows x of a block of the decoder; and back: dx (f32) and work_dy in place, and
 * into dmemory. */
MUST_CHECK bool cross_forward(struct decoder_work *w, uint32_t layer, struct dev_mat x,
                              struct err *e);
MUST_CHECK bool cross_backward(struct decoder_work *w, uint32_t layer, struct dev_mat dx,
                               struct err *e);
/* The bias of a side's attention from the model's table; its gradient to the table's. */
MUST_CHECK bool bias_load(struct decoder_work *w, struct side *v, struct err *e);
MUST_CHECK bool bias_backward(struct decoder_work *w, const struct side *v, struct err *e);
/* Kinds of the distances -reach .. reach (key minus query), out [2 reach + 1]. */
void bias_buckets(const struct model_spec *s, bool bidirectional, int32_t *out);
