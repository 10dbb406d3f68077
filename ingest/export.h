/*
 * ingest/export - records back out: the published exchange forms, and tables of our own.
 *
 * Reads only record blocks (and for mediqa the split list), nothing of the archive. Exports hold
 * report text and raw ids: whoever calls notes them in the audit log first.
 *
 *     mediqa    the JSON that the MEDIQA-2021 Task 3 script writes for a split: one line, rows in
 *               the order of the source's split list, keys study_id, subject_id, findings,
 *               impression, background, ASCII, no newline at the end. Needs sections: mediqa; the
 *               bytes are the script's. Where the script would stop (a listed report is missing, or
 *               lacks findings or impression) the row is left out and counted in the log.
 *     mitlcp    a folder with the two tables of MIT-LCP create_section_files --no_split,
 *               mimic_cxr_sectioned.csv and mimic_cxr_sections.csv, in the order of the archive
 *               (the script's is the file system's). The finder runs again over the records' text,
 *               so a source of any mode will do.
 *     sections  one JSON line a report: {"study", "sections": [{"name", "start", "text"}]}. Of a
 *               source with sections: mediqa or mitlcp all sections of the published finder; of
 *               others those the record carries. start counts code points.
 *     jsonl     one JSON line a report, csv a table (RFC 4180, LF): accession, study, patient,
 *               source, split, status, modality, modality_from, clinical, examination, technique,
 *               comparison, findings, impression, superseded, duplicate_of. Section texts are as in
 *               the report, without white space at the ends. status is HL7's letter (P, F, A, C),
 *               or empty. duplicate_of is the accession of the first report of the source, else of
 *               the corpus, with the same findings and impression (letter case, blanks, digits
 *               aside), null in others.
 */
#pragma once
#include "ingest/ingest.h"

enum export_format {
    EXPORT_MEDIQA,
    EXPORT_MITLCP,
    EXPORT_SECTIONS,
    EXPORT_JSONL,
    EXPORT_CSV,
    EXPORT_FORMATS
};
extern const char *const export_format_names[EXPORT_FORMATS + 1];

struct export_opts {
    const char *corpus_dir;
    const struct ingest_source_opts *source; /* NULL: all sources; not for mediqa, mitlcp */
    bool hashed_ids; /* corpus.ids: hash; not for mediqa, mitlcp, which carry raw ids */
    enum export_format format;
    int split;                /* enum record_split, -1: all; mediqa needs one */
    bool modality[MOD_COUNT]; /* none true: all */
    const char *path;         /* file; mitlcp: folder */
};
struct export_counts {
    uint64_t written;
    uint64_t missing, incomplete; /* mediqa: listed, but not there or without one of the two */
};
/* Files are there whole or not at all. A split or modality without reports is ERR_CONFIG that names
 * those there are. */
MUST_CHECK bool export_run(const struct export_opts *o, struct export_counts *out, struct err *e);
