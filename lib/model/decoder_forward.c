#include <math.h>

#include "model/decoder_parts.h"

struct lin_call work_call(const struct decoder_work *w, uint32_t layer, enum linear lin,
                          struct dev_mat x)
{
    const struct lora_group *g = lora_group_of(w->l, layer, lin);
    struct kept *k = work_kept(w, layer);
    struct lin_call c = {.layer = layer,
                         .lin = lin,
                         .x = x,
                         .drop = w->drop,
                         .tails = w->tail > 0,
                         .keep_h = w->grad != NULL,
                         .masked = w->masked,
                         .dropout_key = w->dropout_key};
    if (g) c.h = shape_of(k->h[lin], x.rows, g->rank_sum);
    return c;
}

struct kept *work_kept(const struct decoder_work *w, uint32_t layer)
{
    return &w->kept[w->train ? layer : 0];
}

bool work_norm(const struct decoder_work *w, uint32_t layer, uint32_t which, struct dev_mat x,
               struct dev_mat keep, struct dev_mat n, struct err *e)
{
    struct dev_mat weight = w->m->layers[layer].norm[which], none = {0};
    bool later = work_kept(w, layer)->in.buf && !w->redo;
    float eps = w->m->spec.rms_eps;

    if (!w->grad || later) return dev_rmsnorm(w->m->dev, x, weight, eps, n, none, e);
    return dev_rmsnorm_keep(w->m->dev, x, weight, eps, n, rows_of(keep, x.rows), e);
}

struct dev_attn attn_of(const struct model_spec *s)
{
    return (struct dev_attn){
        .heads = s->heads,
        .kv_heads = s->kv_heads,
        .head_dim = s->head_dim,
        .scale = s->enc_layers ? 1.0F : model_spec_score_factor(s) / sqrtf((float)s->head_dim),
        .window = s->window};
}

static bool forward_attention(struct decoder_work *w, const struct side *v, uint32_t layer,
                              struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    uint32_t t = v->t, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_mat x = rows_of(v->x, t), n = shape_tail(w->n, t, s->d, w->tail);
    struct dev_mat qkv = rows_of(k->qkv, t);
    struct lin_call c = work_call(w, layer, LIN_QKV, n);

    if (!work_norm(w, layer, 0, x, k->x1, n, e)) return false;
    if (!lin_fwd(w->m, w->l, &c, 0, qkv, e)) return false;
    if (s->rope != ROPE_NONE && !dev_rope(d, dev_mat_part(qkv, 0, t, 0, q + kv),
                                          s->heads + s->kv_heads, v->pos, w->m->inv_freq, false, e))
        return false;
    return dev_attn_fwd(d, &v->attn, dev_mat_part(qkv, 0, t, 0, q), dev_mat_part(qkv, 0, t, q, kv),
                        dev_mat_part(qkv, 0, t, q + kv, kv), rows_of(k->ao, t),
                        shape_of(k->lse, s->heads, t), e);
}

/* Gate and up of rows x (f32), which is kept as x2, or in f32 for a block that is made again. */
static bool forward_gu(struct decoder_work *w, uint32_t layer, struct dev_mat x, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev_mat n = shape_tail(w->n, x.rows, s->d, w->tail), gu = rows_of(k->gu, x.rows);
    struct dev_mat keep = k->mid.buf && !w->redo ? k->mid : k->x2;
    struct lin_call call = work_call(w, layer, LIN_GU, n);

    return work_norm(w, layer, 1, x, keep, n, e) && lin_fwd(w->m, w->l, &call, 0, gu, e);
}

/* From the attention's output to the end of the block, on rows x. */
static bool forward_rest(struct decoder_work *w, uint32_t layer, struct dev_mat ao,
                         struct dev_mat x, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev_mat act = shape_tail(w->s2, x.rows, s->ff, w->tail);
    struct lin_call o = work_call(w, layer, LIN_O, ao), down = work_call(w, layer, LIN_DOWN, act);

    if (!lin_fwd(w->m, w->l, &o, 1, x, e)) return false;
    if (s->enc_layers && layer >= s->enc_layers && !cross_forward(w, layer, x, e)) return false;
    if (!forward_gu(w, layer, x, e)) return false;
    if (w->redo) return true; /* nobody below asks what the block gave */
    return dev_act(w->m->dev, (enum dev_act)s->act, rows_of(k->gu, x.rows), act, e) &&
           lin_fwd(w->m, w->l, &down, 1, x, e);
}

static bool forward_block(struct decoder_work *w, struct side *v, uint32_t layer, struct err *e)
{
    struct dev_mat x = rows_of(v->x, v->t), ao = rows_of(work_kept(w, layer)->ao, v->t);
    return forward_attention(w, v, layer, e) && forward_rest(w, layer, ao, x, e);
}

bool block_again(struct decoder_work *w, struct side *v, uint32_t layer, struct err *e)
{
    const struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    bool ok = true;

    w->redo = true;
    if (k->mid.buf) {
        ok = forward_gu(w, layer, rows_of(k->mid, v->t), e);
    } else if (k->in.buf) {
        ok = dev_cast(d, rows_of(k->in, v->t), rows_of(v->x, v->t), e) &&
             forward_block(w, v, layer, e);
    }
    w->redo = false;
    return ok;
}

/* Embeddings and blocks [first, end) of a side, all rows. */
static bool forward_side(struct decoder_work *w, struct side *v, uint32_t end, struct err *e)
{
    struct dev_mat x = rows_of(v->x, v->t);
    if (!dev_gather_rows(w->m->dev, w->m->embed, v->ids, x, e)) return false;
    if (w->m->spec.buckets && !bias_load(w, v, e)) return false;
    for (uint32_t i = v->first; i < end; i++) {
        struct dev_mat in = work_kept(w, i)->in;
        if (w->grad && in.buf && !dev_cast(w->m->dev, x, rows_of(in, v->t), e)) return false;
        if (!forward_block(w, v, i, e)) return false;
    }
    return true;
}

bool encoder_forward(struct decoder_work *w, struct err *e)
{
    struct dev_mat none = {0};
    return forward_side(w, &w->enc, w->enc.end, e) &&
           dev_rmsnorm(w->m->dev, rows_of(w->enc.x, w->enc.t), w->m->norm[0], w->m->spec.rms_eps,
                       rows_of(w->memory, w->enc.t), none, e);
}

bool decoder_forward(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev *d = w->m->dev;
    struct side *v = &w->dec;
    uint32_t last = v->end - 1;
    struct dev_mat x = rows_of(v->x, v->t), xr = rows_of(w->head.xr, w->r), aor;

    if (w->enc.end && !encoder_forward(w, e)) return false;
    if (!forward_side(w, v, last, e) || !forward_attention(w, v, last, e)) return false;
    /* s2 is free until the MLP, which no longer reads the attention's output then */
    aor = shape_tail(w->s2, w->r, s->heads * s->head_dim, w->tail);
    if (!dev_gather_rows(d, rows_of(work_kept(w, last)->ao, v->t), w->rows, aor, e)) return false;
    if (!dev_gather_rows(d, x, w->rows, xr, e)) return false;
    return forward_rest(w, last, aor, xr, e);
}
