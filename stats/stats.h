/*
 * stats/stats - what is in a corpus: the exploratory report of record blocks, as one page and as
 * tables.
 *
 *     corpus.dir/records/...  -->  stats.dir/report.html   one file, no network, light and dark
 *                                  stats.dir/<name>.csv    the same numbers, one table a file
 *
 * Counted: reports, missing values, words and tokens by section and modality (histograms,
 * quantiles, outliers), duplicates, commonest phrases and headers, contradictions (findings against
 * impression, label against text), patients and splits, and what was left out and why.
 *
 * The main idea: everything is an exact integer count, taken block by block and summed over the
 * ranks, so that the files have the same bytes for any number of ranks. What needs all reports at
 * once (duplicates, patients, phrases) goes through stat_group in rounds.
 *
 * Privacy: report text appears only as phrases and headers that occur in the reports of at least
 * min_patients patients, with digits replaced; a single report is named by source, block and row.
 *
 * What it does not do: clean, filter or change anything; judge contents. The checks are plain word
 * rules (stat_check.h) that find candidates to look at, not errors.
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"

struct stats_opts {
    const char *dir;
    uint32_t phrases;      /* how many of each kind are shown */
    uint32_t min_patients; /* of a phrase or header that is shown */
    uint64_t phrase_reports;
    bool tokens;
};
extern const struct opt stats_table[]; /* section "stats" */

struct stats_job {
    const struct stats_opts *stats;
    const char *corpus_dir;
    const char *tokenizer; /* NULL: words alone */
    uint32_t max_tokens;   /* of a sample: where the page draws the line; 0: none */
    const char *version;   /* of radmill; NULL: unknown */
};
struct stats_summary {
    uint64_t reports, patients, pairs, duplicates;
    uint64_t files;
    char page[512]; /* its path */
};
/* Collective; every rank gets the summary. */
MUST_CHECK bool stats_run(const struct stats_job *j, struct comm *c, struct stats_summary *out,
                          struct err *e);
