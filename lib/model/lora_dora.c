/* DoRA (Liu and others, arXiv 2402.09353): y = m / ||W + s B A|| * (W + s B A) x, a magnitude m for
 * every output; the norm is taken as a constant, as the paper and PEFT do. Norms are refreshed with
 * the working copies, once a step; each product costs one more in the backward pass, where the
 * unscaled output is computed again. Dropout masks the adapter's input alone (PEFT masks part of
 * the base's, too). */
#include "base/mem.h"
#include "model/parts.h"

enum { TILE_ELEMENTS = 1 << 22 };

static bool is_dora(const struct lora_group *g, uint32_t part)
{
    return g->part[part].rank != 0;
}

/* Norms and ratios of all groups, one behind the other; called twice, to count and to place. */
static size_t lay_vectors(struct lora *l, size_t *tile)
{
    size_t at = 0;
    *tile = 0;
    for (uint32_t i = 0; i < l->m->spec.layers * LINEARS; i++) {
        struct lora_group *g = &l->groups[i];
        struct linear_shape sh = linear_shape(&l->m->spec, i / LINEARS, i % LINEARS);
        size_t whole = (size_t)sh.out * sh.in, some = TILE_ELEMENTS > sh.in ? TILE_ELEMENTS : sh.in;
        if (!g->rank_sum) continue;
        g->norm = dev_mat_of(l->dora_vectors, at, DEV_F32, 1, sh.out);
        g->ratio = dev_mat_of(l->dora_vectors, at + sh.out, DEV_F32, 1, sh.out);
        at += 2 * (size_t)sh.out;
        if (whole > some) whole = some;
        if (whole > *tile) *tile = whole;
    }
    return at;
}

/* What is not adapted keeps its ratio of 1. */
bool lora_dora_lay(struct lora *l, struct err *e)
{
    size_t tile, n = lay_vectors(l, &tile);
    float *ones = mem_alloc(n * sizeof *ones, e);
    bool ok = false;
    if (!ones) return false;
    for (size_t i = 0; i < n; i++)
        ones[i] = 1;
    if (!dev_buf_open(l->m->dev, n * sizeof *ones, &l->dora_vectors, e) ||
        !dev_buf_open(l->m->dev, tile * sizeof *ones, &l->dora_tile, e))
        goto out;
    lay_vectors(l, &tile);
    ok = dev_upload(l->m->dev, l->dora_vectors, 0, ones, n * sizeof *ones, e);
out:
    mem_free(ones);
    return ok;
}

static struct dev_mat part_of(struct dev_mat v, uint32_t from, uint32_t n)
{
    return dev_mat_part(v, 0, 1, from, n);
}

/* Norms of W + s B A of one part, a tile of rows at a time, in f32. */
static bool part_norms(struct lora *l, const struct lora_group *g, const struct lora_part *p,
                       struct dev_mat w, uint32_t row, uint32_t rows, struct err *e)
{
    struct dev *d = l->m->dev;
    struct dev_gemm add = {false, false, p->scale, 1};
    uint32_t step = TILE_ELEMENTS / w.cols ? TILE_ELEMENTS / w.cols : 1;
    for (uint32_t r = 0; r < rows; r += step) {
        uint32_t n = rows - r < step ? rows - r : step;
        struct dev_mat t = dev_mat_of(l->dora_tile, 0, DEV_F32, n, w.cols);
        if (!dev_cast(d, dev_mat_part(w, row + r, n, 0, w.cols), t, e) ||
            !dev_gemm(d, add, dev_mat_part(g->b, row + r, n, 0, p->rank),
                      dev_mat_part(g->a, p->col, p->rank, 0, g->a.cols), t, e) ||
            !dev_row_norms(d, t, part_of(g->norm, row + r, n), e))
            return false;
    }
    return true;
}

static bool refresh_group(struct lora *l, uint32_t index, bool start, struct err *e)
{
    const struct lora_group *g = &l->groups[index];
    struct linear_shape sh = linear_shape(&l->m->spec, index / LINEARS, index % LINEARS);
    struct dev *d = l->m->dev;
    struct dev_mat w;
    uint32_t row = 0;

    if (!g->rank_sum) return true;
    if (!model_weight(l->m, index / LINEARS, (enum linear)(index % LINEARS), &w, e)) return false;
    for (uint32_t p = 0; p < sh.nparts; row += sh.rows[p++]) {
        struct dev_mat m = dev_mat_of(l->masters, g->part[p].m_at, DEV_F32, 1, sh.rows[p]);
        struct dev_mat norm = part_of(g->norm, row, sh.rows[p]);
        if (!is_dora(g, p)) continue;
        if (!part_norms(l, g, &g->part[p], w, row, sh.rows[p], e)) return false;
        if (start && !dev_cast(d, norm, m, e)) return false;
        if (!dev_ratio(d, m, norm, part_of(g->ratio, row, sh.rows[p]), e)) return false;
    }
    return true;
}

bool lora_dora_refresh(struct lora *l, bool start, struct err *e)
{
    for (uint32_t i = 0; l->dora && i < l->m->spec.layers * LINEARS; i++) {
        if (!refresh_group(l, i, start, e)) return false;
    }
    return true;
}

/* ---- products */

uint64_t lora_dora_bytes(const struct model_spec *s, enum dev_dtype dtype, uint32_t rows)
{
    uint64_t widest = 0;
    for (uint32_t i = 0; i < s->layers * LINEARS; i++) {
        uint32_t out = linear_shape(s, i / LINEARS, i % LINEARS).out;
        if (out > widest) widest = out;
    }
    return 2 * widest * rows * dev_dtype_bytes(dtype);
}

bool lora_dora_reserve(struct lora *l, uint32_t rows, struct err *e)
{
    size_t need;
    if (!l || !l->dora) return true;
    need = (size_t)lora_dora_bytes(&l->m->spec, l->m->dtype, rows);
    if (l->dora_rows && dev_buf_bytes(l->dora_rows) >= need) return true;
    dev_buf_close(l->dora_rows);
    l->dora_rows = NULL;
    return dev_buf_open(l->m->dev, need, &l->dora_rows, e);
}

struct dev_mat lora_dora_scratch(const struct lora *l, uint32_t which, uint32_t rows, uint32_t cols)
{
    size_t half = dev_buf_bytes(l->dora_rows) / 2 / dev_dtype_bytes(l->m->dtype);
    CHECK((size_t)rows * cols <= half);
    return dev_mat_of(l->dora_rows, which * half, l->m->dtype, rows, cols);
}

bool lora_dora_bwd(const struct lora *l, const struct lora_group *g, const struct linear_shape *sh,
                   struct dev_mat y0, struct dev_mat *dy, struct dev_buf *grad, struct err *e)
{
    struct dev *d = l->m->dev;
    struct dev_mat to = lora_dora_scratch(l, 0, dy->rows, dy->cols);
    uint32_t row = 0;
    for (uint32_t p = 0; p < sh->nparts; row += sh->rows[p++]) {
        struct dev_mat dm = dev_mat_of(grad, g->part[p].m_at, DEV_F32, 1, sh->rows[p]);
        if (!is_dora(g, p)) continue;
        if (!dev_col_dot(d, dev_mat_part(*dy, 0, dy->rows, row, sh->rows[p]),
                         dev_mat_part(y0, 0, dy->rows, row, sh->rows[p]), dm, e) ||
            !dev_ratio(d, dm, part_of(g->norm, row, sh->rows[p]), dm, e))
            return false;
    }
    if (!dev_scale_cols(d, *dy, g->ratio, to, e)) return false;
    *dy = to;
    return true;
}
