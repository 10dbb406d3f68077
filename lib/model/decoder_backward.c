#include "model/decoder_parts.h"

/* In a decoder behind an encoder a gradient goes down for two reasons: something adapted in the
 * blocks below, or something adapted in the encoder, which cross attention leads to. */
bool goes_on(const struct decoder_work *w, uint32_t layer, enum linear lin)
{
    uint32_t first = w->dec.first, at = layer * LINEARS + lin;
    bool encoder = lora_lowest(w->l, 0) < first * LINEARS;

    if (w->l->method == LORA_FULL) return true;
    if (layer < first) return at > lora_lowest(w->l, 0);
    if (lin == LIN_XKV) return encoder;
    if (at > lora_lowest(w->l, first)) return true;
    return encoder && (layer > first || lin > LIN_XKV);
}

struct dev_mat norm_grad(const struct decoder_work *w, uint32_t layer, uint32_t which)
{
    if (w->l->method != LORA_FULL) return (struct dev_mat){0};
    return lora_full_grad(w->l, w->grad, model_norm_index(&w->m->spec, layer, which));
}

/* Which of a block's norms a linear stands behind. */
static uint32_t norm_of(enum linear lin)
{
    return lin == LIN_QKV ? 0 : lin == LIN_GU ? 1 : 2;
}

/* The saved x in f32 (itself, or cast into the forward pass's x, which is free by now). */
static bool load_x(struct decoder_work *w, uint32_t layer, struct dev_mat saved, struct dev_mat *x,
                   struct err *e)
{
    const struct side *v = layer < w->dec.first ? &w->enc : &w->dec;
    *x = saved;
    if (saved.dtype == DEV_F32) return true;
    *x = shape_of(v->x, saved.rows, saved.cols);
    return dev_cast(w->m->dev, saved, *x, e);
}

struct dev_mat work_dy(const struct decoder_work *w, uint32_t rows)
{
    return shape_tail(w->dy, rows, w->m->spec.d, w->tail);
}

/* Op by op: x before its linear's gradient, or nothing wanted below. */
static bool normed_apart(struct decoder_work *w, struct lin_call c, struct dev_mat saved,
                         struct dev_mat dy, struct dev_mat dn, struct dev_mat dx, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    uint32_t which = norm_of(c.lin);
    struct dev_mat weight = w->m->layers[c.layer].norm[which], x, none = {0};
    struct dev_mat rstd = shape_of(w->rstd, 1, saved.rows), dw = norm_grad(w, c.layer, which);
    struct dev *d = w->m->dev;
    bool on = goes_on(w, c.layer, c.lin);

    if (!load_x(w, c.layer, saved, &x, e)) return false;
    if (!dev_rmsnorm(d, x, weight, s->rms_eps, c.x, rstd, e)) return false;
    if (!lin_bwd(w->m, w->l, &c, dy, w->dh, w->grad, on ? dn : none, e)) return false;
    return !on || (dev_rmsnorm_bwd(d, dn, x, weight, rstd, dx, dw, e) &&
                   dev_cast(d, dx, work_dy(w, dx.rows), e));
}

bool backward_normed(struct decoder_work *w, uint32_t layer, enum linear lin, struct dev_mat saved,
                     struct dev_mat dy, struct dev_mat dn, struct dev_mat dx, struct err *e)
{
    struct lin_call c = work_call(w, layer, lin, shape_of(w->n, saved.rows, w->m->spec.d));
    struct dev_rmsnorm_back g = {.dy = dn,
                                 .x = saved,
                                 .w = w->m->layers[layer].norm[norm_of(lin)],
                                 .eps = w->m->spec.rms_eps,
                                 .dx = dx,
                                 .to = work_dy(w, dx.rows)};

    if (lin_wants_x(w->l) || !goes_on(w, layer, lin))
        return normed_apart(w, c, saved, dy, dn, dx, e);
    if (lora_group_of(w->l, layer, lin)) g.y = c.x;
    return lin_bwd_first(w->m, w->l, &c, dy, w->dh, w->grad, dn, e) &&
           dev_rmsnorm_back(w->m->dev, &g, e) && lin_bwd_a(w->m, w->l, &c, dy, w->dh, w->grad, e);
}

/* dy through the last product of an MLP and its activation: gu becomes its own gradient, where one
 * is wanted below. */
