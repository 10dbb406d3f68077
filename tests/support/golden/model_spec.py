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
}
out = {"made_by": "transformers " + transformers.__version__, "cases": {}}
for name, c in cases.items():
    rot = (MistralRotaryEmbedding if name.startswith("mistral") else LlamaRotaryEmbedding)(c)
    out["cases"][name] = {"config": json.loads(c.to_json_string(use_diff=False)), "inv_freq": [float(f"{v:.9g}") for v in rot.inv_freq.tolist()]}
json.dump(out, open(sys.argv[1], "w"), indent=0, sort_keys=True)
