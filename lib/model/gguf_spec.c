#include "model/gguf_spec.h"

#include <math.h>
#include <stdio.h>

#include "model/rope.h"

/* ---- GGUF metadata to a spec */

static bool llama_u32(const struct gguf *g, const char *name, uint32_t *out, struct err *e)
{
    char key[96];
    uint64_t v;
    snprintf(key, sizeof key, "llama.%s", name);
    if (!gguf_u64(g, key, &v, e)) return false;
    if (v == 0 || v > 1U << 24)
        return err_set(e, ERR_LIMIT, "metadata key %s is out of range", key);
    *out = (uint32_t)v;
    return true;
}

/* Optional: *out stays as it is when the key is absent. */
static bool maybe_u32(const struct gguf *g, const char *name, uint32_t *out, struct err *e)
{
    char key[96];
    snprintf(key, sizeof key, "llama.%s", name);
    return !gguf_find(g, key) || llama_u32(g, name, out, e);
}

static bool maybe_f64(const struct gguf *g, const char *key, double *out, struct err *e)
{
    return !gguf_find(g, key) || gguf_f64(g, key, out, e);
}

static bool token_of(const struct gguf *g, const char *name, uint32_t vocab, int32_t *out,
                     struct err *e)
{
    char key[64];
    uint64_t v;
    snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", name);
    *out = -1;
    if (!gguf_find(g, key)) return true;
    if (!gguf_u64(g, key, &v, e)) return false;
    if (v == UINT32_MAX) return true; /* "none" of some writers */
    if (v >= vocab) return err_set(e, ERR_FORMAT, "metadata key %s is not in the vocabulary", key);
    *out = (int32_t)v;
    return true;
}

static bool sizes_of(const struct gguf *g, struct model_spec *s, struct err *e)
{
    const struct gguf_tensor *embed = gguf_tensor(g, "token_embd.weight");
    uint32_t rope_dims;
    if (!llama_u32(g, "context_length", &s->max_positions, e) ||
        !llama_u32(g, "embedding_length", &s->d, e) ||
        !llama_u32(g, "block_count", &s->layers, e) ||
        !llama_u32(g, "feed_forward_length", &s->ff, e) ||
        !llama_u32(g, "attention.head_count", &s->heads, e))
        return false;
    s->kv_heads = s->heads;
    s->head_dim = s->d / s->heads;
    if (!maybe_u32(g, "attention.head_count_kv", &s->kv_heads, e) ||
        !maybe_u32(g, "attention.key_length", &s->head_dim, e) ||
        !maybe_u32(g, "attention.sliding_window", &s->window, e))
        return false;
    rope_dims = s->head_dim;
    if (!maybe_u32(g, "rope.dimension_count", &rope_dims, e)) return false;
    if (rope_dims != s->head_dim)
        return err_set(e, ERR_FORMAT, "rotary positions on %u of %u dimensions are not supported",
                       rope_dims, s->head_dim);
    if (s->heads % s->kv_heads || s->head_dim < 2 || s->head_dim % 2 || s->layers > 1024 ||
        s->heads > 1024 || s->head_dim > 1024 || s->d > 1U << 16 || s->ff > 1U << 18)
        return err_set(e, ERR_FORMAT, "the sizes in the metadata make no model");
    if (!embed || embed->ndims != 2 || embed->dims[1] > 1U << 22)
        return err_set(e, ERR_FORMAT, "tensor token_embd.weight is missing or no matrix");
    s->vocab = (uint32_t)embed->dims[1];
    s->tied = !gguf_tensor(g, "output.weight");
    return true;
}

/* Llama 3 keeps its scaling as one divisor a frequency. The parameters that made them are found
 * again, and must reproduce them. */
static bool rope_of_divisors(const struct gguf *g, const struct gguf_tensor *t,
                             struct model_spec *s, struct err *e)
{
    uint32_t half = s->head_dim / 2, original = 8192;
    float div[512], got[512];
    struct model_spec plain = *s;

    if (t->type != 0 || t->dims[0] != half || t->rows != 1)
        return err_set(e, ERR_FORMAT, "tensor rope_freqs.weight has not %u values of type F32",
                       half);
    gguf_row(t, 0, div);
    s->rope = ROPE_LLAMA3;
    s->rope_low = 1;
    s->rope_high = 4;
    if (!maybe_u32(g, "rope.scaling.original_context_length", &original, e)) return false;
    s->rope_original = original;
    for (uint32_t i = 0; i < half; i++)
        s->rope_factor = fmax(s->rope_factor, (double)div[i]);
    model_spec_inv_freq(s, got);
    for (uint32_t i = 0; i < half; i++) {
        double inv = pow(plain.rope_theta, -2.0 * i / s->head_dim) / (double)div[i];
        if (!(fabs((double)got[i] - inv) <= 1e-4 * inv))
            return err_set(e, ERR_FORMAT, "tensor rope_freqs.weight is not Llama 3's scaling");
    }
    return true;
}

