/*
 * evaluate/scores - the score of every pair on every rank, and tables of them for
 * evaluate/bootstrap.
 */
#pragma once
#include "comm/comm.h"
#include "evaluate/bootstrap.h"
#include "evaluate/evaluate.h"
#include "generate/pairs.h"

/* What a system answered to pair i. */
struct answer {
    struct str prediction, reference;
};
/* out[n]: scored by all ranks, each its share, then gathered. Errors name the pair by its number.
 * Collective. */
MUST_CHECK bool scores_of(const struct answer *v, size_t n, bool stem, struct comm *c,
                          struct rouge_scores *out, struct err *e);

/* Rows folded into independent units for resampling. */
struct units {
    double *sum; /* [n][cols] */
    uint32_t *count;
    size_t n, cols;
};
/* Fold nrows rows of `cols` values into units: rows with the same group[row] together, each row
 * alone when group is NULL. rows[i] indexes group. */
MUST_CHECK bool units_init(struct units *u, const double *value, size_t cols, const uint32_t *rows,
                           size_t nrows, const uint32_t *group, size_t ngroups, struct err *e);
void units_free(struct units *u);
