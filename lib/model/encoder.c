#include "model/encoder.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/config_json.h"
#include "model/parts.h"

/* A bin: enough rows for full speed, little memory. */
enum { BIN_TOKENS = 4096, ALIGN_ELEMENTS = 128, MAX_LAYERS = 256 };

/* ---- one table an architecture */

enum part { QUERY, KEY, VALUE, OUTPUT, NORM1, UP, DOWN, NORM2, PARTS };
struct encoder_table {
    const char *model_type;                          /* also the prefix of a class with a head */
    const char *layers, *d, *ff, *heads, *act, *eps; /* config keys; eps NULL: 1e-12 */
    bool types;                                      /* token type embeddings */
    bool padded;                                     /* positions start behind pad_token_id */
    const char *block;                               /* of block i: block.i.part */
    const char *parts[PARTS];
};
#define BERT_PARTS                                                                                 \
    {                                                                                              \
        "attention.self.query", "attention.self.key", "attention.self.value",                      \
            "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",          \
            "output.dense", "output.LayerNorm"                                                     \
    }
static const struct encoder_table tables[] = {
    {"bert", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
     "hidden_act", "layer_norm_eps", true, false, "encoder.layer", BERT_PARTS},
    {"roberta", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
     "hidden_act", "layer_norm_eps", true, true, "encoder.layer", BERT_PARTS},
    {"distilbert",
     "n_layers",
     "dim",
     "hidden_dim",
     "n_heads",
     "activation",
     NULL,
     false,
     false,
     "transformer.layer",
     {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
      "ffn.lin1", "ffn.lin2", "output_layer_norm"}},
};

struct affine { /* a norm, or a linear's weight and bias */
    struct dev_mat w, b;
};
struct block {
    struct affine qkv, o, up, down, norm1, norm2;
};
struct encoder {
    struct dev *dev;
    const struct encoder_table *table;
    enum dev_dtype dtype;
    uint32_t layers, d, ff, heads, vocab, positions, first; /* first: position of token 0 */
    float eps;
    int act;
    uint8_t digest[32];
    struct dev_buf *weights, *vectors;  /* dtype; f32 */
    struct dev_mat words, places, type; /* type: row 0 alone, as f32 */
    struct affine norm;
    struct block *blocks;
    /* work, for bins of up to room tokens */
    struct dev_buf *work;
    uint32_t room;
    struct dev_mat ids, pos, x, n, qkv, ao, h, act_out;
    uint32_t *host_pos;
};

/* ---- config */

static bool find_table(const json_t *j, const struct encoder_table **out, struct err *e)
{
    struct str type;
    if (!json_get_str(j, "model_type", &type, e)) return false;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        *out = &tables[i];
        if (str_eqz(type, tables[i].model_type)) return true;
    }
    return err_set(e, ERR_FORMAT,
                   "model_type %.60s is no encoder that is supported, expected bert, roberta or "
                   "distilbert",
                   type.p);
}

static bool check_positions(const json_t *j, struct err *e)
{
    const json_t *v = json_object_get(j, "position_embedding_type");
    bool sine = false, decoder = false;
    if (!config_bool(j, "is_decoder", &decoder, e)) return false;
    if (decoder)
        return err_set(e, ERR_FORMAT,
                       "is_decoder true: attention that looks back alone is not supported");
    if (v && !(json_is_string(v) && strcmp(json_string_value(v), "absolute") == 0))
        return err_set(e, ERR_FORMAT,
                       "position_embedding_type other than absolute is not supported");
    /* sinusoidal positions are stored like learned ones */
    return config_bool(j, "sinusoidal_pos_embds", &sine, e);
}

