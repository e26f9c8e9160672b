"""Cross-entropies from logits: fused, so that no logarithm of a rounded 0 is ever taken."""

from __future__ import annotations

import numpy as np

from ..ir.operation import Sample
from ..ir.types import int64
from ..tensor import Tensor, TensorLike, as_tensor, has_value
from .check import require
from .declare import align, floating, function, reals
from .elementwise import softplus
from .indexing import take_along_axis
from .reduction import log_softmax
from .shape import expand_dims, reshape

__all__ = ["binary_cross_entropy_from_logits", "cross_entropy_from_logits"]


def need_classes(indices: Tensor, classes: int) -> Tensor:
    """The class indices, if there are so many classes; -1 is not the last one.

    Raises:
        DataError: a class index is out of range.
    """
    about = (
        "A class index is out of range.",
        f"0 to {classes - 1}, for there are scores of {classes} classes",
        "Class indices count from 0: where the labels begin at 1, subtract 1.",
    )
    return require(indices, lambda x: (x >= 0) & (x < classes), about)


@function(
    lambda: [
        Sample((reals(2, 3), np.array([0, 2]))),
        Sample((reals(0, 3), np.zeros(0, dtype=np.int64))),
    ]
)
def cross_entropy_from_logits(logits: TensorLike, classes: TensorLike) -> Tensor:
    """-ln softmax(logits)[class] for every row, from class indices; never overflows.

    Args:
        logits: (…, classes) scores.
        classes: (…) class indices.
    """
    logits, classes = floating(logits), as_tensor(classes)
    if logits.ndim:
        classes = need_classes(classes, logits.shape[-1])
    return cross_entropy_of_checked(logits, classes)


def cross_entropy_of_checked(logits: Tensor, classes: Tensor) -> Tensor:
    """The same of class indices that are known to be in range."""
    picked = take_along_axis(log_softmax(logits), expand_dims(classes, -1), -1)
    return -reshape(picked, classes.shape)


def are_classes(indices: Tensor, logits: Tensor) -> bool:
    """Whether these are seen to be a class index for every row: then no check refuses them."""
    node, shape = indices.node, logits.shape
    if node.type.dtype != int64 or node.type.shape != shape[:-1] or not has_value(node):
        return False
    values = node.value
    assert values is not None
    return bool(values.size and shape[-1] > 1 and values.min() >= 0 and values.max() < shape[-1])


@function(lambda: [Sample((reals(2, 3), np.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.0]])))])
def binary_cross_entropy_from_logits(logits: TensorLike, targets: TensorLike) -> Tensor:
    """softplus(z) - z·t = -t·ln σ(z) - (1-t)·ln(1-σ(z)), for every element; never overflows."""
    logits, targets = align(logits, targets, floats=True)
    return softplus(logits) - logits * targets
