/*
 * evaluate/evaluate - a pairs file in, a report out: how good are these impressions, how sure is
 * that, for which reports, and is it more than a sentence that is always the same.
 *
 *     dir/per_pair.jsonl   a row a pair, in input order: every metric's numbers, nested by name
 *     dir/report.md        the tables for people
 *     dir/report.json      everything; written last: where it stands, the others are whole
 *
 * What can be computed is the table in evaluate/metric; everything here holds for every value of
 * it. A value is a mean over pairs (so a mean F may lie below both mean P and mean R) or made of
 * sums over them, with a 95 % percentile interval (evaluate/bootstrap); resampled by patient when
 * every pair names one. Every other system and every baseline is compared on the pairs both have:
 * its value, the difference and its interval, the p of swapping answers, and that p by Holm over
 * all compared systems x headline values. Nothing depends on the number of ranks or threads.
 *
 * Readers of results: struct evaluate_summary in memory, report.json ("radmill.evaluation/2") on
 * disk; both have the same numbers under the same names. Not resumable: a second run starts over.
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "evaluate/bootstrap.h"
#include "evaluate/encoders.h"
#include "evaluate/metric.h"
#include "evaluate/train_texts.h"

enum evaluate_cluster { EVALUATE_CLUSTER_AUTO, EVALUATE_CLUSTER_PATIENT, EVALUATE_CLUSTER_NONE };
struct evaluate_opts {
    const char *dir;      /* NULL: only the files named below */
    const char *per_pair; /* instead of dir/per_pair.jsonl; NULL: there */
    const char *report;   /* instead of dir/report.json; NULL: there */
    struct opt_strs metrics;
    uint32_t bootstrap; /* replicates */
    uint64_t seed;
    struct opt_strs baselines;
    const char *train_pairs; /* file of training reports for the baseline knn */
    int cluster;             /* enum evaluate_cluster */
    bool strata;
    uint32_t threads;     /* of a rank; 0: its share of the processors */
    const char *judge;    /* grades of radmill judge score */
    const char *training; /* reports trained on, for memorization */
    const char *canaries; /* pairs of planted canaries and candidates; NULL: none */
    const char *lexicon;  /* folder of the fact check's lexicon; NULL: the one built in */
    struct encoder_opts encoders;
    struct encoder_bertscore_opts bertscore;
    int pooling, lower_case; /* enum similarity_pool, enum embed_case */
    const char *device;      /* of the encoders */
    /* no options: what the caller knows. Training reports where train_pairs names no file; NULL:
     * none, and why. */
    const struct train_texts *train;
    const char *no_train;
};
extern const struct opt evaluate_table[]; /* section "evaluate" */

/* Another system's pairs: matched by id where both files have ids, else line by line. */
struct evaluate_other {
    const char *name, *path;
};
enum { EVALUATE_OTHERS_MAX = 16, EVALUATE_BASELINES = 3 };
/* A baseline that could not be computed. */
struct evaluate_left_out {
    char name[16], why[192];
};

/* This system minus the other, over the pairs both have. */
struct evaluate_delta {
    struct boot_ci ci;
    double p;    /* two-sided, of swapping the answers of pairs or patients */
    double holm; /* p by Holm over all compared x headline values; NaN for other values */
};
/* -ln p of the references under a model, a token, EOS included: the sum over pairs divided by the
 * number of tokens. */
struct evaluate_loss {
    uint64_t tokens; /* 0: the file does not say (anyone's predictions, baselines) */
    double per_token;
};
/* Arrays by value are indexed as summary.set's values. */
struct evaluate_compared {
    char name[64];
    char note[128]; /* what it is, for people; may be empty */
    bool baseline;
    size_t pairs;
    struct boot_ci value[METRIC_VALUES_MAX];
    struct evaluate_delta delta[METRIC_VALUES_MAX];
    struct evaluate_loss loss;
};
/* Headline values alone; the others are zeros. */
struct evaluate_stratum {
    char by[16], value[48];
    size_t pairs;
    struct boot_ci number[METRIC_VALUES_MAX];
    bool has_constant;                  /* without it the next two say nothing */
    double constant[METRIC_VALUES_MAX]; /* of the constant baseline on the same pairs */
    struct boot_ci over_constant[METRIC_VALUES_MAX]; /* the difference */
};
enum { EVALUATE_SIGNATURE_MAX = 512, EVALUATE_STRATA_MAX = 64 };
struct evaluate_summary {
    struct metric_set set;
    char signature[METRICS_MAX][EVALUATE_SIGNATURE_MAX]; /* by metric */
    size_t pairs;
    size_t groups; /* patients; 0 unless clustered */
    bool clustered;
    struct boot_ci value[METRIC_VALUES_MAX];
    struct evaluate_loss loss;
    struct evaluate_compared compared[EVALUATE_OTHERS_MAX + EVALUATE_BASELINES];
    size_t ncompared;
    struct evaluate_left_out left_out[EVALUATE_BASELINES];
    size_t nleft_out;
    struct evaluate_stratum strata[EVALUATE_STRATA_MAX];
    size_t nstrata;
    double score_s; /* time for scoring this rank's share of the pairs; in no file */
};
/* This system's value by name, or NULL where its metric was not chosen. */
const struct boot_ci *evaluate_value(const struct evaluate_summary *s, const char *name);

/* Read, score, write the report. *s is large: keep it off small stacks. Collective. */
MUST_CHECK bool evaluate_run(const struct evaluate_opts *o, const char *pairs_path,
                             const struct evaluate_other *others, size_t nothers, struct comm *c,
                             struct evaluate_summary *s, struct err *e);
