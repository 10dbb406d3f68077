#include "model/spec.h"

#include <stdio.h>

#include "model/arch.h"
#include "model/config_json.h"
#include "model/rope.h"

#define MAX_CONFIG_BYTES (1u << 20)

/* ---- reading */

static bool read_arch(const json_t *j, struct err *e)
{
    const json_t *act = json_object_get(j, "hidden_act");
    bool abias = false, mbias = false;

    if (act && !(json_is_string(act) && strcmp(json_string_value(act), "silu") == 0))
        return err_set(e, ERR_FORMAT, "hidden_act %.60s is not supported, expected silu",
                       json_is_string(act) ? json_string_value(act) : "(no text)");
    if (!config_bool(j, "attention_bias", &abias, e) || !config_bool(j, "mlp_bias", &mbias, e))
        return false;
    if (abias || mbias)
        return err_set(e, ERR_FORMAT, "%s true is not supported",
                       abias ? "attention_bias" : "mlp_bias");
    return true;
}

/* Llama-1's early conversions (MedAlpaca's base) say max_sequence_length, which nobody reads:
 * transformers then has its default. */
static bool read_sizes(const json_t *j, struct model_spec *s, struct err *e)
{
    s->max_positions = strcmp(s->arch, "mistral") == 0 ? 131072 : 2048;
    if (!config_need_u32(j, "num_hidden_layers", 1024, &s->layers, e) ||
        !config_need_u32(j, "hidden_size", 1u << 16, &s->d, e) ||
        !config_need_u32(j, "intermediate_size", 1u << 18, &s->ff, e) ||
        !config_need_u32(j, "num_attention_heads", 1024, &s->heads, e) ||
        !config_need_u32(j, "vocab_size", 1u << 22, &s->vocab, e) ||
        !config_u32(j, "max_position_embeddings", 1u << 24, &s->max_positions, e))
        return false;
    if (s->max_positions == 0) return err_set(e, ERR_FORMAT, "max_position_embeddings is 0");
    s->kv_heads = s->heads;
    if (strcmp(s->arch, "mistral") == 0 && !json_object_get(j, "num_key_value_heads"))
        s->kv_heads = 8; /* as transformers has it */
    if (!config_u32(j, "num_key_value_heads", 1024, &s->kv_heads, e)) return false;
    if (s->kv_heads == 0 || s->heads % s->kv_heads)
        return err_set(e, ERR_FORMAT,
                       "num_attention_heads %u is no multiple of "
                       "num_key_value_heads %u",
                       s->heads, s->kv_heads);
    s->head_dim = s->d / s->heads;
    if (!config_u32(j, "head_dim", 1024, &s->head_dim, e)) return false;
    if (s->head_dim == 0 || s->head_dim % 2)
        return err_set(e, ERR_FORMAT, "head_dim %u is not even and positive", s->head_dim);
    return true;
}

static bool read_token(const json_t *v, const char *key, uint32_t vocab, int32_t *out,
                       struct err *e)
{
    *out = -1;
    if (!v || json_is_null(v)) return true;
    if (!json_is_integer(v) || json_integer_value(v) < -1 ||
        json_integer_value(v) >= (json_int_t)vocab)
        return err_set(e, ERR_FORMAT, "%s is not a token of the vocabulary of %u", key, vocab);
    *out = (int32_t)json_integer_value(v);
    return true;
}

static bool read_tokens(const json_t *j, struct model_spec *s, struct err *e)
{
    const json_t *eos = json_object_get(j, "eos_token_id");
    size_t max = sizeof s->eos / sizeof *s->eos;
    size_t n = json_is_array(eos) ? json_array_size(eos) : eos && !json_is_null(eos);

    if (!read_token(json_object_get(j, "bos_token_id"), "bos_token_id", s->vocab, &s->bos, e) ||
        !read_token(json_object_get(j, "pad_token_id"), "pad_token_id", s->vocab, &s->pad, e))
        return false;
    if (n > max) return err_set(e, ERR_LIMIT, "eos_token_id lists %zu tokens, at most %zu", n, max);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_is_array(eos) ? json_array_get(eos, i) : eos;
        int32_t id;
        if (!read_token(v, "eos_token_id", s->vocab, &id, e)) return false;
        if (id >= 0) s->eos[s->neos++] = id;
    }
    return true;
}

