/*
 * bench_tpe - our TPE on six functions, for bench/peers/tpe_optuna.py, which runs Optuna's on the same ones:
 *     bench_tpe SEEDS TRIALS    ->  lines "FUNCTION SEED BEST"
 * The functions are written twice, here and there; the script checks that both give the same values.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sweep/tpe.h"

static double sphere(const double *x)
{
    double s = 0;
    for (int i = 0; i < 5; i++)
        s += (x[i] - 1.3) * (x[i] - 1.3);
    return s;
}
static double branin(const double *x)
{
    const double pi = 3.14159265358979323846;
    double a = x[1] - 5.1 / (4 * pi * pi) * x[0] * x[0] + 5 / pi * x[0] - 6;
    return a * a + 10 * (1 - 1 / (8 * pi)) * cos(x[0]) + 10;
}
static double hartmann6(const double *x)
{
    static const double alpha[4] = {1.0, 1.2, 3.0, 3.2};
    static const double a[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                   {0.05, 10, 17, 0.1, 8, 14},
                                   {3, 3.5, 1.7, 10, 17, 8},
                                   {17, 8, 0.05, 10, 0.1, 14}};
    static const double p[4][6] = {{.1312, .1696, .5569, .0124, .8283, .5886},
                                   {.2329, .4135, .8307, .3736, .1004, .9991},
                                   {.2348, .1451, .3522, .2883, .3047, .6650},
                                   {.4047, .8828, .8732, .5743, .1091, .0381}};
    double s = 0;
    for (int i = 0; i < 4; i++) {
        double t = 0;
        for (int j = 0; j < 6; j++)
            t += a[i][j] * (x[j] - p[i][j]) * (x[j] - p[i][j]);
        s -= alpha[i] * exp(-t);
    }
    return s;
}
static double rosenbrock(const double *x)
{
    double s = 0;
    for (int i = 0; i < 3; i++)
        s += 100 * (x[i + 1] - x[i] * x[i]) * (x[i + 1] - x[i] * x[i]) + (1 - x[i]) * (1 - x[i]);
    return s;
}
/* Mixed: like a fine-tuning run. lr (log), rank of {4..64}, dropout in steps, epochs, a choice. */
static double tuning(const double *x)
{
    static const double kind[3] = {0.0, 0.15, 0.4};
    double lr = log10(x[0]) + 3.6, rank = x[1] - 2;
    double d = x[2] - 0.05, ep = x[3] - 3;
    return 1 + 0.5 * lr * lr + 0.04 * rank * rank + 4 * d * d + 0.05 * ep * ep + kind[(int)x[4]] +
           0.1 * lr * rank;
}
/* Mixed: the choice decides where the optimum of the numbers lies. */
static double valleys(const double *x)
{
    static const double at[4] = {0.15, 0.4, 0.65, 0.9}, depth[4] = {0.3, 0.0, 0.2, 0.1};
    int c = (int)x[0], n = (int)x[1];
    double dx = x[2] - at[c], dy = log(x[3] / 0.02) / log(10);
    return depth[c] + 6 * dx * dx + 0.3 * dy * dy + 0.02 * (n - 7) * (n - 7);
}

static const char *const three[] = {"a", "b", "c"}, *const four[] = {"a", "b", "c", "d"},
                         *const ranks[] = {"4", "8", "16", "32", "64"};
#define REAL(lo_, hi_)                                                                             \
    {                                                                                              \
        .key = "x", .kind = SPACE_UNIFORM, .lo = lo_, .hi = hi_, .parent = -1                      \
    }
#define LOG(lo_, hi_)                                                                              \
    {                                                                                              \
        .key = "x", .kind = SPACE_UNIFORM, .log = true, .lo = lo_, .hi = hi_, .parent = -1         \
    }
#define WHOLE(lo_, hi_)                                                                            \
    {                                                                                              \
        .key = "x", .kind = SPACE_INTEGERS, .lo = lo_, .hi = hi_, .step = 1, .parent = -1          \
    }
#define STEPS(lo_, hi_, step_)                                                                     \
    {                                                                                              \
        .key = "x", .kind = SPACE_STEPS, .lo = lo_, .hi = hi_, .step = step_, .parent = -1         \
    }
#define CHOICE(c, n_)                                                                              \
    {                                                                                              \
        .key = "x", .kind = SPACE_CHOICE, .hi = n_ - 1, .choices = c, .n = n_, .parent = -1        \
    }
static const struct {
    const char *name;
    double (*f)(const double *x);
    struct space s;
} problems[] = {
    {"sphere5", sphere, {{REAL(-5, 5), REAL(-5, 5), REAL(-5, 5), REAL(-5, 5), REAL(-5, 5)}, 5}},
    {"branin", branin, {{REAL(-5, 10), REAL(0, 15)}, 2}},
    {"hartmann6",
     hartmann6,
     {{REAL(0, 1), REAL(0, 1), REAL(0, 1), REAL(0, 1), REAL(0, 1), REAL(0, 1)}, 6}},
    {"rosenbrock4", rosenbrock, {{REAL(-2, 2), REAL(-2, 2), REAL(-2, 2), REAL(-2, 2)}, 4}},
    {"tuning-mixed",
     tuning,
     {{LOG(1e-5, 1e-2), CHOICE(ranks, 5), STEPS(0, 0.3, 0.05), WHOLE(1, 6), CHOICE(three, 3)}, 5}},
    {"valleys-mixed", valleys, {{CHOICE(four, 4), WHOLE(1, 20), REAL(0, 1), LOG(1e-4, 1)}, 4}},
};

int main(int argc, char **argv)
{
    if (argc == 2) { /* values at fixed points, to compare with the script's */
        for (size_t f = 0; f < sizeof problems / sizeof *problems; f++)
            for (uint64_t k = 0; k < 5; k++) {
                struct space_point p;
                space_random(&problems[f].s, 99, k, &p);
                printf("%s %.17g", problems[f].name, problems[f].f(p.v));
                for (size_t d = 0; d < problems[f].s.n; d++)
                    printf(" %.17g", p.v[d]);
                printf("\n");
            }
        return 0;
    }
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 20;
    size_t trials = argc > 2 ? strtoull(argv[2], NULL, 10) : 100;
    struct tpe_seen *seen = calloc(trials, sizeof *seen);
    if (!seen) return 1;
    for (size_t f = 0; f < sizeof problems / sizeof *problems; f++)
        for (uint64_t seed = 0; seed < seeds; seed++) {
            double best = INFINITY;
            for (size_t k = 0; k < trials; k++) {
                struct err e = {0};
                seen[k] = (struct tpe_seen){.trial = k, .ended = true};
                if (!tpe_suggest(&problems[f].s, seen, k, seed, k, &seen[k].point, &e)) return 1;
                seen[k].value = problems[f].f(seen[k].point.v);
                if (seen[k].value < best) best = seen[k].value;
            }
            printf("%s %llu %.9g\n", problems[f].name, (unsigned long long)seed, best);
        }
    free(seen);
    return 0;
}
