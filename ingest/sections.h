/*
 * ingest/sections - find the sections of a report.
 *
 * sections_published is the section finder of MIT-LCP/mimic-cxr, which MEDIQA-2021 copied, bit for
 * bit, with its faults: a header is a newline, one blank, capitals, a colon and one white-space
 * character. radmill's own finder is ingest/sections_own.h.
 *
 * Positions are bytes in the text, which must be valid UTF-8. White space is Python's.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "ingest/record.h"

struct section {
    struct str name;   /* lower case; static, or in the arena */
    size_t begin, end; /* of the text */
    size_t start;      /* where the script says it begins: differs for last_paragraph */
    int kind;          /* sections_own.c */
};
struct section_list {
    struct section *v; /* in order of the text */
    size_t n, cap;
};
void section_list_free(struct section_list *l);
MUST_CHECK bool section_list_put(struct section_list *l, struct section s, struct err *e);
/* First or last section of that name, or NULL. */
const struct section *section_first(const struct section_list *l, const char *name);
const struct section *section_last(const struct section_list *l, const char *name);

/* l is cleared first, its memory reused. Names live in the arena. */
MUST_CHECK bool sections_published(struct str text, struct arena *a, struct section_list *l,
                                   struct err *e);
/* The spans a record carries: MEDIQA takes the first section of a name, MIT-LCP the last. Sections
 * of white space alone count as absent. */
void sections_to_spans(struct str text, const struct section_list *l, enum record_mode mode,
                       struct record_span out[SEC_COUNT]);
/* [begin, end) of text without white space at its ends, as a span; empty: {0, 0}. */
struct record_span section_span(struct str text, size_t begin, size_t end);
