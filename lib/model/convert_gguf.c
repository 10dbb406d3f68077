#include "model/convert_gguf.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/gguf_spec.h"
#include "model/gguf_vocab.h"
#include "model/rope.h"

/* ---- metadata */

static bool put_scaling(struct gguf_writer *w, const struct model_spec *s, struct err *e)
{
    bool yarn = s->rope == ROPE_YARN, longrope = s->rope == ROPE_LONGROPE;
    double attention = yarn ? s->rope_attention / rope_attention_default(s) : s->rope_attention;

    if ((s->rope == ROPE_LLAMA3 || yarn || longrope) &&
        !gguf_put_u32(w, "llama.rope.scaling.original_context_length", (uint32_t)s->rope_original,
                      e))
        return false;
    if (s->rope == ROPE_LINEAR || yarn || longrope) {
        struct str type = yarn ? STR("yarn") : longrope ? STR("longrope") : STR("linear");
        if (!gguf_put_str(w, "llama.rope.scaling.type", type, e)) return false;
    }
    if ((s->rope == ROPE_LINEAR || yarn) &&
        !gguf_put_f32(w, "llama.rope.scaling.factor", (float)s->rope_factor, e))
        return false;
    if ((yarn || longrope) &&
        !gguf_put_f32(w, "llama.rope.scaling.attn_factor", (float)attention, e))
        return false;
    return !yarn || (gguf_put_f32(w, "llama.rope.scaling.yarn_beta_fast", (float)s->rope_high, e) &&
                     gguf_put_f32(w, "llama.rope.scaling.yarn_beta_slow", (float)s->rope_low, e));
}

static bool put_sizes(struct gguf_writer *w, const struct model_spec *s, struct err *e)
{
    const struct {
        const char *key;
        uint32_t v;
    } all[] = {
        {"llama.vocab_size", s->vocab},
        {"llama.context_length", s->max_positions},
        {"llama.embedding_length", s->d},
        {"llama.block_count", s->layers},
        {"llama.feed_forward_length", s->ff},
        {"llama.attention.head_count", s->heads},
        {"llama.attention.head_count_kv", s->kv_heads},
        {"llama.attention.key_length", s->head_dim},
        {"llama.attention.value_length", s->head_dim},
        {"llama.rope.dimension_count", s->head_dim},
        {"llama.attention.sliding_window", s->window},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].v && !gguf_put_u32(w, all[i].key, all[i].v, e)) return false;
    }
    return put_scaling(w, s, e) &&
           gguf_put_f32(w, "llama.rope.freq_base", (float)s->rope_theta, e) &&
           gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", s->rms_eps, e);
}

static uint32_t file_type(uint32_t type)
{
    switch (type) {
    case GGML_F32:
        return 0;
    case GGML_F16:
        return 1;
    case GGML_Q4_0:
        return 2;
    case GGML_Q8_0:
        return 7;
    default:
        return 32;
    }
}

static bool put_meta(struct gguf_writer *w, const struct model_spec *s, const struct gguf_export *x,
                     struct err *e)
{
    return gguf_put_str(w, "general.architecture", STR("llama"), e) &&
           gguf_put_str(w, "general.type", STR("model"), e) &&
           gguf_put_str(w, "general.name", str_of(x->name), e) &&
           gguf_put_u32(w, "general.file_type", file_type(x->type), e) &&
           gguf_put_u32(w, "general.quantization_version", 2, e) && put_sizes(w, s, e) &&
           gguf_put_vocab(w, x->tokenizer_dir, s, e);
}

static bool check_arch(const struct weights *w, struct err *e)
{
    const struct model_spec *s = weights_spec(w);
    if (s->rope == ROPE_YARN && s->rope_exact)
        return err_set(e, ERR_CONFIG,
                       "GGUF has no place for yarn's truncate false; serve the merged HF folder");
    if (!s->enc_layers) return true;
    return err_set(e, ERR_CONFIG,
                   "GGUF export knows Llama and Mistral, this is %s: servers of GGUF files answer "
                   "with an encoder-decoder poorly or not at all; serve the merged HF folder",
                   s->arch);
}

/* ---- tensors */

static uint32_t type_of(const struct model_tensor *t, uint32_t type)
{
    bool blocks = type == GGML_Q8_0 || type == GGML_Q4_0;
    if (t->norm) return GGML_F32;
    if (blocks && t->cols % 32) return GGML_F16;
    return type == GGML_Q4_0 && t->place != AT_ROW ? GGML_Q8_0 : type;
}

