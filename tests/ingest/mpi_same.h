/*
 * tests/ingest/mpi_same - what the programs of several ranks share: a check that says where it
 * failed (they have `struct err e`), and two corpora that must be the same, file by file.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, e.text);                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Blocks, late file, manifest, quarantine, whatever else: all but what tells of the run itself. */
static inline void expect_same_corpus(const char *a, const char *b)
{
    char cmd[1500];
    snprintf(cmd, sizeof cmd, "diff -r -x .ingest.lock -x status.json '%s' '%s' >&2", a, b);
    if (system(cmd) != 0) abort();
}
