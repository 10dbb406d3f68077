#include "model/decoder.h"

#include <string.h>

#include "base/mem.h"
#include "model/decoder_parts.h"

/* ---- what is made again */

const char *const recompute_names[RECOMPUTE_KINDS + 1] = {"none", "selective", "full", NULL};

uint32_t recompute_most(const struct model_spec *s)
{
    return s->layers - 1;
}

uint64_t recompute_cost(const struct model_spec *s, struct recompute again)
{
    uint64_t weights = 0;
    for (uint32_t i = 0; i < again.blocks && again.kind != RECOMPUTE_NONE; i++)
        for (enum linear k = 0; k < LINEARS; k++) {
            struct linear_shape sh = linear_shape(s, i, k);
            bool once_more = again.kind == RECOMPUTE_FULL ? k != LIN_DOWN : k == LIN_GU;
            if (once_more && sh.nparts) weights += (uint64_t)sh.in * sh.out;
        }
    return weights;
}

/* ---- memory */

static uint32_t max3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t m = a > b ? a : b;
    return m > c ? m : c;
}

/* What the layout depends on besides the spec. */
struct plan {
    enum dev_dtype dtype;
    bool train, dropout;
    uint32_t tokens, rows;
    const uint32_t *widths; /* [layers * LINEARS] of the adapters' h; NULL: none */
    struct recompute again;
    uint32_t tail; /* columns behind the rows of what linears read */
};

/* Blocks that one struct kept serves, one after the other. */
struct range {
    uint32_t first, end;
};

static uint32_t width_of(const struct plan *p, uint32_t i)
{
    return p->widths ? p->widths[i] : 0;
}

static uint32_t widest_of(const struct model_spec *s, const struct plan *p)
{
    uint32_t widest = 0;
    for (uint32_t i = 0; i < s->layers * LINEARS; i++)
        widest = max3(widest, width_of(p, i), 0);
    return widest;
}

/* Rows of cols columns and a tail. */
static struct dev_mat take_tailed(const struct plan *p, struct dev_buf *b, uint64_t *at,
                                  uint64_t rows, uint32_t cols)
{
    struct dev_mat m = work_take(b, at, p->dtype, rows, (uint64_t)cols + p->tail);
    m.cols = cols;
    return m;
}

/* Rows that a linear of a block works on. Without a backward pass one slot serves all blocks. */
static uint32_t linear_rows(const struct model_spec *s, const struct plan *p, uint32_t layer,
                            enum linear lin)
{
    uint32_t most = p->tokens > p->rows ? p->tokens : p->rows;
    if (!p->train) return most;
    if (layer < s->enc_layers || lin == LIN_XKV) return p->tokens;
    if (s->enc_layers) return p->rows;
    return layer + 1 == s->layers && lin != LIN_QKV ? p->rows : p->tokens;
}

static uint32_t range_rows(const struct model_spec *s, const struct plan *p, struct range r,
                           enum linear lin)
{
    uint32_t rows = 0;
    for (uint32_t i = r.first; i < r.end; i++)
        rows = max3(rows, linear_rows(s, p, i, lin), 0);
    return rows;
}

static void lay_h(struct kept *k, const struct model_spec *s, const struct plan *p, struct range r,
                  enum linear lin, struct dev_buf *b, uint64_t *at)
{
    uint32_t width = 0;
    for (uint32_t i = r.first; i < r.end; i++)
        width = max3(width, width_of(p, i * LINEARS + lin), 0);
    k->h[lin] = work_take(b, at, p->dtype, range_rows(s, p, r, lin), width);
}

/* The MLP's part: what a selective block makes again. */
static void lay_mlp(struct kept *k, const struct model_spec *s, const struct plan *p,
                    struct range r, struct dev_buf *b, uint64_t *at)
{
    uint32_t n = range_rows(s, p, r, LIN_GU);
    lay_h(k, s, p, r, LIN_GU, b, at);
    k->gu = take_tailed(p, b, at, n, linear_shape(s, r.first, LIN_GU).out);
    k->x2 = work_take(b, at, p->dtype, p->train ? n : 0, s->d);
}

