/*
 * generate/gen_inputs - everything a generate run reads, opened and checked against each other.
 */
#pragma once
#include "base/json.h"
#include "compute/dev.h"
#include "generate/generate.h"
#include "model/lora.h"
#include "model/model.h"
#include "shard/shard_reader.h"
#include "shard/source_text.h"
#include "text/tokenizer.h"

struct gen_inputs {
    struct shard_set *set;
    struct source_text *texts; /* NULL: pairs hold no fields */
    bool findings, clinical;   /* which they hold */
    struct tokenizer *tok;
    struct model_slot *slot; /* borrowed; owns the next two unless NULL */
    struct dev *dev;
    struct model *model;
    struct lora *lora;          /* NULL: none, or merged into model */
    bool adapted;               /* there is an adapter */
    uint64_t model_bytes;       /* on the device, with the adapter, once both are there */
    size_t n;                   /* samples to answer */
    uint32_t max_len;           /* longest prompt + answer; behind an encoder without the answer */
    uint32_t max_follow;        /* longest prompt + reference; behind an encoder the reference */
    uint8_t adapter_digest[32]; /* over the folder's files; zeros without an adapter */
};
/* On failure call close all the same. */
MUST_CHECK bool gen_inputs_open(const struct generate_job *j, struct gen_inputs *in, struct err *e);
void gen_inputs_close(struct gen_inputs *in);
/* What the answers are a function of, as names and digests: {"adapter": hex, ...}. NULL: no memory.
 */
json_t *gen_inputs_identity(const struct gen_inputs *in);
