"""Learned vectors for indices: of words, categories, positions."""

from __future__ import annotations

from ..engine.ops import expand_dims, take, where
from ..engine.ops.check import require
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, TypeRuleError
from .checks import positive_integer
from .initialization import Initializer, parameter
from .module import Module

__all__ = ["Embedding"]


class Embedding(Module):
    """A learned vector for every index of the input: a row of a table.

    ``weight`` is (count, features). The default initialisation is N(0, 1), so that the vectors
    are of the size of standardised features.

    Args:
        num_embeddings: size of the table: indices go from 0 to one less.
        embedding_dim: size of each vector.
        padding_idx: the index of padding: its vector is always 0 and is not learned.
        init: a name from `chainrule.nn.init.INITIALIZERS` or a function (key, shape, dtype).

    Raises:
        DataError: an index outside of the table.
        TypeRuleError: the input is not of an integer type.

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
        self.num_embeddings = positive_integer("num_embeddings", num_embeddings)
        self.embedding_dim = positive_integer("embedding_dim", embedding_dim)
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ConfigError(
                "padding_idx must be an index of the table.",
                expected=f"0 to {num_embeddings - 1}",
                found=str(padding_idx),
            )
        self.padding_idx = padding_idx
        self.weight = parameter((self.num_embeddings, self.embedding_dim), init)

    def forward(self, indices: TensorLike) -> Tensor:
        indices = as_tensor(indices)
        indices = self._checked(indices)
        vectors = take(self.weight, indices, 0)
        if self.padding_idx is None:
            return vectors
        return where(expand_dims(indices == self.padding_idx, -1), 0.0, vectors)

    def _checked(self, indices: Tensor) -> Tensor:
        if indices.dtype.kind not in "iu":
            raise TypeRuleError(
                "An embedding takes integer indices.",
                found=str(indices.type),
                hint="Convert with x.astype('int64').",
            )
        about = (
            "An index is outside of the table of the embedding.",
            f"0 to {self.num_embeddings - 1}",
            "Raise num_embeddings, or keep one index for what was never seen.",
        )
        return require(indices, lambda i: (i >= 0) & (i < self.num_embeddings), about)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
