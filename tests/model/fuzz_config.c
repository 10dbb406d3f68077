#include <stdlib.h>

#include "model/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct model_spec s;
    if (model_spec_parse((struct str){(const char *)data, size}, "input", &s, &e)) {
        float *inv = malloc((s.head_dim / 2 + 1) * sizeof *inv);
        if (inv) model_spec_inv_freq(&s, inv);
        free(inv);
        if (model_spec_params(&s) == 0) abort();
    }
    return 0;
}
