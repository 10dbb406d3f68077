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
void model_close(struct model *m);
const struct model_spec *model_get_spec(const struct model *m);
struct dev *model_dev(const struct model *m);
enum dev_dtype model_dtype(const struct model *m);
/* SHA-256 over names, shapes, dtypes and bytes of the weights as stored on disk. */
void model_digest(const struct model *m, uint8_t out[32]);
