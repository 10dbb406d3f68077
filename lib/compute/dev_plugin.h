/*
 * compute/dev_plugin - what a device in a shared object shows to dev.c: one function, one table.
 *
 * radmill never links with CUDA. `radmill_cuda.so` is opened when device "cuda" is asked for, and
 * everything in it is hidden but DEV_PLUGIN_SYMBOL. Both sides are built from one tree: the table
 * begins with a version and with the sizes of the structs that cross the border, and a plug-in
 * built from another tree is refused by name instead of crashing.
 *
 * Memory never changes sides: what one allocates the same one frees.
 */
#pragma once
#include "compute/dev_ops.h"

enum { DEV_PLUGIN_ABI = 4 };
#define DEV_PLUGIN_SYMBOL "radmill_dev_plugin"

struct dev_plugin {
    uint32_t abi, ops_count, dev_bytes, call_bytes, buf_bytes, err_bytes;
    const struct dev_ops *ops;
    /* Devices that this process sees; 0 with the reason in why. */
    int (*count)(char *why, size_t size);
};
#define DEV_PLUGIN_HEAD                                                                            \
    .abi = DEV_PLUGIN_ABI, .ops_count = DEV_OPS_COUNT, .dev_bytes = sizeof(struct dev),            \
    .call_bytes = sizeof(struct dev_call), .buf_bytes = sizeof(struct dev_buf),                    \
    .err_bytes = sizeof(struct err)

typedef const struct dev_plugin *dev_plugin_fn(void); /* the type that dlsym's result is cast to */

/* ---- dev_plugin.c, the program's side */
/* The plug-in, loaded on the first call and kept; NULL with the reason. */
const struct dev_plugin *dev_plugin_load(struct err *e);
const struct dev_place *dev_plugin_place(void);
/* Without loading anything: is there a GPU's device file, or does the job say it has one? */
bool dev_plugin_sees_gpu(void);
