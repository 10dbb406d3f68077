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
    struct comm *comm;
    struct arena arena;
    struct pair *pairs;
    struct metric_text *texts; /* of the pairs */
    size_t n;
    uint32_t *all;   /* 0, 1, ... n - 1 */
    uint32_t *group; /* of each pair, dense; NULL: pairs are independent */
    size_t ngroups;
    uint32_t threads;
    struct metric_env env;
    struct scorers *scorers;
    double *scores;   /* [n][columns]: this system's rows */
    double *constant; /* [n][columns] of the constant baseline, or NULL */
    uint32_t ntables; /* resamplings so far: each has draws of its own */
    struct evaluate_summary *out;
};

/* The metrics that the options choose, checked: what is missing is told before any work. */
MUST_CHECK bool eval_metrics(const struct evaluate_opts *o, struct metric_set *set, struct err *e);
/* With pairs and n set: groups, texts, scorers and their signatures. scorers_close in the end. */
MUST_CHECK bool eval_prepare(struct eval_run *r, struct err *e);

/* Some pairs, and one or two systems' rows of them (by pair number). */
struct eval_table {
    const struct score_columns *columns;
    const double *first, *second; /* second: NULL or the system to compare with */
    const uint32_t *rows;
    size_t nrows;
};
/* The values, point and interval: of the first alone ci[nvalues]; of two the second's, then first
 * minus second, ci[2 nvalues]. With p (two systems) the swap test's p[nvalues]. Collective. */
MUST_CHECK bool eval_table_run(struct eval_run *r, const struct eval_table *t, struct boot_ci *ci,
                               double *p, struct err *e);
/* Rows of answers to all pairs; the result is the caller's to mem_free. Collective. */
MUST_CHECK bool eval_score(struct eval_run *r, const struct metric_text *t, const uint32_t *rows,
                           size_t n, double **out, struct err *e);
/* Copy a name for the report's tables: cut at a whole character, no table or line breaks. */
void eval_put_name(char *out, size_t cap, const char *name);

/* ---- eval_compare.c: other systems, then baselines, then Holm's correction. Collective. */
MUST_CHECK bool eval_compare(struct eval_run *r, const struct evaluate_other *others,
                             size_t nothers, struct err *e);
/* Another system's answers to the pairs numbered rows[0..n). */
struct eval_rival {
    struct evaluate_loss loss; /* until compare, per_token is the sum */
    struct metric_text *v;
    uint32_t *rows;
    size_t n;
};
MUST_CHECK bool eval_rival_init(struct eval_run *r, struct eval_rival *v, struct err *e);
/* Its answer to our pair `row`; everything else about the report is ours. */
void eval_rival_put(struct eval_run *r, struct eval_rival *v, size_t row, struct str prediction);
/* Score the rival and compare it with this system on its rows; the scores go to *keep unless NULL.
 * Collective. */
MUST_CHECK bool eval_rival_compare(struct eval_run *r, struct eval_rival *v, const char *name,
                                   bool baseline, double **keep, struct err *e);

/* ---- eval_baselines.c: the baselines of evaluate.baselines. Collective. */
MUST_CHECK bool eval_baselines(struct eval_run *r, struct err *e);
/* Only the answers of one of them, out[r->n]; *all false: it has none for some pair (no findings,
 * no training reports). Collective. */
MUST_CHECK bool eval_baseline_answers(struct eval_run *r, const char *name, struct str *out,
                                      bool *all, struct err *e);
