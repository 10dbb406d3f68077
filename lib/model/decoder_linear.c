#include "model/decoder_parts.h"

struct dev_mat rows_of(struct dev_mat m, uint32_t n)
{
    return dev_mat_part(m, 0, n, 0, m.cols);
}

struct dev_mat shape_of(struct dev_mat m, uint32_t rows, uint32_t cols)
{
    CHECK((uint64_t)rows * cols <= (uint64_t)m.rows * m.cols);
    return dev_mat_of(m.buf, m.offset, m.dtype, rows, cols);
}

struct dev_mat shape_tail(struct dev_mat m, uint32_t rows, uint32_t cols, uint32_t tail)
{
    struct dev_mat to = shape_of(m, rows, cols + tail);
    return dev_mat_part(to, 0, rows, 0, cols);
}

/* What stands right of m's rows. */
static struct dev_mat tail_of(struct dev_mat m, uint32_t cols)
{
    CHECK(m.ld >= m.cols + cols);
    m.offset += m.cols;
    m.cols = cols;
    return m;
}

static const struct dev_gemm NN = {false, false, 1, 0};
static const struct dev_gemm NN_ADD = {false, false, 1, 1};
static const struct dev_gemm TN = {true, false, 1, 0};

/* Dropout masks are a function of (key, linear, element): forward and backward agree, and the q, k
 * and v of a block share one mask (PEFT draws one for each: same distribution, other draws). */
static bool mask_input(struct dev *d, const struct lora *l, const struct lin_call *c,
                       struct dev_mat *x, struct err *e)
{
    struct dev_mat to = shape_of(c->drop, c->x.rows, c->x.cols);
    uint64_t base = (uint64_t)(c->layer * LINEARS + c->lin) << 40;
    if (!dev_dropout(d, *x, (float)l->dropout, c->dropout_key, base, to, e)) return false;
    *x = to;
    return true;
}

/* Rows of part p of a merged matrix. */
static struct dev_mat rows_of_part(struct dev_mat w, const struct linear_shape *sh, uint32_t p)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < p; i++)
        row += sh->rows[i];
    return dev_mat_part(w, row, sh->rows[p], 0, w.cols);
}

/* Columns of part p of the outputs, of h. */
static struct dev_mat out_of_part(struct dev_mat y, const struct linear_shape *sh, uint32_t p)
{
    uint32_t col = 0;
    for (uint32_t i = 0; i < p; i++)
        col += sh->rows[i];
    return dev_mat_part(y, 0, y.rows, col, sh->rows[p]);
}

static struct dev_mat h_of_part(struct dev_mat h, const struct lora_part *t)
{
    return dev_mat_part(h, 0, h.rows, t->col, t->rank);
}

static struct dev_mat b_of_part(const struct lora_group *g, const struct linear_shape *sh,
                                uint32_t p)
{
    struct dev_mat b = rows_of_part(g->b, sh, p);
    return dev_mat_part(b, 0, b.rows, g->part[p].b_col, g->part[p].rank);
}

/* h = s x a^T: one product when all parts share their scale. */
static bool lower(struct dev *d, const struct lora_group *g, struct dev_mat x, struct dev_mat h,
                  struct err *e)
{
    struct dev_gemm how = {false, true, 1, 0};
    bool ok = true;
    for (uint32_t p = 0; p < MAX_PARTS && ok; p++) {
        const struct lora_part *t = &g->part[p];
        if (!t->rank) continue;
        how.alpha = t->scale;
        if (g->even) return dev_gemm(d, how, x, g->a, h, e);
        ok = dev_gemm(d, how, x, dev_mat_part(g->a, t->col, t->rank, 0, g->a.cols), h_of_part(h, t),
                      e);
    }
    return ok;
}

/* W_p += s b_p a_p */
static bool merge_linear(const struct model *m, const struct lora_group *g, uint32_t layer,
                         enum linear lin, struct err *e)
{
    struct linear_shape sh = linear_shape(&m->spec, layer, lin);
    struct dev_mat w = m->layers[layer].w[lin];
    for (uint32_t p = 0; p < sh.nparts; p++) {
        const struct lora_part *t = &g->part[p];
        struct dev_gemm add = {false, false, t->scale, 1};
        if (t->rank && !dev_gemm(m->dev, add, b_of_part(g, &sh, p),
                                 dev_mat_part(g->a, t->col, t->rank, 0, g->a.cols),
                                 rows_of_part(w, &sh, p), e))
            return false;
    }
    return true;
}

