#include "compute/dev.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "compute/dev_plugin.h"

#include <stdio.h>
#include <string.h>

/* ---- devices */
static const struct {
    const char *name;
    const struct dev_ops *ops;
} devices[] = {{"cpu", &cpu_dev_ops}, {"strict", &strict_dev_ops}};

/* name = kind[:arg] */
static const struct dev_ops *find_device(const char *name, struct err *e)
{
    size_t n = strcspn(name, ":");
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strlen(devices[i].name) == n && memcmp(devices[i].name, name, n) == 0)
            return devices[i].ops;
    if (n == 4 && memcmp(name, "cuda", n) == 0) {
        const struct dev_plugin *p = dev_plugin_load(e);
        return p ? p->ops : NULL;
    }
    err_set(e, ERR_CONFIG, "device %s is not known: use auto, cpu, strict or cuda", name);
    return NULL;
}

static bool open_named(const char *name, int threads, struct dev **out, struct err *e)
{
    size_t n = strcspn(name, ":");
    const struct dev_ops *ops = find_device(name, e);
    struct dev *d;

    if (!ops) return false;
    d = mem_calloc(1, sizeof *d, e);
    if (!d) return false;
    d->ops = ops;
    d->threads = threads ? threads : 1;
    d->local_rank = dev_plugin_place()->local_rank;
    snprintf(d->name, sizeof d->name, "%s", name);
    if (!ops->open(d, name[n] ? name + n + 1 : NULL, e)) {
        mem_free(d);
        return false;
    }
    *out = d;
    return true;
}

/* A GPU that is there and cannot be used is no reason to stop on somebody's own machine; a job that
 * was given GPUs would sit on them for hours computing on the CPU. */
static bool open_auto(int threads, struct dev **out, struct err *e)
{
    struct err why = {0};

    if (!dev_plugin_sees_gpu()) return open_named("cpu", threads, out, e);
    if (open_named("cuda", threads, out, &why)) return true;
    if (dev_plugin_place()->gpus == DEV_GPUS_GIVEN) {
        *e = why;
        return err_wrap(e, "this job was given a GPU, set model.device to cpu to go on without");
    }
    log_warn("gpu_not_used", "why=\"%s\"", why.text);
    return open_named("cpu", threads, out, e);
}

bool dev_open(const char *name, int threads, struct dev **out, struct err *e)
{
    CHECK(threads >= 0);
    bool ok =
        strcmp(name, "auto") == 0 ? open_auto(threads, out, e) : open_named(name, threads, out, e);
    return ok || err_wrap(e, "device %s", name);
}

void dev_close(struct dev *d)
{
    if (!d) return;
    CHECK(d->bytes_live == 0); /* a buffer would outlive its device */
    dev_team_close(d);
    d->ops->close(d);
    mem_free(d->draw_room);
    mem_free(d);
}

const char *dev_name(const struct dev *d)
{
    return d->name;
}
const char *dev_describe(const struct dev *d)
{
    return d->describe;
}
bool dev_prefers_bf16(const struct dev *d)
{
    return d->prefers_bf16;
}

const char *dev_unit(const struct dev *d)
{
    return d->unit;
}

/* ---- choices */
bool dev_tunes(const struct dev *d)
{
    return d->ops->tune != NULL;
}
void dev_tune(struct dev *d, bool on)
{
    if (d->ops->tune) d->ops->tune(d, on);
}
size_t dev_choices_bytes(const struct dev *d)
{
    return d->ops->choices_bytes ? d->ops->choices_bytes(d) : 0;
}
void dev_choices_get(const struct dev *d, void *out)
{
    if (d->ops->choices_get) d->ops->choices_get(d, out);
}
bool dev_choices_set(struct dev *d, const void *in, size_t bytes, bool *taken, struct err *e)
{
    *taken = false;
    return bytes == 0 || !d->ops->choices_set || d->ops->choices_set(d, in, bytes, taken, e);
}

