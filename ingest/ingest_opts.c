#include "ingest/ingest.h"

static const char *const format_names[] = {"mimic-cxr", "csv",       "tsv",  "jsonl", "hl7",
                                           "fhir",      "openi-xml", "text", "auto",  NULL};
static const char *const encoding_names[] = {"auto",     "utf-8",    "windows-1252",
                                             "utf-16le", "utf-16be", NULL};
static const char *const split_names[] = {"list", "hash", "train", "dev", "test", "auto", NULL};
static const char *const unlisted_names[] = {"auto", "hash", "none", "exact", "drop", NULL};
static const char *const no_patient_names[] = {"study", "own", "drop", NULL};
static const char *const no_study_names[] = {"keep", "derive", "drop", NULL};
static const char *const phi_names[] = {"report", "mask", "refuse", "off", NULL};
static const char *const id_names[] = {"keep", "hash", NULL};

#define ROLE(k, r, h)                                                                              \
    {                                                                                              \
        .key = k, .type = OPT_T_STRS,                                                              \
        .offset = offsetof(struct ingest_columns, role) + (r) * sizeof(struct opt_strs), .help = h \
    }

static const struct opt column_table[] = {
    ROLE("id", ROLE_ID, "the report's id"),
    ROLE("patient", ROLE_PATIENT, "patient id: splits are by patient"),
    ROLE("study", ROLE_STUDY, "study or accession number"),
    ROLE("status", ROLE_STATUS, "preliminary, final, corrected"),
    ROLE("modality", ROLE_MODALITY, "DICOM code or word"),
    ROLE("code", ROLE_CODE, "procedure code"),
    ROLE("description", ROLE_DESCRIPTION, "exam or procedure description"),
    ROLE("split", ROLE_SPLIT, "train, dev or test; wins over the source's split"),
    ROLE("text", ROLE_TEXT, "the whole report in one cell"),
    ROLE("findings", ROLE_FINDINGS, "findings section"),
    ROLE("impression", ROLE_IMPRESSION, "impression section"),
    ROLE("clinical", ROLE_CLINICAL, "indication, history, clinical information"),
    ROLE("examination", ROLE_EXAMINATION, "examination section"),
    ROLE("technique", ROLE_TECHNIQUE, "technique section"),
    ROLE("comparison", ROLE_COMPARISON, "comparison section"),
    ROLE("addendum", ROLE_ADDENDUM, "addendum; joined to the text"),
    ROLE("time", ROLE_TIME, "date or time of this version of the report"),
    ROLE("reader", ROLE_READER, "who dictated it; only a hash is kept"),
    OPT_END,
};

#define HEADER(k, i, h)                                                                            \
    {                                                                                              \
        .key = k, .type = OPT_T_STRS,                                                              \
        .offset = offsetof(struct ingest_headers, name) + (i) * sizeof(struct opt_strs), .help = h \
    }

static const struct opt header_table[] = {
    HEADER("findings", HEADER_FINDINGS, "headers of the findings"),
    HEADER("impression", HEADER_IMPRESSION, "headers of the impression"),
    HEADER("clinical", HEADER_CLINICAL, "headers of indication, history"),
    HEADER("examination", HEADER_EXAMINATION, "headers of the examination"),
    HEADER("technique", HEADER_TECHNIQUE, "headers of the technique"),
    HEADER("comparison", HEADER_COMPARISON, "headers of the comparison"),
    HEADER("end", HEADER_END, "headers that end a section and are to be left out"),
    OPT_END,
};

