#!/usr/bin/env python3
"""Golden values for tests/model/test_decoder.c from transformers and PEFT.

Writes tests/model/golden/tiny.json. Weights, adapters and tokens follow from a counter hash that the
C test repeats, so no weight file is kept. Every sample runs alone, losses and gradients are summed:
what radmill must get from the packed bin.
    python tests/support/golden/model_tiny.py tests/model/golden/tiny.json
"""
import json, sys
import peft, torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from counter import hash_values, relrms, summary

torch.manual_seed(0)
torch.set_num_threads(1)


SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, vocab_size=128,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
CASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=True,
              rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
    "mistral": (MistralForCausalLM, MistralConfig(**SIZES, head_dim=24, sliding_window=5, tie_word_embeddings=False,
                rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})),
    "llama3": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=False, rope_parameters={
               "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 32})),
}
LENGTHS, PROMPTS = [11, 2, 19, 7], [4, 1, 15, 2]
R, ALPHA = 4, 6.0


def order(cfg):
    """Tensor names in radmill's flat order: the tag of a tensor is its number."""
    out = ["model.embed_tokens.weight"]
    for i in range(cfg.num_hidden_layers):
        p = f"model.layers.{i}."
        out += [p + n + ".weight" for n in ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                "self_attn.o_proj", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")]
    return out + ["model.norm.weight"] + ([] if cfg.tie_word_embeddings else ["lm_head.weight"])


def fill(model, cfg):
    params = dict(model.named_parameters())
    for tag, name in enumerate(order(cfg)):
        p = params[name]
        v = hash_values(tag, p.numel()).reshape(p.shape)
        p.data.copy_(1 + 0.5 * v if p.dim() == 1 else 0.4 * v)


def samples():
    toks = ((hash_values(1000, sum(LENGTHS)) + 0.5) * 128).long()
    at = 0
    for n, p in zip(LENGTHS, PROMPTS):
        yield toks[at:at + n], p
        at += n


def run(model):
    """Sum of losses over target rows, logits of those rows; gradients accumulate in the model."""
    total, rows = 0.0, []
    for t, p in samples():
        logits = model(input_ids=t[None]).logits[0]
        pick = logits[p - 1:len(t) - 1]
        loss = torch.nn.functional.cross_entropy(pick.float(), t[p:], reduction="sum")
        if loss.requires_grad:
            loss.backward()
        total += loss.item()
        rows.append(pick.detach().float())
    return total, torch.cat(rows)


def build(name, dtype):
    cls, cfg = CASES[name]
    model = cls(cfg).float()
    fill(model, cfg)
    return model.to(dtype).eval(), cfg


def adapters(model):
    lora = peft.LoraConfig(r=R, lora_alpha=ALPHA, target_modules="all-linear", lora_dropout=0.0)
    pm = peft.get_peft_model(model, lora)
    names = [n for n, p in pm.named_parameters() if p.requires_grad]
    for n, p in pm.named_parameters():
        if not p.requires_grad:
            continue
        key = n.replace(".default", "")
        layer = int(key.split("layers.")[1].split(".")[0])
        mod = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"].index(key.split(".lora_")[0].split(".")[-1])
        tag = 2000 + (layer * 7 + mod) * 2 + (1 if "lora_B" in key else 0)
        p.data.copy_((0.5 * hash_values(tag, p.numel())).reshape(p.shape))
    return pm.eval(), names


out = {"made_by": f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}", "cases": {}}
for name in CASES:
    model, cfg = build(name, torch.float32)
    with torch.no_grad():
        base_loss, base_logits = run(model)
    full_loss, _ = run(model)
    tags = {n: i for i, n in enumerate(order(cfg))}
    full = {n: summary(tags[n], p.grad) for n, p in model.named_parameters() if n in tags}
    model, _ = build(name, torch.float32)
    pm, names = adapters(model)
    loss, logits = run(pm)
    lora = {}
    for i, (n, p) in enumerate((n, p) for n, p in pm.named_parameters() if p.requires_grad):
        lora[n.replace(".default", "")] = summary(i, p.grad)
    grads = {n: p.grad.clone() for n, p in pm.named_parameters() if p.requires_grad}
    # the reference's own bf16 against its f32: what bf16 costs anyone
    half, _ = build(name, torch.bfloat16)
    hpm, _ = adapters(half)
    hloss, hlogits = run(hpm)
    hg = {n: p.grad for n, p in hpm.named_parameters() if p.requires_grad}
    gap = relrms(torch.cat([hg[n].float().reshape(-1) for n in grads]), torch.cat([grads[n].reshape(-1) for n in grads]))
    out["cases"][name] = {
        "base_loss": base_loss, "loss": loss, "logits_row0": logits[0].tolist(), "logits_last": logits[-1].tolist(),
        "logits": summary(900, logits), "full": full, "lora": lora,
        "bf16_gap": {"loss": abs(hloss - loss) / loss, "logits": relrms(hlogits, logits), "grad": gap},
    }
    print(name, base_loss, loss, out["cases"][name]["bf16_gap"])


def rounded(x):
    return float(f"{x:.9g}") if isinstance(x, float) else {k: rounded(v) for k, v in x.items()} if isinstance(x, dict) else \
        [rounded(v) for v in x] if isinstance(x, list) else x


json.dump(rounded(out), open(sys.argv[1], "w"), indent=0)
