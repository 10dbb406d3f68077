/*
 * model/parts - the inside of lib/model: what the files of this folder share, and no one else
 * includes.
 *
 * A block has four merged linears: qkv, o, gate_up, down. Each is one row-major matrix [out, in]
 * whose rows are its parts (q, k, v; o; gate, up; down) one under the other. An adapted linear
 * ("group") keeps, beside the masters, working copies in the device dtype:
 *
 *     a [rank_sum, in]    A of the first part, A of the second, ... one under the other
 *     b [out, rank_max]   B of part p stands in part p's rows, from column 0 on
 *
 * so that h = s x a^T is one product for the group, and y_p = x w_p^T + h_p b_p^T one a part: none
 * multiplies the zeros between parts.
 *
 * Folded, a linear with room (model_open_for) and its factors are one matrix, and so are what they
 * multiply: h stands in the tail of x's rows, dh in the tail of dy's (both of TAIL_STEP columns).
 *
 *              in         R                     y  = [x h]   [w b]^T     k = in + R
 *        +-----------+---------+                dx = [dy dh] [w; a]      k = out + R
 *        |           | B_q     |
 *    out |     w     |    B_k  |  b: zeros between its parts, part p from column `col` on
 *        |           |      B_v|
 *        +-----------+---------+
 *      R |     a     |  (gap)
 *        +-----------+
 *
 * An output is written once, whatever its linear's adapters: separate, the adapter's product
 * writes it and the base's reads and writes it again. q, k and v, gate and up are then one product
 * forward, too. Counted for Llama-3.1-8B, rank 16 on all linears (bytes a token and block;
 * 4.3 TB/s):
 *
 *     separate     4 B of 34,816 bf16 outputs, 8 B of 8,192 f32 outputs, 4 B of 26,624 dx:
 *                  304 KiB, 2.3 us a token over 32 blocks
 *     folded       k grows by R, in steps of a tensor-core tile of 64: 1.6 % of qkv, o, gate and
 *                  up, 0.4 % of down and of dX of gate and up: 0.35 us; h to what is kept: 0.1 us
 *
 * so about 1.8 us of 45 are won, 4 %. h itself is a product of its own in both: y needs it first.
 * The device times both ways a pair (dev_gemm2), since cublasLt may dislike a k.
 *
 * With model.quant a linear is dequantised into one scratch matrix with room, and its factors are
 * copied around it there. Separate stay: DoRA, whose dy is scaled in between; with lora.dropout dX,
 * since only the adapter's part of it is masked (y is joined); adapters wider than the room, or a
 * second one on the same base; the CPU unless lora.fold says folded.
 */
#pragma once
#include "base/arena.h"
#include "model/arch.h"
#include "model/dtype.h"
#include "model/lora.h"
#include "model/model.h"
#include "model/safetensors.h"

struct model_layer {
    struct dev_mat norm[BLOCK_NORMS]; /* before attention, MLP, cross attention */
    struct dev_mat w[LINEARS];
};
/* model.quant: the linear layers' parts, and room for one whole linear in the model's dtype, which
 * all w of all layers are views of. */
struct model_quant {
    enum dev_quant_kind kind;
    struct dev_buf *bytes, *floats, *scratch;
    struct dev_quant *parts; /* [layers * LINEARS * MAX_PARTS] */
    uint32_t holds;          /* layer * LINEARS + lin that scratch holds now */
};
struct model {
    struct dev *dev;
    struct model_spec spec;
    enum dev_dtype dtype;
    struct dev_buf *weights; /* embedding, linears, head: dtype */
    struct dev_buf *vectors; /* norms, inverse frequencies: f32 */
    struct dev_mat embed, head, inv_freq;
    struct dev_mat norm[2];  /* behind the encoder, behind the decoder */
    struct dev_mat table[2]; /* f32 [buckets, heads]: relative positions of encoder and decoder */
    struct model_layer *layers;
    char *dir;
    uint8_t digest[32];
    struct model_quant *quant; /* NULL: the linears are kept as they are */
    uint32_t *room;            /* [layers * LINEARS]: factors that fit; NULL: none */
    struct lora *tenant;       /* whose factors live there */
};
/* Elements right of each row for so many factors: rows stay at multiples of 128 bytes. */
enum { TAIL_STEP = 64 };
static inline uint32_t tail_for(uint32_t factors)
{
    return (factors + TAIL_STEP - 1) / TAIL_STEP * TAIL_STEP;
}
/* A linear with its room; and the parts of it for R factors. */
struct linear_place {
    struct dev_mat w, a, b; /* [out, in], [R, in], [out, R] */
};
/* Elements that linear i takes; w of it, when it begins at `at` of b. */
uint64_t linear_elements(const struct model *m, uint32_t i);
struct dev_mat linear_at(const struct model *m, uint32_t i, struct dev_buf *b, uint64_t at);
/* The places of `factors` (at most the room) around its w. */
struct linear_place linear_place(const struct model *m, uint32_t i, uint32_t factors);
/* A linear's weight as a matrix, valid until the next call of this: with model.quant it is
 * dequantised now, unless it is the one that was asked for last. */
