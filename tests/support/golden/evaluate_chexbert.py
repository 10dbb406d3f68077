#!/usr/bin/env python3
"""Golden values for tests/evaluate/test_chexbert.c: a tiny CheXbert (BERT of transformers and 14 linear heads, PyTorch,
f64) with weights by formula, its labels and the F1 of scikit-learn's definition.

    python tests/support/golden/evaluate_chexbert.py tests/evaluate/golden/chexbert_tiny.json

Weight k of the tensor with number t (in the order of `tensors`) is wave(t, k); norms get 1 added to their weight,
and attention's output is multiplied by 6, so that texts differ in their first token.
"""
import json, math, sys
import torch, transformers
from transformers import BertConfig, BertModel

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] no effusion edema pneumonia heart is large normal . left right mild".split()
D, LAYERS, FF, HEADS = 16, 2, 32, 2
TEXTS = ["no effusion .", "mild edema .", "heart is large .", "heart is normal .", "left pneumonia .", "right effusion , left edema .",
         "", "normal", "no pneumonia . mild left effusion .", "large heart . edema"]
PAIRS = [(0, 5), (1, 2), (3, 3), (4, 8), (6, 9), (7, 1), (5, 0), (9, 9)]


def wave(t, n):
    k = torch.arange(n, dtype=torch.float64)
    x = 43758.5453 * torch.sin(1.0 + 12.9898 * k + 78.233 * t)
    return 1.4 * (x - torch.floor(x)) - 0.7


config = BertConfig(vocab_size=len(WORDS), hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=FF,
                    max_position_embeddings=24, type_vocab_size=2, attn_implementation="eager")
bert = BertModel(config, add_pooling_layer=False).double().eval()
heads = torch.nn.ModuleList([torch.nn.Linear(D, 4) for _ in range(13)] + [torch.nn.Linear(D, 2)]).double()
named = [("bert." + n, p) for n, p in bert.named_parameters()] + [("linear_heads." + n, p) for n, p in heads.named_parameters()]
with torch.no_grad():
    for t, (name, p) in enumerate(named):
        v = wave(t, p.numel()).reshape(p.shape)
        p.copy_(1 + v if name.endswith("LayerNorm.weight") else 6 * v if name.endswith("attention.output.dense.weight") else v)
texts, hot = [], []
for text in TEXTS:
    ids = [2] + [WORDS.index(w) if w in WORDS else 1 for w in text.split()] + [3]
    with torch.no_grad():
        cls = bert(input_ids=torch.tensor([ids])).last_hidden_state[0, 0]
        logits = [h(cls) for h in heads]
    margin = min((l.max() - l[l.argsort()[-2]]).item() for l in logits)
    assert margin > 1e-4, margin
    labels = [int(l.argmax()) for l in logits]
    texts.append({"text": text, "ids": ids, "labels": labels, "cls": [float(f"{x:.9f}") for x in cls]})
    hot.append([1 if x in (1, 3) else 0 for x in labels])


def f1(tp, fp, fn):
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def scores(which):
    c = [(sum(hot[p][k] and hot[r][k] for p, r in PAIRS), sum(hot[p][k] and not hot[r][k] for p, r in PAIRS),
          sum(hot[r][k] and not hot[p][k] for p, r in PAIRS)) for k in which]
    return f1(*map(sum, zip(*c))), sum(f1(*x) for x in c) / len(c)


m14, M14 = scores(range(14))
m5, M5 = scores([1, 4, 5, 7, 9])
cos = [torch.cosine_similarity(torch.tensor(texts[p]["cls"]), torch.tensor(texts[r]["cls"]), dim=0).item() for p, r in PAIRS]
json.dump({"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}, f64", "vocab": WORDS,
           "config": {"model_type": "bert", "hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": FF,
                      "max_position_embeddings": 24, "type_vocab_size": 2, "vocab_size": len(WORDS), "hidden_act": "gelu", "layer_norm_eps": 1e-12},
           "tensors": [[n, list(p.shape)] for n, p in named], "texts": texts, "pairs": PAIRS, "cosines": cos,
           "micro14": m14, "macro14": M14, "micro5": m5, "macro5": M5}, open(sys.argv[1], "w"))
