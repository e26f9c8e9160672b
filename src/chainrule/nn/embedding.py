"""Vectors for numbers of things: words, categories, places."""

from __future__ import annotations

import numpy as np

from ..engine.ops import expand_dims, take, where
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, DataError, TypeRuleError
from .checks import whole_number
from .initialization import Initializer, parameter
from .module import Module

__all__ = ["Embedding"]


class Embedding(Module):
    """The row of a table for every whole number of the input.

    ``weight`` is (count, features). The default initialisation is N(0, 1), so that the vectors
    are of the size of standardised features.

    Args:
        num_embeddings: how many things there are, numbered from 0.
        embedding_dim: how many features each gets.
        padding_idx: a number that stands for nothing: its vector is always 0 and is not learned.
        init: a name from `chainrule.nn.init.INITIALIZERS` or a function (key, shape, dtype).

    Raises:
        DataError: a number outside of the table (where its value is known: not inside a trace).
        TypeRuleError: the input is not of whole numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Embedding(10, 4)(cr.tensor([[1, 2, 3], [1, 0, 9]])).shape
        (2, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        init: str | Initializer = "normal",
    ) -> None:
        self.num_embeddings = whole_number("num_embeddings", num_embeddings)
        self.embedding_dim = whole_number("embedding_dim", embedding_dim)
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ConfigError(
                "padding_idx is one of the numbers of the table.",
                expected=f"0 to {num_embeddings - 1}",
                found=str(padding_idx),
            )
        self.padding_idx = padding_idx
        self.weight = parameter((self.num_embeddings, self.embedding_dim), init)

    def forward(self, numbers: TensorLike) -> Tensor:
        numbers = as_tensor(numbers)
        self._check(numbers)
        vectors = take(self.weight, numbers, 0)
        if self.padding_idx is None:
            return vectors
        return where(expand_dims(numbers == self.padding_idx, -1), 0.0, vectors)

    def _check(self, numbers: Tensor) -> None:
        if numbers.dtype.kind not in "iu":
            raise TypeRuleError(
                "An embedding takes whole numbers.",
                found=str(numbers.type),
                hint="Convert with x.astype('int64').",
            )
        known = numbers.node.value
        if known is None:
            return
        outside = np.argwhere((known < 0) | (known >= self.num_embeddings))
        if len(outside):
            first = tuple(outside[0].tolist())
            raise DataError(
                "A number is outside of the table of the embedding.",
                expected=f"0 to {self.num_embeddings - 1}",
                found=f"{known[first]} at {list(first)}",
                hint="Count the things again, or keep one number for those never seen.",
            )

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