static void lay_others(struct kept *k, const struct model_spec *s, const struct plan *p,
                       struct range r, struct dev_buf *b, uint64_t *at)
{
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    uint32_t t = range_rows(s, p, r, LIN_QKV);
    bool cross = s->enc_layers && r.end > s->enc_layers;
    uint32_t x = cross ? range_rows(s, p, r, LIN_XQ) : 0;

    for (enum linear i = 0; i < LINEARS; i++) {
        if (i != LIN_GU) lay_h(k, s, p, r, i, b, at);
    }
    k->qkv = work_take(b, at, p->dtype, t, q + 2 * (uint64_t)kv);
    k->ao = take_tailed(p, b, at, t, q);
    k->lse = work_take(b, at, DEV_F32, s->heads, t);
    k->xq = work_take(b, at, p->dtype, x, q);
    k->xo = take_tailed(p, b, at, x, q);
    k->xlse = work_take(b, at, DEV_F32, s->heads, x);
    k->xkv = work_take(b, at, p->dtype, cross ? p->tokens : 0, 2 * (uint64_t)kv);
    k->x1 = work_take(b, at, p->dtype, p->train ? t : 0, s->d);
    k->x3 = work_take(b, at, p->dtype, p->train ? x : 0, s->d);
}

/* What blocks that are made again share. */
static void lay_slot(struct kept *slot, const struct model_spec *s, const struct plan *p,
                     struct dev_buf *b, uint64_t *at)
{
    struct range r = {0, p->again.blocks};
    *slot = (struct kept){0};
    if (p->again.kind == RECOMPUTE_NONE || r.end == 0) return;
    lay_mlp(slot, s, p, r, b, at);
    if (p->again.kind == RECOMPUTE_FULL) lay_others(slot, s, p, r, b, at);
}

static void lay_block(struct kept *k, const struct kept *slot, const struct model_spec *s,
                      const struct plan *p, uint32_t layer, struct dev_buf *b, uint64_t *at)
{
    struct range one = {p->train ? layer : 0, p->train ? layer + 1 : s->layers};
    enum recompute_kind kind = layer < p->again.blocks ? p->again.kind : RECOMPUTE_NONE;
    uint32_t n = linear_rows(s, p, layer, LIN_GU);

    *k = kind == RECOMPUTE_NONE ? (struct kept){0} : *slot;
    if (kind == RECOMPUTE_FULL) {
        k->in = work_take(b, at, DEV_F32, n, s->d);
        lay_h(k, s, p, one, LIN_DOWN, b, at); /* made by the product that is left out */
        return;
    }
    lay_others(k, s, p, one, b, at);
    if (kind == RECOMPUTE_SELECTIVE)
        k->mid = work_take(b, at, DEV_F32, n, s->d);
    else
        lay_mlp(k, s, p, one, b, at);
}

static void lay_side(struct side *v, const struct model_spec *s, const struct plan *p,
                     uint32_t tokens, struct dev_buf *b, uint64_t *at)
{
    uint32_t distances = s->buckets ? 2 * s->reach + 1 : 0;
    v->max = tokens;
    for (int i = 0; i < DEV_LANES; i++) {
        uint32_t n = i == 0 || p->train ? tokens : 0;
        v->lane_ids[i] = work_take(b, at, DEV_I32, 1, n);
        v->lane_pos[i] = work_take(b, at, DEV_I32, 1, s->rope == ROPE_NONE ? 0 : n);
    }
    v->x = work_take(b, at, DEV_F32, tokens, s->d);
    v->dx = work_take(b, at, DEV_F32, p->train ? tokens : 0, s->d);
    v->buckets = work_take(b, at, DEV_I32, 1, distances);
    v->bias = work_take(b, at, DEV_F32, distances, s->heads);
    v->dbias = work_take(b, at, DEV_F32, p->train ? distances : 0, s->heads);
}

