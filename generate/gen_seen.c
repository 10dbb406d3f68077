#include "generate/gen_seen.h"

#include "base/mem.h"

static struct hash128 *find(const struct gen_seen *s, struct hash128 h)
{
    size_t k = h.lo & (s->cap - 1);
    while ((s->slot[k].lo || s->slot[k].hi) && (s->slot[k].lo != h.lo || s->slot[k].hi != h.hi))
        k = (k + 1) & (s->cap - 1);
    return &s->slot[k];
}

static bool read_all(struct gen_seen *s, struct shard_set *set, struct err *e)
{
    size_t n = shard_set_count(set);
    for (s->cap = 16; s->cap < 2 * n;)
        s->cap *= 2;
    s->slot = mem_calloc(s->cap, sizeof *s->slot, e);
    if (!s->slot) return false;
    for (size_t i = 0; i < n; i++) {
        struct sample x;
        if (!shard_set_get(set, i, &x, e)) return false;
        *find(s, x.target_hash) = x.target_hash;
    }
    s->known = true;
    return true;
}

bool gen_seen_init(struct gen_seen *s, const char *dir, const char *const *modalities,
                   size_t nmodalities, struct err *e)
{
    struct shard_set *set = NULL;
    *s = (struct gen_seen){0};
    if (!shard_set_open(dir, SHARD_TRAIN, modalities, nmodalities, false, &set, e)) {
        /* The caller's own split opened, so what is wrong here is an empty train split. */
        if (e->code != ERR_CONFIG) return false;
        err_clear(e);
        return true;
    }
    bool ok = read_all(s, set, e);
    shard_set_close(set);
    return ok;
}

void gen_seen_free(struct gen_seen *s)
{
    mem_free(s->slot);
    *s = (struct gen_seen){0};
}

int gen_seen_has(const struct gen_seen *s, struct hash128 target)
{
    if (!s->known) return -1;
    const struct hash128 *h = find(s, target);
    return h->lo || h->hi;
}
