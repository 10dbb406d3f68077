/*
 * model/gguf_vocab - a Hugging Face tokenizer (tokenizer.json, tokenizer_config.json) as the
 * tokenizer.ggml.* metadata that llama.cpp reads.
 *
 * Byte-level BPE becomes model "gpt2" with the pre-tokenizer's name (llama-bpe, smollm, gpt-2);
 * BPE with byte fallback (Llama 2, Mistral) becomes "llama" with scores that order merges as the
 * merge list does. Mistral's tokenizer.json puts no space in front of text that begins with one
 * (or with U+2581), nor behind a special token; llama.cpp, like SentencePiece, always does: only
 * such text gets other ids.
 * What llama.cpp would cut otherwise is refused, not approximated. Ids that the model has and the
 * tokenizer has not become unused tokens.
 *
 * It does not encode anything; lib/text does.
 */
#pragma once
#include "model/gguf_write.h"
#include "model/spec.h"

MUST_CHECK bool gguf_put_vocab(struct gguf_writer *w, const char *dir, const struct model_spec *s,
                               struct err *e);
