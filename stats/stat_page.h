/*
 * stats/stat_page - the report as one HTML file: no script, no network, light and dark.
 *
 * All text of a report or a configuration goes through html_text, which escapes it.
 */
#pragma once
#include "base/html.h"
#include "stats/stat_gather.h"

struct stat_sheet {
    const struct stats_job *j;
    const struct stat_result *r;
    int order[MOD_COUNT]; /* modalities that occur, the commonest first */
    size_t nmods;
    struct html h;
};
#define PUT(p, ...) HTML(&(p)->h, __VA_ARGS__)

/* The whole page into *out, which the caller frees with sbuf_free. */
MUST_CHECK bool stat_page(const struct stats_job *j, const struct stat_result *r, struct sbuf *out,
                          struct err *e);

/* ---- for the parts of the page alone */
/* A histogram of lengths with its median and 95th percentile; limit: a line, 0 for none. */
void stat_page_histogram(struct stat_sheet *p, const struct stat_lengths *l, const char *what,
                         const char *unit, uint64_t limit);
void stat_page_part_lengths(struct stat_sheet *p);
void stat_page_part_duplicates(struct stat_sheet *p);
void stat_page_part_phrases(struct stat_sheet *p);
void stat_page_part_checks(struct stat_sheet *p);
void stat_page_part_splits(struct stat_sheet *p);
void stat_page_part_left_out(struct stat_sheet *p);

/* ---- wording */
struct stat_wording {
    const char *name, *title, *note;
};
extern const struct stat_wording stat_check_words[CHECK_COUNT];
extern const struct stat_wording stat_fate_words[FATE_COUNT];
extern const struct stat_wording stat_missing_words[SEC_COUNT];
extern const char *const stat_reject_words[REJECT_COUNT];
extern const char *const stat_status_words[STATUS_COUNT];
extern const char *const stat_flag_words[RECORD_FLAGS]; /* NULL: a bit without a name */
