"""What the examples say before the first step: scales, copies, leaks, shifts, labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine import pytree
from ..training import Arrays
from ..utils.random import generator
from ..utils.typing import Array
from .evidence import Data
from .quick_models import MOST_FEATURES, neighbours, quick_reference, standardised

#: More rows than this, evenly taken, say nothing more.
_MOST_ROWS = 4000
_MOST_NEIGHBOURS = 1500
#: Fewer rows than this prove nothing.
_FEWEST = 30
#: Features with more different values than this are not discrete.
_DISCRETE = 20
_CORRELATION, _PURITY = 0.999, 0.998
_AROUND = 15
#: Classes whose values are apart by so many standard deviations of the feature are copies.
_GAP = 0.1
#: The last of several counts is rarer than this, beside the most frequent one.
_TAIL = 0.2


def data_facts(
    train: Arrays, held_out: Arrays | None, task: str, *, lints: bool = True, prepared: bool = False
) -> Data:
    """The facts of the examples.

    Args:
        train: the training set.
        held_out: the validation set.
        task: "regression", "multiclass", "binary" or empty.
        lints: whether the features are the user's own numbers; where they were prepared by
            chainrule, single features mean nothing to the user.
        prepared: whether chainrule made the arrays of a file: targets that are not known are NaN
            then, and its loss leaves them out.
    """
    found = Data(rows=len(train), held_out=0 if held_out is None else len(held_out))
    train, held_out = _some(train), None if held_out is None else _some(held_out)
    x, y = _features(train), _target(train, task)
    numbers = train.inputs if prepared else (train.inputs, train.target)
    parts = [leaf for leaf in pytree.flatten(numbers)[0] if leaf.dtype.kind == "f"]
    found.not_finite = int(sum(np.size(a) - np.isfinite(a).sum() for a in parts))
    classes = _class_count(y, task)
    if y is not None:
        _add_target(found, y, classes)
    if x is None or found.not_finite or not lints:
        return found
    found.features = x.shape[1]
    _add_scales(found, x)
    z = t = None
    if held_out is not None:
        z, t = _features(held_out), _target(held_out, task)
        if z is None or z.shape[1] != x.shape[1] or not np.isfinite(z).all():
            z = t = None
    if y is None or len(x) < _FEWEST:
        return found
    if t is not None and classes:
        found.held_out_classes = np.bincount(t.astype(int), minlength=classes).tolist()
    found.target_copy = _target_copy(x, y, classes)
    if found.target_copy is not None and classes:
        found.target_apart = _apart(x[:, found.target_copy[0]], y)
    found.sorted = _sortedness(y, classes)
    _add_reference(found, x, y, classes, None if z is None or t is None else (z, t))
    if x.shape[1] <= MOST_FEATURES:
        _add_neighbourhood(found, x, y, classes, z)
    if z is not None and len(z) >= _FEWEST:
        _add_shift(found, x, z, _class_weights(y, t, classes))
    return found


def _some(examples: Arrays) -> Arrays:
    if len(examples) <= _MOST_ROWS:
        return examples
    return examples.take(np.arange(_MOST_ROWS) * len(examples) // _MOST_ROWS)


def _features(examples: Arrays) -> Array | None:
    """(rows, features) in float64, if the inputs are one array of numbers."""
    leaves = pytree.flatten(examples.inputs)[0]
    if len(leaves) != 1 or leaves[0].dtype.kind != "f" or leaves[0].ndim < 2:
        return None
    return np.asarray(leaves[0].reshape(len(examples), -1), np.float64)


def _target(examples: Arrays, task: str) -> Array | None:
    """(rows,) numbers or class indices."""
    y = examples.target
    if y is None or not task:
        return None
    if y.ndim > 1 and y.shape[-1] > 1 and y.ndim == 2:
        one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        return np.asarray(y.argmax(axis=1)) if one_hot else None
    if y.size != len(examples):
        return None
    y = y.reshape(-1)
    if task == "regression":
        return np.asarray(y, np.float64)
    return np.asarray(y, np.int64) if (y == np.round(y)).all() and y.min() >= 0 else None


def _class_count(y: Array | None, task: str) -> int:
    """How many classes; of numbers that are few integers from 0 also, if they look like that."""
    if y is None or not np.isfinite(y).all():
        return 0
    if y.dtype.kind in "iu":
        return int(y.max()) + 1
    return 0


def looks_like_classes(y: Array) -> int:
    """How many classes numbers are, if they are few different integers from 0 without a gap.

    Example:
        >>> import numpy as np
        >>> looks_like_classes(np.array([0.0, 1.0, 2.0] * 20)), looks_like_classes(np.arange(60.0))
        (3, 0)
        >>> looks_like_classes(np.repeat([0.0, 1.0, 2.0, 3.0], [30, 20, 9, 3]))  # counts
        0
    """
    if len(y) < _FEWEST or not np.isfinite(y).all():
        return 0
    values, counts = np.unique(y, return_counts=True)
    if len(values) > min(_DISCRETE, len(y) // 10) or (values != np.arange(len(values))).any():
        return 0
    # Counts of something have one peak and a long tail, which indices of classes hardly have.
    peak = int(counts.argmax())
    one_peak = (np.diff(counts[peak:]) <= 0).all() and (np.diff(counts[: peak + 1]) >= 0).all()
    if len(values) >= 4 and one_peak and counts[-1] < _TAIL * counts[peak]:
        return 0
    return len(values)


def _add_target(found: Data, y: Array, classes: int) -> None:
    if classes:
        found.classes = np.bincount(y.astype(int), minlength=classes).tolist()
    elif np.isfinite(y).all() and len(y):
        found.target_scale = float(np.sqrt((y * y).mean()))
        found.target_deviation = float(y.std())
        found.target_low, found.target_high = float(y.min()), float(y.max())
        count = looks_like_classes(y)
        if count:
            found.classes = np.bincount(y.astype(int), minlength=count).tolist()


def _add_scales(found: Data, x: Array) -> None:
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    size = np.sqrt((x * x).mean(axis=0))
    varying = deviation > 1e-9 * (np.abs(mean) + 1e-30)
    found.constant = np.flatnonzero(~varying).tolist()
    if not varying.any():
        return
    found.widest = int(np.argmax(size))
    found.scale = float(size.max())
    found.offset = float((np.abs(mean[varying]) / deviation[varying]).max())
    found.spread = float(deviation[varying].max() / deviation[varying].min())
    unit = (x - mean)[:, varying] / deviation[varying]
    seen: dict[bytes, int] = {}
    for column, values in zip(np.flatnonzero(varying), np.round(unit, 5).T, strict=True):
        values = values * (1 if values[np.argmax(np.abs(values))] > 0 else -1) + 0.0
        first = seen.setdefault(values.tobytes(), int(column))
        if first != column:
            found.duplicates.append((first, int(column)))


def _target_copy(x: Array, y: Array, classes: int) -> tuple[int, float] | None:
    """The feature that is the target in another form."""
    scores = []
    for column in range(x.shape[1]):
        values = x[:, column]
        if np.ptp(values) == 0:
            continue
        if classes:
            groups = np.unique(values, return_inverse=True)[1]
            if groups.max() >= max(2 * classes, 3) and classes > 1:
                score = _ordered_purity(values, y, classes)
            else:
                table = np.zeros((groups.max() + 1, classes))
                np.add.at(table, (groups, y.astype(int)), 1)
                score = float(table.max(axis=1).sum() / len(y))
            others = len(y) - np.bincount(y.astype(int)).max()  # than the most frequent class
            if others < _FEWEST / 3 or (1 - score) * len(y) > 0.02 * others:
                continue
        else:
            pairs = ((values, y), (_ranks(values), _ranks(y)))
            score = max(abs(float(np.corrcoef(a, b)[0, 1])) for a, b in pairs)
        scores.append((score, column))
    if not scores or np.ptp(y) == 0:
        return None
    scores.sort(reverse=True)
    score, column = scores[0]
    return (column, score) if score >= (_PURITY if classes else _CORRELATION) else None


def _ordered_purity(values: Array, y: Array, classes: int) -> float:
    """How well intervals of a feature, one for each class, tell the class: rows in order."""
    order = np.argsort(values, kind="stable")
    labels = y[order]
    changes = int((np.diff(labels) != 0).sum())
    return 1 - max(changes - (len(np.unique(labels)) - 1), 0) / len(labels)


def _apart(values: Array, y: Array) -> bool:
    """Whether the values of each class are apart from those of others, as in a copy of the class.

    If not, the class is where a threshold of the feature puts it, as in a grade from a score.
    """
    order = np.argsort(values, kind="stable")
    borders = np.flatnonzero(np.diff(y[order]) != 0)
    gaps = np.diff(values[order])[borders]
    return bool(np.median(gaps) > _GAP * values.std()) if len(gaps) else False


def _ranks(values: Array) -> Array:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)


def _sortedness(y: Array, classes: int) -> float:
    """How much of the target's variance lies between consecutive blocks of rows."""
    blocks = min(10, len(y) // 20)
    if blocks < 2 or np.ptp(y) == 0:
        return 0.0
    values = np.eye(classes)[y.astype(int)] if classes else y[:, None]
    values = values[: len(y) // blocks * blocks]
    means = values.reshape(blocks, -1, values.shape[1]).mean(axis=1)
    return float(means.var(axis=0).sum() / max(values.var(axis=0).sum(), 1e-300))


def _add_reference(
    found: Data, x: Array, y: Array, classes: int, held_out: tuple[Array, Array] | None
) -> None:
    reference = quick_reference(x, y, classes, held_out)
    if reference is None:
        return
    found.reference, found.linear = reference.best, reference.linear
    found.reference_train = reference.train
    found.signal = reference.best > max(2.5 * reference.error, 0.03)


# ---- neighbours ----------------------------------------------------------------------------------


def _add_neighbourhood(
    found: Data, x: Array, y: Array, classes: int, held_out: Array | None
) -> None:
    """Copies across the split, groups torn apart, labels that the neighbours deny."""
    order = generator(0, "neighbours").permutation(len(x))[:_MOST_NEIGHBOURS]
    z = None if held_out is None else held_out[:_MOST_NEIGHBOURS]
    rows, others = standardised(x[order], x[order] if z is None else z)
    continuous = sum(len(np.unique(column)) > _DISCRETE for column in rows.T)
    if classes:
        found.suspicious, found.deepest = _denied(rows, y[order], classes)
    if z is None or not continuous:
        return
    exact = {row.tobytes() for row in np.round(x, 9)}
    found.shared = float(np.mean([row.tobytes() in exact for row in np.round(z, 9)]))
    found.near = _nearness(rows, others, itself=False)
    found.near_inside = _nearness(rows, rows, itself=True)


def _nearness(x: Array, z: Array, itself: bool) -> float:
    """The median of d₁/d₂₀ over what the local dimension explains; far below 1: near-copies."""
    if len(x) < 80:
        return 1.0
    _, distance = neighbours(x, z, 60, itself)
    first, middle, last = distance[:, 0], distance[:, 19], distance[:, -1]
    use = (middle > 0) & (last > middle)
    if not use.any():
        return 1.0
    dimension = math.log(distance.shape[1] / 20) / np.median(np.log(last[use] / middle[use]))
    expected = (1 / 20) ** (1 / max(dimension, 0.5))
    return float(np.median(first[use] / middle[use]) / expected)


def _denied(x: Array, y: Array, classes: int) -> tuple[float, float]:
    """Of the rows that lie deepest in one class by their neighbours, how many have another label.

    Where classes overlap, few rows of another label lie deep; wrong labels lie everywhere.

    Returns:
        The fraction, and of how many rows.
    """
    near, _ = neighbours(x, x, _AROUND, itself=True)
    votes = np.stack([(y[near] == c).mean(axis=1) for c in range(classes)], axis=1)
    top = votes.argmax(axis=1)
    around = votes[near].mean(axis=1)  # and what the neighbours' neighbours say
    depth = votes[np.arange(len(y)), top] + around[np.arange(len(y)), top]
    count = max(len(y) // 5, min(len(y), 40))
    deepest = np.argsort(-depth, kind="stable")[:count]
    return float((top != y)[deepest].mean()), float(count)


# ---- shift ---------------------------------------------------------------------------------------


def _class_weights(y: Array, t: Array | None, classes: int) -> Array:
    """A weight for each training row, so that the classes are as frequent as in validation."""
    if not classes or t is None:
        return np.full(len(y), 1 / len(y))
    ours, theirs = (np.bincount(labels.astype(int), minlength=classes) for labels in (y, t))
    weights = (theirs[:classes] / np.maximum(ours, 1))[y.astype(int)]
    return np.asarray(weights / weights.sum()) if weights.sum() else np.full(len(y), 1 / len(y))


def _add_shift(found: Data, x: Array, z: Array, weights: Array) -> None:
    """Differences of means, beyond what other shares of the classes explain."""
    deviation = x.std(axis=0)
    use = deviation > 0
    if not use.any():
        return
    gap = np.abs(z.mean(axis=0) - weights @ x)[use] / deviation[use]
    found.shift = float(gap.max())
    found.shift_feature = int(np.flatnonzero(use)[np.argmax(gap)])
    chance = math.sqrt((weights**2).sum() + 1 / len(z))
    found.shifted = float((gap > 5 * chance).mean())


def some_rows(count: int, wanted: int) -> Any:
    """Indices of rows, evenly taken, an even number of them.

    Example:
        >>> some_rows(10, 4).tolist(), some_rows(5, 8).tolist()
        ([0, 2, 5, 7], [0, 1, 2, 3])
    """
    chosen = min(wanted, count) // 2 * 2
    return np.arange(chosen) * count // max(chosen, 1)
