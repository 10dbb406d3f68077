/* The pairs reader takes any bytes: it answers with pairs whose texts are UTF-8 views into the
 * arena, or with an error; what it reads it can write and read again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "generate/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a, b;
    struct pair *p, *q;
    struct err e = {0}, none = {0};
    size_t n, m;
    arena_init(&a, (size_t)64 << 20);
    arena_init(&b, (size_t)64 << 20);
    if (pairs_parse((struct str){(const char *)data, size}, "fuzz", &a, &p, &n, &e)) {
        struct sbuf text;
        sbuf_init(&text, (size_t)64 << 20);
        for (size_t i = 0; i < n; i++)
            need(pairs_put(&text, &p[i], &none) && sbuf_putc(&text, '\n', &none));
        need(pairs_parse(sbuf_str(&text), "again", &b, &q, &m, &none) && m == n);
        for (size_t i = 0; i < n; i++) {
            need(str_eq(p[i].prediction, q[i].prediction) && str_eq(p[i].id, q[i].id));
            need(str_eq(p[i].reference, q[i].reference) && p[i].seen == q[i].seen);
        }
        sbuf_free(&text);
    } else {
        need(e.code != ERR_NONE);
    }
    arena_free(&b);
    arena_free(&a);
    return 0;
}
