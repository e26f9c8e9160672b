"""Published rules, written anew, on the same evidence: what each would have said.

Thresholds are those of the publications: SageMaker Debugger's documentation, AUTOTRAINER (ICSE
2021), UMLAUT (CHI 2021), DeepLocalize (ICSE 2021). Where a rule needs what the evidence does not
have, the nearest there is stands for it; the comments say so. Names of rules are mapped to our
causes, so that the first one named can be compared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from .cases import Result


def sagemaker(result: Result) -> list[str]:
    """SageMaker Debugger's built-in rules."""
    e = result.evidence
    found = []
    if e.failure or any(not math.isfinite(m.loss) for m in e.measurements):
        found.append("exploding_gradient")  # ExplodingTensor: any NaN or infinity
    sizes = e.structure.sizes
    for m in e.measurements:
        # mean |g| of normal numbers is 0.8 of their root mean square
        if any(0.8 * g / math.sqrt(sizes[p]) < 1e-7 for p, g in m.gradient.items()):
            found.append("vanishing_gradient")
        if any(a.kind == "relu" and a.dead > 0.5 for a in m.activations.values()):
            found.append("dead_relu")
        # Ours are flatter ends than theirs (tanh beyond ±9.5), so this fires more often.
        if any(a.kind != "relu" and a.saturated > 0.5 for a in m.activations.values()):
            found.append("saturated_units")
        ratios = [m.update[p] / m.weight[p] for p in m.update if m.weight[p] > 0]
        if any(r > 10 for r in ratios):
            found.append("learning_rate_too_high")
        if any(r < 1e-8 for r in ratios):
            found.append("learning_rate_too_low")
    variances = [m**2 for m in e.structure.gains.values()]
    if variances and max(variances) > 10 * max(min(variances), 1e-30):
        found.append("bad_initialisation")
    losses, validated = e.series("loss"), e.series("val_loss")
    drops = [(a - b) / abs(a) if a else 0.0 for a, b in itertools.pairwise(losses)]
    if any(drop < 0.001 for drop in drops):
        found.append("learning_rate_too_low")  # LossNotDecreasing
    pairs = zip(losses, validated, strict=False)
    if any(v - t > 0.1 * abs(t) for t, v in pairs):
        found.append("overfitting")
    counts = [n for n in e.data.classes if n]
    if len(counts) > 1 and max(counts) > 10 * min(counts):
        found.append("class_imbalance")
    return list(dict.fromkeys(found))


def _accuracy(result: Result) -> float:
    """The accuracy on the training set, or what is explained of the variance."""
    e = result.evidence
    skill = e.outcome.train if e.outcome.train is not None else 0.0
    counts = e.data.classes
    if not counts or e.structure.task == "regression":
        return skill
    return 1 - (1 - skill) * (1 - max(counts) / sum(counts))


def autotrainer(result: Result) -> list[str]:
    """AUTOTRAINER's five symptoms; all but NaN wait for an accuracy below 0.6."""
    e = result.evidence
    found = []
    if e.failure or any(not math.isfinite(m.loss) for m in e.measurements):
        return ["exploding_gradient"]
    if _accuracy(result) >= 0.6:
        return []
    for m in e.measurements:
        paths = [p for p in m.gradient if p.endswith("weight")]
        if len(paths) < 2:
            continue
        first, last = m.gradient[paths[0]], m.gradient[paths[-1]]
        if first < 1e-4 and first < 1e-3 * last:
            found.append("vanishing_gradient")
        if first > 70 * last > 0:
            found.append("exploding_gradient")
        if any(a.kind == "relu" and a.dead >= 0.7 for a in m.activations.values()):
            found.append("dead_relu")
    losses = e.series("loss")
    # Their swings and slopes are of the accuracy; the loss stands for it.
    changes = np.diff(losses)
    if len(changes) and (np.mean(changes > 0.03) >= 0.2):
        found.append("learning_rate_too_high")
    elif len(losses) > 1 and abs(losses[0] - losses[-1]) < 0.01 * max(abs(losses[0]), 1e-12):
        found.append("learning_rate_too_low")
    return list(dict.fromkeys(found))


def umlaut(result: Result) -> list[str]:
    """UMLAUT's heuristics that do not depend on Keras' layers."""
    e = result.evidence
    found = []
    if e.data.not_finite:
        found.append("missing_values")
    if e.data.scale > 0.6:  # then some |x| is above 1
        found.append("unscaled_inputs")
    if not 1e-7 <= e.structure.lr <= 0.01:
        high = e.structure.lr > 0.01
        found.append("learning_rate_too_high" if high else "learning_rate_too_low")
    losses, validated = e.series("loss"), e.series("val_loss")
    steps = zip(np.diff(losses), np.diff(validated), strict=False)
    if any(t < 0 < v for t, v in steps):
        found.append("overfitting")
    if e.data.classes and _accuracy(result) > 0.95:
        found.append("leakage_column")
    if e.structure.linear_pairs:
        found.append("missing_nonlinearity")
    if e.structure.dropout > 0.5:
        found.append("over_regularised")
    return found


def deeplocalize(result: Result) -> list[str]:
    """DeepLocalize: NaN, zeros in half of the batches, or a loss that is stuck over five."""
    e = result.evidence
    if e.failure or any(m.not_finite or not math.isfinite(m.loss) for m in e.measurements):
        return ["exploding_gradient"]
    zeros = [any(g == 0 for g in m.gradient.values()) for m in e.measurements]
    if zeros and np.mean(zeros) >= 0.5:
        return ["vanishing_gradient"]
    losses = e.series("loss")
    stuck = 0
    for before, after in itertools.pairwise(losses):
        stuck = stuck + 1 if not after < before else 0
        if stuck >= 5:
            return ["learning_rate_too_low"]
    return []


BASELINES: dict[str, Callable[[Result], list[str]]] = {
    "SageMaker Debugger": sagemaker,
    "AUTOTRAINER": autotrainer,
    "UMLAUT": umlaut,
    "DeepLocalize": deeplocalize,
}
