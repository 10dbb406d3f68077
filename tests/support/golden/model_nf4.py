#!/usr/bin/env python3
"""Golden values for tests/model/test_quant.c from bitsandbytes' CPU quantiser: codes, double-quantised scales, and
what it makes of them again (rows of whole blocks: its CPU dequantiser, 0.50.2, is wrong on others). Inputs follow
from the counter hash of counter.py.
    python tests/support/golden/model_nf4.py tests/model/golden/nf4.json
"""
import json, sys
import torch
import bitsandbytes, bitsandbytes.functional as F
from counter import hash_values

out = {"made_by": f"bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}", "cases": []}
for tag, rows, cols in ((1, 36, 128), (2, 300, 64)):
    n = rows * cols
    x = hash_values(tag, n) * (1 + (torch.arange(n) // 64 % 7).float())
    q, s = F.quantize_4bit(x.reshape(rows, cols), blocksize=64, compress_statistics=True, quant_type="nf4")
    d = F.dequantize_4bit(q, s).flatten()
    out["cases"].append({"tag": tag, "rows": rows, "cols": cols, "codes": bytes(q.flatten().tolist()).hex(),
                         "scales": bytes(s.absmax.tolist()).hex(), "outer": s.state2.absmax.tolist(), "offset": s.offset.item(),
                         "values": d[::37].tolist(), "error": ((d - x).norm() / x.norm()).item()})
    print(rows, cols, out["cases"][-1]["error"])
    out["map"], out["book"] = s.state2.code.tolist(), s.code.tolist()
json.dump(out, open(sys.argv[1], "w"))
