#include "model/torch_bin.h"
#include "model/torch_pickle.h"

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

/* As a file, and as the pickle inside one, which a broken zip would hide. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0}, pe = {0};
    struct pickle m;
    const struct pickle_value *top;
    unsigned sum = 0;
    (void)!torch_bin_read(data, size, "input", touch, &sum, &e);
    pickle_init(&m, "input");
    if (pickle_read(&m, data, size, &top, &pe)) (void)pickle_get(top, "a");
    pickle_free(&m);
    return 0;
}
