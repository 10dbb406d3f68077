#include <stdlib.h>

#include "model/encoder.h"
#include "model/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct model_spec s;
    struct encoder_info info;
    if (encoder_info_parse((struct str){(const char *)data, size}, "input", &info, &e) &&
        (info.max_tokens == 0 || info.d % info.heads))
        abort();
    err_clear(&e);
    if (model_spec_parse((struct str){(const char *)data, size}, "input", &s, &e)) {
        float *inv = malloc((s.head_dim / 2 + 1) * sizeof *inv);
        if (inv) model_spec_inv_freq(&s, inv);
        for (uint32_t i = 0; inv && i < s.head_dim / 2; i++) {
            if (!(inv[i] >= 0)) abort(); /* NaN */
        }
        if (!(model_spec_score_factor(&s) > 0)) abort();
        free(inv);
        if (model_spec_params(&s) == 0) abort();
    }
    return 0;
}
