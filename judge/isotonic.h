/*
 * judge/isotonic - a map that never falls, fitted to points by least squares: what a judge's raw
 * number means on the readers' scale.
 *
 * Pool adjacent violators (Barlow et al., "Statistical inference under order restrictions", 1972).
 * Points of equal x count as one with their mean. Between knots the map is linear, outside it is
 * constant; the same as scikit-learn's IsotonicRegression(out_of_bounds="clip").
 */
#pragma once
#include <stddef.h>

#include "base/err.h"

struct isotonic {
    double *x, *y; /* [n] knots, ascending; one block, owned */
    size_t n;
};
/* n > 0 points, no NaN. */
MUST_CHECK bool isotonic_fit(const double *x, const double *y, size_t n, struct isotonic *out,
                             struct err *e);
/* Knots as they were written; y must not fall, x must rise. */
MUST_CHECK bool isotonic_init(const double *x, const double *y, size_t n, struct isotonic *out,
                              struct err *e);
void isotonic_free(struct isotonic *m);
double isotonic_at(const struct isotonic *m, double x);
