/*
 * model/model - a decoder's frozen weights on a device, from an HF-shaped folder (config.json,
 * *.safetensors).
 *
 * q, k, v and gate, up are kept merged, one product each. Weights are in the device dtype (f32 or
 * bf16), norms in f32. One model may serve many adapters and workspaces. Not thread-safe.
 */
#pragma once
#include "compute/dev.h"
#include "model/spec.h"

struct model;
MUST_CHECK bool model_open(struct dev *d, const char *dir, enum dev_dtype dtype, struct model **out,
                           struct err *e);
/* With the linear layers kept in few bits (QLoRA): the embedding, the head and norms stay as they
 * are. A layer is given back its dtype for each product, so that what is trained sees exactly the
 * dequantised weights; it costs a pass over the codes a product. Not with lora.method full. */
MUST_CHECK bool model_open_quant(struct dev *d, const char *dir, enum dev_dtype dtype,
                                 enum dev_quant_kind quant, struct model **out, struct err *e);
/* The same, laid out for an adapter of these options, where that pays on the device (lora_folds):
 * each linear with room for its factors right of its rows and below them (model/parts.h). Any
 * adapter, or none, may be used with it: what does not fit the room lives elsewhere. o NULL: no
 * room. */
struct lora_opts;
MUST_CHECK bool model_open_for(struct dev *d, const char *dir, enum dev_dtype dtype,
                               enum dev_quant_kind quant, const struct lora_opts *o,
                               struct model **out, struct err *e);
/* Fix the rotary frequencies for sequences of at most so many tokens, before any work with the
 * model: longrope and dynamic (model/rope.h); 0, or another kind: nothing. Beyond longrope's
 * max_position_embeddings: ERR_CONFIG. */
MUST_CHECK bool model_set_context(struct model *m, uint32_t tokens, struct err *e);
/* Can this model be used as one that was opened for o? */
MUST_CHECK bool model_has_room(const struct model *m, const struct lora_opts *o, bool *has,
                               struct err *e);
/* Device bytes that opening without room takes: to plan without the weights. */
MUST_CHECK bool model_bytes(const struct model_spec *s, enum dev_dtype dtype,
                            enum dev_quant_kind quant, uint64_t *out, struct err *e);
void model_close(struct model *m);
const struct model_spec *model_get_spec(const struct model *m);
struct dev *model_dev(const struct model *m);
enum dev_dtype model_dtype(const struct model *m);
/* SHA-256 over names, dtypes, shapes and the XXH3-128 of the bytes of all tensors as stored on
 * disk: names the base weights in every run and adapter made from them. Where rotary positions are
 * scaled by yarn, longrope or a dynamic beyond its border, over that scaling, too. */
void model_digest(const struct model *m, uint8_t out[32]);
/* Write a fresh HF folder (config.json, model.safetensors in f32): weights normal(0, 0.02) from
 * counters (seed, RNG_MODEL_INIT, tensor), norms one. For tiny models trained from scratch, and
 * for tests. */
MUST_CHECK bool model_init_random(const struct model_spec *s, uint64_t seed, const char *dir,
                                  struct err *e);
