/*
 * judge/judge_read - a model's reading of judgements: a continuous grade and how unsure it is.
 *
 * The main idea: behind prompt, list of errors (written greedily by the model, where it was trained
 * to) and "score:", the five grades' logits are a softmax; its mean is the value, its standard
 * deviation the spread. So a judge that hesitates between 2 and 4 says so, instead of saying 3.
 * A reading depends on its own item and the weights alone.
 */
#pragma once
#include "judge/judge_prompt.h"
#include "model/model_opts.h"

enum { JUDGE_LIST_BYTES = 160 };
struct judge_reading {
    double value, spread;        /* 1..5; 0..2 */
    char list[JUDGE_LIST_BYTES]; /* what the model lists, NUL-terminated; empty without lists */
};

struct judge_read;
/* adapter: a PEFT folder (or a model folder of method full), NULL: the base alone. slot: as for
 * model_slot_open, or NULL. p is borrowed. */
MUST_CHECK bool judge_read_open(struct judge_prompt *p, const struct model_opts *m,
                                struct model_slot *slot, const char *adapter, uint32_t max_tokens,
                                struct judge_read **out, struct err *e);
void judge_read_close(struct judge_read *r);
/* Digests, hexadecimal, of the base's weights and of the adapter's files (zeros without one). */
void judge_read_digests(const struct judge_read *r, char base[65], char adapter[65]);
/* Of an adapter's files, as judge_read_digests gives it. */
MUST_CHECK bool judge_read_digest(const char *adapter, char out[65], struct err *e);
/* Read n items; `done` (may be NULL) is told after each. ERR_STOPPED after stop_request. */
MUST_CHECK bool judge_read_run(struct judge_read *r, const struct judge_fields *items, size_t n,
                               struct judge_reading *out, void (*done)(void *ctx, size_t i),
                               void *ctx, struct err *e);
