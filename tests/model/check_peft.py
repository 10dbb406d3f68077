#!/usr/bin/env python3
"""Run by test_peft: does PEFT load radmill's adapter and compute the same? DIR holds base/, adapter/, ids.json
({"ids": [...], "logits": [[...], ...]}); the adapter is loaded, compared, and saved again by PEFT into DIR/resaved.
With DIR/full present, the folder is loaded as a plain model instead of base + adapter.
"""
import json, os, sys
import peft, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

d = sys.argv[1]
want = json.load(open(d + "/ids.json"))
folder = d + "/full" if os.path.isdir(d + "/full") else d + "/base"
both = AutoConfig.from_pretrained(folder).is_encoder_decoder
load = (AutoModelForSeq2SeqLM if both else AutoModelForCausalLM).from_pretrained
if os.path.isdir(d + "/full"):
    model = load(folder, dtype=torch.float32, attn_implementation="eager")
else:
    base = load(folder, dtype=torch.float32, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(base, d + "/adapter")
model.eval()
with torch.no_grad():
    ids = torch.tensor([want["ids"]])
    got = model(input_ids=ids, **({"labels": ids} if both else {})).logits[0]
ref = torch.tensor(want["logits"])
err = ((got - ref).double().pow(2).mean().sqrt() / ref.double().pow(2).mean().sqrt()).item()
print(f"peft {peft.__version__}: relative rms {err:.2e}")
if hasattr(model, "peft_config"):
    model.save_pretrained(d + "/resaved")
sys.exit(0 if err < 1e-5 else 1)
