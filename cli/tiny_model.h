/*
 * cli/tiny_model - a model small enough to train from nothing on a laptop: random weights, and a
 * tokenizer whose tokens are the 256 bytes and three specials.
 *
 * It shows the machinery where no real weights are to be had; it is no model to use.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

/* Write an HF-shaped folder (config.json, model.safetensors, tokenizer.json, ...). arch: "llama" or
 * "t5". */
MUST_CHECK bool tiny_model_make(const char *dir, const char *arch, uint64_t seed, struct err *e);
