/*
 * model/spec - what a Llama-class decoder is made of, read from an HF config.json.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum rope_kind { ROPE_PLAIN, ROPE_LLAMA3, ROPE_LINEAR };
struct model_spec {
    char arch[32]; /* "llama", "mistral" */
    uint32_t layers, d, ff, heads, kv_heads, head_dim, vocab, max_positions;
    float rms_eps;
    double rope_theta;
    enum rope_kind rope;
    double rope_factor, rope_low, rope_high, rope_original; /* llama3 */
    uint32_t window;                                        /* sliding window, 0: none */
    bool tied;                                              /* the head is the embedding */
    int32_t bos, eos[8], pad;                               /* -1: none */
    uint32_t neos;
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
