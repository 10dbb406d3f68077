/*
 * tests/ingest/ingestkit - what tests of the ingest stage share: one corpus in a fresh folder, on
 * one rank.
 */
#pragma once
#include "ingest/ingest.h"

struct ingestkit {
    struct comm *comm;
    struct arena arena;
    struct ingest_opts opts; /* the defaults; dir: "corpus" in the test's folder; one source */
    struct ingest_source_opts sources[3];
    struct ingest_summary sum; /* of the last run */
    struct err e;
};
extern struct ingestkit kit;

/* cmocka's set-up and tear-down: the latter checks that nothing leaked. */
int ingestkit_setup(void **state);
int ingestkit_teardown(void **state);
/* A path in the test's folder that lives as long as the test. */
const char *ingestkit_path(const char *name);
void ingestkit_run(void);
/* The run fails with this code, and the error's text has this part. */
void ingestkit_run_fails(enum err_code code, const char *part);
/* Every record of the corpus in its order; source NULL: of all sources. Blocks are checked against
 * the manifest. */
typedef void (*ingestkit_fn)(const struct record *r, size_t i, void *ctx);
void ingestkit_each(const char *source, ingestkit_fn fn, void *ctx);
size_t ingestkit_count(void);
/* How many files below the folder hold the word. */
size_t ingestkit_files_with(const char *dir, const char *word);