/* What every lane has its own of, behind the head's. */
static void lay_lanes(struct decoder_work *w, const struct plan *p, struct dev_buf *b, uint64_t *at)
{
    for (int i = 0; i < DEV_LANES; i++) {
        uint32_t n = i == 0 || p->train ? p->rows : 0;
        w->lane_rows[i] = work_take(b, at, DEV_I32, 1, n);
        w->lane_labels[i] = i == 0 ? w->head.labels : work_take(b, at, DEV_I32, 1, n);
        w->lane_loss[i] = i == 0 ? w->head.loss : work_take(b, at, DEV_F32, 1, n);
    }
}

/* Lay everything out in w (matrices without a buffer when w->buf is NULL); returns the bytes. */
static uint64_t lay_out(struct decoder_work *w, const struct model_spec *s, const struct plan *p)
{
    struct dev_buf *b = w->buf;
    uint32_t enc = s->enc_layers ? p->tokens : 0, dec = enc ? p->rows : p->tokens;
    uint64_t at = 0, t = enc > dec ? enc : dec, bt = p->train ? t : 0;
    uint32_t q = s->heads * s->head_dim, qkv = q + 2 * s->kv_heads * s->head_dim;
    uint32_t wide = max3(s->ff, qkv, s->d), tail = p->tail;

    w->tail = tail;
    w->enc = (struct side){.stack = 0, .end = s->enc_layers};
    w->dec = (struct side){.stack = 1, .first = s->enc_layers, .end = s->layers};
    lay_side(&w->enc, s, p, enc, b, &at);
    lay_side(&w->dec, s, p, dec, b, &at);
    w->memory = take_tailed(p, b, &at, enc, s->d);
    w->dmemory = work_take(b, &at, DEV_F32, p->train ? enc : 0, s->d);
    w->n = work_take(b, &at, p->dtype, t, (uint64_t)max3(s->d, q, 0) + tail);
    w->dy = work_take(b, &at, p->dtype, bt, (uint64_t)s->d + tail);
    w->s1 = work_take(b, &at, p->dtype, bt, (uint64_t)wide + tail);
    w->s2 = work_take(b, &at, p->dtype, t, (uint64_t)wide + tail);
    w->dxq = take_tailed(p, b, &at, p->train && enc ? p->rows : 0, q);
    w->drop = work_take(b, &at, p->dtype, p->dropout ? bt : 0, max3(s->d, q, s->ff));
    w->dh = work_take(b, &at, p->dtype, tail ? 0 : bt, widest_of(s, p));
    w->rstd = work_take(b, &at, DEV_F32, 1, t);
    lay_slot(&w->slot, s, p, b, &at);
    for (uint32_t i = 0; i < (p->train ? s->layers : 1); i++)
        lay_block(w->kept ? &w->kept[i] : &(struct kept){0}, &w->slot, s, p, i, b, &at);
    head_lay(&w->head, s, p->dtype, p->rows, p->train, b, &at);
    lay_lanes(w, p, b, &at);
    w->head.n = w->n;
    w->head.rstd = w->rstd;
    w->head.dn = w->dec.dx; /* free until the backward pass has left the head */
    return at;
}

bool decoder_room_bytes(const struct model_spec *s, enum dev_dtype dtype, const struct lora_opts *o,
                        const struct decoder_room *room, uint64_t *bytes, struct err *e)
{
    struct decoder_work w = {0};
    uint32_t *widths = o ? mem_calloc((size_t)s->layers * LINEARS, sizeof *widths, e) : NULL;
    struct plan p = {.dtype = dtype,
                     .train = room->train,
                     .dropout = o && o->method == LORA_LORA && o->dropout > 0,
                     .tokens = room->max_tokens,
                     .rows = room->max_rows,
                     .widths = widths,
                     .again = room->again};
    bool ok = !o || (widths && lora_widths(s, o, widths, e));

    if (ok) {
        if (room->folded) p.tail = tail_for(widest_of(s, &p));
        *bytes = lay_out(&w, s, &p);
        if (o && o->method == LORA_LORA && o->dora)
            *bytes += lora_dora_bytes(s, dtype, max3(p.tokens, p.rows, 0));
    }
    mem_free(widths);
    return ok;
}

