/* What T5 has beyond a decoder: relative positions and cross attention. (Raffel et al. 2020, arXiv
 * 1910.10683) */
#include <math.h>

#include "model/decoder_parts.h"

/* ---- positions */

/* Half of the kinds are distances of their own; the others grow by a constant factor up to reach.
 * In f32, as transformers has it: where the logarithm falls on a whole number, its rounding
 * decides. */
static int32_t bucket_of(uint32_t n, uint32_t kinds, uint32_t reach)
{
    uint32_t exact = kinds / 2, log_part;
    if (n < exact) return (int32_t)n;
    float part = logf((float)n / (float)exact) / (float)log((double)reach / exact);
    log_part = (uint32_t)(part * (float)(kinds - exact));
    return (int32_t)(exact + log_part < kinds ? exact + log_part : kinds - 1);
}

void bias_buckets(const struct model_spec *s, bool bidirectional, int32_t *out)
{
    uint32_t kinds = bidirectional ? s->buckets / 2 : s->buckets;
    int32_t later = bidirectional ? (int32_t)kinds : 0; /* keys behind the query */
    for (uint32_t n = 0; n <= s->reach; n++) {
        out[s->reach - n] = bucket_of(n, kinds, s->reach);
        if (n > 0) out[s->reach + n] = bidirectional ? later + bucket_of(n, kinds, s->reach) : 0;
    }
}

bool bias_load(struct decoder_work *w, struct side *v, struct err *e)
{
    v->attn.bias = v->bias;
    return dev_gather_rows(w->m->dev, w->m->table[v->stack], v->buckets, v->bias, e);
}

bool bias_backward(struct decoder_work *w, const struct side *v, struct err *e)
{
    return dev_scatter_add_rows(
        w->m->dev, v->dbias, v->buckets,
        lora_full_grad(w->l, w->grad, model_table_index(&w->m->spec, v->stack)), e);
}

/* ---- cross attention */

bool cross_forward(struct decoder_work *w, uint32_t layer, struct dev_mat x, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    uint32_t kv = s->kv_heads * s->head_dim, te = w->enc.t;
    struct dev_mat n = shape_tail(w->n, x.rows, s->d, w->tail);
    struct dev_mat xq = rows_of(k->xq, x.rows), xo = rows_of(k->xo, x.rows);
    struct dev_mat xkv = rows_of(k->xkv, te);
    struct lin_call q_call = work_call(w, layer, LIN_XQ, n);
    struct lin_call kv_call = work_call(w, layer, LIN_XKV, rows_of(w->memory, te));
    struct lin_call o_call = work_call(w, layer, LIN_XO, xo);

    if (!work_norm(w, layer, 2, x, k->x3, n, e)) return false;
    if (!lin_fwd(w->m, w->l, &q_call, 0, xq, e) || !lin_fwd(w->m, w->l, &kv_call, 0, xkv, e))
        return false;
    return dev_attn_fwd(d, &w->cross, xq, dev_mat_part(xkv, 0, te, 0, kv),
                        dev_mat_part(xkv, 0, te, kv, kv), xo, shape_of(k->xlse, s->heads, x.rows),
                        e) &&
           lin_fwd(w->m, w->l, &o_call, 1, x, e);
}

/* Keys and values: their gradient, and on into the memory's. dkv [T of the encoder, 2 kv] in s1. */
static bool memory_backward(struct decoder_work *w, uint32_t layer, struct dev_mat dkv,
                            struct err *e)
{
    uint32_t te = w->enc.t;
    struct dev_mat to = shape_of(w->s2, te, w->m->spec.d), none = {0};
    struct lin_call c = work_call(w, layer, LIN_XKV, rows_of(w->memory, te));
    bool on = goes_on(w, layer, LIN_XKV);
    return lin_bwd(w->m, w->l, &c, dkv, w->dh, w->grad, on ? to : none, e) &&
           (!on || dev_add(w->m->dev, rows_of(w->dmemory, te), to, e));
}

bool cross_backward(struct decoder_work *w, uint32_t layer, struct dev_mat dx, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct kept *k = work_kept(w, layer);
    struct dev *d = w->m->dev;
    uint32_t r = dx.rows, te = w->enc.t, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_mat xo = rows_of(k->xo, r), xkv = rows_of(k->xkv, te), none = {0};
    struct dev_mat dxo = shape_of(w->s2, r, q);
    struct dev_mat dxq = rows_of(w->dxq, r), dkv = shape_tail(w->s1, te, 2 * kv, w->tail);
    struct lin_call o_call = work_call(w, layer, LIN_XO, xo);
    bool on = goes_on(w, layer, LIN_XO);

    if (!lin_bwd(w->m, w->l, &o_call, work_dy(w, r), w->dh, w->grad, on ? dxo : none, e))
        return false;
    if (!on) return true;
    if (!dev_attn_bwd(d, &w->cross, rows_of(k->xq, r), dev_mat_part(xkv, 0, te, 0, kv),
                      dev_mat_part(xkv, 0, te, kv, kv), xo, shape_of(k->xlse, s->heads, r), dxo,
                      dxq, dev_mat_part(dkv, 0, te, 0, kv), dev_mat_part(dkv, 0, te, kv, kv), e))
        return false;
    return memory_backward(w, layer, dkv, e) &&
           backward_normed(w, layer, LIN_XQ, rows_of(k->x3, r), dxq, shape_of(w->s2, r, s->d), dx,
                           e);
}
