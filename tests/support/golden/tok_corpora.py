#!/usr/bin/env python3
"""Writes the seeds of the tokenizer fuzz targets: python tok_corpora.py tests/text"""
import base64
import gzip
import json
import os
import struct
import sys

root = sys.argv[1]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def put(path, data):
    with open(os.path.join(root, path), "wb") as f:
        f.write(data)


def tok(**changes):
    vocab = ["<e>", "t", "h", "e", "\u0120", "1", '"', ":", "th", "the", "\u0120the", "{", "}", ","]
    j = {"version": "1.0", "truncation": None, "padding": None,
         "added_tokens": [{"id": 0, "content": "<e>", "single_word": False, "lstrip": False, "rstrip": False,
                           "normalized": False, "special": True}],
         "normalizer": None, "pre_tokenizer": BL, "post_processor": None, "decoder": BL,
         "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                   "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                   "vocab": {s: i for i, s in enumerate(vocab)},
                   "merges": ["t h", "th e", "\u0120 the"]}}
    for k, v in changes.items():
        if k in j["model"] or k == "ignore_merges":
            j["model"][k] = v
        else:
            j[k] = v
    return json.dumps(j, ensure_ascii=False).encode()


put("corpus_tok_json/plain", tok())
put("corpus_tok_json/pairs", tok(merges=[["t", "h"], ["th", "e"]], unk_token="<e>", fuse_unk=True))
put("corpus_tok_json/digits", tok(pre_tokenizer={"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True}, BL]}))
put("corpus_tok_json/llama3", tok(ignore_merges=True, pre_tokenizer={"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False},
    dict(BL, use_regex=False)]}))
put("corpus_tok_json/template", tok(post_processor={"type": "Sequence", "processors": [BL, {
    "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<e>", "type_id": 0}},
                                             {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<e>": {"id": "<e>", "ids": [0], "tokens": ["<e>"]}}}]}))
put("corpus_tok_json/roberta", tok(post_processor={"type": "RobertaProcessing", "sep": ["<e>", 0],
                                                   "cls": ["<e>", 0]},
                                   pre_tokenizer=dict(BL, add_prefix_space=True),
                                   added_tokens=[{"id": 20, "content": " {", "single_word": True, "lstrip": True,
                                                  "rstrip": True, "normalized": True, "special": False}]))


def s(text):
    b = text.encode()
    return struct.pack("<Q", len(b)) + b


def key(name, kind, value):
    return s(name) + struct.pack("<I", kind) + value


def strings(items):
    return struct.pack("<IQ", 8, len(items)) + b"".join(map(s, items))


def gguf(pre, *more):
    tokens = ["<e>", "t", "h", "e", "\u0120", "1", "th", "the", "\u0120the", "G"]
    keys = [key("general.name", 8, s("x")), key("x.y", 9, struct.pack("<IQ3f", 6, 3, 1, 2, 3)),
            key("tokenizer.ggml.model", 8, s("gpt2")), key("tokenizer.ggml.pre", 8, s(pre)),
            key("tokenizer.ggml.tokens", 9, strings(tokens)),
            key("tokenizer.ggml.token_type", 9, struct.pack("<IQ10i", 5, 10, 3, *[1] * 9)),
            key("tokenizer.ggml.merges", 9, strings(["t h", "th e", "\u0120 the"])), *more]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys)


put("corpus_tok_gguf/gpt2", gguf("gpt-2"))
put("corpus_tok_gguf/smollm", gguf("smollm", key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 0)),
                                   key("tokenizer.chat_template", 8, s("{{ x }}"))))
put("corpus_tok_gguf/llama3", gguf("llama-bpe", key("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 0)),
                                   key("tokenizer.ggml.add_eos_token", 7, b"\0")))

put("corpus_tok_text/report", "1. The patient's heart isn't  enlarged.\r\n2. No PTX; 12 x 7 mm, \u22653 [**1-2**] ___.\n".encode())
put("corpus_tok_text/special", b"a<|im_end|>b <|im_end|><|im_\n\n\t  x\0y XXXX <DATE>")
put("corpus_tok_text/bytes", bytes(range(256)))
put("corpus_tok_text/unicode", "\u00e9\u0301 \u4e2d\u6587 \u0663\u00b2\U00011de0 \u2003\u2028\u0085'\u017f \U0001f600".encode())
put("corpus_tok_text/long", b"thethethe" * 40 + b" " * 70 + b"1" * 40 + b"." * 70)
put("corpus_tok_text/header", b"FINAL REPORT\n EXAMINATION: CHEST\n INDICATION:  x\n ______________\n - a\n 6. b:")

# ---- the other engines
META = "\u2581"
SPECIALS = ["<unk>", "<s>", "</s>"]
SP_PIECES = [META, "t", "h", "e", "s", "1", ".", ",", "\u00e9", "\u4e2d", META + "t", "th", "the", META + "th", META + "the",
             "he", META * 2, META * 4, "..", ".,", "e\u00e9", META + ".", "es"]


def added(special=True, normalized=False):
    return [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized,
             "special": special} for i, c in enumerate(SPECIALS)]


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": META, "prepend_scheme": scheme, "split": split}


SP_DECODER = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": META}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
LEGACY = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": META},
                                              {"type": "Replace", "pattern": {"String": " "}, "content": META}]}


def sp(bytes_too=True, **changes):
    vocab = SPECIALS + (["<0x%02X>" % b for b in range(256)] if bytes_too else []) + SP_PIECES
    merges = [a + " " + b for a, b in (
        (META, "t"), ("t", "h"), ("th", "e"), (META + "t", "h"), (META, "the"), (META + "th", "e"), ("h", "e"), (".", "."),
        (".", ","), ("e", "\u00e9"), (META, "."), ("e", "s"), (META, META), (META * 2, META * 2))]
    j = {"version": "1.0", "added_tokens": added(), "normalizer": LEGACY, "pre_tokenizer": None,
         "post_processor": None, "decoder": SP_DECODER,
         "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": bytes_too,
                   "vocab": {s: i for i, s in enumerate(vocab)}, "merges": merges}}
    j.update(changes)
    return json.dumps(j, ensure_ascii=False).encode()


