/* T5, T5 v1.1 and Flan-T5: their config.json and their rows. transformers recomputes is_gated_act
 * and dense_act_fn from feed_forward_proj, then lets the file's own values win; so does this. */
#include "compute/dev.h"
#include "model/arch.h"
#include "model/config_json.h"

enum { NO_LIMIT = 1 << 20 }; /* positions are relative: any length goes */

static bool read_mlp(const json_t *j, struct model_spec *s, struct err *e)
{
    const json_t *v = json_object_get(j, "feed_forward_proj");
    const char *proj = v ? json_string_value(v) : "relu";
    json_t *act;
    bool ok;

    if (!proj) return err_set(e, ERR_FORMAT, "feed_forward_proj is not text");
    s->gated = strncmp(proj, "gated-", 6) == 0;
    if (s->gated) proj += 6;
    act = json_pack("{s:s}", "feed_forward_proj",
                    s->gated && strcmp(proj, "gelu") == 0 ? "gelu_new" : proj);
    if (!act) return err_set(e, ERR_NOMEM, "feed_forward_proj");
    ok = config_act(act, "feed_forward_proj", &s->act, e);
    json_decref(act);
    return ok && config_bool(j, "is_gated_act", &s->gated, e) &&
           config_act(j, "dense_act_fn", &s->act, e);
}

static bool read_sizes(const json_t *j, struct model_spec *s, struct err *e)
{
    uint32_t decoder;
    if (!config_need_u32(j, "num_layers", 512, &s->enc_layers, e)) return false;
    decoder = s->enc_layers;
    if (!config_u32(j, "num_decoder_layers", 512, &decoder, e)) return false;
    if (decoder == 0) return err_set(e, ERR_FORMAT, "num_decoder_layers is 0");
    s->layers = s->enc_layers + decoder;
    s->buckets = 32;
    s->reach = 128;
    s->max_positions = NO_LIMIT;
    if (!config_need_u32(j, "d_model", 1u << 16, &s->d, e) ||
        !config_need_u32(j, "d_ff", 1u << 18, &s->ff, e) ||
        !config_need_u32(j, "d_kv", 1024, &s->head_dim, e) ||
        !config_need_u32(j, "num_heads", 1024, &s->heads, e) ||
        !config_need_u32(j, "vocab_size", 1u << 22, &s->vocab, e) ||
        !config_u32(j, "relative_attention_num_buckets", 4096, &s->buckets, e) ||
        !config_u32(j, "relative_attention_max_distance", 1u << 16, &s->reach, e))
        return false;
    s->kv_heads = s->heads;
    if (s->buckets < 4 || s->buckets % 4 || s->reach <= s->buckets / 2)
        return err_set(e, ERR_FORMAT,
                       "relative_attention_num_buckets %u and relative_attention_max_distance %u "
                       "make no positions",
                       s->buckets, s->reach);
    return true;
}

static bool read_t5(const json_t *j, struct model_spec *s, struct err *e)
{
    double eps = 1e-6;
    uint32_t start = 0;
    bool tied = true;

    s->rope = ROPE_NONE;
    s->tied = true; /* until the files are seen: model_settle */
    if (!read_sizes(j, s, e) || !read_mlp(j, s, e)) return false;
    if (!config_f64(j, "layer_norm_epsilon", &eps, e)) return false;
    s->rms_eps = (float)eps;
    if (!config_u32(j, "pad_token_id", s->vocab - 1, &start, e) ||
        !config_u32(j, "decoder_start_token_id", s->vocab - 1, &start, e))
        return false;
    s->start = (int32_t)start;
    if (!config_bool(j, "tie_word_embeddings", &tied, e)) return false;
    s->head_scaled = tied;
    return config_bool(j, "scale_decoder_outputs", &s->head_scaled, e);
}

/* The reverse of read_mlp. */
static json_t *proj_json(const struct model_spec *s)
{
    static const char *const names[DEV_ACTS] = {[DEV_SILU] = "silu",
                                                [DEV_GELU] = "gelu",
                                                [DEV_GELU_TANH] = "gelu_new",
                                                [DEV_RELU] = "relu"};
    if (s->gated && s->act == DEV_GELU_TANH) return json_string("gated-gelu");
    return json_sprintf("%s%s", s->gated ? "gated-" : "", names[s->act]);
}

