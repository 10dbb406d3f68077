/*
 * judge/judge_made - labels whose truth is known: errors made on purpose in real impressions.
 *
 * From each report in turn one judgement, then a second from each, and so on until there are
 * enough: the impression as it is, reworded without harm, or with one to three errors of
 * evaluate/perturb. Kinds and numbers are drawn from (seed, judgement); a kind that a report has no
 * room for gives way to another. The grade follows from what was done, by the rubric's anchors:
 *
 *     5  unchanged             3  minor errors only
 *     4  reworded              2  one actionable error
 *                              1  an urgent one, or several actionable ones
 *
 * It is the truth about what was done to the text, not a reader's opinion of it.
 */
#pragma once
#include "label/factlabel.h"

struct judge_made_opts {
    const char *reports; /* pairs file; predictions are not looked at */
    uint32_t count;
    uint64_t seed;
    const char *lexicon; /* NULL: the one built in */
};
/* Everything in the arena; labels have rater "made" and system "perturb". Reports without a
 * reference are passed over. Of several errors only the last one's place is told. */
MUST_CHECK bool judge_made_labels(const struct judge_made_opts *o, struct arena *a,
                                  struct factlabel **out, size_t *n, struct err *e);
/* A label file of them, atomically. */
MUST_CHECK bool judge_made_write(const char *path, const struct factlabel *v, size_t n,
                                 struct err *e);
/* The rubric: the grade of these errors; reworded: the text was changed at all. */
int judge_made_grade(const struct factlabel_error *v, size_t n, bool reworded);
