"""Metrics as people write them: their names and their values."""

from __future__ import annotations

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