/* ---- team */
bool dev_team_there(const struct dev *d, char *text, size_t size)
{
    if (d->ops->team) return d->ops->team->there(d, text, size);
    snprintf(text, size, "device %s adds up through the host", d->name);
    return false;
}
bool dev_team_id(struct dev *d, void *id, struct err *e)
{
    CHECK(d->ops->team);
    return d->ops->team->id(d, id, e);
}
bool dev_team_open(struct dev *d, const void *id, int rank, int size, struct err *e)
{
    CHECK(d->ops->team && d->team_size == 0 && rank >= 0 && rank < size);
    if (!d->ops->team->open(d, id, rank, size, e)) return false;
    d->team_size = size;
    return true;
}
void dev_team_close(struct dev *d)
{
    if (!d || d->team_size == 0) return;
    d->ops->team->close(d);
    d->team_size = 0;
}
int dev_team_size(const struct dev *d)
{
    return d->team_size;
}
bool dev_team_sum_i64(struct dev *d, struct dev_buf *b, size_t offset, size_t count, struct err *e)
{
    CHECK(d->team_size > 0 && b->d == d && offset % sizeof(int64_t) == 0 && offset <= b->bytes);
    CHECK(count > 0 && count <= (b->bytes - offset) / sizeof(int64_t));
    return d->ops->team->sum_i64(d, b->mem + offset, count, e);
}
bool dev_team_poll(struct dev *d, enum dev_team_state *now, struct err *e)
{
    CHECK(d->team_size > 0);
    return d->ops->team->poll(d, now, e);
}

/* ---- memory */
bool dev_buf_open(struct dev *d, size_t bytes, struct dev_buf **out, struct err *e)
{
    struct dev_buf *b = mem_calloc(1, sizeof *b, e);
    if (!b) return false;
    b->d = d;
    b->bytes = bytes;
    b->mem = d->ops->alloc(d, bytes, e);
    if (!b->mem) {
        mem_free(b);
        return err_wrap(e, "device %s: buffer of %zu bytes", d->name, bytes);
    }
    d->bytes_live += bytes;
    if (d->bytes_live > d->bytes_peak) d->bytes_peak = d->bytes_live;
    *out = b;
    return true;
}

void dev_buf_close(struct dev_buf *b)
{
    if (!b) return;
    b->d->ops->release(b->d, b->mem, b->bytes);
    b->d->bytes_live -= b->bytes;
    mem_free(b);
}

size_t dev_buf_bytes(const struct dev_buf *b)
{
    return b->bytes;
}
size_t dev_bytes_live(const struct dev *d)
{
    return d->bytes_live;
}
size_t dev_bytes_peak(const struct dev *d)
{
    return d->bytes_peak;
}

size_t dev_bytes_own(const struct dev *d)
{
    return d->bytes_own;
}
size_t dev_bytes_free(const struct dev *d)
{
    return d->ops->bytes_free ? d->ops->bytes_free(d) : 0;
}

size_t dev_bytes_taken(const struct dev *d)
{
    return d->ops->bytes_taken ? d->ops->bytes_taken(d) : 0;
}
double dev_idle_s(const struct dev *d)
{
    return d->ops->idle_s ? d->ops->idle_s(d) : -1;
}

bool dev_upload(struct dev *d, struct dev_buf *b, size_t offset, const void *host, size_t bytes,
                struct err *e)
{
    CHECK(b->d == d && offset <= b->bytes && bytes <= b->bytes - offset);
    pulse_beat();
    return bytes == 0 || d->ops->upload(d, b->mem + offset, host, bytes, e);
}

bool dev_download(struct dev *d, const struct dev_buf *b, size_t offset, void *host, size_t bytes,
                  struct err *e)
{
    CHECK(b->d == d && offset <= b->bytes && bytes <= b->bytes - offset);
    return bytes == 0 || d->ops->download(d, b->mem + offset, host, bytes, e);
}

bool dev_sync(struct dev *d, struct err *e)
{
    return d->ops->sync(d, e);
}

/* ---- checks: a mismatch is a bug of the caller */
static bool is_float(struct dev_mat m)
{
    return m.dtype == DEV_F32 || m.dtype == DEV_BF16;
}

/* The view lies inside its buffer on this device. */
static void check_view(const struct dev *d, struct dev_mat m)
{
    CHECK(m.buf && m.buf->d == d && (unsigned)m.dtype < DEV_DTYPES && m.ld >= m.cols);
    if (m.rows == 0 || m.cols == 0) return;
    size_t elems = m.buf->bytes / dev_dtype_bytes(m.dtype);
    CHECK(m.offset <= elems);
    CHECK((size_t)(m.rows - 1) * m.ld + m.cols <= elems - m.offset);
}

static bool same_shape(struct dev_mat a, struct dev_mat b)
{
    return a.rows == b.rows && a.cols == b.cols;
}

/* A row of n values of dtype t. */
static bool is_row(struct dev_mat m, enum dev_dtype t, size_t n)
{
    return m.dtype == t && m.rows == 1 && m.cols == n;
}