static bool read_llama(const json_t *j, struct model_spec *s, struct err *e)
{
    double eps = 1e-6;
    if (!read_arch(j, e) || !read_sizes(j, s, e) || !rope_read(j, s, e)) return false;
    if (!config_f64(j, "rms_norm_eps", &eps, e)) return false;
    s->rms_eps = (float)eps;
    if (strcmp(s->arch, "mistral") == 0) {
        if (!json_object_get(j, "sliding_window")) s->window = 4096; /* as transformers has it */
        if (!config_u32(j, "sliding_window", UINT32_MAX, &s->window, e)) return false;
    }
    return config_bool(j, "tie_word_embeddings", &s->tied, e);
}

/* Weights in codes of another program (bitsandbytes, GPTQ, AWQ, FP8) are no weights to us. */
static bool check_whole(const json_t *j, struct err *e)
{
    const json_t *q = json_object_get(j, "quantization_config"), *how;
    if (!q || json_is_null(q)) return true;
    how = json_object_get(q, "quant_method");
    return err_set(e, ERR_FORMAT,
                   "quantization_config: the weights are stored in codes of %.40s, which is not "
                   "supported: take the model they were made from (model.quant makes int8 or nf4 "
                   "of it)",
                   json_is_string(how) ? json_string_value(how) : "an unknown kind");
}

static bool spec_of_json(const json_t *j, struct model_spec *s, struct err *e)
{
    const struct model_arch *a;
    struct str type;
    if (!json_is_object(j)) return err_set(e, ERR_FORMAT, "is not a JSON object");
    if (!json_get_str(j, "model_type", &type, e)) return false;
    a = arch_find(type);
    if (!a)
        return err_set(e, ERR_FORMAT, "model_type %.60s is not supported, expected %s", type.p,
                       arch_names());
    snprintf(s->arch, sizeof s->arch, "%s", a->type);
    if (!check_whole(j, e)) return false;
    return a->read(j, s, e) && read_tokens(j, s, e);
}

/* Releases j. */
static bool take_json(json_t *j, const char *what, struct model_spec *out, struct err *e)
{
    struct model_spec s = {.bos = -1, .pad = -1};
    bool ok = spec_of_json(j, &s, e);
    json_decref(j);
    if (!ok) return err_wrap(e, "%s", what);
    *out = s;
    return true;
}

bool model_spec_read(const char *config_json, struct model_spec *out, struct err *e)
{
    json_t *j = NULL;
    return json_read_file(config_json, MAX_CONFIG_BYTES, &j, e) &&
           take_json(j, config_json, out, e);
}

bool model_spec_parse(struct str text, const char *what, struct model_spec *out, struct err *e)
{
    json_t *j = NULL;
    return json_parse(text, what, &j, e) && take_json(j, what, out, e);
}

/* ---- writing */

/* json_object_set_new frees v on failure and accepts NULL, so one check at the end is enough. */
static int put(json_t *j, const char *key, json_t *v)
{
    return json_object_set_new(j, key, v);
}

