/*
 * model/lora - the trainable part: LoRA adapters on a frozen base (Hu et al., arXiv 2106.09685), or
 * all weights of a small model (method: full).
 *
 * y = W x + (alpha / r) B A x. A [r, in] starts as PEFT's kaiming-uniform(a = sqrt 5), that is
 * U(-1/sqrt(in), 1/sqrt(in)) from counters (seed, RNG_LORA_INIT, tensor); B [out, r] starts at
 * zero. Masters are f32 in one device block, tensor after tensor in a fixed order, so optimizer and
 * checkpoint see one flat array.
 */
#pragma once
#include "base/opt.h"
#include "model/model.h"

enum lora_method { LORA_LORA, LORA_FULL };
struct lora_opts {
    int method; /* enum lora_method */
    uint32_t rank;
    double alpha, dropout;
    struct opt_strs targets; /* names (q_proj, ...), or all-linear */
};
extern const struct opt lora_table[];

struct lora;
struct lora_tensor {
    const char *name; /* PEFT key: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight;
                         full: the HF tensor name */
    uint64_t offset;  /* elements into the flat block */
    uint32_t rows, cols;
};

MUST_CHECK bool lora_open(struct model *m, const struct lora_opts *o, uint64_t seed,
                          struct lora **out, struct err *e);
/* A PEFT folder (adapter_config.json, adapter_model.safetensors), or for method full an HF folder.
 */
MUST_CHECK bool lora_load(struct model *m, const char *dir, struct lora **out, struct err *e);
void lora_close(struct lora *l);

const struct lora_tensor *lora_tensors(const struct lora *l, size_t *n);
uint64_t lora_count(const struct lora *l);         /* elements of the flat block */
struct dev_buf *lora_params(const struct lora *l); /* f32 [lora_count] masters */
/* After the masters changed (optimizer step, checkpoint load): refresh the device's working copies.
 */
MUST_CHECK bool lora_refresh(struct lora *l, struct err *e);
/* Write a folder PEFT loads (or an HF folder for method full); atomic per file, config last.
 * base_name goes into base_model_name_or_path. */
MUST_CHECK bool lora_save(struct lora *l, const char *dir, const char *base_name, struct err *e);
