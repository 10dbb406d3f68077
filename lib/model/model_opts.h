/*
 * model/model_opts - the `model:` section of the configuration, shared by train and generate.
 */
#pragma once
#include "base/opt.h"
#include "compute/dev.h"
#include "model/lora.h"

enum model_dtype_choice { MODEL_DTYPE_AUTO, MODEL_DTYPE_F32, MODEL_DTYPE_BF16 };
struct model_opts {
    const char *base;   /* folder: config.json, *.safetensors, tokenizer.json */
    const char *name;   /* hub name for adapter_config.json; NULL: base as given */
    const char *device; /* auto, cpu, strict, cuda:N */
    int dtype;          /* enum model_dtype_choice */
    int quant;          /* enum dev_quant_kind */
    uint32_t context;   /* tokens: model_set_context */
    uint32_t threads;   /* of one rank's operations */
    bool share_gpu;     /* two ranks on one GPU are meant */
};
extern const struct opt model_table[];

/* A device and a base model that stay open between the runs of one process (sweep workers): runs
 * with the same options find them there. Zeroed at first; model_slot_free in the end. Only for runs
 * that leave the base's weights alone. */
struct model_slot {
    struct dev *dev;
    struct model *model;
    uint8_t key[32]; /* of the options they were opened with */
};
/* Open the device and the model of these options, or take them from the slot (which gives up others
 * first). slot NULL: opened for the caller, who closes both. On failure both are NULL. _for: to
 * train an adapter of these options (model_open_for); a slot whose model has no room for it gives
 * that up, too. */
MUST_CHECK bool model_slot_open(struct model_slot *slot, const struct model_opts *o,
                                struct dev **dev, struct model **model, struct err *e);
MUST_CHECK bool model_slot_open_for(struct model_slot *slot, const struct model_opts *o,
                                    const struct lora_opts *l, struct dev **dev,
                                    struct model **model, struct err *e);
void model_slot_free(struct model_slot *slot);

/* The dtype to load: auto is bf16 where the device multiplies it faster than f32. */
enum dev_dtype model_opts_dtype(const struct model_opts *o, const struct dev *d);