static bool submit(struct dev *d, const struct dev_call *c, struct err *e)
{
    for (int i = 0; i < DEV_CALL_MATS; i++)
        if (c->m[i].buf) check_view(d, c->m[i]);
    pulse_beat();
    return d->ops->submit(d, c, e);
}

/* ---- copies */
bool dev_zero(struct dev *d, struct dev_mat m, struct err *e)
{
    return submit(d, &(struct dev_call){.op = DEV_ZERO, .m = {m}}, e);
}

bool dev_scale_cast(struct dev *d, float alpha, struct dev_mat src, struct dev_mat dst,
                    struct err *e)
{
    CHECK(is_float(src) && is_float(dst) && same_shape(src, dst));
    return submit(d, &(struct dev_call){.op = DEV_SCALE_CAST, .m = {src, dst}, .alpha = alpha}, e);
}

bool dev_cast(struct dev *d, struct dev_mat src, struct dev_mat dst, struct err *e)
{
    return dev_scale_cast(d, 1.0f, src, dst, e);
}

bool dev_gather_rows(struct dev *d, struct dev_mat src, struct dev_mat idx, struct dev_mat dst,
                     struct err *e)
{
    CHECK(is_float(src) && is_float(dst) && src.cols == dst.cols);
    CHECK(is_row(idx, DEV_I32, dst.rows));
    return submit(d, &(struct dev_call){.op = DEV_GATHER_ROWS, .m = {src, idx, dst}}, e);
}

bool dev_scatter_rows(struct dev *d, struct dev_mat src, struct dev_mat idx, struct dev_mat dst,
                      struct err *e)
{
    CHECK(is_float(src) && is_float(dst) && src.cols == dst.cols);
    CHECK(is_row(idx, DEV_I32, src.rows));
    return submit(d, &(struct dev_call){.op = DEV_SCATTER_ROWS, .m = {src, idx, dst}}, e);
}

bool dev_scatter_add_rows(struct dev *d, struct dev_mat src, struct dev_mat ids,
                          struct dev_mat table_grad, struct err *e)
{
    CHECK(is_float(src) && table_grad.dtype == DEV_F32 && src.cols == table_grad.cols);
    CHECK(is_row(ids, DEV_I32, src.rows));
    return submit(d, &(struct dev_call){.op = DEV_SCATTER_ADD_ROWS, .m = {src, ids, table_grad}},
                  e);
}

bool dev_add(struct dev *d, struct dev_mat x, struct dev_mat y, struct err *e)
{
    CHECK(is_float(x) && is_float(y) && x.cols == y.cols && (x.rows == y.rows || y.rows == 1));
    return submit(d, &(struct dev_call){.op = DEV_ADD, .m = {x, y}}, e);
}

static void check_product(struct dev_gemm g, struct dev_mat a, struct dev_mat b, struct dev_mat c)
{
    uint32_t m = g.trans_a ? a.cols : a.rows, ka = g.trans_a ? a.rows : a.cols;
    uint32_t n = g.trans_b ? b.rows : b.cols, kb = g.trans_b ? b.cols : b.rows;
    CHECK(is_float(a) && a.dtype == b.dtype && is_float(c));
    CHECK(m == c.rows && n == c.cols && ka == kb);
}

bool dev_gemm(struct dev *d, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
              struct dev_mat c, struct err *e)
{
    check_product(g, a, b, c);
    return submit(d, &(struct dev_call){.op = DEV_GEMM, .m = {a, b, c}, .gemm = g}, e);
}

bool dev_gemm2(struct dev *d, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
               struct dev_mat a2, struct dev_mat b2, struct dev_mat c, struct err *e)
{
    check_product(g, a, b, c);
    check_product(g, a2, b2, c);
    CHECK(a2.dtype == a.dtype);
    return submit(d, &(struct dev_call){.op = DEV_GEMM, .m = {a, b, c, a2, b2}, .gemm = g}, e);
}

bool dev_joins(const struct dev *d)
{
    return d->ops->join_get != NULL;
}
void dev_set_join(struct dev *d, enum dev_join how)
{
    d->join = how;
}
struct dev_join_times dev_join_get(const struct dev *d)
{
    return d->ops->join_get ? d->ops->join_get(d) : (struct dev_join_times){0};
}

