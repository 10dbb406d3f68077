#!/usr/bin/env python3
"""Run by test_transformers on DIR (a model folder of make_models.py with exports in it): reads merged.gguf, base-q8.gguf,
base-q4.gguf
and adapter.gguf with the package gguf and compares every tensor with the folder and PEFT's adapter.
"""
import json, math, sys
import gguf, numpy as np
from safetensors.numpy import load_file

d = sys.argv[1]
config = json.load(open(d + "/config.json"))
heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
hd = config.get("head_dim") or config["hidden_size"] // heads
ac = json.load(open(d + "/adapter/adapter_config.json"))
factors = load_file(d + "/adapter/adapter_model.safetensors")
base = {}
import glob
for f in glob.glob(d + "/model*.safetensors"):
    base.update(load_file(f))
if not base:
    import torch
    base = {k: v.numpy() for k, v in torch.load(d + "/pytorch_model.bin").items()}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    p = name.split(".")
    if p[1] == "layers":
        return f"blk.{p[2]}.{NAMES['.'.join(p[3:-1])]}.weight"
    return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight"}[name]


def permute(name, w):
    """As llama.cpp's converter for Llama: pairs side by side."""
    n = heads if "q_proj" in name else kv if "k_proj" in name else 0
    return w if not n else w.reshape(n, 2, w.shape[0] // n // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def pair(name):
    key = "base_model.model." + name.removesuffix(".weight")
    a = factors.get(key + ".lora_A.weight")
    return None if a is None else (a, factors[key + ".lora_B.weight"])


def scale(r):
    return ac["lora_alpha"] / (math.sqrt(r) if ac["use_rslora"] else r)


def check(what, got, want, tol):
    err = np.abs(got.astype(np.float64) - want).max() / (np.abs(want).max() + 1e-30)
    assert got.shape == want.shape and err <= tol, (what, got.shape, want.shape, err)


def tensors(path):
    r = gguf.GGUFReader(path)
    return r, {t.name: t for t in r.tensors}


r, merged = tensors(d + "/merged.gguf")
for name, w in base.items():
    p = pair(name)
    if p:
        w = w + scale(p[0].shape[0]) * (p[1].astype(np.float64) @ p[0])
    t = merged.pop(gguf_name(name))
    check(name, gguf.quants.dequantize(t.data, t.tensor_type), permute(name, w), 1e-6)
rope = merged.pop("rope_freqs.weight", None)
divisors = {k: merged.pop(f"rope_factors_{k}.weight", None) for k in ("short", "long")}
assert not merged, list(merged)
given = config.get("rope_parameters") or config.get("rope_scaling") or {}
kind = given.get("rope_type", given.get("type", "default"))
assert (rope is not None) == (kind == "llama3")
field = lambda k: r.get_field(k).contents()
scaling = lambda k: field("llama.rope.scaling." + k)
near = lambda a, b: abs(a - b) < 1e-6 * abs(b)
if kind in ("yarn", "longrope"):
    assert scaling("type") == gguf.RopeScalingType[kind.upper()].value
    assert scaling("original_context_length") == given["original_max_position_embeddings"]
if kind == "yarn":  # llama.cpp multiplies by 0.1 ln(factor) + 1 itself
    assert near(scaling("factor"), given["factor"]) and near(scaling("yarn_beta_fast"), given["beta_fast"])
    assert near(scaling("yarn_beta_slow"), given["beta_slow"])
    assert near(scaling("attn_factor") * (0.1 * math.log(given["factor"]) + 1), given["attention_factor"])
if kind == "longrope":
    want = math.sqrt(1 + math.log(256 / given["original_max_position_embeddings"]) / math.log(given["original_max_position_embeddings"]))
    assert near(scaling("attn_factor"), want) and r.get_field("llama.rope.scaling.factor") is None
    for k, t in divisors.items():
        assert np.array_equal(t.data, np.array(given[k + "_factor"], dtype=np.float32)), k
assert field("general.architecture") == "llama" and field("llama.attention.head_count_kv") == kv
assert field("llama.attention.key_length") == hd and field("tokenizer.ggml.pre") == "llama-bpe"
tokens, types = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
assert len(tokens) == config["vocab_size"] and tokens[:4] == ["<s>", "</s>", "<eot>", "a"] and types[:4] == [3, 3, 3, 1]
assert tokens[-1] == f"[PAD{len(tokens) - 1}]" and types[-1] == 5
assert field("tokenizer.ggml.merges") == ["a b", "\u0120 a", "ab c"] and field("tokenizer.chat_template") == "{{ messages }}"
assert field("tokenizer.ggml.add_bos_token") is True

_, q8 = tensors(d + "/base-q8.gguf")
for name, w in base.items():
    t = q8[gguf_name(name)]
    if w.ndim == 2 and w.shape[1] % 32 == 0:
        want = gguf.quants.quantize(permute(name, w).astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
        assert t.tensor_type == gguf.GGMLQuantizationType.Q8_0 and np.array_equal(t.data, want), name
    elif w.ndim == 2:
        assert t.tensor_type == gguf.GGMLQuantizationType.F16

_, q4 = tensors(d + "/base-q4.gguf")
for name, w in base.items():
    t = q4[gguf_name(name)]
    if w.ndim == 2 and w.shape[1] % 32 == 0:
        kind = gguf.GGMLQuantizationType.Q4_0 if ".layers." in name else gguf.GGMLQuantizationType.Q8_0
        want = gguf.quants.quantize(permute(name, w).astype(np.float32), kind)
        assert t.tensor_type == kind and np.array_equal(t.data, want), name

r, lora = tensors(d + "/adapter.gguf")
assert field("general.type") == "adapter" and field("adapter.type") == "lora"
alpha = field("adapter.lora.alpha")
for name in base:
    p = pair(name)
    if not p:
        continue
    a, b = (lora.pop(gguf_name(name) + x).data for x in (".lora_a", ".lora_b"))
    check(name, (alpha / a.shape[0]) * (b.astype(np.float64) @ a), permute(name, scale(p[0].shape[0]) * (p[1].astype(np.float64) @ p[0])),
          1e-6)
assert not lora, list(lora)
print("gguf", gguf.__file__ and "ok")
