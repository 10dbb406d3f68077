/*
 * serve/verdict - what can be said of one impression: the rule check with places in all texts, and
 * ROUGE and BLEU where there is a reference. As JSON.
 *
 *     {"check": {"signature", "score", "support", "flags": [{"kind", "significance", "supported",
 *      "generated": [from, to], "reference": ..., "findings" or "clinical": ...}]},
 *      "rouge": {...}, "bleu": ...}
 *
 * Places are in characters (code points), end excluded; null: none. Private to serve/; thread-safe.
 */
#pragma once
#include "base/arena.h"
#include "evaluate/facts.h"
#include "serve/jot.h"

struct verdict_texts {
    struct str generated, reference, findings, clinical; /* valid UTF-8; reference may be empty */
};
/* Appends members, with a comma in front unless a brace is. Scratch from the arena. */
MUST_CHECK bool verdict_put(const struct facts *f, const struct verdict_texts *t, struct arena *a,
                            struct jot *j);
