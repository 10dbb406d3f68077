/*
 * model/torch_bin - tensors of a PyTorch file (pytorch_model.bin, *.pt, *.pth), as torch.save
 * writes them: a zip of stored entries (torch 1.6 on), or the older row of pickles.
 *
 *     zip      NAME/data.pkl, NAME/data/0, NAME/data/1, ...   [NAME/byteorder]
 *     legacy   pickles: magic, 1001, system, the object, storage keys; then u64 n | bytes per key
 *
 * A pickle is a program that may call anything. This reader is no interpreter of such programs: it
 * knows the few instructions that build dictionaries, tuples and lists of text and numbers, and two
 * "calls" that mean a tensor. Nothing is looked up, imported or run; any other global name, and any
 * other instruction, is an error that names it.
 *
 * Tensors are views into the file's memory. The file must hold one dictionary of tensors (or one
 * under the key state_dict, model_state_dict or model, as training scripts save them beside an
 * optimizer's state); values that are no tensors are passed over. Where all names begin with
 * "module." (torch.nn.DataParallel) they lose it. Tensors must be
 * contiguous, of a dtype that model/dtype knows, little-endian; compressed or encrypted zip entries
 * are refused.
 *
 * Limits: pickle 16 MB, 1,000,000 zip entries and memo slots, 200,000 storages, 8 dimensions.
 */
#pragma once
#include "model/safetensors.h"

/* Does it begin like one? */
bool torch_bin_is(const uint8_t *p, size_t n);

/* Called once a tensor; t->name lives for the call, t->data as long as the memory. */
typedef bool (*torch_bin_fn)(void *ctx, const struct safetensor *t, struct err *e);
MUST_CHECK bool torch_bin_read(const uint8_t *p, size_t n, const char *what, torch_bin_fn add,
                               void *ctx, struct err *e);
