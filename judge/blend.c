#include "judge/blend.h"

#include <math.h>

#include "judge/rank.h"

/* The rule check's 0..100 on the scale of the grades. */
#define RULE_SCALE 20.0
/* Two taus that differ by less are equal. */
#define TAU_EQUAL 1e-9

/* Standard deviation; 1 for a number that never changes, which then weighs nothing anyway. */
static double deviation(const double *v, size_t n)
{
    double mean = 0, sum = 0;

    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sum > 0 ? sqrt(sum / (double)n) : 1;
}

/* Weights at an angle, as struct blend has them: 1 and any, or 0 and 1. */
static struct blend at_step(int step, double sd_value, double sd_rule)
{
    double angle = step * (acos(-1.0) / 2 / BLEND_STEPS);

    if (step == 0) return BLEND_READING;
    if (step == BLEND_STEPS) return (struct blend){0, 1};
    return (struct blend){1, tan(angle) * sd_value / sd_rule * RULE_SCALE};
}

struct blend blend_fit(const double *value, const double *rule, const double *truth, size_t n,
                       double *scratch)
{
    double sd_value = deviation(value, n), sd_rule = deviation(rule, n), best = -2;
    double *mixed = scratch + 3 * n;
    struct blend out = BLEND_READING;

    for (int step = 0; n > 0 && step <= BLEND_STEPS; step++) {
        struct blend b = at_step(step, sd_value, sd_rule);
        for (size_t i = 0; i < n; i++)
            mixed[i] = blend_at(&b, value[i], rule[i]);
        double tau = rank_tau(truth, mixed, n, scratch);
        if (tau <= best + TAU_EQUAL) continue;
        best = tau;
        out = b;
    }
    return out;
}

double blend_at(const struct blend *b, double value, double rule)
{
    return b->reading * value + b->rule * (rule / RULE_SCALE);
}