static json_t *token_json(int32_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static json_t *eos_json(const struct model_spec *s)
{
    json_t *list;
    if (s->neos <= 1) return token_json(s->neos ? s->eos[0] : -1);
    list = json_array();
    for (uint32_t i = 0; i < s->neos; i++) {
        if (json_array_append_new(list, json_integer(s->eos[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool write_llama(const struct model_spec *s, json_t *j)
{
    bool mistral = strcmp(s->arch, "mistral") == 0;
    int bad = 0;

    bad |= put(j, "hidden_act", json_string("silu"));
    bad |= put(j, "hidden_size", json_integer(s->d));
    bad |= put(j, "intermediate_size", json_integer(s->ff));
    bad |= put(j, "num_hidden_layers", json_integer(s->layers));
    bad |= put(j, "num_attention_heads", json_integer(s->heads));
    bad |= put(j, "num_key_value_heads", json_integer(s->kv_heads));
    bad |= put(j, "head_dim", json_integer(s->head_dim));
    bad |= put(j, "max_position_embeddings", json_integer(s->max_positions));
    bad |= put(j, "rms_norm_eps", config_float(s->rms_eps));
    bad |= put(j, "rope_theta", json_real(s->rope_theta));
    bad |= put(j, "rope_scaling", rope_json(s));
    bad |= put(j, "tie_word_embeddings", json_boolean(s->tied));
    if (mistral)
        bad |= put(j, "sliding_window", s->window ? json_integer(s->window) : json_null());
    else
        bad |= put(j, "attention_bias", json_false()) | put(j, "mlp_bias", json_false());
    return !bad;
}

bool model_spec_write(const struct model_spec *s, const char *dtype, const char *config_json,
                      struct err *e)
{
    const struct model_arch *a = arch_of(s);
    json_t *j = json_object();
    int bad = !j;
    bool ok;

    bad |= put(j, "architectures", json_pack("[s]", a->class_name));
    bad |= put(j, "model_type", json_string(a->type));
    bad |= put(j, "vocab_size", json_integer(s->vocab));
    bad |= put(j, "bos_token_id", token_json(s->bos));
    bad |= put(j, "eos_token_id", eos_json(s));
    bad |= put(j, "pad_token_id", token_json(s->pad));
    bad |= put(j, "torch_dtype", json_string(dtype));
    bad |= !a->write(s, j);
    ok = bad ? err_set(e, ERR_NOMEM, "%s", config_json) : json_write_file(config_json, j, e);
    json_decref(j);
    return ok;
}

/* ---- the table's rows */

static const struct arch_row llama_rows[] = {
    {"input_layernorm", ROW_NORM, LINEARS, 0, ALWAYS},
    {"self_attn.q_proj", ROW_LINEAR, LIN_QKV, 0, ALWAYS},
    {"self_attn.k_proj", ROW_LINEAR, LIN_QKV, 1, ALWAYS},
    {"self_attn.v_proj", ROW_LINEAR, LIN_QKV, 2, ALWAYS},
    {"self_attn.o_proj", ROW_LINEAR, LIN_O, 0, ALWAYS},
    {"post_attention_layernorm", ROW_NORM, LINEARS, 1, ALWAYS},
    {"mlp.gate_proj", ROW_LINEAR, LIN_GU, 0, ALWAYS},
    {"mlp.up_proj", ROW_LINEAR, LIN_GU, 1, ALWAYS},
    {"mlp.down_proj", ROW_LINEAR, LIN_DOWN, 0, ALWAYS},
};
#define LLAMA(name, class)                                                                         \
    {                                                                                              \
        name, class, "CAUSAL_LM", "model.embed_tokens",                                            \
            {{0},                                                                                  \
             {"model.layers", "model.norm", llama_rows, sizeof llama_rows / sizeof *llama_rows}},  \
            read_llama, write_llama                                                                \
    }
const struct model_arch arch_llama = LLAMA("llama", "LlamaForCausalLM");
const struct model_arch arch_mistral = LLAMA("mistral", "MistralForCausalLM");

/* ---- what follows from it */

uint64_t model_spec_linear_params(const struct model_spec *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->layers * LINEARS; i++) {
        struct linear_shape sh = linear_shape(s, i / LINEARS, i % LINEARS);
        n += (uint64_t)sh.in * sh.out;
    }
    return n;
}

uint64_t model_spec_params(const struct model_spec *s)
{
    struct model_tensor t;
    uint64_t n = 0;
    for (uint32_t i = 0, end = model_ntensors(s); i < end; i++) {
        model_tensor_at(s, i, &t);
        n += (uint64_t)t.rows * t.cols;
    }
    return n;
}
