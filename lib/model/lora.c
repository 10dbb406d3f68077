#include "model/lora.h"

#include <math.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/parts.h"

enum { ALIGN_ELEMENTS = 128, NAMES_CAP = 64 << 20 };

bool lora_widths(const struct model_spec *s, const struct lora_opts *o, uint32_t *widths,
                 struct err *e)
{
    size_t n = (size_t)s->layers * BLOCK_MODULES;
    uint32_t *ranks = mem_calloc(n, sizeof *ranks, e);
    double *alphas = ranks ? mem_calloc(n, sizeof *alphas, e) : NULL;
    bool ok = alphas && (o->method == LORA_FULL || lora_resolve(s, o, ranks, alphas, e));

    for (uint32_t i = 0; ok && i < s->layers * LINEARS; i++) {
        struct linear_shape sh = linear_shape(s, i / LINEARS, i % LINEARS);
        uint32_t sum = 0;
        for (uint32_t p = 0; p < sh.nparts; p++)
            sum += ranks[i / LINEARS * BLOCK_MODULES + sh.module[p]];
        widths[i] = sum;
    }
    mem_free(alphas);
    mem_free(ranks);
    return ok;
}

/* ---- layout of the flat block and of the working copies */

static bool add_tensor(struct lora *l, const char *name, uint32_t rows, uint32_t cols,
                       uint64_t *offset, struct err *e)
{
    struct str kept;
    if (!arena_str(&l->names, str_of(name), &kept, e)) return false;
    l->tensors[l->ntensors++] = (struct lora_tensor){
        .name = kept.p, .offset = l->count, .rows = rows, .cols = cols, .lr_ratio = 1};
    *offset = l->count;
    l->count += (uint64_t)rows * cols;
    return true;
}

/* module: of [layers * BLOCK_MODULES] */
static bool add_factor(struct lora *l, uint32_t module, char factor, const uint32_t shape[2],
                       uint64_t *offset, struct err *e)
{
    char path[TENSOR_NAME], name[TENSOR_NAME + 48];
    CHECK(arch_module_path(&l->m->spec, module, path));
    snprintf(name, sizeof name, "base_model.model.%s.lora_%c.weight", path, factor);
    if (!add_tensor(l, name, shape[0], shape[1], offset, e)) return false;
    if (factor == 'B') l->tensors[l->ntensors - 1].lr_ratio = l->b_lr_ratio;
    return true;
}

static bool add_magnitude(struct lora *l, uint32_t module, uint32_t rows, uint64_t *offset,
                          struct err *e)
{
    char path[TENSOR_NAME], name[TENSOR_NAME + 48];
    CHECK(arch_module_path(&l->m->spec, module, path));
    snprintf(name, sizeof name, "base_model.model.%s.lora_magnitude_vector", path);
    if (!add_tensor(l, name, 1, rows, offset, e)) return false;
    l->tensors[l->ntensors - 1].vector = true;
    return true;
}

static float scale_of(const struct lora *l, double alpha, uint32_t rank)
{
    return (float)(alpha / (l->rslora ? sqrt((double)rank) : (double)rank));
}

/* All A of the group first, so that their gradient is one product; then all B. */
static bool lay_group(struct lora *l, uint32_t layer, enum linear lin, struct err *e)
{
    struct linear_shape sh = linear_shape(&l->m->spec, layer, lin);
    struct lora_group *g = &l->groups[layer * LINEARS + lin];
    float scale = 0;
    uint64_t at;

    g->a_at = l->count;
    g->even = true;
    for (uint32_t p = 0; p < sh.nparts; p++) {
        struct lora_part *part = &g->part[p];
        uint32_t module = layer * BLOCK_MODULES + sh.module[p], r = l->ranks[module];
        part->rank = r;
        part->col = g->rank_sum;
        g->rank_sum += r;
        if (r > g->rank_max) g->rank_max = r;
        if (!r) continue;
        part->scale = scale_of(l, l->alphas[module], r);
        g->even = g->even && (scale == 0 || scale == part->scale);
        scale = part->scale;
        if (!add_factor(l, module, 'A', (uint32_t[]){r, sh.in}, &at, e)) return false;
    }
    for (uint32_t p = 0; p < sh.nparts; p++) {
        uint32_t r = g->part[p].rank;
        if (r && !add_factor(l, layer * BLOCK_MODULES + sh.module[p], 'B',
                             (uint32_t[]){sh.rows[p], r}, &g->part[p].b_at, e))
            return false;
    }
    for (uint32_t p = 0; l->dora && p < sh.nparts; p++) {
        if (g->part[p].rank && !add_magnitude(l, layer * BLOCK_MODULES + sh.module[p], sh.rows[p],
                                              &g->part[p].m_at, e))
            return false;
    }
    return true;
}

