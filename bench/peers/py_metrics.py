#!/usr/bin/env python3
"""CPU seconds a pair of the Python packages rouge-score, sacrebleu and nltk: what evaluate's rouge and bleu compute.

  py_metrics.py PAIRS.jsonl [--seconds 2]

Prints one JSON object. rouge: the four kinds; stem: the same with the stemmer; bleu: sacrebleu's sentence score; nltk:
sentence_bleu with method1. Each is what one would call a pair at a time; set-up is not counted.
"""
import argparse
import json
import time
import warnings

import nltk
import sacrebleu
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU

KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def us_per_pair(fn, pairs, seconds):
    for p, r in pairs[:20]:
        fn(p, r)
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        p, r = pairs[done % len(pairs)]
        fn(p, r)
        done += 1
    return 1e6 * (time.process_time() - start) / done


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("pairs")
    ap.add_argument("--seconds", type=float, default=2)
    a = ap.parse_args()
    warnings.filterwarnings("ignore")
    with open(a.pairs, encoding="utf-8") as f:
        pairs = [(d["prediction"], d["reference"]) for d in map(json.loads, f)]
    plain, stem = rouge_scorer.RougeScorer(KINDS), rouge_scorer.RougeScorer(KINDS, use_stemmer=True)
    bleu, method1 = BLEU(effective_order=True), SmoothingFunction().method1
    out = {
        "rouge": us_per_pair(lambda p, r: plain.score(r, p), pairs, a.seconds),
        "stem": us_per_pair(lambda p, r: stem.score(r, p), pairs, a.seconds),
        "bleu": us_per_pair(lambda p, r: bleu.sentence_score(p, [r]), pairs, a.seconds),
        "nltk": us_per_pair(lambda p, r: sentence_bleu([r.split()], p.split(), smoothing_function=method1), pairs,
                            a.seconds),
        "versions": "sacrebleu %s, nltk %s" % (sacrebleu.__version__, nltk.__version__),
    }
    print(json.dumps(out))


main()
