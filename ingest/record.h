/*
 * ingest/record - report records on disk: what ingest writes and shard reads. The only code that
 * knows the HDF5 layout `records/v1` (docs/FORMATS.md).
 *
 *     corpus.dir/manifest.json                      sources, blocks, digests, counts, reasons;
 *                                                   written last
 *     corpus.dir/records/<source>/b0000-000000-*.h5 a block of up to 4,096 archive entries
 *     corpus.dir/late-*.h5                          what only the whole corpus tells about a record
 *
 * A block never changes: which of its reports are duplicates or superseded depends on all other
 * blocks, those of later dumps too, so it stands beside them (ingest/record_late). A corpus that
 * grows writes new blocks and a new late file; whatever dump they come from, old blocks keep name,
 * bytes and time.
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
#include "base/version.h"

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

/* Which of several reports of a study counts: policy of the source. */
enum record_versions { VERSIONS_BEST, VERSIONS_FIRST, VERSIONS_LAST, VERSIONS_ALL, VERSIONS_COUNT };
extern const char *const record_versions_names[VERSIONS_COUNT + 1]; /* "best", ... */

/* How the section text is to be cleaned: mode of the source. */
enum record_mode { MODE_OWN, MODE_MEDIQA, MODE_MITLCP, MODE_COUNT };
extern const char *const record_mode_names[MODE_COUNT + 1]; /* "own", "mediqa", "mitlcp" */

/* What the institution said about the report's state. */
enum record_status {
    STATUS_UNKNOWN,
    STATUS_PRELIMINARY,
    STATUS_FINAL,
    STATUS_ADDENDUM,
    STATUS_CORRECTED,
    STATUS_CANCELLED, /* withdrawn: what came before under this accession is void, and so is this */
    STATUS_COUNT
};

/* Why an entry of the source gave no record. */
enum record_reject {
    REJECT_NO_NAME,    /* the member's name cannot be decoded */
    REJECT_DUPLICATE,  /* a later entry of the archive has the same name: no defect */
    REJECT_ENCRYPTED,  /* needs a password */
    REJECT_METHOD,     /* compressed in a way we do not read */
    REJECT_LOCAL,      /* local header missing or of another entry than the directory says */
    REJECT_TRUNCATED,  /* data ends before the entry does */
    REJECT_CORRUPT,    /* the compressed data are damaged */
    REJECT_CRC,        /* checksum of the data does not match */
    REJECT_SIZE,       /* unpacks to another size than the directory says */
    REJECT_TOO_LARGE,  /* above max_entry */
    REJECT_RATIO,      /* above max_ratio: a bomb */
    REJECT_ROW_FIELDS, /* a table row with another number of cells than the header */
    REJECT_ROW_QUOTES, /* a table row whose quotes do not balance */
    REJECT_FORMAT,     /* a message, line or document that is not what its format promises */
    REJECT_NO_TEXT,    /* a report whose text is missing or of a kind we do not read (PDF) */
    REJECT_NESTED,     /* an archive in an archive in an archive */
    /* Whole reports that the source's options leave out; they do not count against max_bad. */
    REJECT_NO_PATIENT, /* no_patient: drop */
    REJECT_NO_STUDY,   /* no_study: drop */
    REJECT_UNLISTED,   /* unlisted: drop */
    REJECT_COUNT
};
extern const char *const record_reject_names[REJECT_COUNT + 1]; /* "no-name", ... */

enum record_flag {
    RECORD_NO_FINDINGS = 1u << 0,
    RECORD_NO_IMPRESSION = 1u << 1,
    RECORD_REPAIRED_UTF8 = 1u << 2,
    RECORD_TRUNCATED = 1u << 3,
    RECORD_DUPLICATE = 1u << 4,      /* same normalised text as an earlier record of the corpus */
    RECORD_SUPERSEDED = 1u << 5,     /* a later or more final report of the same study is there */
    RECORD_SPLIT_WEAK = 1u << 6,     /* split by study, no patient id */
    RECORD_GUESSED = 1u << 7,        /* no header parts findings and impression, only their place */
    RECORD_NEAR_DUPLICATE = 1u << 8, /* nearly the text of an earlier record (ingest/near) */
};
#define RECORD_LATE (RECORD_DUPLICATE | RECORD_SUPERSEDED | RECORD_NEAR_DUPLICATE)
/* What looks like an identifier (ingest/phi): this bit and the next four, by enum phi_kind. */
#define RECORD_PHI (1u << 9)
enum { RECORD_FLAGS = 14 }; /* bits that are counted */

struct record_span {
    uint32_t offset, length; /* bytes in text; length 0: absent */
};

struct record {
    struct str text;
    struct record_span section[SEC_COUNT];
    struct str patient, study; /* raw ids; empty when unknown. Never in logs, never in shards. */
    uint64_t entry;            /* ordinal in the archive, or row in the table */
    uint64_t offset;           /* byte offset in the archive (local header), member or lone file */
    uint64_t member;           /* which member of the archive, or file of a group of loose files */
    uint64_t time;   /* of this version of the report, as YYYYMMDDhhmmss in decimal; 0: unknown */
    uint64_t reader; /* who dictated it: a hash of the name, 0: unknown. A name never stands here */
    uint8_t modality, origin, split, mode, status;
    uint32_t flags;
    struct hash128 hash_raw;  /* of text */
    struct hash128 hash_norm; /* of lower-cased, blank- and digit-folded findings + impression */
};

