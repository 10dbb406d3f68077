/* Decoding: the tokens of prompts and answers go the same way, row by row, independent of each
 * other. */
#include <string.h>

#include "base/mem.h"
#include "model/decoder_parts.h"

/* On the CPU a row of a product has the same bits whatever the number of rows
 * (compute/cpu/gemm.h). A GPU's library promises no such thing: there every product of a step has
 * one fixed number of rows, a tile, and what is over is padding; up to some 200 rows cost as much
 * as one. */
enum { GPU_TILE = 128, PAD_ROWS = 128, HEAD_ROWS = 32 };

struct decoder_cache {
    struct model *m;
    struct decoder_cache_opts o; /* adapters point to: */
    struct lora *adapters[DECODER_ADAPTERS];
    int32_t *adapter_of;                       /* [slots] */
    uint32_t tile;                             /* rows of one product; 0: any number */
    struct dev_buf *buf, *hbuf;                /* hbuf: h and sum, when there is an adapter */
    struct dev_mat ids, pos, at, want, next;   /* I32 [1, rows] */
    struct dev_mat chance;                     /* f32 [1, rows] */
    struct dev_mat sum;                        /* f32 [tile, d] */
    struct dev_mat x, xw;                      /* f32 [rows, d]; xw of what is asked */
    struct dev_mat n, nw, qkv, ao, gu, act, h; /* dtype; nw is n of HEAD_ROWS of xw */
    struct dev_mat logits;                     /* f32 [HEAD_ROWS, V] */
    struct dev_kv kv;                          /* of the decoder's blocks */
    uint32_t *host, *host_last;                /* [max_rows] each */
    uint32_t *asked_slot, *asked_pos;          /* [max_rows] each */
    float *seen;                               /* [HEAD_ROWS * V], once logits are wanted */
    /* with an encoder: */
    struct decoder_work *enc; /* runs it, and holds the bias */
    struct dev_kv xkv;        /* like kv: of the memories */
    uint32_t *memory_len;     /* [slots] */
    uint32_t *memory_of;      /* [slots]: which slot's memory it looks at */
    uint32_t start;
};

/* The decoder's blocks. */
static uint32_t nblocks(const struct model_spec *s)
{
    return s->layers - s->enc_layers;
}

/* ---- memory */

/* A run of rows of one adapter may begin anywhere and still is a whole number of tiles. */
static uint32_t rows_of_cache(const struct decoder_cache_opts *o)
{
    uint32_t rows = (o->max_rows + PAD_ROWS - 1) / PAD_ROWS * PAD_ROWS;
    return o->nadapters ? rows + PAD_ROWS : rows;
}

static struct dev_kv take_kv(struct dev_buf *b, uint64_t *at, const struct model_spec *s,
                             enum dev_dtype t, uint32_t slots, uint32_t tokens)
{
    struct dev_kv v = {.layers = nblocks(s),
                       .slots = slots,
                       .len = dev_kv_len(tokens),
                       .kv_heads = s->kv_heads,
                       .head_dim = s->head_dim};
    v.mem = work_take(b, at, t, dev_kv_rows(&v), s->kv_heads * s->head_dim);
    return v;
}