static bool rope_f64(const struct gguf *g, const char *name, double *out, struct err *e)
{
    char key[96];
    snprintf(key, sizeof key, "llama.rope.scaling.%s", name);
    if (!maybe_f64(g, key, out, e)) return false;
    if (*out > 0 && *out <= 1e6) return true;
    return err_set(e, ERR_FORMAT, "metadata key %s is out of range", key);
}

/* What llama.cpp multiplies into yarn's angles beyond its own default, in keys that its converter
 * writes for other architectures. */
static bool check_yarn_keys(const struct gguf *g, struct err *e)
{
    static const struct {
        const char *key;
        double none;
    } others[] = {{"llama.rope.scaling.yarn_log_multiplier", 0},
                  {"llama.rope.scaling.yarn_ext_factor", 1},
                  {"llama.rope.scaling.yarn_attn_factor", 1}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        double v = others[i].none;
        if (!maybe_f64(g, others[i].key, &v, e)) return false;
        if (v < others[i].none || v > others[i].none)
            return err_set(e, ERR_FORMAT, "metadata key %s is not supported", others[i].key);
    }
    return true;
}

static bool rope_of_yarn(const struct gguf *g, struct model_spec *s, struct err *e)
{
    double attention = 1;
    s->rope = ROPE_YARN;
    s->rope_low = 1;
    s->rope_high = 32;
    if (!check_yarn_keys(g, e) || !gguf_f64(g, "llama.rope.scaling.factor", &s->rope_factor, e))
        return false;
    if (!(s->rope_factor >= 1 && s->rope_factor <= 1e6))
        return err_set(e, ERR_FORMAT, "metadata key llama.rope.scaling.factor is out of range");
    if (!rope_f64(g, "attn_factor", &attention, e) ||
        !rope_f64(g, "yarn_beta_fast", &s->rope_high, e) ||
        !rope_f64(g, "yarn_beta_slow", &s->rope_low, e))
        return false;
    s->rope_attention = rope_attention_default(s) * attention;
    return rope_check(s, e);
}

static bool divisors_of(const struct gguf *g, const char *name, const struct model_spec *s,
                        float *out, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(g, name);
    uint32_t half = s->head_dim / 2;
    if (!t || t->type != 0 || t->dims[0] != half || t->rows != 1)
        return err_set(e, ERR_FORMAT, "tensor %s has not %u values of type F32", name, half);
    gguf_row(t, 0, out);
    for (uint32_t i = 0; i < half; i++) {
        if (!(out[i] >= 1e-3F && out[i] <= 1e6F))
            return err_set(e, ERR_FORMAT, "tensor %s: value %u is out of range", name, i);
    }
    return true;
}

/* A factor beside the divisors would scale once more: our spec has no place for it. */
static bool rope_of_longrope(const struct gguf *g, struct model_spec *s, struct err *e)
{
    double factor = 1;
    s->rope = ROPE_LONGROPE;
    s->rope_attention = 1;
    if (!maybe_f64(g, "llama.rope.scaling.factor", &factor, e)) return false;
    if (factor < 1 || factor > 1)
        return err_set(e, ERR_FORMAT,
                       "metadata key llama.rope.scaling.factor beside longrope's divisors is not "
                       "supported");
    s->rope_factor = s->max_positions / s->rope_original;
    return rope_f64(g, "attn_factor", &s->rope_attention, e) && rope_check(s, e) &&
           divisors_of(g, "rope_factors_short.weight", s, s->rope_short, e) &&
           divisors_of(g, "rope_factors_long.weight", s, s->rope_long, e);
}

static bool rope_of(const struct gguf *g, struct model_spec *s, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(g, "rope_freqs.weight");
    struct str type = STR("none");
    uint32_t original = s->max_positions;
    s->rope_theta = 10000;
    s->rope_factor = 1;
    if (!maybe_f64(g, "llama.rope.freq_base", &s->rope_theta, e)) return false;
    if (!(s->rope_theta > 1)) return err_set(e, ERR_FORMAT, "llama.rope.freq_base is out of range");
    if (t) return rope_of_divisors(g, t, s, e);
    if (gguf_find(g, "llama.rope.scaling.type") &&
        !gguf_str(g, "llama.rope.scaling.type", &type, e))
        return false;
    if (str_eqz(type, "none")) return true;
    if (str_eqz(type, "linear")) {
        s->rope = ROPE_LINEAR;
        return gguf_f64(g, "llama.rope.scaling.factor", &s->rope_factor, e);
    }
    if (!maybe_u32(g, "rope.scaling.original_context_length", &original, e)) return false;
    s->rope_original = original;
    if (str_eqz(type, "yarn")) return rope_of_yarn(g, s, e);
    if (str_eqz(type, "longrope")) return rope_of_longrope(g, s, e);
    return err_set(e, ERR_FORMAT,
                   "llama.rope.scaling.type is not supported, expected none, linear, yarn or "
                   "longrope");
}

