/*
 * evaluate/metric - the one table of metrics, and what a report can say by each of them.
 *
 * The main idea: a metric turns a pair into a row of numbers, its columns, and names the values a
 * report makes of them. A value is either the mean of one column, or a function of the sums of some
 * neighbouring columns (corpus BLEU of n-gram counts; metric_ratio, the mean over the pairs that
 * have a value at all). All statistics work on sums of columns over resampled pairs. So intervals,
 * paired tests, strata, Holm's correction, per_pair.jsonl, report.json and the tables hold for
 * every metric without a line of their own.
 *
 *     pair -> score() -> [ rouge1.p | rouge1.r | ... | bleu | match1 .. ref ]      columns
 *                            |  mean                        |  stat of the sums
 *                        "rouge1.p" ...                 "bleu_corpus"              values
 *
 * To add a metric: a file evaluate/metric_NAME.c with its `const struct metric`, a row in
 * metric_table (metric.c). Nothing else: `evaluate.metrics: [NAME]` then works everywhere.
 *
 * Rules for a metric
 *  - A row depends on its own pair and on metric_env alone, never on which pairs are scored beside
 *    it, by which thread or rank: the report's bytes must not depend on them.
 *  - No NaN and no infinity in a row. A value that a pair may not have (no findings in the file)
 *    takes two columns, {value or 0, 1 or 0}, and is a metric_ratio; per_pair.jsonl has null there.
 *  - Names: a-z, A-Z, 0-9, _ ; dots nest in per_pair.jsonl ("stem.rouge1.f"). Names sharing a
 *    prefix stand together. They are a public interface: they do not change.
 *  - check() refuses what can be known before any work (a missing folder); open() may be slow.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "base/str.h"
#include "comm/comm.h"

struct evaluate_opts;

/* What may be looked at to score one answer. Views; empty where the file does not say. */
struct metric_text {
    struct str prediction, reference;
    struct str findings, clinical, modality;
};

/* The evaluation a scorer works in; lives as long as the scorer. */
struct metric_env {
    const struct evaluate_opts *opts;
    const struct metric_text *texts; /* all pairs of the evaluated file: for weights of a corpus */
    size_t n;
    uint32_t threads; /* for a `whole` metric's own use */
};

enum {
    METRIC_HEADLINE = 1, /* in the short tables and strata, and under Holm's correction */
    METRIC_LOWER = 2,    /* lower is better */
    METRIC_CORPUS = 4,   /* no number of a single pair: not in per_pair.jsonl */
};
typedef double (*metric_stat)(const double *sum);
/* sum[0] / sum[1], 0 without any. */
double metric_ratio(const double *sum);

struct metric_value {
    const char *name;  /* "rouge1.f" */
    const char *label; /* "ROUGE-1 F", for people */
    double scale;      /* what tables show is scale x value: 100 for what lies in 0 .. 1 */
    unsigned flags;    /* METRIC_HEADLINE ... */
    uint16_t column;   /* of the metric's row */
    uint16_t columns;  /* of stat; 1 for a mean */
    metric_stat stat;  /* NULL: the column's mean */
};

struct metric {
    const char *name; /* as in evaluate.metrics */
    const char *help; /* one line */
    const char *also; /* other names that choose it, parted by blanks; NULL: none */
    const struct metric_value *values;
    uint16_t nvalues, ncolumns;
    bool whole; /* score() gets all pairs of a rank at once, on the main thread (models) */
    /* Options and files this metric needs; NULL: nothing. */
    bool (*check)(const struct evaluate_opts *o, struct err *e);
    /* A scorer: one a thread, one a rank if whole. On failure *out stays NULL. Not collective. */
    bool (*open)(const struct metric_env *env, void **out, struct err *e);
    /* Fill the rows of n pairs, `stride` numbers apart, zeroed before. n is 1 unless whole. The
     * caller puts the pair's number in front of an error. */
    bool (*score)(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e);
    void (*close)(void *scorer);
    /* Beside the values, more members for per_pair.jsonl, each as `, "key": value`; NULL: none (and
     * always if whole). They stand behind this metric's values, within its last open object
     * ("facts.score" leaves "facts" open). Called on one rank, by any thread with its scorer. */
    bool (*put)(void *scorer, const struct metric_text *t, struct sbuf *b, struct err *e);
    /* What must be known to compare its numbers with anyone's: "rouge|stem:no|...". */
    bool (*signature)(void *scorer, struct sbuf *b, struct err *e);
};
extern const struct metric *const metric_table[]; /* NULL-terminated */

enum { METRICS_MAX = 16, METRIC_VALUES_MAX = 128, METRIC_COLUMNS_MAX = 256 };

/* The metrics chosen, in the table's order, with where their columns and values start. */
struct metric_set {
    const struct metric *metric[METRICS_MAX];
    size_t first_column[METRICS_MAX];
    size_t n, ncolumns, nvalues;
    const struct metric_value *value[METRIC_VALUES_MAX]; /* of all */
    uint16_t of[METRIC_VALUES_MAX];                      /* its metric's index */
    uint16_t column[METRIC_VALUES_MAX];                  /* where its columns start in a row */
};
/* names: of metrics, or "all" (all but the `whole` ones, which need weights); one may be several
 * with commas between. An unknown name is ERR_CONFIG listing the known ones. */
MUST_CHECK bool metric_set_init(struct metric_set *s, const struct opt_strs *names, struct err *e);
/* Index of a value by its name, or SIZE_MAX. */
size_t metric_set_find(const struct metric_set *s, const char *name);
