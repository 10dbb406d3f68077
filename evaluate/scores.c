#include "evaluate/scores.h"

#include <string.h>

#include "base/mem.h"

/* The scorers of one rank. */
struct scorers {
    struct rouge *rouge;
    struct bleu *bleu;
};

static bool scorers_open(struct scorers *s, const struct score_opts *o, struct err *e)
{
    *s = (struct scorers){0};
    return rouge_open(o->stem, &s->rouge, e) && (!o->bleu || bleu_open(&s->bleu, e));
}

static void scorers_close(struct scorers *s)
{
    rouge_close(s->rouge);
    bleu_close(s->bleu);
}

static bool score_bleu_pair(struct bleu *b, const struct answer *a, struct pair_score *out,
                            struct err *e)
{
    struct bleu_stats s, words;
    if (!bleu_pair(b, BLEU_13A, a->prediction, a->reference, &s, e)) return false;
    if (!bleu_pair(b, BLEU_BLANKS, a->prediction, a->reference, &words, e)) return false;
    out->v[SCORE_BLEU] = bleu_score(&s, BLEU_EXP, true);
    out->v[SCORE_NLTK1] = bleu_nltk1(&words);
    double *v = out->v + SCORE_STATS;
    for (int n = 0; n < BLEU_ORDER; n++) {
        v[n] = (double)s.match[n];
        v[BLEU_ORDER + n] = (double)s.total[n];
    }
    v[2 * BLEU_ORDER] = (double)s.hyp;
    v[2 * BLEU_ORDER + 1] = (double)s.ref;
    return true;
}

static bool score_pair(struct scorers *s, const struct answer *a, struct pair_score *out,
                       struct err *e)
{
    struct rouge_scores r;
    _Static_assert(sizeof r == SCORE_BLEU * sizeof(double), "p, r, f of every kind");
    if (!rouge_pair(s->rouge, a->prediction, a->reference, &r, e)) return false;
    memcpy(out->v + SCORE_ROUGE, &r, sizeof r);
    return !s->bleu || score_bleu_pair(s->bleu, a, out, e);
}

static bool score_share(const struct answer *v, struct comm_range share, const struct score_opts *o,
                        struct pair_score *out, struct err *e)
{
    struct scorers s;
    bool ok = scorers_open(&s, o, e);
    for (uint64_t i = share.begin; ok && i < share.end; i++) {
        ok = score_pair(&s, &v[i], &out[i - share.begin], e);
        if (!ok) err_wrap(e, "pair %llu", (unsigned long long)i + 1);
    }
    scorers_close(&s);
    return ok;
}

bool scores_of(const struct answer *v, size_t n, const struct score_opts *o, struct comm *c,
               struct pair_score *out, struct err *e)
{
    struct comm_range share = comm_share(c, n);
    size_t mine = (size_t)(share.end - share.begin), total = 0;
    void *all = NULL;
    struct pair_score *part = mem_calloc(mine, sizeof *part, e);
    bool ok = comm_agree(c, part && score_share(v, share, o, part, e), e);
    if (ok) ok = comm_allgatherv(c, part, mine * sizeof *part, &all, &total, NULL, e);
    if (ok) memcpy(out, all, total);
    mem_free(all);
    mem_free(part);
    return ok;
}

double score_bleu(const double *stats)
{
    struct bleu_stats s = {.hyp = (uint64_t)stats[2 * BLEU_ORDER],
                           .ref = (uint64_t)stats[2 * BLEU_ORDER + 1]};
    for (int n = 0; n < BLEU_ORDER; n++) {
        s.match[n] = (uint64_t)stats[n];
        s.total[n] = (uint64_t)stats[BLEU_ORDER + n];
    }
    return bleu_score(&s, BLEU_EXP, false);
}

/* ---- units */

bool units_init(struct units *u, const struct unit_rows *r, struct err *e)
{
    uint32_t *unit_of = NULL; /* of a group: unit number + 1 */
    *u = (struct units){.cols = r->cols};
    u->sum = mem_calloc(r->nrows * r->cols, sizeof *u->sum, e);
    u->count = u->sum ? mem_calloc(r->nrows, sizeof *u->count, e) : NULL;
    if (u->count && r->group) unit_of = mem_calloc(r->ngroups, sizeof *unit_of, e);
    if (!u->count || (r->group && !unit_of)) {
        units_free(u);
        return false;
    }
    for (size_t i = 0; i < r->nrows; i++) {
        size_t k = u->n;
        if (r->group) {
            uint32_t *slot = &unit_of[r->group[r->rows[i]]];
            if (*slot)
                k = *slot - 1;
            else
                *slot = (uint32_t)k + 1;
        }
        if (k == u->n) u->n++;
        for (size_t j = 0; j < r->cols; j++)
            u->sum[k * r->cols + j] += r->value[i * r->stride + j];
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
