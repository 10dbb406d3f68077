#!/usr/bin/env python3
"""Run by test_transformers: tiny random models of every family, made and saved by transformers, and what
transformers and PEFT compute with them. DIR/NAME holds the model folder (safetensors in shards, in f16, in bf16, or
pytorch_model.bin), adapter/ (PEFT), want.safetensors: tokens I32, cu, rows, labels, logits of the rows, row_loss (T5:
tokens and cu are the encoder's, label_cu the labels' starts), one grad.<PEFT key> a trained tensor, greedy I32 (64 tokens after `prompt`), and the reference's own bf16 gaps.
"""
import json, os, sys
import peft, torch, transformers
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, T5Config,
                          T5ForConditionalGeneration)

torch.set_num_threads(1)
out = sys.argv[1]
LENGTHS, PROMPTS = [23, 9, 40, 2], [11, 4, 30, 1]
NEW = 64


def llama(**kw):
    d = dict(hidden_size=64, intermediate_size=112, num_hidden_layers=3, vocab_size=160, num_attention_heads=4,
             num_key_value_heads=4, max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
             tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    d.update(kw)
    return LlamaForCausalLM, LlamaConfig(**d, attn_implementation="eager")


def mistral(**kw):
    d = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, vocab_size=144, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, sliding_window=None,
             tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    d.update(kw)
    return MistralForCausalLM, MistralConfig(**d, attn_implementation="eager")


def t5(**kw):
    d = dict(vocab_size=128, d_model=64, d_kv=20, d_ff=112, num_heads=4, num_layers=2, num_decoder_layers=2,
             relative_attention_num_buckets=16, relative_attention_max_distance=24, decoder_start_token_id=0, dropout_rate=0.0)
    d.update(kw)
    return T5ForConditionalGeneration, T5Config(**d, attn_implementation="eager")


LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
R = dict(r=4, lora_alpha=8)
# name: (model, how it is saved, adapter)
CASES = {
    # Llama-1 and 2: as many key heads as query heads, untied; config of transformers 4, weights by torch.save
    "llama2": (llama(), "bin", dict(R, target_modules=["q_proj", "v_proj"])),
    "llama2_legacy": (llama(num_hidden_layers=1), "legacy", dict(R, target_modules="all-linear")),
    # Llama-3.1: grouped heads, scaled frequencies, untied, in shards
    "llama31": (llama(num_key_value_heads=2, rope_parameters=LLAMA3), "shards",
                dict(R, target_modules="all-linear", use_rslora=True)),
    # Llama-3.2: the same, tied
    "llama32": (llama(num_key_value_heads=1, rope_parameters=dict(LLAMA3, factor=32.0), tie_word_embeddings=True), "one",
                dict(R, target_modules=r".*\.(q|k|down)_proj", rank_pattern={"k_proj": 2, "layers.1.mlp.down_proj": 6},
                     alpha_pattern={r"layers\.[02]\.self_attn\.q_proj": 3})),
    "llama_linear": (llama(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}), "f16",
                     dict(R, target_modules=["q_proj", "up_proj"], layers_to_transform=[1, 2], layers_pattern="layers")),
    # stretched contexts: yarn in transformers 4's form, samples beyond the original length; longrope below its border
    "llama_yarn": (llama(num_key_value_heads=2, rope_parameters={
        "rope_type": "yarn", "rope_theta": 500.0, "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 2.0,
        "beta_slow": 0.2, "attention_factor": 1.3}), "bin", dict(R, target_modules="all-linear")),
    "llama_longrope": (llama(num_key_value_heads=2, rope_parameters={
        "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 128,
        "short_factor": [1 + 0.1 * i for i in range(8)], "long_factor": [1.5 + 2.7 * i for i in range(8)]}), "one",
        dict(R, target_modules=["q_proj", "k_proj", "down_proj"])),
    "dora": (llama(num_key_value_heads=2, num_hidden_layers=2), "one",
             dict(R, target_modules=["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"], use_dora=True)),
    # Mistral 7B v0.1: a sliding window shorter than the samples
    "mistral7": (mistral(sliding_window=8, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), "bf16",
                 dict(R, target_modules="all-linear", exclude_modules=["o_proj"])),
    # Mistral Small 22B: heads * head_dim is not the model's width
    "mistral22": (mistral(head_dim=24), "one", dict(R, target_modules="all-linear")),
    # T5 v1.1 and Flan-T5: gated, head not scaled; the first T5: relu, tied, scaled
    "t5_v11": (t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False), "shards",
               dict(R, target_modules="all-linear")),
    "t5_v10": (t5(), "bf16", dict(R, target_modules=["q", "v"])),
    "t5_dora": (t5(feed_forward_proj="gated-gelu"), "one", dict(R, target_modules="all-linear", use_dora=True)),
    "t5_parts": (t5(num_layers=3, num_decoder_layers=2, feed_forward_proj="gated-silu"), "one",
                 dict(R, target_modules=r".*EncDecAttention\.(k|o)|encoder\.block\.1\..*\.wo", rank_pattern={"k": 2})),
}


