#!/usr/bin/env python3
"""Run by test_peft: does PEFT load radmill's adapter and compute the same? DIR holds base/, adapter/, ids.json
({"ids": [...], "logits": [[...], ...]}); the adapter is loaded, compared, and saved again by PEFT into DIR/resaved.
With DIR/full present, the folder is loaded as a plain model instead of base + adapter.
"""
import json, os, sys
import peft, torch
from transformers import AutoModelForCausalLM

d = sys.argv[1]
want = json.load(open(d + "/ids.json"))
if os.path.isdir(d + "/full"):
    model = AutoModelForCausalLM.from_pretrained(d + "/full", dtype=torch.float32, attn_implementation="eager")
else:
    base = AutoModelForCausalLM.from_pretrained(d + "/base", dtype=torch.float32, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(base, d + "/adapter")
model.eval()
with torch.no_grad():
    got = model(input_ids=torch.tensor([want["ids"]])).logits[0]
ref = torch.tensor(want["logits"])
err = ((got - ref).double().pow(2).mean().sqrt() / ref.double().pow(2).mean().sqrt()).item()
print(f"peft {peft.__version__}: relative rms {err:.2e}")
if hasattr(model, "peft_config"):
    model.save_pretrained(d + "/resaved")
sys.exit(0 if err < 1e-5 else 1)
