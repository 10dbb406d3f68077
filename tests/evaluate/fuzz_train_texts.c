/* The reader of training reports takes any bytes: rows whose texts are views into the arena, or an
 * error; what it reads the index takes. */
#include <stdint.h>
#include <stdlib.h>

#include "evaluate/nearest.h"
#include "evaluate/train_texts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct train_texts t;
    struct err e = {0}, none = {0};
    arena_init(&a, (size_t)64 << 20);
    if (train_texts_parse((struct str){(const char *)data, size}, "fuzz", &a, &t, &e)) {
        struct nearest *n;
        struct str findings, impression;
        need(t.n > 0 && nearest_open(&n, &none));
        for (size_t i = 0; i < t.n; i++) {
            need(t.get(t.ctx, i, &findings, &impression, &none) && impression.n > 0);
            need(nearest_add(n, findings, &none));
        }
        need(nearest_seal(n, &none));
        nearest_close(n);
    } else {
        need(e.code != ERR_NONE);
    }
    arena_free(&a);
    return 0;
}