static bool read_config(struct encoder *n, const json_t *j, struct err *e)
{
    const struct encoder_table *t = n->table;
    double eps = 1e-12;
    uint32_t pad = 1;

    n->act = DEV_GELU;
    if (!config_need_u32(j, t->layers, MAX_LAYERS, &n->layers, e) ||
        !config_need_u32(j, t->d, 1u << 14, &n->d, e) ||
        !config_need_u32(j, t->ff, 1u << 16, &n->ff, e) ||
        !config_need_u32(j, t->heads, 256, &n->heads, e) ||
        !config_need_u32(j, "vocab_size", 1u << 22, &n->vocab, e) ||
        !config_need_u32(j, "max_position_embeddings", 1u << 16, &n->positions, e) ||
        !config_act(j, t->act, &n->act, e) || !check_positions(j, e))
        return false;
    if (t->eps && !config_f64(j, t->eps, &eps, e)) return false;
    n->eps = (float)eps;
    if (n->d % n->heads)
        return err_set(e, ERR_FORMAT, "%s %u is no multiple of %s %u", t->d, n->d, t->heads,
                       n->heads);
    if (t->padded && !config_u32(j, "pad_token_id", n->vocab, &pad, e)) return false;
    n->first = t->padded ? pad + 1 : 0;
    if (n->first >= n->positions)
        return err_set(e, ERR_FORMAT, "max_position_embeddings %u leaves no position",
                       n->positions);
    return true;
}

/* ---- weights */

