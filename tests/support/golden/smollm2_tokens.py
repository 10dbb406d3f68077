#!/usr/bin/env python3
"""Golden encodings of SmolLM2's vocabulary by huggingface/tokenizers.

    python smollm2_tokens.py MODEL.gguf > tests/text/golden/smollm2.jsonl

The tokenizer is put together from the GGUF's tokens and merges; the texts are made up here. First
line: what made the file. Rows: text, raw (special-token text recognised), plain (not recognised; only
where it differs), dec (decode(raw), special tokens left out).
"""
import json
import random
import sys

import gguf
import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


def build(path):
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    t = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(tokens)},
                             merges=[tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, normalized=False) for s, k in zip(tokens, types) if k == 3])
    return t


def texts():
    report = [
        "Lungs are clear. No pleural effusion or pneumothorax.",
        "Heart size is within normal limits, CTR approximately 0.48.",
        "Comparison made to prior study dated ___.",
        "1. Interval improvement.\n2. Small left-sided effusion (stable).\n3. No PTX.",
        "T2 hyperintensity at L4-L5 measuring 12 x 7 x 3 mm, SUVmax 10.25.",
        " FINDINGS:  There is a 1.5-cm nodule in the RUL; follow-up in 6-12 months.",
        "IMPRESSION:\n\n \n Stable.\t\tNo change.   ",
        "The patient's heart isn't enlarged; we've reviewed, they'll call, I'm sure he'd agree.",
        "THE PATIENT'S HEART ISN'T ENLARGED; WE'VE REVIEWED, THEY'LL CALL, I'M SURE HE'D.",
        "It\u2019s \u201cnormal\u201d \u2013 no \u22653 mm \u00b1 2 \u00b5m \u00d7 \u00bd \u00b2 \u00b0C",
        "[**2112-4-18**] [**Hospital 18**] XXXX <DATE> ____",
        "a 1  2   3 b\n4 \n 5\t6",
    ]
    special = [
        "before <|im_end|> after", "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
        "<|endoftext|>", "<|im_end|><|im_end|>", " <|im_end|> <|im_end", "<|im_<|im_end|>end|>",
        "<repo_name><reponame><file_sep>", "<|im_end|>\u0000<|im_start|>",
    ]
    edge = [
        "", " ", "  ", "\n", "\r\n", "\r\n\r\n", "\t", "a", " a", "  a", "a ", "a  ", "a\n", "a \n b",
        "\u00a0a \u00a0 b\u3000\u3000c", "\u2028x\u2029", "\u200bzero\ufeffwidth", "\u0085x \u0085",
        "\u001c\u001d\u001e\u001f x", "".join(map(chr, range(1, 32))), "\u007f\u0080\u009f\u00ad",
        "\u0120literal \u010a map", "e\u0301 \u00e9 \u1e0b\u0323", "\u0627\u0644\u0639 \u0661\u0662\u0663",
        "\u4e2d\u6587\u5831\u544a 12\u6b73", "\uc5d1\uc2a4\ub808\uc774", "\U0001f600\U0001f468\u200d\u2695\ufe0f ok",
        "\U00040000 \U00080000 \U000fffff \U0010ffff", "\u2167 \u00bc \u0be7 \u2460 \U0001d7ce \U00011de0",
        "'s 't 're 've 'm 'll 'd 'S 'x ''s '", "don''t 'tis o'clock's'", "...!!!???---===", "a,b;c:d/e\\f|g",
        "(((nested [brackets] {and} <angles>)))", "x" * 40, "ab" * 60, "A" * 33, "=" * 100, " " * 70,
        "\n" * 50, "0" * 17, "3.14159e-10", "pneumonoultramicroscopicsilicovolcanoconiosis",
        "electroencephalographically-guided", "\u017fs \u212a K", "\u01c5\u02b0\u0301\u20dd",
    ]
    rng = random.Random(11)
    pools = [range(0x20, 0x7F), range(0x0, 0x300), range(0x300, 0x2000), range(0x2000, 0x3100),
             range(0x1F300, 0x1F700), range(0x20, 0x30000)]
    noise = []
    for i in range(60):
        pool = pools[i % len(pools)]
        chars = [chr(c) for c in rng.choices(pool, k=14) if not 0xD800 <= c < 0xE000]
        noise.append("".join(c + rng.choice(["", "", " ", "  ", "\n", "7", "a"]) for c in chars))
    return report + special + edge + noise


def main():
    t = build(sys.argv[1])
    print(json.dumps({"made_by": "smollm2_tokens.py", "tokenizers": tokenizers.__version__,
                      "vocabulary": t.get_vocab_size()}))
    for text in texts():
        t.encode_special_tokens = False
        raw = t.encode(text).ids
        row = {"text": text, "raw": raw, "dec": t.decode(raw, skip_special_tokens=True)}
        t.encode_special_tokens = True
        plain = t.encode(text).ids
        if plain != raw:
            row["plain"] = plain
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