bool decoder_work_bytes(const struct model_spec *s, enum dev_dtype dtype, const struct lora_opts *o,
                        uint32_t max_tokens, uint32_t max_rows, bool train, uint64_t *bytes,
                        struct err *e)
{
    struct decoder_room room = {.max_tokens = max_tokens, .max_rows = max_rows, .train = train};
    return decoder_room_bytes(s, dtype, o, &room, bytes, e);
}

static bool load_buckets(struct decoder_work *w, const struct side *v, struct err *e)
{
    int32_t *kinds = mem_calloc(v->buckets.cols, sizeof *kinds, e);
    bool ok;
    if (!kinds) return false;
    bias_buckets(&w->m->spec, v->stack == 0, kinds);
    ok = dev_upload(w->m->dev, w->buf, v->buckets.offset * sizeof *kinds, kinds,
                    v->buckets.cols * sizeof *kinds, e);
    mem_free(kinds);
    return ok;
}

static bool open_parts(struct decoder_work *w, const uint32_t *widths, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    struct plan p = {.dtype = w->m->dtype,
                     .train = w->train,
                     .dropout = w->l && w->l->groups && w->l->dropout > 0,
                     .tokens = w->max_tokens,
                     .rows = w->max_rows,
                     .widths = widths,
                     .again = w->again};
    if (w->l && w->l->folded) p.tail = tail_for(widest_of(s, &p));
    if (!lora_dora_reserve(w->l, max3(w->max_tokens, w->max_rows, 0), e)) return false;
    w->kept = mem_calloc(w->train ? s->layers : 1, sizeof *w->kept, e);
    if (!w->kept) return false;
    w->host = mem_calloc(max3(w->max_tokens, w->max_rows, 0), sizeof *w->host, e);
    if (!w->host) return false;
    for (int i = 0; i < DEV_LANES; i++) {
        w->host_loss[i] = mem_calloc(w->max_rows, sizeof *w->host_loss[i], e);
        if (!w->host_loss[i]) return false;
    }
    if (!dev_buf_open(w->m->dev, lay_out(w, s, &p), &w->buf, e)) return false;
    lay_out(w, s, &p);
    w->head.m = w->m;
    w->head.l = w->l;
    return !s->buckets || (load_buckets(w, &w->enc, e) && load_buckets(w, &w->dec, e));
}

/* widths: room for the h of every linear, whatever adapter is used. */
static bool open_work(struct model *m, struct lora *l, struct decoder_work shape,
                      const uint32_t *widths, struct decoder_work **out, struct err *e)
{
    struct decoder_work *w = mem_calloc(1, sizeof *w, e);
    bool ok = false;

    CHECK(shape.max_tokens > 0 && shape.max_rows > 0);
    CHECK(shape.max_rows <= shape.max_tokens || m->spec.enc_layers);
    if (!w) goto out;
    *w = shape;
    w->m = m;
    w->l = l;
    ok = open_parts(w, widths, e);
    if (ok) *out = w;
out:
    if (!ok) {
        decoder_work_close(w);
        err_wrap(e, "workspace of %u tokens", shape.max_tokens);
    }
    return ok;
}

static void widen(const struct model *m, const struct lora *l, uint32_t *widths)
{
    for (uint32_t i = 0; i < m->spec.layers * LINEARS; i++) {
        const struct lora_group *g = lora_group_of(l, i / LINEARS, i % LINEARS);
        if (g) widths[i] = max3(widths[i], g->rank_sum, 0);
    }
}

