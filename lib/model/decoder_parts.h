/*
 * model/decoder_parts - the inside of the decoder: what forward, backward and decoding share.
 *
 * Notation: T tokens of the bin, R loss rows, d model width, q = heads * head_dim, ff MLP width,
 * w width of a group's h. The residual stream is f32; what enters a matrix product has the model's
 * dtype.
 *
 *     x1 -> norm -> qkv -> rope -> attention -> o -> + -> x2 -> norm -> gate,up -> swiglu -> down
 * -> +
 *      '---------------------------------------------' '-----------------------------------------'
 *
 * Saved for the backward pass are x1, x2, qkv (after rope), the attention's output and lse, gate
 * and up, and the narrow h of each adapter. Normed x and silu(g) * u are cheaper to compute again
 * than to keep. In the last block all that follows attention runs on the loss rows alone.
 */
#pragma once
#include "model/decoder.h"
#include "model/parts.h"

/* Kept of one block. In the last block x2, gu and h[1..3] have R rows. */
struct kept {
    struct dev_mat x1, x2;     /* dtype [T, d] */
    struct dev_mat qkv;        /* dtype [T, q + 2 kv] */
    struct dev_mat ao;         /* dtype [T, q] */
    struct dev_mat gu;         /* dtype [T, 2 ff] */
    struct dev_mat lse;        /* f32 [heads, T] */
    struct dev_mat h[LINEARS]; /* dtype [T, w] */
};

struct decoder_work {
    struct model *m;
    struct lora *l; /* NULL: base model */
    bool train;
    uint32_t max_tokens, max_rows, chunk_rows;
    struct dev_buf *buf;

    struct dev_mat ids, pos, rows, labels; /* I32 [1, T], [1, R] */
    struct dev_mat x, dx;                  /* f32 [T, d] */
    struct dev_mat n, dy;                  /* dtype [T, max(d, q)], [T, d] */
    struct dev_mat s1, s2;                 /* dtype [T, max(ff, q + 2 kv)] */
    struct dev_mat drop;                   /* dtype [T, max(d, q, ff)]; only with dropout */
    struct dev_mat dh;                     /* dtype [T, widest w] */
    struct dev_mat rstd;                   /* f32 [1, T] */
    struct dev_mat xr, dxr, loss;          /* f32 [R, d], [R, d], [1, R] */
    struct dev_mat logits, dlogits;        /* f32, dtype [chunk, V]; one and the same in f32 */
    struct kept *kept;                     /* one a block when training, else one */

    uint32_t *host_pos;
    float *host_loss;

    /* of the call */
    uint32_t t, r;
    struct dev_attn attn;
    uint64_t dropout_key;
    bool masked; /* this pass uses dropout */
    struct dev_buf *grad;
};

/* One adapted (or bare) linear. x [n, in], y [n, out]; h keeps s x a^T when adapted. */
struct lin_call {
    uint32_t layer;
    enum linear lin;
    struct dev_mat x, h, drop;
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

/* First rows of a matrix; a contiguous [rows, cols] at its start. */
struct dev_mat rows_of(struct dev_mat m, uint32_t n);
struct dev_mat shape_of(struct dev_mat m, uint32_t rows, uint32_t cols);

/* The block's views for this call. */
struct lin_call work_call(const struct decoder_work *w, uint32_t layer, enum linear lin,
                          struct dev_mat x);
struct kept *work_kept(const struct decoder_work *w, uint32_t layer);
MUST_CHECK bool decoder_forward(struct decoder_work *w, struct err *e);
/* Head and loss over the loss rows, in chunks; with w->grad also dxr, and the head's and last
 * norm's gradient when they are trained. */
MUST_CHECK bool decoder_head(struct decoder_work *w, struct err *e);
/* Logits of the loss rows to the host. */
MUST_CHECK bool decoder_head_logits(struct decoder_work *w, float *out, struct err *e);
MUST_CHECK bool decoder_backward(struct decoder_work *w, struct err *e);
/* Gradient of a norm's weight, or a matrix without buffer when norms are frozen. which: 0, 1 of the
 * layer's two; layer == layers: the last norm. */
struct dev_mat norm_grad(const struct decoder_work *w, uint32_t layer, uint32_t which);
