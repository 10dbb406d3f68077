/*
 * synth/planted - sentences of reports with an identifier planted in each, all invented: what a
 * look for residual identifiers is measured on.
 *
 * The forms are those found in reports, the ones that a look at word forms cannot know ("the
 * fourteenth of September", "per smith", a patient's name) included, so that nobody's recall is
 * whole. Sentence i is a pure function of (seed, i).
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum planted_kind {
    PLANTED_DATE,
    PLANTED_PHONE,
    PLANTED_NUMBER,
    PLANTED_EMAIL,
    PLANTED_NAME,
    PLANTED_KINDS
};
extern const char *const planted_kind_names[PLANTED_KINDS + 1];

struct planted {
    enum planted_kind kind;
    size_t begin, end; /* of the identifier in the sentence */
};
/* Append sentence i; *out's positions count from where it begins. */
MUST_CHECK bool planted_put(uint64_t seed, uint64_t i, struct sbuf *text, struct planted *out,
                            struct err *e);
/* n of them as JSON lines: kind, text, begin, end. */
MUST_CHECK bool planted_write(const char *path, uint64_t seed, uint64_t n, struct err *e);
