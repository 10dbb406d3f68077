/*
 * stats/stat_gather - one look at all records: counters, patients, duplicates, phrases, for page
 * and tables. The same on every rank.
 */
#pragma once
#include "base/progress.h"
#include "stats/stat_count.h"
#include "stats/stat_group.h"
#include "stats/stats.h"

/* Groups of equal texts, by how many reports share one. */
enum { STAT_GROUPS = 6, STAT_PHRASES_MAX = 200 };
extern const char *const stat_group_names[STAT_GROUPS + 1]; /* "1", "2", "3-5", ... */
int stat_group_of(uint64_t n);

/* What is looked for in texts. */
enum stat_text { TEXT_FINDINGS, TEXT_IMPRESSION, TEXT_HEADER, TEXT_COUNT };
struct stat_phrase {
    uint64_t key, patients, reports;
    uint64_t where;  /* block << 32 | row of the first report that has it */
    struct str text; /* in the arena; rank 0 alone */
};
struct stat_phrases {
    struct stat_phrase v[STAT_PHRASES_MAX]; /* most patients first */
    size_t n, most;
    uint64_t distinct, shown; /* all there are; those of enough patients */
};

struct stat_result {
    struct arena arena;
    struct record_corpus corpus;
    size_t nsources;
    const char **names;
    struct stat_source *sources;
    uint64_t *source_patients; /* [nsources] */
    struct stat_counts *counts;
    struct stat_top top[STAT_SECTIONS];
    /* patients: of records that name one */
    uint64_t patients, patient_split[SPLIT_COUNT], patient_modality[MOD_COUNT];
    uint64_t crossing; /* patients in more than one of train, dev, test */
    uint64_t per_patient[STAT_GROUPS];
    /* texts: normalised findings and impression */
    uint64_t texts, group_texts[STAT_GROUPS], group_reports[STAT_GROUPS];
    uint64_t across_sources, seen[SPLIT_COUNT]; /* reports of dev, test whose text is in train */
    struct stat_phrases phrases[TEXT_COUNT];
    bool tokens;
};
/* tok NULL: words alone. On failure call free all the same. Collective. */
MUST_CHECK bool stat_gather(const struct stats_job *j, const struct tokenizer *tok, struct comm *c,
                            struct stat_result *out, struct err *e);
void stat_result_free(struct stat_result *r);
