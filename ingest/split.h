/*
 * ingest/split - which split a report belongs to. Patients never cross splits.
 *
 * list: a CSV with the columns study_id, subject_id, split, found by name: MEDIQA-2021's, or
 * mimic-cxr-2.0.0-split.csv.gz, which has a row an image (column dicom_id) and says validate for
 * dev. A listed study has its row's split; other studies of a listed patient stay in that patient's
 * split; what is not listed is hashed, or left out of all splits. A list that puts one patient into
 * two splits is refused.
 *
 * hash: u = first 8 bytes, big-endian, of SHA-256(salt || patient) / 2^64; test if u >= 1 - test,
 * dev if u >= 1 - test - dev, else train. No state: it stays as data grows. Without a patient id
 * the study stands in, and the record says so.
 */
#pragma once
#include "ingest/record.h"

enum split_kind { SPLIT_BY_LIST, SPLIT_BY_HASH, SPLIT_ALL_TRAIN, SPLIT_ALL_DEV, SPLIT_ALL_TEST };

/* Studies that a list does not name. HASH, NONE: those of a listed patient are in that patient's
 * split, others are hashed or belong to no split; EXACT: none belongs to a split. */
enum split_unlisted { SPLIT_UNLISTED_HASH, SPLIT_UNLISTED_NONE, SPLIT_UNLISTED_EXACT };

struct split_rules {
    enum split_kind kind;
    const char *list_path;
    enum split_unlisted unlisted;
    bool mimic_ids; /* "s50000000" and "p10000000" mean their digits */
    double dev, test;
    const char *salt;
};
struct split_row {
    struct str study, patient;
    enum record_split split;
    uint64_t line;
};
struct split;

/* Reads the list if there is one. rules are copied, strings borrowed. */
MUST_CHECK bool split_open(const struct split_rules *rules, struct split **out, struct err *e);
enum record_split split_of(const struct split *s, struct str patient, struct str study, bool *weak);
/* The list's rows in its order; none without a list. */
const struct split_row *split_rows(const struct split *s, size_t *n);
/* Of the list's rows and the rules: what the split depends on. */
void split_digest(const struct split *s, uint8_t out[32]);
void split_close(struct split *s);
/* "s50000000" -> "50000000" for that letter; anything else as it is. */
struct str split_digits(struct str id, char letter);
/* enum record_split of "train", "dev", "validate", ...; -1: none of them. */
int split_code(struct str name);
