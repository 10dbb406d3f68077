#include "judge/folds.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

struct group {
    size_t size;
    uint64_t draw;
    uint32_t id;
};

static int larger_first(const void *x, const void *y)
{
    const struct group *a = x, *b = y;

    if (a->size != b->size) return a->size < b->size ? 1 : -1;
    if (a->draw != b->draw) return a->draw < b->draw ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

bool folds_make(const uint32_t *group, size_t n, size_t ngroups, uint32_t k, uint64_t seed,
                uint32_t *out, struct err *e)
{
    struct rng_key key = rng_key(seed, RNG_JUDGE, 1);
    struct group *v = mem_calloc(ngroups + 1, sizeof *v, e);
    size_t *size = v ? mem_calloc(k, sizeof *size, e) : NULL;
    uint32_t *part = size ? mem_calloc(ngroups + 1, sizeof *part, e) : NULL;
    bool ok = part != NULL;

    for (size_t g = 0; ok && g < ngroups; g++)
        v[g] = (struct group){0, rng_u64(key, g), (uint32_t)g};
    for (size_t i = 0; ok && i < n; i++)
        v[group[i]].size++;
    if (ok) qsort(v, ngroups, sizeof *v, larger_first);
    for (size_t g = 0; ok && g < ngroups; g++) {
        uint32_t least = 0;
        for (uint32_t f = 1; f < k; f++)
            if (size[f] < size[least]) least = f;
        part[v[g].id] = least;
        size[least] += v[g].size;
    }
    for (size_t i = 0; ok && i < n; i++)
        out[i] = part[group[i]];
    mem_free(part);
    mem_free(size);
    mem_free(v);
    return ok;
}
