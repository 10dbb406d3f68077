/*
 * ingest/header_own - does a line of a report begin a section, and which: the tables and tests
 * behind ingest/sections_own.
 */
#pragma once
#include "base/str.h"

enum own_kind {
    OWN_NONE = -1,
    OWN_BODY, /* what stands before the first header */
    OWN_FINDINGS,
    OWN_VIEW, /* "CHEST, 2 VIEWS": findings if it has text of its own */
    OWN_IMPRESSION,
    OWN_COMBINED, /* findings and impression in one */
    OWN_CLINICAL,
    OWN_EXAMINATION,
    OWN_TECHNIQUE,
    OWN_COMPARISON,
    OWN_TAIL,  /* recommendations, notifications, addenda, signatures: ends what stands before */
    OWN_OTHER, /* capitals and a colon: a sub-heading within findings or impression */
    OWN_TITLE, /* FINAL REPORT: the report itself begins */
    OWN_BREAK, /* a line of underscores */
    OWN_KINDS
};
extern const char *const own_kind_names[OWN_KINDS + 1];

struct own_header {
    enum own_kind kind;
    size_t begin; /* of the header, in the line */
    size_t text;  /* of what follows it in the line */
};
/* Header at the start of a line, or OWN_NONE. */
struct own_header own_header_at_start(struct str line);
/* Next header of capitals within the line at or after `from`: where line breaks were lost. */
struct own_header own_header_within(struct str line, size_t from);
