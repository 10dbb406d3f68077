#include "model/arch.h"

#include <stdio.h>

static const struct model_arch *const archs[] = {&arch_llama, &arch_mistral, &arch_t5, NULL};

const struct model_arch *arch_find(struct str model_type)
{
    for (size_t i = 0; archs[i]; i++) {
        if (str_eqz(model_type, archs[i]->type)) return archs[i];
    }
    return NULL;
}

const char *arch_names(void)
{
    return "llama, mistral or t5";
}

const struct model_arch *arch_of(const struct model_spec *s)
{
    const struct model_arch *a = arch_find(str_of(s->arch));
    CHECK(a);
    return a;
}

/* ---- rows */

static uint32_t stack_of(const struct model_spec *s, uint32_t layer)
{
    return layer >= s->enc_layers;
}

static uint32_t first_layer(const struct model_spec *s, uint32_t stack)
{
    return stack ? s->enc_layers : 0;
}

static bool has_row(const struct model_spec *s, uint32_t layer, const struct arch_row *r)
{
    switch (r->when) {
    case GATED:
        return s->gated;
    case PLAIN:
        return !s->gated;
    case FIRST_BLOCK:
        return layer == first_layer(s, stack_of(s, layer));
    default:
        return true;
    }
}

static uint32_t width_in(const struct model_spec *s, enum linear lin)
{
    if (lin == LIN_O || lin == LIN_XO) return s->heads * s->head_dim;
    return lin == LIN_DOWN ? s->ff : s->d;
}

static uint32_t part_rows(const struct model_spec *s, enum linear lin, uint32_t part)
{
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    switch (lin) {
    case LIN_QKV:
        return part ? kv : q;
    case LIN_XQ:
        return q;
    case LIN_XKV:
        return kv;
    case LIN_GU:
        return s->ff;
    default:
        return s->d;
    }
}

struct linear_shape linear_shape(const struct model_spec *s, uint32_t layer, enum linear lin)
{
    const struct arch_stack *t = &arch_of(s)->stack[stack_of(s, layer)];
    struct linear_shape sh = {.in = width_in(s, lin)};
    uint32_t module = 0;

    CHECK(layer < s->layers && lin < LINEARS);
    for (uint32_t i = 0; i < t->nrows; i++) {
        const struct arch_row *r = &t->rows[i];
        if (r->kind != ROW_LINEAR) continue;
        if (r->lin == lin && has_row(s, layer, r)) {
            sh.rows[sh.nparts] = part_rows(s, lin, r->which);
            sh.module[sh.nparts] = module;
            sh.out += sh.rows[sh.nparts++];
        }
        module++;
    }
    CHECK(module <= BLOCK_MODULES);
    return sh;
}

bool arch_module_path(const struct model_spec *s, uint32_t i, char out[TENSOR_NAME])
{
    uint32_t layer = i / BLOCK_MODULES, left = i % BLOCK_MODULES, stack = stack_of(s, layer);
    const struct arch_stack *t = &arch_of(s)->stack[stack];

    for (uint32_t k = 0; k < t->nrows; k++) {
        if (t->rows[k].kind != ROW_LINEAR || left-- > 0) continue;
        snprintf(out, TENSOR_NAME, "%s.%u.%s", t->blocks, layer - first_layer(s, stack),
                 t->rows[k].name);
        return has_row(s, layer, &t->rows[k]);
    }
    out[0] = '\0';
    return false;
}

/* ---- tensors */

/* Called for each tensor in order; true ends the walk. */
typedef bool visit_fn(const struct model_spec *s, const struct model_tensor *t, uint32_t i,
                      void *ctx);

/* A tensor's place alone is filled. Returns the number of tensors seen. */
static uint32_t walk(const struct model_spec *s, visit_fn *visit, void *ctx)
{
    const struct model_arch *a = arch_of(s);
    struct model_tensor t = {.place = AT_EMBED};
    uint32_t n = 0;

    if (visit(s, &t, n++, ctx)) return n;
    for (t.stack = s->enc_layers ? 0 : 1; t.stack < 2; t.stack++) {
        uint32_t end = t.stack ? s->layers : s->enc_layers;
        t.place = AT_ROW;
        for (t.layer = first_layer(s, t.stack); t.layer < end; t.layer++) {
            for (uint32_t k = 0; k < a->stack[t.stack].nrows; k++) {
                t.row = &a->stack[t.stack].rows[k];
                if (has_row(s, t.layer, t.row) && visit(s, &t, n++, ctx)) return n;
            }
        }
        t.place = AT_STACK_NORM;
        t.row = NULL;
        if (visit(s, &t, n++, ctx)) return n;
    }
    t.place = AT_HEAD;
    if (!s->tied) (void)visit(s, &t, n++, ctx);
    return n;
}

