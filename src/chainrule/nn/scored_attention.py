"""Attention with one head whose scores are a layer of their own: bilinear and additive.

Both take queries (…, n, query_dim), keys (…, m, key_dim) and values (…, m, features), and give
(…, n, features): for each query the mean of the values, weighted by the softmax of the scores.
"""

from __future__ import annotations

from ..engine.ops import expand_dims, masked, matmul, reshape, scaled_dot_product_attention, tanh
from ..engine.tensor import Tensor, TensorLike
from .checks import features_last, positive_integer
from .initialization import Initializer, parameter
from .module import Module

__all__ = ["AdditiveAttention", "BilinearAttention"]


class BilinearAttention(Module):
    """Attention with the scores qᵀ·W·k ("general" of Luong et al., 2015).

    ``weight`` is (query_dim, key_dim).

    Args:
        query_dim: extent of the last axis of the queries.
        key_dim: that of the keys; as of the queries without it.
        init: how the weight is drawn: a name from `chainrule.nn.init`, or a function.

    Example:
        >>> import chainrule as cr
        >>> attend = cr.nn.BilinearAttention(3, 2)
        >>> attend(cr.ones((5, 4, 3)), cr.ones((5, 6, 2)), cr.ones((5, 6, 7))).shape
        (5, 4, 7)
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int | None = None,
        *,
        init: str | Initializer = "xavier_uniform",
    ) -> None:
        self.query_dim = positive_integer("query_dim", query_dim)
        self.key_dim = positive_integer("key_dim", query_dim if key_dim is None else key_dim)
        self.weight = parameter((self.query_dim, self.key_dim), init)

    def forward(
        self,
        query: TensorLike,
        keys: TensorLike,
        values: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
    ) -> Tensor:
        """Attend; without values to the keys themselves.

        Args:
            query: (…, n, query_dim).
            keys: (…, m, key_dim).
            values: (…, m, features).
            mask: booleans (…, n, m), or broadcast to it: True where a query may attend.
        """
        projected = matmul(features_last(query, self.query_dim), self.weight)
        keys = features_last(keys, self.key_dim)
        values = keys if values is None else values
        return scaled_dot_product_attention(projected, keys, values, mask, scale=1.0)

    def extra_repr(self) -> str:
        return f"{self.query_dim}, {self.key_dim}"


class AdditiveAttention(Module):
    """Attention with the scores vᵀ·tanh(Wᵀ·q + Uᵀ·k) (Bahdanau et al., 2015).

    ``query_weight`` is (query_dim, hidden), ``key_weight`` (key_dim, hidden), ``score``
    (hidden, 1).

    Args:
        query_dim: extent of the last axis of the queries.
        key_dim: that of the keys.
        hidden: number of hidden units of the score.
        init: how the weights are drawn: a name from `chainrule.nn.init`, or a function.

    Example:
        >>> import chainrule as cr
        >>> attend = cr.nn.AdditiveAttention(3, 2, 8)
        >>> attend(cr.ones((5, 4, 3)), cr.ones((5, 6, 2)), cr.ones((5, 6, 7))).shape
        (5, 4, 7)
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden: int,
        *,
        init: str | Initializer = "xavier_uniform",
    ) -> None:
        self.query_dim = positive_integer("query_dim", query_dim)
        self.key_dim = positive_integer("key_dim", key_dim)
        self.hidden = positive_integer("hidden", hidden)
        self.query_weight = parameter((self.query_dim, self.hidden), init)
        self.key_weight = parameter((self.key_dim, self.hidden), init)
        self.score = parameter((self.hidden, 1), init)

    def forward(
        self,
        query: TensorLike,
        keys: TensorLike,
        values: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
    ) -> Tensor:
        """Attend; arguments as those of `BilinearAttention`."""
        keys = features_last(keys, self.key_dim)
        of_query = matmul(features_last(query, self.query_dim), self.query_weight)
        of_key = matmul(keys, self.key_weight)
        hidden = tanh(expand_dims(of_query, -2) + expand_dims(of_key, -3))
        scores = matmul(hidden, self.score)
        scores = reshape(scores, scores.shape[:-1])
        return matmul(masked.softmax(scores, mask), keys if values is None else values)

    def extra_repr(self) -> str:
        return f"{self.query_dim}, {self.key_dim}, {self.hidden}"
