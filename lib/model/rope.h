/*
 * model/rope - how far apart the rotary angles of a model stand: the scaling that stretches a
 * context, as config.json and transformers' modeling_rope_utils (5.23) have it. The inside of
 * lib/model; what others need is in model/spec.h.
 *
 * The main idea: every kind is head_dim / 2 frequencies and one factor on cos and sin, fixed when
 * the model is loaded. They never follow the sequences of a batch, so that neither a neighbour nor
 * a key that lies in the cache since a shorter time changes an answer.
 *
 *     default, linear, llama3, yarn   the same for every length, here and there
 *     longrope    transformers: short_factor while the longest sequence of the batch has at most
 *                 original_max_position_embeddings tokens, else long_factor. Here: long_factor if
 *                 model_spec.context is above that border, else short_factor
 *     dynamic     transformers: a base that grows with the longest sequence beyond
 *                 max_position_embeddings, also in the middle of an answer. Here: the base for
 *                 model_spec.context tokens
 *
 * Without a context both are exactly transformers' for every sequence up to their border, and
 * longer ones are refused (model_spec_longest). With one: longrope is transformers' for every
 * sequence beyond the border (shorter ones get long_factor, too, as vLLM and llama.cpp do it),
 * dynamic for a sequence of just so many tokens.
 *
 * The factor on cos and sin turns up in a score twice, from query and key, and all of a head's
 * dimensions turn (partial_rotary_factor is refused), so it goes squared into the scale of the
 * scores: no operation knows of it.
 *
 * Not here: other kinds (proportional, mrope, "su"), partial rotary factors, a kind for each layer.
 * GGUF knows yarn and longrope: model/gguf_spec.
 */
#pragma once
#include "base/json.h"
#include "model/spec.h"

/* rope_theta, and rope_parameters (transformers 5) or rope_scaling (4, whose "rope_type" was once
 * "type"), of a config whose sizes are in s already. Refused by name: another kind, lists of
 * another length than head_dim / 2, numbers out of range (factor below 1 or above 1e6, divisors
 * outside 0.001 to 1e6, an
 * attention_factor outside 0.001 to 1000, beta outside 1e-6 to 1e6 or crossed). */
MUST_CHECK bool rope_read(const json_t *config, struct model_spec *s, struct err *e);
/* Are the values of s a scaling that can be computed? Said for yarn, dynamic, longrope. */
MUST_CHECK bool rope_check(const struct model_spec *s, struct err *e);
/* For "rope_scaling"; null where there is none. NULL: no memory. */
json_t *rope_json(const struct model_spec *s);
/* The factor on cos and sin that a kind has by itself, from its factor: what config.json says
 * where it differs. */
double rope_attention_default(const struct model_spec *s);
/* Does anything depend on the context? */
bool rope_stretches(const struct model_spec *s);
/* A model's digest (model_digest) says nothing of angles; those of yarn, longrope and a dynamic
 * that is stretched become a part of it here. For other kinds it stays as it is. */
void rope_digest(const struct model_spec *s, uint8_t digest[32]);
