/*
 * generate/decode_pick - from a row of logits to a token: greedy or drawn, with its probability.
 *
 * Sums are in f64 in a fixed order. What is more than e^30 times less probable than the first
 * choice counts as impossible: together less than 1e-8 of the whole for any vocabulary there is.
 */
#pragma once
#include "generate/decode.h"

/* Candidates of one row; room for a whole vocabulary. */
struct pick_scratch {
    struct dev_candidate *c;
    uint32_t vocab;
};
MUST_CHECK bool pick_scratch_init(struct pick_scratch *s, uint32_t vocab, struct err *e);
void pick_scratch_free(struct pick_scratch *s);

struct decode_choice {
    uint32_t id;
    float logprob;
    struct decode_alternative top[DECODE_TOP];
    uint32_t ntop;
};
/* How token number `index` of the answer is drawn: a function of the seed and the index. */
struct dev_draw pick_draw(const struct decode_sampling *o, uint32_t index);
/* Token number `index` of the answer. */
void pick_token(const struct decode_request *r, uint32_t index, const float *logits,
                struct pick_scratch *s, struct decode_choice *out);
/* log of the sum of e^logit. */
double pick_log_sum(const float *logits, uint32_t vocab);
/* The n most probable tokens, most probable first, the lower id on a tie; returns how many there
 * are: n, or all. */
uint32_t pick_best(const float *logits, uint32_t vocab, uint32_t n, struct decode_alternative *out);
