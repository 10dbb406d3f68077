/*
 * bench_tpe - our TPE on functions, for bench/peers/tpe_optuna.py, which runs Optuna's on the same ones:
 *     bench_tpe SET FIRST SEEDS TRIALS    ->  lines "FUNCTION SEED BEST"
 *     bench_tpe spaces                    ->  lines "SET FUNCTION KIND:LOW:HIGH:STEP ..."
 *     bench_tpe values                    reads lines "FUNCTION x...", answers each with the value
 * Sets: `bar`, the six that issue 6 names a bar for; `other`, on which the sampler's rules were chosen and which is
 * larger; `fresh`, which nothing was chosen on. The functions are written here only; Optuna asks this program.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sweep/tpe.h"

#define PI 3.14159265358979323846

/* ---- bar */
static double sphere(const double *x)
{
    double s = 0;
    for (int i = 0; i < 5; i++)
        s += (x[i] - 1.3) * (x[i] - 1.3);
    return s;
}
static double branin(const double *x)
{
    double a = x[1] - 5.1 / (4 * PI * PI) * x[0] * x[0] + 5 / PI * x[0] - 6;
    return a * a + 10 * (1 - 1 / (8 * PI)) * cos(x[0]) + 10;
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

/* ---- other */
static double ackley(const double *x)
{
    double s = 0, c = 0;
    for (int i = 0; i < 5; i++) {
        s += x[i] * x[i];
        c += cos(2 * PI * x[i]);
    }
    return 20 - 20 * exp(-0.2 * sqrt(s / 5)) + exp(1) - exp(c / 5);
}
static double levy(const double *x)
{
    double w[4], s;
    for (int i = 0; i < 4; i++)
        w[i] = 1 + (x[i] - 1) / 4;
    s = pow(sin(PI * w[0]), 2) + pow(w[3] - 1, 2) * (1 + pow(sin(2 * PI * w[3]), 2));
    for (int i = 0; i < 3; i++)
        s += pow(w[i] - 1, 2) * (1 + 10 * pow(sin(PI * w[i] + 1), 2));
    return s;
}
static double rastrigin(const double *x)
{
    double s = 40;
    for (int i = 0; i < 4; i++)
        s += x[i] * x[i] - 10 * cos(2 * PI * x[i]);
    return s;
}
static double styblinski(const double *x)
{
    double s = 0;
    for (int i = 0; i < 5; i++)
        s += (pow(x[i], 4) - 16 * x[i] * x[i] + 5 * x[i]) / 2;
    return s;
}
static double michalewicz(const double *x)
{
    double s = 0;
    for (int i = 0; i < 5; i++)
        s -= sin(x[i]) * pow(sin((i + 1) * x[i] * x[i] / PI), 20);
    return s;
}
static double camel(const double *x)
{
    double a = x[0] * x[0], b = x[1] * x[1];
    return (4 - 2.1 * a + a * a / 3) * a + x[0] * x[1] + (4 * b - 4) * b;
}
static double zakharov(const double *x)
{
    double s = 0, t = 0;
    for (int i = 0; i < 5; i++) {
        s += x[i] * x[i];
        t += 0.5 * (i + 1) * x[i];
    }
    return s + t * t + t * t * t * t;
}
/* Mixed: a small network. lr (log), layers, width (log), optimizer, dropout, weight decay (log). */
static double network(const double *x)
{
    static const double at[3] = {-3, -1.5, -2.5}, floor_of[3] = {0, 0.1, 0.05};
    int o = (int)x[3];
    double lr = log10(x[0]) - at[o], size = log(x[1] * x[2]) / log(2) - 9, wd = log10(x[5]) + 4;
    double overfit = fmax(0, size - 1) * fmax(0, 0.3 - x[4]);
    return floor_of[o] + 1 - exp(-0.5 * lr * lr) + 0.03 * size * size + 0.2 * overfit +
           0.02 * wd * wd;
}
/* Choices only, with pairs that belong together. */
static double choices(const double *x)
{
    static const double cost[5] = {0.3, 0, 0.5, 0.2, 0.4};
    double s = 0;
    for (int i = 0; i < 6; i++)
        s += cost[((int)x[i] + i) % 5] + ((int)x[i] == (int)x[(i + 1) % 6] ? 0.15 : 0);
    return s;
}
/* Whole numbers in a bent valley. */
static double lattice(const double *x)
{
    double s = 0;
    for (int i = 0; i < 5; i++)
        s += (x[i] - 12 + i) * (x[i] - 12 + i);
    for (int i = 0; i < 4; i++)
        s += 0.5 * (x[i] - x[i + 1] - 1) * (x[i] - x[i + 1] - 1);
    return s / 10;
}

/* ---- fresh */
static double hartmann3(const double *x)
{
    static const double alpha[4] = {1.0, 1.2, 3.0, 3.2};
    static const double a[4][3] = {{3, 10, 30}, {0.1, 10, 35}, {3, 10, 30}, {0.1, 10, 35}};
    static const double p[4][3] = {
        {.3689, .1170, .2673}, {.4699, .4387, .7470}, {.1091, .8732, .5547}, {.0381, .5743, .8828}};
    double s = 0;
    for (int i = 0; i < 4; i++) {
        double t = 0;
        for (int j = 0; j < 3; j++)
            t += a[i][j] * (x[j] - p[i][j]) * (x[j] - p[i][j]);
        s -= alpha[i] * exp(-t);
    }
    return s;
}
static double shekel(const double *x)
{
    static const double beta[10] = {.1, .2, .2, .4, .4, .6, .3, .7, .5, .5};
    static const double at[4][10] = {{4, 1, 8, 6, 3, 2, 5, 8, 6, 7},
                                     {4, 1, 8, 6, 7, 9, 3, 1, 2, 3.6},
                                     {4, 1, 8, 6, 3, 2, 5, 8, 6, 7},
                                     {4, 1, 8, 6, 7, 9, 3, 1, 2, 3.6}};
    double s = 0;
    for (int i = 0; i < 10; i++) {
        double t = beta[i];
        for (int j = 0; j < 4; j++)
            t += (x[j] - at[j][i]) * (x[j] - at[j][i]);
        s -= 1 / t;
    }
    return s;
}
static double goldstein(const double *v)
{
    double x = v[0], y = v[1], a = x + y + 1, b = 2 * x - 3 * y;
    double f = 1 + a * a * (19 - 14 * x + 3 * x * x - 14 * y + 6 * x * y + 3 * y * y);
    double g = 30 + b * b * (18 - 32 * x + 12 * x * x + 48 * y - 36 * x * y + 27 * y * y);
    return log(f * g);
}
static double griewank(const double *x)
{
    double s = 1, p = 1;
    for (int i = 0; i < 6; i++) {
        s += x[i] * x[i] / 4000;
        p *= cos(x[i] / sqrt(i + 1));
    }
    return s - p;
}
static double dixon(const double *x)
{
    double s = (x[0] - 1) * (x[0] - 1);
    for (int i = 1; i < 4; i++)
        s += (i + 1) * pow(2 * x[i] * x[i] - x[i - 1], 2);
    return s;
}
/* Mixed: LoRA in eight keys, some of which hardly matter. */
static double lora(const double *x)
{
    static const double targets[4] = {0.25, 0.1, 0.0, 0.05};
    double lr = log10(x[0]) + 3.3, scale = log(x[2] / (4 << (int)x[1])) / log(2) - 1;
    double warm = x[4] - 0.06, ep = x[5] - 2;
    double s = 0.6 * pow(lr + 0.25 * scale, 2) + 0.05 * fabs(x[1] - 2) + targets[(int)x[6]];
    return s + 0.04 * ep * ep + (x[5] > 3 ? 0.05 * (x[5] - 3) * (0.2 - x[3]) : 0) +
           3 * warm * warm + 0.01 * (int)x[7];
}
/* Mixed: steps and logarithms of whole numbers. */
static double batching(const double *x)
{
    double b = log(x[0]) / log(2) - 5, lr = log10(x[1]) + 2 - 0.15 * b;
    return 0.05 * b * b + lr * lr + 2 * fabs(x[2] - 0.35) + (x[3] > 0 ? 0.1 : 0.2);
}

static const char *const three[] = {"a", "b", "c"}, *const four[] = {"a", "b", "c", "d"},
                         *const five[] = {"4", "8", "16", "32", "64"}, *const two[] = {"a", "b"};
#define PARAM(kind_, log_, lo_, hi_, step_)                                                        \
    {                                                                                              \
        .key = "x", .kind = kind_, .log = log_, .lo = lo_, .hi = hi_, .step = step_, .parent = -1  \
    }
#define REAL(lo_, hi_)         PARAM(SPACE_UNIFORM, false, lo_, hi_, 0)
#define LOG(lo_, hi_)          PARAM(SPACE_UNIFORM, true, lo_, hi_, 0)
#define WHOLE(lo_, hi_)        PARAM(SPACE_INTEGERS, false, lo_, hi_, 1)
#define LOGWHOLE(lo_, hi_)     PARAM(SPACE_INTEGERS, true, lo_, hi_, 1)
#define STEPS(lo_, hi_, step_) PARAM(SPACE_STEPS, false, lo_, hi_, step_)
#define CHOICE(c, n_)                                                                              \
    {                                                                                              \
        .key = "x", .kind = SPACE_CHOICE, .hi = n_ - 1, .choices = c, .n = n_, .parent = -1        \
    }
#define FOUR(p) p, p, p, p
#define FIVE(p) p, p, p, p, p
#define SIX(p)  p, p, p, p, p, p
static const struct problem {
    const char *set, *name;
    double (*f)(const double *x);
    struct space s;
} problems[] = {
    {"bar", "sphere5", sphere, {{FIVE(REAL(-5, 5))}, 5}},
    {"bar", "branin", branin, {{REAL(-5, 10), REAL(0, 15)}, 2}},
    {"bar", "hartmann6", hartmann6, {{SIX(REAL(0, 1))}, 6}},
    {"bar", "rosenbrock4", rosenbrock, {{FOUR(REAL(-2, 2))}, 4}},
    {"bar",
     "tuning-mixed",
     tuning,
     {{LOG(1e-5, 1e-2), CHOICE(five, 5), STEPS(0, 0.3, 0.05), WHOLE(1, 6), CHOICE(three, 3)}, 5}},
    {"bar",
     "valleys-mixed",
     valleys,
     {{CHOICE(four, 4), WHOLE(1, 20), REAL(0, 1), LOG(1e-4, 1)}, 4}},
    {"other", "ackley5", ackley, {{FIVE(REAL(-20, 30))}, 5}},
    {"other", "levy4", levy, {{FOUR(REAL(-10, 10))}, 4}},
    {"other", "rastrigin4", rastrigin, {{FOUR(REAL(-4, 5.12))}, 4}},
    {"other", "styblinski5", styblinski, {{FIVE(REAL(-5, 5))}, 5}},
    {"other", "michalewicz5", michalewicz, {{FIVE(REAL(0, PI))}, 5}},
    {"other", "camel", camel, {{REAL(-3, 3), REAL(-2, 2)}, 2}},
    {"other", "zakharov5", zakharov, {{FIVE(REAL(-5, 10))}, 5}},
    {"other",
     "network-mixed",
     network,
     {{LOG(1e-6, 1), WHOLE(1, 8), LOGWHOLE(16, 1024), CHOICE(three, 3), REAL(0, 0.8),
       LOG(1e-7, 1e-1)},
      6}},
    {"other", "choices", choices, {{SIX(CHOICE(five, 5))}, 6}},
    {"other", "lattice", lattice, {{FIVE(WHOLE(1, 30))}, 5}},
    {"fresh", "hartmann3", hartmann3, {{REAL(0, 1), REAL(0, 1), REAL(0, 1)}, 3}},
    {"fresh", "shekel4", shekel, {{FOUR(REAL(0, 10))}, 4}},
    {"fresh", "goldstein-log", goldstein, {{REAL(-2, 2), REAL(-2, 2)}, 2}},
    {"fresh", "griewank6", griewank, {{SIX(REAL(-50, 70))}, 6}},
    {"fresh", "dixon4", dixon, {{FOUR(REAL(-10, 10))}, 4}},
    {"fresh",
     "lora-mixed",
     lora,
     {{LOG(1e-5, 1e-2), CHOICE(five, 5), LOGWHOLE(4, 256), STEPS(0, 0.2, 0.05), REAL(0, 0.2),
       WHOLE(1, 6), CHOICE(four, 4), CHOICE(two, 2)},
      8}},
    {"fresh",
     "batching-mixed",
     batching,
     {{LOGWHOLE(1, 512), LOG(1e-4, 1), STEPS(0, 0.9, 0.05), CHOICE(two, 2)}, 4}},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static void put_spaces(void)
{
    static const char *const kinds[] = {"choice", "uniform", "integers", "steps"};
    for (size_t f = 0; f < PROBLEMS; f++) {
        printf("%s %s", problems[f].set, problems[f].name);
        for (size_t d = 0; d < problems[f].s.n; d++) {
            const struct space_param *p = &problems[f].s.p[d];
            printf(" %s%s:%.17g:%.17g:%.17g", p->log ? "log_" : "", kinds[p->kind], p->lo, p->hi,
                   p->step);
        }
        printf("\n");
    }
}

static int answer_values(void)
{
    char name[64], line[4096];
    while (fgets(line, sizeof line, stdin)) {
        double x[SPACE_MAX];
        int at = 0, more;
        size_t f = 0;
        if (sscanf(line, "%63s%n", name, &at) != 1) return 1;
        while (f < PROBLEMS && strcmp(problems[f].name, name) != 0)
            f++;
        for (size_t d = 0; f < PROBLEMS && d < problems[f].s.n; d++, at += more)
            if (sscanf(line + at, "%lf%n", &x[d], &more) != 1) return 1;
        if (f == PROBLEMS) return 1;
        printf("%.17g\n", problems[f].f(x));
        fflush(stdout);
    }
    return 0;
}

static bool best_of_run(const struct problem *p, uint64_t seed, size_t trials,
                        struct tpe_seen *seen)
{
    double best = INFINITY;
    for (size_t k = 0; k < trials; k++) {
        struct err e = {0};
        seen[k] = (struct tpe_seen){.trial = k, .ended = true};
        if (!tpe_suggest(&p->s, seen, k, seed, k, &seen[k].point, &e)) return false;
        seen[k].value = p->f(seen[k].point.v);
        if (seen[k].value < best) best = seen[k].value;
    }
    printf("%s %llu %.9g\n", p->name, (unsigned long long)seed, best);
    return true;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "values") == 0) return answer_values();
    if (argc == 2 && strcmp(argv[1], "spaces") == 0) {
        put_spaces();
        return 0;
    }
    if (argc != 5) {
        fprintf(stderr, "bench_tpe SET FIRST SEEDS TRIALS | spaces | values\n");
        return 2;
    }
    uint64_t first = strtoull(argv[2], NULL, 10), seeds = strtoull(argv[3], NULL, 10);
    size_t trials = strtoull(argv[4], NULL, 10);
    struct tpe_seen *seen = calloc(trials + 1, sizeof *seen);
    bool ok = seen != NULL;
    for (size_t f = 0; f < PROBLEMS; f++)
        for (uint64_t s = first; ok && s < first + seeds; s++)
            if (strcmp(problems[f].set, argv[1]) == 0)
                ok = best_of_run(&problems[f], s, trials, seen);
    free(seen);
    return !ok;
}
