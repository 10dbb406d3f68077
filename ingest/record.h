/*
 * ingest/record - report records on disk: what ingest writes and shard reads. The only code that
 * knows the HDF5 layout `records/v1` (docs/FORMATS.md).
 *
 *     corpus.dir/manifest.json                 sources, blocks, digests, counts, reasons; written
 * last corpus.dir/records/<source>/b000000.h5   one file a block of up to 4,096 archive entries
 *
 * Text is decoded UTF-8, uncleaned; sections are byte spans in it. A block holds the records of a
 * fixed range of archive entries, so its bytes do not depend on the number of ranks. The bytes of a
 * file are reproducible (no times, fixed library format). Files are built in memory and written by
 * base/fs, so they are there whole or not at all.
 *
 * HDF5 handles belong to the thread that opened them. No MPI inside.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

enum record_section {
    SEC_FINDINGS,
    SEC_IMPRESSION,
    SEC_CLINICAL, /* indication, history, clinical information */
    SEC_EXAMINATION,
    SEC_TECHNIQUE,
    SEC_COMPARISON,
    SEC_BACKGROUND, /* MEDIQA: all in front of the findings */
    SEC_COUNT
};
extern const char *const record_section_names[SEC_COUNT + 1];

/* DICOM modality codes; UNKNOWN: the rules abstained. */
enum record_modality {
    MOD_UNKNOWN,
    MOD_CR,
    MOD_CT,
    MOD_MR,
    MOD_US,
    MOD_NM,
    MOD_PT,
    MOD_XA,
    MOD_MG,
    MOD_RF,
    MOD_OT,
    MOD_COUNT
};
extern const char *const record_modality_names[MOD_COUNT + 1]; /* "unknown", "CR", ... */
int record_modality_of(struct str name); /* code or synonym ("MRI", "x-ray"); -1 unknown */

/* Where the label came from. */
enum record_origin {
    ORIGIN_NONE,
    ORIGIN_COLUMN,
    ORIGIN_CODE,
    ORIGIN_DESCRIPTION,
    ORIGIN_TEXT,
    ORIGIN_SITE,
    ORIGIN_SOURCE,
    ORIGIN_COUNT
};
extern const char *const record_origin_names[ORIGIN_COUNT + 1];

enum record_split { SPLIT_TRAIN, SPLIT_DEV, SPLIT_TEST, SPLIT_NONE, SPLIT_COUNT };
extern const char *const record_split_names[SPLIT_COUNT + 1]; /* "train", "dev", "test", "none" */
int record_split_of(struct str name);

/* How the section text is to be cleaned: mode of the source. */
enum record_mode { MODE_OWN, MODE_MEDIQA, MODE_MITLCP, MODE_COUNT };
extern const char *const record_mode_names[MODE_COUNT + 1]; /* "own", "mediqa", "mitlcp" */

enum record_flag {
    RECORD_NO_FINDINGS = 1u << 0,
    RECORD_NO_IMPRESSION = 1u << 1,
    RECORD_REPAIRED_UTF8 = 1u << 2,
    RECORD_TRUNCATED = 1u << 3,
    RECORD_DUPLICATE = 1u << 4, /* same normalised text as an earlier record of the corpus */
    RECORD_SUPERSEDED = 1u << 5,
    RECORD_SPLIT_WEAK = 1u << 6, /* split by study, no patient id */
};

struct record_span {
    uint32_t offset, length; /* bytes in text; length 0: absent */
};

struct record {
    struct str text;
    struct record_span section[SEC_COUNT];
    struct str patient, study; /* raw ids; empty when unknown. Never in logs, never in shards. */
    uint64_t entry;            /* ordinal in the archive, or row in the table */
    uint64_t offset;           /* byte offset in the archive (local header) or table */
    uint8_t modality, origin, split, mode;
    uint32_t flags;
    struct hash128 hash_raw;  /* of text */
    struct hash128 hash_norm; /* of lower-cased, blank- and digit-folded findings + impression */
};

/* ---- one block */
struct record_writer;
MUST_CHECK bool record_writer_open(const char *path, const char *source, uint64_t first_entry,
                                   const uint8_t config_sha256[32], struct record_writer **out,
                                   struct err *e);
MUST_CHECK bool record_writer_put(struct record_writer *w, const struct record *r, struct err *e);
MUST_CHECK bool record_writer_commit(struct record_writer *w, struct err *e);
void record_writer_close(struct record_writer *w); /* drops the file unless committed */

struct record_reader;
/* Open and check version, schema, checksum. The whole block is read into memory. */
MUST_CHECK bool record_reader_open(const char *path, struct record_reader **out, struct err *e);
size_t record_reader_count(const struct record_reader *r);
/* Views into the reader, valid until close. i < count. */
void record_reader_get(const struct record_reader *r, size_t i, struct record *out);
void record_reader_close(struct record_reader *r);

/* ---- the corpus: what manifest.json says */
struct record_block {
    const char *path;   /* of the block file */
    const char *source; /* name in the configuration */
    uint32_t source_index, block_index;
    uint64_t records;
    uint8_t sha256[32]; /* of the file */
};
struct record_corpus {
    struct record_block *blocks; /* sources in configuration order, blocks ascending */
    size_t nblocks;
    uint8_t digest[32]; /* over all blocks' sha256 */
};
/* Read the manifest; everything lives in the arena. Missing: "run radmill ingest first". */
MUST_CHECK bool record_corpus_open(const char *dir, struct arena *a, struct record_corpus *out,
                                   struct err *e);
