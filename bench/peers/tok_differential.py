#!/usr/bin/env python3
"""Every text below a folder through `radmill tokenize` and through the Python package tokenizers: no difference.

    python tok_differential.py RADMILL TOKENIZERS_FOLDER TEXTS_FOLDER [--only NAME]... [--limit-mb N] [--unicode]

RADMILL is the built program; TOKENIZERS_FOLDER holds <name>/tokenizer.json.gz; below TEXTS_FOLDER all archives and
gzip files (but tokenizers themselves) are unpacked (bsdtar), decoded as UTF-8 with errors="replace", and cut into lines; JSON lines give their
strings too. Each distinct text is encoded with the template, without it, and with special tokens off, and the
ids of the first are decoded again with special tokens kept. Prints one line a tokenizer; exits 1 on a difference.
radmill does all of this for every text. The reference encodes each text once, with the template; without it means
without the template's ids in front and behind (for every tenth text it is asked, which must agree), and special tokens
off means the same again where a text spells no special token (for the others, and every tenth, it is asked).
Texts that spell an added token of a Unigram model are left out of the plain comparison, which the reference
has not got: there its best path finds special pieces in ordinary text. With --unicode the texts are made up instead:
every code point below U+32000 among its neighbours and beside marks, and random runs of letters, marks and blanks.
"""
import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import tokenizers

MAX_TEXT = 1 << 16
ARCHIVES = (".zip", ".7z", ".tgz", ".tar.gz", ".tar.xz", ".tar.zst")


def contents(path):
    if path.endswith(ARCHIVES):
        return subprocess.run(["bsdtar", "-xOf", path], check=True, capture_output=True).stdout
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        return f.read()


