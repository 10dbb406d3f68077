#include "evaluate/scores.h"

#include <string.h>

#include "base/mem.h"

static bool score_share(const struct answer *v, struct comm_range share, bool stem,
                        struct rouge_scores *out, struct err *e)
{
    struct rouge *r;
    bool ok = rouge_open(stem, &r, e);
    for (uint64_t i = share.begin; ok && i < share.end; i++) {
        ok = rouge_pair(r, v[i].prediction, v[i].reference, &out[i - share.begin], e);
        if (!ok) err_wrap(e, "pair %llu", (unsigned long long)i + 1);
    }
    rouge_close(r);
    return ok;
}

bool scores_of(const struct answer *v, size_t n, bool stem, struct comm *c,
               struct rouge_scores *out, struct err *e)
{
    struct comm_range share = comm_share(c, n);
    size_t mine = (size_t)(share.end - share.begin), total = 0;
    void *all = NULL;
    struct rouge_scores *part = mem_calloc(mine, sizeof *part, e);
    bool ok = comm_agree(c, part && score_share(v, share, stem, part, e), e);
    if (ok) ok = comm_allgatherv(c, part, mine * sizeof *part, &all, &total, NULL, e);
    if (ok) memcpy(out, all, total);
    mem_free(all);
    mem_free(part);
    return ok;
}

bool units_init(struct units *u, const double *value, size_t cols, const uint32_t *rows,
                size_t nrows, const uint32_t *group, size_t ngroups, struct err *e)
{
    uint32_t *unit_of = NULL; /* of a group: unit number + 1 */
    *u = (struct units){.cols = cols};
    u->sum = mem_calloc(nrows * cols, sizeof *u->sum, e);
    u->count = u->sum ? mem_calloc(nrows, sizeof *u->count, e) : NULL;
    if (u->count && group) unit_of = mem_calloc(ngroups, sizeof *unit_of, e);
    if (!u->count || (group && !unit_of)) {
        units_free(u);
        return false;
    }
    for (size_t i = 0; i < nrows; i++) {
        size_t k = u->n;
        if (group) {
            uint32_t *slot = &unit_of[group[rows[i]]];
            if (*slot)
                k = *slot - 1;
            else
                *slot = (uint32_t)k + 1;
        }
        if (k == u->n) u->n++;
        for (size_t j = 0; j < cols; j++)
            u->sum[k * cols + j] += value[i * cols + j];
        u->count[k]++;
    }
    mem_free(unit_of);
    return true;
}

void units_free(struct units *u)
{
    mem_free(u->sum);
    mem_free(u->count);
    *u = (struct units){0};
}
