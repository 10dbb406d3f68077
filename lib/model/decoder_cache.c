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
    struct lora *l;
    uint32_t slots, max_len, max_rows;
    uint32_t tile;                             /* rows of one product; 0: any number */
    struct dev_buf *buf, *hbuf;                /* hbuf: h, when there is an adapter */
    struct dev_mat ids, pos, at, want, next;   /* I32 [1, rows] */
    struct dev_mat x, xw;                      /* f32 [rows, d], [HEAD_ROWS, d] */
    struct dev_mat n, nw, qkv, ao, gu, act, h; /* dtype; nw is n of xw */
    struct dev_mat logits;                     /* f32 [HEAD_ROWS, V] */
    struct dev_mat kv;                         /* dtype [layers * 2 * slots * max_len, kv] */
    uint32_t *host;                            /* [max_rows] */
    /* with an encoder: */
    struct decoder_work *enc; /* runs it, and holds the bias */
    struct dev_mat xkv;       /* like kv: of the memories */
    uint32_t *memory_len;     /* [slots] */
    uint32_t start;
};

/* The decoder's blocks. */
static uint32_t nblocks(const struct model_spec *s)
{
    return s->layers - s->enc_layers;
}

/* ---- memory */

static uint64_t lay_out(struct decoder_cache *c, const struct model_spec *s, enum dev_dtype t)
{
    uint64_t at = 0, rows = ((uint64_t)c->max_rows + PAD_ROWS - 1) / PAD_ROWS * PAD_ROWS;
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_buf *b = c->buf;
    c->ids = work_take(b, &at, DEV_I32, 1, rows);
    c->pos = work_take(b, &at, DEV_I32, 1, rows);
    c->at = work_take(b, &at, DEV_I32, 1, rows);
    c->want = work_take(b, &at, DEV_I32, 1, rows);
    c->next = work_take(b, &at, DEV_I32, 1, rows);
    c->x = work_take(b, &at, DEV_F32, rows, s->d);
    c->xw = work_take(b, &at, DEV_F32, HEAD_ROWS, s->d);
    c->n = work_take(b, &at, t, rows, s->d);
    c->nw = work_take(b, &at, t, HEAD_ROWS, s->d);
    c->qkv = work_take(b, &at, t, rows, q + 2 * kv);
    c->ao = work_take(b, &at, t, rows, q);
    c->gu = work_take(b, &at, t, rows, linear_shape(s, s->layers - 1, LIN_GU).out);
    c->act = work_take(b, &at, t, rows, s->ff);
    c->logits = work_take(b, &at, DEV_F32, HEAD_ROWS, s->vocab);
    uint64_t cached = (uint64_t)nblocks(s) * 2 * c->slots * c->max_len;
    c->kv = work_take(b, &at, t, cached, kv);
    c->xkv = work_take(b, &at, t, s->enc_layers ? cached : 0, kv);
    return at;
}

uint64_t decoder_cache_bytes(const struct model_spec *s, enum dev_dtype dtype, uint32_t slots,
                             uint32_t max_len, uint32_t max_rows)
{
    struct decoder_cache c = {.slots = slots, .max_len = max_len, .max_rows = max_rows};
    uint64_t encoder = s->enc_layers ? decoder_work_bytes(s, dtype, NULL, max_len, 1, false) : 0;
    return lay_out(&c, s, dtype) + encoder;
}

static bool open_h(struct decoder_cache *c, struct err *e)
{
    uint32_t widest = 0, rows = (c->max_rows + PAD_ROWS - 1) / PAD_ROWS * PAD_ROWS;
    for (uint32_t i = 0; i < c->m->spec.layers * LINEARS; i++) {
        const struct lora_group *g = lora_group_of(c->l, i / LINEARS, i % LINEARS);
        if (g && g->rank_sum > widest) widest = g->rank_sum;
    }
    if (!widest) return true;
    if (!lora_dora_reserve(c->l, rows, e)) return false;
    if (!dev_buf_open(c->m->dev, (size_t)rows * widest * dev_dtype_bytes(c->m->dtype), &c->hbuf, e))
        return false;
    c->h = dev_mat_of(c->hbuf, 0, c->m->dtype, rows, widest);
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
    c->memory_len = mem_calloc(c->slots, sizeof *c->memory_len, e);
    return c->memory_len && decoder_work_open(c->m, c->l, c->max_len, 1, false, &c->enc, e) &&
           bias_load(c->enc, &c->enc->dec, e);
}

