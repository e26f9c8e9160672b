"""Wrong labels found: ours beside cleanlab's, on the same out-of-fold probabilities.

``python -m benchmarks.doctor.labels`` in an environment with cleanlab, scikit-learn and chainrule.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from chainrule.doctor import suspects

SEEDS = range(20, 30)
FLIPPED = 0.1


def flipped(y: Any, seed: int) -> tuple[Any, Any]:
    """The labels with a tenth of them changed, and which."""
    rng = np.random.default_rng(seed)
    classes = y.max() + 1
    rows = rng.permutation(len(y))[: int(FLIPPED * len(y))]
    labels = y.copy()
    labels[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    wrong = np.zeros(len(y), bool)
    wrong[rows] = True
    return labels, wrong


def main() -> None:
    """Print precision and recall, means over the seeds."""
    import sklearn.datasets
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    find_label_issues = importlib.import_module("cleanlab.filter").find_label_issues
    models = {
        "logistic regression": LogisticRegression(C=0.03, max_iter=500),
        "15 neighbours": KNeighborsClassifier(15),
    }
    print("| data | probabilities | precision | cleanlab | recall | cleanlab |")
    print("|---|---|---|---|---|---|")
    for data in ("digits", "wine", "breast_cancer"):
        x, y = getattr(sklearn.datasets, f"load_{data}")(return_X_y=True)
        for name, model in models.items():
            rows = []
            for seed in SEEDS:
                labels, wrong = flipped(y, seed)
                folds = StratifiedKFold(5, shuffle=True, random_state=seed)
                made = make_pipeline(StandardScaler(), model)
                p = cross_val_predict(made, x, labels, cv=folds, method="predict_proba")
                ours = np.isin(np.arange(len(y)), suspects(labels, p).rows)
                theirs = find_label_issues(labels, p)
                hits = [(found & wrong).sum() for found in (ours, theirs)]
                rows.append([hits[0] / ours.sum(), hits[1] / theirs.sum(),
                             hits[0] / wrong.sum(), hits[1] / wrong.sum()])  # fmt: skip
            means = " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
            print(f"| {data} | {name} | {means} |")


if __name__ == "__main__":
    main()