/* The frequencies' divisors stand first, where there are any. */
static size_t list_tensors(const struct model_spec *s, uint32_t type, struct gguf_entry *list)
{
    size_t n = 0;
    struct gguf_entry div = {.type = GGML_F32, .ndims = 1, .dims = {s->head_dim / 2}};
    for (uint32_t i = 0; i < gguf_spec_ndivisors(s); i++) {
        snprintf(div.name, sizeof div.name, "%s", gguf_spec_divisors_name(s, i));
        list[n++] = div;
    }
    for (uint32_t i = 0; i < model_ntensors(s); i++) {
        struct model_tensor t;
        char name[TENSOR_NAME];
        model_tensor_at(s, i, &t);
        gguf_spec_name(&t, name);
        struct gguf_entry *g = &list[n++];
        *g = (struct gguf_entry){.type = type_of(&t, type),
                                 .ndims = t.norm ? 1 : 2,
                                 .dims = {t.cols, t.norm ? 0 : t.rows}};
        snprintf(g->name, sizeof g->name, "%.64s", name);
    }
    return n;
}

static bool put_divisors(struct gguf_writer *w, const struct model_spec *s, struct err *e)
{
    float div[ROPE_PAIRS];
    for (uint32_t i = 0; i < gguf_spec_ndivisors(s); i++) {
        gguf_spec_divisors(s, i, div);
        if (!gguf_writer_put(w, div, s->head_dim / 2 * sizeof *div, e)) return false;
    }
    return true;
}

static bool put_tensor(struct weights *from, struct gguf_writer *w, uint32_t type, float *row,
                       void *packed, struct err *e)
{
    const struct model_tensor *t = weights_tensor(from);
    for (uint32_t r = 0; r < t->rows; r++) {
        weights_row(from, gguf_spec_row_back(weights_spec(from), t, r), row);
        gguf_pack(type, row, t->cols, packed);
        if (!gguf_writer_put(w, packed, (size_t)gguf_row_bytes(type, t->cols), e)) return false;
        gguf_unpack(type, packed, t->cols, row);
        weights_note(from, row);
    }
    return true;
}

static bool put_tensors(struct weights *from, struct gguf_writer *w, const struct gguf_entry *list,
                        size_t n, struct err *e)
{
    uint64_t widest = 0;
    float *row = NULL;
    void *packed = NULL;
    bool ok = false;
    size_t first = n - model_ntensors(weights_spec(from));

    for (size_t i = 0; i < n; i++)
        widest = list[i].dims[0] > widest ? list[i].dims[0] : widest;
    row = mem_alloc((size_t)widest * sizeof *row, e);
    if (!row) goto out;
    packed = mem_alloc((size_t)widest * sizeof *row, e);
    if (!packed || !put_divisors(w, weights_spec(from), e)) goto out;
    for (size_t i = first; i < n; i++) {
        if (!weights_begin(from, (uint32_t)(i - first), e) ||
            !put_tensor(from, w, list[i].type, row, packed, e))
            goto out;
    }
    ok = true;
out:
    mem_free(packed);
    mem_free(row);
    return ok;
}

bool convert_gguf_model(const struct gguf_export *x, const char *path, struct weights_drift *drift,
                        struct err *e)
{
    struct weights *from = NULL;
    struct gguf_writer *w = NULL;
    struct gguf_entry *list = NULL;
    size_t n;
    bool ok = false;

    if (!weights_open(x->base, x->adapter, &from, e) || !check_arch(from, e) ||
        !weights_check(from, e))
        goto out;
    list = mem_calloc(model_ntensors(weights_spec(from)) + GGUF_DIVISORS, sizeof *list, e);
    if (!list || !gguf_writer_open(&w, e)) goto out;
    if (!put_meta(w, weights_spec(from), x, e)) goto out;
    n = list_tensors(weights_spec(from), x->type, list);
    ok = gguf_writer_start(w, path, list, n, e) && put_tensors(from, w, list, n, e) &&
         gguf_writer_commit(w, e);
    *drift = weights_drift(from);
out:
    gguf_writer_close(w);
    mem_free(list);
    weights_close(from);
    if (!ok) err_wrap(e, "convert %s", x->base);
    return ok;
}

/* ---- adapters */

struct pair {
    struct model_tensor t;
    uint32_t rank;
    double fold; /* B is multiplied with it */
};

static double scale_of(const struct lora *l, uint32_t module)
{
    double r = l->ranks[module];
    return l->alphas[module] / (l->rslora ? sqrt(r) : r);
}

