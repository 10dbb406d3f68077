#!/usr/bin/env python3
"""check_facts.py FACTS_LINES --bars SHARED
                             SUITE.jsonl [--show]
                             --made SHARED/data develop|held [--show]
                             --radpref RATINGS.jsonl even|odd|all

Measures evaluate/facts: recall and benign false flags on a suite of (reference, generated, expected
flags); Kendall's tau-b with radiologists' ratings, beside ROUGE-L, with bootstrap intervals over cases.
--bars: everything, exit status 1 where a bar is missed, 77 without the data. --show prints report text: for
the terminal of who works on the rules. Standard library only."""
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict


def check(program, rows, lexicon=None):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        for r in rows:
            f.write(json.dumps(r) + "\n")
        f.flush()
        out = subprocess.run([program, f.name] + ([lexicon] if lexicon else []), check=True,
                             capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


def suite(program, rows, with_source):
    """Recall by kind of error, share of benign rows with a flag; the misses and false flags."""
    results = check(program, [{
        "generated": r["generated"], "reference": r["reference"],
        "source": " ".join(filter(None, [r.get("findings"), r.get("background")])) if with_source else ""}
        for r in rows])
    found, total, misses = Counter(), Counter(), []
    benign, false = 0, 0
    for r, x in zip(rows, results):
        kinds = {f["kind"] for f in x["flags"]}
        if r["must_not_flag"] or not r["expected_flags"]:
            benign += 1
            false += bool(kinds)
            if kinds:
                misses.append((r, x))
            continue
        for k in r["expected_flags"]:
            total[k] += 1
            found[k] += k in kinds
            if k not in kinds:
                misses.append((r, x))
    return found, total, benign, false, misses


def tau_b(x, y):
    n, c, tx, ty = len(x), 0, 0, 0
    for i in range(n):
        for j in range(i):
            a = (x[i] > x[j]) - (x[i] < x[j])
            b = (y[i] > y[j]) - (y[i] < y[j])
            c += a * b
            tx += a == 0
            ty += b == 0
    m = n * (n - 1) / 2
    return c / math.sqrt((m - tx) * (m - ty))


def radpref(program, path, part, resamples=1000):
    """tau-b of the score and of ROUGE-L with the mean rating; cases are resampled whole."""
    rows = [r for r in read(path)
            if part == "all" or (int(r["case"][2:]) % 2 == 0) == (part == "even")]
    score = [x["score"] for x in check(program, [
        {"generated": r["generated"], "reference": r["reference"], "source": ""} for r in rows])]
    rating = [sum(a["rating"] for a in r["raters"]) / len(r["raters"]) for r in rows]
    rouge = [r["rougeL_f"] for r in rows]
    at = defaultdict(list)
    for i, r in enumerate(rows):
        at[r["case"]].append(i)
    cases, rng, taus, diffs = list(at.values()), random.Random(1), [], []
    for _ in range(resamples):
        pick = [i for c in rng.choices(cases, k=len(cases)) for i in c]
        y = [rating[i] for i in pick]
        t = tau_b([score[i] for i in pick], y)
        taus.append(t)
        diffs.append(t - tau_b([rouge[i] for i in pick], y))
    taus.sort()
    diffs.sort()
    ci = lambda v: (v[int(.025 * resamples)], v[int(.975 * resamples)])
    t, u = tau_b(score, rating), tau_b(rouge, rating)
    return rows, score, rating, t, ci(taus), u, t - u, ci(diffs)


def print_suite(name, found, total, benign, false):
    print(f"{name}: recall={sum(found.values()) / sum(total.values()):.3f} benign={false}/{benign} " +
          " ".join(f"{k}={found[k]}/{total[k]}" for k in sorted(total)))


def bars(program, shared):
    """All bars of the issue; 77 without the shared data."""
    metrics = os.path.join(shared, "data/metrics")
    if not os.path.isdir(metrics):
        print("SKIP: no", metrics)
        return 77
    missed = []
    for name, rows, least in (
            ("chest", read(metrics + "/factcheck_suite.jsonl"), .95),
            ("CT/MR/US, held out", made(os.path.join(shared, "data"), "held"), .85)):
        for with_source in (False, True):
            found, total, benign, false, _ = suite(program, rows, with_source)
            print_suite(f"{name}{', with source' if with_source else ''}", found, total, benign, false)
            if sum(found.values()) < least * sum(total.values()) or false > .01 * benign:
                missed.append(name)
            if name == "chest" and any(found[k] < .85 * total[k] for k in total):
                missed.append(name + ", one kind")
    for part, least in (("all", .62), ("odd", .58)):
        tau = print_radpref(program, metrics + "/radpref_ratings.jsonl", part, 200)
        if tau < least:
            missed.append("radpref " + part)
    if missed:
        print("missed:", ", ".join(missed))
    return 1 if missed else 0


def print_radpref(program, path, part, resamples):
    rows, _, _, t, ci, u, d, dci = radpref(program, path, part, resamples)
    print(f"radpref {part}: n={len(rows)} tau={t:.3f} ({ci[0]:.3f} to {ci[1]:.3f}) rougeL={u:.3f} "
          f"difference={d:+.3f} ({dci[0]:+.3f} to {dci[1]:+.3f})")
    return t


def made(data, half):
    """The CT/MR/US suite, made now."""
    script = os.path.join(os.path.dirname(__file__), "../support/make_fact_suite.py")
    out = subprocess.run([sys.executable, script, data, half], check=True, capture_output=True,
                         text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def main():
    program, what = sys.argv[1], sys.argv[2]
    if what == "--bars":
        return bars(program, sys.argv[3])
    if what == "--radpref":
        print_radpref(program, sys.argv[3], sys.argv[4], 2000)
        return 0
    rows = made(sys.argv[3], sys.argv[4]) if what == "--made" else read(what)
    for with_source in (False, True):
        found, total, benign, false, misses = suite(program, rows, with_source)
        print_suite(f"source={with_source}", found, total, benign, false)
        for r, x in misses if "--show" in sys.argv and not with_source else []:
            print(r["id"], r["kind"], r["expected_flags"], "|", r["reference"], "|", r["generated"],
                  "|", x["flags"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
