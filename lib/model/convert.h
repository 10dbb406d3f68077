/*
 * model/convert - weights from a GGUF file or another HF folder to one HF folder that model_open
 * and transformers read.
 *
 * Writes config.json (last, so a folder that has it is whole) and model.safetensors; the
 * tokenizer's files are the caller's (lib/text). GGUF's llama architecture keeps q and k with
 * rotary pairs side by side; HF keeps halves: rows are put back in HF's order. A tied head is
 * left out. Streams row by row; needs the memory of one row.
 */
#pragma once
#include "model/dtype.h"

/* from: a *.gguf file or an HF folder. out: DTYPE_F32, DTYPE_BF16 or DTYPE_F16. */
MUST_CHECK bool convert_to_hf(const char *from, const char *to_dir, enum dtype out, struct err *e);
