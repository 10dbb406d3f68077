/*
 * model/convert - weights from a GGUF file or an HF folder, with or without an adapter merged in,
 * to an HF folder that model_open and transformers read.
 *
 * Writes config.json (last, so a folder that has it is whole) and model.safetensors; the
 * tokenizer's files are the caller's (lib/text). A tied head is left out. Streams row by row
 * (model/weights).
 */
#pragma once
#include "model/weights.h"

/* from: a *.gguf file or an HF folder. out: DTYPE_F32, DTYPE_BF16 or DTYPE_F16. */
MUST_CHECK bool convert_to_hf(const char *from, const char *to_dir, enum dtype out, struct err *e);
/* The same with an adapter merged in (NULL: none), in f32, rounded once; *drift says what the
 * rounding took. */
MUST_CHECK bool convert_merge(const char *from, const char *adapter, const char *to_dir,
                              enum dtype out, struct weights_drift *drift, struct err *e);
