/*
 * evaluate/perturb - a report with one known error, or rewritten without changing what it says.
 *
 * The main idea: evaluate/facts finds the words that carry a fact; one of them is exchanged, taken
 * out or put in, so the kind of error and its place are known by construction. Made for training a
 * judge (thousands of labelled pairs from real reports) and for properties in tests. Not for
 * measuring evaluate/facts itself, which sees by the same lexicon; tests/support/make_fact_suite.py
 * is independent of it.
 *
 * What comes out is plain English most of the time, not always idiomatic ("There is evidence of
 * left hydronephrosis."). A text that lacks what a kind needs is left alone (*done false).
 *
 * The same text, kind, seed and index give the same result on every machine. Never changes after
 * perturb_open; thread-safe, each thread with an arena of its own.
 */
#pragma once
#include "evaluate/facts.h"

enum perturb_rewrite {
    REWRITE_CASE,     /* in capitals */
    REWRITE_ORDER,    /* sentences turned round and numbered */
    REWRITE_NEGATION, /* "no evidence of" to "negative for", ... */
    REWRITE_UNIT,     /* mm to cm and back */
    REWRITE_SYNONYM,
    REWRITE_KINDS
};
extern const char *const perturb_rewrite_names[REWRITE_KINDS + 1]; /* "case", ... */

struct perturbed {
    struct str text; /* in the arena */
    /* Where the error stands in `text`, and where in the original; to == 0: nowhere (left out, put
     * in). For rewrites both are empty. */
    struct facts_span now, was;
    enum facts_significance significance; /* of the finding concerned; benign for rewrites */
};

struct perturb;
/* dir: a lexicon as in facts_open, or NULL. */
MUST_CHECK bool perturb_open(const char *dir, struct perturb **out, struct err *e);
void perturb_close(struct perturb *p);
/* One error of this kind. A text over facts' limits is ERR_LIMIT. */
MUST_CHECK bool perturb_error(const struct perturb *p, struct str text, enum facts_kind kind,
                              uint64_t seed, uint64_t index, struct arena *a, bool *done,
                              struct perturbed *out, struct err *e);
MUST_CHECK bool perturb_harmless(const struct perturb *p, struct str text,
                                 enum perturb_rewrite rewrite, uint64_t seed, uint64_t index,
                                 struct arena *a, bool *done, struct perturbed *out, struct err *e);
