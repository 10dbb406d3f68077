#!/usr/bin/env python3
"""Golden values for tests/model/test_encoder.c from transformers.

Writes tests/model/golden/encoder.json: for each architecture the config, the tensors' names and shapes (their values
follow from the counter hash of counter.py, tag = number), a few sequences, and all hidden states in f64 arithmetic.
    python tests/support/golden/model_encoder.py tests/model/golden/encoder.json
"""
import json, sys
import torch, transformers
from transformers import (BertConfig, BertModel, DistilBertConfig, DistilBertForMaskedLM, RobertaConfig,
                          RobertaForMaskedLM)
from counter import hash_values

torch.set_num_threads(1)

COMMON = dict(vocab_size=60, attn_implementation="eager")
BERT = dict(COMMON, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40)
CASES = {
    "bert": (BertModel, BertConfig(**BERT, max_position_embeddings=16)),
    "roberta": (RobertaForMaskedLM, RobertaConfig(**BERT, max_position_embeddings=18, type_vocab_size=1, pad_token_id=1,
                layer_norm_eps=1e-5)),
    "distilbert": (DistilBertForMaskedLM, DistilBertConfig(**COMMON, dim=24, n_layers=2, n_heads=3, hidden_dim=40,
                   max_position_embeddings=16)),
}
CU = [0, 1, 12, 28]
TOKENS = ((hash_values(1000, CU[-1]) + 0.5) * 55).long() + 5


def run(model):
    """[layers + 1, tokens, d]; each sequence alone."""
    states = []
    for a, b in zip(CU, CU[1:]):
        with torch.no_grad():
            states.append(torch.cat(model(input_ids=TOKENS[None, a:b], output_hidden_states=True).hidden_states))
    return torch.cat(states, dim=1)


out = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}", "cu": CU,
       "tokens": TOKENS.tolist(), "cases": {}}
for name, (cls, cfg) in CASES.items():
    model = cls(cfg).eval()
    tensors = []
    for tag, (n, p) in enumerate(model.named_parameters()):
        v = hash_values(tag, p.numel()).reshape(p.shape)
        p.data.copy_(1 + v if "LayerNorm.weight" in n or "layer_norm.weight" in n else v)
        tensors.append([n, list(p.shape)])
    hidden = run(model.double())
    half = run(model.bfloat16()).double()
    gap = ((half - hidden)[-1].pow(2).mean() / hidden[-1].pow(2).mean()).sqrt().item()
    keep = [0, 1, 11, 12, 20, 27]
    cfg.architectures = [cls.__name__]
    out["cases"][name] = {"config": cfg.to_dict(), "tensors": tensors, "bf16_gap": gap, "norm": hidden.norm(dim=(1, 2)).tolist(), "rows": keep,
                          "hidden": [[[float(f"{x:.8g}") for x in hidden[l, t]] for t in keep] for l in range(3)]}
    print(name, len(tensors), hidden.norm(dim=(1, 2)).tolist(), gap)
text = json.dumps(out, separators=(",", ":"))
open(sys.argv[1], "w").write(text.replace('"tensors"', '\n"tensors"').replace('"hidden"', '\n"hidden"') + "\n")
