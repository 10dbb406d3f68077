#!/usr/bin/env python3
"""Write bleu_extra.jsonl: made-up pairs full of punctuation, digits, entities and odd white space, with
the 13a tokens and sentence BLEU of sacrebleu 2.6.0 and NLTK 3.10's method1."""
import json
import os
import random

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.metrics import BLEU

PIECES = [".", ",", "-", "/", "5", "12", "a", "bb", "no", " ", " ", " ", "  ", "\n", "-\n", "&", "&amp;", "&lt;",
          "&amp;lt;", "&quot;", "<skipped>", "'", "_", "____", "(", ")", "%", "#", ":", ";", "\u00e9", "\u00b5m",
          "\u00a0", "\u2003", "\u3000", "\u0085", "\x1c", "\t", "..", ".5", "5.", "1,000", "T12-L1"]


def main():
    rng = random.Random(11)
    here = os.path.dirname(os.path.abspath(__file__))
    eff, corpus = BLEU(effective_order=True), BLEU()
    method1 = SmoothingFunction().method1
    with open(os.path.join(here, "bleu_extra.jsonl"), "w") as f:
        for i in range(160):
            most = 30 if i < 150 else 400  # the last ones have more than 64 tokens, of few words
            pieces = PIECES if i < 150 else [" a", " bb", " no", " 5", ".", ",", " left"]
            r = [rng.choice(pieces) for _ in range(rng.randrange(most // 2 if i >= 150 else 0, most))]
            p = [x if rng.random() < 0.8 else rng.choice(pieces) for x in r] if rng.random() < 0.7 else [
                rng.choice(pieces) for _ in range(rng.randrange(0, most))]
            p, r = "".join(p), "".join(r)
            s = eff.sentence_score(p, [r])
            row = {"prediction": p, "reference": r, "tok": eff.tokenizer(p.rstrip()), "bleu": s.score,
                   "corpus": corpus.corpus_score([p], [[r]]).score,
                   "nltk1": float(sentence_bleu([r.split()], p.split(), smoothing_function=method1))}
            f.write(json.dumps(row) + "\n")


main()