/* ---- blocks of a transformer */
bool dev_rmsnorm(struct dev *d, struct dev_mat x, struct dev_mat w, float eps, struct dev_mat y,
                 struct dev_mat rstd, struct err *e)
{
    CHECK(x.dtype == DEV_F32 && is_float(y) && same_shape(x, y) && is_row(w, DEV_F32, x.cols));
    CHECK(!rstd.buf || is_row(rstd, DEV_F32, x.rows));
    return submit(d, &(struct dev_call){.op = DEV_RMSNORM, .m = {x, w, y, rstd}, .eps = eps}, e);
}

bool dev_rmsnorm_keep(struct dev *d, struct dev_mat x, struct dev_mat w, float eps,
                      struct dev_mat y, struct dev_mat keep, struct err *e)
{
    struct dev_call c = {.op = DEV_RMSNORM, .m = {x, w, y, {0}, keep}, .eps = eps};
    CHECK(x.dtype == DEV_F32 && is_float(y) && same_shape(x, y) && is_row(w, DEV_F32, x.cols));
    CHECK(is_float(keep) && same_shape(x, keep));
    return submit(d, &c, e);
}

bool dev_rmsnorm_bwd(struct dev *d, struct dev_mat dy, struct dev_mat x, struct dev_mat w,
                     struct dev_mat rstd, struct dev_mat dx, struct dev_mat dw, struct err *e)
{
    CHECK(is_float(dy) && x.dtype == DEV_F32 && dx.dtype == DEV_F32);
    CHECK(same_shape(dy, x) && same_shape(dx, x));
    CHECK(is_row(w, DEV_F32, x.cols) && is_row(rstd, DEV_F32, x.rows));
    CHECK(!dw.buf || is_row(dw, DEV_F32, x.cols));
    return submit(d, &(struct dev_call){.op = DEV_RMSNORM_BWD, .m = {dy, x, w, rstd, dx, dw}}, e);
}

bool dev_rmsnorm_back(struct dev *d, const struct dev_rmsnorm_back *g, struct err *e)
{
    struct dev_call c = {
        .op = DEV_RMSNORM_BACK, .m = {g->dy, g->x, g->w, g->dx, g->y, g->to}, .eps = g->eps};
    CHECK(is_float(g->dy) && is_float(g->x) && g->dx.dtype == DEV_F32 && is_float(g->to));
    CHECK(same_shape(g->dy, g->x) && same_shape(g->dx, g->x) && same_shape(g->to, g->x));
    CHECK(is_row(g->w, DEV_F32, g->x.cols));
    CHECK(!g->y.buf || (is_float(g->y) && same_shape(g->y, g->x)));
    return submit(d, &c, e);
}

bool dev_layernorm(struct dev *d, struct dev_mat x, struct dev_mat w, struct dev_mat b, float eps,
                   struct dev_mat y, struct err *e)
{
    CHECK(x.dtype == DEV_F32 && is_float(y) && same_shape(x, y));
    CHECK(is_row(w, DEV_F32, x.cols) && is_row(b, DEV_F32, x.cols));
    return submit(d, &(struct dev_call){.op = DEV_LAYERNORM, .m = {x, w, b, y}, .eps = eps}, e);
}

bool dev_rope(struct dev *d, struct dev_mat x, uint32_t heads, struct dev_mat pos,
              struct dev_mat inv_freq, bool inverse, struct err *e)
{
    CHECK(is_float(x) && heads > 0 && x.cols % (2 * heads) == 0);
    CHECK(is_row(pos, DEV_I32, x.rows) && is_row(inv_freq, DEV_F32, x.cols / heads / 2));
    return submit(
        d, &(struct dev_call){.op = DEV_ROPE, .m = {x, pos, inv_freq}, .rope = {heads, inverse}},
        e);
}

static void check_bias(const struct dev *d, const struct dev_attn *a, struct dev_mat bias)
{
    if (!bias.buf) return;
    check_view(d, bias);
    CHECK(bias.dtype == DEV_F32 && bias.cols == a->heads && bias.rows % 2 == 1);
}

static void check_attn(const struct dev *d, const struct dev_attn *a, struct dev_mat q,
                       struct dev_mat k, struct dev_mat v)
{
    check_bias(d, a, a->bias);
    CHECK(a->heads > 0 && a->kv_heads > 0 && a->heads % a->kv_heads == 0 && a->head_dim > 0);
    CHECK(is_float(q) && k.dtype == q.dtype && v.dtype == q.dtype);
    CHECK(q.cols == a->heads * a->head_dim);
    CHECK(k.cols == a->kv_heads * a->head_dim && same_shape(k, v));
}

