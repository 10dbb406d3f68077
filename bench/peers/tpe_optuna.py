#!/usr/bin/env python3
"""Our TPE beside Optuna's, paired by seed, on the functions of bench/bench_tpe.c.

    tpe_optuna.py build/release/bench/bench_tpe [--set bar|other|fresh] [--first 0] [--seeds 20] [--trials 100]
                  [--cache FILE]

Prints the median best value of both for each function, how often ours was better (ties count half), and Wilcoxon's
signed-rank p of the differences; exit 1 when a median is worse than Optuna's. --cache keeps Optuna's values, which
do not depend on our program.
Needs optuna, numpy, scipy.
"""
import argparse
import json
import os
import subprocess
import sys
import warnings

import numpy
import optuna
import scipy
from scipy.stats import wilcoxon

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.WARNING)


def spaces(bench, which):
    out = {}
    for line in subprocess.run([bench, "spaces"], check=True, capture_output=True, text=True).stdout.splitlines():
        family, name, *params = line.split()
        if family == which:
            out[name] = [p.split(":") for p in params]
    return out


def ask(trial, name, param):
    kind, lo, hi, step = param[0], *map(float, param[1:])
    log = kind.startswith("log_")
    kind = kind.removeprefix("log_")
    if kind == "choice":
        return trial.suggest_categorical(name, list(range(int(hi) + 1)))
    if kind == "integers":
        return trial.suggest_int(name, int(lo), int(hi), log=log)
    return trial.suggest_float(name, lo, hi, step=step if kind == "steps" else None, log=log)


def optuna_best(values, name, params, seed, trials):
    def objective(trial):
        x = [ask(trial, f"x{i}", p) for i, p in enumerate(params)]
        print(name, *(repr(float(v)) for v in x), file=values.stdin, flush=True)
        return float(values.stdout.readline())
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return study.best_value


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bench")
    p.add_argument("--set", default="bar")
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--seeds", type=int, default=20)
    p.add_argument("--trials", type=int, default=100)
    p.add_argument("--cache")
    o = p.parse_args()
    cache = json.load(open(o.cache)) if o.cache and os.path.exists(o.cache) else {}
    problems = spaces(o.bench, o.set)
    ours = {}
    run = [o.bench, o.set, str(o.first), str(o.seeds), str(o.trials)]
    for line in subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines():
        name, _, value = line.split()
        ours.setdefault(name, []).append(float(value))
    values = subprocess.Popen([o.bench, "values"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(f"optuna {optuna.__version__}, numpy {numpy.__version__}, scipy {scipy.__version__}; set {o.set}, "
          f"{o.trials} trials, seeds {o.first} to {o.first + o.seeds - 1}; lower is better")
    print(f"{'function':16} {'ours':>12} {'optuna':>12} {'ours better':>12} {'p':>8}")
    worse, share = [], []
    for name, params in problems.items():
        theirs = []
        for seed in range(o.first, o.first + o.seeds):
            key = f"{optuna.__version__} {name} {seed} {o.trials}"
            if key not in cache:
                cache[key] = optuna_best(values, name, params, seed, o.trials)
            theirs.append(cache[key])
        if o.cache:
            json.dump(cache, open(o.cache, "w"))
        a, b = numpy.array(ours[name]), numpy.array(theirs)
        better = float((a < b).sum() + (a == b).sum() / 2)
        share.append(better / o.seeds)
        try:
            sure = wilcoxon(a, b).pvalue
        except ValueError:
            sure = float("nan")
        print(f"{name:16} {numpy.median(a):12.6g} {numpy.median(b):12.6g} {better:>9g}/{o.seeds} {sure:8.3f}", flush=True)
        if numpy.median(a) > numpy.median(b):
            worse.append(name)
    values.stdin.close()
    values.wait()
    print(f"ours is better on {100 * sum(share) / len(share):.1f} % of the pairs (ties half); "
          f"median worse than Optuna's: " + (", ".join(worse) or "none"))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
