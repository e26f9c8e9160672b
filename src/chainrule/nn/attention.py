"""Attention of many heads, with a cache of what was seen before, and positions.

Sequences are (rows, time, features).
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from ..engine.ops import (
    arange,
    concatenate,
    cos,
    dynamic_update_slice,
    expand_dims,
    matmul,
    reshape,
    scaled_dot_product_attention,
    sin,
    softmax,
    take,
    transpose,
    where,
    zeros,
)
from ..engine.ops.check import require
from ..engine.ops.declare import cast, floating
from ..engine.ops.shape import narrow
from ..engine.tensor import Tensor, TensorLike, as_tensor, has_value
from ..errors import ConfigError, ShapeError
from .checks import features_last, fraction, positive_integer
from .dropout import Dropout
from .initialization import normal, parameter
from .linear import Linear
from .module import Module

__all__ = [
    "AttentionCache",
    "LearnedPositions",
    "MultiHeadAttention",
    "RotaryPositions",
    "SinusoidalPositions",
]


class AttentionCache(TypedDict):
    """Keys and values of the positions that were seen, for as many as there is room.

    Its shapes stay the same from step to step, so that a compiled step runs for all of them.
    """

    #: (rows, heads, room, features of a head)
    keys: Tensor
    #: the same
    values: Tensor
    #: how many positions are filled
    position: Tensor


class MultiHeadAttention(Module):
    """Attention by several heads, each in features of its own (Vaswani et al., 2017).

        y = concat(head₁ … head_h)·W_o,  headᵢ = attention(x·W_q, k·W_k, v·W_v) of its features

    A call takes queries (rows, n, embed_dim), keys (rows, m, kdim) and values (rows, m, vdim);
    without them the queries stand for all three (self-attention). ``mask`` is broadcast to (rows,
    heads, n, m): boolean, true where a query may attend, or numbers that are added to the
    scores. To hide padding, give a mask (rows, 1, 1, m): it takes little memory and saves the
    work for what is hidden at the end. A query that may attend to nothing gets zeros from every
    head. ``causal`` hides what is after a query.

    With a ``cache`` (of `cache`) the queries are the positions that follow those in it; they
    attend to all positions up to their own, and the result is the pair (y, new cache).

    Args:
        embed_dim: extent of the last axis of the queries and of the result.
        num_heads: how many heads share it; must divide it.
        dropout: probability of dropping a weight of the attention, while training.
        bias: whether the four linear maps have one.
        kdim: extent of the last axis of the keys; embed_dim without it.
        vdim: that of the values.
        rotary: rotate queries and keys by their positions: see `RotaryPositions`.

    Raises:
        ConfigError: num_heads does not divide embed_dim.
        ShapeError: inputs or mask do not fit; it names both shapes.

    Example:
        >>> import chainrule as cr
        >>> attention = cr.nn.MultiHeadAttention(8, 2)
        >>> x = cr.ones((3, 5, 8))
        >>> attention(x, causal=True).shape
        (3, 5, 8)
        >>> y, cache = attention(x[:, :1], cache=attention.cache(3, 5))
        >>> y.shape, cache["position"].item()
        ((3, 1, 8), 1)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        *,
        rotary: bool = False,
    ) -> None:
        self.embed_dim = positive_integer("embed_dim", embed_dim)
        self.num_heads = positive_integer("num_heads", num_heads)
        if embed_dim % num_heads:
            raise ConfigError(
                "The number of heads must divide the features.",
                expected=f"num_heads that divides embed_dim = {embed_dim}",
                found=f"num_heads = {num_heads}",
            )
        kdim, vdim = kdim or embed_dim, vdim or embed_dim
        self.q_proj = Linear(embed_dim, embed_dim, bias, init="xavier_uniform")
        self.k_proj = Linear(kdim, embed_dim, bias, init="xavier_uniform")
        self.v_proj = Linear(vdim, embed_dim, bias, init="xavier_uniform")
        self.out_proj = Linear(embed_dim, embed_dim, bias, init="xavier_uniform")
        rate = fraction("The probability dropout of dropping", dropout, include_one=False)
        self.dropout = _WeightDropout(rate) if rate else None
        self.positions = RotaryPositions(embed_dim // num_heads) if rotary else None

    def forward(
        self,
        query: TensorLike,
        keys: TensorLike | None = None,
        values: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
        causal: bool = False,
        cache: AttentionCache | None = None,
    ) -> Any:
        query = self._sequences(query, self.embed_dim)
        keys = query if keys is None else keys
        values = keys if values is None else values
        q = self._heads(self.q_proj(query))
        k, v = self._heads(self.k_proj(keys)), self._heads(self.v_proj(values))
        first: Any = 0 if cache is None else cache["position"]
        if self.positions is not None:
            q, k = self.positions(q, first), self.positions(k, first)
        if cache is None:
            return self._attend(q, k, v, mask, causal)
        if mask is not None:
            raise ConfigError("An attention with a cache takes no mask: it is causal.")
        cache = _extended(cache, k, v)
        room = cache["keys"].shape[2]
        seen = arange(room) <= expand_dims(first + arange(q.shape[2]), 1)
        return self._attend(q, cache["keys"], cache["values"], seen, False), cache

    def project(self, keys: TensorLike, values: TensorLike | None = None) -> tuple[Tensor, Tensor]:
        """Keys and values as the heads see them, for `attend`: (rows, heads, m, features).

        Where many queries come one after another to the same keys, they are projected once.
        """
        values = keys if values is None else values
        return self._heads(self.k_proj(keys)), self._heads(self.v_proj(values))

    def attend(
        self, query: TensorLike, keys: Tensor, values: Tensor, *, mask: TensorLike | None = None
    ) -> Tensor:
        """What a call gives, from keys and values that `project` made.

        Example:
            >>> import chainrule as cr
            >>> attention = cr.nn.MultiHeadAttention(8, 2)
            >>> x, memory = cr.ones((3, 1, 8)), cr.ones((3, 5, 8))
            >>> attention.attend(x, *attention.project(memory)).shape
            (3, 1, 8)
        """
        q = self._heads(self.q_proj(self._sequences(query, self.embed_dim)))
        return self._attend(q, keys, values, mask, False)

    def weights(
        self, query: TensorLike, keys: TensorLike | None = None, *, causal: bool = False
    ) -> Tensor:
        """What each query attends to, without dropout: softmax(Q·Kᵀ/√d) of each head.

        A call does not make them, as they take memory for each pair of positions.

        Args:
            query: (rows, n, embed_dim).
            keys: (rows, m, kdim); the queries without them.
            causal: a query attends only to keys that are not after it.

        Returns:
            (rows, heads, n, m); each row of the last axis has the sum 1.

        Example:
            >>> import chainrule as cr
            >>> attention = cr.nn.MultiHeadAttention(8, 2)
            >>> w = attention.weights(cr.ones((3, 5, 8)), causal=True)
            >>> w.shape, w[0, 0, 1].numpy().round(2).tolist()
            ((3, 2, 5, 5), [0.5, 0.5, 0.0, 0.0, 0.0])
        """
        query = self._sequences(query, self.embed_dim)
        q = self._heads(self.q_proj(query))
        k = self._heads(self.k_proj(query if keys is None else keys))
        if self.positions is not None:
            q, k = self.positions(q, 0), self.positions(k, 0)
        scores = matmul(q, transpose(k, (0, 1, 3, 2))) / float(np.sqrt(q.shape[-1]))
        if causal:
            n, m = scores.shape[-2:]
            seen = arange(m) <= expand_dims(arange(n) + (m - n), 1)
            scores = where(seen, scores, -float("inf"))
        found: Tensor = softmax(scores)
        return found

    def cache(self, rows: int, room: int, dtype: Any = float) -> AttentionCache:
        """An empty cache for so many rows, with room for so many positions."""
        shape = (rows, self.num_heads, room, self.embed_dim // self.num_heads)
        return {"keys": zeros(shape, dtype), "values": zeros(shape, dtype),
                "position": as_tensor(0)}  # fmt: skip

    def _sequences(self, x: TensorLike, features: int) -> Tensor:
        given = features_last(x, features)
        if given.ndim != 3:
            raise ShapeError("An attention takes sequences.", expected=f"(rows, time, {features})",
                             found=str(given.type),
                             hint="One sequence is a batch of one row: x[None].")  # fmt: skip
        return given

    def _heads(self, x: Tensor) -> Tensor:
        """(rows, time, features) as (rows, heads, time, features of a head)."""
        rows, time, width = x.shape
        split = reshape(x, (rows, time, self.num_heads, width // self.num_heads))
        return transpose(split, (0, 2, 1, 3))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, causal: bool) -> Tensor:
        attend = scaled_dot_product_attention if self.dropout is None else self.dropout
        y = attend(q, k, v, mask, causal)
        rows, _, time, _ = y.shape
        projected: Tensor = self.out_proj(
            reshape(transpose(y, (0, 2, 1, 3)), (rows, time, self.embed_dim))
        )
        return projected

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}"


class _WeightDropout(Dropout):
    """Attention with dropout of its weights."""

    def forward(  # type: ignore[override]
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: TensorLike | None,
        causal: bool,
        *,
        train: bool = False,
        key: Tensor | None = None,
    ) -> Tensor:
        if not train:
            return scaled_dot_product_attention(q, k, v, mask, causal)
        key = self._needed(key)
        return scaled_dot_product_attention(q, k, v, mask, causal, dropout=self.p, key=key)


def _extended(cache: AttentionCache, k: Tensor, v: Tensor) -> AttentionCache:
    """The cache with the new keys and values at its position."""
    position, count, room = cache["position"], k.shape[2], cache["keys"].shape[2]
    for old, new in ((cache["keys"], k), (cache["values"], v)):
        if old.shape[:2] != new.shape[:2] or old.shape[3] != new.shape[3]:
            raise ShapeError("The cache of the attention does not fit the input.",
                             expected=str(old.type), found=str(new.type))  # fmt: skip
    about = (
        "The cache of the attention is full.",
        f"{count} more after at most {room - count}, for it has room for {room}",
        "Make a larger one: attention.cache(rows, room).",
    )
    position = require(position, lambda filled: filled + count <= room, about, "range")
    return {
        "keys": dynamic_update_slice(cache["keys"], k, position, 2),
        "values": dynamic_update_slice(cache["values"], v, position, 2),
        "position": position + count,
    }


# ---- positions -------------------------------------------------------------------------------


def _angles(steps: int, first: Any, features: int, base: float) -> Tensor:
    """position·base^(-2i/features), (steps, features / 2), in float64."""
    rates = base ** (-np.arange(0, features, 2) / features)
    positions = cast(as_tensor(first, "int64") + arange(steps), "float64")
    product: Tensor = expand_dims(positions, 1) * rates
    return product


def _even(features: int) -> int:
    if positive_integer("features", features) % 2:
        raise ConfigError("Positions are encoded in pairs of features.",
                          expected="an even number of features", found=str(features))  # fmt: skip
    return features


class SinusoidalPositions(Module):
    """x + P with fixed sine waves for positions (Vaswani et al., 2017); nothing is learned.

        P[t, 2i] = sin(t·base^(-2i/features)),  P[t, 2i+1] = cos(the same)

    A call takes x (…, time, features) and the ``first`` position, 0 without it.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.SinusoidalPositions(2)(cr.zeros((2, 2))).tolist()
        [[0.0, 1.0], [0.841..., 0.540...]]
    """

    def __init__(self, features: int, base: float = 10000.0) -> None:
        self.features, self.base = _even(features), base

    def forward(self, x: TensorLike, first: TensorLike = 0) -> Tensor:
        x = features_last(floating(x), self.features)
        angles = expand_dims(_angles(x.shape[-2], first, self.features, self.base), 2)
        waves = reshape(concatenate([sin(angles), cos(angles)], 2), x.shape[-2:])
        y: Tensor = x + cast(waves, x.dtype)
        return y

    def extra_repr(self) -> str:
        return str(self.features) if self.base == 10000.0 else f"{self.features}, base={self.base}"


class LearnedPositions(Module):
    """x + P with a learned vector for every position; ``weight`` is (max_length, features).

    A call takes x (…, time, features) and the ``first`` position, 0 without it.

    Raises:
        ShapeError: the sequence is longer than max_length.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.LearnedPositions(10, 4)(cr.zeros((2, 7, 4))).shape
        (2, 7, 4)
    """

    def __init__(self, max_length: int, features: int) -> None:
        self.max_length = positive_integer("max_length", max_length)
        self.features = positive_integer("features", features)
        self.weight = parameter((self.max_length, self.features), _small)

    def forward(self, x: TensorLike, first: TensorLike = 0) -> Tensor:
        x = features_last(floating(x), self.features)
        start, steps = as_tensor(first, "int64"), x.shape[-2]
        if steps > self.max_length:
            raise ShapeError("The sequence is longer than there are positions.",
                             expected=f"at most {self.max_length}", found=str(steps))  # fmt: skip
        about = ("A position is out of range.", f"the first from 0 to {self.max_length - steps}")
        start = require(start, lambda s: (s >= 0) & (s <= self.max_length - steps), about, "range")
        if has_value(start.node):
            rows = narrow(self.weight, 0, int(start), int(start) + steps)
        else:
            rows = take(self.weight, start + arange(steps))
        y: Tensor = x + rows
        return y

    def extra_repr(self) -> str:
        return f"{self.max_length}, {self.features}"


def _small(key: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    return normal(key, shape, dtype, std=0.02)


class RotaryPositions(Module):
    """Vectors rotated by angles that grow with the position (Su et al., "RoFormer", 2021).

    The products of a query and a key then depend on their distance only. Features i and
    i + features/2 are a pair, rotated by φ = t·base^(-2i/features):

        (a, b) ↦ (a·cos φ - b·sin φ, a·sin φ + b·cos φ)

    A call takes x (…, time, features) and the ``first`` position, 0 without it.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.RotaryPositions(2)(cr.tensor([[1.0, 0.0], [1.0, 0.0]])).tolist()
        [[1.0, 0.0], [0.540..., 0.841...]]
    """

    def __init__(self, features: int, base: float = 10000.0) -> None:
        self.features, self.base = _even(features), base

    def forward(self, x: TensorLike, first: TensorLike = 0) -> Tensor:
        x = features_last(floating(x), self.features)
        angles = _angles(x.shape[-2], first, self.features, self.base)
        c, s = cast(cos(angles), x.dtype), cast(sin(angles), x.dtype)
        half = self.features // 2
        a, b = narrow(x, x.ndim - 1, 0, half), narrow(x, x.ndim - 1, half, self.features)
        return concatenate([a * c - b * s, a * s + b * c], -1)

    def extra_repr(self) -> str:
        return str(self.features) if self.base == 10000.0 else f"{self.features}, base={self.base}"
