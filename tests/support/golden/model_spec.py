#!/usr/bin/env python3
"""config.json as transformers writes it today, with its own rotary frequencies, for tests/model/test_spec.c.
    python tests/support/golden/model_spec.py tests/model/golden/spec.json
"""
import json, sys
import transformers
from transformers import LlamaConfig, MistralConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding

l3 = lambda f: {"rope_type": "llama3", "rope_theta": 5e5, "factor": f, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
base = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=2, vocab_size=1000)
cases = {
    "llama31": LlamaConfig(**base, max_position_embeddings=131072, rope_parameters=l3(8.0), eos_token_id=[5, 6, 7], bos_token_id=4, head_dim=128, rms_norm_eps=1e-5),
    "llama32": LlamaConfig(**base, max_position_embeddings=131072, rope_parameters=l3(32.0), tie_word_embeddings=True, head_dim=64),
    "linear": LlamaConfig(**base, max_position_embeddings=4096, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}, pad_token_id=0),
    "mistral": MistralConfig(**base, sliding_window=4096, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    "mistral3": MistralConfig(**base, sliding_window=None, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, head_dim=96),
    # Qwen2.5's card; Yarn-Llama-2-7b-64k; Phi-3-mini-128k's lengths
    "yarn": LlamaConfig(**base, max_position_embeddings=32768, head_dim=128, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32768}),
    "yarn_llama2": LlamaConfig(**base, max_position_embeddings=65536, head_dim=128, rope_theta=1e4, rope_scaling={
        "type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "finetuned": True}),
    "yarn_exact": LlamaConfig(**base, max_position_embeddings=163840, head_dim=64, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 40.0, "original_max_position_embeddings": 4096, "truncate": False,
        "beta_fast": 20, "beta_slow": 2, "mscale": 1.0, "mscale_all_dim": 0.707}),
    "yarn_ratio": LlamaConfig(**base, max_position_embeddings=65536, head_dim=96, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e4, "factor": None, "original_max_position_embeddings": 8192, "attention_factor": 1.25}),
    # a ramp of no width; one beyond the last dimension
    "yarn_steep": LlamaConfig(**base, max_position_embeddings=65536, head_dim=32, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 8.0, "original_max_position_embeddings": 8192, "truncate": False,
        "beta_fast": 5.2, "beta_slow": 5.2}),
    "yarn_far": LlamaConfig(**base, max_position_embeddings=65536, head_dim=32, rope_parameters={
        "rope_type": "yarn", "rope_theta": 10.0, "factor": 2.0, "original_max_position_embeddings": 32768}),
    "dynamic": LlamaConfig(**base, max_position_embeddings=4096, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
    "longrope": LlamaConfig(**base, max_position_embeddings=131072, head_dim=96, rope_parameters={
        "rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 4096,
        "short_factor": [round(1 + 0.03 * i, 10) for i in range(48)], "long_factor": [1.0299999713897705 + 1.37 * i for i in range(48)]}),
}
out = {"made_by": "transformers " + transformers.__version__, "cases": {}}
for name, c in cases.items():
    rot = (MistralRotaryEmbedding if name.startswith("mistral") else LlamaRotaryEmbedding)(c)
    out["cases"][name] = {"config": json.loads(c.to_json_string(use_diff=False)), "inv_freq": [float(f"{v:.9g}") for v in rot.inv_freq.tolist()],
                          "attention": float(rot.attention_scaling)}
json.dump(out, open(sys.argv[1], "w"), indent=0, sort_keys=True)
