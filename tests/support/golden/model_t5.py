#!/usr/bin/env python3
"""Golden values for tests/model/test_encdec.c from transformers and PEFT.

Writes tests/model/golden/t5.json: configs, tensors' names and shapes (values follow from the counter hash of
model_tiny.py, tag = number), losses, logits, gradients of all weights and of LoRA, bf16 gaps, greedy answers, and the
buckets of relative positions. Every sample runs alone, losses and gradients are summed.
    python tests/support/golden/model_t5.py tests/model/golden/t5.json
"""
import json, sys
import peft, torch, transformers
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention
from counter import hash_values, relrms, summary

torch.manual_seed(0)
torch.set_num_threads(1)


SIZES = dict(vocab_size=96, d_model=48, d_kv=12, num_heads=4, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
             dropout_rate=0.0, attn_implementation="eager")
CASES = {  # Flan-T5's form, with a head of its own; and the first T5's
    "flan": (T5Config(**SIZES, d_ff=80, num_layers=2, num_decoder_layers=2, feed_forward_proj="gated-gelu",
                      tie_word_embeddings=False, relative_attention_num_buckets=8, relative_attention_max_distance=12), True),
    "t5": (T5Config(**SIZES, d_ff=64, num_layers=1, num_decoder_layers=3, feed_forward_proj="relu"), False),
}
PROMPTS, LABELS = [11, 1, 23, 7], [6, 3, 1, 14]
R, ALPHA = 4, 6.0


def build(name, dtype=torch.float32):
    cfg, head = CASES[name]
    cfg = T5Config.from_dict(cfg.to_dict())
    cfg._attn_implementation = "eager"
    model = T5ForConditionalGeneration(cfg).float()
    if head:  # as Flan-T5's files have it: transformers 5 ties unless they differ
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    for tag, (n, p) in enumerate(model.named_parameters()):
        v = hash_values(tag, p.numel()).reshape(p.shape)
        p.data.copy_(1 + 0.5 * v if p.dim() == 1 else 0.4 * v if "relative" not in n else 3 * v)
    return model.to(dtype).eval()


def samples():
    toks = ((hash_values(1000, sum(PROMPTS) + sum(LABELS)) + 0.5) * 94).long() + 2
    at = 0
    for n, m in zip(PROMPTS, LABELS):
        yield toks[at:at + n], toks[at + n:at + n + m]
        at += n + m


def run(model):
    total, rows = 0.0, []
    for prompt, label in samples():
        logits = model(input_ids=prompt[None], labels=label[None]).logits[0]
        loss = torch.nn.functional.cross_entropy(logits.float(), label, reduction="sum")
        if loss.requires_grad:
            loss.backward()
        total += loss.item()
        rows.append(logits.detach().float())
    return total, torch.cat(rows)


def adapters(model):
    pm = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_2_SEQ_LM", r=R, lora_alpha=ALPHA, lora_dropout=0.0,
                                                    target_modules=["q", "k", "v", "o", "wi_0", "wi_1", "wi", "wo"]))
    names = []
    for n, p in pm.named_parameters():
        if p.requires_grad:
            p.data.copy_((0.5 * hash_values(2000 + len(names), p.numel())).reshape(p.shape))
            names.append(n.replace(".default", ""))
    return pm.eval(), names


def curve(model):
    """Mean losses of 20 steps of AdamW, clipped; step k sees samples k, k + 1 and k + 2 (of four)."""
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=5e-3, weight_decay=0.0)
    losses, all_samples = [], list(samples())
    for k in range(20):
        total, count = 0.0, 0
        opt.zero_grad()
        for i in range(3):
            prompt, label = all_samples[(k + i) % 4]
            logits = model(input_ids=prompt[None], labels=label[None]).logits[0]
            total = total + torch.nn.functional.cross_entropy(logits, label, reduction="sum")
            count += len(label)
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        losses.append(total.item() / count)
    return losses


def greedy(model):
    """The four prompts' answers of 64 tokens, or up to the end mark."""
    out = []
    for prompt, _ in samples():
        got = model.generate(input_ids=prompt[None], max_new_tokens=64, do_sample=False, num_beams=1, use_cache=False)[0]
        out.append(got[1:].tolist())  # without the start token
    return out


out = {"made_by": f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}",
       "prompts": PROMPTS, "labels": LABELS, "buckets": [], "cases": {}}
for n, far in ((32, 128), (8, 12), (16, 50), (64, 300)):
    rel = torch.arange(-far, far + 1)
    both = T5Attention._relative_position_bucket(rel, True, n, far).tolist()
    causal = T5Attention._relative_position_bucket(rel, False, n, far).tolist()
    out["buckets"].append({"n": n, "far": far, "both": both, "causal": causal})
for name in CASES:
    model = build(name)
    tensors = [[n, list(p.shape)] for n, p in model.named_parameters()]
    with torch.no_grad():
        base_loss, base_logits = run(model)
    run(model)
    full = {n: summary(i, p.grad, 3) for i, (n, p) in enumerate(model.named_parameters())}
    answers = greedy(build(name))
    pm, names = adapters(build(name))
    loss, logits = run(pm)
    grads = {n.replace(".default", ""): p.grad.clone() for n, p in pm.named_parameters() if p.requires_grad}
    lora_answers = greedy(pm)
    hpm, _ = adapters(build(name, torch.bfloat16))
    hloss, hlogits = run(hpm)
    hg = {n.replace(".default", ""): p.grad for n, p in hpm.named_parameters() if p.requires_grad}
    gap = relrms(torch.cat([hg[n].float().reshape(-1) for n in names]), torch.cat([grads[n].reshape(-1) for n in names]))
    cfg = model.config.to_dict()
    cfg["tie_word_embeddings"] = not CASES[name][1]
    cfg.pop("dtype", None)
    out["cases"][name] = {
        "config": cfg, "tensors": tensors, "base_loss": base_loss, "loss": loss, "base_logits": summary(900, base_logits, 3),
        "logits": summary(901, logits, 3), "logits_row0": logits[0].tolist(), "logits_last": logits[-1].tolist(), "full": full,
        "lora_names": names, "lora": [summary(i, grads[n], 3) for i, n in enumerate(names)], "answers": answers,
        "lora_answers": lora_answers, "curve_lora": curve(pm), "curve_full": curve(build(name)), "bf16_gap": {"loss": abs(hloss - loss) / loss, "logits": relrms(hlogits, logits), "grad": gap}}
    print(name, base_loss, loss, out["cases"][name]["bf16_gap"], [len(a) for a in answers])


def rounded(x):
    return float(f"{x:.9g}") if isinstance(x, float) else {k: rounded(v) for k, v in x.items()} if isinstance(x, dict) else \
        [rounded(v) for v in x] if isinstance(x, list) else x


text = json.dumps(rounded(out), separators=(",", ":"))
for key in ("cases", "tensors", "full", "lora", "answers", "curve_lora", "bf16_gap"):
    text = text.replace(f'"{key}":', f'\n"{key}":')
open(sys.argv[1], "w").write(text + "\n")
