/*
 * generate/decode - many prompts to many answers: continuous batching over a decoder cache.
 *
 * Prompts are taken longest first; a finished sequence's slot is refilled at once. Greedy answers
 * are identical for any batch size, order and rank count (decoder_step's promise).
 */
#pragma once
#include "model/decoder.h"

struct decode_opts {
    uint32_t slots;   /* sequences at once */
    uint32_t max_len; /* prompt + answer */
    uint32_t max_new_tokens;
    uint32_t prefill_rows; /* most prompt tokens in one step */
    /* Longest first among this many prompts, so that answers come roughly in the order of the
     * prompts; 0: among all. */
    uint32_t window;
    int32_t eos[8];
    uint32_t neos;
};
struct decode_prompt {
    const uint32_t *ids;
    uint32_t n;
};
struct decode_answer {
    const uint32_t *ids; /* without the EOS; borrowed until the callback returns */
    uint32_t n;
    bool ended; /* by EOS, not by max_new_tokens */
};
struct decode_stats {
    uint64_t prompt_tokens, new_tokens, steps;
    double prefill_s, decode_s; /* a step's time is shared out by its rows */
};
/* Called when answer i is complete (in any order); false with *e set ends the run. */
typedef bool (*decode_done_fn)(void *ctx, size_t i, const struct decode_answer *a, struct err *e);

/* Decode all prompts; `done` sees every answer once. An answer ends at an EOS, after
 * max_new_tokens, or where prompt and answer fill max_len. A prompt that is empty or leaves no room
 * for an answer is ERR_LIMIT before any work. stats are added to. l may be NULL. */
MUST_CHECK bool decode_run(struct model *m, struct lora *l, const struct decode_opts *o,
                           const struct decode_prompt *prompts, size_t n, decode_done_fn done,
                           void *ctx, struct decode_stats *stats, struct err *e);
