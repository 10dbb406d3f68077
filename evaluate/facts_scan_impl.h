/*
 * evaluate/facts_scan, inside: one scan at work. Included by facts_scan.c and facts_attr.c alone.
 */
#pragma once
#include "evaluate/facts_scan.h"

struct scanner {
    const struct lex *l;
    struct scan *out;
    struct str text;
    uint32_t max_words;
};
/* A full stop behind this word ends no sentence. */
bool scan_abbrev(const struct scanner *s, const struct scan_word *w);
/* Scopes, content words and attributes of all sentences. */
MUST_CHECK bool scan_attrs(struct scanner *s, struct str text, struct arena *a, struct err *e);
