/*
 * ingest/source - the sources of a configuration, opened: files, digests, zip directories, splits.
 *
 * A pattern that matches many small loose files gives groups of them, each taken as one file of
 * ours: a block for every one of 100,000 messages would be no use. Groups are made of the sorted
 * names and the sizes alone.
 */
#pragma once
#include "base/fs.h"
#include "comm/comm.h"
#include "ingest/forget.h"
#include "ingest/ids.h"
#include "ingest/ingest.h"
#include "ingest/report.h"
#include "ingest/zip_read.h"

struct format;
struct source_file {
    const char *path; /* of a group: the pattern */
    struct str *paths;
    size_t npaths; /* above 1: a group */
    uint64_t bytes;
    uint32_t number;             /* among the source's dumps, see ingest/dumps */
    uint64_t generation;         /* of the corpus, when it first came */
    uint8_t sha256[32];          /* of the file; of a group: of its files' sizes and digests */
    uint8_t config[32];          /* of file, options and schema: what its blocks are made from */
    bool zip;                    /* split over ranks by entry */
    const struct format *format; /* of all entries of the zip */
    struct fs_map map;
    struct zip_dir dir;
    uint8_t *shadowed; /* per zip entry: a later one has the same name */
    uint64_t blocks;   /* of a zip; a stream's are known after reading it */
};
struct source {
    const struct ingest_source_opts *o;
    uint32_t index;
    const char *dir; /* corpus.dir/records/<name> */
    struct report_rules rules;
    struct split *split;
    struct modality_map *map;
    struct mitlcp_rules *custom;
    struct own_names *headers;
    const struct forget_list *forgotten; /* of the set; may be NULL */
    const struct ids *ids;               /* of the set */
    struct source_file *files;           /* by number */
    size_t nfiles;
    struct str *found; /* names in dir when we began, sorted: earlier blocks */
    size_t nfound;
    uint64_t below; /* a trial takes patients whose hash is below this; UINT64_MAX: all */
};
struct source_set {
    const struct ingest_opts *o;
    struct source *v;
    size_t n;
    struct forget_list *forgotten;
    struct ids ids;
    uint64_t generation; /* of the corpus this run makes */
    uint64_t *done; /* by rank: hashing and directories, as packed bytes to be made blocks of */
    struct arena arena;
};

/* Names, modes, lists: wrong options are ERR_CONFIG before any file is read. */
MUST_CHECK bool source_check_opts(const struct ingest_opts *o, struct err *e);
/* Open all sources on every rank; files are hashed by the ranks in turn. Collective. */
MUST_CHECK bool source_set_open(const struct ingest_opts *o, struct comm *c, struct source_set *out,
                                struct err *e);
void source_set_close(struct source_set *s);
/* Take only about `limit` of `total` reports, whole patients. A trial has blocks of its own. */
void source_set_limit(struct source_set *s, uint64_t limit, uint64_t total);
/* Is this patient (without a patient id: this study) part of the run? Who was forgotten is not. */
bool source_wants(const struct source *s, struct str patient, struct str study);
/* Do all its reports belong to one split, whoever's they are? */
bool source_is_one_split(const struct source *s);
/* The split rules that the options ask for (also for exports). */
struct split_rules source_split_rules(const struct ingest_opts *o,
                                      const struct ingest_source_opts *s);
