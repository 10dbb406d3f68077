#include "model/decoder_parts.h"

/* Is a gradient wanted below this linear? Below the lowest adapted one nobody reads it. */
static bool goes_on(const struct decoder_work *w, uint32_t layer, enum linear lin)
{
    return w->l->method == LORA_FULL || layer * LINEARS + lin > lora_lowest(w->l);
}

/* The saved x in f32 (itself, or cast into the forward pass's x, which is free by now). */
static bool load_x(struct decoder_work *w, struct dev_mat saved, struct dev_mat *x, struct err *e)
{
    *x = saved;
    if (saved.dtype == DEV_F32) return true;
    *x = shape_of(w->x, saved.rows, saved.cols);
    return dev_cast(w->m->dev, saved, *x, e);
}

/* Linear on the normed x: its gradient from dy, then through the norm into dx. dn: scratch. */
static bool backward_normed(struct decoder_work *w, uint32_t layer, enum linear lin,
                            struct dev_mat saved, struct dev_mat dy, struct dev_mat dn,
                            struct dev_mat dx, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    const struct model_layer *ml = &w->m->layers[layer];
    struct dev_mat weight = lin == LIN_QKV ? ml->norm[0] : ml->norm[1], x, none = {0};
    struct dev_mat n = shape_of(w->n, saved.rows, s->d), rstd = shape_of(w->rstd, 1, saved.rows);
    struct lin_call c = work_call(w, layer, lin, n);
    bool on = goes_on(w, layer, lin);

    if (!load_x(w, saved, &x, e)) return false;
    if (!dev_rmsnorm(w->m->dev, x, weight, s->rms_eps, n, rstd, e)) return false;
    if (!lin_bwd(w->m, w->l, &c, dy, w->dh, w->grad, on ? dn : none, e)) return false;
    return !on || dev_rmsnorm_bwd(w->m->dev, dn, x, weight, rstd, dx,
                                  norm_grad(w, layer, lin == LIN_GU), e);
}

/* dx (f32, in place) through the MLP of a block. */
static bool backward_mlp(struct decoder_work *w, uint32_t layer, struct dev_mat dx, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    struct dev_mat gu = rows_of(k->gu, dx.rows), dy = shape_of(w->dy, dx.rows, s->d);
    struct dev_mat act = shape_of(w->s2, dx.rows, s->ff), dact = shape_of(w->s1, dx.rows, s->ff);
    struct dev_mat none = {0};
    struct lin_call down = work_call(w, layer, LIN_DOWN, act);
    bool on = goes_on(w, layer, LIN_DOWN);

    if (!dev_cast(d, dx, dy, e) || !dev_swiglu(d, gu, act, e)) return false;
    if (!lin_bwd(w->m, w->l, &down, dy, w->dh, w->grad, on ? dact : none, e)) return false;
    if (!on) return true;
    if (!dev_swiglu_bwd(d, dact, gu, gu, e)) return false;
    return backward_normed(w, layer, LIN_GU, rows_of(k->x2, dx.rows), gu,
                           shape_of(w->s2, dx.rows, s->d), dx, e);
}

/* dx through the output projection: dao [rows, q] from the rows' attention output ao. */
static bool backward_o(struct decoder_work *w, uint32_t layer, struct dev_mat dx, struct dev_mat ao,
                       struct dev_mat dao, struct err *e)
{
    struct dev_mat dy = shape_of(w->dy, dx.rows, dx.cols), none = {0};
    struct lin_call o = work_call(w, layer, LIN_O, ao);
    return dev_cast(w->m->dev, dx, dy, e) &&
           lin_bwd(w->m, w->l, &o, dy, w->dh, w->grad, goes_on(w, layer, LIN_O) ? dao : none, e);
}

/* dao [T, q] in s2, dx f32 [T, d]. */
static bool backward_attention(struct decoder_work *w, uint32_t layer, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    uint32_t t = w->t, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_mat qkv = rows_of(k->qkv, t), dqkv = shape_of(w->s1, t, q + 2 * kv);
    struct dev_mat dao = shape_of(w->s2, t, q), dn = shape_of(w->s2, t, s->d);

    if (!dev_attn_bwd(d, &w->attn, dev_mat_part(qkv, 0, t, 0, q), dev_mat_part(qkv, 0, t, q, kv),
                      dev_mat_part(qkv, 0, t, q + kv, kv), rows_of(k->ao, t),
                      shape_of(k->lse, s->heads, t), dao, dev_mat_part(dqkv, 0, t, 0, q),
                      dev_mat_part(dqkv, 0, t, q, kv), dev_mat_part(dqkv, 0, t, q + kv, kv), e))
        return false;
    if (!dev_rope(d, dev_mat_part(dqkv, 0, t, 0, q + kv), s->heads + s->kv_heads, w->pos,
                  w->m->inv_freq, true, e))
        return false;
    return backward_normed(w, layer, LIN_QKV, rows_of(k->x1, t), dqkv, dn, rows_of(w->dx, t), e);
}

/* The last block: loss rows up to the attention's output, then all rows. */
static bool backward_last(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev *d = w->m->dev;
    uint32_t last = s->layers - 1, q = s->heads * s->head_dim;
    struct dev_mat dxr = rows_of(w->dxr, w->r), dx = rows_of(w->dx, w->t);
    struct dev_mat aor = shape_of(w->n, w->r, q), daor = shape_of(w->s1, w->r, q);
    struct dev_mat dao = shape_of(w->s2, w->t, q);

    if (!backward_mlp(w, last, dxr, e)) return false;
    if (!goes_on(w, last, LIN_GU)) return true;
    if (!dev_gather_rows(d, rows_of(work_kept(w, last)->ao, w->t), w->rows, aor, e)) return false;
    if (!backward_o(w, last, dxr, aor, daor, e)) return false;
    if (!goes_on(w, last, LIN_O)) return true;
    if (!dev_zero(d, dao, e) || !dev_scatter_rows(d, daor, w->rows, dao, e)) return false;
    if (!dev_zero(d, dx, e) || !dev_scatter_rows(d, dxr, w->rows, dx, e)) return false;
    return backward_attention(w, last, e);
}

static bool backward_block(struct decoder_work *w, uint32_t layer, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev_mat dx = rows_of(w->dx, w->t), ao = rows_of(work_kept(w, layer)->ao, w->t);
    struct dev_mat dao = shape_of(w->s2, w->t, s->heads * s->head_dim);

    if (!backward_mlp(w, layer, dx, e)) return false;
    if (!goes_on(w, layer, LIN_GU)) return true;
    if (!backward_o(w, layer, dx, ao, dao, e)) return false;
    return !goes_on(w, layer, LIN_O) || backward_attention(w, layer, e);
}

bool decoder_backward(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    uint32_t stop = w->l->groups ? lora_lowest(w->l) / LINEARS : 0;

    if (!backward_last(w, e)) return false;
    for (uint32_t i = s->layers - 1; i-- > stop;) {
        if (!backward_block(w, i, e)) return false;
    }
    if (w->l->method != LORA_FULL) return true;
    return dev_scatter_add_rows(
        w->m->dev, rows_of(w->dx, w->t), w->ids,
        dev_mat_of(w->grad, w->l->tensors[0].offset, DEV_F32, s->vocab, s->d), e);
}
