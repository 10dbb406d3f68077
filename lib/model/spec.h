/*
 * model/spec - what a model that writes text is made of, read from an HF config.json: a decoder
 * (Llama, Mistral), or an encoder with a decoder (T5, Flan-T5). Encoders alone: model/encoder.h.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum rope_kind { ROPE_PLAIN, ROPE_LLAMA3, ROPE_LINEAR, ROPE_NONE };
struct model_spec {
    char arch[32];       /* "llama", "mistral", "t5" */
    uint32_t enc_layers; /* how many of the layers are the encoder's, the first; 0: a decoder */
    uint32_t layers, d, ff, heads, kv_heads, head_dim, vocab, max_positions;
    float rms_eps;
    double rope_theta;
    enum rope_kind rope;
    double rope_factor, rope_low, rope_high, rope_original; /* llama3 */
    uint32_t window;                                        /* sliding window, 0: none */
    bool tied;                                              /* the head is the embedding */
    int32_t bos, eos[8], pad;                               /* -1: none */
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
/* Rotary inverse frequencies, hd/2 values, with scaling applied. */
void model_spec_inv_freq(const struct model_spec *s, float *out);
/* Parameters in all, and those of the blocks' linear layers alone (what a token's FLOPs follow). */
uint64_t model_spec_params(const struct model_spec *s);
uint64_t model_spec_linear_params(const struct model_spec *s);
