#!/usr/bin/env python3
"""Golden values for tests/model/test_rope.c from transformers: rotary scalings that stretch a context.

Writes tests/model/golden/rope.json. A case is a config and runs of one sequence each, on either side of the border where
there is one; `context` is what radmill is told (model.context) to compute the same. Weights and tokens follow from the
counter hash, tag = number of the tensor. A run holds the frequencies and the factor on cos and sin that transformers
used, the loss of all tokens but the first, logits, gradients of two matrices, its own bf16 gap, and 8 greedy tokens
without a cache.
    python tests/support/golden/model_rope.py tests/model/golden/rope.json
"""
import json, sys
import torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from counter import hash_values, relrms, summary

torch.set_num_threads(1)
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=64, num_attention_heads=2,
             num_key_value_heads=1, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True)
SHORT = [1.0, 1.01, 1.05, 1.2, 1.3, 1.5, 1.7, 2.1]
LONG = [1.07, 1.3, 2.2, 3.9, 6.1, 8.8, 12.5, 14.3]
NEW = 8


def case(n, rope, runs, cls=LlamaConfig, **kw):
    return cls(**SIZES, max_position_embeddings=n, attn_implementation="eager", rope_parameters=dict(rope), **kw), runs


yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
longrope = {"rope_type": "longrope", "rope_theta": 500.0, "original_max_position_embeddings": 16, "short_factor": SHORT, "long_factor": LONG}
CASES = {
    "yarn": case(64, yarn, [(12, 0), (40, 0)]),
    # between fast and slow a ramp whose ends are not rounded; and a factor on cos and sin from two mscales
    "yarn_mscale": case(64, dict(yarn, rope_theta=500.0, beta_fast=1.0, beta_slow=0.1, truncate=False, mscale=1.5,
                                 mscale_all_dim=0.707), [(40, 0)]),
    # one given outright, in the older form: type, beside a theta of its own
    "yarn_old": case(64, {"type": "yarn", "rope_theta": 500.0, "factor": 2.5, "original_max_position_embeddings": 20,
                          "attention_factor": 1.3, "beta_fast": 1, "beta_slow": 0.2, "finetuned": True}, [(40, 0)], cls=MistralConfig, sliding_window=24),
    "longrope": case(64, longrope, [(8, 0), (16, 16), (40, 64), (17, 17)]),
    "longrope_factor": case(64, dict(longrope, factor=8.0), [(40, 48)]),
    "longrope_attention": case(64, dict(longrope, attention_factor=0.9), [(7, 0), (40, 48)]),
    "dynamic": case(24, {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 3.0}, [(16, 0), (24, 24), (40, 40)]),
}


def build(cfg, dtype):
    model = (MistralForCausalLM if cfg.model_type == "mistral" else LlamaForCausalLM)(cfg).float()
    for tag, (name, p) in enumerate(model.named_parameters()):
        v = hash_values(tag, p.numel()).reshape(p.shape)
        p.data.copy_(1 + 0.5 * v if p.dim() == 1 else 0.7 * v)
    return model.to(dtype).eval()


def forward(model, t):
    logits = model(input_ids=t[None]).logits[0].float()
    loss = torch.nn.functional.cross_entropy(logits[:-1], t[1:], reduction="sum")
    return logits, loss


def greedy(model, t):
    ids = t.tolist()
    with torch.no_grad():
        for _ in range(NEW):
            ids.append(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
    return ids[len(t):]


def run(cfg, n, context):
    t = ((hash_values(1000, n) + 0.5) * 64).long()
    model = build(cfg, torch.float32)
    logits, loss = forward(model, t)
    loss.backward()
    rot = model.model.rotary_emb
    names = [k for k, _ in model.named_parameters()]
    q, k = ("model.layers.%d.self_attn.%s_proj.weight" % x for x in ((0, "q"), (1, "k")))
    params = dict(model.named_parameters())
    hlogits, hloss = forward(build(cfg, torch.bfloat16), t)
    out = {"n": n, "context": context, "inv_freq": rot.inv_freq.tolist(), "attention": float(rot.attention_scaling),
           "loss": loss.item(), "logits": summary(900, logits), "last": logits[-1].tolist(),
           "grad": {x: summary(names.index(x), params[x].grad) for x in (q, k)},
           "bf16_gap": {"logits": relrms(hlogits, logits), "loss": abs(hloss.item() - loss.item()) / loss.item()}}
    # every step on the same side of the border, where there is one
    if cfg.rope_parameters["rope_type"] == "yarn" or context not in (16, 24, 40):
        out["greedy"] = greedy(build(cfg, torch.float32), t)
    return out


def rounded(x):
    return float(f"{x:.9g}") if isinstance(x, float) else {k: rounded(v) for k, v in x.items()} if isinstance(x, dict) else \
        [rounded(v) for v in x] if isinstance(x, list) else x


out = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}", "cases": {}}
for name, (cfg, runs) in CASES.items():
    shapes = [[n, list(p.shape)] for n, p in build(cfg, torch.float32).named_parameters()]
    out["cases"][name] = {"config": json.loads(cfg.to_json_string(use_diff=False)), "tensors": shapes,
                          "runs": [rounded(run(cfg, n, c)) for n, c in runs]}
    for r in out["cases"][name]["runs"]:
        print(name, r["n"], r["loss"], r["attention"], r["bf16_gap"], r.get("greedy"))
json.dump(out, open(sys.argv[1], "w"), indent=0, sort_keys=True)