def double_array(table):
    """Darts' layout: a node's children lie at base ^ label, its value at base."""
    pool, values = b"", {}
    for k, v in table.items():
        values[k.encode()] = len(pool)
        pool += v.encode() + b"\0"
    units, used = {0: 0}, {0}

    def place(prefix, index):
        labels = sorted({k[len(prefix)] for k in values if k.startswith(prefix) and len(k) > len(prefix)})
        want = labels + ([0] if prefix in values else [])
        base = next(b for b in range(1, 1 << 16) if all(b ^ c not in used for c in want))
        used.update(base ^ c for c in want)
        units[index] |= (index ^ base) << 10 | (256 if prefix in values else 0)
        if prefix in values:
            units[base] = values[prefix] | 1 << 31
        for c in labels:
            units[base ^ c] = c
            place(prefix + bytes([c]), base ^ c)

    place(b"", 0)
    array = [units.get(i, 0x80000000) for i in range(max(units) + 1)]
    return struct.pack("<I", 4 * len(array)) + struct.pack("<%dI" % len(array), *array) + pool


CHARSMAP = double_array({"\t": " ", "\n": " ", "\ufb01": "fi", "e\u0301": "\u00e9", "\u200b": " ", "\u00b9": "1", "\x01": "",
                         "\uff1c": "<", "\u3000": " "})
UNI_PIECES = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), (META, -2.0), ("t", -3.0), ("h", -3.5), ("e", -3.0), ("th", -4.0),
              ("the", -5.0), (META + "the", -4.5), (META + "t", -4.0), ("\u00e9", -6.0), ("1", -4.0), (".", -3.0), ("fi", -5.0)]


def unigram(**changes):
    split = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always", True)]}
    j = {"version": "1.0", "added_tokens": added(),
         "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(CHARSMAP).decode()},
         "pre_tokenizer": split, "post_processor": None, "decoder": metaspace("always", True),
         "model": {"type": "Unigram", "unk_id": 0, "vocab": [list(p) for p in UNI_PIECES]}}
    j.update(changes)
    return json.dumps(j, ensure_ascii=False).encode()


def bert(lower, **changes):
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "t", "h", "e", "the", "##e", "##he", "##s", "1", ".", "'", "-", "\u4e2d", "T",
             "##\u00e9"]
    j = {"version": "1.0",
         "added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False,
                           "normalized": False, "special": True} for i, c in enumerate(vocab[:4])],
         "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                        "strip_accents": None, "lowercase": lower},
         "pre_tokenizer": {"type": "BertPreTokenizer"},
         "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
         "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
         "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": {s: i for i, s in enumerate(vocab)}}}
    j.update(changes)
    return json.dumps(j, ensure_ascii=False).encode()


