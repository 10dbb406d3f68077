#!/usr/bin/env python3
"""Writes ../uniclass_table.c from ranges of code points (hex `first<TAB>last` lines).

    python gen_classes.py RANGES_FOLDER > ../uniclass_table.c

RANGES_FOLDER holds L, N, S, digit, bertpunct and bertdrop.ranges.tsv and bert_uncased_extra.map.tsv.gz (its
empty right sides are the marks), dumped from the reference tokenizer (Hugging Face
tokenizers 0.23.2); word.ranges.tsv stands beside this script (dump_word.py). The result is one sorted
list of runs, each `first code point << 8 | class bits`, and for each page of 256 code points below
U+20000 the run that its first code point is in.
"""
import gzip
import os
import sys

BITS = {"L": 1, "N": 2, "S": 4, "digit": 8, "word": 16, "bertpunct": 32, "bertdrop": 64}
MARK = 128
PAGES = 0x200


def ranges(path):
    with open(path, encoding="ascii") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                first, last = line.split()
                yield int(first, 16), int(last, 16)


def rows(values, form, per_line):
    for i in range(0, len(values), per_line):
        print("    " + ", ".join(form % v for v in values[i:i + per_line]) + ",")


def main():
    folder = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    bits = bytearray(0x110000)
    for name, bit in BITS.items():
        where = here if name == "word" else folder
        for first, last in ranges(os.path.join(where, name + ".ranges.tsv")):
            for cp in range(first, last + 1):
                bits[cp] |= bit
    with gzip.open(os.path.join(folder, "bert_uncased_extra.map.tsv.gz"), "rt", encoding="ascii") as f:
        for line in f:
            cp, to = line.rstrip("\n").split("\t")
            if not to:
                bits[int(cp, 16)] |= MARK
    runs = [cp << 8 | bits[cp] for cp in range(0x110000) if cp == 0 or bits[cp] != bits[cp - 1]]
    starts = [r >> 8 for r in runs]
    pages, at = [], 0
    for page in range(PAGES + 1):
        while at + 1 < len(starts) and starts[at + 1] <= page << 8:
            at += 1
        pages.append(at)
    print("/* Made by lib/text/unicode/gen_classes.py; do not edit. */")
    print('#include "text/uniclass.h"\n')
    print(f"const uint32_t uniclass_run_count = {len(runs)};")
    print("const uint32_t uniclass_runs[] = {")
    rows(runs, "0x%07x", 9)
    print("};")
    print(f"const uint16_t uniclass_pages[UNICLASS_PAGES + 1] = {{")
    rows(pages, "%d", 16)
    print("};")


if __name__ == "__main__":
    main()
