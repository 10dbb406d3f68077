#!/usr/bin/env python3
"""Golden encodings of made-up words, which no cache holds, by huggingface/tokenizers.

    python tok_first_words.py SHARED/data/tokenizers > tests/text/golden/first_words.jsonl

First line: what made the file. Rows: text, and the ids of each tokenizer with special tokens off. Words come many to a
text, short and long, with punctuation behind, before and inside them, characters that a vocabulary has not, blanks
in runs, and words without an end.
"""
import gzip
import json
import os
import random
import sys

import tokenizers

PARTS = ["pneu", "mo", "tho", "rax", "car", "di", "a", "o", "spon", "dyl", "sten", "ec", "ta", "sis", "Fi", "bro", "x", "RUL", "q",
         "zz", "ing", "ed", "less", "un", "L4", "12", "7", "mm", "aa", "b", "Th", "ly", "-", "/", "'s", "e", "i", "k"]
ENDS = ["", "", "", "", ".", ",", ":", ";", ")", ".)", "...", "?", "!!", "%", "_", "\"", "<", "~", "]", "\\.", "^,", "'", "-"]
ODD = ["\u2265", "\u00b5", "\u00e9", "\u4e2d", "\U0001f600", "\u2581", "\u00bd", "\u0301", "\u00a0", "~", "{", "`"]


def word(rng, most):
    s = "".join(rng.choice(PARTS) for _ in range(rng.randint(1, most)))
    return rng.choice(["", "", "", "", "(", "\""]) + s + rng.choice(ENDS)


def texts():
    rng = random.Random(11)
    yield " ".join(word(rng, 4) for _ in range(150))
    yield "".join(word(rng, 4) + " " * rng.choice([1, 1, 2, 3, 9]) for _ in range(45))
    yield " ".join(word(rng, 2) + rng.choice(ODD) + rng.choice(["", word(rng, 2)]) for _ in range(40))
    yield " ".join(word(rng, 12) for _ in range(18))
    yield ". a . , .) a. ~. <. <, a~. \u00b5. \u00e9. \u4e2d. 3. 3, a.b. ... .. .a"
    yield "."
    yield "a" * 700
    yield "ab" * 200 + "a" * 41 + "abc" * 30
    yield "".join(rng.choice("abcdeinorst") for _ in range(330))
    yield "".join(rng.choice("-=_.") for _ in range(300)) + "_" * 300


def main():
    folder = sys.argv[1]
    names = sorted(n for n in os.listdir(folder) if os.path.exists(os.path.join(folder, n, "tokenizer.json.gz")))
    all_of = {}
    for name in names:
        with gzip.open(os.path.join(folder, name, "tokenizer.json.gz"), "rt", encoding="utf-8") as f:
            all_of[name] = tokenizers.Tokenizer.from_str(f.read())
        all_of[name].encode_special_tokens = True
    print(json.dumps({"made by": "tests/support/golden/tok_first_words.py", "tokenizers": tokenizers.__version__}))
    for text in texts():
        ids = {n: t.encode(text, add_special_tokens=False).ids for n, t in all_of.items()}
        print(json.dumps({"text": text, "plain": ids}, separators=(",", ":")))


if __name__ == "__main__":
    main()