static bool lay_adapters(struct lora *l, struct err *e)
{
    uint32_t layers = l->m->spec.layers;
    l->groups = mem_calloc((size_t)layers * LINEARS, sizeof *l->groups, e);
    if (!l->groups) return false;
    l->tensors = mem_calloc((size_t)layers * BLOCK_MODULES * 3, sizeof *l->tensors, e);
    if (!l->tensors) return false;
    for (uint32_t i = 0; i < layers; i++) {
        for (enum linear k = 0; k < LINEARS; k++) {
            if (!lay_group(l, i, k, e)) return false;
        }
    }
    return true;
}

static bool lay_full(struct lora *l, struct err *e)
{
    uint32_t n = model_ntensors(&l->m->spec);
    struct model_tensor t;
    uint64_t at;
    l->tensors = mem_calloc(n, sizeof *l->tensors, e);
    if (!l->tensors) return false;
    for (uint32_t i = 0; i < n; i++) {
        model_tensor_at(&l->m->spec, i, &t);
        if (!add_tensor(l, t.name, t.rows, t.cols, &at, e)) return false;
        l->tensors[i].vector = t.norm;
    }
    return true;
}

static struct dev_mat take(struct lora *l, size_t *at, uint32_t rows, uint32_t cols)
{
    struct dev_mat m = dev_mat_of(l->work, *at, l->m->dtype, rows, cols);
    *at += ((size_t)rows * cols + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    return m;
}

/* Into the base's room, if it is wide enough and nobody lives there. */
static void fold(struct lora *l)
{
    struct model *m = l->m;
    bool fits = l->folds && m->room && !m->tenant;
    for (uint32_t i = 0; i < m->spec.layers * LINEARS && fits; i++)
        fits = l->groups[i].rank_sum <= m->room[i];
    l->folded = fits;
    if (fits) m->tenant = l;
    for (uint32_t i = 0; i < m->spec.layers * LINEARS && fits; i++)
        for (uint32_t p = 0; p < MAX_PARTS; p++)
            l->groups[i].part[p].b_col = l->groups[i].part[p].col;
}

/* Called twice: to count, and with l->work open to place. */
static size_t lay_copies(struct lora *l)
{
    size_t at = 0;
    for (uint32_t i = 0; i < l->m->spec.layers * LINEARS; i++) {
        struct lora_group *g = &l->groups[i];
        struct linear_shape sh = linear_shape(&l->m->spec, i / LINEARS, i % LINEARS);
        if (!g->rank_sum) continue;
        if (l->folded) {
            struct linear_place p = linear_place(l->m, i, g->rank_sum);
            g->a = g->ja = p.a;
            g->b = g->jb = p.b;
            if (!l->m->quant) continue;
        }
        g->a = take(l, &at, g->rank_sum, sh.in);
        g->b = take(l, &at, sh.out, l->folded ? g->rank_sum : g->rank_max);
    }
    return at;
}

/* What stands right of a part of lower rank is never read; zero, so that it is never NaN. Folded,
 * what stands beside a part must be zero. */
static bool open_copies(struct lora *l, struct err *e)
{
    size_t n;
    fold(l);
    n = lay_copies(l);
    if (n > 0 && !dev_buf_open(l->m->dev, n * dev_dtype_bytes(l->m->dtype), &l->work, e))
        return false;
    lay_copies(l);
    for (uint32_t i = 0; i < l->m->spec.layers * LINEARS; i++) {
        struct lora_group *g = &l->groups[i];
        if (!g->rank_sum) continue;
        if (!dev_zero(l->m->dev, g->a, e) || !dev_zero(l->m->dev, g->b, e)) return false;
    }
    return true;
}

/* ---- lifetime */

bool lora_new(struct model *m, enum lora_method method, struct lora **out, struct err *e)
{
    struct lora *l = mem_calloc(1, sizeof *l, e);
    size_t n = (size_t)m->spec.layers * BLOCK_MODULES;
    if (!l) return false;
    l->m = m;
    l->method = method;
    l->b_lr_ratio = 1;
    arena_init(&l->names, NAMES_CAP);
    l->ranks = mem_calloc(n, sizeof *l->ranks, e);
    if (l->ranks) l->alphas = mem_calloc(n, sizeof *l->alphas, e);
    if (!l->alphas) {
        lora_close(l);
        return false;
    }
    *out = l;
    return true;
}

bool lora_lay(struct lora *l, struct err *e)
{
    if (!(l->method == LORA_LORA ? lay_adapters(l, e) : lay_full(l, e))) return false;
    if (l->count == 0) return err_set(e, ERR_CONFIG, "the adapter adapts no layer of this model");
    if (!dev_buf_open(l->m->dev, l->count * sizeof(float), &l->masters, e)) return false;
    return l->method == LORA_FULL || (open_copies(l, e) && (!l->dora || lora_dora_lay(l, e)));
}

void lora_close(struct lora *l)
{
    if (!l) return;
    if (l->m->tenant == l) l->m->tenant = NULL;
    dev_buf_close(l->dora_rows);
    dev_buf_close(l->dora_tile);
    dev_buf_close(l->dora_vectors);
    dev_buf_close(l->work);
    dev_buf_close(l->masters);
    mem_free(l->tensors);
    mem_free(l->groups);
    mem_free(l->alphas);
    mem_free(l->ranks);
    arena_free(&l->names);
    mem_free(l);
}

/* Number of an adapter's tensor that does not depend on which others there are: the same seed
 * starts q_proj alike whatever the targets. */
static uint64_t tensor_number(uint32_t layer, uint32_t module)
{
    return (uint64_t)layer * BLOCK_MODULES + module;
}

static bool init_a(struct lora *l, uint32_t layer, enum linear lin, uint64_t seed, struct err *e)
{
    struct linear_shape sh = linear_shape(&l->m->spec, layer, lin);
    const struct lora_group *g = &l->groups[layer * LINEARS + lin];
    double bound = 1 / sqrt((double)sh.in);
    float *f = mem_alloc((size_t)g->rank_sum * sh.in * sizeof *f, e);
    size_t at = 0;
    bool ok;

    if (!f) return false;
    for (uint32_t p = 0; p < sh.nparts; p++) {
        struct rng_key key = rng_key(seed, RNG_LORA_INIT, tensor_number(layer, sh.module[p]));
        uint64_t n = (uint64_t)g->part[p].rank * sh.in;
        for (uint64_t i = 0; i < n; i++)
            f[at++] = (float)((2 * rng_unit(key, i) - 1) * bound);
    }
    ok = dev_upload(l->m->dev, l->masters, g->a_at * sizeof *f, f, at * sizeof *f, e);
    mem_free(f);
    return ok;
}

static bool init_adapters(struct lora *l, uint64_t seed, struct err *e)
{
    for (size_t i = 0; i < l->ntensors; i++) {
        const struct lora_tensor *t = &l->tensors[i];
        if (!dev_zero(l->m->dev, dev_mat_of(l->masters, t->offset, DEV_F32, t->rows, t->cols), e))
            return false;
    }
    for (uint32_t i = 0; i < l->m->spec.layers; i++) {
        for (enum linear k = 0; k < LINEARS; k++) {
            if (l->groups[i * LINEARS + k].rank_sum && !init_a(l, i, k, seed, e)) return false;
        }
    }
    return true;
}

/* To go on from an adapter its shape must be the configuration's: what is planned and written into
 * run.yaml is then what is trained. */
static bool same_shape(const struct lora *l, const struct lora *from, struct err *e)
{
    char path[TENSOR_NAME];
    if (l->rslora != from->rslora || l->dora != from->dora)
        return err_set(e, ERR_CONFIG, "it is made with another lora.rslora or lora.dora");
    for (uint32_t i = 0; i < l->m->spec.layers * BLOCK_MODULES; i++) {
        if (l->ranks[i] == from->ranks[i] && (!l->ranks[i] || l->alphas[i] == from->alphas[i]))
            continue;
        (void)arch_module_path(&l->m->spec, i, path);
        return err_set(e, ERR_CONFIG,
                       "%s has rank %u, alpha %g there, rank %u, alpha %g in the configuration: "
                       "set lora.rank, alpha, targets or the patterns as the adapter has them",
                       path, from->ranks[i], from->ranks[i] ? from->alphas[i] : 0, l->ranks[i],
                       l->ranks[i] ? l->alphas[i] : 0);
    }
    return true;
}

static bool start_from(struct lora *l, const char *dir, struct err *e)
{
    struct lora *from = NULL;
    struct safetensors *files = NULL;
    bool ok = lora_peft_read(l->m, dir, &from, &files, e) && same_shape(l, from, e) &&
              lora_fill(l, files, e);
    safetensors_close(files);
    lora_close(from);
    return ok || err_wrap(e, "lora.init_from %s", dir);
}

static bool open_adapters(struct lora *l, const struct lora_opts *o, uint64_t seed, struct err *e)
{
    l->rank = o->rank;
    l->alpha = o->alpha;
    l->dropout = o->dropout;
    l->rslora = o->rslora;
    l->dora = o->dora;
    l->b_lr_ratio = o->loraplus_lr_ratio > 0 ? (float)o->loraplus_lr_ratio : 1;
    l->folds = lora_folds(o, l->m->dev);
    dev_set_join(l->m->dev, o->fold == LORA_FOLD_FOLDED ? DEV_JOIN_ALWAYS : DEV_JOIN_TIMED);
    if (!lora_resolve(&l->m->spec, o, l->ranks, l->alphas, e) || !lora_lay(l, e)) return false;
    return o->init_from ? start_from(l, o->init_from, e) : init_adapters(l, seed, e);
}

/* Masters start from the files, not from the working copies, which bf16 has rounded. */
static bool open_full(struct lora *l, const char *dir, struct err *e)
{
    struct safetensors *files = NULL;
    bool ok = lora_lay(l, e) && safetensors_open(dir, &files, e) && lora_fill(l, files, e);
    safetensors_close(files);
    return ok;
}

bool lora_open(struct model *m, const struct lora_opts *o, uint64_t seed, struct lora **out,
               struct err *e)
{
    struct lora *l = NULL;
    if (o->method == LORA_FULL && m->quant)
        return err_set(e, ERR_CONFIG, "lora.method full trains all weights: model.quant is none");
    if (!lora_new(m, (enum lora_method)o->method, &l, e)) return false;
    bool ok = l->method == LORA_FULL ? open_full(l, o->init_from ? o->init_from : m->dir, e)
                                     : open_adapters(l, o, seed, e);
    ok = ok && lora_refresh(l, e);
    if (ok && l->dora && !o->init_from) ok = lora_dora_refresh(l, true, e);
    if (ok) {
        *out = l;
        return true;
    }
    lora_close(l);
    return false;
}

/* An adapter folder says so by its adapter_config.json; anything else must be a whole model. */
bool lora_load(struct model *m, const char *dir, struct lora **out, struct err *e)
{
    struct lora *l = NULL;
    char config[4096];
    int n = snprintf(config, sizeof config, "%s/adapter_config.json", dir);

    if (n < 0 || (size_t)n >= sizeof config) return err_set(e, ERR_LIMIT, "path too long");
    if (fs_exists(config)) {
        if (!lora_peft_load(m, dir, &l, e)) goto fail;
    } else {
        if (!lora_new(m, LORA_FULL, &l, e) || !open_full(l, dir, e)) goto fail;
    }
    if (!lora_refresh(l, e)) goto fail;
    *out = l;
    return true;
fail:
    lora_close(l);
    return err_wrap(e, "adapter %s", dir);
}

bool lora_save(struct lora *l, const char *dir, const char *base_name, struct err *e)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/model.safetensors", dir);