static uint32_t tile_of(const struct model *m)
{
    return strncmp(dev_name(m->dev), "cuda", 4) == 0 ? GPU_TILE : 0;
}

bool decoder_cache_open(struct model *m, struct lora *l, uint32_t slots, uint32_t max_len,
                        uint32_t max_rows, struct decoder_cache **out, struct err *e)
{
    struct decoder_cache *c = mem_calloc(1, sizeof *c, e);
    bool ok = false;

    CHECK(slots > 0 && max_len > 0 && max_rows > 0);
    if (!c) return false;
    c->m = m;
    c->l = l;
    c->slots = slots;
    c->max_len = max_len;
    c->max_rows = max_rows;
    c->tile = tile_of(m);
    c->host = mem_calloc(max_rows, sizeof *c->host, e);
    if (!c->host) goto out;
    if (!dev_buf_open(m->dev, lay_out(c, &m->spec, m->dtype), &c->buf, e)) goto out;
    lay_out(c, &m->spec, m->dtype);
    if (!open_h(c, e) || !zero_all(c, e) || !open_encoder(c, e)) goto out;
    *out = c;
    ok = true;
out:
    if (!ok) {
        decoder_cache_close(c);
        err_wrap(e, "cache of %u sequences", slots);
    }
    return ok;
}

void decoder_cache_close(struct decoder_cache *c)
{
    if (!c) return;
    decoder_work_close(c->enc);
    dev_buf_close(c->hbuf);
    dev_buf_close(c->buf);
    mem_free(c->memory_len);
    mem_free(c->host);
    mem_free(c);
}

/* ---- one step */

static bool upload_u32(struct decoder_cache *c, struct dev_mat *m, const uint32_t *v, uint32_t n,
                       struct err *e)
{
    m->cols = m->ld = n;
    return dev_upload(c->m->dev, m->buf, m->offset * sizeof *v, v, n * sizeof *v, e);
}

static bool begin(struct decoder_cache *c, const uint32_t *tokens, const uint32_t *slot,
                  const uint32_t *pos, uint32_t n, struct err *e)
{
    CHECK(n > 0 && n <= c->max_rows);
    for (uint32_t i = 0; i < n; i++) {
        CHECK(slot[i] < c->slots && pos[i] < c->max_len);
        if (tokens[i] >= c->m->spec.vocab)
            return err_set(e, ERR_FORMAT, "token %u is not in the model's vocabulary of %u",
                           tokens[i], c->m->spec.vocab);
        c->host[i] = slot[i] * c->max_len + pos[i];
    }
    return upload_u32(c, &c->ids, tokens, n, e) && upload_u32(c, &c->pos, pos, n, e) &&
           upload_u32(c, &c->at, c->host, n, e) &&
           dev_gather_rows(c->m->dev, c->m->embed, c->ids, rows_of(c->x, n), e);
}

/* A linear in tiles, one after the other over the same weights while they are in the cache. */
static bool tiled(struct decoder_cache *c, uint32_t layer, enum linear lin, struct dev_mat x,
                  float beta, struct dev_mat y, uint32_t n, struct err *e)
{
    const struct lora_group *g = lora_group_of(c->l, layer, lin);
    uint32_t step = c->tile ? c->tile : n;
    for (uint32_t r = 0; r < n; r += step) {
        struct lin_call call = {
            .layer = layer, .lin = lin, .x = dev_mat_part(x, r, step, 0, x.cols)};
        if (g) call.h = shape_of(c->h, step, g->rank_sum);
        if (!lin_fwd(c->m, c->l, &call, beta, dev_mat_part(y, r, step, 0, y.cols), e)) return false;
    }
    return true;
}

