#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* Rows [r0, r1), columns of head h, as f32 with row length hd. */
static void load_head(const struct cpu *c, struct dev_mat m, uint32_t r0, uint32_t r1, size_t h,
                      size_t hd, float *out)
{
    for (uint32_t r = r0; r < r1; r++, out += hd) {
        const float *x = cpu_load(c, m, r, h * hd, hd, out);
        if (x != out) memcpy(out, x, hd * sizeof *out);
    }
}

static void store_head(const struct cpu *c, const float *x, struct dev_mat m, uint32_t r, size_t h,
                       size_t hd)
{
    if (m.dtype == DEV_F32)
        memcpy((float *)dev_mat_row(m, r) + h * hd, x, hd * sizeof *x);
    else
        cpu_store(c, x, m, r, h * hd, hd);
}

/* First key that query i of its sample sees. */
static uint32_t first_key(const struct dev_attn *a, uint32_t i)
{
    return a->window && i + 1 > a->window ? i + 1 - a->window : 0;
}

/* One query over keys [j0, j1): out = softmax(scale q k^T) v. Returns log sum exp. */
static float attend(const struct cpu *c, const struct dev_attn *a, const float *q, const float *k,
                    const float *v, uint32_t j0, uint32_t j1, float *p, float *out)
{
    size_t hd = a->head_dim;
    for (uint32_t j = j0; j < j1; j++)
        p[j - j0] = a->scale * c->k->dot(q, k + j * hd, hd);
    float top = c->k->max(p, j1 - j0);
    float sum = c->k->exp_sum(p, 1.0f, top, p, j1 - j0);
    memset(out, 0, hd * sizeof *out);
    for (uint32_t j = j0; j < j1; j++)
        c->k->axpy(p[j - j0] / sum, v + j * hd, out, hd);
    return top + logf(sum);
}

static uint32_t longest(const struct dev_attn *a)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < a->nseq; s++)
        if (a->cu[s + 1] - a->cu[s] > n) n = a->cu[s + 1] - a->cu[s];
    return n;
}

bool cpu_attn_fwd(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_attn *a = &call->attn.a;
    size_t hd = a->head_dim, group = a->heads / a->kv_heads, n = longest(a);
    if (!cpu_scratch(c, (2 * n * hd + n + 2 * hd) * sizeof(float), e)) return false;
    float *k = cpu_scratch_of(c, 0), *v = k + n * hd, *p = v + n * hd, *q = p + n, *o = q + hd;
    for (uint32_t s = 0; s < a->nseq; s++) {
        uint32_t t0 = a->cu[s], t1 = a->cu[s + 1];
        for (uint32_t h = 0; h < a->heads; h++) {
            float *lse = call->m[4].buf ? dev_mat_row(call->m[4], h) : NULL;
            load_head(c, call->m[1], t0, t1, h / group, hd, k);
            load_head(c, call->m[2], t0, t1, h / group, hd, v);
            for (uint32_t t = t0; t < t1; t++) {
                load_head(c, call->m[0], t, t + 1, h, hd, q);
                float l = attend(c, a, q, k, v, first_key(a, t - t0), t - t0 + 1, p, o);
                if (lse) lse[t] = l;
                store_head(c, o, call->m[3], t, h, hd);
            }
        }
    }
    return true;
}

/* dP = dO V^T, D = sum dO O, dS = P (dP - D) scale; dQ = dS K, dK = dS^T Q, dV = P^T dO. */
bool cpu_attn_bwd(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_attn *a = &call->attn.a;
    size_t hd = a->head_dim, group = a->heads / a->kv_heads, n = longest(a);
    if (!cpu_scratch(c, (4 * n * hd + 4 * hd) * sizeof(float), e)) return false;
    float *k = cpu_scratch_of(c, 0), *v = k + n * hd, *dk = v + n * hd, *dv = dk + n * hd;
    float *q = dv + n * hd, *o = q + hd, *dout = o + hd, *dq = dout + hd;
    for (uint32_t s = 0; s < a->nseq; s++) {
        uint32_t t0 = a->cu[s], t1 = a->cu[s + 1];
        for (uint32_t g = 0; g < a->kv_heads; g++) {
            load_head(c, call->m[1], t0, t1, g, hd, k);
            load_head(c, call->m[2], t0, t1, g, hd, v);
            memset(dk, 0, 2 * n * hd * sizeof *dk);
            for (size_t h = g * group; h < (g + 1) * group; h++)
                for (uint32_t t = t0; t < t1; t++) {
                    const float *lse = dev_mat_row(call->m[4], (uint32_t)h);
                    load_head(c, call->m[0], t, t + 1, h, hd, q);
                    load_head(c, call->m[3], t, t + 1, h, hd, o);
                    load_head(c, call->m[5], t, t + 1, h, hd, dout);
                    float big_d = c->k->dot(dout, o, hd);
                    memset(dq, 0, hd * sizeof *dq);
                    for (uint32_t j = first_key(a, t - t0); j <= t - t0; j++) {
                        float p = expf(a->scale * c->k->dot(q, k + j * hd, hd) - lse[t]);
                        float dp = c->k->dot(dout, v + j * hd, hd);
                        float ds = p * a->scale * (dp - big_d);
                        c->k->axpy(ds, k + j * hd, dq, hd);
                        c->k->axpy(ds, q, dk + j * hd, hd);
                        c->k->axpy(p, dout, dv + j * hd, hd);
                    }
                    store_head(c, dq, call->m[6], t, h, hd);
                }
            for (uint32_t t = t0; t < t1; t++) {
                store_head(c, dk + (t - t0) * hd, call->m[7], t, g, hd);
                store_head(c, dv + (t - t0) * hd, call->m[8], t, g, hd);
            }
        }
    }
    return true;
}

bool cpu_attn_cached(struct cpu *c, const struct dev_call *call, struct err *e)
{
    const struct dev_attn *a = &call->attn.a;
    struct dev_mat q = call->m[0], out = call->m[3];
    size_t hd = a->head_dim, group = a->heads / a->kv_heads, n = call->attn.max_len;
    if (!cpu_scratch(c, (2 * n * hd + n + 2 * hd) * sizeof(float), e)) return false;
    float *k = cpu_scratch_of(c, 0), *v = k + n * hd, *p = v + n * hd, *qr = p + n, *o = qr + hd;
    for (uint32_t r = 0; r < q.rows; r++) {
        uint32_t t0 = call->attn.slot[r] * call->attn.max_len, pos = call->attn.pos[r];
        for (uint32_t h = 0; h < a->heads; h++) {
            load_head(c, call->m[1], t0, t0 + pos + 1, h / group, hd, k);
            load_head(c, call->m[2], t0, t0 + pos + 1, h / group, hd, v);
            load_head(c, q, r, r + 1, h, hd, qr);
            (void)attend(c, a, qr, k, v, first_key(a, pos), pos + 1, p, o);
            store_head(c, o, out, r, h, hd);
        }
    }
    return true;
}
