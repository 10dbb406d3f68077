/*
 * model/spec - what a model that writes text is made of, read from an HF config.json: a decoder
 * (Llama, Mistral), or an encoder with a decoder (T5, Flan-T5). Encoders alone: model/encoder.h.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum rope_kind {
    ROPE_PLAIN,
    ROPE_LLAMA3,
    ROPE_LINEAR,
    ROPE_NONE,
    ROPE_YARN,
    ROPE_DYNAMIC,
    ROPE_LONGROPE
};
enum { ROPE_PAIRS = 512 }; /* most pairs of a head: head_dim is at most 1024 */
struct model_spec {
    char arch[32];       /* "llama", "mistral", "t5" */
    uint32_t enc_layers; /* how many of the layers are the encoder's, the first; 0: a decoder */
    uint32_t layers, d, ff, heads, kv_heads, head_dim, vocab, max_positions;
    float rms_eps;
    double rope_theta;
    enum rope_kind rope;
    double rope_factor, rope_low, rope_high, rope_original; /* llama3; yarn: slow, fast beta */
    double rope_attention;                                  /* yarn, longrope: on cos and sin */
    bool rope_exact;                                        /* yarn: the ramp's ends not rounded */
    float rope_short[ROPE_PAIRS], rope_long[ROPE_PAIRS];    /* longrope: divisors */
    uint32_t context;         /* most tokens of a sequence (model_set_context), 0: not said */
    uint32_t window;          /* sliding window, 0: none */
    bool tied;                /* the head is the embedding */
    int32_t bos, eos[8], pad; /* -1: none */
    uint32_t neos;
    /* with an encoder: */
    int32_t start;    /* what the decoder begins with */
    int act;          /* enum dev_act of the MLP */
    bool gated;       /* act(gate) * up */
    bool head_scaled; /* logits * d^-1/2 (the first T5) */
    uint32_t buckets,
        reach; /* relative positions: how many kinds; from this distance on the last */
};
/* transformers 4 and 5 forms. Unknown architecture or activation: ERR_FORMAT naming it. */
MUST_CHECK bool model_spec_read(const char *config_json, struct model_spec *out, struct err *e);
/* The same from text; `what` names it in errors. */
MUST_CHECK bool model_spec_parse(struct str text, const char *what, struct model_spec *out,
                                 struct err *e);
/* config.json as transformers writes and reads it; dtype "bfloat16", "float32". */
MUST_CHECK bool model_spec_write(const struct model_spec *s, const char *dtype,
                                 const char *config_json, struct err *e);
/* Rotary inverse frequencies, hd/2 values, with scaling applied: longrope's and dynamic's for
 * `context` (model/rope.h). And what that scaling multiplies the scores with: yarn, longrope. */
void model_spec_inv_freq(const struct model_spec *s, float *out);
float model_spec_score_factor(const struct model_spec *s);
/* The most tokens of one sequence: max_positions; for yarn what it stretches to; for longrope
 * without a longer context the border of its short factors; for dynamic the context. */
uint32_t model_spec_longest(const struct model_spec *s);
/* ERR_CONFIG naming model.context where the frequencies are not made for so many tokens: longrope,
 * dynamic. Others run on beyond max_positions, as in transformers. */
MUST_CHECK bool model_spec_check_length(const struct model_spec *s, uint32_t tokens, struct err *e);
/* Parameters in all, and those of the blocks' linear layers alone (what a token's FLOPs follow). */
uint64_t model_spec_params(const struct model_spec *s);
uint64_t model_spec_linear_params(const struct model_spec *s);