/* Keys (which 0) or values (1) of a block of the decoder in one of the two caches. */
static struct dev_mat cached(const struct decoder_cache *c, struct dev_mat all, uint32_t layer,
                             uint32_t which)
{
    uint32_t per = c->slots * c->max_len, block = layer - c->m->spec.enc_layers;
    return dev_mat_part(all, (2 * block + which) * per, per, 0, all.cols);
}

static bool attention(struct decoder_cache *c, uint32_t layer, const uint32_t *slot,
                      const uint32_t *pos, uint32_t n, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev *d = c->m->dev;
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct dev_mat qkv = rows_of(c->qkv, n);
    struct dev_mat k = cached(c, c->kv, layer, 0), v = cached(c, c->kv, layer, 1);
    struct dev_attn a = attn_of(s);

    if (c->enc) a.bias = c->enc->dec.bias;
    if (s->rope != ROPE_NONE && !dev_rope(d, dev_mat_part(qkv, 0, n, 0, q + kv),
                                          s->heads + s->kv_heads, c->pos, c->m->inv_freq, false, e))
        return false;
    return dev_scatter_rows(d, dev_mat_part(qkv, 0, n, q, kv), c->at, k, e) &&
           dev_scatter_rows(d, dev_mat_part(qkv, 0, n, q + kv, kv), c->at, v, e) &&
           dev_attn_cached(d, &a, dev_mat_part(qkv, 0, n, 0, q), k, v, c->max_len, slot, pos,
                           rows_of(c->ao, n), e);
}

/* A row looks back at the whole memory of its sequence: as if it stood at its last place. */
static bool cross_attention(struct decoder_cache *c, uint32_t layer, const uint32_t *slot,
                            uint32_t n, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev_mat x = rows_of(c->x, n), none = {0};
    struct dev_mat xq = shape_of(c->qkv, c->qkv.rows, s->heads * s->head_dim);
    struct dev_attn a = attn_of(s);

    for (uint32_t i = 0; i < n; i++)
        c->host[i] = c->memory_len[slot[i]] - 1;
    return dev_rmsnorm(c->m->dev, x, c->m->layers[layer].norm[2], s->rms_eps, rows_of(c->n, n),
                       none, e) &&
           tiled(c, layer, LIN_XQ, c->n, 0, xq, n, e) &&
           dev_attn_cached(c->m->dev, &a, rows_of(xq, n), cached(c, c->xkv, layer, 0),
                           cached(c, c->xkv, layer, 1), c->max_len, slot, c->host,
                           rows_of(c->ao, n), e) &&
           tiled(c, layer, LIN_XO, c->ao, 1, c->x, n, e);
}

static bool block(struct decoder_cache *c, uint32_t layer, const uint32_t *slot,
                  const uint32_t *pos, uint32_t n, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    const struct model_layer *ml = &c->m->layers[layer];
    struct dev *d = c->m->dev;
    struct dev_mat x = rows_of(c->x, n), none = {0};

    return dev_rmsnorm(d, x, ml->norm[0], s->rms_eps, rows_of(c->n, n), none, e) &&
           tiled(c, layer, LIN_QKV, c->n, 0, c->qkv, n, e) &&
           attention(c, layer, slot, pos, n, e) && tiled(c, layer, LIN_O, c->ao, 1, c->x, n, e) &&
           (!c->enc || cross_attention(c, layer, slot, n, e)) &&
           dev_rmsnorm(d, x, ml->norm[1], s->rms_eps, rows_of(c->n, n), none, e) &&
           tiled(c, layer, LIN_GU, c->n, 0, c->gu, n, e) &&
           dev_act(d, (enum dev_act)s->act, rows_of(c->gu, n), rows_of(c->act, n), e) &&
           tiled(c, layer, LIN_DOWN, c->act, 1, c->x, n, e);
}

