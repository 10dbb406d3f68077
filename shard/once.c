#include "shard/once.h"

#include <stdlib.h>

#include "base/mem.h"

struct item {
    struct hash128 group;
    uint32_t sample;
};

static int compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->group.hi != y->group.hi) return x->group.hi < y->group.hi ? -1 : 1;
    if (x->group.lo != y->group.lo) return x->group.lo < y->group.lo ? -1 : 1;
    return x->sample < y->sample ? -1 : 1;
}

/* How many items from i on are of the group of item i. */
static size_t group_at(const struct item *v, size_t n, size_t i)
{
    size_t end = i + 1;

    while (end < n && v[end].group.hi == v[i].group.hi && v[end].group.lo == v[i].group.lo)
        end++;
    return end - i;
}

bool once_pick(const struct shard_set *s, uint32_t epoch, uint32_t **out, size_t *n, struct err *e)
{
    size_t count = shard_set_count(s), kept = 0;
    struct item *v = mem_alloc((count + 1) * sizeof *v, e);
    uint8_t *taken = v ? mem_calloc(count + 1, 1, e) : NULL;
    uint32_t *list = taken ? mem_alloc((count + 1) * sizeof *list, e) : NULL;

    *out = list;
    for (size_t i = 0; list && i < count; i++)
        v[i] = (struct item){shard_set_group(s, i), (uint32_t)i};
    if (list) qsort(v, count, sizeof *v, compare);
    for (size_t i = 0, size; list && i < count; i += size) {
        size = group_at(v, count, i);
        /* groups start at different members, or the first source would have its turn at once */
        taken[v[i + (epoch + v[i].group.lo) % size].sample] = 1;
    }
    for (uint32_t i = 0; list && i < count; i++) {
        if (taken[i]) list[kept++] = i;
    }
    *n = kept;
    mem_free(taken);
    mem_free(v);
    return list != NULL;
}
