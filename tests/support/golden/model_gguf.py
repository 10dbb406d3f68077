#!/usr/bin/env python3
"""GGUF files for tests/model/test_gguf.c, written by the PyPI package gguf.

types.gguf: metadata of every kind; each supported tensor type T beside T.f32, the package's own dequantize
of it. ../corpus_gguf/yarn and longrope: no model, but all that its rotary angles follow from (test_rope.c, and seeds of the
fuzz target). tiny.gguf: a one-block llama (untied head, Llama 3 frequencies) whose weights are the counter hash
in Hugging Face row order, q and k permuted here as llama.cpp's converter does.
    python tests/support/golden/model_gguf.py tests/model/golden
"""
import sys
import gguf, numpy as np
from gguf import GGMLQuantizationType as T

out = sys.argv[1]
rng = np.random.default_rng(7)
w = gguf.GGUFWriter(out + "/types.gguf", "llama")
w.add_uint8("t.u8", 200); w.add_int8("t.i8", -100); w.add_uint16("t.u16", 60000); w.add_int16("t.i16", -30000)
w.add_uint32("t.u32", 4000000000); w.add_int32("t.i32", -2000000000); w.add_float32("t.f32", 1.5); w.add_bool("t.bool", True)
w.add_string("t.string", "lung"); w.add_uint64("t.u64", 2 ** 40); w.add_int64("t.i64", -2 ** 40); w.add_float64("t.f64", 2.5)
w.add_array("t.same", [7, 7, 7]); w.add_array("t.differ", [7, 8]); w.add_array("t.strings", ["a", "bc", ""])
for t, rows, cols in [(T.F32, 3, 32), (T.F16, 3, 32), (T.BF16, 3, 32), (T.Q4_0, 4, 64), (T.Q4_1, 4, 64), (T.Q5_0, 4, 64),
                      (T.Q5_1, 4, 64), (T.Q8_0, 4, 64), (T.Q4_K, 2, 512), (T.Q6_K, 2, 512)]:
    x = rng.normal(0, 1, (rows, cols)).astype(np.float32)
    if t in (T.Q4_K, T.Q6_K):  # the package cannot quantise these: random blocks with sane scales
        block, size = gguf.GGML_QUANT_SIZES[t]
        q = rng.integers(0, 256, (rows, cols // block, size), dtype=np.uint8)
        half = np.array(rng.uniform(0.001, 0.1, (rows, cols // block, 2)), dtype=np.float16).view(np.uint8)
        if t == T.Q4_K: q[:, :, 0:4] = half
        else: q[:, :, 208:210] = half[:, :, 0:2]
        q = q.reshape(rows, -1)
    else:
        q = gguf.quants.quantize(x, t)
    w.add_tensor(t.name, q, raw_dtype=t if t not in (T.F32,) else None)
    w.add_tensor(t.name + ".f32", gguf.quants.dequantize(q, t).astype(np.float32))
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()

M = 0xFFFFFFFF


def hash_values(tag, shape):
    i = np.arange(int(np.prod(shape)), dtype=np.uint64)
    x = (i * 2654435761 + tag * 97 + 1) & M
    x ^= x >> 16
    x = (x * 2246822519) & M
    x ^= x >> 13
    x = (x * 3266489917) & M
    x ^= x >> 16
    return ((x >> 8).astype(np.float64) / 2 ** 24 - 0.5).astype(np.float32).reshape(shape)


d, ff, h, kv, hd, V, theta = 32, 48, 4, 2, 8, 40, 500000.0
permute = lambda a, n: a.reshape(n, 2, a.shape[0] // n // 2, a.shape[1]).swapaxes(1, 2).reshape(a.shape)
w = gguf.GGUFWriter(out + "/tiny.gguf", "llama")
w.add_context_length(4096); w.add_embedding_length(d); w.add_block_count(1); w.add_feed_forward_length(ff)
w.add_head_count(h); w.add_head_count_kv(kv); w.add_layer_norm_rms_eps(1e-5); w.add_rope_freq_base(theta)
w.add_rope_dimension_count(hd); w.add_bos_token_id(1); w.add_eos_token_id(2)
shapes = [("token_embd", (V, d)), ("blk.0.attn_norm", (d,)), ("blk.0.attn_q", (h * hd, d)), ("blk.0.attn_k", (kv * hd, d)),
          ("blk.0.attn_v", (kv * hd, d)), ("blk.0.attn_output", (d, h * hd)), ("blk.0.ffn_norm", (d,)), ("blk.0.ffn_gate", (ff, d)),
          ("blk.0.ffn_up", (ff, d)), ("blk.0.ffn_down", (d, ff)), ("output_norm", (d,)), ("output", (V, d))]
for tag, (name, shape) in enumerate(shapes):
    a = hash_values(tag, shape)
    w.add_tensor(name + ".weight", permute(a, h) if "attn_q" in name else permute(a, kv) if "attn_k" in name else a)
inv = theta ** (-np.arange(0, hd, 2) / hd)
wave = 2 * np.pi / inv
factor, lo, hi, orig = 32.0, 1.0, 4.0, 8192
smooth = (orig / wave - lo) / (hi - lo)
div = np.where(wave < orig / hi, 1.0, np.where(wave > orig / lo, factor, 1 / ((1 - smooth) / factor + smooth)))
w.add_tensor("rope_freqs.weight", div.astype(np.float32))
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()

for kind in ("yarn", "longrope"):
    w = gguf.GGUFWriter(f"{out}/../corpus_gguf/{kind}", "llama")
    w.add_context_length(64); w.add_embedding_length(16); w.add_block_count(1); w.add_feed_forward_length(16)
    w.add_head_count(2); w.add_layer_norm_rms_eps(1e-5); w.add_rope_freq_base(500.0)
    w.add_rope_scaling_type(gguf.RopeScalingType[kind.upper()]); w.add_rope_scaling_orig_ctx_len(16)
    w.add_rope_scaling_attn_factors(1.25)
    w.add_tensor("token_embd.weight", np.zeros((3, 16), dtype=np.float32))
    if kind == "yarn":
        w.add_rope_scaling_factor(4.0)
        w.add_rope_scaling_yarn_beta_fast(2.0); w.add_rope_scaling_yarn_beta_slow(0.5)
    else:
        w.add_tensor(gguf.TENSOR_NAMES[gguf.MODEL_TENSOR.ROPE_FACTORS_LONG] + ".weight", np.array([2, 4, 6, 8], dtype=np.float32))
        w.add_tensor(gguf.TENSOR_NAMES[gguf.MODEL_TENSOR.ROPE_FACTORS_SHORT] + ".weight", np.array([1, 1.5, 2, 2.5], dtype=np.float32))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