/* Sample starts of queries and of keys; cu_k is cu where none was given. */
static void check_packed(struct dev_attn *a, struct dev_mat q, struct dev_mat k)
{
    CHECK(!a->window || !a->bidirectional);
    CHECK(!a->cu_k || a->bidirectional);
    if (!a->cu_k) a->cu_k = a->cu;
    CHECK(a->cu && a->cu[0] == 0 && a->cu[a->nseq] == q.rows);
    CHECK(a->cu_k[0] == 0 && a->cu_k[a->nseq] == k.rows);
    for (uint32_t i = 0; i < a->nseq; i++) {
        CHECK(a->cu[i] <= a->cu[i + 1] && a->cu_k[i] <= a->cu_k[i + 1]);
        CHECK(a->cu[i] == a->cu[i + 1] || a->cu_k[i] < a->cu_k[i + 1]);
    }
}

bool dev_attn_fwd(struct dev *d, const struct dev_attn *a, struct dev_mat q, struct dev_mat k,
                  struct dev_mat v, struct dev_mat out, struct dev_mat lse, struct err *e)
{
    struct dev_call c = {.op = DEV_ATTN_FWD, .m = {q, k, v, out, lse}};
    c.attn.a = *a;
    check_attn(d, a, q, k, v);
    check_packed(&c.attn.a, q, k);
    CHECK(out.dtype == q.dtype && same_shape(out, q) && !a->dbias.buf);
    CHECK(!lse.buf || (lse.dtype == DEV_F32 && lse.rows == a->heads && lse.cols == q.rows));
    return submit(d, &c, e);
}

bool dev_attn_bwd(struct dev *d, const struct dev_attn *a, struct dev_mat q, struct dev_mat k,
                  struct dev_mat v, struct dev_mat out, struct dev_mat lse, struct dev_mat dout,
                  struct dev_mat dq, struct dev_mat dk, struct dev_mat dv, struct err *e)
{
    struct dev_call c = {.op = DEV_ATTN_BWD, .m = {q, k, v, out, lse, dout, dq, dk, dv}};
    c.attn.a = *a;
    check_attn(d, a, q, k, v);
    check_packed(&c.attn.a, q, k);
    check_bias(d, a, a->dbias);
    CHECK(!a->dbias.buf || (a->bias.buf && same_shape(a->dbias, a->bias)));
    CHECK(out.dtype == q.dtype && same_shape(out, q));
    CHECK(lse.dtype == DEV_F32 && lse.rows == a->heads && lse.cols == q.rows);
    CHECK(dout.dtype == q.dtype && same_shape(dout, q));
    CHECK(dq.dtype == q.dtype && same_shape(dq, q));
    CHECK(dk.dtype == q.dtype && same_shape(dk, k) && dv.dtype == q.dtype && same_shape(dv, v));
    return submit(d, &c, e);
}

bool dev_attn_cached(struct dev *d, const struct dev_attn *a, struct dev_mat q,
                     struct dev_mat k_cache, struct dev_mat v_cache, uint32_t max_len,
                     const uint32_t *slot, const uint32_t *pos, struct dev_mat out, struct err *e)
{
    check_attn(d, a, q, k_cache, v_cache);
    CHECK(!a->bidirectional && !a->dbias.buf);
    CHECK(out.dtype == q.dtype && same_shape(out, q));
    for (uint32_t i = 0; i < q.rows; i++)
        CHECK(pos[i] < max_len && ((uint64_t)slot[i] + 1) * max_len <= k_cache.rows);
    struct dev_call c = {.op = DEV_ATTN_CACHED, .m = {q, k_cache, v_cache, out}};
    c.attn.a = *a;
    c.attn.max_len = max_len;
    c.attn.slot = slot;
    c.attn.pos = pos;
    return submit(d, &c, e);
}

/* ---- keys and values of decoding */
static void check_kv(const struct dev *d, const struct dev_kv *v, uint32_t layer)
{
    check_view(d, v->mem);
    CHECK(is_float(v->mem) && v->len % DEV_KV_BLOCK == 0 && layer < v->layers);
    CHECK(v->mem.rows == dev_kv_rows(v) && v->mem.cols == v->kv_heads * v->head_dim);
    CHECK(v->mem.ld == v->mem.cols);
}

static bool packs_kv(const struct dev *d, const struct dev_kv *v)
{
    return d->ops->packs_kv && d->ops->packs_kv(d, v);
}

