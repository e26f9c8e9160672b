"""The targets of a table, one or several: their names, what is learned of them, their metrics.

Several targets are learned by one network, with a head and a loss for each. A row that lacks one
of them trains the others. What is predicted of all lies side by side: a column for a number, more
with quantiles, a column for each class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema, Target
from ...errors import ConfigError
from ...utils.typing import Array
from ..evaluation import OF, constant_prediction, evaluate, row_errors
from ..intervals import interval_scores, weighted_quantile
from ..option_values import MisfitError
from ..option_values import names as split_names
from ..predictions import predictions
from ..tested import Answers
from .calibration import quality
from .heads import Head
from .thresholds import score_at

if TYPE_CHECKING:
    import polars as pl

#: The task of several targets, in reports.
SEVERAL = "several"


def named_targets(said: str, columns: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """The columns that ``--target`` names: one, or several with commas between.

    A column of exactly that name, comma included, is that column.

    Example:
        >>> named_targets("price,sold", ["price", "sold"], print)
        ['price', 'sold']
        >>> named_targets("price,sold", ["price", "sold", "price,sold"], print)
        the target is the column 'price,sold'; there are columns price and sold, too
        ['price,sold']
    """
    try:
        names = list(split_names(said))
    except MisfitError:
        names = [said]
    if said in columns or len(names) < 2:
        if len(names) > 1 and set(names) <= set(columns):
            say(f"the target is the column {said!r}; there are columns {' and '.join(names)}, too")
        return [said] if said in columns or not names else names
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError("A target is named twice.", found=f"{repeated!r} in {said!r}",
                          hint="Name each column once.")  # fmt: skip
    return names


def with_quantiles(schema: Schema, levels: Sequence[float]) -> Schema:
    """The schema whose targets of numbers are to have these quantiles.

    Raises:
        ConfigError: no target holds numbers.
    """
    if not levels:
        return schema
    if all(target.classes for target in schema.targets):
        raise ConfigError(
            "Quantiles are of numbers.",
            where=" and ".join(repr(target.name) for target in schema.targets),
            expected="a target of numbers",
            found=schema.targets[0].reason,
            hint="Omit --quantiles; predict --proba gives the probability of each class.",
        )
    return schema.with_targets(
        [
            t if t.classes else dataclasses.replace(t, quantiles=tuple(levels))
            for t in schema.targets
        ]
    )


# ---- what is learned -----------------------------------------------------------------------------


def learned(heads: Sequence[Head], values: Array) -> Array:
    """The target as the loss takes it.

    Args:
        heads: of the model.
        values: `chainrule.data.Encoded.target`.

    Returns:
        Of one target (rows,) scaled numbers or class indices. Of several (rows, 2 · targets)
        float32: these of each, 0 where it is missing, and then for each whether it is there.
    """
    if len(heads) == 1:
        return heads[0].encode(values)
    known = ~np.isnan(values)
    scaled = np.zeros((len(values), 2 * len(heads)), np.float32)
    for i, head in enumerate(heads):
        scaled[known[:, i], i] = head.encode(values[known[:, i], i])
    scaled[:, len(heads) :] = known
    return scaled


def loss_weights(schema: Schema, values: Array) -> list[float]:
    """What the loss of each target counts for, so that all matter alike.

    Each loss is measured in that of the best constant answer: 1 for standardised numbers, the
    entropy of the classes for a cross-entropy. What few rows have counts for more in these.

    Args:
        schema: with several targets, fitted.
        values: (rows, targets) of the training.
    """
    weights = []
    for i, target in enumerate(schema.targets):
        fraction = max(float((~np.isnan(values[:, i])).mean()), 1e-6)
        unit = 1.0
        if target.classes:
            p = np.array(target.class_counts) / max(sum(target.class_counts), 1)
            unit = max(float(-(p[p > 0] * np.log(p[p > 0])).sum()), 0.1)
        weights.append(1 / (fraction * unit))
    return weights


def strata(targets: Sequence[Target], values: Array) -> Array | None:
    """What a split keeps in proportion: the class of each row; None for numbers.

    Of several targets of classes the combinations of them, or the classes of the first if there are
    too many of these.
    """
    of_classes = [i for i, target in enumerate(targets) if target.classes]
    if not of_classes:
        return None
    if len(targets) == 1:
        return values
    combined = np.nan_to_num(values[:, of_classes], nan=-1)
    _, found = np.unique(combined, axis=0, return_inverse=True)
    if found.max() >= min(50, len(values) // 5):
        _, found = np.unique(combined[:, 0], return_inverse=True)
    return np.asarray(found.ravel())


# ---- what is predicted ---------------------------------------------------------------------------


def width(target: Target) -> int:
    """How many numbers are predicted of a target."""
    return len(target.classes) or 1 + len(target.quantiles)


def predicted_of(targets: Sequence[Target], found: Array) -> list[Array]:
    """What a model predicts, by target: (rows,) numbers, or (rows, classes) probabilities.

    Quantiles are left out; see `quantiles_of`.
    """
    return [part if target.classes else part[:, 0] for target, part in _parts(targets, found)]


def quantiles_of(targets: Sequence[Target], found: Array) -> list[Array]:
    """(rows, levels) the quantiles of each target; none of classes, and where none are learned."""
    return [
        part[:, :0] if target.classes else part[:, 1:] for target, part in _parts(targets, found)
    ]


def _parts(targets: Sequence[Target], found: Array) -> list[tuple[Target, Array]]:
    table = found.reshape(len(found), -1)
    ends = np.cumsum([width(target) for target in targets]).tolist()
    starts = [0, *ends[:-1]]
    parts = [table[:, a:b] for a, b in zip(starts, ends, strict=True)]
    if len(targets) > 1:  # probabilities of float32, which lie beside numbers of float64
        parts = [p.astype(np.float32) if t.classes else p
                 for t, p in zip(targets, parts, strict=True)]  # fmt: skip
    return list(zip(targets, parts, strict=True))


def table_of(targets: Sequence[Target], found: Array, proba: bool) -> pl.DataFrame:
    """Predictions as columns: ``prediction``, or the names of several targets, and quantiles.

    Args:
        targets: of the schema.
        found: what the model predicts.
        proba: the probability of each class, too.
    """
    import polars as pl

    several = len(targets) > 1
    parts = zip(targets, predicted_of(targets, found), quantiles_of(targets, found), strict=True)
    frames = []
    for target, part, quantiles in parts:
        best = decided(target, part)
        name = target.name if several else ""
        frames.append(predictions(part, target.classes, proba, name, best))
        names = [f"{target.name}_{level:g}" for level in target.quantiles]
        frames.append(pl.DataFrame(dict(zip(names, quantiles.T, strict=True))))
    return pl.concat(frames, how="horizontal")


def scores(
    targets: Sequence[Target], values: Array, found: Array, weights: Array | None = None
) -> dict[str, float]:
    """The metrics of each target on the rows that have it; ``r2 of price`` where there are several.

    Args:
        targets: of the schema.
        values: `chainrule.data.Encoded.target`.
        found: what the model, or a baseline, predicts.
        weights: (rows,) what each row counts for.
    """
    metrics: dict[str, float] = {}
    parts = zip(targets, predicted_of(targets, found), quantiles_of(targets, found), strict=True)
    for i, (target, part, quantiles) in enumerate(parts):
        known, own = _known(target, values.reshape(len(values), -1)[:, i])
        rows = None if weights is None else weights[known]
        own_metrics = evaluate(target.task, own, part[known], rows, decided(target, part[known]))
        own_metrics |= interval_scores(target.quantiles, own, quantiles[known], rows)
        end = f"{OF}{target.name}" if len(targets) > 1 else ""
        metrics |= {f"{name}{end}": value for name, value in own_metrics.items()}
    return metrics


def errors(
    targets: Sequence[Target], values: Array, found: Array, weights: Array | None = None
) -> Array:
    """The error of each row, to compare methods row by row: (rows,), or (rows, targets).

    Errors of rows with weights are multiplied by these, which are scaled to a mean of 1.
    """
    table = values.reshape(len(values), -1)
    errors = np.full(table.shape, np.nan)
    for i, (target, part) in enumerate(zip(targets, predicted_of(targets, found), strict=True)):
        known, own = _known(target, table[:, i])
        given = decided(target, part[known]) if target.threshold else part[known]
        errors[known, i] = row_errors(target.task, own, given)
    if weights is not None:
        errors *= (weights / (weights.mean() or 1.0))[:, None]
    return errors[:, 0] if len(targets) == 1 else errors


def decided(target: Target, probabilities: Array) -> Array | None:
    """The class index of each row: the most probable one, or by the threshold; None for numbers.

    Example:
        >>> from chainrule.data import Threshold
        >>> rare = Target("sold", "binary", "", None, ("no", "yes"))
        >>> rare = dataclasses.replace(rare, threshold=Threshold("yes", 0.2, "f1"))
        >>> decided(rare, np.array([[0.7, 0.3], [0.9, 0.1]])).tolist()
        [1, 0]
    """
    if not target.classes:
        return None
    if target.threshold is None:
        return np.asarray(probabilities.argmax(axis=1))
    positive = target.classes.index(target.threshold.positive)
    return np.where(probabilities[:, positive] >= target.threshold.value, positive, 1 - positive)


def answers(targets: Sequence[Target], values: Array, found: Array) -> list[Answers]:
    """What is right and what was predicted of each target, on the rows that have it."""
    answered = []
    parts = zip(targets, predicted_of(targets, found), quantiles_of(targets, found), strict=True)
    for i, (target, part, quantiles) in enumerate(parts):
        known, own = _known(target, values.reshape(len(values), -1)[:, i])
        ends = (quantiles[known][:, j] if quantiles.shape[1] > 1 else None for j in (0, -1))
        answered.append(
            Answers(
                target.name,
                target.task,
                own,
                part[known],
                target.classes,
                decided(target, part[known]),
                None,
                np.flatnonzero(known),
                *ends,
            )
        )
    return answered


def measured(
    targets: Sequence[Target],
    values: Array,
    before: Array,
    after: Array,
    weights: Array | None,
    calibrated: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """What calibration and threshold have changed on the test rows, for the report, by target.

    Args:
        targets: of the schema.
        values: `chainrule.data.Encoded.target`.
        before: predictions without temperatures.
        after: predictions with them.
        weights: (rows,) what each row counts for.
        calibrated: what held-out rows have said of each target.
    """
    found: dict[str, Any] = {}
    parts = zip(targets, predicted_of(targets, before), predicted_of(targets, after), strict=True)
    for i, (target, first, second) in enumerate(parts):
        if not target.classes:
            continue
        known, own = _known(target, values.reshape(len(values), -1)[:, i])
        rows = None if weights is None else weights[known]
        test = {
            name: quality(own, part[known], rows)
            for name, part in (("before", first), ("after", second))
        }
        told = {**calibrated.get(target.name, {}), "test": test}
        found.setdefault("calibration", {})[target.name] = told
        if target.threshold is not None:
            of = found.setdefault("threshold", {})
            of[target.name] = _threshold_measured(target, own, second[known], rows)
    return found


def _threshold_measured(
    target: Target, own: Array, found: Array, weights: Array | None
) -> dict[str, Any]:
    threshold = target.threshold
    assert threshold is not None
    number = target.classes.index(threshold.positive)
    p, positive = found[:, number], own == number
    counted = np.ones(len(own)) if weights is None else weights
    scores = {
        name: {
            "test": score_at(name, threshold.value, p, positive, counted),
            "test_at_half": score_at(name, 0.5, p, positive, counted),
        }
        for name in dict.fromkeys(
            [threshold.metric.partition("@")[0], "precision", "recall", "f1", "balanced_accuracy"]
        )
    }
    return {
        "class": threshold.positive,
        "threshold": threshold.value,
        "for": threshold.metric,
        "metrics": scores,
    }


def without_thresholds(schema: Schema) -> Schema:
    """The schema by which baselines are measured: a threshold is the network's own."""
    if all(target.threshold is None for target in schema.targets):
        return schema  # so that rows that are encoded by it are known again
    return schema.with_targets([dataclasses.replace(t, threshold=None) for t in schema.targets])


