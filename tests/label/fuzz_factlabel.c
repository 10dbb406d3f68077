/* The label reader takes any bytes: labels that can be written and read again, or an error. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "label/factlabel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) abort();
}

static void same(const struct factlabel *a, const struct factlabel *b)
{
    need(str_eq(a->id, b->id) && str_eq(a->generated, b->generated));
    need(str_eq(a->rater, b->rater) && str_eq(a->reference, b->reference));
    need(a->overall == b->overall && a->nerrors == b->nerrors && a->seconds == b->seconds);
    for (size_t i = 0; i < a->nerrors; i++) {
        need(a->errors[i].type == b->errors[i].type && a->errors[i].gen.to == b->errors[i].gen.to);
        need(str_eq(a->errors[i].note, b->errors[i].note));
    }
    for (int i = 0; i < FACTLABEL_SCALES; i++)
        need(a->scales[i] == b->scales[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a, b;
    struct factlabel *v, *w;
    struct err e = {0}, none = {0};
    size_t n, m;

    arena_init(&a, (size_t)64 << 20);
    arena_init(&b, (size_t)64 << 20);
    if (factlabel_parse((struct str){(const char *)data, size}, "fuzz", &a, &v, &n, &e)) {
        struct sbuf text;
        sbuf_init(&text, (size_t)64 << 20);
        for (size_t i = 0; i < n; i++)
            need(factlabel_put(&text, &v[i], &none) && sbuf_putc(&text, '\n', &none));
        need(factlabel_parse(sbuf_str(&text), "again", &b, &w, &m, &none) && m == n);
        for (size_t i = 0; i < n; i++)
            same(&v[i], &w[i]);
        need(factlabel_latest(v, &n, &none) && n <= m);
        sbuf_free(&text);
    } else {
        need(e.code != ERR_NONE);
    }
    arena_free(&b);
    arena_free(&a);
    return 0;
}