put("corpus_tok_json/sp-legacy", sp())
put("corpus_tok_json/sp-normalized", sp(added_tokens=added(normalized=True)))
put("corpus_tok_json/sp-first", sp(normalizer=None, pre_tokenizer=metaspace("first", False)))
put("corpus_tok_json/sp-split", sp(bytes_too=False, normalizer=None, pre_tokenizer=metaspace("always", True)))
put("corpus_tok_json/unigram", unigram())
put("corpus_tok_json/bert-uncased", bert(True))
put("corpus_tok_json/bert-cased", bert(False))
put("corpus_tok_json/nfc", tok(normalizer={"type": "NFC"}, added_tokens=[
    {"id": 20, "content": "  ", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True,
     "special": False}]))


# ---- SentencePiece, vocabulary files, gzip: the first byte says which
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def model(pieces, kind, charsmap=b"", remove=0):
    out = b"".join(field(1, field(1, p.encode()) + varint(21) + struct.pack("<f", s) + varint(24) + varint(t))
                   for p, s, t in pieces)
    out += field(2, b"".join(varint(n << 3) + varint(v) for n, v in ((3, kind), (40, 0), (41, 1), (42, 2))))
    return out + field(3, field(2, charsmap) + varint(24) + varint(1) + varint(32) + varint(remove))


BPE = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)] + [("<0x%02X>" % b, 0, 6) for b in range(256)] + \
      [(p, -i, 1) for i, p in enumerate(SP_PIECES)]
put("corpus_tok_files/sp-bpe", b"s" + model(BPE + [("[x]", 0, 4)], 2))
put("corpus_tok_files/sp-unigram", b"s" + model([(p, s, 2 if i == 0 else 3 if i < 3 else 1)
                                                for i, (p, s) in enumerate(UNI_PIECES)], 1, CHARSMAP, 1))
put("corpus_tok_files/merges", b"m" + json.dumps({"<|endoftext|>": 0, "t": 1, "h": 2, "e": 3, "th": 4, "the": 5}).encode()
    + b"\0#version: 0.2\nt h\nth e\n")
put("corpus_tok_files/vocab", b"v[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nt\nthe\n##s\n.\n")
put("corpus_tok_files/gzip", b"z" + gzip.compress(b"thethethe" * 9, mtime=0))


def scored(kind, pieces, *more):
    keys = [key("tokenizer.ggml.model", 8, s(kind)), key("tokenizer.ggml.tokens", 9, strings([p for p, _, _ in pieces])),
            key("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, len(pieces)) +
                struct.pack("<%df" % len(pieces), *(p[1] for p in pieces))),
            key("tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, len(pieces)) +
                struct.pack("<%di" % len(pieces), *(p[2] for p in pieces))),
            key("tokenizer.ggml.unknown_token_id", 4, struct.pack("<I", 0)),
            key("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 1)),
            key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 2)), *more]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys)


put("corpus_tok_gguf/llama", scored("llama", BPE))
put("corpus_tok_gguf/t5", scored("t5", [(p, v, 2 if i == 0 else 3 if i < 3 else 1) for i, (p, v) in enumerate(UNI_PIECES)],
                                 key("tokenizer.ggml.precompiled_charsmap", 9,
                                     struct.pack("<IQ", 0, len(CHARSMAP)) + CHARSMAP)))

put("corpus_tok_engines/report", "The the  hes. th1e, the,.the\r\n\tthe\n\nthe ___ the-the 'the'".encode())
put("corpus_tok_engines/marks", "e\u0301 e \u0301the\u0301 \u0600the the\u0600 the \ufb01\u0301 \r\n the\u3000the \u4e2d\u6587the\uff1cs>".encode())
put("corpus_tok_engines/special", "<s>the</s> [CLS]the[SEP]<unk> \u2581the\u2581\u2581<0x0A> </s>".encode())
put("corpus_tok_engines/bytes", bytes(range(256)))
put("corpus_tok_engines/blanks", b" " * 40 + b"the" + b" " * 64 + b"the\n" * 20 + b"." * 70 + b"1" * 66)