/* Rows [at, at + n) of want: their logits, next tokens, and on request the logits to the host. */
static bool head(struct decoder_cache *c, uint32_t at, uint32_t n, float *logits, struct err *e)
{
    const struct model_spec *s = &c->m->spec;
    struct dev *d = c->m->dev;
    struct dev_gemm nt = {false, true, head_scale(s), 0};
    uint32_t step = c->tile ? HEAD_ROWS : n;
    struct dev_mat none = {0};

    if (!dev_gather_rows(d, c->x, dev_mat_part(c->want, 0, 1, at, n), rows_of(c->xw, n), e) ||
        !dev_rmsnorm(d, rows_of(c->xw, n), c->m->norm[1], s->rms_eps, rows_of(c->nw, n), none, e))
        return false;
    for (uint32_t r = 0; r < n; r += step) {
        if (!dev_gemm(d, nt, dev_mat_part(c->nw, r, step, 0, s->d), c->m->head,
                      dev_mat_part(c->logits, r, step, 0, s->vocab), e))
            return false;
    }
    if (!dev_argmax(d, rows_of(c->logits, n), dev_mat_part(c->next, 0, 1, at, n), e)) return false;
    return !logits || dev_download(d, c->logits.buf, c->logits.offset * sizeof *logits, logits,
                                   (size_t)n * s->vocab * sizeof *logits, e);
}

/* Cross attention's keys and values of one block for the memory of n tokens. */
static bool put_memory(struct decoder_cache *c, uint32_t layer, uint32_t slot, uint32_t n,
                       struct err *e)
{
    struct decoder_work *w = c->enc;
    struct dev_mat xkv = rows_of(work_kept(w, layer)->xkv, n);
    struct lin_call call = work_call(w, layer, LIN_XKV, rows_of(w->memory, n));
    if (!lin_fwd(c->m, c->l, &call, 0, xkv, e)) return false;
    for (uint32_t k = 0; k < 2; k++) {
        struct dev_mat to = cached(c, c->xkv, layer, k);
        if (!dev_cast(c->m->dev, dev_mat_part(xkv, 0, n, k * to.cols, to.cols),
                      dev_mat_part(to, slot * c->max_len, n, 0, to.cols), e))
            return false;
    }
    return true;
}

bool decoder_begin(struct decoder_cache *c, uint32_t slot, const uint32_t *prompt, uint32_t n,
                   const uint32_t **rows, uint32_t *nrows, struct err *e)
{
    CHECK(slot < c->slots && n > 0 && n <= c->max_len);
    *rows = prompt;
    *nrows = n;
    if (!c->enc) return true;
    *rows = &c->start;
    *nrows = 1;
    c->memory_len[slot] = n;
    if (!decoder_encode(c->enc, prompt, n, e)) return false;
    for (uint32_t i = c->m->spec.enc_layers; i < c->m->spec.layers; i++) {
        if (!put_memory(c, i, slot, n, e)) return false;
    }
    return true;
}

bool decoder_step(struct decoder_cache *c, const uint32_t *tokens, const uint32_t *slot,
                  const uint32_t *pos, uint32_t n, const uint32_t *want, uint32_t nwant,
                  uint32_t *next, float *logits, struct err *e)
{
    size_t vocab = c->m->spec.vocab;
    if (!begin(c, tokens, slot, pos, n, e)) return false;
    for (uint32_t i = c->m->spec.enc_layers; i < c->m->spec.layers; i++) {
        if (!block(c, i, slot, pos, n, e)) return false;
    }
    if (nwant == 0) return true;
    CHECK(nwant <= n);
    for (uint32_t i = 0; i < nwant; i++)
        CHECK(want[i] < n);
    if (!upload_u32(c, &c->want, want, nwant, e)) return false;
    c->next.cols = c->next.ld = nwant;
    for (uint32_t at = 0; at < nwant; at += HEAD_ROWS) {
        uint32_t m = nwant - at < HEAD_ROWS ? nwant - at : HEAD_ROWS;
        if (!head(c, at, m, logits ? logits + at * vocab : NULL, e)) return false;
    }
    return dev_download(c->m->dev, c->next.buf, c->next.offset * sizeof *next, next,
                        nwant * sizeof *next, e);
}
