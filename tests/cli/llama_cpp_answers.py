#!/usr/bin/env python3
"""Greedy answers by llama.cpp beside those of a pairs file: PAIRS PROMPT LEAST GGUF [ADAPTER].

PROMPT has {findings} where a row's findings go. Prints how many characters in front are the same; exits 1 where that is less
than LEAST per cent of all.
"""
import json
import sys

import llama_cpp

pairs, prompt, least, gguf = sys.argv[1:5]
lora = sys.argv[5] if len(sys.argv) > 5 else None
# keys and values in f32: llama.cpp's default of 16 bits would be another model
m = llama_cpp.Llama(gguf, n_ctx=1024, n_threads=1, verbose=False, lora_path=lora, type_k=0, type_v=0)
prompt = open(prompt, encoding="utf-8").read()
same = total = 0
for row in map(json.loads, open(pairs, encoding="utf-8")):
    ids = m.tokenize(prompt.replace("{findings}", row["findings"]).encode(), add_bos=True, special=False)
    out = []
    for token in m.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0, reset=True):
        if token == m.token_eos() or len(out) == 24:
            break
        out.append(token)
    text = m.detokenize(out).decode("utf-8", errors="replace").strip()
    total += max(len(text), len(row["prediction"]))
    for a, b in zip(text, row["prediction"]):
        if a != b:
            break
        same += 1
name = gguf.rsplit("/", 1)[1] + (" with an adapter" if lora else "")
print(f"llama-cpp-python {llama_cpp.__version__}, {name}: {same} of {total} characters are the same")
sys.exit(total == 0 or 100 * same < float(least) * total)