/* As rows: keys (0) or values (1) of a layer. */
static struct dev_mat kv_rows(const struct dev_kv *v, uint32_t layer, uint32_t which)
{
    uint32_t per = v->slots * v->len;
    return dev_mat_part(v->mem, (2 * layer + which) * per, per, 0, v->mem.cols);
}

bool dev_kv_put(struct dev *d, const struct dev_kv *v, uint32_t layer, struct dev_mat k,
                struct dev_mat vals, struct dev_mat at, struct err *e)
{
    check_kv(d, v, layer);
    CHECK(is_float(k) && k.cols == v->mem.cols && same_shape(k, vals) && k.dtype == vals.dtype);
    CHECK(is_row(at, DEV_I32, k.rows) && k.dtype == v->mem.dtype);
    if (!packs_kv(d, v))
        return dev_scatter_rows(d, k, at, kv_rows(v, layer, 0), e) &&
               dev_scatter_rows(d, vals, at, kv_rows(v, layer, 1), e);
    struct dev_call c = {.op = DEV_KV_PUT, .m = {k, vals, at, v->mem}};
    c.kv.v = *v;
    c.kv.layer = layer;
    return submit(d, &c, e);
}

bool dev_kv_copy(struct dev *d, const struct dev_kv *v, uint32_t from, uint32_t to, uint32_t first,
                 uint32_t end, struct err *e)
{
    uint32_t n = end - first;
    check_kv(d, v, 0);
    CHECK(from < v->slots && to < v->slots && from != to && first <= end && end <= v->len);
    if (n == 0) return true;
    if (packs_kv(d, v)) {
        struct dev_call c = {.op = DEV_KV_COPY, .m = {v->mem}};
        c.kv.v = *v;
        c.kv.from = from;
        c.kv.to = to;
        c.kv.first = first;
        c.kv.end = end;
        return submit(d, &c, e);
    }
    for (uint32_t i = 0; i < 2 * v->layers; i++) {
        struct dev_mat all = kv_rows(v, i / 2, i % 2);
        if (!dev_cast(d, dev_mat_part(all, from * v->len + first, n, 0, all.cols),
                      dev_mat_part(all, to * v->len + first, n, 0, all.cols), e))
            return false;
    }
    return true;
}

bool dev_attn_kv(struct dev *d, const struct dev_attn *a, struct dev_mat q, const struct dev_kv *v,
                 uint32_t layer, const uint32_t *slot, const uint32_t *pos, struct dev_mat out,
                 struct err *e)
{
    check_kv(d, v, layer);
    struct dev_mat k = kv_rows(v, layer, 0);
    if (!packs_kv(d, v))
        return dev_attn_cached(d, a, q, k, kv_rows(v, layer, 1), v->len, slot, pos, out, e);
    check_attn(d, a, q, k, k);
    CHECK(a->kv_heads == v->kv_heads && !a->bidirectional && !a->dbias.buf);
    CHECK(out.dtype == q.dtype && same_shape(out, q));
    for (uint32_t i = 0; i < q.rows; i++)
        CHECK(pos[i] < v->len && slot[i] < v->slots);
    struct dev_call c = {.op = DEV_ATTN_KV, .m = {q, v->mem, {0}, out}};
    c.attn.a = *a;
    c.attn.slot = slot;
    c.attn.pos = pos;
    c.attn.kv = *v;
    c.attn.layer = layer;
    return submit(d, &c, e);
}

static void check_act(enum dev_act act, struct dev_mat x, struct dev_mat y)
{
    CHECK((unsigned)act < DEV_ACTS && is_float(x) && is_float(y) && x.rows == y.rows);
    CHECK(x.cols == y.cols || x.cols == 2 * (size_t)y.cols);
}

bool dev_act(struct dev *d, enum dev_act act, struct dev_mat x, struct dev_mat y, struct err *e)
{
    check_act(act, x, y);
    return submit(d, &(struct dev_call){.op = DEV_ACT, .m = {x, y}, .act = act}, e);
}

bool dev_act_bwd(struct dev *d, enum dev_act act, struct dev_mat dy, struct dev_mat x,
                 struct dev_mat dx, struct err *e)
{
    check_act(act, x, dy);
    CHECK(is_float(dx) && same_shape(x, dx));
    return submit(d, &(struct dev_call){.op = DEV_ACT_BWD, .m = {dy, x, dx}, .act = act}, e);
}