    if (n < 0 || (size_t)n >= sizeof path) return err_set(e, ERR_LIMIT, "path too long");
    if (!fs_mkdirs(dir, e)) return false;
    if (l->method == LORA_LORA) return lora_peft_save(l, dir, base_name, e);
    if (!lora_write(l, path, e)) return false;
    snprintf(path, sizeof path, "%s/config.json", dir);
    return model_spec_write(&l->m->spec, dtype_torch_name(DTYPE_F32), path, e);
}

/* ---- masters */

const struct lora_tensor *lora_tensors(const struct lora *l, size_t *n)
{
    *n = l->ntensors;
    return l->tensors;
}

uint64_t lora_count(const struct lora *l)
{
    return l->count;
}

struct dev_buf *lora_params(const struct lora *l)
{
    return l->masters;
}

bool lora_fill(struct lora *l, const struct safetensors *files, struct err *e)
{
    const struct safetensor *t;
    void *scratch = mem_alloc(UPLOAD_SCRATCH_BYTES, e);
    bool ok = false;

    if (!scratch) return false;
    for (size_t i = 0; i < l->ntensors; i++) {
        const struct lora_tensor *w = &l->tensors[i];
        bool vec = w->vector;
        if (!safetensors_need(files, w->name, vec ? w->cols : w->rows, vec ? 0 : w->cols, &t, e))
            goto out;
        if (!model_upload(l->m->dev, t, DEV_F32, l->masters, w->offset, scratch, e)) goto out;
    }
    ok = true;
out:
    mem_free(scratch);
    return ok;
}

