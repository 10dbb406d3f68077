#include "judge/conformal.h"

#include <math.h>

#include "evaluate/bootstrap.h"

double conformal_quantile(double *r, size_t n, double alpha)
{
    /* (n + 1)(1 - alpha) is often a whole number; rounding must not make it the next one */
    double rank = ceil((double)(n + 1) * (1 - alpha) - 1e-9);

    CHECK(alpha > 0 && alpha < 1);
    if (n == 0 || rank > (double)n) return INFINITY;
    sort_f64(r, n);
    return r[(size_t)rank - 1];
}
