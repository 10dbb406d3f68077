/*
 * evaluate/evaluate - a pairs file in, a report out: how good are these impressions, how sure is
 * that, for which reports, and is it more than a sentence that is always the same.
 *
 *     dir/per_pair.jsonl   a row a pair, in input order: rouge1, rouge2, rougeL, rougeLsum {p, r,
 * f} dir/report.md        the tables for people dir/report.json      everything; written last:
 * where it stands, the others are whole
 *
 * ROUGE always (evaluate/rouge), BLEU on request (evaluate/bleu: three numbers that go by the
 * name). Scores are plain means over pairs of each pair's p, r and f (so a mean F may lie below
 * both mean P and mean R), with 95 % percentile intervals (evaluate/bootstrap); resampled by
 * patient when every pair names one. Every other system and every baseline is compared pair by
 * pair: mean difference in F, its interval, and the sign-flip p. Nothing depends on the number of
 * ranks. No correction for several comparisons; no rougeLsum by language; not resumable: a second
 * run starts over.
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "evaluate/bootstrap.h"
#include "evaluate/rouge.h"

enum evaluate_cluster { EVALUATE_CLUSTER_AUTO, EVALUATE_CLUSTER_PATIENT, EVALUATE_CLUSTER_NONE };
struct evaluate_opts {
    const char *dir;      /* NULL: only the files named below */
    const char *per_pair; /* instead of dir/per_pair.jsonl; NULL: there */
    const char *report;   /* instead of dir/report.json; NULL: there */
    struct opt_strs metrics;
    bool stem;
    uint32_t bootstrap; /* replicates */
    uint64_t seed;
    struct opt_strs baselines;
    int cluster; /* enum evaluate_cluster */
    bool strata;
};
extern const struct opt evaluate_table[]; /* section "evaluate" */

/* Another system's pairs: matched by id where both files have ids, else line by line. */
struct evaluate_other {
    const char *name, *path;
};
#define EVALUATE_OTHERS_MAX 16

struct evaluate_metric {
    struct boot_ci p, r, f;
};
/* Zeros unless BLEU was asked for. */
struct evaluate_bleu {
    struct boot_ci sentence; /* mean of sacrebleu's sentence score, 0 to 100 */
    struct boot_ci corpus;   /* sacrebleu's corpus score, 0 to 100 */
    struct boot_ci nltk1;    /* mean of NLTK's sentence_bleu with method1, 0 to 1 */
};
/* This system minus the other, over the pairs both have. */
struct evaluate_delta {
    struct boot_ci ci;
    double p; /* two-sided: sign-flip, for corpus BLEU approximate randomisation */
};
/* -ln p of the references under a model, a token, EOS included: the sum over pairs divided by the
 * number of tokens. */
struct evaluate_loss {
    uint64_t tokens; /* 0: the file does not say (anyone's predictions, baselines) */
    double per_token;
};
struct evaluate_compared {
    char name[64];
    bool baseline;
    size_t pairs;
    struct evaluate_metric m[ROUGE_KINDS];
    struct evaluate_bleu bleu;
    struct evaluate_delta delta[ROUGE_KINDS]; /* of F */
    struct evaluate_delta bleu_sentence, bleu_corpus;
    struct evaluate_loss loss;
};
struct evaluate_stratum {
    char by[16], value[48];
    size_t pairs;
    struct boot_ci f[ROUGE_KINDS];
    bool has_constant;                         /* without it the next two say nothing */
    struct boot_ci over_constant[ROUGE_KINDS]; /* difference in F on the same pairs */
    double constant_f[ROUGE_KINDS];            /* mean of the constant baseline on the same pairs */
};
struct evaluate_summary {
    const char *signature; /* of ROUGE; static */
    size_t pairs;
    size_t groups; /* patients; 0 unless clustered */
    bool clustered, has_bleu;
    struct evaluate_metric m[ROUGE_KINDS];
    struct evaluate_bleu bleu;
    struct evaluate_loss loss;
    struct evaluate_compared compared[EVALUATE_OTHERS_MAX + 2];
    size_t ncompared;
    struct evaluate_stratum strata[64];
    size_t nstrata;
    double score_s; /* time for scoring this rank's share of the pairs */
};

/* Read, score, write the report. *s is large: keep it off small stacks. Collective. */
MUST_CHECK bool evaluate_run(const struct evaluate_opts *o, const char *pairs_path,
                             const struct evaluate_other *others, size_t nothers, struct comm *c,
                             struct evaluate_summary *s, struct err *e);
