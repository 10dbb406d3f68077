/*
 * evaluate/eval_run - one evaluation in the making: what evaluate.c and eval_compare.c share.
 *
 * Everything in it is the same on all ranks.
 */
#pragma once
#include "base/arena.h"
#include "evaluate/evaluate.h"
#include "evaluate/scores.h"
#include "generate/pairs.h"

struct eval_run {
    const struct evaluate_opts *o;
    struct score_opts score;
    struct comm *comm;
    struct arena arena;
    struct pair *pairs;
    size_t n;
    uint32_t *group; /* of each pair, dense; NULL: pairs are independent */
    size_t ngroups;
    struct pair_score *scores;   /* [n] */
    struct pair_score *constant; /* [n] of the constant baseline, or NULL */
    uint32_t ntables;            /* resamplings so far: each has draws of its own */
    struct evaluate_summary *out;
};

/* Values of nrows pairs, `stride` numbers apart; rows[i] says which pair. */
struct eval_table {
    const double *value;
    size_t cols, stride;
    const uint32_t *rows;
    size_t nrows;
};
/* Means and intervals of the columns; sign-flip p too when p is not NULL. Collective. */
MUST_CHECK bool eval_table_ci(struct eval_run *r, const struct eval_table *t, struct boot_ci *ci,
                              double *p, struct err *e);
/* One number made of the columns' sums; with p the columns' two halves are compared. Collective. */
MUST_CHECK bool eval_table_stat(struct eval_run *r, const struct eval_table *t, boot_stat fn,
                                struct boot_ci *ci, struct err *e);
/* p of "the halves of the columns are exchangeable" for |fn(first) - fn(second)|. Collective. */
MUST_CHECK bool eval_table_swap(struct eval_run *r, const struct eval_table *t, boot_stat fn,
                                double *p, struct err *e);
/* The metrics of a system from its scores on nrows pairs. Collective. */
MUST_CHECK bool eval_metrics(struct eval_run *r, const struct pair_score *s, const uint32_t *rows,
                             size_t nrows, struct evaluate_metric m[ROUGE_KINDS],
                             struct evaluate_bleu *bleu, struct err *e);
/* Copy a name for the report's tables: cut at a whole character, no table or line breaks. */
void eval_put_name(char *out, size_t cap, const char *name);

/* ---- eval_compare.c: other systems, then baselines. Collective. */
MUST_CHECK bool eval_compare(struct eval_run *r, const struct evaluate_other *others,
                             size_t nothers, struct err *e);