def strings(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for k, v in node.items():
            yield k
            yield from strings(v)
    elif isinstance(node, list):
        for v in node:
            yield from strings(v)


def texts_of(path):
    text = contents(path).decode("utf-8", errors="replace")
    for line in text.split("\n"):
        yield line + "\n"
        if line.startswith(("{", "[")):
            try:
                yield from strings(json.loads(line))
            except ValueError:
                pass


def collect(folder, limit):
    seen, size = {}, 0
    for base, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.endswith((".safetensors", ".model.gz", "tokenizer.json.gz")):
                continue
            for text in texts_of(os.path.join(base, name)):
                for at in range(0, max(len(text), 1), MAX_TEXT):
                    part = text[at:at + MAX_TEXT]
                    if part not in seen:
                        seen[part] = None
                        size += len(part.encode("utf-8", errors="surrogatepass"))
            if limit and size > limit:
                return list(seen), size
    return list(seen), size


def made_up():
    rng = random.Random(5)
    cps = [chr(c) for c in list(range(1, 0xD800)) + list(range(0xE000, 0x32000)) + list(range(0xE0000, 0xE0200))]
    out = []
    for i in range(0, len(cps), 24):
        b = cps[i:i + 24]
        out += [" ".join(b), "".join(b[:8]) + "a" + "\u0301".join(b[8:16]), ".".join(b[16:])]
    marks = [chr(c) for c in list(range(0x300, 0x340)) + [0x200D, 0x600, 0x3099, 0x1D165, 0x302E, 0x20DD, 0xFE0F, 0x93F]]
    base = list("aeiouAEn .,\n\t") + cps[:3000]
    for _ in range(6000):
        out.append("".join(rng.choice(marks if rng.random() < 0.3 else base) for _ in range(rng.randint(1, 30))))
    return out, sum(len(s.encode()) for s in out)


def ours(radmill, path, mode, rows):
    with tempfile.TemporaryFile() as f:
        for row in rows:
            f.write(json.dumps(row).encode() + b"\n")
        f.seek(0)
        cmd = [radmill, "tokenize", path] + (["--decode"] if mode == "decode" else ["--mode", mode])
        out = subprocess.run(cmd, stdin=f, check=True, capture_output=True).stdout
    return [json.loads(line) for line in out.split(b"\n") if line]


def compare(name, mode, texts, got, want):
    bad = [i for i in range(len(want)) if got[i] != want[i]]
    if len(got) != len(want) or bad:
        i = bad[0] if bad else 0
        print(f"{name}, {mode}: {len(bad)} of {len(want)} differ; the first: {texts[i]!r:.200}\n  ours {got[i]!r:.300}\n"
              f"  reference {want[i]!r:.300}")
    return len(bad)


def references(t, texts, unigram):
    """Ids of each text in the three modes; None: left out."""
    t.encode_special_tokens = False
    full = [e.ids for e in t.encode_batch_fast(texts, add_special_tokens=True)]
    bare = t.encode("", add_special_tokens=True).ids
    with_a, a = t.encode("a", add_special_tokens=True).ids, t.encode("a", add_special_tokens=False).ids
    front = next(i for i in range(len(with_a)) if with_a[i:i + len(a)] == a)
    back = len(with_a) - front - len(a)
    assert len(bare) == front + back
    raw = [ids[front:len(ids) - back] for ids in full]
    asked = list(range(0, len(texts), 10))
    for i, e in zip(asked, t.encode_batch_fast([texts[i] for i in asked], add_special_tokens=False)):
        assert e.ids == raw[i], i
    added = t.get_added_tokens_decoder().values()
    special = re.compile("|".join(re.escape(x.content) for x in added if x.special) or "(?!)", re.I)
    asked = [i for i in range(len(texts)) if i % 10 == 0 or special.search(texts[i])]
    t.encode_special_tokens = True
    plain = list(raw)
    for i, e in zip(asked, t.encode_batch_fast([texts[i] for i in asked], add_special_tokens=False)):
        plain[i] = e.ids
    t.encode_special_tokens = False
    if unigram:
        for i in asked:
            if any(x.content in texts[i] for x in added):
                plain[i] = None
    return {"ids": full, "raw": raw, "plain": plain}


def run(a, name, texts):
    path = os.path.join(a.tokenizers, name, "tokenizer.json.gz")
    with gzip.open(path, "rt", encoding="utf-8") as f:
        source = f.read()
    t = tokenizers.Tokenizer.from_str(source)
    rows, bad = [{"text": s} for s in texts], 0
    for mode, want in references(t, texts, "unk_id" in json.loads(source)["model"]).items():
        got = [r["ids"] if w is not None else None for r, w in zip(ours(a.radmill, path, mode, rows), want, strict=True)]
        bad += compare(name, mode, texts, got, want)
        if mode == "ids":
            back = [r["text"] for r in ours(a.radmill, path, "decode", [{"ids": ids} for ids in want])]
            bad += compare(name, "decode", texts, back, t.decode_batch(want, skip_special_tokens=False))
    print(f"{name}: {len(texts)} texts, ids, raw, plain and decode: {bad} differences", flush=True)
    return bad


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("radmill")
    ap.add_argument("tokenizers")
    ap.add_argument("texts")
    ap.add_argument("--only", action="append", default=[])
    ap.add_argument("--limit-mb", type=float, default=0)
    ap.add_argument("--unicode", action="store_true")
    a = ap.parse_args()
    texts, size = made_up() if a.unicode else collect(a.texts, int(a.limit_mb * 1e6))
    texts = [s for s in texts if not any(0xD800 <= ord(c) < 0xE000 for c in s)]
    print(f"tokenizers {tokenizers.__version__}; {len(texts)} distinct texts, {size / 1e6:.1f} MB", flush=True)
    names = a.only or sorted(n for n in os.listdir(a.tokenizers)
                             if os.path.exists(os.path.join(a.tokenizers, n, "tokenizer.json.gz")))
    return 1 if sum(run(a, n, texts) for n in names) else 0


if __name__ == "__main__":
    sys.exit(main())
