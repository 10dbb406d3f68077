#!/usr/bin/env python3
"""Golden values for tests/model/test_smollm2.c: SmolLM2-135M from its GGUF by other people's code.

The weights come through the PyPI package gguf (its dequantize), the q and k rows are put back in the Hugging
Face order here, and transformers and PEFT compute. Nothing of radmill takes part.
    python tests/support/golden/model_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf tests/model/golden/smollm2.json
"""
import json, re, sys
import gguf, numpy, peft, torch, transformers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from counter import hash_values, relrms

torch.set_num_threads(2)
R, ALPHA = 16, 32
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load(path):
    r = gguf.GGUFReader(path)
    key = lambda k: r.get_field("llama." + k).contents()
    heads, kv, d = key("attention.head_count"), key("attention.head_count_kv"), key("embedding_length")
    cfg = LlamaConfig(hidden_size=d, intermediate_size=key("feed_forward_length"), num_hidden_layers=key("block_count"),
                      num_attention_heads=heads, num_key_value_heads=kv, vocab_size=49152, tie_word_embeddings=True,
                      max_position_embeddings=key("context_length"), rms_norm_eps=key("attention.layer_norm_rms_epsilon"),
                      rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base")}, attn_implementation="eager")
    names = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
             "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    sd = {}
    for t in r.tensors:
        w = torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(numpy.float32))
        m = re.match(r"blk\.(\d+)\.(\w+)\.weight", t.name)
        if m and m[2] in ("attn_q", "attn_k"):  # rotary pairs side by side -> halves
            n = heads if m[2] == "attn_q" else kv
            w = w.reshape(n, w.shape[0] // n // 2, 2, d).swapaxes(1, 2).reshape(w.shape)
        sd[f"model.layers.{m[1]}.{names[m[2]]}.weight" if m else
           {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[t.name]] = w
    model = LlamaForCausalLM(cfg).float()
    missing, extra = model.load_state_dict(sd, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not extra, (missing, extra)
    return model.eval()


def adapted(path, dtype):
    pm = peft.get_peft_model(load(path).to(dtype), peft.LoraConfig(r=R, lora_alpha=ALPHA, target_modules="all-linear"))
    for n, p in pm.named_parameters():
        if p.requires_grad:
            layer = int(n.split("layers.")[1].split(".")[0])
            tag = 2000 + (layer * 7 + MODULES.index(n.split(".lora_")[0].split(".")[-1])) * 2 + ("lora_B" in n)
            p.data.copy_((0.05 * hash_values(tag, p.numel())).reshape(p.shape))
    return pm.eval()


TEXTS = [("Findings: The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax.\nImpression:", " No acute cardiopulmonary process."),
         ("Findings: Small left pleural effusion. Mild bibasilar atelectasis.\nImpression:", " Small left effusion with atelectasis."),
         ("Findings: Degenerative change of the spine.\nImpression:", " No fracture.")]
path = sys.argv[1]
folder, file = path.rsplit("/", 1)
tok = AutoTokenizer.from_pretrained(folder, gguf_file=file)
samples = []
for prompt, answer in TEXTS:
    p, a = tok(prompt, add_special_tokens=False).input_ids, tok(answer, add_special_tokens=False).input_ids + [2]
    samples.append((p + a, len(p)))


def run(pm):
    total, rows = 0.0, []
    for ids, p in samples:
        t = torch.tensor(ids)
        pick = pm(input_ids=t[None]).logits[0][p - 1:len(t) - 1].float()
        loss = torch.nn.functional.cross_entropy(pick, t[p:], reduction="sum")
        loss.backward()
        total += loss.item()
        rows.append(pick.detach())
    return total, torch.cat(rows), [p.grad.detach().float().reshape(-1).double() for p in pm.parameters() if p.requires_grad]


loss, logits, grads = run(adapted(path, torch.float32))
hloss, hlogits, hgrads = run(adapted(path, torch.bfloat16))
base = load(path)
greedy = base.generate(torch.tensor([samples[0][0][:samples[0][1]]]), max_new_tokens=12, do_sample=False, pad_token_id=2,
                       eos_token_id=2)[0][samples[0][1]:].tolist()
num = lambda x: float(f"{x:.8g}")
pick = torch.linspace(0, logits.numel() - 1, 400).long()
out = {
    "made_by": f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}, gguf {__import__('importlib.metadata').metadata.version('gguf')}",
    "model": file, "samples": [{"ids": i, "prompt": p} for i, p in samples], "loss": num(loss), "greedy": greedy,
    "logits_norm": num(logits.double().norm().item()), "logits_at": {str(i): num(logits.reshape(-1)[i].item()) for i in pick.tolist()},
    "grad_norm": [num(g.norm().item()) for g in grads],
    "grad_dot": [num((g @ hash_values(5000 + i, g.numel()).double()).item()) for i, g in enumerate(grads)],
    "bf16_gap": {"loss": abs(hloss - loss) / loss, "logits": relrms(hlogits, logits), "grad": relrms(torch.cat(hgrads), torch.cat(grads))},
}
json.dump(out, open(sys.argv[2], "w"), indent=0)
print(loss, hloss, out["bf16_gap"], sum(len(i) for i, _ in samples), greedy, tok.decode(greedy))