static uint64_t lay_out(struct decoder_cache *c, const struct model_spec *s, enum dev_dtype t)
{
    uint64_t at = 0, rows = rows_of_cache(&c->o);
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_buf *b = c->buf;
    c->ids = work_take(b, &at, DEV_I32, 1, rows);
    c->pos = work_take(b, &at, DEV_I32, 1, rows);
    c->at = work_take(b, &at, DEV_I32, 1, rows);
    c->want = work_take(b, &at, DEV_I32, 1, rows);
    c->next = work_take(b, &at, DEV_I32, 1, rows);
    c->chance = work_take(b, &at, DEV_F32, 1, rows);
    c->x = work_take(b, &at, DEV_F32, rows, s->d);
    c->xw = work_take(b, &at, DEV_F32, rows, s->d);
    c->n = work_take(b, &at, t, rows, s->d);
    c->nw = work_take(b, &at, t, HEAD_ROWS, s->d);
    c->qkv = work_take(b, &at, t, rows, q + 2 * kv);
    c->ao = work_take(b, &at, t, rows, q);
    c->gu = work_take(b, &at, t, rows, linear_shape(s, s->layers - 1, LIN_GU).out);
    c->act = work_take(b, &at, t, rows, s->ff);
    c->logits = work_take(b, &at, DEV_F32, HEAD_ROWS, s->vocab);
    c->kv = take_kv(b, &at, s, t, c->o.slots, c->o.max_len);
    c->xkv = take_kv(b, &at, s, t, c->o.slots, s->enc_layers ? c->o.max_memory : 0);
    return at;
}

uint64_t decoder_cache_bytes(const struct model_spec *s, enum dev_dtype dtype,
                             const struct decoder_cache_opts *o)
{
    struct decoder_cache c = {.o = *o};
    uint64_t encoder = 0;
    struct err e = {0};
    if (s->enc_layers)
        CHECK(decoder_work_bytes(s, dtype, NULL, o->max_memory, 1, false, &encoder, &e));
    return lay_out(&c, s, dtype) + encoder;
}

/* Widest h of any adapter. */
static uint32_t widest_of(const struct decoder_cache *c)
{
    uint32_t widest = 0;
    for (uint32_t k = 0; k < c->o.nadapters; k++)
        for (uint32_t i = 0; i < c->m->spec.layers * LINEARS; i++) {
            const struct lora_group *g = lora_group_of(c->adapters[k], i / LINEARS, i % LINEARS);
            if (g && g->rank_sum > widest) widest = g->rank_sum;
        }
    return widest;
}

static bool open_h(struct decoder_cache *c, struct err *e)
{
    uint32_t widest = widest_of(c), rows = rows_of_cache(&c->o);
    uint32_t d = c->tile ? c->m->spec.d : 0;
    uint64_t at = 0;
    if (!widest) return true;
    for (uint32_t k = 0; k < c->o.nadapters; k++)
        if (!lora_dora_reserve(c->adapters[k], rows, e)) return false;
    for (int pass = 0; pass < 2; pass++) {
        at = 0;
        c->h = work_take(c->hbuf, &at, c->m->dtype, rows, widest);
        c->sum = work_take(c->hbuf, &at, DEV_F32, c->tile, d);
        if (pass == 0 && !dev_buf_open(c->m->dev, at, &c->hbuf, e)) return false;
    }
    return true;
}

/* Padding rows are multiplied, too: whatever is in them must at least be numbers. */
static bool zero_all(struct decoder_cache *c, struct err *e)
{
    struct dev_mat all[] = {c->x, c->xw, c->n, c->nw, c->qkv, c->ao, c->gu, c->act};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!dev_zero(c->m->dev, all[i], e)) return false;
    }
    return true;
}

static bool open_encoder(struct decoder_cache *c, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    if (!s->enc_layers) return true;
    c->start = (uint32_t)s->start;
    c->memory_len = mem_calloc(c->o.slots, sizeof *c->memory_len, e);
    if (!c->memory_len) return false;
    c->memory_of = mem_calloc(c->o.slots, sizeof *c->memory_of, e);
    return c->memory_of &&
           decoder_work_open_for(c->m, c->adapters, c->o.nadapters, c->o.max_memory, &c->enc, e) &&
           bias_load(c->enc, &c->enc->dec, e);
}

static uint32_t tile_of(const struct model *m)
{
    return strncmp(dev_name(m->dev), "cuda", 4) == 0 ? GPU_TILE : 0;
}

