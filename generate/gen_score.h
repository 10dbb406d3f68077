/*
 * generate/gen_score - how probable the model finds what the radiologist wrote: the loss of the
 * reference given the prompt (teacher forcing), the number training minimises, on this split.
 *
 * One sample at a time, so that a sample's figure does not depend on its neighbours.
 */
#pragma once
#include "generate/gen_inputs.h"
#include "model/decoder.h"

struct gen_score {
    struct decoder_work *work;
    bool both;      /* encoder-decoder */
    uint32_t *rows; /* 0, 1, 2, ...: a sample's loss rows are a stretch of it */
};
/* Room for the longest sample of the split. On failure call free all the same. */
MUST_CHECK bool gen_score_init(struct gen_score *s, const struct gen_inputs *in, struct err *e);
void gen_score_free(struct gen_score *s);
/* Device bytes that gen_score_init takes, but for the scratch of an adapter. */
uint64_t gen_score_bytes(const struct gen_inputs *in);
/* Sum of -ln p over the target tokens, EOS included. */
MUST_CHECK bool gen_score_sample(struct gen_score *s, const struct sample *x, double *nll,
                                 struct err *e);
