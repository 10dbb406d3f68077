#!/usr/bin/env python3
"""radmill's tokenizers beside Python's tokenizers and gigatoken, one run, same bytes, one thread, CPU time.

    python tok_speed.py BENCH_TOKENIZER SHARED_DATA [--only NAME]... [--runs 7]

BENCH_TOKENIZER is the built bench program; SHARED_DATA holds tokenizers/, openi/ and mtsamples/. Texts: every Open-i
findings and impression, every MTSamples radiology report, a line each, none repeated on purpose. cold: first pass of a new
object, which takes 4 ms, so best and median of several (radmill: a process each, right after the file was read; peers: a
new object each in this process, whose heap and code are warm already); warm: best of all later passes. Last column: 1 MB
of the letter a. Special tokens off, ids written. tokenizers in encode_batch_fast, gigatoken
(which has no Unigram and no WordPiece) in encode_batch of bytes.
"""
import argparse
import csv
import gzip
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version

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


def rounds(make, n, runs):
    """First passes of `runs` new objects, and the best of the n - 1 passes after each."""
    first, later = [], []
    for _ in range(runs):
        use = make()
        for i in range(n):
            start = time.process_time()
            use()
            (later if i else first).append(time.process_time() - start)
    return first, min(later)


def ours(bench, path, text, runs):
    """Each run is a process of its own."""
    cold, warm, word = [], [], []
    for _ in range(runs):
        out = subprocess.run([bench, path, text], check=True, capture_output=True, text=True).stdout
        get = lambda name: float(re.search(name + r"\s+([\d.]+) MB/s", out).group(1))  # noqa: E731
        cold.append(get("cold cache"))
        warm.append(get("warm, best of 5"))
        word.append(get("1 MB of a, one word"))
    return cold, max(warm), word


def hf(path, lines, runs):
    def make():
        t = tokenizers.Tokenizer.from_file(path)
        t.encode_special_tokens = True
        return lambda: t.encode_batch_fast(lines, add_special_tokens=False)
    return rounds(make, 2, runs)


def giga(path, lines, runs):
    rows = [s.encode() for s in lines]

    def make():
        t = gigatoken.Tokenizer(path)
        return lambda: t.encode_batch(rows, parallel=False)
    return rounds(make, 6, runs)


def best_median(v):
    return "%.0f (%.0f)" % (max(v), statistics.median(v)) if max(v) >= 20 else "%.1f (%.1f)" % (max(v), statistics.median(v))


def row(name, label, path, lines, bench, runs, tmp):
    text = os.path.join(tmp, "text")
    with open(text, "w", encoding="utf-8", newline="\n") as f:
        f.write("".join(s + "\n" for s in lines))
    size = os.path.getsize(text) / 1e6
    cold, warm, word = ours(bench, path, text, runs)
    h_cold, h_warm = hf(path, lines, min(runs, 3))
    try:
        g_cold, g_warm = giga(path, lines, min(runs, 3))
        g = "%s / %.0f" % (best_median([size / s for s in g_cold]), size / g_warm)
        ratio = "%.1fx" % (warm / (size / g_warm))
    except Exception:  # a family that it has not
        g = ratio = "-"
    print("| %s | %s | %s / %.0f | %s / %.1f | %s | %.0fx | %s | %s |" % (
        name, label, best_median(cold), warm, best_median([size / s for s in h_cold]), size / h_warm, g,
        warm / (size / h_warm), ratio, best_median(word)), flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("bench")
    ap.add_argument("data")
    ap.add_argument("--only", action="append", default=[])
    ap.add_argument("--runs", type=int, default=7)
    a = ap.parse_args()
    print("MB/s, cold best (median) of %d fresh processes / warm; peers: of %d new objects; tokenizers %s, gigatoken %s; "
          "ratios of warm" % (a.runs, min(a.runs, 3), tokenizers.__version__, version("gigatoken")))
    folder = os.path.join(a.data, "tokenizers")
    names = a.only or sorted(n for n in os.listdir(folder) if os.path.exists(os.path.join(folder, n, "tokenizer.json.gz")))
    texts = (("Open-i", openi(a.data)), ("MTSamples", mtsamples(a.data)))
    with tempfile.TemporaryDirectory() as tmp:
        for name in names:
            path = os.path.join(tmp, "tokenizer.json")
            with gzip.open(os.path.join(folder, name, "tokenizer.json.gz")) as f, open(path, "wb") as g:
                g.write(f.read())
            for label, lines in texts:
                row(name, label, path, lines, a.bench, a.runs, tmp)


if __name__ == "__main__":
    main()