static bool pass(const struct model_spec *s, const struct model_tensor *t, uint32_t i, void *ctx)
{
    (void)s;
    (void)t;
    (void)i;
    (void)ctx;
    return false;
}

uint32_t model_ntensors(const struct model_spec *s)
{
    return walk(s, pass, NULL);
}

static void fill_row(const struct model_spec *s, struct model_tensor *t)
{
    const struct arch_row *r = t->row;
    t->norm = r->kind == ROW_NORM;
    if (t->norm) {
        t->rows = 1;
        t->cols = s->d;
    } else if (r->kind == ROW_TABLE) {
        t->rows = s->buckets;
        t->cols = s->heads;
    } else {
        t->rows = part_rows(s, r->lin, r->which);
        t->cols = width_in(s, r->lin);
    }
}

struct wanted {
    uint32_t i;
    struct model_tensor *out;
};

static bool take_tensor(const struct model_spec *s, const struct model_tensor *t, uint32_t i,
                        void *ctx)
{
    struct wanted *w = ctx;
    struct model_tensor *out = w->out;

    if (i != w->i) return false;
    const struct model_arch *a = arch_of(s);
    *out = *t;
    if (t->place == AT_ROW) {
        snprintf(out->name, sizeof out->name, "%s.%u.%s.weight", a->stack[t->stack].blocks,
                 t->layer - first_layer(s, t->stack), t->row->name);
        fill_row(s, out);
        return true;
    }
    out->norm = t->place == AT_STACK_NORM;
    out->rows = out->norm ? 1 : s->vocab;
    out->cols = s->d;
    snprintf(out->name, sizeof out->name, "%s.weight",
             out->norm              ? a->stack[t->stack].norm
             : t->place == AT_EMBED ? a->embed
                                    : "lm_head");
    return true;
}

void model_tensor_at(const struct model_spec *s, uint32_t i, struct model_tensor *out)
{
    struct wanted w = {i, out};
    CHECK(walk(s, take_tensor, &w) == i + 1);
}

/* The first tensor of this place, and of this row where there is one. */
struct sought {
    enum tensor_place place;
    enum arch_kind kind;
    enum linear lin;
    uint32_t layer, which, stack;
    uint32_t found;
};

static bool seek(const struct model_spec *s, const struct model_tensor *t, uint32_t i, void *ctx)
{
    struct sought *k = ctx;
    (void)s;
    if (t->place != k->place) return false;
    if (t->place == AT_STACK_NORM && t->stack != k->stack) return false;
    if (t->place == AT_ROW &&
        (t->layer != k->layer || t->row->kind != k->kind ||
         (k->kind == ROW_LINEAR ? t->row->lin != k->lin : t->row->which != k->which)))
        return false;
    k->found = i;
    return true;
}

static uint32_t find(const struct model_spec *s, struct sought k)
{
    k.found = UINT32_MAX;
    (void)walk(s, seek, &k);
    CHECK(k.found != UINT32_MAX);
    return k.found;
}

uint32_t model_tensor_index(const struct model_spec *s, uint32_t layer, enum linear lin)
{
    return find(s,
                (struct sought){.place = AT_ROW, .kind = ROW_LINEAR, .layer = layer, .lin = lin});
}

uint32_t model_norm_index(const struct model_spec *s, uint32_t layer, uint32_t which)
{
    return find(s,
                (struct sought){.place = AT_ROW, .kind = ROW_NORM, .layer = layer, .which = which});
}

uint32_t model_table_index(const struct model_spec *s, uint32_t stack)
{
    return find(
        s, (struct sought){.place = AT_ROW, .kind = ROW_TABLE, .layer = first_layer(s, stack)});
}

uint32_t model_stack_norm_index(const struct model_spec *s, uint32_t stack)
{
    return find(s, (struct sought){.place = AT_STACK_NORM, .stack = stack});
}