static bool open_host(struct decoder_cache *c, struct err *e)
{
    c->host = mem_calloc((size_t)4 * c->o.max_rows, sizeof *c->host, e);
    if (!c->host) return false;
    c->host_last = c->host + c->o.max_rows;
    c->asked_slot = c->host_last + c->o.max_rows;
    c->asked_pos = c->asked_slot + c->o.max_rows;
    c->adapter_of = mem_calloc(c->o.slots, sizeof *c->adapter_of, e);
    if (!c->adapter_of) return false;
    for (uint32_t i = 0; i < c->o.slots; i++)
        c->adapter_of[i] = -1;
    return true;
}

bool decoder_cache_open(struct model *m, const struct decoder_cache_opts *o,
                        struct decoder_cache **out, struct err *e)
{
    struct decoder_cache *c = mem_calloc(1, sizeof *c, e);
    bool ok = false;

    CHECK(o->slots > 0 && o->max_len > 0 && o->max_rows > 0 && o->nadapters <= DECODER_ADAPTERS);
    CHECK(!m->spec.enc_layers || o->max_memory > 0);
    if (!c) return false;
    c->m = m;
    c->o = *o;
    for (uint32_t i = 0; i < o->nadapters; i++) {
        CHECK(o->nadapters == 1 || o->adapters[i]->method == LORA_LORA);
        c->adapters[i] = o->adapters[i];
    }
    c->tile = tile_of(m);
    if (!open_host(c, e)) goto out;
    if (!dev_buf_open(m->dev, lay_out(c, &m->spec, m->dtype), &c->buf, e)) goto out;
    lay_out(c, &m->spec, m->dtype);
    if (!open_h(c, e) || !zero_all(c, e) || !open_encoder(c, e)) goto out;
    *out = c;
    ok = true;
out:
    if (!ok) {
        decoder_cache_close(c);
        err_wrap(e, "cache of %u sequences", o->slots);
    }
    return ok;
}

void decoder_cache_close(struct decoder_cache *c)
{
    if (!c) return;
    decoder_work_close(c->enc);
    dev_buf_close(c->hbuf);
    dev_buf_close(c->buf);
    mem_free(c->memory_of);
    mem_free(c->memory_len);
    mem_free(c->adapter_of);
    mem_free(c->seen);
    mem_free(c->host);
    mem_free(c);
}

void decoder_set_adapter(struct decoder_cache *c, uint32_t slot, int32_t adapter)
{
    CHECK(slot < c->o.slots && adapter >= -1 && adapter < (int32_t)c->o.nadapters);
    c->adapter_of[slot] = adapter;
}

static struct lora *lora_of_slot(const struct decoder_cache *c, uint32_t slot)
{
    return c->adapter_of[slot] < 0 ? NULL : c->adapters[c->adapter_of[slot]];
}

/* ---- one step */

static bool upload_u32(struct decoder_cache *c, struct dev_mat *m, const uint32_t *v, uint32_t n,
                       struct err *e)
{
    m->cols = m->ld = n;
    return dev_upload(c->m->dev, m->buf, m->offset * sizeof *v, v, n * sizeof *v, e);
}

static bool begin(struct decoder_cache *c, const struct decoder_rows *r, struct err *e)
{
    uint32_t n = r->n;
    CHECK(n > 0 && n <= c->o.max_rows);
    for (uint32_t i = 0; i < n; i++) {
        CHECK(r->slot[i] < c->o.slots && r->pos[i] < c->o.max_len);
        if (r->token[i] >= c->m->spec.vocab)
            return err_set(e, ERR_FORMAT, "token %u is not in the model's vocabulary of %u",
                           r->token[i], c->m->spec.vocab);
        c->host[i] = r->slot[i] * c->kv.len + r->pos[i];
    }
    return upload_u32(c, &c->ids, r->token, n, e) && upload_u32(c, &c->pos, r->pos, n, e) &&
           upload_u32(c, &c->at, c->host, n, e) &&
           dev_gather_rows(c->m->dev, c->m->embed, c->ids, rows_of(c->x, n), e);
}

