#!/usr/bin/env python3
"""Writes the seeds of the tokenizer fuzz targets: python tok_corpora.py tests/text"""
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
