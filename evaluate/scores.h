/*
 * evaluate/scores - the score of every pair on every rank, and tables of them for
 * evaluate/bootstrap.
 */
#pragma once
#include "comm/comm.h"
#include "evaluate/bleu.h"
#include "evaluate/bootstrap.h"
#include "evaluate/evaluate.h"
#include "generate/pairs.h"

/* The row of one pair: what is averaged, then what corpus BLEU is summed from. */
enum {
    SCORE_ROUGE = 0,              /* p, r, f of each rouge_kind */
    SCORE_BLEU = 3 * ROUGE_KINDS, /* sentence BLEU, 0 to 100 */
    SCORE_NLTK1,                  /* NLTK's, 0 to 1 */
    SCORE_MEANS,                  /* columns up to here have means */
    SCORE_STATS = SCORE_MEANS,    /* matches, totals, answer's and reference's tokens */
    SCORE_NSTATS = 2 * BLEU_ORDER + 2,
    SCORE_COLS = SCORE_STATS + SCORE_NSTATS,
};
struct pair_score {
    double v[SCORE_COLS];
};
static inline double score_f(const struct pair_score *s, int rouge_kind)
{
    return s->v[3 * rouge_kind + 2];
}
/* Corpus BLEU from sums of the SCORE_NSTATS columns. */
double score_bleu(const double *stats);

/* What a system answered to pair i. */
struct answer {
    struct str prediction, reference;
};
struct score_opts {
    bool stem, bleu;
};
/* out[n]: scored by all ranks, each its share, then gathered. Without bleu its columns are 0.
 * Errors name the pair by its number. Collective. */
MUST_CHECK bool scores_of(const struct answer *v, size_t n, const struct score_opts *o,
                          struct comm *c, struct pair_score *out, struct err *e);

/* Rows folded into independent units for resampling. */
struct units {
    double *sum; /* [n][cols] */
    uint32_t *count;
    size_t n, cols;
};
/* Values [nrows][cols] that stand `stride` numbers apart, folded into units: rows with the same
 * group[row] together, each row alone when group is NULL. rows[i] indexes group. */
struct unit_rows {
    const double *value;
    size_t cols, stride;
    const uint32_t *rows;
    size_t nrows;
    const uint32_t *group;
    size_t ngroups;
};
MUST_CHECK bool units_init(struct units *u, const struct unit_rows *r, struct err *e);
void units_free(struct units *u);