/* A step's call of a linear: from x, y is set to it, or with `add` grows by it. */
struct step_linear {
    uint32_t layer;
    enum linear lin;
    bool add;
    struct dev_mat x, y;
};

/* Rows [r0, r1), all of one adapter, in tiles, one after the other over the same weights while they
 * are in the cache. The last tile may reach into rows behind r1: what is set there is set again by
 * the run it belongs to, but nothing must be added. */
static bool linear_run(struct decoder_cache *c, const struct step_linear *s, struct lora *l,
                       uint32_t r0, uint32_t r1, struct err *e)
{
    const struct lora_group *g = lora_group_of(l, s->layer, s->lin);
    uint32_t step = c->tile ? c->tile : r1 - r0;
    bool apart = s->add && c->tile && c->hbuf;
    for (uint32_t r = r0; r < r1; r += step) {
        uint32_t used = r1 - r < step ? r1 - r : step;
        struct dev_mat y = dev_mat_part(s->y, r, step, 0, s->y.cols), sum = y;
        struct lin_call call = {
            .layer = s->layer, .lin = s->lin, .x = dev_mat_part(s->x, r, step, 0, s->x.cols)};
        if (g) call.h = shape_of(c->h, step, g->rank_sum);
        if (apart) sum = shape_of(c->sum, step, y.cols);
        if (!lin_fwd(c->m, l, &call, s->add && !apart, sum, e)) return false;
        if (apart && !dev_add(c->m->dev, rows_of(y, used), rows_of(sum, used), e)) return false;
    }
    return true;
}

/* A linear over all rows of a step. */
static bool linear(struct decoder_cache *c, const struct step_linear *s,
                   const struct decoder_rows *rows, struct err *e)
{
    for (uint32_t r = 0, end; r < rows->n; r = end) {
        int32_t adapter = c->adapter_of[rows->slot[r]];
        for (end = r + 1; end < rows->n && c->adapter_of[rows->slot[end]] == adapter;)
            end++;
        if (!linear_run(c, s, lora_of_slot(c, rows->slot[r]), r, end, e)) return false;
    }
    return true;
}

/* Queries, keys and values of a block from the residual stream; the latter to the cache. */
static bool look(struct decoder_cache *c, uint32_t layer, const struct decoder_rows *r,
                 struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev *d = c->m->dev;
    uint32_t n = r->n, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct step_linear lin = {layer, LIN_QKV, false, c->n, c->qkv};
    struct dev_mat qkv = rows_of(c->qkv, n), none = {0};

    if (!dev_rmsnorm(d, rows_of(c->x, n), c->m->layers[layer].norm[0], s->rms_eps, rows_of(c->n, n),
                     none, e) ||
        !linear(c, &lin, r, e))
        return false;
    if (s->rope != ROPE_NONE && !dev_rope(d, dev_mat_part(qkv, 0, n, 0, q + kv),
                                          s->heads + s->kv_heads, c->pos, c->m->inv_freq, false, e))
        return false;
    return dev_kv_put(d, &c->kv, layer - s->enc_layers, dev_mat_part(qkv, 0, n, q, kv),
                      dev_mat_part(qkv, 0, n, q + kv, kv), c->at, e);
}

static bool attention(struct decoder_cache *c, uint32_t layer, const struct decoder_rows *r,
                      struct dev_mat q, struct dev_mat out, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev_attn a = attn_of(s);
    if (c->enc) a.bias = c->enc->dec.bias;
    return dev_attn_kv(c->m->dev, &a, q, &c->kv, layer - s->enc_layers, r->slot, r->pos, out, e);
}

