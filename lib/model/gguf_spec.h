/*
 * model/gguf_spec - what GGUF's architecture "llama" (Llama and Mistral) calls what HF calls
 * otherwise: metadata, tensor names, and the order of q's and k's rows.
 *
 * GGUF keeps the pairs that rotary positions turn side by side, HF half a head apart: row
 * h*hd + 2i + j there is row h*hd + j*hd/2 + i here. Llama 3's scaling of frequencies is a tensor
 * of divisors there (rope_freqs.weight), parameters here.
 */
#pragma once
#include "model/gguf.h"
#include "model/parts.h"

/* Another architecture, or what we cannot compute, is an error that names it. */
MUST_CHECK bool gguf_spec_read(const struct gguf *g, struct model_spec *s, struct err *e);
/* "blk.0.attn_q.weight"; out has TENSOR_NAME bytes. */
void gguf_spec_name(const struct model_tensor *t, char *out);
/* GGUF's row of HF's row r of a tensor; for all but q and k it is r. And back. */
uint32_t gguf_spec_row(const struct model_spec *s, const struct model_tensor *t, uint32_t r);
uint32_t gguf_spec_row_back(const struct model_spec *s, const struct model_tensor *t, uint32_t r);
/* Llama 3's divisors, head_dim / 2 of them. */
void gguf_spec_divisors(const struct model_spec *s, float *out);