/* ---- one block */
enum { RECORD_BLOCK_ENTRIES = 4096 };

struct record_block_info {
    char source[65];           /* name in the configuration */
    uint64_t first_entry;      /* of the range this block accounts for */
    uint64_t entries;          /* records + rejects + ignored */
    uint64_t ignored;          /* folders, litter: nothing was lost */
    bool last;                 /* no entries of the file come after this block */
    uint8_t config_sha256[32]; /* of source file and options: what the block was made from */
};
struct record_rejected {
    uint64_t entry, offset;
    enum record_reject reason;
};

struct record_writer;
/* Nothing is written before commit. path and source are copied. */
MUST_CHECK bool record_writer_open(const char *path, const char *source, uint64_t first_entry,
                                   const uint8_t config_sha256[32], struct record_writer **out,
                                   struct err *e);
/* Begin another block, after a commit or instead of one, with the memory of the one before. On
 * failure only close may follow. */
MUST_CHECK bool record_writer_restart(struct record_writer *w, const char *path, const char *source,
                                      uint64_t first_entry, const uint8_t config_sha256[32],
                                      struct err *e);
/* r is copied. Its spans must lie within its text. */
MUST_CHECK bool record_writer_put(struct record_writer *w, const struct record *r, struct err *e);
MUST_CHECK bool record_writer_reject(struct record_writer *w, uint64_t entry, uint64_t offset,
                                     enum record_reject reason, struct err *e);
/* Entries that are no reports and lose nothing: folders, litter. */
void record_writer_ignore(struct record_writer *w, uint64_t entries);
/* This is the last block of its file. */
void record_writer_last(struct record_writer *w);
/* Build the file in memory and put it in place. */
MUST_CHECK bool record_writer_commit(struct record_writer *w, struct err *e);
/* Of the committed file's bytes. */
void record_writer_sha256(const struct record_writer *w, uint8_t out[32]);
void record_writer_close(struct record_writer *w); /* drops the block unless committed */

/* Of libhdf5. */
struct version_pair record_library_version(void);

struct record_reader;
/* Open and check version, schema, checksum, every offset and code. The whole block is read into
 * memory. */
MUST_CHECK bool record_reader_open(const char *path, struct record_reader **out, struct err *e);
const struct record_block_info *record_reader_info(const struct record_reader *r);
size_t record_reader_count(const struct record_reader *r);
/* Views into the reader, valid until close. i < count. */
void record_reader_get(const struct record_reader *r, size_t i, struct record *out);
size_t record_reader_rejects(const struct record_reader *r);
void record_reader_rejected(const struct record_reader *r, size_t i, struct record_rejected *out);
/* Of the file's bytes. */
void record_reader_sha256(const struct record_reader *r, uint8_t out[32]);
void record_reader_close(struct record_reader *r);

/* ---- the corpus: what manifest.json says */
enum { RECORD_TERMS_BYTES = 1024 }; /* data-use terms are shorter */
struct record_block {
    const char *path;   /* of the block file */
    const char *source; /* name in the configuration */
    const char *terms;  /* data-use terms of the source; "": none stated */
    const char *site;   /* of the source; "": it is a site of its own */
    int versions;       /* enum record_versions of the source */
    uint32_t file;      /* number of the dump it came from, see files[].number in the manifest */
    uint32_t source_index, block_index;
    uint64_t records;
    uint8_t sha256[32];   /* of the file */
    struct hash128 *sum;  /* XXH3 of the file that had it, once opened; zero: not yet */
    const uint16_t *late; /* RECORD_LATE bits, one a record; NULL: the corpus has none */
};
/* Texts that are nearly another's: the normalised hash, and that of the head of its group. */
struct record_near {
    struct hash128 norm, head;
};
struct record_corpus {
    struct record_block *blocks; /* sources in configuration order, blocks ascending */
    size_t nblocks;
    const struct record_near *near; /* by norm */
    size_t nnear;
    double near_duplicates; /* the threshold they were found with; 0: not looked for */
    uint8_t digest[32];     /* over all blocks' sha256, then the late file's */
};
/* Read the manifest; everything lives in the arena. Missing: "run radmill ingest first". */
MUST_CHECK bool record_corpus_open(const char *dir, struct arena *a, struct record_corpus *out,
                                   struct err *e);
/* Open a block of the corpus; it must be the one that the manifest names, by its SHA-256 the first
 * time, by the XXH3 it had then later on. Its records have the late flags too (record_reader_open
 * alone knows nothing of them). b and its corpus outlive *out. */
MUST_CHECK bool record_block_open(const struct record_block *b, struct record_reader **out,
                                  struct err *e);
/* Where this text stands in near; nnear: it is nearly no other's. */
size_t record_corpus_near(const struct record_corpus *c, struct hash128 norm);
