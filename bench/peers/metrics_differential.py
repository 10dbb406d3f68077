#!/usr/bin/env python3
"""Compares `radmill evaluate --per-pair` with the Python packages rouge-score, sacrebleu and nltk on every pair.

  metrics_differential.py RADMILL PAIRS.jsonl... [--tolerance 1e-6]

A row needs prediction (or generated) and reference. Every number is computed anew by the packages; the largest
difference of each name is printed. Exit 1 when one is beyond the tolerance, 77 when a package is missing.
METEOR's synonym stage is left out, as radmill does: a WordNet without any synonym takes its place.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import sacrebleu
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from nltk.translate.meteor_score import single_meteor_score
    from rouge_score import rouge_scorer
except ImportError as e:
    print("skipped: " + str(e))
    sys.exit(77)

KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


class NoWordNet:
    """What meteor_score asks of WordNet, without an answer."""

    @staticmethod
    def synsets(_word):
        return []


class Peers:
    def __init__(self):
        self.rouge = [rouge_scorer.RougeScorer(KINDS, use_stemmer=stem) for stem in (False, True)]
        bleu = sacrebleu.metrics.BLEU
        self.bleu = {"bleu": bleu(effective_order=True),
                     "bleu_none": bleu(effective_order=True, smooth_method="none"),
                     "bleu_floor": bleu(effective_order=True, smooth_method="floor"),
                     "bleu_addk": bleu(effective_order=True, smooth_method="add-k"),
                     "bleu_lc": bleu(effective_order=True, lowercase=True)}
        self.chrf = sacrebleu.metrics.CHRF()

    def row(self, p, r):
        out = {}
        for prefix, scorer in (("", self.rouge[0]), ("stem.", self.rouge[1])):
            for kind, s in scorer.score(r, p).items():
                for part, v in zip("prf", (s.precision, s.recall, s.fmeasure)):
                    out["%s%s.%s" % (prefix, kind, part)] = v
        for name, b in self.bleu.items():
            out[name] = b.sentence_score(p, [r]).score
        out["bleu_hf"] = sacrebleu.metrics.BLEU(smooth_method="none").corpus_score([p], [[r]]).score / 100
        for m in range(1, 5):
            out["nltk_bleu.method%d" % m] = float(
                sentence_bleu([r.split()], p.split(), smoothing_function=getattr(SmoothingFunction(), "method%d" % m)))
        out["chrf"] = self.chrf.sentence_score(p, [r]).score
        out["meteor_nosyn"] = single_meteor_score(r.split(), p.split(), wordnet=NoWordNet)
        return out


def flat(d, prefix=""):
    for k, v in d.items():
        if isinstance(v, dict):
            yield from flat(v, prefix + k + ".")
        else:
            yield prefix + k, v


def pairs_of(path):
    with open(path, encoding="utf-8") as f:
        for d in map(json.loads, filter(str.strip, f)):
            yield d.get("prediction", d.get("generated")), d["reference"]


def ours(radmill, pairs, tmp):
    path, rows = os.path.join(tmp, "pairs.jsonl"), os.path.join(tmp, "rows.jsonl")
    with open(path, "w", encoding="utf-8") as f:
        for p, r in pairs:
            f.write(json.dumps({"prediction": p, "reference": r}) + "\n")
    subprocess.run([radmill, "evaluate", "--pairs", path, "--metrics", "rouge,bleu,chrf,meteor", "--per-pair", rows,
                    "--set", "evaluate.bootstrap=100", "--set", "evaluate.baselines=[]",
                    "--set", "evaluate.strata=false"], check=True, capture_output=True)
    with open(rows, encoding="utf-8") as f:
        return [dict(flat(json.loads(line))) for line in f]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("radmill")
    ap.add_argument("pairs", nargs="+")
    ap.add_argument("--tolerance", type=float, default=1e-6)
    a = ap.parse_args()
    warnings.filterwarnings("ignore")
    peers, worst, n, beyond = Peers(), {}, 0, 0
    for path in a.pairs:
        pairs = [x for x in pairs_of(path) if x[0] is not None]
        with tempfile.TemporaryDirectory() as tmp:
            got = ours(a.radmill, pairs, tmp)
        assert len(got) == len(pairs), path
        for i, ((p, r), g) in enumerate(zip(pairs, got)):
            for name, v in peers.row(p, r).items():
                d = abs(v - g[name])
                beyond += not d <= a.tolerance
                if not d <= a.tolerance and beyond <= 10:
                    print("%s pair %d: %s is %.12f, not %.12f" % (path, i + 1, name, g[name], v))
                worst[name] = max(worst.get(name, 0), d)
        n += len(pairs)
    name = max(worst, key=worst.get)
    print("%d pairs, %d names: largest difference %.3g (%s), %d beyond %g" %
          (n, len(worst), worst[name], name, beyond, a.tolerance))
    sys.exit(beyond > 0)


main()