static bool backward_down(struct decoder_work *w, uint32_t layer, struct dev_mat dy,
                          struct dev_mat gu, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    enum dev_act kind = (enum dev_act)s->act;
    struct dev_mat act = shape_of(w->s2, dy.rows, s->ff), dact = shape_of(w->s1, dy.rows, s->ff);
    struct dev_mat none = {0};
    struct lin_call c = work_call(w, layer, LIN_DOWN, act);
    bool on = goes_on(w, layer, LIN_DOWN);
    struct dev *d = w->m->dev;

    if (lin_wants_x(w->l) || !on)
        return dev_act(d, kind, gu, act, e) &&
               lin_bwd(w->m, w->l, &c, dy, w->dh, w->grad, on ? dact : none, e) &&
               (!on || dev_act_bwd(d, kind, dact, gu, gu, e));
    if (!lin_bwd_first(w->m, w->l, &c, dy, w->dh, w->grad, dact, e)) return false;
    if (!lora_group_of(w->l, layer, LIN_DOWN)) return dev_act_bwd(d, kind, dact, gu, gu, e);
    return dev_act_back(d, kind, dact, gu, gu, act, e) &&
           lin_bwd_a(w->m, w->l, &c, dy, w->dh, w->grad, e);
}

/* dx (f32, in place) through the MLP of a block. */
static bool backward_mlp(struct decoder_work *w, uint32_t layer, struct dev_mat dx, struct err *e)
{
    struct kept *k = work_kept(w, layer);
    struct dev_mat gu = rows_of(k->gu, dx.rows);

    if (!backward_down(w, layer, work_dy(w, dx.rows), gu, e)) return false;
    return !goes_on(w, layer, LIN_DOWN) ||
           backward_normed(w, layer, LIN_GU, rows_of(k->x2, dx.rows), gu,
                           shape_of(w->s2, dx.rows, w->m->spec.d), dx, e);
}

/* dx through all that follows a block's attention; *on: a gradient is wanted below that. */
static bool backward_rest(struct decoder_work *w, uint32_t layer, struct dev_mat dx, bool *on,
                          struct err *e)
{
    uint32_t encoder = w->m->spec.enc_layers;

    *on = goes_on(w, layer, LIN_GU);
    if (!backward_mlp(w, layer, dx, e)) return false;
    if (!*on || !encoder || layer < encoder) return true;
    *on = goes_on(w, layer, LIN_XQ);
    return cross_backward(w, layer, dx, e);
}

/* Through the output projection: dao [rows, q] from the rows' attention output ao. */
static bool backward_o(struct decoder_work *w, uint32_t layer, struct dev_mat ao,
                       struct dev_mat dao, struct err *e)
{
    struct dev_mat none = {0};
    struct lin_call o = work_call(w, layer, LIN_O, ao);
    return lin_bwd(w->m, w->l, &o, work_dy(w, ao.rows), w->dh, w->grad,
                   goes_on(w, layer, LIN_O) ? dao : none, e);
}

/* dao [T, q] in s2, the side's dx f32 [T, d]. */
static bool backward_attention(struct decoder_work *w, struct side *v, uint32_t layer,
                               struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    uint32_t t = v->t, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_mat qkv = rows_of(k->qkv, t), dqkv = shape_tail(w->s1, t, q + 2 * kv, w->tail);
    struct dev_mat dao = shape_of(w->s2, t, q), dn = shape_of(w->s2, t, s->d);
    struct dev_attn a = v->attn;

    if (s->buckets && w->l->method == LORA_FULL) a.dbias = v->dbias;
    if (!dev_attn_bwd(d, &a, dev_mat_part(qkv, 0, t, 0, q), dev_mat_part(qkv, 0, t, q, kv),
                      dev_mat_part(qkv, 0, t, q + kv, kv), rows_of(k->ao, t),
                      shape_of(k->lse, s->heads, t), dao, dev_mat_part(dqkv, 0, t, 0, q),
                      dev_mat_part(dqkv, 0, t, q, kv), dev_mat_part(dqkv, 0, t, q + kv, kv), e))
        return false;
    if (s->rope != ROPE_NONE && !dev_rope(d, dev_mat_part(dqkv, 0, t, 0, q + kv),
                                          s->heads + s->kv_heads, v->pos, w->m->inv_freq, true, e))
        return false;
    return backward_normed(w, layer, LIN_QKV, rows_of(k->x1, t), dqkv, dn, rows_of(v->dx, t), e);
}

