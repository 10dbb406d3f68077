/*
 * ingest/format - what a dump's file says, report by report: one small interface, one file each.
 *
 * A format takes the bytes of one file (a member of an archive, or a lone file) and gives items: a
 * report with its parts in their roles, something rejected with its reason, or something that is no
 * report and loses nothing. There are two kinds. One report a file (mimic-cxr, openi-xml, text):
 * `one` gets the whole file, so the entries of a zip can be dealt over the ranks. Many reports a
 * file (csv, tsv, jsonl, hl7, fhir): `open`, `next`, `close` over a stream.
 *
 * To add a format: a file format_<name>.c with a `const struct format`, a row in the table of
 * format.c, a name in ingest_opts.c. What a format does not do: decide what a section is (that is
 * ingest/report's), which reports count (ingest/dedup's), or unpack anything.
 */
#pragma once
#include "ingest/bytes.h"
#include "ingest/report.h"

enum format_kind { ITEM_REPORT, ITEM_REJECT, ITEM_IGNORE };
struct format_item {
    enum format_kind kind;
    enum record_reject reason; /* of a reject */
    uint64_t line;             /* where it begins, from 1; 0: the format has no lines */
    struct report_input in;    /* of a report; a reject has its offset. Borrowed, see below */
};

struct format_input {
    struct bytes in; /* borrowed until close */
    const struct ingest_source_opts *source;
    uint64_t max_entry; /* bytes of a report's text */
};

/* Kept from file to file for its memory. */
struct format_scratch {
    struct sbuf text, raw, ids;
};
void format_scratch_init(struct format_scratch *s, uint64_t max_entry);
void format_scratch_free(struct format_scratch *s);

struct format {
    /* Is a member of this name to be read in this format? `last` is the name's last part. */
    bool (*owns)(struct str name, struct str last);
    /* Does a file that begins so look like it? For format: auto. */
    bool (*looks)(struct str head);

    /* One report a file; NULL for the other kind. What item->in points to lives in name, text and s
     * until the next call. False: no memory. */
    bool (*one)(struct format_scratch *s, const struct ingest_source_opts *source, struct str name,
                struct str text, struct format_item *out, struct err *e);
    /* Patient and study by the name alone, if the format can tell; may be NULL. */
    bool (*ids)(const struct ingest_source_opts *source, struct str name, struct str *patient,
                struct str *study);

    /* Many reports a file. An item lives until the next call. */
    bool (*open)(const struct format_input *in, void **out, struct err *e);
    bool (*next)(void *reader, struct format_item *out, bool *more, struct err *e);
    void (*close)(void *reader);
};
extern const struct format format_mimic, format_text, format_openi, format_csv, format_tsv,
    format_jsonl, format_hl7, format_fhir;

/* Of a format in the configuration; NULL for auto. */
const struct format *format_of(int ingest_format);
/* For auto: by its name, else by its first bytes (as they are in the file); NULL: none of ours. */
const struct format *format_guess(const struct ingest_source_opts *source, struct str name,
                                  struct str head);
/* By names alone, if that is enough to tell; else NULL. */
const struct format *format_by_name(struct str name);
/* Folders, dot files, what macOS and Windows leave behind. */
bool format_is_litter(struct str name);
/* Last part of a path. */
struct str format_last(struct str name);
/* Does it end so, letter case aside? */
bool format_ends(struct str s, const char *suffix);

/* Helpers of several formats. */
/* Status by its code in HL7 tables 0085 and 0123; STATUS_UNKNOWN: another code. */
enum record_status format_status_hl7(struct str code);