def constants(
    targets: Sequence[Target], values: Array, rows: int, weights: Array | None = None
) -> tuple[str, Array]:
    """The best constant answer: the mean, or how frequent each class is, and quantiles; its name.

    Example:
        >>> constants([Target("price", "regression", "")], np.array([1.0, 3.0]), 1)
        ('mean', array([[2.]]))
    """

    def constant(own: Array, target: Target, known: Array) -> Array:
        own_weights = None if weights is None else weights[known]
        _, found = constant_prediction(own, rows, len(target.classes), own_weights)
        quantiles = [weighted_quantile(own, level, own_weights) for level in target.quantiles]
        return np.hstack([found.reshape(rows, -1), np.tile(quantiles, (rows, 1))])

    name = "constant" if len(targets) > 1 else "majority" if targets[0].classes else "mean"
    return name, columns_of(targets, values, constant)


def columns_of(
    targets: Sequence[Target], values: Array, predict: Callable[[Array, Target, Array], Array]
) -> Array:
    """Predictions of each target side by side, learned from the rows that have it.

    Args:
        targets: of the schema.
        values: `chainrule.data.Encoded.target`.
        predict: takes the known values of a target, the target, and which rows these are of. What
            it does not say of the target, such as quantiles, is NaN.
    """
    found = []
    for i, target in enumerate(targets):
        known, own = _known(target, values.reshape(len(values), -1)[:, i])
        part = predict(own, target, known)
        part = part.reshape(len(part), -1)
        wanting = ((0, 0), (0, width(target) - part.shape[1]))
        found.append(np.pad(part, wanting, constant_values=np.nan))
    return np.concatenate(found, axis=1)


def _known(target: Target, values: Array) -> tuple[Array, Array]:
    """Which rows have a target, and its values there: numbers, or class indices."""
    known = ~np.isnan(values)
    own = values[known]
    return known, own.astype(np.int64) if target.classes else own


def about(targets: Sequence[Target]) -> dict[str, Any]:
    """The task and the name of the target; of several those of each, too."""
    if len(targets) == 1:
        return {"task": targets[0].task, "target": targets[0].name}
    return {
        "task": SEVERAL,
        "target": ", ".join(target.name for target in targets),
        "targets": [{"target": target.name, "task": target.task} for target in targets],
    }
