/*
 * model/logit_drift - what merging did to a model's answers: the logits of base + adapter beside
 * those of the merged folder, over a few prompts.
 *
 * weights_drift counts what rounding did to weights; what a reader of answers wants to know is what
 * became of the logits, after all blocks. Both models run on the CPU in f32, one after the other,
 * so that the difference is the merged weights' rounding (and the order of sums, some 1e-6) and
 * nothing else. Needs the memory of one f32 model.
 */
#pragma once
#include "model/decoder.h"

struct logit_drift {
    uint64_t rows;   /* places at which a next token was predicted */
    uint64_t same;   /* of them: the likeliest token is the same */
    double rms, max; /* of merged - (base + adapter) */
    double size_rms; /* of the logits of base + adapter, less each row's mean */
};
/* base: HF folder; adapter: PEFT folder; merged: HF folder. b as the decoder takes it; rows beyond
 * what one answer needs are welcome. */
MUST_CHECK bool logit_drift(const char *base, const char *adapter, const char *merged,
                            const struct decoder_batch *b, struct logit_drift *out, struct err *e);
/* Bytes that it takes, to ask before. */
MUST_CHECK bool logit_drift_bytes(const char *base, const struct decoder_batch *b, uint64_t *bytes,
                                  struct err *e);
