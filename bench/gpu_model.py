#!/usr/bin/env python3
"""gpu_model.py SHAPE_JSON FOLDER: random weights of a real shape as a Hugging Face folder in bf16, for bench_step.

Run by tests/gpu/acceptance with a shape of its table. One safetensors file, written in pieces. Values have random signs
and mantissas and lie in [2^-7, 2^-5), about as N(0, 0.02) in size; norms are 1. Python alone: no torch, no GPU.
"""
import json, os, random, struct, sys

s, folder = json.loads(sys.argv[1]), sys.argv[2]
os.makedirs(folder, exist_ok=True)
d, ff, V, L, hd, h = (s[k] for k in ("d", "ff", "V", "L", "hd", "h"))


def llama():
    kv = s["kv"]
    yield "model.embed_tokens.weight", (V, d)
    for i in range(L):
        p = "model.layers.%d." % i
        yield p + "input_layernorm.weight", (d,)
        yield p + "post_attention_layernorm.weight", (d,)
        for n, shape in (("q", (h * hd, d)), ("k", (kv * hd, d)), ("v", (kv * hd, d)), ("o", (d, h * hd))):
            yield p + "self_attn.%s_proj.weight" % n, shape
        for n, shape in (("gate", (ff, d)), ("up", (ff, d)), ("down", (d, ff))):
            yield p + "mlp.%s_proj.weight" % n, shape
    yield "model.norm.weight", (d,)
    if not s["tied"]:
        yield "lm_head.weight", (V, d)


def t5():
    a = h * hd
    yield "shared.weight", (V, d)
    for stack in ("encoder", "decoder"):
        for i in range(L):
            parts = ["SelfAttention"] + (["EncDecAttention"] if stack == "decoder" else [])
            for j, part in enumerate(parts):
                p = "%s.block.%d.layer.%d." % (stack, i, j)
                for n in "qkv":
                    yield p + "%s.%s.weight" % (part, n), (a, d)
                yield p + part + ".o.weight", (d, a)
                yield p + "layer_norm.weight", (d,)
                if i == 0 and part == "SelfAttention":
                    yield p + part + ".relative_attention_bias.weight", (32, h)
            p = "%s.block.%d.layer.%d." % (stack, i, len(parts))
            for n, shape in (("wi_0", (ff, d)), ("wi_1", (ff, d)), ("wo", (d, ff))):
                yield p + "DenseReluDense.%s.weight" % n, shape
            yield p + "layer_norm.weight", (d,)
        yield stack + ".final_layer_norm.weight", (d,)
    yield "lm_head.weight", (V, d)


if s.get("t5"):
    config = dict(architectures=["T5ForConditionalGeneration"], model_type="t5", vocab_size=V, d_model=d, d_kv=hd, d_ff=ff,
                  num_layers=L, num_decoder_layers=L, num_heads=h, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
                  relative_attention_num_buckets=32, relative_attention_max_distance=128, decoder_start_token_id=0,
                  eos_token_id=1, pad_token_id=0, layer_norm_epsilon=1e-6, is_encoder_decoder=True, torch_dtype="bfloat16")
    tensors = list(t5())
else:
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=d, intermediate_size=ff, num_hidden_layers=L,
                  num_attention_heads=h, num_key_value_heads=s["kv"], head_dim=hd, vocab_size=V, max_position_embeddings=8192,
                  rms_norm_eps=1e-5, rope_theta=s["theta"], rope_scaling=None, attention_bias=False, mlp_bias=False,
                  hidden_act="silu", tie_word_embeddings=s["tied"], bos_token_id=1, eos_token_id=2, torch_dtype="bfloat16")
    tensors = list(llama())
with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
    json.dump(config, f)

head, at = {"__metadata__": {"format": "pt"}}, 0
for name, shape in tensors:
    n = 2
    for x in shape:
        n *= x
    head[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + n]}
    at += n
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
PIECE = 1 << 24  # elements of random weights, written again and again from another place
rng = random.Random(1)
block = bytearray(2 * PIECE)
block[0::2] = rng.randbytes(PIECE)
block[1::2] = rng.randbytes(PIECE).translate(bytes(0x3C | (x & 1) << 7 for x in range(256)))


def write_random(f, n):
    while n > 0:
        k = min(n, PIECE // 2)
        start = 2 * rng.randrange(PIECE - k + 1)
        f.write(memoryview(block)[start:start + 2 * k])
        n -= k


with open(os.path.join(folder, "model.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    for name, shape in tensors:
        if len(shape) == 1:
            f.write(struct.pack("<H", 0x3F80) * shape[0])
        else:
            write_random(f, shape[0] * shape[1])
print("%s: %.2f GB" % (folder, at / 1e9))
