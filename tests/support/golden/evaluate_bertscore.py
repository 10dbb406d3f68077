#!/usr/bin/env python3
"""Golden values for tests/evaluate/test_minilm_scores.c: BERTScore of all-MiniLM-L6-v2 by bert-score, one pair at a time
(no padding), and mean-pooled cosines by transformers.

    python tests/support/golden/evaluate_bertscore.py MODEL_DIR tests/evaluate/golden/bertscore_minilm.json
"""
import json, sys, warnings
import bert_score, torch, transformers
from transformers import AutoModel, AutoTokenizer

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
PAIRS = [("No acute cardiopulmonary abnormality.", "No acute cardiopulmonary process."),
         ("Moderate left pleural effusion with adjacent atelectasis, slightly increased.",
          "Enlarging moderate-sized left pleural effusion. Compressive atelectasis of the left lower lobe."),
         ("Normal.", "The liver is unremarkable. There is a 4 mm nonobstructing calculus in the lower pole of the right "
          "kidney. No hydronephrosis. Mild degenerative change of the lumbar spine."),
         ("Stable.", "Stable."), ("", "No pneumothorax."), ("1. No pneumothorax. 2. Small hiatal hernia.", ""),
         ("Disc bulge at L4-L5 with mild bilateral foraminal narrowing.",
          "L4-5: broad-based disc bulge; mild narrowing of both neural foramina."),
         ("Caf\u00e9-au-lait \u2265 5 mm, 10\u00b0 flexion", "cafe au lait over 5 mm; 10 degrees of flexion"),
         ("effusion " * 700, "pleural effusion")]
model = sys.argv[1]
tok = AutoTokenizer.from_pretrained(model)
# bert-score 0.3.13 calls this for an empty text; transformers 5 has it no more
type(tok).build_inputs_with_special_tokens = lambda t, ids: [t.cls_token_id] + ids + [t.sep_token_id]
net = AutoModel.from_pretrained(model, dtype=torch.float32).eval()


def mean(text):
    ids = tok(text.strip(), truncation=True, max_length=512, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return net(input_ids=ids).last_hidden_state[0].double().mean(0)


out = {"made_by": f"bert-score {bert_score.__version__}, transformers {transformers.__version__}, torch {torch.__version__}", "pairs": []}
rows = [{"prediction": p, "reference": r, "cosine": torch.cosine_similarity(mean(p), mean(r), dim=0).item()} for p, r in PAIRS]
for idf in (False, True):
    scorer = bert_score.BERTScorer(model_type=model, num_layers=5, idf=idf, idf_sents=[r for _, r in PAIRS], batch_size=1)
    scorer._tokenizer.model_max_length = 512
    for row, (p, r) in zip(rows, PAIRS):
        row["idf" if idf else "plain"] = [x.item() for x in scorer.score([p], [r])]
out["pairs"] = rows
json.dump(out, open(sys.argv[2], "w"), indent=0, ensure_ascii=True)
