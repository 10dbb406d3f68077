#!/usr/bin/env python3
"""Write label_stats.jsonl: made-up ratings of several readers, with Krippendorff's alpha (ordinal) by the package
krippendorff and Cohen's kappa (quadratic) by scikit-learn. Run with a Python that has both."""
import json
import os
import warnings

import krippendorff
import numpy as np
import sklearn
from sklearn.metrics import cohen_kappa_score

warnings.filterwarnings("ignore")
rng = np.random.default_rng(8)
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "label_stats.jsonl"), "w") as f:
    f.write(json.dumps({"made_by": "label_stats.py", "krippendorff": "0.9.0", "scikit-learn": sklearn.__version__,
                        "numpy": np.__version__}) + "\n")
    for case in range(24):
        readers, items = 2 + case % 3, (3, 10, 60)[case // 8]
        truth = rng.integers(1, 6, items)
        noise = (0.0, 0.6, 1.2, 4.0)[case % 4]
        table = np.clip(np.rint(truth + rng.normal(0, noise, (readers, items))), 1, 5)
        missing = rng.random(table.shape) < (0.0, 0.3)[case // 2 % 2]
        table[missing] = np.nan
        both = ~np.isnan(table[0]) & ~np.isnan(table[1])
        try:
            alpha = krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
        except ValueError:
            continue
        kappa = cohen_kappa_score(table[0][both], table[1][both], weights="quadratic", labels=[1, 2, 3, 4, 5]) if both.any() else None
        if np.isnan(alpha) or kappa is None or np.isnan(kappa):
            continue
        f.write(json.dumps({"ratings": [[None if np.isnan(x) else int(x) for x in row] for row in table],
                            "alpha": float(alpha), "kappa": float(kappa)}) + "\n")
