/*
 * model/arch - the table of architectures: what a config.json means, which tensors a model has,
 * and which of them are the parts of a linear layer. The inside of lib/model.
 *
 * The main idea: a model is a stack of blocks (decoder), or two (encoder, decoder), and a block is
 * a list of rows in the order of the flat block of method full. Names, shapes, loading, saving and
 * the adapters' modules all follow from the rows. Blocks are numbered through: the encoder's first.
 *
 * Adding an architecture is one file that defines a struct model_arch (its rows, how its config is
 * read and written), and a line in arch.c.
 */
#pragma once
#include "base/json.h"
#include "model/spec.h"

/* The merged linear layers of a block, in the order of computation. X: cross attention. */
enum linear { LIN_QKV, LIN_O, LIN_XQ, LIN_XKV, LIN_XO, LIN_GU, LIN_DOWN, LINEARS };
enum { MAX_PARTS = 3, BLOCK_MODULES = 12, BLOCK_NORMS = 3, TENSOR_NAME = 128 };

/* Which blocks have a row. */
enum arch_when { ALWAYS, GATED, PLAIN, FIRST_BLOCK };
enum arch_kind { ROW_NORM, ROW_LINEAR, ROW_TABLE };
struct arch_row {
    const char *name; /* "self_attn.q_proj" */
    enum arch_kind kind;
    enum linear lin; /* of ROW_LINEAR */
    uint32_t which;  /* part of the linear; number of the norm */
    enum arch_when when;
};
struct arch_stack {
    const char *blocks, *norm; /* "model.layers", "model.norm" */
    const struct arch_row *rows;
    uint32_t nrows;
};
struct model_arch {
    const char *type, *class_name; /* model_type; architectures */
    const char *peft_task;         /* task_type of an adapter */
    const char *embed;             /* "model.embed_tokens" */
    struct arch_stack stack[2];    /* encoder (no rows: none), decoder */
    bool (*read)(const json_t *j, struct model_spec *s, struct err *e);
    /* Add to j what config.json says beyond the common; false: no memory. */
    bool (*write)(const struct model_spec *s, json_t *j);
};
extern const struct model_arch arch_llama, arch_mistral, arch_t5;

/* NULL when there is none of that name. */
const struct model_arch *arch_find(struct str model_type);
/* "llama, mistral or t5" */
const char *arch_names(void);
const struct model_arch *arch_of(const struct model_spec *s);

/* A linear of a block: its parts lie one under the other. nparts 0: the block has none such. */
struct linear_shape {
    uint32_t in, out, nparts;
    uint32_t rows[MAX_PARTS];   /* of each part */
    uint32_t module[MAX_PARTS]; /* number within the block, below BLOCK_MODULES */
};
struct linear_shape linear_shape(const struct model_spec *s, uint32_t layer, enum linear lin);
/* "model.layers.3.self_attn.q_proj" of module i of [layers * BLOCK_MODULES]; false: there is none.
 */
bool arch_module_path(const struct model_spec *s, uint32_t i, char out[TENSOR_NAME]);

/* ---- the tensors of an HF checkpoint, in the order of the flat block of method full: embedding,
 * then stack by stack block by block its rows and the stack's norm, then the head unless tied. */
enum tensor_place { AT_EMBED, AT_ROW, AT_STACK_NORM, AT_HEAD };
struct model_tensor {
    char name[TENSOR_NAME];
    enum tensor_place place;
    const struct arch_row *row; /* AT_ROW */
    uint32_t layer, stack;
    uint32_t rows, cols; /* a norm is [1, d] here and [d] in files */
    bool norm;
};
uint32_t model_ntensors(const struct model_spec *s);
void model_tensor_at(const struct model_spec *s, uint32_t i, struct model_tensor *out);
/* Number of the first part of a linear, of a norm of a block, of a stack's table or norm. */
uint32_t model_tensor_index(const struct model_spec *s, uint32_t layer, enum linear lin);
uint32_t model_norm_index(const struct model_spec *s, uint32_t layer, uint32_t which);
uint32_t model_table_index(const struct model_spec *s, uint32_t stack);
uint32_t model_stack_norm_index(const struct model_spec *s, uint32_t stack);
