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

static struct dense_slot *find(const struct dense *t, uint64_t key)
{
    size_t k = (key ^ key >> 31) * 0x9e3779b97f4a7c15u >> 32 & (t->cap - 1);
    while (t->slot[k].stamp == t->now && t->slot[k].key != key)
        k = (k + 1) & (t->cap - 1);
    return &t->slot[k];
}

uint32_t dense_of(struct dense *t, uint64_t key)
{
    struct dense_slot *s = find(t, key);
    if (s->stamp != t->now) *s = (struct dense_slot){.key = key, .stamp = t->now, .value = t->n++};
    return s->value;
}

uint32_t dense_find(const struct dense *t, uint64_t key)
{
    if (t->cap == 0) return UINT32_MAX;
    const struct dense_slot *s = find(t, key);
    return s->stamp == t->now ? s->value : UINT32_MAX;
}

bool dense_add(struct dense *t, uint64_t key, uint32_t *value, struct err *e)
{
    if (2 * ((size_t)t->n + 1) > t->cap) {
        struct dense more = {.cap = t->cap ? 2 * t->cap : 256, .now = 1, .n = t->n};
        more.slot = mem_calloc(more.cap, sizeof *more.slot, e);
        if (!more.slot) return false;
        for (size_t k = 0; k < t->cap; k++) {
            if (t->slot[k].stamp != t->now) continue;
            *find(&more, t->slot[k].key) = (struct dense_slot){t->slot[k].key, 1, t->slot[k].value};
        }
        mem_free(t->slot);
        *t = more;
    }
    *value = dense_of(t, key);
    return true;
}

void dense_free(struct dense *t)
{
    mem_free(t->slot);
    *t = (struct dense){0};
}
