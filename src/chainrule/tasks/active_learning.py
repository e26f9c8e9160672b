"""Active learning: which rows to label next, so that few labels teach much.

Settles, "Active learning literature survey", 2009, for uncertainty; Sener and Savarese, "Active
learning for convolutional neural networks: a core-set approach", ICLR 2018, for coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, DataError, unknown
from ..utils.random import generator
from ..utils.typing import Array

STRATEGIES = ("margin", "entropy", "coreset", "random")
#: Uncertain rows are often alike: out of so many times the wanted number a varied choice is made.
_CANDIDATES = 4
#: Rows that the coreset looks at; out of more a random choice is made first.
_MOST = 20_000


@dataclass(frozen=True)
class Choice:
    """Rows to label next, the most valuable first.

    Attributes:
        rows: their positions in the pool, from 0.
        scores: why: entropy in nats, one minus the margin, or the distance to the nearest row that
            is labelled or chosen already; NaN for random ones.
        strategy: the strategy.
    """

    rows: Array
    scores: Array
    strategy: str


def entropy(probabilities: Array) -> Array:
    """How undecided each row is: H = -Σ p ln p, in nats, from 0 to ln(classes).

    Args:
        probabilities: (rows, classes).

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
        [0.693, 0.0]
    """
    p = np.asarray(probabilities, dtype=float)
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)) + 0.0


def margin(probabilities: Array) -> Array:
    """How close the two likeliest classes are: 1 - (p₁ - p₂), from 0 (sure) to 1.

    Args:
        probabilities: (rows, classes), at least two classes.

    Example:
        >>> margin(np.array([[0.5, 0.4, 0.1], [1.0, 0.0, 0.0]])).round(3).tolist()
        [0.9, 0.0]
    """
    first_two = np.sort(np.asarray(probabilities, dtype=float), axis=1)[:, -2:]
    return np.asarray(1 - (first_two[:, 1] - first_two[:, 0]))


def k_center(
    features: Array, count: int, covered: Array | None = None, first: int | None = None
) -> tuple[Array, Array]:
    """Rows that cover all others: each next one is the farthest from those before it.

    Greedy k-center: the largest distance of any row to its nearest center is at most twice the
    smallest one possible (Gonzalez, 1985).

    Args:
        features: (rows, d).
        count: how many.
        covered: (m, d), rows that are there already, such as the labelled ones.
        first: the first center, where nothing is covered; otherwise the row nearest to the mean.

    Returns:
        Positions and, for each, the distance at which it was uncovered (inf for a first one).

    Example:
        >>> line = np.array([[0.0], [1.0], [9.0], [10.0]])
        >>> k_center(line, 2, covered=np.array([[0.0]]))[0].tolist()
        [3, 1]
    """
    x = np.asarray(features, dtype=np.float32)
    nearest = np.full(len(x), np.inf, dtype=np.float32)  # squared distance to the nearest center
    for center in () if covered is None else np.asarray(covered, dtype=np.float32):
        np.minimum(nearest, _squared_distances(x, center), out=nearest)
    if covered is None or not len(covered):
        chosen = int(_squared_distances(x, x.mean(axis=0)).argmin()) if first is None else first
    else:
        chosen = int(nearest.argmax())
    rows, distances = [], []
    for _ in range(min(count, len(x))):
        rows.append(chosen)
        distances.append(float(np.sqrt(nearest[chosen])))
        np.minimum(nearest, _squared_distances(x, x[chosen]), out=nearest)
        nearest[rows] = -1.0  # never twice, even among equal rows
        chosen = int(nearest.argmax())
    return np.array(rows, dtype=np.int64), np.array(distances)


def _squared_distances(x: Array, center: Array) -> Array:
    return np.asarray(np.square(x - center).sum(axis=1))


def label_next(
    count: int,
    strategy: str = "margin",
    *,
    probabilities: Array | None = None,
    features: Array | None = None,
    labelled: Array | None = None,
    seed: int = 0,
) -> Choice:
    """Which rows of a pool to label next.

    ``entropy`` and ``margin`` take uncertain rows; if ``features`` are given, then those of the
    most uncertain rows that lie apart from each other, as a batch of rows that are alike teaches
    only once. ``coreset`` takes the rows that best cover the pool, whatever the answer is.

    Args:
        count: how many; fewer come back if the pool has fewer.
        strategy: one of `STRATEGIES`.
        probabilities: (rows, classes) predictions for the pool; for entropy and margin.
        features: (rows, d) activations of the last hidden layer, see `SavedModel.hidden`.
        labelled: (m, d) the same for the rows that have labels already; for coreset.
        seed: of the random choice.

    Raises:
        ConfigError: an unknown strategy, or what it needs is not given.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]])
        >>> label_next(2, "entropy", probabilities=p).rows.tolist()
        [2, 1]
    """
    rows = _pool_size(count, strategy, probabilities, features)
    count = min(count, rows)
    rng = generator(seed, "label next")
    if strategy == "random":
        return Choice(rng.permutation(rows)[:count], np.full(count, np.nan), strategy)
    if strategy == "coreset":
        assert features is not None
        looked_at = np.sort(rng.permutation(rows)[:_MOST])
        covered = labelled if labelled is None else labelled[:_MOST]
        picked, distances = k_center(features[looked_at], count, covered)
        return Choice(looked_at[picked], distances, strategy)
    assert probabilities is not None
    scores = (entropy if strategy == "entropy" else margin)(probabilities)
    order = np.argsort(-scores, kind="stable")
    if features is None:
        picked = order[:count]
    else:
        candidates = order[: _CANDIDATES * count]
        picked = candidates[k_center(features[candidates], count, first=0)[0]]
        picked = picked[np.argsort(-scores[picked], kind="stable")]
    return Choice(picked, scores[picked], strategy)


def _pool_size(
    count: int, strategy: str, probabilities: Array | None, features: Array | None
) -> int:
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES)
    if count < 1:
        raise ConfigError("At least one row must be asked for.", found=f"count={count}")
    needed = features if strategy == "coreset" else probabilities
    given = next((x for x in (needed, features, probabilities) if x is not None), None)
    if given is None or (needed is None and strategy != "random"):
        what = "activations" if strategy == "coreset" else "probabilities of classes"
        raise ConfigError(
            f"The strategy {strategy} needs {what}.",
            hint="Numbers have no such probabilities: use coreset." if strategy != "coreset"
            else "See SavedModel.hidden.",
        )  # fmt: skip
    if not len(given):
        raise DataError("The pool has no rows.", expected="rows without a label")
    return len(given)
