/*
 * judge/blend - two numbers about one answer made into one: a model's reading and the rule check's
 * score, in the proportion that orders answers as the readers' grades do.
 *
 * The main idea: a small model reads wording well and counts facts badly, the rule check the other
 * way round; their errors differ, so that a weighed sum can order answers better than either. What
 * counts is the order (Kendall's tau), so that is what the proportion is fitted to: the best of
 * BLEND_STEPS + 1 angles between "the reading alone" and "the rule check alone", each number in
 * units of its standard deviation; of equals the one with more of the reading. Weights are never
 * negative. Place and scale are not fitted: readings of several adapters (a cross-validation's)
 * stay comparable as they were. With whom the weights are fitted is the caller's business
 * (judge/judge_card: always with other patients).
 */
#pragma once
#include <stddef.h>

/* reading x value + rule x score / 20, with weights 1 and any, or 0 and 1. */
struct blend {
    double reading, rule;
};
#define BLEND_READING_INIT                                                                         \
    {                                                                                              \
        1, 0                                                                                       \
    }
#define BLEND_READING ((struct blend)BLEND_READING_INIT)

enum { BLEND_STEPS = 16 };
/* scratch[4 n] */
struct blend blend_fit(const double *value, const double *rule, const double *truth, size_t n,
                       double *scratch);
double blend_at(const struct blend *b, double value, double rule);
