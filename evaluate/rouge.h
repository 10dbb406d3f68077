/*
 * evaluate/rouge - ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, number for number as Google's
 * rouge-score computes them (Lin 2004, "ROUGE: A package for automatic evaluation of summaries").
 *
 * The main idea: words become small integers once, so n-gram counts are array look-ups and the
 * longest common subsequence is computed 64 cells at a time (evaluate/rouge_lcs). ROUGE-Lsum walks
 * back through the bit-vectors with rouge-score's tie rule.
 *
 * Tokens: lower-case, maximal runs of a-z0-9; with `stem`, tokens of four and more characters go
 * through evaluate/porter. ROUGE-Lsum splits sentences at '\n' alone. Not offered: sentence
 * splitting by language (rouge-score's split_summaries), several references, bootstrap medians.
 *
 * Not thread-safe: one `struct rouge` a thread. Results do not depend on earlier calls.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum rouge_kind { ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_LSUM, ROUGE_KINDS };
extern const char *const rouge_names[ROUGE_KINDS + 1]; /* "rouge1", ..., NULL-terminated */

struct rouge_prf {
    double p, r, f;
};
struct rouge_scores {
    struct rouge_prf v[ROUGE_KINDS];
};

/* More tokens than this on one side is ERR_LIMIT. A pair takes some hundred bytes a word and 34 MB
 * (evaluate/rouge_lcs); time grows with words x words / 64: 2 x 10,000 words take milliseconds,
 * 2 x 1,000,000 minutes. */
#define ROUGE_MAX_TOKENS (1u << 20)

struct rouge;
MUST_CHECK bool rouge_open(bool stem, struct rouge **out, struct err *e);
void rouge_close(struct rouge *r);
/* Ill-formed UTF-8 separates words like any other byte above 0x7f. */
MUST_CHECK bool rouge_pair(struct rouge *r, struct str prediction, struct str reference,
                           struct rouge_scores *out, struct err *e);
/* "rouge|stem:no|split:newline|v:1": printed beside every number. */
const char *rouge_signature(bool stem);
