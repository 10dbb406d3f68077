/*
 * evaluate/scores - the row of every pair by every chosen metric, and columns of them folded into
 * what evaluate/bootstrap resamples.
 *
 * The pairs are dealt over the ranks, a rank's share over its threads; all ranks get all rows.
 */
#pragma once
#include "evaluate/bootstrap.h"
#include "evaluate/metric.h"

struct scorers;
/* The scorers of one rank: those of the main thread now, so that missing files are told before any
 * work, those of other threads when they are first needed. Everything is borrowed. */
MUST_CHECK bool scorers_open(const struct metric_set *set, const struct metric_env *env,
                             struct scorers **out, struct err *e);
void scorers_close(struct scorers *s);
/* The scorer of metric m that belongs to a thread (0: the main one), opened now if need be; NULL
 * for the other threads' of a `whole` metric. */
MUST_CHECK bool scorers_get(struct scorers *s, uint32_t worker, size_t m, void **out,
                            struct err *e);
/* Rows of n pairs: out[n][set->ncolumns]. Errors name the pair by its number. Collective. */
MUST_CHECK bool scores_of(struct scorers *s, const struct metric_text *t, size_t n, struct comm *c,
                          double *out, struct err *e);

/* Which of the set's columns some of its values are made of, and where. */
struct score_columns {
    const struct metric_set *set;
    uint16_t value[METRIC_VALUES_MAX],
        at[METRIC_VALUES_MAX];           /* of the set; its first column here */
    uint16_t column[METRIC_COLUMNS_MAX]; /* of a row */
    size_t nvalues, ncolumns;
};
/* The values with all of these flags; 0: every value. */
void score_columns_init(struct score_columns *c, const struct metric_set *set, unsigned flags);
/* The values of sums over rows: out[nvalues]. */
void score_columns_reduce(const struct score_columns *c, const double *sum, uint64_t rows,
                          double *out);

/* Rows folded into independent units for resampling: those with the same group together, each row
 * alone when group is NULL. */
struct units {
    double *sum; /* [n][cols] */
    uint32_t *count;
    size_t n, cols;
};
struct unit_rows {
    const double *first, *second; /* rows by pair number; second NULL: one system */
    const struct score_columns *columns;
    const uint32_t *rows; /* pair numbers */
    size_t nrows;
    const uint32_t *group; /* by pair number */
    size_t ngroups;
};
/* cols: the first's columns, then the second's. */
MUST_CHECK bool units_init(struct units *u, const struct unit_rows *r, struct err *e);
void units_free(struct units *u);