bool dev_act_back(struct dev *d, enum dev_act act, struct dev_mat dy, struct dev_mat x,
                  struct dev_mat dx, struct dev_mat y, struct err *e)
{
    check_act(act, x, dy);
    CHECK(is_float(dx) && same_shape(x, dx) && is_float(y) && same_shape(y, dy));
    return submit(d, &(struct dev_call){.op = DEV_ACT_BWD, .m = {dy, x, dx, y}, .act = act}, e);
}

bool dev_swiglu(struct dev *d, struct dev_mat gu, struct dev_mat y, struct err *e)
{
    CHECK(gu.cols == 2 * (size_t)y.cols);
    return dev_act(d, DEV_SILU, gu, y, e);
}

bool dev_swiglu_bwd(struct dev *d, struct dev_mat dy, struct dev_mat gu, struct dev_mat dgu,
                    struct err *e)
{
    CHECK(gu.cols == 2 * (size_t)dy.cols);
    return dev_act_bwd(d, DEV_SILU, dy, gu, dgu, e);
}

bool dev_dropout(struct dev *d, struct dev_mat x, float p, uint64_t key, uint64_t base,
                 struct dev_mat y, struct err *e)
{
    CHECK(is_float(x) && is_float(y) && same_shape(x, y) && p >= 0.0f && p < 1.0f);
    return submit(d, &(struct dev_call){.op = DEV_DROPOUT, .m = {x, y}, .dropout = {p, key, base}},
                  e);
}

bool dev_xent(struct dev *d, struct dev_mat logits, struct dev_mat labels, struct dev_mat loss,
              bool grad, float scale, struct err *e)
{
    CHECK(logits.dtype == DEV_F32 && logits.cols > 0);
    CHECK(is_row(labels, DEV_I32, logits.rows) && is_row(loss, DEV_F32, logits.rows));
    return submit(
        d, &(struct dev_call){.op = DEV_XENT, .m = {logits, labels, loss}, .xent = {grad, scale}},
        e);
}

bool dev_xent_to(struct dev *d, struct dev_mat logits, struct dev_mat labels, struct dev_mat loss,
                 float scale, struct dev_mat to, struct err *e)
{
    struct dev_call c = {
        .op = DEV_XENT, .m = {logits, labels, loss, to}, .xent = {.grad = true, .scale = scale}};
    CHECK(logits.dtype == DEV_F32 && logits.cols > 0);
    CHECK(is_row(labels, DEV_I32, logits.rows) && is_row(loss, DEV_F32, logits.rows));
    CHECK(is_float(to) && same_shape(to, logits));
    return submit(d, &c, e);
}

bool dev_argmax(struct dev *d, struct dev_mat logits, struct dev_mat out, struct err *e)
{
    CHECK(is_float(logits) && logits.cols > 0 && is_row(out, DEV_I32, logits.rows));
    return submit(d, &(struct dev_call){.op = DEV_ARGMAX, .m = {logits, out}}, e);
}

bool dev_sample(struct dev *d, struct dev_mat logits, const struct dev_draw *draws,
                struct dev_mat out, struct err *e)
{
    CHECK(logits.dtype == DEV_F32 && logits.cols > 0 && logits.cols <= DEV_SAMPLE_VOCAB);
    CHECK(is_row(out, DEV_I32, logits.rows));
    if (!d->ops->samples) return dev_sample_composed(d, logits, draws, out, e);
    return submit(d, &(struct dev_call){.op = DEV_SAMPLE, .m = {logits, out}, .draws = draws}, e);
}

/* ---- weights in few bits, rows and columns */
bool dev_dequant(struct dev *d, const struct dev_quant *q, struct dev_mat out, struct err *e)
{
    size_t n = (size_t)out.rows * out.cols, blocks = (n + DEV_NF4_BLOCK - 1) / DEV_NF4_BLOCK;
    CHECK(is_float(out) && q->codes.dtype == DEV_U8);
    if (q->kind == DEV_QUANT_INT8) {
        CHECK(same_shape(q->codes, out) && is_row(q->scales, DEV_F32, out.rows));
        CHECK(!q->outer.buf && !q->table.buf);
    } else {
        CHECK(q->kind == DEV_QUANT_NF4 && is_row(q->codes, DEV_U8, (n + 1) / 2));
        CHECK(is_row(q->scales, DEV_U8, blocks) && is_row(q->table, DEV_F32, DEV_NF4_TABLE));
        CHECK(is_row(q->outer, DEV_F32, (blocks + DEV_NF4_OUTER - 1) / DEV_NF4_OUTER));
    }
    return submit(d,
                  &(struct dev_call){.op = DEV_DEQUANT,
                                     .m = {q->codes, q->scales, q->outer, q->table, out},
                                     .quant = q->kind},
                  e);
}

