#!/usr/bin/env python3
"""Golden values for tests/generate/test_decode_models.c: beam search of transformers, one prompt at a time, in f32.

Writes tests/generate/golden/beams.json: for the tiny llama of model_tiny.py and the tiny flan of model_t5.py (weights from
the same counter hash) what `generate` answers, end marks left out, and whether one ended it.
    python tests/support/golden/decode_beams.py tests/generate/golden/beams.json
"""
import json, sys
import torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration
from counter import hash_values

torch.manual_seed(0)
torch.set_num_threads(1)


def llama():
    cfg = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, vocab_size=128, num_attention_heads=4,
                      num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
                      attn_implementation="eager", tie_word_embeddings=True,
                      rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    model = LlamaForCausalLM(cfg).float()
    names = ["model.embed_tokens.weight"]
    for i in range(2):
        names += [f"model.layers.{i}.{n}.weight" for n in (
            "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
            "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")]
    params = dict(model.named_parameters())
    for tag, name in enumerate(names + ["model.norm.weight"]):
        p = params[name]
        v = hash_values(tag, p.numel()).reshape(p.shape)
        p.data.copy_(1 + 0.5 * v if p.dim() == 1 else 0.4 * v)
    return model.eval()


def flan():
    cfg = T5Config(vocab_size=96, d_model=48, d_kv=12, num_heads=4, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
                   dropout_rate=0.0, attn_implementation="eager", d_ff=80, num_layers=2, num_decoder_layers=2,
                   feed_forward_proj="gated-gelu", tie_word_embeddings=False, relative_attention_num_buckets=8,
                   relative_attention_max_distance=12)
    model = T5ForConditionalGeneration(cfg).float()
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    for tag, (n, p) in enumerate(model.named_parameters()):
        v = hash_values(tag, p.numel()).reshape(p.shape)
        p.data.copy_(1 + 0.5 * v if p.dim() == 1 else 0.4 * v if "relative" not in n else 3 * v)
    return model.eval()


LENGTHS = [11, 2, 19, 7]
FEW, SOME, MANY = [2], [2, 17, 40], [1, 3, 9, 22, 35, 61]
SETTINGS = [  # beams, length penalty, early stopping, most new tokens, end marks
    (2, 1.0, False, 12, FEW), (4, 1.0, False, 20, SOME), (4, 1.0, True, 20, SOME), (4, 2.0, False, 20, MANY),
    (4, 2.0, "never", 20, MANY), (3, -0.5, False, 20, MANY), (3, -0.5, "never", 20, MANY), (5, 0.0, "never", 20, MANY),
    (5, 0.0, True, 20, MANY), (8, 1.0, False, 16, MANY), (3, 1.0, "never", 1, SOME), (6, 0.6, False, 24, SOME)]


def answers(model, vocab, both):
    toks = ((hash_values(1000, sum(LENGTHS)) + 0.5) * vocab).long()
    at, out = 0, []
    for n in LENGTHS:
        prompt = toks[at:at + n][None]
        at += n
        for beams, penalty, early, most, eos in SETTINGS:
            got = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), num_beams=beams, do_sample=False,
                                 length_penalty=penalty, early_stopping=early, max_new_tokens=most, eos_token_id=eos,
                                 pad_token_id=0)[0].tolist()[1 if both else n:]
            cut = next((i for i, t in enumerate(got) if t in eos), None)
            out.append({"ids": got if cut is None else got[:cut], "ended": cut is not None})
    return out


with torch.no_grad():
    made = {"llama": answers(llama(), 128, False), "flan": answers(flan(), 96, True)}
for name, v in made.items():
    print(name, "ended", sum(a["ended"] for a in v), "of", len(v))
head = json.dumps({"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}", "lengths": LENGTHS,
                   "settings": [{"beams": b, "penalty": p, "early": str(e).lower(), "most": m, "eos": x}
                                for b, p, e, m, x in SETTINGS]}, separators=(",", ":"))
body = ",\n".join(f'"{k}":[\n' + ",\n".join(json.dumps(a, separators=(",", ":")) for a in v) + "]" for k, v in made.items())
open(sys.argv[1], "w").write(head[:-1] + ",\n" + body + "}\n")