def tokenizer(d):
    """A byte-level BPE of letters with Llama 3's pre-tokenizer: enough for GGUF's vocabulary."""
    letters = ["<s>", "</s>", "<eot>"] + [chr(c) for c in range(97, 123)] + ["\u0120", "ab", "\u0120a", "abc"]
    regex = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
             r"|\s+(?!\S)|\s+")
    byte = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, t in enumerate(letters[:3])]
    t = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
             {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}, byte]},
         "post_processor": {"type": "TemplateProcessing", "single": [
             {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
             "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
         "decoder": byte, "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False,
                                    "ignore_merges": True, "vocab": {t: i for i, t in enumerate(letters)},
                                    "merges": ["a b", "\u0120 a", "ab c"]}}
    json.dump(t, open(d + "/tokenizer.json", "w"))
    json.dump({"chat_template": "{{ messages }}"}, open(d + "/tokenizer_config.json", "w"))


def samples(vocab):
    g = torch.Generator().manual_seed(5)
    return [torch.randint(3, vocab, (n,), generator=g) for n in LENGTHS]


def save(model, how, d):
    if how in ("f16", "bf16"):
        model = model.to(torch.float16 if how == "f16" else torch.bfloat16)
    if how in ("bin", "legacy"):
        os.makedirs(d, exist_ok=True)
        c = model.config.to_dict()
        rope = c.pop("rope_parameters")
        theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
        c.update(rope_theta=theta, rope_scaling=dict(rope, type=kind) if kind != "default" else None,
                 torch_dtype="float32", model_type="llama")
        c.pop("dtype", None)
        json.dump(c, open(d + "/config.json", "w"))
        torch.save(model.state_dict(), d + "/pytorch_model.bin", _use_new_zipfile_serialization=how == "bin")
    else:
        model.save_pretrained(d, max_shard_size="100KB" if how == "shards" else "1GB")
        model = type(model).from_pretrained(d, dtype=torch.float32, attn_implementation="eager")
    return model


def run(model, toks):
    """Logits of the loss rows and their losses; gradients of the sum stay in the model."""
    logits, losses = [], []
    for t, p in zip(toks, PROMPTS):
        if model.config.is_encoder_decoder:
            out = model(input_ids=t[None, :p], labels=t[None, p:]).logits[0].float()
        else:
            out = model(input_ids=t[None]).logits[0][p - 1:len(t) - 1].float()
        l = torch.nn.functional.cross_entropy(out, t[p:], reduction="none")
        l.sum().backward()
        logits.append(out.detach())
        losses.append(l.detach())
    return torch.cat(logits), torch.cat(losses)


def adapt(model, kw):
    torch.manual_seed(7)
    m = peft.get_peft_model(model, peft.LoraConfig(
        lora_dropout=0.0, task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM", **kw))
    g = torch.Generator().manual_seed(9)
    for n, p in m.named_parameters():
        if "lora_B" in n:
            p.data.copy_(0.1 * torch.randn(p.shape, generator=g))
        if "magnitude" in n:
            p.data.mul_(1 + 0.2 * torch.rand(p.shape, generator=g))
    return m.eval()


def grads(m):
    return {n.replace(".default.weight", "" if "magnitude" in n else ".weight").replace(".default", ""): p.grad.float().clone()
            for n, p in m.named_parameters() if p.requires_grad}


def greedy(m, t):
    if m.config.is_encoder_decoder:
        ids = [0]
        with torch.no_grad():
            for _ in range(NEW):
                ids.append(m(input_ids=t[None], decoder_input_ids=torch.tensor([ids])).logits[0, -1].argmax().item())
        return ids[1:]
    ids = t.tolist()
    with torch.no_grad():
        for _ in range(NEW):
            ids.append(m(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item())
    return ids[len(t):]


def relrms(a, b):
    return (a - b).double().norm().item() / b.double().norm().item()


for name, ((cls, cfg), how, kw) in CASES.items():
    if len(sys.argv) > 2 and name not in sys.argv[2:]:
        continue
    torch.manual_seed(3)
    cfg.initializer_range = 0.08
    cfg.initializer_factor = 0.5
    base = save(cls(cfg), how, f"{out}/{name}")
    state = {k: v.clone() for k, v in base.state_dict().items()}
    toks = samples(cfg.vocab_size)
    m = adapt(base, kw)
    m.save_pretrained(f"{out}/{name}/adapter")
    logits, loss = run(m, toks)
    g = grads(m)
    want = {"grad." + k: v for k, v in g.items()}
    want["greedy"] = torch.tensor(greedy(m, toks[0][:PROMPTS[0]]), dtype=torch.int32)
    # the reference's own bf16 against its f32
    half = cls(cfg)
    half.load_state_dict(state)
    h = adapt(half.to(torch.bfloat16), kw)
    peft.set_peft_model_state_dict(h, peft.get_peft_model_state_dict(m))
    for p in h.parameters():
        p.data = p.data.to(torch.bfloat16)
    hl, hloss = run(h, toks)
    hg = grads(h)
    keys = sorted(g)
    want["gap"] = torch.tensor([relrms(hl, logits), relrms(torch.cat([hg[k].flatten() for k in keys]),
                                                           torch.cat([g[k].flatten() for k in keys]))])
    at, rows, labels = 0, [], []
    for t, p in zip(toks, PROMPTS):
        rows += range(at + p - 1, at + len(t) - 1)
        labels += t[p:].tolist()
        at += len(t)
    i32 = lambda v: torch.tensor(v, dtype=torch.int32)
    starts = lambda lengths: i32([sum(lengths[:i]) for i in range(len(lengths) + 1)])
    if cfg.is_encoder_decoder:
        want.update(tokens=torch.cat([t[:p] for t, p in zip(toks, PROMPTS)]).int(), cu=starts(PROMPTS),
                    label_cu=starts([n - p for n, p in zip(LENGTHS, PROMPTS)]))
    else:
        want.update(tokens=torch.cat(toks).int(), cu=starts(LENGTHS), rows=i32(rows))
    want.update(labels=i32(labels), logits=logits, loss=loss, prompt=i32([PROMPTS[0]]))
    save_file({k: v.contiguous() for k, v in want.items()}, f"{out}/{name}/want.safetensors")
    json.dump({n: list(p.shape) for n, p in g.items()}, open(f"{out}/{name}/trained.json", "w"))
    tokenizer(f"{out}/{name}")
    print(name, "loss", loss.sum().item(), "gap", want["gap"].tolist())
print(f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}")
