#!/usr/bin/env python3
"""What the server writes is what `radmill generate` writes: the same prompt, weights and adapter, for a decoder, an
encoder-decoder, and a base in int8 and NF4; alone and among others, whole and streamed.

Usage: answers.py RADMILL
"""
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

import kit
from kit import check, serving


def run(program, *arguments):
    r = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300 * kit.SLOW,
                       env=dict(os.environ, OMP_NUM_THREADS="1"))
    check(r.returncode == 0, f"{arguments[0]}: {r.stderr[-1500:]}")


def generated(program, tmp, base, model, adapter):
    """The rows of a pairs file over a small corpus's test reports."""
    config = os.path.join(tmp, f"{os.path.basename(base)}-{model.get('quant', 'none')}.yaml")
    name = config[:-5]
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"corpus": {"dir": os.path.join(tmp, "corpus"), "split_dev": 0.1, "split_test": 0.4, "sources": [
                       {"name": "mimic", "format": "mimic-cxr", "path": os.path.join(tmp, "data", "mimic-cxr-reports.zip"),
                        "split": "hash", "sections": "own"}]},
                   "shards": {"dir": name + "-shards", "input": ["clinical", "findings"]},
                   "model": {"base": base, "name": "base", "device": "cpu", "dtype": "f32", **model},
                   "generate": {"dir": name + "-pairs", "adapter": adapter, "split": "test", "max_new_tokens": 24, "limit": 8}}, f)
    if not os.path.exists(os.path.join(tmp, "corpus")):
        run(program, "ingest", config)
    run(program, "shard", config)
    run(program, "generate", config)
    with open(os.path.join(name + "-pairs", "pairs.jsonl"), encoding="utf-8") as f:
        return [json.loads(x) for x in f]


def streamed(s, body):
    text = ""
    for line in s.ask("POST", "/radmill/impression", {**body, "stream": True})[2].split("\n"):
        if line.startswith("data: {"):
            v = json.loads(line[6:])
            text += v["text"] if v["type"] == "delta" else ""
    return text


def same(program, tmp, base, model, what):
    adapter = os.path.join(tmp, os.path.basename(base) + "-adapter")
    if not os.path.exists(adapter):
        kit.write_adapter(adapter, base, 3)
    rows = generated(program, tmp, base, model, adapter)
    check(len(rows) == 8 and len({r["prediction"] for r in rows}) > 4, f"{what}: answers that differ: {[r['prediction'] for r in rows]}")
    with serving(program, base=base, adapters=[{"name": "a", "path": adapter}], sections={"model": model}) as s:
        def ask(row):
            body = {"findings": row["findings"], "clinical": row["clinical"], "adapters": ["a"], "max_tokens": 24}
            status, _, text = s.ask("POST", "/radmill/impression", body)
            check(status == 200, f"{what}: {status} {text[:300]}")
            return json.loads(text)["results"][0]["impression"], streamed(s, body)

        alone = ask(rows[0])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(ask, rows))
        check(alone == got[0], f"{what}: alone and among others")
        for row, (text, stream) in zip(rows, got):
            check(text == stream, f"{what}: streamed and whole differ")
            check(text.strip() == row["prediction"].strip(), f"{what}: generate wrote {row['prediction']!r}, serve {text!r}")
        status, _, text = s.ask("POST", "/v1/completions", {"model": "a", "prompt": "Small effusion.", "max_tokens": 4, "logprobs": 1})
        check(status == 200 and json.loads(text)["usage"]["completion_tokens"] <= 4, f"{what}: completions: {text[:300]}")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        run(program, "synth", "-o", os.path.join(tmp, "data"), "--reports", "60", "--dump-reports", "0", "--seed", "3")
        decoder, t5 = os.path.join(tmp, "decoder"), os.path.join(tmp, "t5")
        run(program, "synth", "--model", decoder)
        run(program, "synth", "--model", t5, "--arch", "t5")
        same(program, tmp, decoder, {}, "a decoder")
        same(program, tmp, decoder, {"quant": "int8"}, "an int8 base")
        same(program, tmp, decoder, {"quant": "nf4"}, "an NF4 base")
        same(program, tmp, t5, {}, "an encoder-decoder")
    print("answers: ok")


main()
