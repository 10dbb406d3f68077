#!/usr/bin/env python3
"""Write rouge_long.jsonl: pairs far longer than any report, made by rule (tests/evaluate/test_rouge.c makes the same), scored
by Google's rouge-score 0.1.2 (with nltk 3.10 for the stems). Its tables take 3 GB; kinds whose table would be larger are left out."""
import json
import os
import sys

from rouge_score import rouge_scorer

ENDS = ["", "s", "ing", "ed"]


def text(seed, n, words, every):
    """n words of `words` kinds, a new line behind every `every` (0: none)."""
    x, out = seed, []
    for i in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        v, word = (x >> 33) % words, ""
        k = v // len(ENDS)
        while True:
            word += chr(ord("a") + k % 26)
            k //= 26
            if k == 0:
                break
        out.append(word + "t" + ENDS[v % len(ENDS)])
        out.append("\n" if every and (i + 1) % every == 0 else " ")
    return "".join(out)


ALL, COUNTS = ["rouge1", "rouge2", "rougeL", "rougeLsum"], ["rouge1", "rouge2"]
CASES = [  # prediction: words, line; reference: words, line; kinds of words; what is scored
    (300, 0, 20000, 0, 6000, ALL),
    (20000, 0, 300, 0, 40, ALL),
    (300, 100, 20000, 7000, 6000, ALL),
    (4200, 4150, 17500, 0, 300, ALL),
    (3000, 25, 3000, 30, 500, ALL),
    (17000, 40, 17000, 35, 3000, ["rouge1", "rouge2", "rougeLsum"]),
    (200000, 0, 180000, 0, 150000, COUNTS),
]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "rouge_long.jsonl"), "w") as f:
        for i, (pn, pl, rn, rl, words, kinds) in enumerate(CASES):
            p, r = text(2 * i + 1, pn, words, pl), text(2 * i + 2, rn, words, rl)
            row = {"prediction": [pn, pl], "reference": [rn, rl], "words": words}
            for name, stem in (("plain", False), ("stem", True)):
                s = rouge_scorer.RougeScorer(kinds, use_stemmer=stem).score(r, p)
                row[name] = {k: [s[k].precision, s[k].recall, s[k].fmeasure] for k in kinds}
            f.write(json.dumps(row) + "\n")
            f.flush()
            print(i, file=sys.stderr)


main()
