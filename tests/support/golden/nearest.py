#!/usr/bin/env python3
"""Write nearest.jsonl: made-up texts, and for queries the most similar of them with its cosine, by
scikit-learn 1.9.1's TfidfVectorizer (defaults, but for the words: runs of a-z0-9 of any length)."""
import json
import os
import random

from sklearn.feature_extraction.text import TfidfVectorizer

WORDS = ["no", "acute", "small", "left", "right", "effusion", "Effusion", "edema", "1.5", "cm", "T12", "a", "X",
         "lungs", "clear", "heart", "normal", "mild", "large", "the", "the", "the", "is", "are", "caf\u00e9"]


def text(rng):
    return "".join(rng.choice(WORDS) + rng.choice([" ", ". ", "-", ", ", "\n"]) for _ in range(rng.randrange(1, 14)))


def main():
    rng = random.Random(5)
    texts = [text(rng) for _ in range(80)]
    queries = [text(rng) for _ in range(60)] + ["nothing known", "", texts[7]]
    v = TfidfVectorizer(token_pattern=r"[a-z0-9]+")
    cosines = (v.fit_transform(texts) @ v.transform(queries).T).toarray().T
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "nearest.jsonl"), "w") as f:
        for t in texts:
            f.write(json.dumps({"text": t}) + "\n")
        for q, c in zip(queries, cosines):
            best = c.max()
            index = next(i for i, x in enumerate(c) if x >= best - 1e-12) if best > 0 else -1
            f.write(json.dumps({"query": q, "index": index, "cosine": float(best)}) + "\n")


main()
