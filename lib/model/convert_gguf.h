/*
 * model/convert_gguf - a model, or a LoRA adapter, as one GGUF file that llama.cpp and Ollama load.
 *
 * Laid out as llama.cpp's converters do: q and k with rotary pairs side by side (model/gguf_spec),
 * norms and rope_freqs in F32, the rest in one type; with Q4_0 embedding and head in Q8_0, as four
 * bits cost most there, and rows that blocks of 32 do not fit in F16. An adapter file keeps one
 * alpha; the runtime scales each pair by alpha / rank, so modules with another scale (rsLoRA,
 * patterns) have theirs folded into B: exact in f32. DoRA has no place in an adapter file and is
 * refused: merge it.
 *
 * GGUF's llama architecture has no sliding window that llama.cpp obeys: the key is written, and
 * read back by us; llama.cpp attends to what lies beyond the window, too. The same goes for yarn's
 * beta_fast and beta_slow: llama.cpp takes 32 and 1 there unless told by --yarn-beta-fast and
 * --yarn-beta-slow.
 */
#pragma once
#include "model/gguf_write.h"
#include "model/weights.h"

struct gguf_export {
    const char *base;          /* HF folder or GGUF file */
    const char *adapter;       /* merged in; NULL: none */
    const char *tokenizer_dir; /* tokenizer.json */
    const char *name;          /* general.name */
    uint32_t type;             /* GGML_F32, GGML_F16, GGML_BF16, GGML_Q8_0, GGML_Q4_0 */
};
MUST_CHECK bool convert_gguf_model(const struct gguf_export *x, const char *path,
                                   struct weights_drift *drift, struct err *e);
/* base gives the shapes. */
MUST_CHECK bool convert_gguf_adapter(const char *base, const char *adapter, const char *name,
                                     const char *path, struct err *e);
