/*
 * evaluate/strata - in which kinds of reports is the model good: a partition of the pairs.
 *
 * Means over radiology reports are mostly template: a constant sentence scores ROUGE-L 0.7 on
 * normal studies and 0.15 on abnormal ones. So results are shown by kind of reference (normal,
 * abnormal), by whether its text was seen in training, by whether it is unique in this file, by
 * modality, and by length.
 *
 * Normal is a rule on the reference text alone, not a diagnosis: every sentence says that something
 * is absent, normal, clear or unremarkable (or says nothing beyond "stable chest", "no change"), at
 * least one does, and none holds an exception ("but", "except", "other than", "no change in ...").
 * English only.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "generate/pairs.h"

bool strata_is_normal(struct str reference);
/* Words between white space. */
size_t strata_words(struct str text);

struct stratum {
    const char *by;    /* "reference", "seen", "repeated", "modality", "length" */
    const char *value; /* "normal", "CT", "5-9 words", ...; in the arena */
    uint32_t *rows;    /* ascending; in the arena */
    size_t n;
};
#define STRATA_MAX 64
/* Partition n pairs; a partition with only one part is left out. Past STRATA_MAX - 16 modalities
 * the rest are "other". */
MUST_CHECK bool strata_make(const struct pair *pairs, size_t n, struct arena *a,
                            struct stratum out[STRATA_MAX], size_t *nout, struct err *e);
