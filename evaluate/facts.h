/*
 * evaluate/facts - does a generated report say what the reference and the findings say? By rule,
 * without a model, with the place of every disagreement in all three texts.
 *
 * The main idea: a lexicon (evaluate/lexicon) names findings, anatomy and the words around them; a
 * text becomes a list of mentions, each with polarity, side, level, size, severity, change over
 * time; mentions of two texts are paired and their attributes compared. Sentences that are alike
 * but for one such word are compared directly too, which works for findings the lexicon lacks.
 * Chest radiographs, CT, MR and ultrasound in English.
 *
 * Comparisons: generated against reference, or against the source where the reference is empty.
 * With both, the source decides whether something added is supported and whether a statement that
 * the reference does not make contradicts the findings.
 *
 * What it does not do: judge wording or diagnoses that do not follow word for word (a finding
 * described but not named is missing to it), other languages, images. docs/FACTS.md has the
 * measured agreement with radiologists and the known weak spots.
 *
 * Score: 50 (1 + S), S = (correct + n - wrong - m missing) / (reference + n), with the tail
 * s / (1 - s) below zero. correct, wrong and missing are sums over findings of their weight: urgent
 * 1, actionable 1/2, minor 1/4, benign 0; an attribute that is wrong takes a third of a finding's
 * weight. n = 1/2 stands for all that is normal and rightly not mentioned, so that one false
 * finding in a normal report is not the worst score; m = 3/4: leaving a finding out costs more than
 * not earning its weight. n and m were set on the even cases of RadPref alone.
 * What is added and stands in the source is flagged and costs nothing.
 * Recommendations are flagged, not scored, and compared with a reference only.
 *
 * Sources: negation scopes after Chapman et al. 2001 (NegEx); the form of the score after CRIMSON
 * (2026), which has n = m = 0.
 *
 * A struct facts never changes after facts_open: several threads may check at once, each with an
 * arena of its own.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum facts_kind {
    FACTS_NEGATION,       /* stated in one text, denied in the other */
    FACTS_LATERALITY,     /* another side */
    FACTS_LEVEL,          /* another lobe, zone or segment */
    FACTS_NUMBER,         /* another vertebra, rib or count */
    FACTS_MEASUREMENT,    /* another size; units are converted first */
    FACTS_SEVERITY,       /* mild, moderate, severe; small, large */
    FACTS_TEMPORAL,       /* new, worse, stable, better */
    FACTS_ADDED,          /* stated, but not in the reference */
    FACTS_MISSING,        /* significant in the reference, not stated */
    FACTS_RECOMMENDATION, /* another examination or interval, one more or one less */
    FACTS_KINDS
};
/* "negation", ..., as a pairs file's flags spell them; NULL-terminated. */
extern const char *const facts_kind_names[FACTS_KINDS + 1];

enum facts_significance { FACTS_BENIGN, FACTS_MINOR, FACTS_ACTIONABLE, FACTS_URGENT };
/* "benign", "minor", "actionable", "urgent", NULL */
extern const char *const facts_significance_names[FACTS_URGENT + 2];

/* Bytes [from, to) of a text; to == 0 says that there is none. */
struct facts_span {
    uint32_t from, to;
};

struct facts_flag {
    enum facts_kind kind;
    enum facts_significance significance;
    struct facts_span generated, reference, source;
    /* FACTS_ADDED: the source has it. Otherwise: the source agrees with the generated text. */
    bool supported;
    const char *concept; /* id of the lexicon, or "" for a comparison of sentences; lives as long
                            as the struct facts */
};

struct facts_result {
    double score;             /* 0..100, 50 (1 + S) */
    double support;           /* part of the generated statements that the source supports; NaN
                                 without a source or without a statement it speaks of */
    struct facts_flag *flags; /* in the arena, by place in the generated text */
    size_t nflags;
    uint32_t by_kind[FACTS_KINDS];
    double correct, wrong, missing; /* weights of statements that agree, do not, are left out */
    uint32_t ngenerated, nreference, nsource; /* mentions found */
    uint32_t nadded_unsupported;
};

/* More bytes or words in one text are ERR_LIMIT. The scratch takes about 360 bytes a word. */
#define FACTS_MAX_BYTES ((size_t)8 << 20)
#define FACTS_MAX_WORDS (1u << 20)

/* findings and clinical information as one source, a line end between them; b is used where both
 * are there. */
MUST_CHECK bool facts_source(struct str findings, struct str clinical, struct sbuf *b,
                             struct str *out, struct err *e);
/* Does a span of that source lie in the clinical information? Then it is moved to begin there. */
bool facts_in_clinical(struct str findings, struct facts_span *s);

struct facts;
/* dir: a folder with the files of evaluate/lexicon, or NULL for the lexicon built in. A bad line is
 * ERR_FORMAT with file and line. */
MUST_CHECK bool facts_open(const char *dir, struct facts **out, struct err *e);
void facts_close(struct facts *f);
/* SHA-256 of the lexicon's files, 64 hexadecimal digits: part of the signature of a result. */
const char *facts_digest(const struct facts *f);
/* "facts|lexicon:0123456789ab|v:2", printed beside every number. v: of the rules; since 2 what is
 * said of L3-L4 does not stand for L4-L5. */
const char *facts_signature(const struct facts *f);

/* reference and source (findings and clinical information, one after the other) may be empty.
 * Everything in *out, and scratch, comes from the arena. Any bytes are accepted. */
MUST_CHECK bool facts_check(const struct facts *f, struct str generated, struct str reference,
                            struct str source, struct arena *a, struct facts_result *out,
                            struct err *e);
