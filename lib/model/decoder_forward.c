#include "model/decoder_parts.h"

enum { VOCAB_BLOCK = 4096 };

struct lin_call work_call(const struct decoder_work *w, uint32_t layer, enum linear lin,
                          struct dev_mat x)
{
    const struct lora_group *g = lora_group_of(w->l, layer, lin);
    struct kept *k = work_kept(w, layer);
    struct lin_call c = {.layer = layer,
                         .lin = lin,
                         .x = x,
                         .drop = w->drop,
                         .masked = w->masked,
                         .dropout_key = w->dropout_key};
    if (g) c.h = shape_of(k->h[lin], x.rows, g->rank_sum);
    return c;
}

struct kept *work_kept(const struct decoder_work *w, uint32_t layer)
{
    return &w->kept[w->train ? layer : 0];
}

/* Forward-only calls of a training workspace skip what only the backward pass reads. */
static bool keep(const struct decoder_work *w, struct dev_mat x, struct dev_mat to, struct err *e)
{
    return !w->grad || dev_cast(w->m->dev, x, rows_of(to, x.rows), e);
}

static bool forward_attention(struct decoder_work *w, uint32_t layer, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    const struct model_layer *ml = &w->m->layers[layer];
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_mat x = rows_of(w->x, w->t), n = shape_of(w->n, w->t, s->d);
    struct dev_mat qkv = rows_of(k->qkv, w->t), none = {0};
    struct lin_call c = work_call(w, layer, LIN_QKV, n);

    if (!keep(w, x, k->x1, e)) return false;
    if (!dev_rmsnorm(d, x, ml->norm[0], s->rms_eps, n, none, e)) return false;
    if (!lin_fwd(w->m, w->l, &c, 0, qkv, e)) return false;
    if (!dev_rope(d, dev_mat_part(qkv, 0, w->t, 0, q + kv), s->heads + s->kv_heads, w->pos,
                  w->m->inv_freq, false, e))
        return false;
    return dev_attn_fwd(d, &w->attn, dev_mat_part(qkv, 0, w->t, 0, q),
                        dev_mat_part(qkv, 0, w->t, q, kv), dev_mat_part(qkv, 0, w->t, q + kv, kv),
                        rows_of(k->ao, w->t), shape_of(k->lse, s->heads, w->t), e);
}

/* From the attention's output to the end of the block, on rows x. */
static bool forward_mlp(struct decoder_work *w, uint32_t layer, struct dev_mat ao, struct dev_mat x,
                        struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    const struct model_layer *ml = &w->m->layers[layer];
    struct kept *k = work_kept(w, layer);
    struct dev_mat n = shape_of(w->n, x.rows, s->d), act = shape_of(w->s2, x.rows, s->ff);
    struct dev_mat gu = rows_of(k->gu, x.rows), none = {0};
    struct lin_call o = work_call(w, layer, LIN_O, ao), gu_call = work_call(w, layer, LIN_GU, n);
    struct lin_call down = work_call(w, layer, LIN_DOWN, act);

    if (!lin_fwd(w->m, w->l, &o, 1, x, e)) return false;
    if (!keep(w, x, k->x2, e)) return false;
    if (!dev_rmsnorm(w->m->dev, x, ml->norm[1], s->rms_eps, n, none, e)) return false;
    if (!lin_fwd(w->m, w->l, &gu_call, 0, gu, e)) return false;
    if (!dev_swiglu(w->m->dev, gu, act, e)) return false;
    return lin_fwd(w->m, w->l, &down, 1, x, e);
}

bool decoder_forward(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev *d = w->m->dev;
    struct dev_mat x = rows_of(w->x, w->t), xr = rows_of(w->xr, w->r), aor;
    struct kept *k;

    if (!dev_gather_rows(d, w->m->embed, w->ids, x, e)) return false;
    for (uint32_t i = 0; i + 1 < s->layers; i++) {
        k = work_kept(w, i);
        if (!forward_attention(w, i, e)) return false;
        if (!forward_mlp(w, i, rows_of(k->ao, w->t), x, e)) return false;
    }
    if (!forward_attention(w, s->layers - 1, e)) return false;
    /* s2 is free until the MLP, which no longer reads the attention's output then */
    k = work_kept(w, s->layers - 1);
    aor = shape_of(w->s2, w->r, s->heads * s->head_dim);
    if (!dev_gather_rows(d, rows_of(k->ao, w->t), w->rows, aor, e)) return false;
    if (!dev_gather_rows(d, x, w->rows, xr, e)) return false;
    return forward_mlp(w, s->layers - 1, aor, xr, e);
}

