/*
 * ingest/ingest - the first stage: archives and dumps -> record blocks. Its driver and its options.
 *
 *     sources -> files -> blocks of 4,096 entries -> records/<source>/... -> manifest.json
 *
 * Zip entries are dealt over the ranks in fixed blocks; what cannot be split (tar, packed or plain
 * tables) goes to one rank a file, or, where the others would wait for it, is decoded by one rank
 * that feeds all (ingest/feed). Blocks hold what came of a fixed range of entries, and the order
 * of records is that of the configuration, so the corpus has the same bytes for any number of
 * ranks.
 *
 * A report that cannot be read is counted by its reason and listed, without its text, in
 * quarantine/<source>.jsonl; it does not stop the run unless more than max_bad of them are bad.
 * Blocks are named by what they were made from, the manifest is replaced last: until then the old
 * corpus is untouched. A rerun makes only what is missing, damaged or changed.
 *
 * Raw patient and study ids stand in the record blocks (exports need them) and nowhere else; with
 * ids: hash not even there (ingest/ids).
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "ingest/record.h"

enum ingest_format {
    FORMAT_MIMIC_CXR,
    FORMAT_CSV,
    FORMAT_TSV,
    FORMAT_JSONL,
    FORMAT_HL7,
    FORMAT_FHIR,
    FORMAT_OPENI_XML,
    FORMAT_TEXT,
    FORMAT_AUTO /* by each file's name and first bytes */
};
enum ingest_split {
    INGEST_SPLIT_LIST,
    INGEST_SPLIT_HASH,
    INGEST_SPLIT_TRAIN,
    INGEST_SPLIT_DEV,
    INGEST_SPLIT_TEST,
    INGEST_SPLIT_AUTO
};
enum ingest_unlisted { UNLISTED_AUTO, UNLISTED_HASH, UNLISTED_NONE, UNLISTED_EXACT, UNLISTED_DROP };
/* Reports without a patient's or a study's id. */
enum ingest_no_patient { NO_PATIENT_STUDY, NO_PATIENT_OWN, NO_PATIENT_DROP };
enum ingest_no_study { NO_STUDY_KEEP, NO_STUDY_DERIVE, NO_STUDY_DROP };

/* Patient and study ids in the records, see ingest/ids.h. */
enum ingest_ids { INGEST_IDS_KEEP, INGEST_IDS_HASH };

/* What is done about what looks like an identifier, see ingest/phi.h. */
enum ingest_phi { INGEST_PHI_REPORT, INGEST_PHI_MASK, INGEST_PHI_REFUSE, INGEST_PHI_OFF };

/* What a table's column, or a key of JSON lines, holds. */
enum ingest_role {
    ROLE_ID, /* of the report */
    ROLE_PATIENT,
    ROLE_STUDY, /* accession; the report's id when there is none */
    ROLE_STATUS,
    ROLE_MODALITY,
    ROLE_CODE, /* procedure code */
    ROLE_DESCRIPTION,
    ROLE_SPLIT,
    ROLE_TEXT, /* the whole report */
    ROLE_FINDINGS,
    ROLE_IMPRESSION,
    ROLE_CLINICAL,
    ROLE_EXAMINATION,
    ROLE_TECHNIQUE,
    ROLE_COMPARISON,
    ROLE_ADDENDUM, /* joined to the text */
    ROLE_TIME,     /* of this version of the report */
    ROLE_READER,   /* who dictated it; only a hash is kept */
    ROLE_COUNT
};
struct ingest_columns {
    struct opt_strs role[ROLE_COUNT]; /* names of columns; several are joined; none: guessed */
};
/* A site's own names of section headers. */
enum ingest_header {
    HEADER_FINDINGS,
    HEADER_IMPRESSION,
    HEADER_CLINICAL,
    HEADER_EXAMINATION,
    HEADER_TECHNIQUE,
    HEADER_COMPARISON,
    HEADER_END, /* ends the section in front, and is none of ours */
    HEADER_COUNT
};
struct ingest_headers {
    struct opt_strs name[HEADER_COUNT];
};
struct ingest_source_opts {
    const char *name;    /* letters, digits, _ and -: it names files */
    int format;          /* enum ingest_format */
    const char *path;    /* a file or a pattern */
    const char *members; /* pattern of the members of archives to take; NULL: all */
    const char *names;   /* text: ids in a name, "{patient}/{study}.txt" */
    int encoding;        /* enum charset_as */
    int split;           /* enum ingest_split */
    const char *split_list;
    int unlisted;             /* enum ingest_unlisted */
    int no_patient, no_study; /* enum ingest_no_patient, ingest_no_study */
    int versions;             /* enum record_versions */
    int sections;             /* enum record_mode */
    const char *custom_rules; /* mitlcp: the per-study overrides */
    const char *site;         /* sources of one site share accession numbers; NULL: each its own */
    const char *modality;     /* of every report of the source; a column or the text go first */
    const char *terms;        /* data-use terms, in words; NULL: none stated */
    struct ingest_columns columns;
    struct ingest_headers headers;
};
struct ingest_opts {
    const char *dir;
    int ids; /* enum ingest_ids */
    const char *id_key_file;
    uint64_t limit;               /* a trial on about so many reports; 0: all */
    const char *modality_map;     /* CSV: code, modality; wins over the rules */
    int phi;                      /* enum ingest_phi */
    double near_duplicates;       /* least similarity; 0: not looked for */
    double max_bad;               /* share of a source's reports that may be unreadable */
    uint64_t max_entry;           /* bytes of one report */
    uint64_t max_total;           /* bytes that one file may unpack to */
    uint64_t max_entries;         /* of one file */
    uint32_t max_ratio;           /* unpacked to packed bytes of an entry or stream */
    double split_dev, split_test; /* shares of the patients that are hashed */
    const char *split_salt;
    struct opt_list sources; /* of struct ingest_source_opts */
};
/* Section "corpus". */
extern const struct opt ingest_table[];

/* A source whose files hold no report. */
struct ingest_empty {
    const char *name; /* borrowed from the options */
    uint64_t files, entries, ignored, rejected;
};
enum { INGEST_EMPTY_MAX = 16 };

struct ingest_summary {
    uint64_t reports, entries, ignored;
    uint64_t total; /* with a limit: reports that the sources have; else as reports */
    uint64_t rejected[REJECT_COUNT];
    uint64_t split[SPLIT_COUNT];
    uint64_t modality[MOD_COUNT];
    uint64_t pairs;               /* with findings and impression, not duplicate, not superseded */
    uint64_t flags[RECORD_FLAGS]; /* by bit of enum record_flag */
    uint64_t text_bytes, source_bytes;
    struct ingest_empty empty[INGEST_EMPTY_MAX]; /* the first of them; not looked for in a trial */
    size_t nempty;                               /* all of them */
    uint64_t blocks, blocks_made;                /* made: not found whole from an earlier run */
    double seconds;
    double near_seconds; /* of them for near-duplicates */
    /* Of them on reading single reports and making records of them, on the rank that had most: this
     * grows with the reports taken. The rest (hashing and opening the sources, cutting a stream's
     * rows, beginning blocks) a trial does for the whole. 0: all blocks were there. */
    double report_seconds;
};
/* Collective; every rank gets the summary. ERR_STOPPED after stop_request: finished blocks stay. */
MUST_CHECK bool ingest_run(const struct ingest_opts *o, struct comm *c, struct ingest_summary *out,
                           struct err *e);
