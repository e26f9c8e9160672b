"""Metrics as people write them: their names and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

from ..drawing.blocks import Table, table
from ..utils.numbers import number

_TITLES = {
    "r2": "R²", "rmse": "RMSE", "mae": "MAE", "roc_auc": "ROC AUC", "f1": "F1",
    "f1_macro": "F1 (macro)", "mase": "MASE",
}  # fmt: skip


def score(metric: str, value: float | None) -> str:
    """The value of a metric.

    Example:
        >>> score("r2", -4e-6), score("rmse", 0.00012), score("rmse", 113412.7)
        ('0.0000', '0.00012', '113,413')
    """
    if value is None or not best_is_one(metric) or abs(value) >= 1000:
        return number(value)
    return f"{value:z.4f}"


def title(metric: str) -> str:
    """The name of a metric as people write it."""
    known = _metric(metric)
    of = metric.removeprefix(known)
    if known.startswith(("coverage_", "width_")):  # of an interval between two quantiles
        what, low, high = known.split("_")
        stated = f" ({float(high) - float(low):.4g} stated)" if what == "coverage" else ""
        return f"{what} {low} to {high}{stated}{of}"
    return _TITLES.get(known, known.replace("_", " ")) + of


def best_is_one(metric: str) -> bool:
    """Whether 1 is the best value; or 0, as that of an error."""
    from ..metrics import METRICS

    known = _metric(metric)
    return known in METRICS and METRICS[known].higher_is_better


def _metric(name: str) -> str:
    from .evaluation import metric_of

    return metric_of(name)


def score_table(report: Mapping[str, Any], caption: str = "") -> Table | None:
    """The metrics of a report beside those of the baselines; None if nothing was tested.

    Args:
        report: of a training, with ``metrics``, ``baselines`` and ``cv``.
        caption: of the table.
    """

    def known(value: Any) -> Mapping[str, Any]:
        return value if isinstance(value, Mapping) else {}

    baselines = {name: known(each) for name, each in known(report.get("baselines")).items()}
    folds = [known(fold) for fold in known(report.get("cv")).get("metrics") or []]
    rows, marked = [], []
    for i, (name, value) in enumerate(known(report.get("metrics")).items()):
        values = [value, *(each.get(name) for each in baselines.values())]
        texts = [score(name, each) for each in values]
        texts[0] += _deviation([fold.get(name) for fold in folds])
        rows.append((title(name), *texts))
        marked += [(i, 1 + j) for j in _best(name, values)]
    heads = ("metric", "#network", *(f"#{name}" for name in baselines))
    return table(heads, rows, marked=tuple(marked), caption=caption)


def _deviation(values: Sequence[Any]) -> str:
    """The standard deviation over the parts of a cross-validation."""
    known = [value for value in values if isinstance(value, int | float)]
    return f" ± {number(stdev(known))}" if len(known) > 1 else ""


def _best(name: str, values: Sequence[Any]) -> list[int]:
    """The places of the best value, if there is more than one."""
    known = [value for value in values if isinstance(value, int | float)]
    if len(set(known)) < 2 or name.startswith("coverage_"):
        return []
    best = (max if best_is_one(name) else min)(known)
    return [i for i, value in enumerate(values) if value == best]