/* A row looks back at the whole memory of its sequence: as if it stood at its last place. */
static bool cross_attention(struct decoder_cache *c, uint32_t layer, const struct decoder_rows *r,
                            struct dev_mat x, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    uint32_t n = r->n, *slot = c->host, *last = c->host_last;
    struct dev_mat none = {0}, xq = shape_of(c->qkv, c->qkv.rows, s->heads * s->head_dim);
    struct step_linear q = {layer, LIN_XQ, false, c->n, xq}, o = {layer, LIN_XO, true, c->ao, x};
    struct dev_attn a = attn_of(s);

    for (uint32_t i = 0; i < n; i++) {
        slot[i] = c->memory_of[r->slot[i]];
        last[i] = c->memory_len[slot[i]] - 1;
    }
    return dev_rmsnorm(c->m->dev, rows_of(x, n), c->m->layers[layer].norm[2], s->rms_eps,
                       rows_of(c->n, n), none, e) &&
           linear(c, &q, r, e) &&
           dev_attn_kv(c->m->dev, &a, rows_of(xq, n), &c->xkv, layer - s->enc_layers, slot, last,
                       rows_of(c->ao, n), e) &&
           linear(c, &o, r, e);
}

/* From self-attention's output to the end of a block, on rows of the residual stream x. */
static bool rest(struct decoder_cache *c, uint32_t layer, const struct decoder_rows *r,
                 struct dev_mat ao, struct dev_mat x, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev *d = c->m->dev;
    uint32_t n = r->n;
    struct dev_mat none = {0};
    struct step_linear o = {layer, LIN_O, true, ao, x}, gu = {layer, LIN_GU, false, c->n, c->gu},
                       down = {layer, LIN_DOWN, true, c->act, x};

    return linear(c, &o, r, e) && (!c->enc || cross_attention(c, layer, r, x, e)) &&
           dev_rmsnorm(d, rows_of(x, n), c->m->layers[layer].norm[1], s->rms_eps, rows_of(c->n, n),
                       none, e) &&
           linear(c, &gu, r, e) &&
           dev_act(d, (enum dev_act)s->act, rows_of(c->gu, n), rows_of(c->act, n), e) &&
           linear(c, &down, r, e);
}

static bool block(struct decoder_cache *c, uint32_t layer, const struct decoder_rows *r,
                  struct err *e)
{
    uint32_t n = r->n, q = c->m->spec.heads * c->m->spec.head_dim;
    return look(c, layer, r, e) &&
           attention(c, layer, r, dev_mat_part(c->qkv, 0, n, 0, q), rows_of(c->ao, n), e) &&
           rest(c, layer, r, c->ao, c->x, e);
}

/* The last block, behind whose keys and values only the rows asked for matter: to xw. Their
 * queries go to ao, and what attention makes of them to where all rows' queries were. */
static bool last_block(struct decoder_cache *c, uint32_t layer, const struct decoder_rows *r,
                       const struct decoder_ask *ask, struct err *e)
{
    struct dev *d = c->m->dev;
    uint32_t n = ask->n, q = c->m->spec.heads * c->m->spec.head_dim;
    struct decoder_rows asked = {.slot = c->asked_slot, .pos = c->asked_pos, .n = n};
    struct dev_mat aq = rows_of(c->ao, n), ao = shape_of(c->qkv, c->qkv.rows, q);

    if (!look(c, layer, r, e)) return false;
    if (n == 0) return true;
    for (uint32_t i = 0; i < n; i++) {
        c->asked_slot[i] = r->slot[ask->row[i]];
        c->asked_pos[i] = r->pos[ask->row[i]];
    }
    return upload_u32(c, &c->want, ask->row, n, e) &&
           dev_gather_rows(d, dev_mat_part(c->qkv, 0, r->n, 0, q), c->want, aq, e) &&
           dev_gather_rows(d, rows_of(c->x, r->n), c->want, rows_of(c->xw, n), e) &&
           attention(c, layer, &asked, aq, rows_of(ao, n), e) &&
           rest(c, layer, &asked, ao, c->xw, e);
}