/* The adapted modules in the file's order; *alpha is the first one's scale times its rank. */
static size_t list_pairs(const struct lora *l, struct pair *out, double *alpha)
{
    const struct model_spec *s = &l->m->spec;
    size_t n = 0;
    *alpha = 0;
    for (uint32_t i = 0; i < model_ntensors(s); i++) {
        struct pair *p = &out[n];
        uint32_t module;
        model_tensor_at(s, i, &p->t);
        if (!lora_module_of(s, &p->t, &module) || !l->ranks[module]) continue;
        p->rank = l->ranks[module];
        if (*alpha == 0) *alpha = scale_of(l, module) * p->rank;
        p->fold = scale_of(l, module) * p->rank / *alpha;
        n++;
    }
    return n;
}

static bool put_factor(const struct safetensors *files, const struct model_spec *s,
                       const struct pair *p, bool b, struct gguf_writer *w, struct err *e)
{
    char name[TENSOR_NAME + 64];
    const struct safetensor *t;
    uint32_t rows = b ? p->t.rows : p->rank, cols = b ? p->rank : p->t.cols;
    float *row;
    bool ok = true;
    snprintf(name, sizeof name, "base_model.model.%.*s.lora_%c.weight",
             (int)(strlen(p->t.name) - strlen(".weight")), p->t.name, b ? 'B' : 'A');
    if (!safetensors_need(files, name, rows, cols, &t, e)) return false;
    row = mem_alloc(cols * sizeof *row, e);
    if (!row) return false;
    for (uint32_t r = 0; ok && r < rows; r++) {
        uint32_t from = b ? gguf_spec_row_back(s, &p->t, r) : r;
        dtype_to_f32(t->dtype, t->data + (uint64_t)from * cols * dtype_bytes(t->dtype), cols, row);
        for (uint32_t c = 0; b && p->fold != 1 && c < cols; c++)
            row[c] = (float)(p->fold * (double)row[c]);
        ok = gguf_writer_put(w, row, cols * sizeof *row, e);
    }
    mem_free(row);
    return ok;
}

static bool write_pairs(const struct lora *l, const struct safetensors *files, const char *name,
                        const char *path, struct pair *pairs, struct gguf_entry *list,
                        struct err *e)
{
    struct gguf_writer *w = NULL;
    double alpha;
    size_t n = list_pairs(l, pairs, &alpha);
    bool ok = false;

    for (size_t i = 0; i < 2 * n; i++) {
        const struct pair *p = &pairs[i / 2];
        char tensor[TENSOR_NAME];
        gguf_spec_name(&p->t, tensor);
        list[i] = (struct gguf_entry){.type = GGML_F32, .ndims = 2, .dims = {p->t.cols, p->rank}};
        if (i % 2) {
            list[i].dims[0] = p->rank;
            list[i].dims[1] = p->t.rows;
        }
        snprintf(list[i].name, sizeof list[i].name, "%.56s.lora_%c", tensor, i % 2 ? 'b' : 'a');
    }
    if (!gguf_writer_open(&w, e) || !gguf_put_str(w, "general.architecture", STR("llama"), e) ||
        !gguf_put_str(w, "general.type", STR("adapter"), e) ||
        !gguf_put_str(w, "general.name", str_of(name), e) ||
        !gguf_put_str(w, "adapter.type", STR("lora"), e) ||
        !gguf_put_f32(w, "adapter.lora.alpha", (float)alpha, e) ||
        !gguf_writer_start(w, path, list, 2 * n, e))
        goto out;
    for (size_t i = 0; i < 2 * n; i++) {
        if (!put_factor(files, &l->m->spec, &pairs[i / 2], i % 2 == 1, w, e)) goto out;
    }
    ok = gguf_writer_commit(w, e);
out:
    gguf_writer_close(w);
    return ok;
}

bool convert_gguf_adapter(const char *base, const char *adapter, const char *name, const char *path,
                          struct err *e)
{
    struct weights *w = NULL;
    struct model shape = {0};
    struct lora *l = NULL;
    struct safetensors *files = NULL;
    struct pair *pairs = NULL;
    struct gguf_entry *list = NULL;
    size_t most;
    bool ok = false;

    if (!weights_open(base, NULL, &w, e) || !check_arch(w, e)) goto out;
    shape.spec = *weights_spec(w);
    if (!lora_peft_read(&shape, adapter, &l, &files, e)) goto out;
    if (l->dora) {
        err_set(e, ERR_CONFIG,
                "a GGUF adapter has no place for DoRA's magnitudes; export the merged model");
        goto out;
    }
    most = model_ntensors(&shape.spec);
    pairs = mem_calloc(most + 1, sizeof *pairs, e);
    if (!pairs) goto out;
    list = mem_calloc(2 * most, sizeof *list, e);
    ok = list && write_pairs(l, files, name, path, pairs, list, e);
out:
    mem_free(list);
    mem_free(pairs);
    safetensors_close(files);
    lora_close(l);
    weights_close(w);
    if (!ok) err_wrap(e, "adapter %s", adapter);
    return ok;
}