bool decoder_work_open(struct model *m, struct lora *l, uint32_t max_tokens, uint32_t max_rows,
                       bool train, struct decoder_work **out, struct err *e)
{
    struct decoder_room room = {.max_tokens = max_tokens, .max_rows = max_rows, .train = train};
    return decoder_work_open_room(m, l, &room, out, e);
}

bool decoder_work_open_room(struct model *m, struct lora *l, const struct decoder_room *room,
                            struct decoder_work **out, struct err *e)
{
    struct decoder_work shape = {.train = room->train,
                                 .max_tokens = room->max_tokens,
                                 .max_rows = room->max_rows,
                                 .again = room->again};
    uint32_t *widths = mem_calloc((size_t)m->spec.layers * LINEARS, sizeof *widths, e);
    bool ok;

    CHECK(l || !room->train);
    CHECK(room->train ? room->again.blocks <= recompute_most(&m->spec) : !room->again.kind);
    if (!widths) return false;
    widen(m, l, widths);
    ok = open_work(m, l, shape, widths, out, e);
    mem_free(widths);
    return ok;
}

bool decoder_work_open_for(struct model *m, struct lora *const *adapters, uint32_t n,
                           uint32_t max_tokens, struct decoder_work **out, struct err *e)
{
    struct decoder_work shape = {.max_tokens = max_tokens, .max_rows = 1};
    uint32_t *widths = mem_calloc((size_t)m->spec.layers * LINEARS, sizeof *widths, e);
    bool ok = widths != NULL;

    for (uint32_t i = 0; ok && i < n; i++) {
        widen(m, adapters[i], widths);
        ok = lora_dora_reserve(adapters[i], max_tokens, e);
    }
    ok = ok && open_work(m, NULL, shape, widths, out, e);
    mem_free(widths);
    return ok;
}

void decoder_work_close(struct decoder_work *w)
{
    if (!w) return;
    dev_buf_close(w->buf);
    for (int i = 0; i < DEV_LANES; i++)
        mem_free(w->host_loss[i]);
    mem_free(w->host);
    mem_free(w->kept);
    mem_free(w);
}

struct dev *decoder_work_dev(const struct decoder_work *w)
{
    return w->m->dev;
}

/* ---- one call */

static bool upload_u32(struct decoder_work *w, struct dev_mat *m, const uint32_t *v, uint32_t n,
                       struct err *e)
{
    m->cols = m->ld = n;
    return (w->ahead ? dev_upload_ahead : dev_upload)(w->m->dev, m->buf, m->offset * sizeof *v, v,
                                                      n * sizeof *v, e);
}

/* Token numbers come from files: out of range they would read past the embedding. */
static bool check_ids(const struct decoder_work *w, const uint32_t *v, uint32_t n, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] >= w->m->spec.vocab)
            return err_set(e, ERR_FORMAT,
                           "token %u is not in the model's vocabulary of %u: shards "
                           "made for another model?",
                           v[i], w->m->spec.vocab);
    }
    return true;
}

/* Samples of one side: every one has tokens. */
static void check_cu(const uint32_t *cu, uint32_t nseq, uint32_t n)
{
    CHECK(nseq > 0 && cu[0] == 0 && cu[nseq] == n);
    for (uint32_t i = 0; i < nseq; i++)
        CHECK(cu[i] < cu[i + 1]);
}

static bool load_side(struct decoder_work *w, struct side *v, const uint32_t *ids,
                      const uint32_t *cu, uint32_t nseq, struct err *e)
{
    const struct model_spec *s = &w->m->spec;
    v->t = cu[nseq];
    CHECK(v->t <= v->max);
    check_cu(cu, nseq, v->t);
    v->attn = attn_of(s);
    v->attn.cu = cu;
    v->attn.nseq = nseq;
    v->attn.bidirectional = v->stack == 0;
    if (!upload_u32(w, &v->ids, ids, v->t, e)) return false;
    if (s->rope == ROPE_NONE) return true;
    for (uint32_t i = 0; i < nseq; i++) {
        for (uint32_t k = cu[i]; k < cu[i + 1]; k++)
            w->host[k] = k - cu[i];
    }
    return upload_u32(w, &v->pos, w->host, v->t, e);
}

