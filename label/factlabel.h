/*
 * label/factlabel - what a reader said about one generated impression: the label file, one JSON
 * object a line.
 *
 *     {"format": "radmill.factlabel/1", "id": "mimic:0:17", "subject": "9f...", "modality": "CT",
 *      "clinical": "...", "findings": "...", "reference": "...", "generated": "...",
 *      "system": "llama-3.2-1b", "rater": "r1", "order_seed": 7,
 *      "errors": [{"type": "negation", "significance": "actionable", "support": "nowhere",
 *                  "gen_span": [0, 17], "ref_span": [4, 24], "src_span": null, "note": "..."}],
 *      "overall": 2, "scales": {"conciseness": 4}, "seconds": 41.5, "tool": "radmill label 0.1.0"}
 *
 * The main idea: a number alone teaches nothing, so a label is a list of errors with their places,
 * and an overall grade with anchors (5 could sign it unchanged; 4 wording only; 3 minor clinical
 * edit; 2 wrong or missing actionable; 1 dangerous). Spans are byte offsets [from, to) into
 * generated, reference and findings (src). `system` is in the file, never on the page. Rater "adj"
 * is the adjudication that settles a disagreement; rater "made" a label known by construction
 * (judge/judge_made). Where one rater judged a pair twice, the later line counts
 * (factlabel_latest).
 *
 * The file holds report text: 0600, as the pairs it came from. What is read is checked whole:
 * words of the lists below, spans inside their text and on character boundaries, overall 1 to 5,
 * limits before anything is allocated. Unknown keys are left alone.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define FACTLABEL_FORMAT "radmill.factlabel/1"

enum factlabel_type {
    FACTLABEL_FALSE_ADDED,
    FACTLABEL_MISSING,
    FACTLABEL_LOCATION,
    FACTLABEL_SEVERITY,
    FACTLABEL_MEASUREMENT,
    FACTLABEL_NEGATION,
    FACTLABEL_TEMPORAL,
    FACTLABEL_CERTAINTY,
    FACTLABEL_RECOMMENDATION,
    FACTLABEL_STYLE, /* wording: weighs nothing */
    FACTLABEL_TYPES
};
enum factlabel_significance {
    FACTLABEL_NONE,
    FACTLABEL_MINOR,
    FACTLABEL_ACTIONABLE,
    FACTLABEL_URGENT,
    FACTLABEL_SIGNIFICANCES
};
/* Where an added statement comes from. */
enum factlabel_support {
    FACTLABEL_UNSAID, /* the label does not say */
    FACTLABEL_IN_FINDINGS,
    FACTLABEL_IN_CLINICAL,
    FACTLABEL_NOWHERE,
    FACTLABEL_SUPPORTS
};
/* Optional 1-5 scales, as Radiology-GPT's readers used them. */
enum factlabel_scale {
    FACTLABEL_UNDERSTANDABILITY,
    FACTLABEL_COHERENCE,
    FACTLABEL_RELEVANCE,
    FACTLABEL_CONCISENESS,
    FACTLABEL_UTILITY,
    FACTLABEL_SCALES
};
/* Words of the file, NULL-terminated; support's first is never written. */
extern const char *const factlabel_types[FACTLABEL_TYPES + 1];
extern const char *const factlabel_significances[FACTLABEL_SIGNIFICANCES + 1];
extern const char *const factlabel_supports[FACTLABEL_SUPPORTS + 1];
extern const char *const factlabel_scales[FACTLABEL_SCALES + 1];
/* 0, .25, .5, 1: CRIMSON's weights. */
extern const double factlabel_weights[FACTLABEL_SIGNIFICANCES];

enum {
    FACTLABEL_LINE_MAX_BYTES = 4 << 20,
    FACTLABEL_ERRORS_MAX = 256,
    FACTLABEL_GRADES = 5, /* overall and scales: 1 to 5 */
    FACTLABEL_MAX = 10 * 1000 * 1000,
};

struct factlabel_span {
    bool given;
    uint32_t from, to;
};
struct factlabel_error {
    int type, significance, support; /* enums above */
    struct factlabel_span gen, ref, src;
    struct str note;
};
struct factlabel {
    struct str id, subject, modality, clinical, findings, reference, generated;
    struct str system, rater, tool;
    uint64_t order_seed;
    struct factlabel_error *errors;
    size_t nerrors;
    int overall;                  /* 1 to 5 */
    int scales[FACTLABEL_SCALES]; /* 1 to 5; 0: not asked */
    double seconds;
};

/* Read all labels; everything lives in the arena. Errors name the line, never a text. An empty
 * file gives none. */
MUST_CHECK bool factlabel_read(const char *path, struct arena *a, struct factlabel **out, size_t *n,
                               struct err *e);
/* The same from text; `name` stands for the file in errors. */
MUST_CHECK bool factlabel_parse(struct str text, const char *name, struct arena *a,
                                struct factlabel **out, size_t *n, struct err *e);
/* One line without newline, appended to b. What factlabel_check refuses is not written. */
MUST_CHECK bool factlabel_put(struct sbuf *b, const struct factlabel *l, struct err *e);
/* Is it a label as the reader wants it? Says what is not. */
MUST_CHECK bool factlabel_check(const struct factlabel *l, struct err *e);
/* Keep the last label of each (id, system, rater), in order of first appearance; *n shrinks. */
MUST_CHECK bool factlabel_latest(struct factlabel *v, size_t *n, struct err *e);
/* Index of a word in a NULL-terminated list, or -1. */
int factlabel_word(const char *const *list, struct str word);