/* The logits of rows [at, at + n) of what is asked are on the device: hand out those wanted. */
static bool show(struct decoder_cache *c, const struct decoder_ask *ask, uint32_t at, uint32_t n,
                 struct err *e)
{
    size_t vocab = c->m->spec.vocab;
    uint32_t m = ask->nlogits <= at ? 0 : ask->nlogits - at < n ? ask->nlogits - at : n;
    if (m == 0) return true;
    if (!c->seen) c->seen = mem_calloc(HEAD_ROWS * vocab, sizeof *c->seen, e);
    if (!c->seen || !dev_download(c->m->dev, c->logits.buf, c->logits.offset * sizeof *c->seen,
                                  c->seen, m * vocab * sizeof *c->seen, e))
        return false;
    for (uint32_t i = 0; i < m; i++)
        ask->see(ask->ctx, at + i, c->seen + i * vocab);
    return true;
}

/* From the logits of rows [at, at + n): tokens of the first m, their probabilities where they are
 * asked, and those of the tokens that are given. */
static bool choose(struct decoder_cache *c, const struct decoder_ask *ask, uint32_t at, uint32_t m,
                   uint32_t n, struct err *e)
{
    struct dev *d = c->m->dev;
    struct dev_mat logits = rows_of(c->logits, m), next = dev_mat_part(c->next, 0, 1, at, m);
    uint32_t from = ask->logprob ? 0 : m, count = n - from;
    if (m > 0 && !(ask->draw ? dev_sample(d, logits, ask->draw + at, next, e)
                             : dev_argmax(d, logits, next, e)))
        return false;
    return count == 0 || dev_xent(d, dev_mat_part(c->logits, from, count, 0, c->logits.cols),
                                  dev_mat_part(c->next, 0, 1, at + from, count),
                                  dev_mat_part(c->chance, 0, 1, at + from, count), false, 1.0F, e);
}

/* Rows [at, at + n) of what is asked: their logits and next tokens. */
static bool head(struct decoder_cache *c, const struct decoder_ask *ask, uint32_t at, uint32_t n,
                 struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev *d = c->m->dev;
    struct dev_gemm nt = {false, true, head_scale(s), 0};
    uint32_t step = c->tile ? HEAD_ROWS : n, own = ask->n - ask->ngiven;
    uint32_t m = own <= at ? 0 : own - at < n ? own - at : n;
    struct dev_mat none = {0};

    if (!dev_rmsnorm(d, dev_mat_part(c->xw, at, n, 0, s->d), c->m->norm[1], s->rms_eps,
                     rows_of(c->nw, n), none, e))
        return false;
    for (uint32_t r = 0; r < n; r += step) {
        if (!dev_gemm(d, nt, dev_mat_part(c->nw, r, step, 0, s->d), c->m->head,
                      dev_mat_part(c->logits, r, step, 0, s->vocab), e))
            return false;
    }
    return choose(c, ask, at, m, n, e) && show(c, ask, at, n, e);
}

/* Losses [at, at + n) of what was asked, as logarithms. */
static bool bring_chances(struct decoder_cache *c, uint32_t at, uint32_t n, float *out,
                          struct err *e)
{
    if (n == 0) return true;
    if (!dev_download(c->m->dev, c->chance.buf, (c->chance.offset + at) * sizeof *out, out,
                      n * sizeof *out, e))
        return false;
    for (uint32_t i = 0; i < n; i++)
        out[i] = -out[i];
    return true;
}

static bool answer(struct decoder_cache *c, const struct decoder_ask *ask, struct err *e)
{
    uint32_t n = ask->n, own = n - ask->ngiven;
    c->next.cols = c->next.ld = c->chance.cols = c->chance.ld = n;
    if (ask->ngiven > 0 &&
        !dev_upload(c->m->dev, c->next.buf, (c->next.offset + own) * sizeof *ask->given, ask->given,
                    ask->ngiven * sizeof *ask->given, e))
        return false;
    for (uint32_t at = 0; at < n; at += HEAD_ROWS)
        if (!head(c, ask, at, n - at < HEAD_ROWS ? n - at : HEAD_ROWS, e)) return false;
    if (own > 0 && !dev_download(c->m->dev, c->next.buf, c->next.offset * sizeof *ask->next,
                                 ask->next, own * sizeof *ask->next, e))
        return false;
    return bring_chances(c, 0, ask->logprob ? own : 0, ask->logprob, e) &&
           bring_chances(c, own, ask->ngiven, ask->given_logprob, e);
}

