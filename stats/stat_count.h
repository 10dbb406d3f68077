/*
 * stats/stat_count - the counters: what is summed over all reports.
 *
 * Plain arrays of 64-bit numbers, zeroed, summed over ranks as one block of memory. Lengths are
 * counted one by one up to STAT_LEN_MAX, so quantiles are exact; longer ones share the last cell.
 */
#pragma once
#include "ingest/record.h"
#include "text/tokenizer.h"

enum stat_kind { STAT_WORDS, STAT_TOKENS, STAT_KINDS };
enum {
    STAT_WHOLE = SEC_COUNT, /* findings and impression together: what a sample is made of */
    STAT_SECTIONS,
    STAT_LEN_MAX = 4096,
    STAT_TOP = 20, /* longest reports that are listed */
};
extern const char *const stat_section_names[STAT_SECTIONS + 1];
extern const char *const stat_kind_names[STAT_KINDS + 1];

/* Candidates for a contradiction; see stat_check. */
enum stat_check {
    CHECK_SAME,
    CHECK_LONGER,
    CHECK_SIDE,
    CHECK_MEASURE,
    CHECK_NORMAL,
    CHECK_LABEL,
    CHECK_COUNT
};
/* What becomes of a report in training, with the defaults of shard; the first that holds. */
enum stat_fate {
    FATE_SUPERSEDED,
    FATE_NO_SPLIT,
    FATE_NO_FINDINGS,
    FATE_NO_IMPRESSION,
    FATE_PAIR,
    FATE_COUNT
};

struct stat_lengths {
    uint64_t reports; /* in which the section is there */
    uint64_t sum, squares;
    uint64_t cell[STAT_LEN_MAX + 1];
};
struct stat_counts {
    uint64_t reports, text_bytes, no_patient, no_study, phrase_reports;
    uint64_t status[STATUS_COUNT], flag[RECORD_FLAGS];
    uint64_t modality[MOD_COUNT], origin[MOD_COUNT][ORIGIN_COUNT];
    uint64_t split[MOD_COUNT][SPLIT_COUNT], fate[MOD_COUNT][FATE_COUNT];
    uint64_t missing[STAT_SECTIONS][MOD_COUNT];
    uint64_t checked[CHECK_COUNT][MOD_COUNT], found[CHECK_COUNT][MOD_COUNT];
    uint64_t named[MOD_COUNT][MOD_COUNT]; /* [label][what the text says] */
    struct stat_lengths length[STAT_KINDS][STAT_SECTIONS][MOD_COUNT];
};
/* By source. */
struct stat_source {
    uint64_t reports, text_bytes, entries, ignored, rejected[REJECT_COUNT];
    uint64_t split[SPLIT_COUNT], weak, duplicates, superseded, pairs;
};

/* One of the longest reports of a section. */
struct stat_long {
    uint64_t words;
    uint32_t source, block, row, modality;
};
/* The longest first; ties in corpus order. */
struct stat_top {
    struct stat_long v[STAT_TOP];
    size_t n;
};
void stat_top_put(struct stat_top *t, struct stat_long x);

/* Words between ASCII blanks. */
uint64_t stat_words(struct str s);
/* A section's text, not trimmed; STAT_WHOLE is not one. */
struct str stat_section(const struct record *r, int section);

/* Where one report's numbers go. cache NULL: words alone. */
struct stat_sink {
    struct stat_counts *counts;
    struct stat_source *source;
    struct stat_top *top; /* [STAT_SECTIONS] */
    struct tok_cache *cache;
    struct tok_ids ids;
    struct sbuf text;
};
MUST_CHECK bool stat_count_record(struct stat_sink *s, const struct record *r,
                                  struct stat_long place, struct err *e);

/* The least length that at least `share` of the reports reach or stay below; 0 without reports. */
uint64_t stat_quantile(const struct stat_lengths *l, double share);
/* Upper fence of Tukey's rule, Q3 + 3 (Q3 - Q1), and how many reports lie above. */
uint64_t stat_fence(const struct stat_lengths *l, uint64_t *above);
/* Sum over all modalities. */
void stat_lengths_add(struct stat_lengths *to, const struct stat_lengths *from);
