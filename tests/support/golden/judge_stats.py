#!/usr/bin/env python3
"""Write judge_stats.jsonl: made-up numbers with Kendall's tau-b (scipy), isotonic regression (scikit-learn) and the
conformal quantile (numpy, method "inverted_cdf"). Run with a Python that has the three."""
import json
import math
import os

import numpy as np
import scipy
import sklearn
from scipy.stats import kendalltau
from sklearn.isotonic import IsotonicRegression

rng = np.random.default_rng(9)
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "judge_stats.jsonl"), "w") as f:
    f.write(json.dumps({"made_by": "judge_stats.py", "scipy": scipy.__version__, "scikit-learn": sklearn.__version__,
                        "numpy": np.__version__}) + "\n")
    for case in range(16):
        n = (2, 5, 40, 120)[case // 4]
        x = np.round(rng.normal(0, 1, n), (0, 1, 3, 6)[case % 4])
        y = np.clip(np.rint(3 + x * (-0.5, 0.3, 1, 2)[case % 4] + rng.normal(0, 1, n)), 1, 5)
        tau = kendalltau(x, y).statistic
        iso = IsotonicRegression(out_of_bounds="clip").fit(x, y)
        at = np.round(np.linspace(x.min() - 1, x.max() + 1, 13), 4)
        r = np.abs(y - iso.predict(x))
        level = math.ceil((n + 1) * 0.9 - 1e-9) / n
        q = float(np.quantile(r, level - 1e-12, method="inverted_cdf")) if level <= 1 else None
        f.write(json.dumps({"x": x.tolist(), "y": y.tolist(), "tau": 0 if np.isnan(tau) else float(tau),
                            "at": at.tolist(), "isotonic": [float(v) for v in iso.predict(at)],
                            "residuals": [float(v) for v in r], "quantile90": q}) + "\n")
