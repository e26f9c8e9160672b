"""A linear model beside the network of a table, and how much of it the answer takes.

The network is trained by itself. Then a ridge or logistic regression of the same features is
solved for each member, on the rows that trained this member, and held-out rows say which share of
the answer is the linear model's: all of it where the world is linear, nothing where the network
knows better. Both are scaled to their shares once and for all, so that their sum is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...engine.ops import broadcast_to, embedding_bag, matmul, reshape, take, transpose
from ...engine.tensor import Buffer, Tensor
from ...nn import Module
from ...training import Arrays
from ...utils.typing import Array
from ..linear_baseline import logistic
from .features import Label, TableFeatures
from .heads import ClassHead, Head

#: Penalties of the ridge regression, per row; held-out rows choose one.
_RIDGE = (1e-3, 1e-2, 1e-1)
#: Steps of the logistic regression.
_STEPS = 150
#: From more rows, or with more features, a linear model is not solved beside the network.
_MOST_ROWS, _MOST_FEATURES = 20_000, 1_000
_FAR_FROM_LINEAR = ("piece", "vector", "picture")


class LinearPath(Module):
    """What is added to the output of the network: x·W + b, zero at first and never trained.

    Args:
        members: how many networks there are side by side.
        features: of the table; pieces and learned vectors are left out.
        outputs: of the network.
    """

    def __init__(self, members: int, features: TableFeatures, outputs: int) -> None:
        labels = features.labels()["numbers"]
        self._columns = [i for i, label in enumerate(labels) if label[1] not in _FAR_FROM_LINEAR]
        self._labels = [labels[i] for i in self._columns]
        self._categories = features.categories if features.short else 0
        self.weight = Buffer(np.zeros((members, len(self._columns), outputs)), "float32")
        self.bias = Buffer(np.zeros((members, 1, outputs)), "float32")
        if self._categories:
            wide = np.zeros((members, self._categories, outputs))
            self.category_weight = Buffer(wide, "float32")

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        """What the ``features`` give → (members, rows, outputs)."""
        members, _, outputs = self.weight.shape
        y: Tensor = self.bias
        if self._columns:
            x = take(given["numbers"], self._columns, 1)
            y = y + matmul(broadcast_to(x, (members, *x.shape)), self.weight)
        if self._categories:
            flat = transpose(self.category_weight, (1, 0, 2))
            flat = reshape(flat, (self._categories, members * outputs))
            part = embedding_bag(flat, given["categories"], given["known"])
            y = y + transpose(reshape(part, (part.shape[0], members, outputs)), (1, 0, 2))
        return y

    def scale(self, shares: Array) -> None:
        """Multiply each output, (outputs,)."""
        for part in (self.weight, self.bias, *([self.category_weight] if self._categories else [])):
            part.assign(part.numpy() * shares.astype(np.float32))

    def labels(self) -> list[Label]:
        """What each row of ``weight`` belongs to."""
        return self._labels

    def fit(self, heads: Sequence[Head], data: Arrays, count: int) -> None:
        """Solve for each head and member, on the rows that train it.

        Args:
            heads: of the targets; only the number of a regression gets a linear model, not its
                quantiles.
            data: what the features give, the target as it is learned, and weights.
            count: how many rows there are, in parts of which a sample is taken.
        """
        assert data.target is not None
        rows = np.arange(0, count, -(-count // _MOST_ROWS))
        x = self._matrix({name: part[rows] for name, part in data.inputs.items()})
        if x.shape[1] > _MOST_FEATURES:
            return
        members = self.weight.shape[0]
        weights = np.ones(len(rows)) if data.weights is None else data.weights[rows]
        weights = weights.reshape(len(rows), -1)
        solved = np.zeros((members, x.shape[1], self.weight.shape[2]))
        start = 0
        for i, head in enumerate(heads):
            target, known = data.target[rows], weights
            if len(heads) > 1:
                there = data.target[rows, len(heads) + i] > 0
                target, known = target[:, i], weights * there[:, None]
            if isinstance(head, ClassHead):
                own = logistic(x, target.astype(np.int64), known, head.outputs, _STEPS)
                solved[:, :, start : start + head.outputs] = own
            else:
                solved[:, :, start] = _ridge(x, target.astype(float), known)
            start += head.outputs
        plain = len(self._columns)
        self.weight.assign(solved[:, :plain].astype(np.float32))
        if self._categories:
            self.category_weight.assign(solved[:, plain:-1].astype(np.float32))
        self.bias.assign(solved[:, -1:].astype(np.float32))

    def _matrix(self, given: dict[str, Array]) -> Array:
        """(rows, features + 1) float32: numbers, categories as zeros and ones, a one."""
        rows = len(next(iter(given.values())))
        parts = [given["numbers"][:, self._columns]] if self._columns else []
        if self._categories:
            one_hot = np.zeros((rows, self._categories), np.float32)
            places = np.arange(rows)[:, None], given["categories"]
            one_hot[places] = given["known"]
            parts.append(one_hot)
        return np.concatenate([*parts, np.ones((rows, 1), np.float32)], axis=1)


def _ridge(x: Array, target: Array, weights: Array) -> Array:
    """(members, features) by (XᵀWX + λnI) w = XᵀWy, λ by the rows that do not train."""
    x = x.astype(float)
    penalty = np.ones(x.shape[1])
    penalty[-1] = 1e-6
    found, errors = [], np.zeros(len(_RIDGE))
    counted = weights.max(axis=1)  # 0 where a row counts nowhere
    for own in weights.T:
        gram, aim, n = (x.T * own) @ x, (x.T * own) @ target, own.sum() or 1.0
        solutions = [np.linalg.solve(gram + part * n * np.diag(penalty), aim) for part in _RIDGE]
        held = own == 0
        errors += [counted[held] @ (x[held] @ w - target[held]) ** 2 for w in solutions]
        found.append(solutions)
    # Without held-out rows all errors are 0 and the first, the least penalty, is taken.
    return np.stack([solutions[int(np.argmin(errors))] for solutions in found])
