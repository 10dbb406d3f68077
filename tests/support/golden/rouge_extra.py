#!/usr/bin/env python3
"""Write rouge_extra.jsonl: made-up pairs with long texts, many lines and many ties, scored by Google's
rouge-score 0.1.2 (with nltk 3.10 for the stems)."""
import json
import os
import random

from rouge_score import rouge_scorer

KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
WORDS = "mild right basal opacity opacities lung lungs no stable nodule measuring calcified 5 12 mm t12".split()


def text(rng, n, lines, words):
    out = []
    for _ in range(n):
        out.append(rng.choice(words))
        if rng.random() < lines:
            out.append("\n")
    return " ".join(out)


def main():
    rng = random.Random(7)
    plain = rouge_scorer.RougeScorer(KINDS, use_stemmer=False)
    stem = rouge_scorer.RougeScorer(KINDS, use_stemmer=True)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "rouge_extra.jsonl"), "w") as f:
        for i in range(64):
            sizes = [3, 20, 63, 64, 65, 128, 129, 150]
            words = WORDS[: rng.choice([2, 4, len(WORDS)])]
            lines = rng.choice([0, 0.05, 0.3])
            p = text(rng, rng.choice(sizes), lines, words)
            r = text(rng, rng.choice(sizes), lines, words)
            row = {"prediction": p, "reference": r}
            for name, scorer in (("plain", plain), ("stem", stem)):
                s = scorer.score(r, p)
                row[name] = {k: [s[k].precision, s[k].recall, s[k].fmeasure] for k in KINDS}
            f.write(json.dumps(row) + "\n")


main()
