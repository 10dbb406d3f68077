#!/usr/bin/env python3
"""huggingface/tokenizers on the bytes that bench_tokenizer wrote: hf_tokenizers.py TOKENIZER.json TEXT

One thread, CPU time, one call a report, then one batch call; best of three.
"""
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402


def main():
    t = tokenizers.Tokenizer.from_file(sys.argv[1])
    t.encode_special_tokens = True
    with open(sys.argv[2], encoding="utf-8", newline="\n") as f:
        lines = f.read().split("\n")
    size = sum(len(s.encode()) + 1 for s in lines)

    def single():
        return sum(len(t.encode(s, add_special_tokens=False).ids) for s in lines)

    def batch():
        return sum(len(x.ids) for x in t.encode_batch_fast(lines, add_special_tokens=False))

    for name, run in (("one call a report", single), ("one batch", batch)):
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            tokens = run()
            best = min(best, time.process_time() - start)
        print(f"tokenizers {tokenizers.__version__}, {name}: {size / 1e6 / best:.2f} MB/s, {tokens} tokens")


if __name__ == "__main__":
    main()