/* The decoder's last block: loss rows up to the attention's output, then all rows. */
static bool backward_last(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev *d = w->m->dev;
    struct side *v = &w->dec;
    uint32_t last = s->layers - 1, q = s->heads * s->head_dim;
    struct dev_mat dxr = rows_of(w->head.dxr, w->r), dx = rows_of(v->dx, v->t);
    struct dev_mat aor = shape_of(w->n, w->r, q), daor = shape_of(w->s1, w->r, q);
    struct dev_mat dao = shape_of(w->s2, v->t, q);
    bool on;

    if (!dev_cast(d, dxr, work_dy(w, w->r), e)) return false;
    if (!backward_rest(w, last, dxr, &on, e)) return false;
    if (!on) return true;
    if (!dev_gather_rows(d, rows_of(work_kept(w, last)->ao, v->t), w->rows, aor, e)) return false;
    if (!backward_o(w, last, aor, daor, e)) return false;
    if (!goes_on(w, last, LIN_O)) return true;
    if (!dev_zero(d, dao, e) || !dev_scatter_rows(d, daor, w->rows, dao, e)) return false;
    if (!dev_zero(d, dx, e) || !dev_scatter_rows(d, dxr, w->rows, dx, e)) return false;
    return backward_attention(w, v, last, e);
}

static bool backward_block(struct decoder_work *w, struct side *v, uint32_t layer, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct dev_mat dx = rows_of(v->dx, v->t), ao = rows_of(work_kept(w, layer)->ao, v->t);
    struct dev_mat dao = shape_of(w->s2, v->t, s->heads * s->head_dim);
    bool on;

    if (!block_again(w, v, layer, e) || !backward_rest(w, layer, dx, &on, e)) return false;
    if (!on) return true;
    if (!backward_o(w, layer, ao, dao, e)) return false;
    return !goes_on(w, layer, LIN_O) || backward_attention(w, v, layer, e);
}

/* Is anything trained in the encoder? */
static bool wants_memory(const struct decoder_work *w)
{
    return w->enc.end > 0 && goes_on(w, w->dec.first, LIN_XKV);
}

/* Blocks below `end`, then what is trained beside them: embeddings and relative positions. */
static bool backward_side(struct decoder_work *w, struct side *v, uint32_t end, struct err *e)
{
    bool all = w->l->method == LORA_FULL || (v->stack == 1 && wants_memory(w));
    uint32_t stop = all ? v->first : lora_lowest(w->l, v->first) / LINEARS;
    for (uint32_t i = end; i-- > stop;) {
        if (!backward_block(w, v, i, e)) return false;
    }
    if (w->l->method != LORA_FULL) return true;
    if (w->m->spec.buckets && !bias_backward(w, v, e)) return false;
    return dev_scatter_add_rows(w->m->dev, rows_of(v->dx, v->t), v->ids,
                                lora_full_grad(w->l, w->grad, 0), e);
}

/* dmemory through the encoder's last norm into its dx. */
static bool backward_memory(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct side *v = &w->enc;
    struct dev *d = w->m->dev;
    struct dev_mat x = rows_of(v->x, v->t), dx = rows_of(v->dx, v->t), dw = {0};
    struct dev_mat rstd = shape_of(w->rstd, 1, v->t), n = shape_of(w->n, v->t, s->d);

    if (w->l->method == LORA_FULL) dw = lora_full_grad(w->l, w->grad, model_stack_norm_index(s, 0));
    return dev_zero(d, dx, e) && dev_rmsnorm(d, x, w->m->norm[0], s->rms_eps, n, rstd, e) &&
           dev_rmsnorm_bwd(d, rows_of(w->dmemory, v->t), x, w->m->norm[0], rstd, dx, dw, e) &&
           dev_cast(d, dx, work_dy(w, v->t), e);
}

static bool zero_sides(struct decoder_work *w, struct err *e)
{
    struct dev *d = w->m->dev;
    bool biased = w->m->spec.buckets && w->l->method == LORA_FULL;
    if (w->enc.end && !dev_zero(d, rows_of(w->dmemory, w->enc.t), e)) return false;
    return !biased || (dev_zero(d, w->enc.dbias, e) && dev_zero(d, w->dec.dbias, e));
}

bool decoder_backward(struct decoder_work *w, struct err *e)
{
    const struct model_spec *s = &w->m->spec;

    if (!zero_sides(w, e) || !backward_last(w, e)) return false;
    if (!backward_side(w, &w->dec, s->layers - 1, e)) return false;
    if (!wants_memory(w)) return true;
    return backward_memory(w, e) && backward_side(w, &w->enc, w->enc.end, e);
}
