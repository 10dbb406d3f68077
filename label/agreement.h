/*
 * label/agreement - do readers agree: what a label is worth before anything is trained on it.
 *
 *     alpha     Krippendorff's, ordinal, over all readers and the pairs that two or more judged
 *               (Krippendorff, "Content analysis", 4th ed., 2018, 12.3; the ordinal metric of
 *               "Computing Krippendorff's alpha-reliability", 2011)
 *     kappa     Cohen's with quadratic weights, for each two readers (Psychol. Bull. 70:213, 1968)
 *     F1        of error types between two readers: 2 sum min(a, b) / (sum a + sum b) over the
 *               pairs both judged, a and b their counts of that type (spans are not compared)
 *
 * The main idea: each of these is a function of sums over judged pairs, so evaluate/bootstrap
 * resamples them: whole patients where labels name a subject, pairs otherwise. Where no reader ever
 * used a second grade, chance agreement is perfect and alpha and kappa are 0 / 0: reported as 0,
 * since such labels show no skill. The adjudicator ("adj") and labels by construction ("made") are
 * no readers.
 */
#pragma once
#include "comm/comm.h"
#include "evaluate/bootstrap.h"
#include "label/factlabel.h"

enum { AGREEMENT_RATERS = 16, AGREEMENT_PAIRS = AGREEMENT_RATERS * (AGREEMENT_RATERS - 1) / 2 };

struct agreement_type {
    uint64_t a, b, both; /* errors of this type by either reader; sum of the minima */
    struct boot_ci f1;
};
/* Two readers over the pairs both judged. */
struct agreement_pair {
    size_t a, b; /* indices of raters */
    uint64_t n;
    double exact, within_one; /* shares of equal grades, and of grades at most one apart */
    struct boot_ci kappa;
    struct agreement_type types[FACTLABEL_TYPES];
};
struct agreement {
    struct str raters[AGREEMENT_RATERS]; /* sorted; borrowed from the labels */
    size_t nraters;
    uint64_t labels, items, doubled; /* items: (id, system); doubled: judged by two or more */
    uint64_t subjects;               /* resampled units; 0: pairs were */
    struct boot_ci alpha;            /* zeros when nothing was judged twice */
    struct agreement_pair pairs[AGREEMENT_PAIRS]; /* those with n > 0 */
    size_t npairs;
};

/* v: one label for each (id, system, rater), as factlabel_latest leaves them. *out is large. More
 * than AGREEMENT_RATERS readers are ERR_LIMIT. Collective. */
MUST_CHECK bool agreement_of(const struct factlabel *v, size_t n, const struct boot_opts *o,
                             struct comm *c, struct agreement *out, struct err *e);

/* ---- the statistics themselves; tables are [5][5] row-major, grade 1 first */
/* Of a confusion table: how often the first reader said row and the second column. */
double agreement_kappa(const double *confusion);
/* Of a coincidence table. */
double agreement_alpha(const double *coincidence);
