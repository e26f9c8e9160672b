"""What a report says in words: a simpler method is better, or the test set is too small to tell.

Two methods are compared on the same test rows, row by row (a paired comparison): what matters is
the mean of the differences of their errors, beside its standard error. The metric that stands
first in the report says which of the two is ahead; the comparison, whether that is more than
chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..metrics import METRICS
from ..utils.typing import Array
from .evaluation import OF

#: Baselines that say the same of every row, and what that is.
CONSTANT = {
    "mean": "always predicting the mean",
    "majority": "always predicting the most frequent class",
}
#: Differences of more standard errors than this are hardly chance: about 1 in 20 are.
_CLEAR = 2.0
#: Three decimals say nothing of an error in a large unit.
_SMALL = 0.01
_TITLES = {
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "roc_auc": "ROC AUC",
    "f1_macro": "macro F1",
    "log_loss": "log loss",
}


def compare(ours: Array, theirs: Array) -> dict[str, Any]:
    """By how much the errors of a baseline are larger, on the same rows.

    Args:
        ours: (rows,) errors of the network, such as squared ones.
        theirs: (rows,) errors of the baseline.

    Returns:
        The mean ``difference``, positive where the network is better, its ``standard_error``, None
        for a single row, and whether it is ``clear``: more than chance makes of so many rows.

    Example:
        >>> found = compare(np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0]))
        >>> found["difference"], round(found["standard_error"], 3), found["clear"]
        (0.5, 0.289, False)
    """
    change = np.asarray(theirs, float) - np.asarray(ours, float)
    known = change[np.isfinite(change)]
    mean = float(known.mean()) if len(known) else None
    if mean is None or len(known) < 2:
        return {"difference": mean, "standard_error": None, "clear": False}
    error = float(known.std(ddof=1) / math.sqrt(len(known)))
    # About the quantile of Student's distribution: the standard error of few rows is uncertain.
    clear = abs(mean) > (_CLEAR + 3.0 / (len(known) - 1)) * error
    return {"difference": mean, "standard_error": error, "clear": clear}


def compare_targets(ours: Array, theirs: Array) -> list[dict[str, float | None]]:
    """The same for each of several targets, with the number of rows that have it.

    Args:
        ours: (rows, targets), NaN where a target is missing.
        theirs: of the same shape.
    """
    rows = np.isfinite(ours).sum(axis=0)
    pairs = zip(ours.T, theirs.T, rows.tolist(), strict=True)
    return [compare(a, b) | {"rows": count} for a, b, count in pairs]


def verdicts(report: Mapping[str, Any], unit: str, more: str = "") -> str:
    """What is to be said of each of several targets; see `verdict`."""
    said = []
    for number, about in enumerate(report["targets"]):
        sentence = verdict(_of_target(report, number, about["target"], about["task"]), unit)
        said += [f"{about['target']}: {sentence}"] if sentence else []
    return " ".join([*said, more] if said and more else said)


def _of_target(report: Mapping[str, Any], number: int, name: str, task: str) -> dict[str, Any]:
    """The report of one of several targets, as if there were no others."""
    end = f"{OF}{name}"
    constant = "mean" if task == "regression" else "majority"

    def own(metrics: Mapping[str, Any]) -> dict[str, Any]:
        return {key.removesuffix(end): v for key, v in metrics.items() if key.endswith(end)}

    def called(baseline: str) -> str:
        return constant if baseline == "constant" else baseline

    found = {
        **report,
        "metrics": own(report["metrics"]),
        "baselines": {called(n): own(m) for n, m in (report.get("baselines") or {}).items()},
    }
    if compared := report.get("comparisons"):
        found["comparisons"] = {called(n): each[number] for n, each in compared.items()}
        found["tested"] = next(iter(found["comparisons"].values()))["rows"]
    return found


def verdict(report: Mapping[str, Any], unit: str, more: str = "") -> str:
    """Whether a baseline is better than the network, or may be; "" if the network is ahead.

    Args:
        report: with metrics, baselines and, where there are errors of single rows, comparisons.
        unit: what rows are called.
        more: what makes the test set larger, as a sentence.

    Example:
        >>> report = {"metrics": {"r2": 0.89}, "baselines": {"linear": {"r2": 0.99}}}
        >>> report |= {"rows": {"test": 500}, "cv": None}
        >>> report["comparisons"] = {"linear": {"difference": -4.0, "clear": True}}
        >>> verdict(report, "rows")
        'The linear baseline is better than the network: R² 0.990 against 0.890. Prefer it.'
    """
    metric = _telling_metric(report)
    baselines = report.get("baselines") or {}
    if metric is None or not baselines:
        return ""
    ahead = {name: _ahead(report, metric, name) for name in baselines}
    gains = {name: _gain(report, metric, name) for name in baselines}
    flat = [name for name in baselines if name in CONSTANT and gains[name] <= 0]
    if flat:
        return _no_better_than_constant(report, metric, flat[0], unit)
    rivals = [name for name in baselines if _known(baselines[name].get(metric))]
    if not rivals:
        return ""
    best = min(rivals, key=lambda name: _loss(metric, baselines[name][metric]))
    if ahead[best] > 0:
        return ""
    figures = _figures(report, metric, best)
    pair = [values[best][metric] for values in (baselines, {best: report["metrics"]})]
    alike = _short(pair[0]) == _short(pair[1])
    if gains[best] == 0 or alike:
        return f"The {best} baseline is as good as the network: {figures}."
    if ahead[best] < 0:
        return f"The {best} baseline is better than the network: {figures}. Prefer it."
    how = "ahead of" if gains[best] > 0 else "behind"
    return (
        f"The network is {how} {CONSTANT.get(best, f'the {best} baseline')} ({figures}), but "
        f"{_tested(report, unit)} are too few to tell which is better.{' ' * bool(more)}{more}"
    )


def _telling_metric(report: Mapping[str, Any]) -> str | None:
    """The first metric; where classes were balanced, one that does not favour frequent classes."""
    known = [name for name, value in report["metrics"].items() if _known(value)]
    if (report.get("options") or {}).get("balance"):
        known = [name for name in ("roc_auc", "f1_macro", "f1") if name in known] + known
    return known[0] if known else None


def _ahead(report: Mapping[str, Any], metric: str, name: str) -> int:
    """1 if the network is clearly better than a baseline, -1 if it is clearly worse, otherwise 0.

    Without errors of single rows, the metric decides.
    """
    gain = _gain(report, metric, name)
    compared = (report.get("comparisons") or {}).get(name)
    if compared is None:
        return int(np.sign(gain)) or -1
    if not compared["clear"] or np.sign(compared["difference"]) != np.sign(gain):
        return 0
    return int(np.sign(gain))


def _gain(report: Mapping[str, Any], metric: str, name: str) -> float:
    """By how much the network is better, by a metric; infinite where the baseline has none."""
    theirs = report["baselines"][name].get(metric)
    ours = report["metrics"][metric]
    return _loss(metric, theirs) - _loss(metric, ours) if _known(theirs) else math.inf


def _no_better_than_constant(report: Mapping[str, Any], metric: str, name: str, unit: str) -> str:
    figures = _figures(report, metric, name, reverse=True)
    ours, theirs = report["metrics"], report["baselines"][name]
    said = f"The network is no better than {CONSTANT[name]}: {figures} on {_tested(report, unit)}."
    probable = ours.get("log_loss"), theirs.get("log_loss")
    if all(map(_known, probable)) and probable[0] < 0.95 * probable[1]:
        return (
            f"{said} Its probabilities say more than the classes: log loss {probable[0]:.3f} "
            f"against {probable[1]:.3f}."
        )
    what = "other columns" if unit == "rows" else unit
    return f"{said} The {what} may say nothing of the target, or the data are too few."


def _figures(report: Mapping[str, Any], metric: str, name: str, reverse: bool = False) -> str:
    pair = report["metrics"][metric], report["baselines"][name][metric]
    if not reverse and _ahead(report, metric, name) < 0:
        pair = pair[::-1]
    title = _TITLES.get(metric, metric.replace("_", " "))
    return f"{title} {_short(pair[0])} against {_short(pair[1])}"


def _short(value: float) -> str:
    if 0 < abs(value) < _SMALL:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.4g}"


def _tested(report: Mapping[str, Any], unit: str) -> str:
    """How much was tested, in words."""
    rows = report.get("tested") or report["rows"]["test"]
    return f"{rows:,} test {unit}"


def _loss(metric: str, value: float) -> float:
    """Smaller is better."""
    return -value if metric in METRICS and METRICS[metric].higher_is_better else value


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
