#include "evaluate/text_numbers.h"

#include "base/mem.h"

bool text_numbers_init(struct text_numbers *t, size_t n, struct err *e)
{
    *t = (struct text_numbers){.cap = 16};
    while (t->cap < 2 * n)
        t->cap *= 2;
    t->key = mem_calloc(t->cap, sizeof *t->key, e);
    t->value = t->key ? mem_calloc(t->cap, sizeof *t->value, e) : NULL;
    return t->value != NULL;
}

void text_numbers_free(struct text_numbers *t)
{
    mem_free(t->key);
    mem_free(t->value);
    *t = (struct text_numbers){0};
}

uint32_t *text_numbers_at(struct text_numbers *t, struct str s)
{
    struct hash128 h = hash_xxh128(s.p, s.n);
    size_t k = h.lo & (t->cap - 1);
    while (t->value[k] && (t->key[k].lo != h.lo || t->key[k].hi != h.hi))
        k = (k + 1) & (t->cap - 1);
    t->key[k] = h;
    return &t->value[k];
}