/* ---- head */

struct dev_mat norm_grad(const struct decoder_work *w, uint32_t layer, uint32_t which)
{
    const struct model_spec *s = &w->m->spec;
    uint32_t i;
    if (w->l->method != LORA_FULL) return (struct dev_mat){0};
    i = layer == s->layers ? model_stack_norm_index(s, 1) : model_norm_index(s, layer, which);
    return dev_mat_of(w->grad, w->l->tensors[i].offset, DEV_F32, 1, s->d);
}

static bool chunk_logits(struct decoder_work *w, uint32_t at, uint32_t n, struct dev_mat norm,
                         struct err *e)
{
    struct dev_gemm nt = {false, true, 1, 0};
    struct dev_mat x = dev_mat_part(w->xr, at, n, 0, w->xr.cols);
    return dev_rmsnorm(w->m->dev, x, w->m->norm[1], w->m->spec.rms_eps, norm,
                       shape_of(w->rstd, 1, n), e) &&
           dev_gemm(w->m->dev, nt, norm, w->m->head, rows_of(w->logits, n), e);
}

/* dn = dlogits * head, the vocabulary in blocks: one chain of a hundred thousand f32 terms would
 * cost a digit of every gradient below. */
static bool chunk_dn(struct decoder_work *w, struct dev_mat dl, struct dev_mat dn, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    for (uint32_t v = 0; v < s->vocab; v += VOCAB_BLOCK) {
        uint32_t n = s->vocab - v < VOCAB_BLOCK ? s->vocab - v : VOCAB_BLOCK;
        struct dev_gemm nn = {false, false, 1, v ? 1 : 0};
        if (!dev_gemm(w->m->dev, nn, dev_mat_part(dl, 0, dl.rows, v, n),
                      dev_mat_part(w->m->head, v, n, 0, s->d), dn, e))
            return false;
    }
    return true;
}

/* dlogits hold the gradient: on to dxr, and to the head when it is trained. */
static bool chunk_backward(struct decoder_work *w, uint32_t at, uint32_t n, struct dev_mat norm,
                           struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev *d = w->m->dev;
    struct dev_gemm tn_add = {true, false, 1, 1};
    struct dev_mat dl = rows_of(w->dlogits, n), dn = shape_of(w->dx, n, s->d); /* dx is free yet */
    uint32_t head = s->tied ? 0 : model_ntensors(s) - 1;

    if (w->m->dtype != DEV_F32 && !dev_cast(d, rows_of(w->logits, n), dl, e)) return false;
    if (!chunk_dn(w, dl, dn, e)) return false;
    if (w->l->method == LORA_FULL &&
        !dev_gemm(d, tn_add, dl, norm,
                  dev_mat_of(w->grad, w->l->tensors[head].offset, DEV_F32, s->vocab, s->d), e))
        return false;
    return dev_rmsnorm_bwd(d, dn, dev_mat_part(w->xr, at, n, 0, s->d), w->m->norm[1],
                           shape_of(w->rstd, 1, n), dev_mat_part(w->dxr, at, n, 0, s->d),
                           norm_grad(w, s->layers, 0), e);
}

bool decoder_head(struct decoder_work *w, struct err *e)
{
    struct dev *d = w->m->dev;
    if (w->grad && !dev_zero(d, rows_of(w->dxr, w->r), e)) return false;
    for (uint32_t at = 0; at < w->r; at += w->chunk_rows) {
        uint32_t n = w->r - at < w->chunk_rows ? w->r - at : w->chunk_rows;
        struct dev_mat norm = shape_of(w->n, n, w->m->spec.d);
        if (!chunk_logits(w, at, n, norm, e)) return false;
        if (!dev_xent(d, rows_of(w->logits, n), dev_mat_part(w->labels, 0, 1, at, n),
                      dev_mat_part(w->loss, 0, 1, at, n), w->grad != NULL, 1, e))
            return false;
        if (w->grad && !chunk_backward(w, at, n, norm, e)) return false;
    }
    return true;
}

bool decoder_head_logits(struct decoder_work *w, float *out, struct err *e)
{
    size_t vocab = w->m->spec.vocab;
    for (uint32_t at = 0; at < w->r; at += w->chunk_rows) {
        uint32_t n = w->r - at < w->chunk_rows ? w->r - at : w->chunk_rows;
        if (!chunk_logits(w, at, n, shape_of(w->n, n, w->m->spec.d), e)) return false;
        if (!dev_download(w->m->dev, w->logits.buf, w->logits.offset * sizeof *out,
                          out + at * vocab, n * vocab * sizeof *out, e))
            return false;
    }
    return true;
}
