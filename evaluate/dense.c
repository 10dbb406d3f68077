#include "evaluate/dense.h"

#include <string.h>

#include "base/mem.h"

bool dense_begin(struct dense *t, size_t n, struct err *e)
{
    size_t cap = t->cap ? t->cap : 256;
    while (cap < 2 * n)
        cap *= 2;
    if (cap != t->cap) {
        struct dense_slot *s = mem_calloc(cap, sizeof *s, e);
        if (!s) return false;
        mem_free(t->slot);
        *t = (struct dense){.slot = s, .cap = cap};
    }
    if (++t->now == 0) { /* no slot may look as if it were this pair's */
        memset(t->slot, 0, t->cap * sizeof *t->slot);
        t->now = 1;
    }
    t->n = 0;
    return true;
}

uint32_t dense_of(struct dense *t, uint64_t key)
{
    size_t k = (key ^ key >> 31) * 0x9e3779b97f4a7c15u >> 32 & (t->cap - 1);
    while (t->slot[k].stamp == t->now && t->slot[k].key != key)
        k = (k + 1) & (t->cap - 1);
    if (t->slot[k].stamp != t->now)
        t->slot[k] = (struct dense_slot){.key = key, .stamp = t->now, .value = t->n++};
    return t->slot[k].value;
}

void dense_free(struct dense *t)
{
    mem_free(t->slot);
    *t = (struct dense){0};
}
