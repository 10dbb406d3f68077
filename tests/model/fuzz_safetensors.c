#include <stdlib.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was accepted can be read to its last byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct safetensors *s = NULL;
    uint8_t digest[32];
    if (safetensors_open_memory(data, size, "input", &s, &e) &&
        !safetensors_digest(s, 1, digest, &e))
        abort();
    safetensors_close(s);
    return 0;
}