/* Cross attention's keys and values of one block for the memory of n tokens. */
static bool put_memory(struct decoder_cache *c, uint32_t layer, uint32_t slot, uint32_t n,
                       struct err *e)
{
    struct decoder_work *w = c->enc;
    struct dev_mat xkv = rows_of(work_kept(w, layer)->xkv, n);
    struct lin_call call = work_call(w, layer, LIN_XKV, rows_of(w->memory, n));
    uint32_t kv = xkv.cols / 2, most = c->o.max_rows;
    if (!lin_fwd(c->m, w->l, &call, 0, xkv, e)) return false;
    for (uint32_t r = 0; r < n; r += most) {
        uint32_t m = n - r < most ? n - r : most;
        for (uint32_t i = 0; i < m; i++)
            c->host[i] = slot * c->xkv.len + r + i;
        if (!upload_u32(c, &c->at, c->host, m, e) ||
            !dev_kv_put(c->m->dev, &c->xkv, layer - c->m->spec.enc_layers,
                        dev_mat_part(xkv, r, m, 0, kv), dev_mat_part(xkv, r, m, kv, kv), c->at, e))
            return false;
    }
    return true;
}

bool decoder_begin(struct decoder_cache *c, uint32_t slot, const uint32_t *prompt, uint32_t n,
                   const uint32_t **rows, uint32_t *nrows, struct err *e)
{
    CHECK(slot < c->o.slots && n > 0 && n <= (c->enc ? c->o.max_memory : c->o.max_len));
    *rows = prompt;
    *nrows = n;
    if (!c->enc) return true;
    *rows = &c->start;
    *nrows = 1;
    c->memory_len[slot] = n;
    c->memory_of[slot] = slot;
    c->enc->l = lora_of_slot(c, slot);
    if (!decoder_encode(c->enc, prompt, n, e)) return false;
    for (uint32_t i = c->m->spec.enc_layers; i < c->m->spec.layers; i++) {
        if (!put_memory(c, i, slot, n, e)) return false;
    }
    return true;
}

bool decoder_fork(struct decoder_cache *c, uint32_t from, uint32_t to, uint32_t first, uint32_t end,
                  struct err *e)
{
    CHECK(from < c->o.slots && to < c->o.slots && from != to && first <= end);
    CHECK(end <= c->o.max_len);
    c->adapter_of[to] = c->adapter_of[from];
    if (c->enc) c->memory_of[to] = c->memory_of[from];
    return dev_kv_copy(c->m->dev, &c->kv, from, to, first, end, e);
}

bool decoder_step(struct decoder_cache *c, const struct decoder_rows *r,
                  const struct decoder_ask *ask, struct err *e)
{
    uint32_t last = c->m->spec.layers - 1;
    CHECK(ask->n <= r->n && ask->ngiven <= ask->n && ask->nlogits <= ask->n - ask->ngiven);
    for (uint32_t i = 0; i < ask->ngiven; i++)
        CHECK(ask->given[i] < c->m->spec.vocab);
    for (uint32_t i = 0; i < ask->n; i++)
        CHECK(ask->row[i] < r->n);
    if (!begin(c, r, e)) return false;
    for (uint32_t i = c->m->spec.enc_layers; i < last; i++) {
        if (!block(c, i, r, e)) return false;
    }
    return last_block(c, last, r, ask, e) && (ask->n == 0 || answer(c, ask, e));
}