MUST_CHECK bool model_weight(const struct model *m, uint32_t layer, enum linear lin,
                             struct dev_mat *w, struct err *e);
struct quant_bytes {
    uint64_t bytes, floats, scratch;
};
/* model_quant_lay: also without buffers, to count. */
struct quant_bytes model_quant_lay(struct model *m);
MUST_CHECK bool model_quant_open(struct model *m, enum dev_quant_kind kind, struct err *e);
void model_quant_close(struct model *m);
/* The whole checkpoint as a safetensors list of one dtype. The names live in *tensors: both are
 * mem_free'd together, also on failure. */
MUST_CHECK bool model_list(const struct model_spec *s, enum dtype t, struct model_tensor **tensors,
                           struct safetensor **list, struct err *e);
/* Files decide whether an encoder-decoder has a head of its own: transformers ties T5's whatever
 * the config says, unless a head is there that differs. */
void model_settle(struct model_spec *s, const struct safetensors *files);
/* A linear's part from its file. */
MUST_CHECK bool model_quant_load(struct model *m, const struct model_tensor *want,
                                 const struct safetensor *t, struct err *e);
/* Where tensor i lives on the device; not for the linears of a quantised model. */
struct dev_mat model_tensor_mat(const struct model *m, uint32_t i);

/* Copy count elements of a weight dtype into b at an element offset, converting to the device
 * dtype; scratch is a host buffer of UPLOAD_SCRATCH_BYTES. */
enum { UPLOAD_PIECE = 1 << 16, UPLOAD_SCRATCH_BYTES = UPLOAD_PIECE * 8 };
MUST_CHECK bool model_upload(struct dev *d, const struct safetensor *t, enum dev_dtype dtype,
                             struct dev_buf *b, uint64_t offset, void *scratch, struct err *e);

/* ---- adapters */

struct lora_part {
    uint32_t rank;  /* 0: not adapted */
    uint32_t col;   /* its first column in the group's h */
    uint32_t b_col; /* and in b: 0, or folded col */
    float scale;    /* alpha / rank */
    uint64_t b_at;  /* master B, elements into the flat block */
    uint64_t m_at;  /* DoRA: master magnitudes, likewise */
};
struct lora_group {
    uint32_t rank_sum, rank_max; /* over the parts; 0: not adapted */
    bool even;                   /* all adapted parts have one scale: h is one product */
    uint64_t a_at;               /* masters A of all parts, one under the other: [rank_sum, in] */
    struct lora_part part[MAX_PARTS];
    struct dev_mat a, b;        /* working copies */
    struct dev_mat ja, jb;      /* folded: around w; without model.quant a and b themselves */
    struct dev_mat norm, ratio; /* DoRA, f32 [1, out]: ||W + s B A||; magnitude / norm, else 1 */
};
struct lora {
    struct model *m;
    enum lora_method method;
    uint32_t rank; /* of the configuration; a module's own is in ranks */
    double alpha, dropout;
    bool dora;   /* masters of magnitudes, too */
    bool rslora; /* scale = alpha / sqrt(rank) */
    bool folds;  /* is to be folded, where there is room; */
    bool folded; /* and is */
    float b_lr_ratio;
    uint32_t *ranks;           /* [layers * BLOCK_MODULES], 0: not adapted */
    double *alphas;            /* likewise */
    struct lora_group *groups; /* [layers * LINEARS]; NULL for method full */
    struct lora_tensor *tensors;
    size_t ntensors;
    uint64_t count;
    struct arena names;
    struct dev_buf *masters, *work;
    struct dev_buf *dora_vectors, *dora_tile, *dora_rows;
};
/* With model.quant: the factors of linear i to around its w, which was dequantised. */
MUST_CHECK bool lora_move_in(const struct lora *l, uint32_t i, struct err *e);
/* The group of a linear, or NULL when it is not adapted (or l is NULL or full). */
const struct lora_group *lora_group_of(const struct lora *l, uint32_t layer, enum linear lin);
/* Rank (0: not adapted) and alpha of every module, [layers * BLOCK_MODULES] each. */
MUST_CHECK bool lora_resolve(const struct model_spec *s, const struct lora_opts *o, uint32_t *ranks,
                             double *alphas, struct err *e);
