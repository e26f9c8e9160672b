"""Weighted sums of gathered rows: products with sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ShapeError, TypeRuleError
from ..ir.batch_axis import (
    Axes,
    Axis,
    BatchRule,
    BatchWalk,
    RowsDependError,
    mixed,
    on_first_axes,
)  # fmt: skip
from ..ir.node import Node
from ..ir.operation import NON_DIFFERENTIABLE, Operation, Sample, register
from ..ir.types import Type
from ..tensor import Tensor, TensorLike, apply, as_tensor
from .declare import floating, function, reals
from .indexing import check_range, take
from .reduction import sum as total
from .shape import expand_dims

__all__ = ["embedding_bag"]


def _check(name: str, matrix: Type, indices: Type, weights: Type) -> None:
    if indices.dtype.kind not in "iu" or not matrix.is_float:
        raise TypeRuleError(f"{name} takes a matrix of floats and integer indices.",
                            found=f"{matrix}, {indices}")  # fmt: skip
    fits = len(matrix.shape) == 2 == len(indices.shape)
    if not fits or weights != Type(matrix.dtype, indices.shape):
        raise ShapeError(f"{name} takes a weight for every index.",
                         expected="(rows, columns), (bags, k), (bags, k)",
                         found=f"{matrix}, {indices}, {weights}")  # fmt: skip


def _bag_type(table: Type, indices: Type, weights: Type) -> Type:
    _check("embedding_bag", table, indices, weights)
    return Type(table.dtype, (indices.shape[0], table.shape[1]))


def _bag(xp: Any, table: Any, indices: Any, weights: Any) -> Any:
    check_range(indices, table.shape[0])
    y = np.zeros((len(indices), table.shape[1]), table.dtype)
    for k in range(indices.shape[1]):
        y += weights[:, k, None] * table[indices[:, k]]
    return y


def _scatter_type(y: Type, indices: Type, weights: Type, *, rows: int) -> Type:
    _check("scatter_bag", y, indices, weights)
    if y.shape[0] != indices.shape[0]:
        raise ShapeError("scatter_bag takes one row for every bag.",
                         expected=str(indices.shape[0]), found=str(y.shape[0]))  # fmt: skip
    return Type(y.dtype, (rows, y.shape[1]))


def _scatter(xp: Any, y: Any, indices: Any, weights: Any, rows: int) -> Any:
    """Sorted by row number, the contributions to a row follow one another."""
    check_range(indices, rows)
    result = np.zeros((rows, y.shape[1]), y.dtype)
    numbers = np.where(indices < 0, indices + rows, indices).reshape(-1)
    if not numbers.size:
        return result
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    parts = weights.reshape(-1, 1)[order] * y[order // indices.shape[1]]
    result[found] = np.add.reduceat(parts, starts, axis=0)
    return result


def _products(table: Tensor, indices: Tensor, y: Tensor) -> Tensor:
    """Σⱼ table[indices[b, k], j] · y[b, j]: the derivative with respect to the weights."""
    return total(take(table, indices) * expand_dims(y, 1), -1)


def _samples(*, transposed: bool) -> list[Sample]:
    indices, single = np.array([[0, 3], [2, 2], [-1, 1]]), np.array([[1]])
    several, one = reals(3, 2, seed=1), reals(1, 1, seed=1)
    if transposed:
        return [
            Sample((reals(3, 5), indices, several), {"rows": 4}),
            Sample((reals(1, 1), single, one), {"rows": 2}),
        ]
    return [Sample((reals(4, 5), indices, several)), Sample((reals(2, 1), single, one))]


SCATTER_BAG: Operation = register(
    Operation(
        "scatter_bag",
        _scatter_type,
        _scatter,
        (
            lambda g, x, y, indices, weights, rows: apply(EMBEDDING_BAG, g, indices, weights),
            NON_DIFFERENTIABLE,
            lambda g, x, y, indices, weights, rows: _products(g, indices, y),
        ),
        "sum of {2} {0} at {1}",
        lambda: _samples(transposed=True),
        indices=1,
        batch=BatchRule(mixed, sums=on_first_axes),
    )
)


def _bag_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    table, indices, weights = axes
    if table is not None or indices is None or indices != weights:
        raise RowsDependError
    return indices


EMBEDDING_BAG: Operation = register(
    Operation(
        "embedding_bag",
        _bag_type,
        _bag,
        (
            lambda g, y, table, indices, weights: apply(
                SCATTER_BAG, g, indices, weights, rows=table.shape[0]
            ),
            NON_DIFFERENTIABLE,
            lambda g, y, table, indices, weights: _products(table, indices, g),
        ),
        "sum of {2} {0}[{1}]",
        lambda: _samples(transposed=False),
        indices=1,
        batch=BatchRule(_bag_rows),
    )
)


@function(lambda: _samples(transposed=False))
def embedding_bag(table: TensorLike, indices: TensorLike, weights: TensorLike) -> Tensor:
    """Weighted sums of rows of a table: y[b] = Σₖ weights[b, k] · table[indices[b, k]].

    The product of a matrix that has at most k numbers other than 0 in a row, with the table,
    without the zeros. (PyTorch's ``embedding_bag`` with ``per_sample_weights``.)

    Args:
        table: (rows, columns).
        indices: (bags, k) integers; negative ones count from the end.
        weights: (bags, k).

    Returns:
        (bags, columns).
    """
    table = floating(table)
    indices = as_tensor(indices)
    _check("embedding_bag", table.type, indices.type, as_tensor(weights, table.dtype).type)
    return apply(EMBEDDING_BAG, table, indices, as_tensor(weights, table.dtype))
