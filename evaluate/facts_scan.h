/*
 * evaluate/facts_scan - a text as words, sentences and terms of the lexicon.
 *
 * A sentence ends at . ? ! before a blank, at an empty line, before a bullet or list numeral, and
 * after a short line. The case of letters plays no part, so a report in capitals reads the same.
 * List numerals, dates, times, ages and image numbers are no numbers of a finding.
 *
 * Within a sentence a scope ends at ';', at a stop word ("but", "with", "there is") and at a comma
 * that starts something new; negations reach to the end of their scope.
 */
#pragma once
#include "evaluate/facts_lex.h"

/* A sentence of more words is cut there. */
#define SCAN_SENTENCE_MAX 250u

enum scan_gap { /* what stands before a word */
                GAP_NONE,
                GAP_SPACE,
                GAP_HYPHEN,
                GAP_SLASH,
                GAP_PAREN,
                GAP_COMMA,
                GAP_COLON,
                GAP_SEMI,
                GAP_STOP,
};
enum scan_kind { WORD_PLAIN, WORD_NUMBER, WORD_LIST, WORD_IGNORED };

struct scan_word {
    uint64_t hash;
    double value; /* of a number */
    uint32_t from, to;
    uint32_t id;       /* in the lexicon */
    uint32_t sentence; /* index */
    uint32_t scope;    /* number of scope ends before it */
    uint32_t commas;   /* number of commas before it */
    uint8_t gap, kind;
    bool whole;   /* a number without a decimal point */
    bool content; /* it stands for what the sentence is about */
};
struct scan_hit {
    uint32_t w0, w1; /* words [w0, w1) */
    uint32_t role;   /* first role of the term */
    uint32_t cls;    /* bit set of enum lex_class */
};
/* What differs between two sentences that are alike. */
enum attr_kind {
    ATTR_PLACE,    /* a: sides, b: zones */
    ATTR_SEVERITY, /* a: 1..6 */
    ATTR_TIME,     /* a: enum lex_time */
    ATTR_SIZE,     /* a: quantity, v: in its canonical unit */
    ATTR_LEVEL,    /* a: 0..7 C, 8..20 T, 21..26 L, 27..31 S, 32..43 ribs */
    ATTR_NUMBER,   /* v */
    ATTR_NEG,
    ATTR_RECOMMEND,
    ATTR_MODALITY, /* a */
    ATTR_PERIOD,   /* v: days */
    ATTR_KINDS
};
struct scan_attr {
    double v;
    uint32_t w0, w1;
    uint32_t a, b;
    uint32_t kind;
};
struct scan_sentence {
    uint32_t w0, w1; /* words */
    uint32_t h0, h1; /* hits */
    uint32_t a0, a1; /* attributes */
};
struct scan {
    struct scan_word *w;
    struct scan_hit *h;
    struct scan_sentence *s;
    struct scan_attr *attr;
    uint32_t nw, nh, ns, nattr;
};

/* Everything lies in the arena. More than max_words words are ERR_LIMIT. */
MUST_CHECK bool scan_text(const struct lex *l, struct str text, uint32_t max_words, struct arena *a,
                          struct scan *out, struct err *e);
static inline bool scan_is(const struct scan_hit *h, enum lex_class cls)
{
    return h->cls >> cls & 1;
}
