/*
 * stats/stat_page - the report as one HTML file: no script, no network, light and dark.
 *
 * All text of a report or a configuration goes through page_text, which escapes it.
 */
#pragma once
#include "stats/stat_gather.h"

enum { PAGE_NUMBERS = 12 };
struct page {
    const struct stats_job *j;
    const struct stat_result *r;
    int order[MOD_COUNT]; /* modalities that occur, the commonest first */
    size_t nmods;
    struct sbuf b;
    struct err *e;
    bool ok;
    char number[PAGE_NUMBERS][32];
    unsigned next;
};
/* Append; after a failure nothing more happens, and the caller looks at p->ok in the end. */
#define PUT(p, ...) ((p)->ok = (p)->ok && sbuf_printf(&(p)->b, (p)->e, __VA_ARGS__))

/* The whole page into *out, which the caller frees with sbuf_free. */
MUST_CHECK bool stat_page(const struct stats_job *j, const struct stat_result *r, struct sbuf *out,
                          struct err *e);

/* ---- for the parts of the page alone */
void page_text(struct page *p, struct str s);
/* "227 835" with narrow no-break spaces; valid for the next PAGE_NUMBERS calls. */
const char *page_number(struct page *p, uint64_t n);
/* "12.3 %", or a dash where there is nothing to divide by. */
const char *page_share(struct page *p, uint64_t n, uint64_t of);
/* A table's cell with a number; a bar of its share behind it. */
void page_cell(struct page *p, uint64_t n);
void page_bar_cell(struct page *p, uint64_t n, uint64_t most);
/* A histogram of lengths with its median and 95th percentile; limit: a line, 0 for none. */
void page_histogram(struct page *p, const struct stat_lengths *l, const char *what,
                    const char *unit, uint64_t limit);
void page_part_lengths(struct page *p);
void page_part_duplicates(struct page *p);
void page_part_phrases(struct page *p);
void page_part_checks(struct page *p);
void page_part_splits(struct page *p);
void page_part_left_out(struct page *p);
extern const char *const page_style[]; /* pieces of it; NULL-terminated */

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
