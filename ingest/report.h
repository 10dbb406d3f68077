/*
 * ingest/report - the text of one report, or the cells of one row, to a record.
 *
 * Decodes (ill-formed UTF-8 is repaired and flagged), finds the sections in the source's mode, the
 * modality, the split, and hashes. One builder a rank; what it returns lives until the next build.
 */
#pragma once
#include "ingest/header_own.h"
#include "ingest/ingest.h"
#include "ingest/mitlcp.h"
#include "ingest/modality.h"
#include "ingest/split.h"

struct report_rules {
    enum record_mode mode;
    enum record_modality modality;  /* of the source, MOD_UNKNOWN: none */
    const struct modality_map *map; /* may be NULL */
    const struct split *split;
    const struct mitlcp_rules *custom; /* may be NULL */
    const struct own_names *headers;   /* the site's; may be NULL */
    int phi;                           /* enum ingest_phi */
};
struct report_input {
    struct str text; /* the whole report, any bytes */
    struct str patient, study;
    uint64_t entry, offset, member;
    uint64_t time;     /* see struct record */
    struct str reader; /* who dictated it; only its hash is kept */
    bool table;        /* the text is a cell, see ingest/cell.h */
    /* Tables only. Cells of sections are used where the text has none. */
    struct str section[SEC_COUNT];
    struct str column, code, description;
    int split; /* enum record_split, -1: by the rules */
    enum record_status status;
    enum record_modality fallback; /* what the format is known for; MOD_UNKNOWN: nothing */
};

struct report_builder;
MUST_CHECK bool report_builder_open(uint64_t max_entry, struct report_builder **out, struct err *e);
/* *out borrows from in and from the builder. */
MUST_CHECK bool report_build(struct report_builder *b, const struct report_rules *rules,
                             const struct report_input *in, struct record *out, struct err *e);
void report_builder_close(struct report_builder *b);

/* ".../p10000032/s50414267.txt" -> "10000032", "50414267"; false: not a report's name. */
bool report_member(struct str name, struct str *patient, struct str *study);
/* "Final", "P", "Corrected" ... */
enum record_status report_status(struct str cell);