static struct dev_mat take(struct dev_buf *b, size_t *at, enum dev_dtype t, uint32_t rows,
                           uint32_t cols)
{
    struct dev_mat m = {
        .buf = b, .offset = *at, .dtype = t, .rows = rows, .cols = cols, .ld = cols};
    *at += ((size_t)rows * cols + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    return m;
}

static struct affine take_linear(struct encoder *n, size_t *wide, size_t *vec, uint32_t out,
                                 uint32_t in)
{
    return (struct affine){take(n->weights, wide, n->dtype, out, in),
                           take(n->vectors, vec, DEV_F32, 1, out)};
}

static struct affine take_norm(struct encoder *n, size_t *vec)
{
    return (struct affine){take(n->vectors, vec, DEV_F32, 1, n->d),
                           take(n->vectors, vec, DEV_F32, 1, n->d)};
}

static void lay_out(struct encoder *n, size_t *wide, size_t *vec)
{
    *wide = *vec = 0;
    n->words = take(n->weights, wide, n->dtype, n->vocab, n->d);
    n->places = take(n->weights, wide, n->dtype, n->positions, n->d);
    n->type = take(n->vectors, vec, DEV_F32, 1, n->d);
    n->norm = take_norm(n, vec);
    for (uint32_t i = 0; i < n->layers; i++) {
        struct block *b = &n->blocks[i];
        b->qkv = take_linear(n, wide, vec, 3 * n->d, n->d);
        b->o = take_linear(n, wide, vec, n->d, n->d);
        b->up = take_linear(n, wide, vec, n->ff, n->d);
        b->down = take_linear(n, wide, vec, n->d, n->ff);
        b->norm1 = take_norm(n, vec);
        b->norm2 = take_norm(n, vec);
    }
}

struct load {
    struct encoder *n;
    const struct safetensors *files;
    char prefix[32]; /* "" or "bert." */
    void *scratch;
};

/* Tensor prefix + module + suffix into m: a matrix, or for cols 0 a vector of m.cols. */
static bool load_one(const struct load *l, const char *module, const char *suffix, struct dev_mat m,
                     bool vector, struct err *e)
{
    char name[TENSOR_NAME];
    const struct safetensor *t;
    snprintf(name, sizeof name, "%s%s.%s", l->prefix, module, suffix);
    return safetensors_need(l->files, name, vector ? m.cols : m.rows, vector ? 0 : m.cols, &t, e) &&
           model_upload(l->n->dev, t, m.dtype, m.buf, m.offset, l->scratch, e);
}

/* Old files say gamma and beta. */
static bool load_norm(const struct load *l, const char *module, struct affine a, struct err *e)
{
    char name[TENSOR_NAME];
    snprintf(name, sizeof name, "%s%s.gamma", l->prefix, module);
    bool old = safetensors_find(l->files, name) != NULL;
    return load_one(l, module, old ? "gamma" : "weight", a.w, true, e) &&
           load_one(l, module, old ? "beta" : "bias", a.b, true, e);
}

/* Rows [row, row + rows) of a linear. */
static bool load_linear(const struct load *l, const char *module, struct affine a, uint32_t row,
                        uint32_t rows, struct err *e)
{
    return load_one(l, module, "weight", dev_mat_part(a.w, row, rows, 0, a.w.cols), false, e) &&
           load_one(l, module, "bias", dev_mat_part(a.b, 0, 1, row, rows), true, e);
}

static bool load_block(const struct load *l, uint32_t i, struct err *e)
{
    const struct encoder *n = l->n;
    const struct encoder_table *t = n->table;
    const struct block *b = &n->blocks[i];
    char name[PARTS][TENSOR_NAME];
    uint32_t d = n->d;
    for (int p = 0; p < PARTS; p++) {
        snprintf(name[p], sizeof name[p], "%s.%u.%s", t->block, i, t->parts[p]);
    }
    return load_linear(l, name[QUERY], b->qkv, 0, d, e) &&
           load_linear(l, name[KEY], b->qkv, d, d, e) &&
           load_linear(l, name[VALUE], b->qkv, 2 * d, d, e) &&
           load_linear(l, name[OUTPUT], b->o, 0, d, e) && load_norm(l, name[NORM1], b->norm1, e) &&
           load_linear(l, name[UP], b->up, 0, n->ff, e) &&
           load_linear(l, name[DOWN], b->down, 0, d, e) && load_norm(l, name[NORM2], b->norm2, e);
}

/* Row 0 of the type embeddings, of which files hold one or two. */
static bool load_type(const struct load *l, struct err *e)
{
    char name[TENSOR_NAME];
    struct encoder *n = l->n;
    const struct safetensor *t;
    if (!n->table->types) return true;
    snprintf(name, sizeof name, "%sembeddings.token_type_embeddings.weight", l->prefix);
    t = safetensors_find(l->files, name);
    if (!t || t->ndims != 2 || t->dims[0] < 1 || t->dims[1] != n->d)
        return err_set(e, ERR_FORMAT, "tensor %s is missing or has not rows of %u", name, n->d);
    struct safetensor row = *t;
    row.count = n->d;
    row.bytes = n->d * dtype_bytes(t->dtype);
    return model_upload(n->dev, &row, DEV_F32, n->type.buf, n->type.offset, l->scratch, e);
}

static bool load_all(struct load *l, struct err *e)
{
    struct encoder *n = l->n;
    if (!safetensors_find(l->files, "embeddings.word_embeddings.weight"))
        snprintf(l->prefix, sizeof l->prefix, "%s.", n->table->model_type);
    if (!load_one(l, "embeddings.word_embeddings", "weight", n->words, false, e) ||
        !load_one(l, "embeddings.position_embeddings", "weight", n->places, false, e) ||
        !load_type(l, e) || !load_norm(l, "embeddings.LayerNorm", n->norm, e))
        return false;
    for (uint32_t i = 0; i < n->layers; i++) {
        if (!load_block(l, i, e)) return false;
    }
    return true;
}

static bool open_weights(struct encoder *n, const char *dir, struct err *e)
{
    struct safetensors *files = NULL;
    struct load l = {.n = n};
    size_t wide, vec;
    bool ok = false;

    n->blocks = mem_calloc(n->layers, sizeof *n->blocks, e);
    if (!n->blocks || !safetensors_open(dir, &files, e)) goto out;
    l.files = files;
    l.scratch = mem_alloc(UPLOAD_SCRATCH_BYTES, e);
    if (!l.scratch) goto out;
    lay_out(n, &wide, &vec);
    if (!dev_buf_open(n->dev, wide * dev_dtype_bytes(n->dtype), &n->weights, e)) goto out;
    if (!dev_buf_open(n->dev, vec * sizeof(float), &n->vectors, e)) goto out;
    lay_out(n, &wide, &vec);
    ok = load_all(&l, e) && safetensors_digest(files, dev_host_threads(), n->digest, e);
out:
    mem_free(l.scratch);
    safetensors_close(files);
    return ok;
}

bool encoder_open(struct dev *d, const char *dir, enum dev_dtype dtype, struct encoder **out,
                  struct err *e)
{
    struct encoder *n = mem_calloc(1, sizeof *n, e);
    json_t *j = NULL;
    char config[4096];
    bool ok = false;

    if (!n) return false;
    n->dev = d;
    n->dtype = dtype;
    if (snprintf(config, sizeof config, "%s/config.json", dir) >= (int)sizeof config) {
        err_set(e, ERR_LIMIT, "path too long");
        goto out;
    }
    if (!config_read(config, &j, e) || !find_table(j, &n->table, e) || !read_config(n, j, e))
        goto out;
    ok = open_weights(n, dir, e);
out:
    json_decref(j);
    if (ok) {
        *out = n;
        return true;
    }
    encoder_close(n);
    return err_wrap(e, "encoder %s", dir);
}

void encoder_close(struct encoder *n)
{
    if (!n) return;
    dev_buf_close(n->work);
    dev_buf_close(n->vectors);
    dev_buf_close(n->weights);
    mem_free(n->host_pos);
    mem_free(n->blocks);
    mem_free(n);
}

bool encoder_info_parse(struct str config, const char *what, struct encoder_info *out,
                        struct err *e)
{
    struct encoder n = {0};
    json_t *j = NULL;
    bool ok;

    if (!json_parse(config, what, &j, e)) return false;
    ok = json_is_object(j) ? find_table(j, &n.table, e) && read_config(&n, j, e)
                           : err_set(e, ERR_FORMAT, "is not a JSON object");
    json_decref(j);
    if (!ok) return err_wrap(e, "%s", what);
    *out = encoder_info(&n);
    return true;
}

struct encoder_info encoder_info(const struct encoder *n)
{
    return (struct encoder_info){n->table->model_type,   n->layers, n->d, n->heads, n->vocab,
                                 n->positions - n->first};
}

void encoder_digest(const struct encoder *n, uint8_t out[32])
{
    memcpy(out, n->digest, sizeof n->digest);
}

/* ---- one bin */

static size_t lay_work(struct encoder *n, uint32_t t)
{
    size_t at = 0;
    struct {
        struct dev_mat *m;
        enum dev_dtype t;
        uint32_t rows, cols;
    } all[] = {{&n->ids, DEV_I32, 1, t},    {&n->pos, DEV_I32, 1, t},
               {&n->x, DEV_F32, t, n->d},   {&n->n, n->dtype, t, n->d},
               {&n->ao, n->dtype, t, n->d}, {&n->qkv, n->dtype, t, 3 * n->d},
               {&n->h, n->dtype, t, n->ff}, {&n->act_out, n->dtype, t, n->ff}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t bytes = dev_dtype_bytes(all[i].t);
        *all[i].m = dev_mat_of(n->work, at / bytes, all[i].t, all[i].rows, all[i].cols);
        at += ((size_t)all[i].rows * all[i].cols * bytes + 255) / 256 * 256;
    }
    return at;
}

/* Room for bins of t tokens. */
static bool make_room(struct encoder *n, uint32_t t, struct err *e)
{
    if (t > n->room) {
        dev_buf_close(n->work);
        n->work = NULL;
        n->room = 0;
        mem_free(n->host_pos);
        n->host_pos = mem_calloc(t, sizeof *n->host_pos, e);
        if (!n->host_pos || !dev_buf_open(n->dev, lay_work(n, t), &n->work, e)) return false;
        n->room = t;
    }
    (void)lay_work(n, t); /* to this bin's number of rows */
    return true;
}

/* y = beta y + x W^T + b */
static bool linear(struct encoder *n, struct dev_mat x, struct affine a, float beta,
                   struct dev_mat y, struct err *e)
{
    struct dev_gemm nt = {false, true, 1, beta};
    return dev_gemm(n->dev, nt, x, a.w, y, e) && dev_add(n->dev, y, a.b, e);
}

/* x = norm(x), and in the products' dtype to n. */
static bool norm(struct encoder *n, struct affine a, struct err *e)
{
    return dev_layernorm(n->dev, n->x, a.w, a.b, n->eps, n->x, e) &&
           dev_cast(n->dev, n->x, n->n, e);
}

static bool embed(struct encoder *n, struct err *e)
{
    struct dev *d = n->dev;
    /* n is free yet, and in bf16 as exact as the table */
    return dev_gather_rows(d, n->words, n->ids, n->x, e) &&
           dev_gather_rows(d, n->places, n->pos, n->n, e) && dev_add(d, n->x, n->n, e) &&
           (!n->table->types || dev_add(d, n->x, n->type, e)) && norm(n, n->norm, e);
}

static bool run_block(struct encoder *n, const struct block *b, const struct dev_attn *a,
                      struct err *e)
{
    struct dev *d = n->dev;
    struct dev_mat none = {0};
    uint32_t t = n->x.rows, w = n->d;

    return linear(n, n->n, b->qkv, 0, n->qkv, e) &&
           dev_attn_fwd(d, a, dev_mat_part(n->qkv, 0, t, 0, w), dev_mat_part(n->qkv, 0, t, w, w),
                        dev_mat_part(n->qkv, 0, t, 2 * w, w), n->ao, none, e) &&
           linear(n, n->ao, b->o, 1, n->x, e) && norm(n, b->norm1, e) &&
           linear(n, n->n, b->up, 0, n->h, e) &&
           dev_act(d, (enum dev_act)n->act, n->h, n->act_out, e) &&
           linear(n, n->act_out, b->down, 1, n->x, e) && norm(n, b->norm2, e);
}

/* cu[0] may be above 0: tokens and out are those of the whole call. */
static bool run_bin(struct encoder *n, const uint32_t *tokens, const uint32_t *cu, uint32_t nseq,
                    uint32_t layer, float *out, struct err *e)
{
    uint32_t t0 = cu[0], t = cu[nseq] - t0, hd = n->d / n->heads, *starts;
    struct dev_attn a = {.heads = n->heads,
                         .kv_heads = n->heads,
                         .head_dim = hd,
                         .scale = 1.0F / sqrtf((float)hd),
                         .nseq = nseq,
                         .bidirectional = true};
    bool ok = false;

    if (!make_room(n, t, e)) return false;
    starts = mem_calloc((size_t)nseq + 1, sizeof *starts, e);
    if (!starts) return false;
    for (uint32_t i = 0; i < nseq; i++) {
        for (uint32_t k = cu[i]; k < cu[i + 1]; k++)
            n->host_pos[k - t0] = n->first + k - cu[i];
        starts[i + 1] = cu[i + 1] - t0;
    }
    a.cu = starts;
    if (!dev_upload(n->dev, n->work, n->ids.offset * 4, tokens + t0, t * sizeof *tokens, e) ||
        !dev_upload(n->dev, n->work, n->pos.offset * 4, n->host_pos, t * sizeof *tokens, e))
        goto out;
    if (!embed(n, e)) goto out;
    for (uint32_t i = 0; i < layer; i++) {
        if (!run_block(n, &n->blocks[i], &a, e)) goto out;
    }
    ok = dev_download(n->dev, n->work, n->x.offset * sizeof *out, out + (size_t)t0 * n->d,
                      (size_t)t * n->d * sizeof *out, e);
out:
    mem_free(starts);
    return ok;
}

static bool check(const struct encoder *n, const uint32_t *tokens, const uint32_t *cu,
                  uint32_t nseq, struct err *e)
{
    uint32_t most = n->positions - n->first;
    for (uint32_t i = 0; i < nseq; i++) {
        if (cu[i + 1] <= cu[i] || cu[i + 1] - cu[i] > most)
            return err_set(e, ERR_LIMIT, "sequence %u has %u tokens, the encoder takes 1 to %u", i,
                           cu[i + 1] - cu[i], most);
    }
    for (uint32_t k = cu[0]; k < cu[nseq]; k++) {
        if (tokens[k] >= n->vocab)
            return err_set(e, ERR_FORMAT, "token %u is not in the encoder's vocabulary of %u",
                           tokens[k], n->vocab);
    }
    return true;
}

bool encoder_hidden(struct encoder *n, const uint32_t *tokens, const uint32_t *cu, uint32_t nseq,
                    uint32_t layer, float *out, struct err *e)
{
    CHECK(layer <= n->layers && cu[0] == 0);
    if (!check(n, tokens, cu, nseq, e)) return false;
    for (uint32_t s = 0, end; s < nseq; s = end) {
        end = s + 1;
        while (end < nseq && cu[end + 1] - cu[s] <= BIN_TOKENS)
            end++;
        if (!run_bin(n, tokens, cu + s, end - s, layer, out, e)) return false;
    }
    return true;
}
