#!/usr/bin/env python3
"""BERTScore of every pair of the files, by radmill and by the Python package bert-score.

Usage: bertscore_differential.py RADMILL ENCODER LAYER PAIRS.jsonl...   (fields prediction or generated, and reference)
Prints the largest difference; exit code 1 above 1e-4.
"""
import json
import os
import subprocess
import sys
import tempfile

import bert_score
from transformers import AutoTokenizer


def pairs_of(files):
    """Distinct pairs in which neither text is empty: bert-score warns and gives those 0."""
    rows = []
    for file in files:
        with open(file, encoding="utf-8") as f:
            for r in map(json.loads, f):
                p, q = r.get("prediction") or r.get("generated") or r.get("output"), r.get("reference")
                if isinstance(p, str) and isinstance(q, str) and p.strip() and q.strip():
                    rows.append((p, q))
    return list(dict.fromkeys(rows))


def ours(radmill, encoder, layer, rows, folder):
    pairs, out = os.path.join(folder, "pairs.jsonl"), os.path.join(folder, "rows.jsonl")
    with open(pairs, "w", encoding="utf-8") as f:
        for i, (p, q) in enumerate(rows):
            f.write(json.dumps({"id": str(i), "prediction": p, "reference": q}) + "\n")
    subprocess.run([radmill, "evaluate", "--pairs", pairs, "--metrics", "bertscore", "--per-pair", out,
                    "--set", "evaluate.encoders.bertscore=" + encoder, "--set", "evaluate.bertscore.layer=" + layer,
                    "-o", os.path.join(folder, "report.json")], check=True, capture_output=True)
    with open(out, encoding="utf-8") as f:
        return [json.loads(line)["bertscore"] for line in f]


def main():
    radmill, encoder, layer, files = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    rows = pairs_of(files)
    with tempfile.TemporaryDirectory() as folder:
        got = ours(radmill, encoder, layer, rows, folder)
    # bert-score calls this for an empty text; transformers 5 has it no more
    type(AutoTokenizer.from_pretrained(encoder)).build_inputs_with_special_tokens = (
        lambda t, ids: [t.cls_token_id] + ids + [t.sep_token_id])
    scorer = bert_score.BERTScorer(model_type=encoder, num_layers=int(layer), batch_size=64)
    scorer._tokenizer.model_max_length = 512
    want = scorer.score([p for p, _ in rows], [q for _, q in rows])
    worst = max(abs(g[k] - w[i].item()) for i, g in enumerate(got) for k, w in zip("prf", want))
    print(f"bert-score {bert_score.__version__}: {len(rows)} pairs, largest difference {worst:.2g}")
    return 0 if worst <= 1e-4 else 1


sys.exit(main())
