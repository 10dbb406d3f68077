/*
 * judge/judge_card - what a judge's numbers mean and how far they can be trusted: calibration,
 * interval, and its own validity, as judge.dir/judge.json keeps them.
 *
 * The main idea: a judge is only worth what it showed on answers it was not trained on. From those
 * (truth, raw reading, rule check's score, patient, part of the cross-validation) the card takes
 *
 *   blend        reading and rule check's score as one value (judge/blend), unless told not to
 *   calibration  an isotonic map from that value to the readers' grade
 *   interval     grade +- quantile x (spread + JUDGE_SPREAD_FLOOR), by split-conformal residuals at
 *                90 %; every residual is of a map fitted to the other parts. Cut to 1..5. An
 *                interval wider than JUDGE_ABSTAIN rubric steps is an abstention
 *   coverage     how often the interval covered the truth, each part by the residuals of the others
 *   validity     Kendall's tau of the value (weights from the other parts) with the truth, beside
 *                the rule check's on the same answers, intervals by resampling patients. Validated:
 *                the judge's interval lies wholly above the rule check's tau. Else "not validated",
 *                whatever the numbers say
 *
 * What it does not promise: anything about reports of another kind than those it was made from.
 */
#pragma once
#include "base/arena.h"
#include "judge/blend.h"
#include "judge/isotonic.h"
#include "judge/rank.h"

#define JUDGE_SPREAD_FLOOR 0.25
#define JUDGE_ABSTAIN      2.0
#define JUDGE_ALPHA        0.1

/* Answers the judge had not seen. */
struct judge_held {
    const double *truth;          /* [n] 1..5 */
    const double *value, *spread; /* [n] raw readings */
    const double *rule;           /* [n] the rule check's score */
    const uint32_t *group;        /* [n] patient < ngroups */
    const uint32_t *part;         /* [n] < parts: where it was held out */
    size_t n, ngroups;
    uint32_t parts;              /* two or more */
    const struct blend *weights; /* NULL: fitted, each part by the others */
};

struct judge_validity {
    struct rank_result tau; /* a: the judge, b: the rule check */
    double coverage;        /* share of truths inside their interval */
    double width;           /* mean width of the intervals */
    double abstained;       /* share of abstentions */
    double error;           /* mean distance of grade and truth */
    double alone;           /* tau of the reading without the rule check's score */
    bool validated;
};
struct judge_card {
    struct blend blend;
    struct isotonic map; /* owned */
    double quantile;     /* INFINITY: too few answers for an interval */
    struct judge_validity v;
    const char *truth; /* "errors made on purpose" or "readers" */
    /* how to read: what scoring must repeat */
    const char *folder; /* of the adapter, below judge.dir */
    const char *template;
    uint32_t max_tokens;
    bool list, check;
    char base[65], adapter[65]; /* digests of the weights, hexadecimal */
    bool shuffled;              /* a control: trained on labels of other answers */
};

struct judge_grade {
    double value, lo, hi;
    bool abstains;
};

/* Calibration, interval and validity from held-out answers; the other members are the caller's. */
MUST_CHECK bool judge_card_make(const struct judge_held *h, uint64_t seed, uint32_t replicates,
                                struct judge_card *out, struct err *e);
void judge_card_free(struct judge_card *c);
struct judge_grade judge_card_grade(const struct judge_card *c, double value, double spread,
                                    double rule);
/* "judge|validated: tau=0.71 [0.66, 0.75] over the rule check's 0.60, n=400 ...", one line without
 * newline: what must stand beside every number of this judge. */
MUST_CHECK bool judge_card_line(const struct judge_card *c, struct sbuf *b, struct err *e);
/* Sealed by a checksum; texts live in the arena. */
MUST_CHECK bool judge_card_write(const char *path, const struct judge_card *c, struct err *e);
MUST_CHECK bool judge_card_read(const char *path, struct arena *a, struct judge_card *out,
                                struct err *e);
