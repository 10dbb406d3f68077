#!/usr/bin/env python3
"""Our TPE beside Optuna's on six functions, mixed spaces included, paired by seed.

    tpe_optuna.py build/release/bench/bench_tpe [SEEDS [TRIALS]]

Prints the median best value of both for each function, how often ours was better, and Wilcoxon's signed-rank p of
the differences; exit 1 when a median is worse than Optuna's.
Needs optuna, numpy, scipy.
"""
import math
import subprocess
import sys
import warnings

import numpy
import optuna

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.WARNING)

ALPHA = [1.0, 1.2, 3.0, 3.2]
A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [[.1312, .1696, .5569, .0124, .8283, .5886], [.2329, .4135, .8307, .3736, .1004, .9991],
     [.2348, .1451, .3522, .2883, .3047, .6650], [.4047, .8828, .8732, .5743, .1091, .0381]]


def sphere(x):
    return sum((v - 1.3) ** 2 for v in x)


def branin(x):
    a = x[1] - 5.1 / (4 * math.pi ** 2) * x[0] ** 2 + 5 / math.pi * x[0] - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x[0]) + 10


def hartmann6(x):
    return -sum(al * math.exp(-sum(a * (v - p) ** 2 for a, p, v in zip(ra, rp, x)))
                for al, ra, rp in zip(ALPHA, A, P))


def rosenbrock(x):
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(3))


def tuning(x):
    lr, rank = math.log10(x[0]) + 3.6, x[1] - 2
    return (1 + .5 * lr ** 2 + .04 * rank ** 2 + 4 * (x[2] - .05) ** 2 + .05 * (x[3] - 3) ** 2
            + [0, .15, .4][int(x[4])] + .1 * lr * rank)


def valleys(x):
    c = int(x[0])
    dy = math.log(x[3] / .02) / math.log(10)
    return [.3, 0, .2, .1][c] + 6 * (x[2] - [.15, .4, .65, .9][c]) ** 2 + .3 * dy ** 2 + .02 * (x[1] - 7) ** 2


def real(lo, hi):
    return lambda t, n: t.suggest_float(n, lo, hi)


def log(lo, hi):
    return lambda t, n: t.suggest_float(n, lo, hi, log=True)


def whole(lo, hi):
    return lambda t, n: t.suggest_int(n, lo, hi)


def steps(lo, hi, step):
    return lambda t, n: t.suggest_float(n, lo, hi, step=step)


def choice(n_choices):
    return lambda t, n: t.suggest_categorical(n, list(range(n_choices)))


PROBLEMS = {
    "sphere5": (sphere, [real(-5, 5)] * 5),
    "branin": (branin, [real(-5, 10), real(0, 15)]),
    "hartmann6": (hartmann6, [real(0, 1)] * 6),
    "rosenbrock4": (rosenbrock, [real(-2, 2)] * 4),
    "tuning-mixed": (tuning, [log(1e-5, 1e-2), choice(5), steps(0, .3, .05), whole(1, 6), choice(3)]),
    "valleys-mixed": (valleys, [choice(4), whole(1, 20), real(0, 1), log(1e-4, 1)]),
}


def check_functions(bench):
    for line in subprocess.run([bench, "values"], check=True, capture_output=True, text=True).stdout.splitlines():
        name, value, *x = line.split()
        mine = PROBLEMS[name][0]([float(v) for v in x])
        if abs(mine - float(value)) > 1e-9 * max(1, abs(mine)):
            sys.exit(f"{name}: the two programs compute different functions: {mine} and {value}")


def optuna_best(name, seed, trials):
    f, space = PROBLEMS[name]
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(lambda t: f([s(t, f"x{i}") for i, s in enumerate(space)]), n_trials=trials)
    return study.best_value


def main():
    bench, seeds, trials = sys.argv[1], 20, 100
    if len(sys.argv) > 2:
        seeds = int(sys.argv[2])
    if len(sys.argv) > 3:
        trials = int(sys.argv[3])
    check_functions(bench)
    ours = {}
    for line in subprocess.run([bench, str(seeds), str(trials)], check=True, capture_output=True, text=True).stdout.splitlines():
        name, _, value = line.split()
        ours.setdefault(name, []).append(float(value))
    print(f"optuna {optuna.__version__}, numpy {numpy.__version__}; {trials} trials, {seeds} seeds; lower is better")
    print(f"{'function':16} {'ours':>12} {'optuna':>12} {'ours better':>12} {'p':>8}")
    worse = []
    for name in PROBLEMS:
        theirs = [optuna_best(name, seed, trials) for seed in range(seeds)]
        a, b = numpy.array(ours[name]), numpy.array(theirs)
        try:
            from scipy.stats import wilcoxon
            p = wilcoxon(a, b).pvalue
        except (ImportError, ValueError):
            p = float("nan")
        print(f"{name:16} {numpy.median(a):12.6g} {numpy.median(b):12.6g} {int((a < b).sum()):>9}/{seeds} {p:8.3f}",
              flush=True)
        if numpy.median(a) > numpy.median(b):
            worse.append(name)
    print("median worse than Optuna's: " + (", ".join(worse) or "none"))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
