#!/usr/bin/env python3
"""Writes word.ranges.tsv: the code points that the reference's \\w holds.

Measured, not derived: an added token with single_word is matched next to every Unicode scalar value;
where the match is refused, the neighbour is a word character. Run with `tokenizers` from PyPI:
    python dump_word.py > word.ranges.tsv
"""
import tokenizers
from tokenizers import AddedToken, Tokenizer, models


def main():
    t = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    t.add_tokens([AddedToken("qz", single_word=True, normalized=False)])
    mark = t.token_to_id("qz")
    hits = []
    for cp in range(0x110000):
        if 0xD800 <= cp < 0xE000:
            continue
        after = mark not in t.encode("qz" + chr(cp), add_special_tokens=False).ids
        before = mark not in t.encode(chr(cp) + "qz", add_special_tokens=False).ids
        assert after == before, hex(cp)
        if after:
            hits.append(cp)
    print(f"# \\w as tokenizers {tokenizers.__version__} applies it to single_word tokens")
    first = last = None
    for cp in hits + [None]:
        if first is not None and cp == last + 1:
            last = cp
            continue
        if first is not None:
            print(f"{first:X}\t{last:X}")
        first = last = cp


if __name__ == "__main__":
    main()