bool lora_merge(struct lora *l, struct err *e)
{
    const struct model *m = l->m;
    if (l->method == LORA_FULL) return true;
    if (l->dora || m->quant)
        return err_set(e, ERR_CONFIG,
                       "%s cannot be merged into the loaded base: use `radmill "
                       "convert`, or the adapter as it is",
                       l->dora ? "DoRA" : "an adapter of a quantised model");
    for (uint32_t layer = 0; layer < m->spec.layers; layer++)
        for (enum linear lin = 0; lin < LINEARS; lin++) {
            const struct lora_group *g = lora_group_of(l, layer, lin);
            if (g && !merge_linear(m, g, layer, lin, e)) return false;
        }
    return true;
}

/* y = beta y + x W^T + h b^T */
static bool lin_raise(const struct model *m, const struct lora_group *g, const struct lin_call *c,
                      float beta, struct dev_mat y, struct err *e)
{
    struct linear_shape sh = linear_shape(&m->spec, c->layer, c->lin);
    struct dev_gemm nt = {false, true, 1, beta};
    struct dev_mat w;
    bool ok = model_weight(m, c->layer, c->lin, &w, e);

    for (uint32_t p = 0; p < sh.nparts && ok; p++) {
        struct dev_mat wp = rows_of_part(w, &sh, p), yp = out_of_part(y, &sh, p);
        ok = g->part[p].rank ? dev_gemm2(m->dev, nt, c->x, wp, h_of_part(c->h, &g->part[p]),
                                         b_of_part(g, &sh, p), yp, e)
                             : dev_gemm(m->dev, nt, c->x, wp, yp, e);
    }
    return ok;
}

/* DoRA scales the sum of base and adapter before it meets what is in y. */
static bool lin_raise_dora(const struct model *m, const struct lora *l, const struct lora_group *g,
                           const struct lin_call *c, float beta, struct dev_mat y, struct err *e)
{
    struct dev_mat to = beta == 0 ? y : lora_dora_scratch(l, 0, y.rows, y.cols);
    CHECK(beta == 0 || beta == 1);
    return lin_raise(m, g, c, 0, to, e) && dev_scale_cols(m->dev, to, g->ratio, to, e) &&
           (beta == 0 || dev_add(m->dev, y, to, e));
}

/* y = beta y + [x h] [w b]^T: all parts at once. x is masked or c->x. */
static bool lin_fwd_folded(const struct model *m, const struct lora_group *g,
                           const struct lin_call *c, struct dev_mat x, float beta, struct dev_mat y,
                           struct err *e)
{
    struct dev_gemm nt = {false, true, 1, beta};
    struct dev_mat h = tail_of(c->x, g->rank_sum), w;

    return lower(m->dev, g, x, h, e) && (!c->keep_h || dev_cast(m->dev, h, c->h, e)) &&
           model_weight(m, c->layer, c->lin, &w, e) &&
           dev_gemm2(m->dev, nt, c->x, w, h, g->jb, y, e);
}

bool lin_fwd(const struct model *m, const struct lora *l, const struct lin_call *c, float beta,
             struct dev_mat y, struct err *e)
{
    const struct lora_group *g = lora_group_of(l, c->layer, c->lin);
    struct dev_mat x = c->x, w;
    struct dev_gemm nt = {false, true, 1, beta};

    if (!g) return model_weight(m, c->layer, c->lin, &w, e) && dev_gemm(m->dev, nt, x, w, y, e);
    if (c->masked && !mask_input(m->dev, l, c, &x, e)) return false;
    if (l->folded && c->tails) return lin_fwd_folded(m, g, c, x, beta, y, e);
    if (!lower(m->dev, g, x, c->h, e)) return false;
    return l->dora ? lin_raise_dora(m, l, g, c, beta, y, e) : lin_raise(m, g, c, beta, y, e);
}

/* dh_p = s dy_p b_p */
static bool lower_back(struct dev *d, const struct lora_group *g, const struct linear_shape *sh,
                       struct dev_mat dy, struct dev_mat dh, struct err *e)
{
    bool ok = true;
    for (uint32_t p = 0; p < sh->nparts && ok; p++) {
        const struct lora_part *t = &g->part[p];
        struct dev_gemm nn = {false, false, t->scale, 0};
        if (t->rank)
            ok = dev_gemm(d, nn, out_of_part(dy, sh, p), b_of_part(g, sh, p), h_of_part(dh, t), e);
    }
    return ok;
}

/* dB of each part = dy_p^T h_p */
static bool grad_b(const struct model *m, const struct lora_group *g, const struct lin_call *c,
                   struct dev_mat dy, struct dev_buf *grad, struct err *e)
{
    struct linear_shape sh = linear_shape(&m->spec, c->layer, c->lin);
    for (uint32_t p = 0; p < sh.nparts; p++) {
        const struct lora_part *t = &g->part[p];
        struct dev_mat to = dev_mat_of(grad, t->b_at, DEV_F32, sh.rows[p], t->rank);
        if (t->rank && !dev_gemm(m->dev, TN, out_of_part(dy, &sh, p),
                                 h_of_part(rows_of(c->h, dy.rows), t), to, e))
            return false;
    }
    return true;
}

