/*
 * model/gguf_spec - what GGUF's architecture "llama" (Llama and Mistral) calls what HF calls
 * otherwise: metadata, tensor names, and the order of q's and k's rows.
 *
 * GGUF keeps the pairs that rotary positions turn side by side, HF half a head apart: row
 * h*hd + 2i + j there is row h*hd + j*hd/2 + i here. Llama 3's scaling of frequencies is a tensor
 * of divisors there (rope_freqs.weight), parameters here. longrope's divisors are two tensors there
 * (rope_factors_short.weight, rope_factors_long.weight). yarn's factor on cos and sin is kept there
 * as a multiple of its default, and its ramp's ends are always rounded. dynamic is not known there:
 * up to its border, which is the context length, it is no scaling, and so it is written.
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
/* The tensors of divisors of a scaling: llama3 has one, longrope two. */
enum { GGUF_DIVISORS = 2 };
uint32_t gguf_spec_ndivisors(const struct model_spec *s);
const char *gguf_spec_divisors_name(const struct model_spec *s, uint32_t i);
/* head_dim / 2 values. */
void gguf_spec_divisors(const struct model_spec *s, uint32_t i, float *out);