/* tie_word_embeddings says in transformers 4 whether there is an own head, and to all whether the
 * head is scaled; a head of its own that is scaled, too, takes the key of transformers 5. */
static bool write_t5(const struct model_spec *s, json_t *j)
{
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"num_layers", s->enc_layers},
                   {"num_decoder_layers", s->layers - s->enc_layers},
                   {"d_model", s->d},
                   {"d_ff", s->ff},
                   {"d_kv", s->head_dim},
                   {"num_heads", s->heads},
                   {"relative_attention_num_buckets", s->buckets},
                   {"relative_attention_max_distance", s->reach},
                   {"decoder_start_token_id", (uint32_t)s->start}};
    int bad = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        bad |= json_object_set_new(j, numbers[i].key, json_integer(numbers[i].value));
    bad |= json_object_set_new(j, "layer_norm_epsilon", config_float(s->rms_eps));
    bad |= json_object_set_new(j, "feed_forward_proj", proj_json(s));
    bad |= json_object_set_new(j, "is_encoder_decoder", json_true());
    bad |= json_object_set_new(j, "tie_word_embeddings", json_boolean(s->head_scaled));
    bad |= json_object_set_new(j, "scale_decoder_outputs", json_boolean(s->head_scaled));
    return !bad;
}

#define SELF_ATTENTION                                                                             \
    {"layer.0.SelfAttention.q", ROW_LINEAR, LIN_QKV, 0, ALWAYS},                                   \
        {"layer.0.SelfAttention.k", ROW_LINEAR, LIN_QKV, 1, ALWAYS},                               \
        {"layer.0.SelfAttention.v", ROW_LINEAR, LIN_QKV, 2, ALWAYS},                               \
        {"layer.0.SelfAttention.o", ROW_LINEAR, LIN_O, 0, ALWAYS},                                 \
        {"layer.0.SelfAttention.relative_attention_bias", ROW_TABLE, LINEARS, 0, FIRST_BLOCK},     \
    {                                                                                              \
        "layer.0.layer_norm", ROW_NORM, LINEARS, 0, ALWAYS                                         \
    }
#define MLP(n)                                                                                     \
    {"layer." n ".DenseReluDense.wi_0", ROW_LINEAR, LIN_GU, 0, GATED},                             \
        {"layer." n ".DenseReluDense.wi_1", ROW_LINEAR, LIN_GU, 1, GATED},                         \
        {"layer." n ".DenseReluDense.wi", ROW_LINEAR, LIN_GU, 0, PLAIN},                           \
        {"layer." n ".DenseReluDense.wo", ROW_LINEAR, LIN_DOWN, 0, ALWAYS},                        \
    {                                                                                              \
        "layer." n ".layer_norm", ROW_NORM, LINEARS, 1, ALWAYS                                     \
    }

static const struct arch_row encoder_rows[] = {SELF_ATTENTION, MLP("1")};
static const struct arch_row decoder_rows[] = {
    SELF_ATTENTION,
    {"layer.1.EncDecAttention.q", ROW_LINEAR, LIN_XQ, 0, ALWAYS},
    {"layer.1.EncDecAttention.k", ROW_LINEAR, LIN_XKV, 0, ALWAYS},
    {"layer.1.EncDecAttention.v", ROW_LINEAR, LIN_XKV, 1, ALWAYS},
    {"layer.1.EncDecAttention.o", ROW_LINEAR, LIN_XO, 0, ALWAYS},
    {"layer.1.layer_norm", ROW_NORM, LINEARS, 2, ALWAYS},
    MLP("2"),
};

const struct model_arch arch_t5 = {
    .type = "t5",
    .class_name = "T5ForConditionalGeneration",
    .peft_task = "SEQ_2_SEQ_LM",
    .embed = "shared",
    .stack = {{"encoder.block", "encoder.final_layer_norm", encoder_rows,
               sizeof encoder_rows / sizeof *encoder_rows},
              {"decoder.block", "decoder.final_layer_norm", decoder_rows,
               sizeof decoder_rows / sizeof *decoder_rows}},
    .read = read_t5,
    .write = write_t5,
};
