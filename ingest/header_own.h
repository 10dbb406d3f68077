/*
 * ingest/header_own - does a line of a report begin a section, and which: the tables and tests
 * behind ingest/sections_own. A site's own names (sources[].headers) win over the tables.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "ingest/ingest.h"

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

struct own_names; /* a site's own */

/* Names are compared in any letter case, with a colon behind or alone on their line. NULL when the
 * site has none. o is borrowed for the call. */
MUST_CHECK bool own_names_open(const struct ingest_headers *o, struct own_names **out,
                               struct err *e);
/* What the records depend on: 0 for NULL. */
uint64_t own_names_digest(const struct own_names *n);
void own_names_close(struct own_names *n);

struct own_header {
    enum own_kind kind;
    size_t begin; /* of the header, in the line */
    size_t text;  /* of what follows it in the line */
};
/* Header at the start of a line, or OWN_NONE. site may be NULL. */
struct own_header own_header_at_start(const struct own_names *site, struct str line);
/* Next header of capitals within the line at or after `from`: where line breaks were lost. */
struct own_header own_header_within(const struct own_names *site, struct str line, size_t from);
