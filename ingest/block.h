/*
 * ingest/block - make the record blocks of a file, or find them whole from an earlier run.
 *
 * A block's name is b<file>-<block>-<key>.h5: the dump's number (ingest/source), the block's in it,
 * and a digest of the dump's bytes and of the options. So what another configuration or an earlier
 * corpus made is never overwritten, and what is there need not be made again. A block is written
 * once: what a look at the whole corpus tells of its records stands beside (ingest/late).
 */
#pragma once
#include "ingest/format.h"
#include "ingest/source.h"

enum { BLOCK_NAME_BYTES = 48 };

/* What the other ranks and the manifest must know of a block. Plain bytes: it is sent as it is. */
struct block_fact {
    uint32_t source, file, block; /* file: the number of the dump */
    uint32_t made;                /* not found whole from an earlier run */
    uint64_t first_entry, entries, ignored, records;
    uint64_t text_bytes, pairs;
    uint64_t rejected[REJECT_COUNT];
    uint64_t modality[MOD_COUNT];
    uint64_t split[SPLIT_COUNT];
    uint64_t flags[RECORD_FLAGS];
    uint8_t sha256[32];
    char name[BLOCK_NAME_BYTES];
};
/* What tells duplicates and superseded reports, one a record, in corpus order. */
struct block_key {
    struct hash128 norm;  /* 0, 0: has neither findings nor impression */
    struct hash128 study; /* of source or site and study id; 0, 0: unknown */
    uint64_t patient;     /* hash of source or site and patient; 0: unknown */
    uint64_t time;        /* of two with one status the later supersedes; 0: unknown */
    uint8_t status;       /* higher supersedes lower */
    uint8_t split;        /* enum record_split */
    uint8_t pair;         /* has findings and impression */
    uint8_t first;        /* of two that are otherwise equal, this one counts if it comes first */
    uint8_t pad[4];
};
enum { BLOCK_VOID = 3 }; /* status of a withdrawn report: it supersedes all, itself too */
struct block_list {
    struct block_fact *facts;
    size_t n, cap;
    struct block_key *keys; /* of all records of all facts, in order */
    size_t nkeys, keys_cap;
};
/* What one rank works with, and its results; zeroed before use. The tools are kept from block to
 * block for their memory. */
struct block_work {
    struct block_list list;
    struct record_writer *writer;
    struct report_builder *builder;
    struct format_scratch scratch;
    uint64_t max_entry;
    double report_s; /* on reports taken: read from the zip, made a record of */
    struct zip_reader *zip;
    const struct source_file *zip_of; /* the file that zip reads */
};
void block_work_free(struct block_work *w);

/* Block number `block` of a zip: appended to w->list. */
MUST_CHECK bool block_of_zip(const struct source_set *set, const struct source *s, size_t file,
                             uint64_t block, struct block_work *w, struct err *e);
/* All blocks of a stream: a table, or reports in a tar. */
MUST_CHECK bool block_of_stream(const struct source_set *set, const struct source *s, size_t file,
                                struct block_work *w, struct err *e);
/* Count all that is in the block into the fact, whose place and name stand. */
void block_count(const struct record_reader *r, struct block_fact *f);
/* Where a source's records belong: name, site (NULL or "": its own), enum record_versions. */
struct block_place {
    const char *source, *site;
    int versions;
};
struct block_key block_key_of(struct block_place at, const struct record *r);
MUST_CHECK bool block_put_key(struct block_list *l, const struct block_key *k, struct err *e);
MUST_CHECK bool block_put_fact(struct block_list *l, const struct block_fact *f, struct err *e);
/* The block again under another path, without the records marked in drop: they count as ignored. */
MUST_CHECK bool block_copy(const struct record_reader *r, const char *path, const uint8_t *drop,
                           struct err *e);
