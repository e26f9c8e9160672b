"""What the report of a training says of the network beside its baselines, as evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .evidence import Evidence

#: Baselines that give the same answer to all rows; of a forecast, that nothing changes.
_CONSTANT = ("mean", "majority", "unigram", "persistence")
#: Errors of texts, as a fraction of what is right: 1 for those that say nothing.
_ERROR_RATES = ("character_error_rate", "word_error_rate")
#: Where the report does not say whether a difference is clear, it is from this skill on.
_CLEAR = 0.1


def add_report(evidence: Evidence, report: Mapping[str, Any]) -> None:
    """Skills on the test set, of the network and of the best of its baselines.

    The skill is R², or how much better accuracy, or another error, is than that of a constant.
    Nothing is added where several targets share the report, or where there is no constant; a
    difference that may be chance is none.

    Args:
        evidence: of the training.
        report: as `chainrule.tasks.result.TrainingResult.report` has it.

    Example:
        >>> evidence = Evidence()
        >>> add_report(evidence, {"metrics": {"r2": 0.1}, "baselines": {"linear": {"r2": 0.9}},
        ...                       "comparisons": {"linear": {"clear": True}}})
        >>> evidence.outcome.held_out, evidence.data.reference
        (0.1, 0.9)
    """
    metrics, baselines = report.get("metrics") or {}, report.get("baselines") or {}
    compared = report.get("comparisons") or {}
    ours = _skill(metrics, baselines)
    rivals = {
        name: skill
        for name, values in baselines.items()
        if name not in _CONSTANT and (skill := _skill(values, baselines)) is not None
    }
    if any(name == "persistence" for name in baselines):
        rivals["persistence"] = 0.0  # a forecast that is worse than that is no good
    if ours is None or not rivals:
        return
    best = max(rivals, key=lambda name: rivals[name])
    # What is compared row by row is the first metric.
    first = next(iter(metrics))
    by_rate = any(rate in metrics for rate in _ERROR_RATES) and first not in _ERROR_RATES
    known = None if by_rate else compared.get(best)
    clear = known["clear"] if isinstance(known, Mapping) else rivals[best] - ours > _CLEAR
    evidence.outcome.held_out = ours
    evidence.data.reference = rivals[best] if clear or rivals[best] <= ours else ours


def _skill(values: Mapping[str, Any], baselines: Mapping[str, Any]) -> float | None:
    if (r2 := _number(values, "r2")) is not None:
        return r2
    for rate in _ERROR_RATES:
        if (wrong := _number(values, rate)) is not None:
            return 1 - wrong
    constants = [baselines[name] for name in _CONSTANT if name in baselines]
    if not constants or not values:
        return None
    name = "accuracy" if "accuracy" in values else next(iter(values))
    value, base = _number(values, name), _number(constants[0], name)
    if value is None or base is None:
        return None
    best = 1.0 if name == "accuracy" else 0.0
    return (value - base) / (best - base) if base != best else None


def _number(values: Mapping[str, Any], name: str) -> float | None:
    found = values.get(name)
    return found if isinstance(found, float) and math.isfinite(found) else None
