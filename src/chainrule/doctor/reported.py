"""What the report of a training says of the network beside its baselines, as evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .evidence import Evidence

#: Baselines that give the same answer to all rows.
_CONSTANT = ("mean", "majority")


def add_report(evidence: Evidence, report: Mapping[str, Any]) -> None:
    """Skills on the test set, of the network and of the best of its baselines.

    Nothing is added where the report has neither R² nor accuracy, where several targets share it,
    or where the difference may be chance.

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
    if ours is None or not rivals:
        return
    best = max(rivals, key=lambda name: rivals[name])
    known = compared.get(best)
    clear = isinstance(known, Mapping) and bool(known.get("clear"))
    evidence.outcome.held_out = ours
    evidence.data.reference = rivals[best] if clear or rivals[best] <= ours else ours


def _skill(values: Mapping[str, Any], baselines: Mapping[str, Any]) -> float | None:
    r2, accuracy = values.get("r2"), values.get("accuracy")
    if isinstance(r2, float) and math.isfinite(r2):
        return r2
    frequent = (baselines.get("majority") or {}).get("accuracy")
    if not isinstance(accuracy, float) or not isinstance(frequent, float) or frequent >= 1:
        return None
    return (accuracy - frequent) / (1 - frequent)
