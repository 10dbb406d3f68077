/*
 * cli/bundle - all that someone needs who serves a fine-tuned model elsewhere, in one folder:
 *
 *     adapter_config.json, adapter_model.safetensors    the adapter
 *     radmill.json                                      where it is from
 *     adapter.gguf, Modelfile                           llama.cpp, Ollama
 *     vllm.sh                                           the command, with its rank limit
 *     tokenizer.json, ...                               the tokenizer that training used
 *     prompt.txt, prompt_ids.json                       the exact prompt, fields as {marks}
 *     README.md                                         a model card
 *     SHA256SUMS                                        written last
 *
 * What a server refuses, or would compute otherwise, is said: in the card, and as warnings.
 * The base's weights are not in it: they are named, with their digest.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"

enum { BUNDLE_WARNINGS = 8 };
struct bundle_summary {
    unsigned files;
    const char *warnings[BUNDLE_WARNINGS]; /* static texts */
    size_t nwarnings;
};
/* base: model folder or GGUF file; adapter: what radmill train left. */
MUST_CHECK bool bundle_write(const char *base, const char *adapter, const char *to,
                             struct bundle_summary *out, struct err *e);
