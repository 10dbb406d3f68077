/*
 * model/head - from the last hidden states to losses, in chunks of rows: the logits of all rows at
 * once would not fit. The inside of lib/model.
 *
 *     xr --norm--> n --head--> logits --cross entropy--> loss; then back: dlogits -> dn -> dxr
 */
#pragma once
#include "model/parts.h"

struct head {
    struct model *m;
    struct lora *l;
    uint32_t chunk_rows;
    struct dev_mat labels;          /* I32 [1, R] */
    struct dev_mat xr, dxr, loss;   /* f32 [R, d], [R, d], [1, R]; dxr when training */
    struct dev_mat logits, dlogits; /* f32, dtype [chunk, V]; one and the same in f32 */
    /* borrowed: dtype [chunk, d], f32 [1, chunk], f32 [chunk, d] */
    struct dev_mat n, rstd, dn;
};

/* Place all but the borrowed in b from *at on (b NULL: only add up). */
void head_lay(struct head *h, const struct model_spec *s, enum dev_dtype dtype, uint32_t rows,
              bool train, struct dev_buf *b, uint64_t *at);
/* A matrix from *at on, which moves behind it. */
struct dev_mat work_take(struct dev_buf *b, uint64_t *at, enum dev_dtype t, uint64_t rows,
                         uint64_t cols);

/* Losses of rows [0, r) of xr; with grad also dxr, and the head's and last norm's gradient when
 * they are trained. */
MUST_CHECK bool head_loss(struct head *h, uint32_t r, struct dev_buf *grad, struct err *e);
/* Logits of the rows to the host. */
MUST_CHECK bool head_logits(struct head *h, uint32_t r, float *out, struct err *e);
/* What logits are multiplied with: 1, or d^-1/2. */
float head_scale(const struct model_spec *s);
