#!/usr/bin/env python3
"""radmill's tokenizers beside Python's tokenizers and gigatoken, one run, same bytes, one thread, CPU time.

    python tok_speed.py BENCH_TOKENIZER SHARED_DATA [--only NAME]...

BENCH_TOKENIZER is the built bench program; SHARED_DATA holds tokenizers/, openi/ and mtsamples/. Texts: every Open-i
findings and impression, every MTSamples radiology report, a line each, none repeated on purpose. cold: first pass of a new
object; warm: best of the passes after it. Special tokens off, ids written. tokenizers in encode_batch_fast, gigatoken
(which has no Unigram and no WordPiece) in encode_batch of bytes.
"""
import argparse
import csv
import gzip
import json
import os
import re
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import gigatoken  # noqa: E402
import tokenizers  # noqa: E402


def openi(folder):
    with gzip.open(os.path.join(folder, "openi", "indiana_reports.csv.gz"), "rt", encoding="utf-8") as f:
        return [" ".join(row[k].split("\n")) for row in csv.DictReader(f) for k in ("findings", "impression") if row[k]]


def mtsamples(folder):
    with gzip.open(os.path.join(folder, "mtsamples", "radiology.jsonl.gz"), "rt", encoding="utf-8") as f:
        return [json.loads(line)["text"].replace("\n", " ") for line in f]


def rounds(use, n):
    out = []
    for _ in range(n):
        start = time.process_time()
        use()
        out.append(time.process_time() - start)
    return out[0], min(out[1:])


def ours(bench, path, text):
    out = subprocess.run([bench, path, text], check=True, capture_output=True, text=True).stdout
    get = lambda name: float(re.search(name + r"\s+([\d.]+) MB/s", out).group(1))  # noqa: E731
    return get("cold cache"), get("warm, best of 5"), get("1 MB of a, one word")


def hf(path, lines):
    t = tokenizers.Tokenizer.from_file(path)
    t.encode_special_tokens = True
    return rounds(lambda: t.encode_batch_fast(lines, add_special_tokens=False), 3)


def giga(path, lines):
    t, rows = gigatoken.Tokenizer(path), [s.encode() for s in lines]
    return rounds(lambda: t.encode_batch(rows, parallel=False), 6)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("bench")
    ap.add_argument("data")
    ap.add_argument("--only", action="append", default=[])
    a = ap.parse_args()
    print("MB/s cold / warm; tokenizers %s, gigatoken 0.10.0; ratios of warm" % tokenizers.__version__)
    folder = os.path.join(a.data, "tokenizers")
    names = a.only or sorted(n for n in os.listdir(folder) if os.path.exists(os.path.join(folder, n, "tokenizer.json.gz")))
    with tempfile.TemporaryDirectory() as tmp:
        for name in names:
            path = os.path.join(tmp, "tokenizer.json")
            with gzip.open(os.path.join(folder, name, "tokenizer.json.gz")) as f, open(path, "wb") as g:
                g.write(f.read())
            for label, lines in (("Open-i", openi(a.data)), ("MTSamples", mtsamples(a.data))):
                text = os.path.join(tmp, "text")
                with open(text, "w", encoding="utf-8", newline="\n") as f:
                    f.write("".join(s + "\n" for s in lines))
                size = os.path.getsize(text) / 1e6
                cold, warm, word = ours(a.bench, path, text)
                h = [size / s for s in hf(path, lines)]
                try:
                    g = [size / s for s in giga(path, lines)]
                except Exception:  # a family that it has not
                    g = None
                print("| %s | %s | %.0f / %.0f | %.1f / %.1f | %s | %.0fx | %s | %.1f |" % (
                    name, label, cold, warm, h[0], h[1], "%.0f / %.0f" % tuple(g) if g else "-", warm / h[1],
                    "%.1fx" % (warm / g[1]) if g else "-", word), flush=True)


if __name__ == "__main__":
    main()
