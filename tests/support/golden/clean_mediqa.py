#!/usr/bin/env python3
"""Golden outputs of the MEDIQA-2021 cleaning rules, written down again from their description.

    python clean_mediqa.py > tests/text/golden/clean_mediqa.jsonl

Not the published script: a re-implementation with Python's own str.strip and re, whose white space and
digits are what the rules mean. Texts are made up here or drawn at random.
"""
import json
import platform
import random
import re


def findings(s):
    s = s.strip().replace("\n", "")
    return re.sub(r"\s{2,}", " ", s)


def impression(s):
    s = s.strip().replace("\n", "")
    s = re.sub(r"^\d\.\s+", "", s)
    s = re.sub(r"\s\d\.\s+", " ", s)
    return re.sub(r"\s{2,}", " ", s)


def background(s):
    s = s.strip()
    if s.startswith("FINAL REPORT"):
        s = s[len("FINAL REPORT"):].lstrip()
    if s.endswith(":"):
        s = s[:s.rfind(" ")].rstrip()
    s = re.sub(r"\s{2,}", " ", s).strip()
    return s.replace("\n", "")


def texts():
    own = [
        "", " ", "\n", " \n \n", "Clear lungs.", "  Clear lungs.\n No effusion.\n", "a\nb", "a \n b", "a\n\n b",
        "1. Clear.", "1.Clear.", "1.\nClear.", "1.\n Clear. 2. Stable.\n 3. Gone.", "1. 2. 3. x",
        " 1. One\n 2. Two\n 10. Ten\n 11) Eleven", "Fracture of rib 6. No effusion.", "level 5.  T 8. end",
        "x 1.  2.  3. y", "x\t4.\ty", "x 4.\n y", "\u0661. arabic \u0662. digits", "\u00b2. superscript",
        "a\u00a0b", "a\u00a0\u00a0b", "a\u3000 b", "a\u200b\u200bb", "\ufeffa", "a\u001c\u001db", "\u0085a\u0085",
        "a\tb", "a\t\tb", "a\r\nb", "a\r\n\r\nb", "\r\n1. a", "___ year old", "a ___\n ___ b",
        "FINAL REPORT", "FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  ___F with cough\n\n FINDINGS:",
        "FINAL REPORT CHEST", "   FINAL REPORT\n CHEST, TWO VIEWS:", "FRONTAL AND LATERAL VIEWS OF THE CHEST:",
        "FINDINGS:", ":", " :", "a :", "a: b:", "no space:", "a\nb:", "a\u00a0b:", "WET READ: x\n FINAL REPORT\n y",
        "FINAL REPORTING", "final report x", "a\n\n\n b", "FINAL REPORT\n", "\u2028a\u2029", "x 1. y 2. z 3. \n",
    ]
    rng = random.Random(5)
    pieces = ["1.", "2.", " ", " ", "  ", "\n", "\n ", "rib", "6.", "a", ":", "FINAL REPORT", "\u00a0", "\t", "\u2003",
              "\u0663.", "10.", "\r\n", ".", "___", "\u001e", "\u00e9", "\U0001f600"]
    return own + ["".join(rng.choices(pieces, k=rng.randint(1, 14))) for _ in range(160)]


def main():
    print(json.dumps({"made_by": "clean_mediqa.py", "python": platform.python_version()}))
    for s in texts():
        print(json.dumps({"text": s, "findings": findings(s), "impression": impression(s),
                          "background": background(s)}))


if __name__ == "__main__":
    main()