bool dev_row_norms(struct dev *d, struct dev_mat x, struct dev_mat out, struct err *e)
{
    CHECK(is_float(x) && is_row(out, DEV_F32, x.rows));
    return submit(d, &(struct dev_call){.op = DEV_ROW_NORMS, .m = {x, out}}, e);
}

bool dev_scale_cols(struct dev *d, struct dev_mat x, struct dev_mat s, struct dev_mat y,
                    struct err *e)
{
    CHECK(is_float(x) && is_float(y) && same_shape(x, y) && is_row(s, DEV_F32, x.cols));
    return submit(d, &(struct dev_call){.op = DEV_SCALE_COLS, .m = {x, s, y}}, e);
}

bool dev_col_dot(struct dev *d, struct dev_mat a, struct dev_mat b, struct dev_mat out,
                 struct err *e)
{
    CHECK(is_float(a) && is_float(b) && same_shape(a, b) && is_row(out, DEV_F32, a.cols));
    return submit(d, &(struct dev_call){.op = DEV_COL_DOT, .m = {a, b, out}}, e);
}

bool dev_ratio(struct dev *d, struct dev_mat a, struct dev_mat b, struct dev_mat out, struct err *e)
{
    CHECK(is_row(a, DEV_F32, out.cols) && is_row(b, DEV_F32, out.cols));
    CHECK(is_row(out, DEV_F32, out.cols));
    return submit(d, &(struct dev_call){.op = DEV_RATIO, .m = {a, b, out}}, e);
}

/* ---- optimizer */
bool dev_accum_fixed(struct dev *d, struct dev_mat g, int shift, struct dev_mat acc,
                     struct dev_mat overflow, struct err *e)
{
    CHECK(g.dtype == DEV_F32 && g.rows == 1 && is_row(acc, DEV_I64, g.cols));
    CHECK(is_row(overflow, DEV_I32, 1) && shift > -512 && shift < 512);
    struct dev_call c = {.op = DEV_ACCUM_FIXED, .m = {g, acc, overflow}};
    c.fixed.shift = shift;
    return submit(d, &c, e);
}

bool dev_from_fixed(struct dev *d, struct dev_mat acc, int shift, double scale, struct dev_mat g,
                    struct err *e)
{
    CHECK(g.dtype == DEV_F32 && g.rows == 1 && is_row(acc, DEV_I64, g.cols));
    CHECK(shift > -512 && shift < 512);
    return submit(
        d, &(struct dev_call){.op = DEV_FROM_FIXED, .m = {acc, g}, .fixed = {shift, scale}}, e);
}

bool dev_absmax_later(struct dev *d, struct dev_mat g, float *out, struct err *e)
{
    CHECK(g.dtype == DEV_F32);
    *out = 0.0f;
    return submit(d, &(struct dev_call){.op = DEV_ABSMAX, .m = {g}, .host_f32 = out}, e);
}

bool dev_absmax(struct dev *d, struct dev_mat g, float *out, struct err *e)
{
    return dev_absmax_later(d, g, out, e) && dev_sync(d, e);
}

bool dev_sumsq_later(struct dev *d, struct dev_mat g, double *out, struct err *e)
{
    CHECK(g.dtype == DEV_F32);
    *out = 0.0;
    return submit(d, &(struct dev_call){.op = DEV_SUMSQ, .m = {g}, .host_f64 = out}, e);
}

bool dev_sumsq(struct dev *d, struct dev_mat g, double *out, struct err *e)
{
    return dev_sumsq_later(d, g, out, e) && dev_sync(d, e);
}

bool dev_adamw(struct dev *d, const struct dev_adamw *o, struct dev_mat g, struct dev_mat p,
               struct dev_mat m, struct dev_mat v, struct err *e)
{
    CHECK(g.dtype == DEV_F32 && g.rows == 1 && is_row(p, DEV_F32, g.cols));
    CHECK(is_row(m, DEV_F32, g.cols) && is_row(v, DEV_F32, g.cols) && o->step > 0);
    return submit(d, &(struct dev_call){.op = DEV_ADAMW, .m = {g, p, m, v}, .adamw = *o}, e);
}
