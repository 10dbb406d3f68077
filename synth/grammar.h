/*
 * synth/grammar - text with choices and slots, expanded by counted random numbers.
 *
 *     "[The heart|Heart size] is [mildly |]enlarged{chg}."
 *
 * [a|b|c] takes one alternative (they nest), {name} a slot's value, itself expanded. Afterwards
 * blanks are squeezed, "a" becomes "an" in front of a vowel and each sentence starts with a
 * capital, so templates need not care. Templates are ours: a malformed one is a bug (CHECK), not
 * an error.
 */
#pragma once
#include "base/rng.h"
#include "base/str.h"

/* A row of random numbers; next is the only state. */
struct gram_rng {
    struct rng_key key;
    uint64_t next;
};
uint64_t gram_below(struct gram_rng *r, uint64_t n);
bool gram_chance(struct gram_rng *r, double p);

struct gram_slot {
    const char *name;
    struct str value;
};
struct gram {
    struct gram_rng *rng;
    const struct gram_slot *slots; /* ended by a NULL name */
    double first;                  /* chance of the first alternative; 0: all alike */
};

/* One of "a|b|c". */
struct str gram_pick(struct gram_rng *r, const char *list);
/* Expand template, tidy it and append it to out. */
MUST_CHECK bool gram_put(const struct gram *g, const char *template, struct sbuf *out,
                         struct err *e);
