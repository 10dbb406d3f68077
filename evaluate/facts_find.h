/*
 * evaluate/facts_find - the statements of a text: each finding that is named, with its attributes.
 *
 * A statement comes from a term ("pleural effusion"), from anatomy and a predicate of one scope
 * ("the heart is enlarged", compose.tsv), or from anatomy that is called normal, which denies the
 * findings of that part. Attributes are the nearest of their kind: words between count 1, a comma
 * 3, the end of a scope 6, another finding in between 2; a side said of the first of a list holds
 * for the list.
 */
#pragma once
#include "evaluate/facts_scan.h"

/* Statements beyond this many in one text are not looked at. */
#define FIND_MAX 1000u

struct mention {
    uint64_t levels; /* bit set of ATTR_LEVEL codes */
    uint64_t site;   /* parts of the anatomy nearest to it; 0: none near */
    double size;     /* largest; 0: none */
    uint32_t zones;
    uint32_t w0, w1;
    uint32_t sentence;
    uint16_t concept;
    uint8_t sides, severity, time;
    uint8_t size_unit;
    bool negated, unsure;
    bool moot;   /* named, but not stated: dropped */
    bool normal; /* from "... is normal": speaks of all findings of a part */
    uint32_t place_at, severity_at, time_at, size_at, level_at; /* attribute + 1; 0: none */
};
struct mentions {
    struct mention *v;
    uint32_t n;
};
/* In order of the text; everything lies in the arena. */
MUST_CHECK bool find_mentions(const struct lex *l, const struct scan *d, struct arena *a,
                              struct mentions *out, struct err *e);