/* Rounded-up widths of the groups, [layers * LINEARS]; 0: none of the linear's parts is adapted. */
MUST_CHECK bool lora_widths(const struct model_spec *s, const struct lora_opts *o, uint32_t *widths,
                            struct err *e);
/* First linear (layer * LINEARS + lin) with an adapter in the blocks from `layer` on; behind the
 * last when there is none. */
uint32_t lora_lowest(const struct lora *l, uint32_t layer);
/* Method full: where tensor i of the model lies in a flat block. */
struct dev_mat lora_full_grad(const struct lora *l, struct dev_buf *grad, uint32_t i);

/* Number of the module (of [layers * BLOCK_MODULES]) whose weight the tensor is; false: of none. */
bool lora_module_of(const struct model_spec *s, const struct model_tensor *t, uint32_t *module);
/* ---- DoRA: norms and ratios after the working copies changed (start: magnitudes become the
 * norms); room for products of so many rows, which workspaces ask for; and its bytes. */
MUST_CHECK bool lora_dora_lay(struct lora *l, struct err *e);
MUST_CHECK bool lora_dora_refresh(struct lora *l, bool start, struct err *e);
MUST_CHECK bool lora_dora_reserve(struct lora *l, uint32_t rows, struct err *e);
uint64_t lora_dora_bytes(const struct model_spec *s, enum dev_dtype dtype, uint32_t rows);
/* Scratch 0 or 1 as [rows, cols], until the next product. */
struct dev_mat lora_dora_scratch(const struct lora *l, uint32_t which, uint32_t rows,
                                 uint32_t cols);
/* Magnitudes' gradient from dy and the unscaled output y0; *dy becomes the unscaled output's
 * gradient, in scratch 0. */
MUST_CHECK bool lora_dora_bwd(const struct lora *l, const struct lora_group *g,
                              const struct linear_shape *sh, struct dev_mat y0, struct dev_mat *dy,
                              struct dev_buf *grad, struct err *e);
/* "q_proj" of "model.layers.3.self_attn.q_proj" */
const char *lora_short_name(const char *path);
/* An adapter without ranks yet; lora_close releases it. */
MUST_CHECK bool lora_new(struct model *m, enum lora_method method, struct lora **out,
                         struct err *e);
/* After ranks, alphas (or method full) are set: lay the block out and open the device memory. The
 * masters are undefined until filled and refreshed. */
MUST_CHECK bool lora_lay(struct lora *l, struct err *e);
/* Fill all masters from tensors of the same names. */
MUST_CHECK bool lora_fill(struct lora *l, const struct safetensors *files, struct err *e);
/* Write all masters in f32 under their names. */
MUST_CHECK bool lora_write(struct lora *l, const char *path, struct err *e);
/* PEFT's two files. _read: ranks, alphas and scaling alone, and the tensors' files, which the
 * caller closes (*files is NULL before); of m only the spec is used. */
MUST_CHECK bool lora_peft_read(struct model *m, const char *dir, struct lora **out,
                               struct safetensors **files, struct err *e);
MUST_CHECK bool lora_peft_load(struct model *m, const char *dir, struct lora **out, struct err *e);
MUST_CHECK bool lora_peft_save(struct lora *l, const char *dir, const char *base_name,
                               struct err *e);
