#include <stdlib.h>

#include "model/gguf.h"
#include "model/gguf_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was accepted can be read: every tensor's last row, every key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct gguf *g = NULL;
    size_t n;
    uint64_t u;
    struct str s;
    if (gguf_open_memory(data, size, "input", &g, &e)) {
        const struct gguf_tensor *t = gguf_tensors(g, &n);
        for (size_t i = 0; i < n; i++) {
            float *row = malloc(t[i].dims[0] * sizeof *row);
            if (row) gguf_row(&t[i], t[i].rows - 1, row);
            free(row);
        }
        struct err ignored = {0};
        if (!gguf_u64(g, "llama.block_count", &u, &ignored)) err_clear(&ignored);
        if (!gguf_str(g, "general.architecture", &s, &ignored)) err_clear(&ignored);
        struct model_spec spec;
        float inv[ROPE_PAIRS];
        if (gguf_spec_read(g, &spec, &ignored)) {
            model_spec_inv_freq(&spec, inv);
            for (uint32_t i = 0; i < spec.head_dim / 2; i++) {
                if (!(inv[i] >= 0)) abort(); /* NaN */
            }
            if (!(model_spec_score_factor(&spec) > 0)) abort();
        }
    }
    gguf_close(g);
    return 0;
}