static bool begin_decoder(struct decoder_work *w, const struct decoder_batch *b, struct err *e)
{
    for (uint32_t i = 0; i < b->nrows; i++)
        CHECK(b->rows[i] < b->ntokens && (i == 0 || b->rows[i - 1] < b->rows[i]));
    return load_side(w, &w->dec, b->tokens, b->cu, b->nseq, e) &&
           upload_u32(w, &w->rows, b->rows, w->r, e);
}

/* Behind an encoder: the labels, shifted, are what the decoder reads; all its rows bear loss. */
static bool begin_both(struct decoder_work *w, const struct decoder_batch *b, struct err *e)
{
    const uint32_t *cu = b->label_cu;
    CHECK(b->labels && cu && cu[b->nseq] == b->nrows);
    if (!load_side(w, &w->enc, b->tokens, b->cu, b->nseq, e)) return false;
    for (uint32_t i = 0; i < b->nseq; i++) {
        for (uint32_t k = cu[i]; k < cu[i + 1]; k++)
            w->host[k] = k == cu[i] ? (uint32_t)w->m->spec.start : b->labels[k - 1];
    }
    if (!load_side(w, &w->dec, w->host, cu, b->nseq, e)) return false;
    for (uint32_t k = 0; k < b->nrows; k++)
        w->host[k] = k;
    w->cross = attn_of(&w->m->spec);
    w->cross.cu = cu;
    w->cross.cu_k = b->cu;
    w->cross.nseq = b->nseq;
    w->cross.bidirectional = true;
    return upload_u32(w, &w->rows, w->host, w->r, e);
}

static void take_lane(struct decoder_work *w, int lane, bool ahead)
{
    w->ahead = ahead;
    w->enc.ids = w->enc.lane_ids[lane];
    w->enc.pos = w->enc.lane_pos[lane];
    w->dec.ids = w->dec.lane_ids[lane];
    w->dec.pos = w->dec.lane_pos[lane];
    w->rows = w->lane_rows[lane];
    w->head.labels = w->lane_labels[lane];
    w->head.loss = w->lane_loss[lane];
}

static bool begin(struct decoder_work *w, const struct decoder_batch *b, struct err *e)
{
    CHECK(b->ntokens > 0 && b->ntokens <= w->max_tokens && b->nrows > 0 && b->nrows <= w->max_rows);
    CHECK(b->cu[b->nseq] == b->ntokens);
    if (!check_ids(w, b->tokens, b->ntokens, e)) return false;
    if (b->labels && !check_ids(w, b->labels, b->nrows, e)) return false;
    w->r = b->nrows;
    w->masked = w->redo = false;
    w->grad = NULL;
    if (!(w->enc.end ? begin_both(w, b, e) : begin_decoder(w, b, e))) return false;
    return !b->labels || upload_u32(w, &w->head.labels, b->labels, w->r, e);
}

bool decoder_encode(struct decoder_work *w, const uint32_t *tokens, uint32_t n, struct err *e)
{
    uint32_t cu[2] = {0, n};
    w->masked = false;
    w->grad = NULL;
    take_lane(w, 0, false);
    return check_ids(w, tokens, n, e) && load_side(w, &w->enc, tokens, cu, 1, e) &&
           encoder_forward(w, e);
}

static bool zero_grad(struct decoder_work *w, struct dev_buf *grad, struct err *e)
{
    for (size_t i = 0; i < w->l->ntensors; i++) {
        const struct lora_tensor *t = &w->l->tensors[i];
        struct dev_mat m = dev_mat_of(grad, t->offset, DEV_F32, t->rows, t->cols);
        if (!dev_zero(w->m->dev, m, e)) return false;
    }
    return true;
}

