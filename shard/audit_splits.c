#include "shard/audit_splits.h"

#include "base/mem.h"
#include "base/sort.h"

bool audit_put(struct audit_words *w, uint64_t key, enum shard_split split, struct err *e)
{
    void *v = w->v;
    bool ok = mem_grow(&v, &w->cap, w->n + 1, sizeof *w->v, e);

    w->v = v;
    if (ok) w->v[w->n++] = (key & ~(uint64_t)3) | (uint64_t)split;
    return ok;
}

void audit_free(struct audit_words *w)
{
    mem_free(w->v);
    *w = (struct audit_words){0};
}

/* First word that is not below bound. */
static size_t lower_bound(const struct audit_words *w, uint64_t bound)
{
    size_t lo = 0, hi = w->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (w->v[mid] < bound)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Words of one key stand together: train's, then dev's, then test's. */
static void count_words(const uint64_t *v, size_t n, struct audit_result *out)
{
    for (size_t i = 0, next; i < n; i = next) {
        uint64_t words[SHARD_SPLITS + 1] = {0}, splits = 0;
        for (next = i; next < n && v[next] >> 2 == v[i] >> 2; next++)
            words[v[next] & 3]++;
        for (int s = 0; s < SHARD_SPLITS; s++)
            splits += words[s] > 0;
        out->keys++;
        out->crossing += splits > 1;
        for (int s = 1; s < SHARD_SPLITS && words[0]; s++)
            out->seen[s] += words[s];
    }
}

/* Keys whose top `bits` bits are `round`. Collective. */
static bool audit_round(struct comm *c, const struct audit_words *w, unsigned bits, uint64_t round,
                        struct audit_result *out, struct err *e)
{
    size_t from = bits ? lower_bound(w, round << (64 - bits)) : 0, to = w->n, total = 0;
    void *all = NULL;
    bool ok;

    if (bits && round + 1 < (uint64_t)1 << bits) to = lower_bound(w, (round + 1) << (64 - bits));
    ok = comm_allgatherv(c, w->v + from, (to - from) * sizeof *w->v, &all, &total, NULL, e);
    ok = ok && sort_u64(all, total / sizeof *w->v, e);
    if (ok) count_words(all, total / sizeof *w->v, out);
    mem_free(all);
    return comm_agree(c, ok, e);
}

bool audit_run(struct comm *c, struct audit_words *w, size_t round_words, struct audit_result *out,
               struct err *e)
{
    uint64_t total = w->n, rounds;
    unsigned bits = 0;

    *out = (struct audit_result){0};
    if (!comm_agree(c, sort_u64(w->v, w->n, e), e)) return false;
    comm_sum_u64(c, &total, 1);
    while (bits < 16 && (total >> bits) > round_words)
        bits++;
    rounds = (uint64_t)1 << bits;
    for (uint64_t r = 0; r < rounds; r++)
        if (!audit_round(c, w, bits, r, out, e)) return false;
    return true;
}