#define S struct ingest_source_opts
static const struct opt source_table[] = {
    OPT_STRING(S, name, NULL, "name of the source: letters, digits, _ and -"),
    OPT_ENUM(S, format, "auto", format_names,
             "mimic-cxr: files/pNN/pPATIENT/sSTUDY.txt; csv, tsv: tables with a header; jsonl, hl7 "
             "(v2 ORU), fhir (R4 NDJSON); openi-xml, text: a file a report; auto: by each file"),
    OPT_PATH(S, path, NULL, "archive, file or pattern; files may be packed or inside archives"),
    OPT_STRING(S, members, NULL, "take only members of archives that match, such as *reports*.csv"),
    OPT_STRING(S, names, NULL, "text: ids in a file's path, such as {patient}/{study}.txt"),
    OPT_ENUM(S, encoding, "auto", encoding_names,
             "auto: by the byte order mark; what is not UTF-8 is Windows-1252"),
    OPT_ENUM(S, split, "auto", split_names,
             "list: by split_list; hash: by patient; auto: list where split_list is given, else "
             "hash; or one split for the whole source"),
    OPT_PATH(S, split_list, NULL, "CSV with study_id, subject_id, split"),
    OPT_ENUM(S, unlisted, "auto", unlisted_names,
             "studies of patients that are not in the list: hash, or none (no split); exact: what "
             "is not listed has no split, whose it may be; drop: as none, and not taken at all; "
             "auto: exact for the published section modes, else hash"),
    OPT_ENUM(S, no_patient, "study", no_patient_names,
             "a report without a patient's id: study: the study stands in (without one, the report "
             "itself); own: each is a patient of its own; drop: not taken, counted as no-patient"),
    OPT_ENUM(S, no_study, "keep", no_study_names,
             "a report without a study's id: keep: a study of its own; derive: the patient's "
             "reports of one time are one study; drop: not taken, counted as no-study"),
    OPT_ENUM(S, versions, "best", record_versions_names,
             "of several reports of a study counts: best: the most final, then the latest; first, "
             "last: by time, then by place; all: each. Withdrawn reports never do"),
    OPT_ENUM(S, sections, "own", record_mode_names,
             "own: radmill's section finder; mediqa, mitlcp: exactly as the published scripts"),
    OPT_PATH(S, custom_rules, NULL, "mitlcp: CSV of per-study overrides"),
    OPT_STRING(S, site, NULL,
               "sources of one site share accession numbers: a report in a later dump supersedes "
               "that of an earlier one"),
    OPT_STRING(S, modality, NULL, "modality of reports that do not tell; mimic-cxr: CR"),
    OPT_STRING(
        S, terms, NULL,
        "data-use terms in words (licence, agreement, approval): they follow the reports into "
        "manifests, shards, adapters and cards"),
    OPT_MAP(S, columns, struct ingest_columns, column_table,
            "columns of a table, or keys of JSON lines (a.b.c), by what they hold"),
    OPT_MAP(S, headers, struct ingest_headers, header_table,
            "the site's own names of section headers, in any letter case; sections: own"),
    OPT_END,
};
#undef S

#define S struct ingest_opts
const struct opt ingest_table[] = {
    OPT_PATH(S, dir, "work/corpus", "folder of the records"),
    OPT_ENUM(S, ids, "keep", id_names,
             "patient and study ids in the record blocks: keep: as they came; hash: keyed hashes"),
    OPT_PATH(S, id_key_file, NULL, "ids: hash: file with the secret that keys them"),
    OPT_U64(S, limit, 0, 0, 1e15, "a trial on about this many reports, whole patients; 0: all"),
    OPT_PATH(S, modality_map, NULL, "CSV of the site's procedure codes: code, modality"),
    OPT_ENUM(
        S, phi, "report", phi_names,
        "dates, phone and record numbers, e-mail, names behind a title that stand in the texts: "
        "report: count them; mask: ___ instead; refuse: no corpus if there are any; off: do "
        "not look. None of it is de-identification"),
    OPT_F64(S, near_duplicates, 0, 0.0, 1.0,
            "mark reports at least so similar to an earlier one, such as 0.8 (a pass of its own); "
            "0: only the same ones"),
    OPT_F64(S, max_bad, 0.001, 0.0, 1.0, "share of unreadable reports that a source may have"),
    OPT_U64(S, max_entry, 1048576, 1, 67108864, "bytes of one report"),
    OPT_U64(S, max_total, 1099511627776, 1, 1e18, "bytes that one file may unpack to"),
    OPT_U64(S, max_entries, 200000000, 1, 4e9, "entries of one file"),
    OPT_U32(S, max_ratio, 200, 1, 100000, "unpacked to packed bytes of an entry or stream"),
    OPT_F64(S, split_dev, 0.05, 0.0, 1.0, "share of patients in dev, where split is by hash"),
    OPT_F64(S, split_test, 0.05, 0.0, 1.0, "share of patients in test, where split is by hash"),
    OPT_STRING(S, split_salt, "radmill", "changes which patients are where"),
    OPT_LIST(S, sources, struct ingest_source_opts, source_table, "where reports come from"),
    OPT_END,
};
#undef S