bool lora_write(struct lora *l, const char *path, struct err *e)
{
    struct safetensors_writer *w = NULL;
    struct safetensor *list = mem_calloc(l->ntensors, sizeof *list, e);
    float *f = NULL;
    size_t most = 0;
    bool ok = false;

    if (!list) goto out;
    for (size_t i = 0; i < l->ntensors; i++) {
        const struct lora_tensor *t = &l->tensors[i];
        bool vec = t->vector;
        size_t n = (size_t)t->rows * t->cols;
        list[i] = (struct safetensor){.name = t->name,
                                      .dtype = DTYPE_F32,
                                      .ndims = vec ? 1 : 2,
                                      .dims = {vec ? t->cols : t->rows, t->cols}};
        most = n > most ? n : most;
    }
    f = mem_alloc(most * sizeof *f, e);
    if (!f || !safetensors_writer_open(path, list, l->ntensors, &w, e)) goto out;
    for (size_t i = 0; i < l->ntensors; i++) {
        size_t n = (size_t)l->tensors[i].rows * l->tensors[i].cols * sizeof *f;
        if (!dev_download(l->m->dev, l->masters, l->tensors[i].offset * sizeof *f, f, n, e) ||
            !safetensors_writer_put(w, f, n, e))
            goto out;
    }
    ok = safetensors_writer_commit(w, e);
out:
    safetensors_writer_close(w);
    mem_free(f);
    mem_free(list);
    return ok;
}

