/*
 * stats/stat_phrase - sentences and headers of a report, made comparable.
 *
 * A phrase is a sentence or clause of 2 to 14 words (up to . ; ? ! or a blank line) in lower case,
 * a digit as #, one blank between words. A header is what stands in capitals between the beginning
 * of a line and a colon. Both may hold a name: they are shown only when many patients share them.
 */
#pragma once
#include "base/str.h"

typedef bool (*stat_phrase_fn)(void *ctx, struct str phrase, struct err *e);
/* buf is scratch. Stops when fn returns false. */
MUST_CHECK bool stat_phrases(struct str text, struct sbuf *buf, stat_phrase_fn fn, void *ctx,
                             struct err *e);
MUST_CHECK bool stat_headers(struct str text, struct sbuf *buf, stat_phrase_fn fn, void *ctx,
                             struct err *e);
