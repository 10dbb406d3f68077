/*
 * model/lora - the trainable part: LoRA adapters on a frozen base (Hu et al., arXiv 2106.09685), or
 * all weights of a small model (method: full).
 *
 * y = W x + scale B A x, scale = alpha / r, or alpha / sqrt(r) (rsLoRA, Kalajdzievski, arXiv
 * 2312.03732). A [r, in] starts as PEFT's kaiming-uniform(a = sqrt 5), that is
 * U(-1/sqrt(in), 1/sqrt(in)) from counters (seed, RNG_LORA_INIT, tensor); B [out, r] starts at
 * zero; or both from an adapter (init_from). Ranks and alphas may differ from layer to layer; B may
 * learn faster than A (LoRA+, arXiv 2402.12354). Masters are f32 in one device block, tensor after
 * tensor in a fixed order, so optimizer and checkpoint see one flat array.
 *
 * Folded: on a device that joins products (dev_joins) each adapted linear's factors lie around its
 * frozen weight, so that LoRA costs no pass of its own over outputs: model/parts.h. The rounding of
 * the last bits differs from the separate layout's; which one a run uses is fixed by lora.fold and
 * the device, and by nothing that changes while it runs.
 *
 * DoRA (arXiv 2402.09353) also trains a magnitude for each output: model/lora_dora.c.
 *
 * Dropout: q, k, v of a block share one mask, as do gate and up, since they share one product; PEFT
 * draws one a module. Every module sees the same distribution; only what they drop together
 * differs.
 *
 * Not here: adapters of embeddings, head or norms, biases, PiSSA, LoftQ and other starts.
 */
#pragma once
#include "base/opt.h"
#include "model/model.h"

enum lora_method { LORA_LORA, LORA_FULL };
enum lora_fold { LORA_FOLD_AUTO, LORA_FOLD_SEPARATE, LORA_FOLD_FOLDED };
struct lora_opts {
    int method; /* enum lora_method */
    uint32_t rank;
    double alpha, dropout;
    /* all-linear, names (q_proj) or regular expressions: model/pattern.h; blocks: "0-3", "7" */
    struct opt_strs targets, exclude, layers;
    const struct opt_node *rank_pattern, *alpha_pattern;
    bool rslora, dora;
    double loraplus_lr_ratio; /* 0 counts as 1 */
    const char *init_from;
    int fold; /* enum lora_fold */
};
extern const struct opt lora_table[];

/* Are adapters of these options laid out folded on this device, room permitting? */
bool lora_folds(const struct lora_opts *o, const struct dev *d);

struct lora;
/* Does it live in the base's room? Then workspaces need room for h, too (decoder_room_bytes). */
bool lora_folded(const struct lora *l);
struct lora_tensor {
    const char *name; /* PEFT key: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight;
                         full: the HF tensor name */
    uint64_t offset;  /* elements into the flat block */
    uint32_t rows, cols;
    bool vector;    /* one dimension in files: [cols] */
    float lr_ratio; /* of this tensor's learning rate over the run's */
};

MUST_CHECK bool lora_open(struct model *m, const struct lora_opts *o, uint64_t seed,
                          struct lora **out, struct err *e);
/* A PEFT folder (adapter_config.json, adapter_model.safetensors), or for method full an HF folder.
 * One whose radmill.json names other base weights than m's is warned of and taken: a base in
 * another format (GGUF, other dtype) has other bytes. */
MUST_CHECK bool lora_load(struct model *m, const char *dir, struct lora **out, struct err *e);
void lora_close(struct lora *l);

const struct lora_tensor *lora_tensors(const struct lora *l, size_t *n);
uint64_t lora_count(const struct lora *l);         /* elements of the flat block */
struct dev_buf *lora_params(const struct lora *l); /* f32 [lora_count] masters */
/* After the masters changed (optimizer step, checkpoint load): refresh the device's working copies.
 */
MUST_CHECK bool lora_refresh(struct lora *l, struct err *e);
/* Add the adapter to the base's weights on the device, rounded once to the model's dtype: the model
 * alone is then what model and adapter were, and l can be closed. For decoding; model_digest does
 * not change. Not with DoRA or a quantised base (ERR_CONFIG; `radmill convert` merges on disk);
 * method full is in the weights already. */
MUST_CHECK bool lora_merge(struct lora *l, struct err *e);
/* Write a folder PEFT loads (or an HF folder for method full); atomic per file, config last.
 * base_name goes into base_model_name_or_path. */
MUST_CHECK bool lora_save(struct lora *l, const char *dir, const char *base_name, struct err *e);
