#!/usr/bin/env python3
"""Writes ../unifold_table.c: what an uncased BertNormalizer does to a character that it keeps.

    python gen_fold.py RANGES_FOLDER > ../unifold_table.c

RANGES_FOLDER holds bert_uncased_extra.map.tsv.gz, dumped from the reference tokenizer (Hugging Face tokenizers
0.23.2). Runs {first, count, step, target of the first}, sorted; Hangul syllables are left out (they decompose
by arithmetic); characters that become two or three come apart. The blanks around ideographs are put before and so left
out here.
"""
import gzip
import os
import sys


def read(folder):
    out = {}
    with gzip.open(os.path.join(folder, "bert_uncased_extra.map.tsv.gz"), "rt", encoding="ascii") as f:
        for line in f:
            cp, to = line.rstrip("\n").split("\t")
            cp, to = int(cp, 16), [int(x, 16) for x in to.split()]
            if 0xAC00 <= cp <= 0xD7A3 or not to:
                continue
            if len(to) == 3 and to[0] == to[2] == 0x20:
                to = [to[1]]
            assert len(to) <= 3, hex(cp)
            out[cp] = to
    return out


def runs_of(single):
    used, out = set(), []
    for cp in sorted(single):
        if cp in used:
            continue
        best = (0, 1)
        for step in (1, 2):
            n = 1
            while single.get(cp + n * step) == single[cp] + n * step:
                n += 1
            best = max(best, (n, -step))
        n, step = best[0], -best[1]
        # runs must not overlap: a step-2 run ends where another character in between has its own entry
        if step == 2:
            k = 1
            while k < n and cp + 2 * k - 1 not in single:
                k += 1
            n = k
        out.append((cp, n, step if n > 1 else 1, single[cp]))
        used.update(cp + k * step for k in range(n))
    return out


def main():
    table = read(sys.argv[1])
    runs = runs_of({cp: to[0] for cp, to in table.items() if len(to) == 1})
    pairs = sorted((cp, to) for cp, to in table.items() if len(to) > 1)
    print("/* Made by lib/text/unicode/gen_fold.py; do not edit. */")
    print('#include "text/unifold.h"\n')
    print(f"const uint32_t unifold_run_count = {len(runs)};")
    print("const struct unifold_run unifold_runs[] = {")
    rows = ["{0x%X, 0x%X, %d, %d}" % (c, t, n, s) for c, n, s, t in runs]
    line = "   "
    for r in rows:
        if len(line) + len(r) + 2 > 98:
            print(line)
            line = "   "
        line += " " + r + ","
    print(line)
    print("};")
    print(f"const uint32_t unifold_many_count = {len(pairs)};")
    print("const uint32_t unifold_many[][4] = {")
    line = "   "
    for c, to in pairs:
        r = "{0x%X, 0x%X, 0x%X, 0x%X}," % (c, *(to + [0])[:3])
        if len(line) + len(r) + 1 > 98:
            print(line)
            line = "   "
        line += " " + r
    print(line)
    print("};")


if __name__ == "__main__":
    main()
