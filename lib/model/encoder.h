/*
 * model/encoder - BERT, RoBERTa and DistilBERT: token sequences in, hidden states out. For scores
 * (BERTScore, sentence similarity) and search; encoders are not trained here.
 *
 * A folder is what transformers saves: config.json and *.safetensors, of the bare encoder or of a
 * class with a head (names with the prefix bert., roberta. or distilbert.; the head is not read).
 * MiniLM, ClinicalBERT and RadBERT are of these three kinds.
 *
 * Sequences are packed end to end, without padding: what padding would do to a sum or a maximum
 * does not arise. Token types are 0 throughout. Special tokens ([CLS], <s>, ...) are the caller's,
 * by the model's tokenizer. On the CPU a sequence's states do not depend on the others of the call.
 *
 * Limits: absolute positions only; activations gelu, gelu_new, relu and silu; no pooler.
 */
#pragma once
#include "base/str.h"
#include "compute/dev.h"

struct encoder;
struct encoder_info {
    const char *arch; /* "bert", "roberta", "distilbert"; lives as long as the program */
    uint32_t layers, d, heads, vocab;
    uint32_t max_tokens; /* longest sequence, special tokens included */
};

/* What a config.json says, without its weights; `what` names it in errors. */
MUST_CHECK bool encoder_info_parse(struct str config, const char *what, struct encoder_info *out,
                                   struct err *e);
/* Weights in dtype (f32 or bf16) on d, which must outlive the encoder. */
MUST_CHECK bool encoder_open(struct dev *d, const char *dir, enum dev_dtype dtype,
                             struct encoder **out, struct err *e);
void encoder_close(struct encoder *n);
struct encoder_info encoder_info(const struct encoder *n);
/* Names the weights, as model_digest does. */
void encoder_digest(const struct encoder *n, uint8_t out[32]);

/* Sequence i is tokens[cu[i]] .. tokens[cu[i + 1] - 1]; none is empty or longer than max_tokens
 * (ERR_LIMIT). out [cu[nseq] * d], host: a row a token, the output of block `layer`; 0 is the
 * embeddings, info.layers the last block. Any number of sequences: long calls are cut into pieces
 * of a few thousand tokens, which bounds the device memory. */
MUST_CHECK bool encoder_hidden(struct encoder *n, const uint32_t *tokens, const uint32_t *cu,
                               uint32_t nseq, uint32_t layer, float *out, struct err *e);
