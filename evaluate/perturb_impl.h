/*
 * evaluate/perturb, inside: one text at work, and the changes it allows. Included by perturb*.c
 * alone.
 */
#pragma once
#include "base/rng.h"
#include "evaluate/facts_find.h"
#include "evaluate/perturb.h"

#define PERTURB_EDITS 128u

struct edit {
    size_t from, to; /* bytes of the text that go */
    struct str with; /* what comes */
    enum facts_significance significance;
};
struct maker {
    const struct lex *l;
    struct str text;
    struct scan scan;
    struct mentions found;
    struct arena *a;
    struct err *e;
    struct rng_key key;
    uint64_t drawn;
    struct edit edits[PERTURB_EDITS]; /* one of them will be made */
    size_t n;
};
/* All changes of a kind the text allows; false on failure. */
MUST_CHECK bool perturb_edits(struct maker *m, enum facts_kind kind);
MUST_CHECK bool perturb_phrases(struct maker *m, enum perturb_rewrite rewrite);
/* Rewrites of the whole text; an empty result where it cannot be. */
MUST_CHECK bool perturb_whole(struct maker *m, enum perturb_rewrite rewrite, struct str *out);

void perturb_add(struct maker *m, struct edit x);
struct str perturb_word(const struct maker *m, uint32_t w);
uint64_t perturb_below(struct maker *m, uint64_t n);
enum facts_significance perturb_significance(const struct maker *m, uint32_t w);
MUST_CHECK bool perturb_like(struct maker *m, struct str old, const char *word, struct str *out);
