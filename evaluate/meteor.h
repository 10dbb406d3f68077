/*
 * evaluate/meteor - METEOR as NLTK computes it, without its synonym stage: exact words, then Porter
 * stems (alpha 0.9, beta 3, gamma 0.5).
 *
 * Lavie and Agarwal 2007, "METEOR: an automatic metric for MT evaluation with high levels of
 * correlation with human judgments". Words stand between white space, in lower case. The synonym
 * stage needs WordNet and is left out, hence the name of the value. Not thread-safe: one `struct
 * meteor` a thread.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { METEOR_MAX_TOKENS = 1 << 20 };
struct meteor;
MUST_CHECK bool meteor_open(struct meteor **out, struct err *e);
void meteor_close(struct meteor *m);
/* 0 to 1. More than METEOR_MAX_TOKENS words on a side is ERR_LIMIT. */
MUST_CHECK bool meteor_pair(struct meteor *m, struct str prediction, struct str reference,
                            double *out, struct err *e);
extern const char *const meteor_signature;