/* Method full: dW of all parts at once, they lie one under the other in the flat block, too. */
static bool grad_full(const struct model *m, const struct lora *l, const struct lin_call *c,
                      struct dev_mat dy, struct dev_buf *grad, struct err *e)
{
    struct linear_shape sh = linear_shape(&m->spec, c->layer, c->lin);
    const struct lora_tensor *t = &l->tensors[model_tensor_index(&m->spec, c->layer, c->lin)];
    return dev_gemm(m->dev, TN, dy, c->x, dev_mat_of(grad, t->offset, DEV_F32, sh.out, sh.in), e);
}

/* dx = mask(dh a) + dy W: the adapter's part first, so that its mask does not touch the base's. */
static bool grad_masked_input(const struct model *m, const struct lora *l,
                              const struct lora_group *g, const struct lin_call *c,
                              struct dev_mat dy, struct dev_mat dh, struct dev_mat dx,
                              struct err *e)
{
    uint64_t base = (uint64_t)(c->layer * LINEARS + c->lin) << 40;
    struct dev_mat w;
    return model_weight(m, c->layer, c->lin, &w, e) && dev_gemm(m->dev, NN, dh, g->a, dx, e) &&
           dev_dropout(m->dev, dx, (float)l->dropout, c->dropout_key, base, dx, e) &&
           dev_gemm(m->dev, NN_ADD, dy, w, dx, e);
}

/* Where dh of a group stands: behind dy, or in scratch. */
static struct dev_mat dh_of(const struct lora *l, const struct lora_group *g,
                            const struct lin_call *c, struct dev_mat dy, struct dev_mat scratch)
{
    return l->folded && c->tails ? tail_of(dy, g->rank_sum)
                                 : shape_of(scratch, dy.rows, g->rank_sum);
}

bool lin_wants_x(const struct lora *l)
{
    return l->method == LORA_FULL || l->dora;
}

bool lin_bwd_first(const struct model *m, const struct lora *l, const struct lin_call *c,
                   struct dev_mat dy, struct dev_mat dh, struct dev_buf *grad, struct dev_mat dx,
                   struct err *e)
{
    const struct lora_group *g = lora_group_of(l, c->layer, c->lin);
    struct linear_shape sh = linear_shape(&m->spec, c->layer, c->lin);
    struct dev_mat w;

    if (l->method == LORA_FULL && !grad_full(m, l, c, dy, grad, e)) return false;
    if (g && l->dora) {
        struct dev_mat y0 = lora_dora_scratch(l, 1, dy.rows, dy.cols);
        if (!lin_raise(m, g, c, 0, y0, e) || !lora_dora_bwd(l, g, &sh, y0, &dy, grad, e))
            return false;
    }
    if (g) {
        dh = dh_of(l, g, c, dy, dh);
        if (!lower_back(m->dev, g, &sh, dy, dh, e)) return false;
        if (!grad_b(m, g, c, dy, grad, e)) return false;
    }
    if (!dx.buf) return true;
    if (g && c->masked) return grad_masked_input(m, l, g, c, dy, dh, dx, e);
    if (!model_weight(m, c->layer, c->lin, &w, e)) return false;
    if (!g) return dev_gemm(m->dev, NN, dy, w, dx, e);
    return dev_gemm2(m->dev, NN, dy, w, dh, l->folded && c->tails ? g->ja : g->a, dx, e);
}

bool lin_bwd_a(const struct model *m, const struct lora *l, const struct lin_call *c,
               struct dev_mat dy, struct dev_mat dh, struct dev_buf *grad, struct err *e)
{
    const struct lora_group *g = lora_group_of(l, c->layer, c->lin);
    struct dev_mat x = c->x;

    if (!g) return true;
    if (c->masked && !mask_input(m->dev, l, c, &x, e)) return false;
    return dev_gemm(m->dev, TN, dh_of(l, g, c, dy, dh), x,
                    dev_mat_of(grad, g->a_at, DEV_F32, g->rank_sum, x.cols), e);
}

bool lin_bwd(const struct model *m, const struct lora *l, const struct lin_call *c,
             struct dev_mat dy, struct dev_mat dh, struct dev_buf *grad, struct dev_mat dx,
             struct err *e)
{
    return lin_bwd_first(m, l, c, dy, dh, grad, dx, e) && lin_bwd_a(m, l, c, dy, dh, grad, e);
}