/* The losses on their way. */
static bool send_loss(struct decoder_work *w, int lane, struct err *e)
{
    w->flies[lane] = w->r;
    return dev_download_later(w->m->dev, w->buf, w->head.loss.offset * sizeof(float),
                              w->host_loss[lane], w->r * sizeof(float), e);
}

void decoder_drop(struct decoder_work *w)
{
    dev_lanes_drop(w->m->dev);
    memset(w->flies, 0, sizeof w->flies);
}

static bool give_up(struct decoder_work *w)
{
    decoder_drop(w);
    return false;
}

static void begin_lane(struct decoder_work *w, int lane)
{
    CHECK(w->flies[lane] == 0 && (lane == 0 || w->train));
    dev_lane_begin(w->m->dev, lane);
    take_lane(w, lane, true);
}

bool decoder_loss_begin(struct decoder_work *w, const struct decoder_batch *b, int lane,
                        struct err *e)
{
    begin_lane(w, lane);
    bool ok = begin(w, b, e) && decoder_forward(w, e) && head_loss(&w->head, w->r, NULL, e) &&
              send_loss(w, lane, e);
    return ok || give_up(w);
}

bool decoder_grad_begin(struct decoder_work *w, const struct decoder_batch *b, uint64_t dropout_key,
                        struct dev_buf *grad, int lane, struct err *e)
{
    CHECK(w->train && dev_buf_bytes(grad) >= w->l->count * sizeof(float));
    begin_lane(w, lane);
    if (!begin(w, b, e)) return give_up(w);
    w->grad = grad;
    w->dropout_key = dropout_key;
    w->masked = w->l->groups && w->l->dropout > 0;
    /* a LoRA gradient is written once by a product; of all weights, some are summed up */
    bool ok = w->l->method != LORA_FULL || zero_grad(w, grad, e);
    ok = ok && decoder_forward(w, e) && head_loss(&w->head, w->r, grad, e) &&
         decoder_backward(w, e) && send_loss(w, lane, e);
    return ok || give_up(w);
}

/* Summed on the host in row order, in f64. */
bool decoder_settle(struct decoder_work *w, int lane, double *loss, struct err *e)
{
    uint32_t rows = w->flies[lane];
    double sum = 0;

    CHECK(rows > 0);
    w->flies[lane] = 0;
    if (!dev_lane_wait(w->m->dev, lane, e)) return give_up(w);
    for (uint32_t i = 0; i < rows; i++)
        sum += (double)w->host_loss[lane][i];
    *loss = sum;
    return true;
}

static bool end_and_settle(struct decoder_work *w, double *loss, struct err *e)
{
    return dev_lane_end(w->m->dev, e) ? decoder_settle(w, 0, loss, e) : give_up(w);
}

bool decoder_loss(struct decoder_work *w, const struct decoder_batch *b, double *loss,
                  float *row_loss, struct err *e)
{
    *loss = 0;
    if (b->nrows == 0) return true;
    if (!decoder_loss_begin(w, b, 0, e) || !end_and_settle(w, loss, e)) return false;
    if (row_loss) memcpy(row_loss, w->host_loss[0], b->nrows * sizeof *row_loss);
    return true;
}

bool decoder_grad(struct decoder_work *w, const struct decoder_batch *b, uint64_t dropout_key,
                  struct dev_buf *grad, double *loss, struct err *e)
{
    *loss = 0;
    if (b->nrows == 0) return zero_grad(w, grad, e);
    return decoder_grad_begin(w, b, dropout_key, grad, 0, e) && end_and_settle(w, loss, e);
}

bool decoder_logits(struct decoder_work *w, const struct decoder_batch *b, float *out,
                    struct err *e)
{
    struct decoder_batch rows_only = *b;
    if (!w->enc.end) rows_only.labels = NULL; /* else they are the decoder's input */
    if (b->nrows == 0) return true;
    take_lane(w, 0, false);
    return begin(w, &rows_only, e) && decoder_forward(w, e) && head_logits(&w->head, w->r, out, e);
}
