"""A linear model on the parts of texts: which parts and which penalty predict held-out texts best.

min over W, b of  Σᵢ sᵢ·cross_entropy(xᵢW + b, yᵢ) / n + ½ λ‖W‖²   for weighted parts xᵢ (TF-IDF).

The penalty is the same in all directions, so that the products K = XXᵀ of n texts say all that
matters: any Φ with ΦΦᵀ = K, such as one with n columns, gives the same predictions. The problem is
convex; L-BFGS solves it in some ten passes (Liu and Nocedal, "On the limited memory BFGS method for
large scale optimization", 1989). It is solved for each choice on some of the folds and scored on
the others; the model itself is then trained like any network, with the penalty that was chosen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from ...utils.typing import Array
from ..partition import Partition
from .ngrams import Grams

#: Penalties are 1 / (n·C) for these C, the strongest first.
_STRENGTHS = (1.0, 5.0, 25.0, 125.0, 625.0)
_FOLDS = 4
#: So many texts are enough to choose by.
_ENOUGH = 1000
_ITERATIONS, _MEMORY = 60, 8
#: Solved if the largest derivative, or a relative gain, is smaller.
_FLAT, _GAIN = 1e-5, 1e-6
#: So many columns of the rows are multiplied at once.
_BLOCK = 2048


@dataclass(frozen=True)
class Choice:
    """What predicts best.

    Attributes:
        grams: the parts of texts that are seen.
        penalty: λ, for all the texts.
        log_loss: on texts that were held out in turn.
    """

    grams: Grams
    penalty: float
    log_loss: float


def tf_idf(counts: Array, idf: Array, letters: Array) -> Array:
    """The weights of a text's parts: (1 + ln tf)·idf, of norm 1 over words and over letters.

    Args:
        counts: tf, how often the text has each.
        idf: of each.
        letters: which of them are parts of words.
    """
    weights = (1 + np.log(counts)) * idf
    for part in (letters, ~letters):
        norm = np.sqrt((weights[part] ** 2).sum())
        weights[part] /= norm or 1.0
    return np.asarray(weights)


def inverse_frequencies(rows: Sequence[Array], size: int) -> Array:
    """Smoothed idf of scikit-learn, ln((1 + n) / (1 + df)) + 1, of each number: (size,) float32."""
    frequency = np.bincount(np.concatenate([*rows, np.zeros(0, np.int32)]), minlength=size)
    return (np.log((1 + len(rows)) / (1 + frequency)) + 1).astype(np.float32)


def choose(
    grams: Grams,
    texts: Sequence[str],
    target: Array,
    weights: Array | None,
    seed: int,
    partition: Partition | None = None,
) -> Choice:
    """With or without pieces of words, and the penalty: what predicts held-out texts best.

    Args:
        grams: all parts.
        texts: of the training.
        target: their class indices.
        weights: how much each counts, if not all the same.
        seed: of the folds.
        partition: how the texts may be split; by chance without it.
    """
    some = list(range(0, len(texts), -(-len(texts) // _ENOUGH)))
    s = np.ones(len(some)) if weights is None else weights[some]
    folds = _folds(target[some], seed, (partition or Partition()).take(np.array(some)))
    words, pieces = _kernels(grams, [texts[row] for row in some])
    found = []
    kernels = [(grams.without_letters(), words)]
    kernels += [(grams, words + pieces)] if grams.first_letters < len(grams) else []
    for parts, kernel in kernels:
        features = _features(kernel)
        losses = [_held_out(features, target[some], s, *fold) for fold in folds]
        mean = np.mean(losses, axis=0)
        found += [(float(mean[i]), strength, parts) for i, strength in enumerate(_STRENGTHS)]
    loss, strength, parts = min(found, key=lambda one: one[0])
    return Choice(parts, 1 / (len(texts) * strength), loss)


def _folds(target: Array, seed: int, partition: Partition) -> list[tuple[Array, Array]]:
    """Folds as the texts may be split; by chance if too few groups have all the classes."""
    count = min(_FOLDS, len(target))
    with contextlib.suppress(DataError):
        return [*partition.folds_at_most(len(target), count, seed, target)]
    return [*Partition().folds(len(target), count, seed, target)]


def _kernels(grams: Grams, texts: Sequence[str]) -> tuple[Array, Array]:
    """The products of all pairs of texts, over their words and over pieces of words: (n, n)."""
    counted = [grams.counted(text) for text in texts]
    idf = inverse_frequencies([numbers for numbers, _ in counted], len(grams))
    lengths = [len(numbers) for numbers, _ in counted]
    owner = np.repeat(np.arange(len(texts)), lengths)
    columns = np.concatenate([numbers for numbers, _ in counted])
    first = grams.first_letters
    values = np.concatenate([tf_idf(tf, idf[k], k >= first) for k, tf in counted])
    order = np.argsort(columns, kind="stable")
    owner, columns, values = owner[order], columns[order], values[order]
    result = []
    for start, stop in ((0, first), (first, len(grams))):
        kernel = np.zeros((len(texts), len(texts)), np.float32)
        for begin in range(start, stop, _BLOCK):
            end = min(begin + _BLOCK, stop)
            here = slice(*np.searchsorted(columns, (begin, end)))
            block = np.zeros((len(texts), end - begin), np.float32)
            block[owner[here], columns[here] - begin] = values[here]
            kernel += block @ block.T
        result.append(kernel)
    return result[0], result[1]


def _features(kernel: Array) -> Array:
    """Φ with ΦΦᵀ = K, and a column of ones for the bias: (n, n + 1)."""
    values, vectors = np.linalg.eigh(kernel.astype(np.float64))
    features = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.concatenate([features, np.ones((len(kernel), 1))], axis=1)


def _held_out(x: Array, y: Array, s: Array, train: Array, test: Array) -> list[float]:
    """The log loss on the test rows with each of the penalties."""
    classes = int(y.max()) + 1
    w = np.zeros((x.shape[1], classes))
    found = []
    for strength in _STRENGTHS:
        penalty = 1 / (len(train) * strength)
        w = logistic(x[train], y[train], s[train], classes, penalty, w)
        p = _softmax(x[test] @ w)[np.arange(len(test)), y[test]]
        found.append(float(np.average(-np.log(np.maximum(p, 1e-15)), weights=s[test])))
    return found


def logistic(
    x: Array, y: Array, s: Array, classes: int, penalty: float, start: Array | None = None
) -> Array:
    """The weights that solve the problem above, the bias in their last row.

    Args:
        x: (rows, features), the last of which is 1.
        y: class indices.
        s: how much each row counts.
        classes: how many there are.
        penalty: λ.
        start: weights to begin with.
    """
    one_hot, s = np.eye(classes)[y], s / s.sum()

    def objective(flat: Array) -> tuple[float, Array]:
        w = flat.reshape(-1, classes)
        p = _softmax(x @ w)
        loss = -(s * np.log(np.maximum(p[np.arange(len(y)), y], 1e-300))).sum()
        pull = penalty * w
        pull[-1] = 0.0  # the bias is free
        gradient = x.T @ (s[:, None] * (p - one_hot)) + pull
        return float(loss + 0.5 * (pull * w).sum()), gradient.reshape(-1)

    begin = np.zeros((x.shape[1], classes)) if start is None else start
    return _minimised(objective, begin.reshape(-1)).reshape(-1, classes)


def _softmax(z: Array) -> Array:
    p = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


def _minimised(objective: Callable[[Array], tuple[float, Array]], w: Array) -> Array:
    """L-BFGS with steps that are halved until the objective falls enough (Armijo)."""
    value, gradient = objective(w)
    pairs: list[tuple[Array, Array]] = []
    for _ in range(_ITERATIONS):
        if np.abs(gradient).max(initial=0.0) < _FLAT:
            break
        direction = -_inverse_hessian_times(pairs, gradient)
        slope, step = float(gradient @ direction), 1.0
        while True:
            new, new_gradient = objective(w + step * direction)
            if new <= value + 1e-4 * step * slope or step < 1e-8:
                break
            step *= 0.5
        change, turn = step * direction, new_gradient - gradient
        if change @ turn > 1e-12:
            pairs = [*pairs, (change, turn)][-_MEMORY:]
        gain = value - new
        w, value, gradient = w + change, new, new_gradient
        if gain < _GAIN * abs(value):
            break
    return w


def _inverse_hessian_times(pairs: Sequence[tuple[Array, Array]], gradient: Array) -> Array:
    q, factors = gradient.copy(), []
    for change, turn in reversed(pairs):
        a = (change @ q) / (change @ turn)
        q -= a * turn
        factors.append(a)
    if pairs:
        change, turn = pairs[-1]
        q *= (change @ turn) / (turn @ turn)
    else:
        q /= max(float(np.sqrt(q @ q)), 1e-12)
    for (change, turn), a in zip(pairs, reversed(factors), strict=True):
        q += change * (a - (turn @ q) / (change @ turn))
    return q