/* ---- working copies */

static bool refresh_group(struct lora *l, uint32_t index, struct err *e)
{
    const struct lora_group *g = &l->groups[index];
    struct linear_shape sh = linear_shape(&l->m->spec, index / LINEARS, index % LINEARS);
    struct dev *d = l->m->dev;
    uint32_t row = 0;

    if (!g->rank_sum) return true;
    if (!dev_cast(d, dev_mat_of(l->masters, g->a_at, DEV_F32, g->rank_sum, sh.in), g->a, e))
        return false;
    for (uint32_t p = 0; p < sh.nparts; p++) {
        const struct lora_part *t = &g->part[p];
        if (t->rank && !dev_cast(d, dev_mat_of(l->masters, t->b_at, DEV_F32, sh.rows[p], t->rank),
                                 dev_mat_part(g->b, row, sh.rows[p], t->b_col, t->rank), e))
            return false;
        row += sh.rows[p];
    }
    return true;
}

bool lora_move_in(const struct lora *l, uint32_t i, struct err *e)
{
    const struct lora_group *g = &l->groups[i];
    if (!g->rank_sum) return true;
    return dev_cast(l->m->dev, g->a, g->ja, e) && dev_cast(l->m->dev, g->b, g->jb, e);
}

bool lora_refresh(struct lora *l, struct err *e)
{
    uint32_t n = l->groups ? l->m->spec.layers * LINEARS : 0;
    if (l->folded && l->m->quant) l->m->quant->holds = UINT32_MAX; /* with the factors of before */
    for (uint32_t i = 0; i < n; i++) {
        if (!refresh_group(l, i, e)) return false;
    }
    for (uint32_t i = 0; !l->groups && i < l->ntensors; i++) {
        const struct lora_tensor *t = &l->tensors[i];
        if (!dev_cast(l->m->dev, dev_mat_of(l->masters, t->offset, DEV_F32, t->rows, t->cols),
                      model_tensor_mat(l->m, i), e))
            return false;
    }
    return lora_dora_refresh(l, false, e);
}

bool lora_folded(const struct lora *l)
{
    return l->folded;
}

const struct lora_group *lora_group_of(const struct lora *l, uint32_t layer, enum linear lin)
{
    if (!l || !l->groups || !l->groups[layer * LINEARS + lin].rank_sum) return NULL;
    return &l->groups[layer * LINEARS + lin];
}

uint32_t lora_lowest(const struct lora *l, uint32_t layer)
{
    uint32_t n = l->m->spec.layers * LINEARS;
    for (uint32_t i = layer * LINEARS; i < n; i++) {
        if (!l->groups || l->groups[i].rank_sum) return i;
    }
    return n;
}

struct dev_mat lora_full_grad(const struct lora *l, struct dev_buf *grad, uint32_t i)
{
    const struct lora_tensor *t = &l->tensors[i];
    return dev_mat_of(grad, t->offset, DEV_F32, t->rows, t->cols);
}
