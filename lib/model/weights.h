/*
 * model/weights - every weight of a model as f32 rows, from an HF-shaped folder or a GGUF file,
 * with an adapter merged in on the way: what all exports read.
 *
 * Merging is W + scale B A in f32 (and DoRA's m / norm over it), row by row; needs the memory of
 * one row and of one module's factors. What a later rounding to the export's dtype loses is counted
 * by weights_note.
 */
#pragma once
#include "model/parts.h"

struct weights;
/* adapter: a PEFT folder, or (method full) a model folder that then stands for the base's weights;
 * NULL: none. */
MUST_CHECK bool weights_open(const char *base, const char *adapter, struct weights **out,
                             struct err *e);
void weights_close(struct weights *w);
const struct model_spec *weights_spec(const struct weights *w);
/* Is there a tensor of every name and shape? Says which is not. */
MUST_CHECK bool weights_check(const struct weights *w, struct err *e);
/* Go to tensor i of model_tensor_at; then its rows, in HF's order, cols floats each. */
MUST_CHECK bool weights_begin(struct weights *w, uint32_t i, struct err *e);
const struct model_tensor *weights_tensor(const struct weights *w); /* the one begun */
void weights_row(struct weights *w, uint32_t r, float *out);

/* Drift: `stored` is what the export kept of the row that weights_row gave last. */
void weights_note(struct weights *w, const float *stored);
struct weights_drift {
    uint64_t merged;   /* tensors that the adapter changed */
    double update_rms; /* of W' - W over those */
    double loss_rms;   /* of stored - W', likewise */
    double loss_max;
};
struct weights_drift weights_drift(const struct weights *w);
