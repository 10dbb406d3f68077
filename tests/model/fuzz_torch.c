#include "model/torch_bin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte of an accepted tensor can be read. */
static bool touch(void *ctx, const struct safetensor *t, struct err *e)
{
    unsigned *sum = ctx;
    (void)e;
    for (uint64_t i = 0; i < t->bytes; i++)
        *sum += t->data[i];
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    unsigned sum = 0;
    (void)!torch_bin_read(data, size, "input", touch, &sum, &e);
    return 0;
}
