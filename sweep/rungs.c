#include "sweep/rungs.h"

#include <math.h>
#include <stdlib.h>

void rungs_single(struct rungs *r)
{
    *r = (struct rungs){.eta = 2, .n = 1, .resource = {1}, .max = 1};
}

bool rungs_init(struct rungs *r, uint64_t min, uint64_t max, uint32_t eta, struct err *e)
{
    uint64_t at = min;

    *r = (struct rungs){.eta = eta, .max = max};
    CHECK(min > 0 && eta >= 2);
    for (; at <= max && r->n < RUNGS_MAX; at *= eta) {
        r->resource[r->n++] = at;
        if (at > max / eta) break; /* before it could overflow */
    }
    if (r->n > 0 && r->resource[r->n - 1] == max) return true;
    return err_set(e, ERR_CONFIG,
                   "sweep.max %llu is not sweep.min %llu times a power of sweep.eta %u, with at "
                   "most %d rungs; %llu would be",
                   (unsigned long long)max, (unsigned long long)min, eta, RUNGS_MAX,
                   (unsigned long long)(r->n > 0 ? r->resource[r->n - 1] : min));
}

uint64_t rungs_steps(const struct rungs *r, uint32_t k, uint64_t total_steps)
{
    uint64_t whole = total_steps / r->max, rest = total_steps % r->max;
    return whole * r->resource[k] + (rest * r->resource[k] + r->max - 1) / r->max;
}

static int by_value(const void *a, const void *b)
{
    const struct rung_entry *x = a, *y = b;
    bool fx = isfinite(x->value), fy = isfinite(y->value);

    if (fx != fy) return fx ? -1 : 1;
    if (fx && x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

size_t rungs_promote(struct rung_entry *v, size_t n, uint32_t eta)
{
    if (n < eta) return SIZE_MAX;
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 0; i < n / eta && isfinite(v[i].value); i++)
        if (!v[i].promoted) return i;
    return SIZE_MAX;
}

/* The share of trials that bracket s (first rung s) of B = r->n gets: the paper's number of
 * configurations, ceil(B eta^(B-1-s) / (B-s)). */
static uint64_t bracket_weight(const struct rungs *r, uint32_t s)
{
    uint64_t power = 1, b = r->n;

    for (uint32_t i = s + 1; i < r->n; i++)
        power *= r->eta;
    return (b * power + (b - s) - 1) / (b - s);
}

uint32_t rungs_bracket(const struct rungs *r, uint64_t seed, uint64_t trial)
{
    uint64_t total = 0;

    for (uint32_t s = 0; s < r->n; s++)
        total += bracket_weight(r, s);
    uint64_t at = rng_below(rng_key(seed, RNG_SWEEP, UINT64_MAX), trial, total);
    for (uint32_t s = 0; s < r->n; s++) {
        if (at < bracket_weight(r, s)) return s;
        at -= bracket_weight(r, s);
    }
    UNREACHABLE();
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    bool fx = isfinite(x), fy = isfinite(y);

    if (fx != fy) return fx ? -1 : 1;
    return x < y ? -1 : x > y;
}

bool rungs_median_stop(double best, double *others, size_t n, size_t startup)
{
    if (n == 0 || n < startup) return false;
    qsort(others, n, sizeof *others, by_number);
    double a = others[(n - 1) / 2], b = others[n / 2];
    if (!isfinite(best)) return true;
    if (!isfinite(a)) return false;
    double median = isfinite(b) ? a + (b - a) / 2 : a;
    return best > median;
}