bool gguf_spec_read(const struct gguf *g, struct model_spec *s, struct err *e)
{
    struct str arch;
    double eps;
    int32_t eos;
    *s = (struct model_spec){.bos = -1, .pad = -1};
    if (!gguf_str(g, "general.architecture", &arch, e)) return false;
    if (!str_eqz(arch, "llama"))
        return err_set(e, ERR_FORMAT, "architecture %.*s is not supported, expected llama",
                       arch.n < 60 ? (int)arch.n : 60, arch.p);
    if (!sizes_of(g, s, e) || !rope_of(g, s, e) ||
        !gguf_f64(g, "llama.attention.layer_norm_rms_epsilon", &eps, e) ||
        !token_of(g, "bos", s->vocab, &s->bos, e) || !token_of(g, "eos", s->vocab, &eos, e) ||
        !token_of(g, "padding", s->vocab, &s->pad, e))
        return false;
    snprintf(s->arch, sizeof s->arch, "%s", s->window ? "mistral" : "llama");
    s->rms_eps = (float)eps;
    if (eos >= 0) s->eos[s->neos++] = eos;
    return true;
}

/* ---- tensors */

/* HF name -> GGUF name. */
void gguf_spec_name(const struct model_tensor *t, char *out)
{
    enum { n = TENSOR_NAME };
    static const char *const names[][2] = {
        {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
        {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
        {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
        {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
        {"mlp.down_proj", "ffn_down"}};
    if (!t->row) {
        snprintf(out, n, "%s",
                 strcmp(t->name, "lm_head.weight") == 0      ? "output.weight"
                 : strcmp(t->name, "model.norm.weight") == 0 ? "output_norm.weight"
                                                             : "token_embd.weight");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(t->row->name, names[i][0]) == 0)
            snprintf(out, n, "blk.%u.%s.weight", t->layer, names[i][1]);
    }
}

/* Heads of a tensor whose rows the GGUF writer permuted, else 0. */
static uint32_t permuted_heads(const struct model_spec *s, const struct model_tensor *t)
{
    if (t->row && strcmp(t->row->name, "self_attn.q_proj") == 0) return s->heads;
    if (t->row && strcmp(t->row->name, "self_attn.k_proj") == 0) return s->kv_heads;
    return 0;
}

uint32_t gguf_spec_row(const struct model_spec *s, const struct model_tensor *t, uint32_t r)
{
    uint32_t heads = permuted_heads(s, t), hd, in;
    if (!heads) return r;
    hd = t->rows / heads;
    in = r % hd;
    return r - in + 2 * (in % (hd / 2)) + in / (hd / 2);
}

uint32_t gguf_spec_row_back(const struct model_spec *s, const struct model_tensor *t, uint32_t r)
{
    uint32_t heads = permuted_heads(s, t), hd, in;
    if (!heads) return r;
    hd = t->rows / heads;
    in = r % hd;
    return r - in + in % 2 * (hd / 2) + in / 2;
}

uint32_t gguf_spec_ndivisors(const struct model_spec *s)
{
    return s->rope == ROPE_LLAMA3 ? 1 : s->rope == ROPE_LONGROPE ? 2 : 0;
}

const char *gguf_spec_divisors_name(const struct model_spec *s, uint32_t i)
{
    if (s->rope == ROPE_LLAMA3) return "rope_freqs.weight";
    return i == 0 ? "rope_factors_long.weight" : "rope_factors_short.weight";
}

void gguf_spec_divisors(const struct model_spec *s, uint32_t i, float *out)
{
    float inv[ROPE_PAIRS];
    uint32_t half = s->head_dim / 2;
    CHECK(half <= ROPE_PAIRS && i < gguf_spec_ndivisors(s));
    if (s->rope == ROPE_LONGROPE) {
        memcpy(out, i == 0 ? s->rope_long : s->rope_short, half * sizeof *out);
        return;
    }
    model_spec_inv_freq(s, inv);
    for (uint32_t k = 0; k < half; k++)
        out[k] = (float)(pow(s->rope_theta, -2.0 * k / s->head_dim) / (double)inv[k]);
}
