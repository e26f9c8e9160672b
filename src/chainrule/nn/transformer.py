"""Blocks of transformers: attention, then two linear maps, each around a shortcut."""

from __future__ import annotations

import copy
from typing import Any, TypedDict

from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError
from .activation import ACTIVATIONS
from .attention import AttentionCache, MultiHeadAttention
from .checks import positive_integer
from .dropout import Dropout
from .initialization import redraw
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "DecoderCache",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class DecoderCache(TypedDict):
    """What a decoder layer keeps from one token to the next."""

    #: keys and values of the positions before
    own: AttentionCache
    #: (rows, heads, other time, features of a head) of the other sequence
    keys: Tensor
    #: the same
    values: Tensor


class _Block(Module):
    """What encoder and decoder layers share: self-attention and the two linear maps."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        bias: bool = True,
        *,
        rotary: bool = False,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ConfigError("Unknown activation.", expected=", ".join(ACTIVATIONS),
                              found=repr(activation))  # fmt: skip
        self.self_attn = MultiHeadAttention(d_model, nhead, dropout, bias, rotary=rotary)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, init="xavier_uniform")
        self.norm1 = LayerNorm(d_model, bias=bias)
        self.norm2 = LayerNorm(d_model, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.norm_first = norm_first

    def _around(self, x: Tensor, part: Any, norm: LayerNorm, dropout: Dropout) -> Tensor:
        """The part with its shortcut, normalised before the part or after the sum."""
        y: Tensor = x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))
        return y

    def _feed_forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return y

    def extra_repr(self) -> str:
        return f"norm_first={self.norm_first}"


class TransformerEncoderLayer(_Block):
    """Self-attention and a network of two linear maps for each position (Vaswani et al., 2017).

        x = norm1(x + attention(x));    x = norm2(x + linear2(activation(linear1(x))))

    With ``norm_first``: x = x + attention(norm1(x)), and so on. A call takes x (rows, time,
    d_model) and ``mask``, ``causal`` and ``cache`` of `MultiHeadAttention`; with a cache the
    result is the pair (x, new cache).

    Args:
        d_model: extent of the last axis.
        nhead: number of heads.
        dim_feedforward: features between the two linear maps.
        dropout: probability of dropping, of the attention's weights, too, while training.
        activation: a name from `chainrule.nn.ACTIVATIONS`.
        norm_first: whether each part normalises its input, which trains more easily, or the sum.
        bias: whether linear maps and norms have one.
        rotary: whether queries and keys are rotated by their positions.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16)
        >>> layer(cr.ones((3, 5, 8))).shape
        (3, 5, 8)
    """

    def forward(
        self,
        x: TensorLike,
        *,
        mask: TensorLike | None = None,
        causal: bool = False,
        cache: AttentionCache | None = None,
    ) -> Any:
        new: list[Any] = []

        def attention(x: Tensor) -> Tensor:
            found = self.self_attn(x, mask=mask, causal=causal, cache=cache)
            if cache is None:
                return found
            y, kept = found
            new.append(kept)
            return y

        x = self._around(x, attention, self.norm1, self.dropout1)
        x = self._around(x, self._feed_forward, self.norm2, self.dropout2)
        return x if cache is None else (x, new[0])


class TransformerDecoderLayer(_Block):
    """As `TransformerEncoderLayer`, and between the two parts attention to another sequence.

    A call takes x (rows, time, d_model), the other sequence ``memory`` (rows, other time,
    d_model), ``mask`` for x and ``memory_mask`` for the memory. A position of x does not
    attend to those after it, unless ``causal=False``. With a ``cache`` (of `cache`), which holds
    what is needed of the memory, x are the positions that follow those in it, and the result is
    the pair (x, new cache).

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.TransformerDecoderLayer(8, 2, dim_feedforward=16)
        >>> layer(cr.ones((3, 5, 8)), cr.ones((3, 4, 8))).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        bias: bool = True,
        *,
        rotary: bool = False,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, norm_first, bias, rotary=rotary
        )
        self.multihead_attn = MultiHeadAttention(d_model, nhead, dropout, bias)
        self.norm3 = LayerNorm(d_model, bias=bias)
        self.dropout3 = Dropout(dropout)

    def forward(
        self,
        x: TensorLike,
        memory: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
        causal: bool = True,
        cache: DecoderCache | None = None,
    ) -> Any:
        if cache is not None:
            return self._go_on(x, cache, mask, memory_mask)
        x = self._around(
            x, lambda x: self.self_attn(x, mask=mask, causal=causal), self.norm1, self.dropout1
        )
        x = self._around(
            x, lambda x: self.multihead_attn(x, memory, mask=memory_mask), self.norm2, self.dropout2
        )
        return self._around(x, self._feed_forward, self.norm3, self.dropout3)

    def _go_on(
        self, x: TensorLike, cache: DecoderCache, mask: Any, memory_mask: Any
    ) -> tuple[Tensor, DecoderCache]:
        """The positions that follow those in the cache."""
        new: list[AttentionCache] = []

        def own(x: Tensor) -> Tensor:
            y, kept = self.self_attn(x, mask=mask, cache=cache["own"])
            new.append(kept)
            found: Tensor = y
            return found

        def other(x: Tensor) -> Tensor:
            return self.multihead_attn.attend(x, cache["keys"], cache["values"], mask=memory_mask)

        y = self._around(as_tensor(x), own, self.norm1, self.dropout1)
        y = self._around(y, other, self.norm2, self.dropout2)
        y = self._around(y, self._feed_forward, self.norm3, self.dropout3)
        return y, {"own": new[0], "keys": cache["keys"], "values": cache["values"]}

    def cache(self, memory: Tensor, room: int) -> DecoderCache:
        """A cache for the rows of the memory, with room for so many positions of x."""
        keys, values = self.multihead_attn.project(memory)
        own = self.self_attn.cache(memory.shape[0], room, keys.dtype)
        return {"own": own, "keys": keys, "values": values}


class _Stack(Module):
    """A layer several times, each time with weights of its own, and a norm at the end."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        count = positive_integer("num_layers", num_layers)
        self.layers = [layer, *(redraw(copy.deepcopy(layer)) for _ in range(count - 1))]
        self.norm = norm

    def _end(self, x: Any) -> Any:
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """Encoder layers one after the other.

    A call takes what `TransformerEncoderLayer` takes; ``cache`` is a list with one for each layer.

    Args:
        layer: the first layer; the others are made like it, with random weights of their own.
        num_layers: how many there are.
        norm: what comes at the end; with ``norm_first`` a `LayerNorm` is usual.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, norm_first=True)
        >>> encoder = cr.nn.TransformerEncoder(layer, 3, cr.nn.LayerNorm(8))
        >>> encoder(cr.ones((3, 5, 8)), causal=True).shape
        (3, 5, 8)
    """

    def forward(
        self,
        x: TensorLike,
        *,
        mask: TensorLike | None = None,
        causal: bool = False,
        cache: list[AttentionCache] | None = None,
    ) -> Any:
        if cache is None:
            for layer in self.layers:
                x = layer(x, mask=mask, causal=causal)
            return self._end(x)
        new = []
        for layer, seen in zip(self.layers, cache, strict=True):
            x, kept = layer(x, mask=mask, causal=causal, cache=seen)
            new.append(kept)
        return self._end(x), new

    def cache(self, rows: int, room: int, dtype: Any = float) -> list[AttentionCache]:
        """Empty caches, one for each layer: see `MultiHeadAttention`."""
        layers = [layer for layer in self.layers if isinstance(layer, TransformerEncoderLayer)]
        return [layer.self_attn.cache(rows, room, dtype) for layer in layers]


class TransformerDecoder(_Stack):
    """Decoder layers one after the other; arguments as of `TransformerEncoder`.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.TransformerDecoderLayer(8, 2, dim_feedforward=16)
        >>> cr.nn.TransformerDecoder(layer, 2)(cr.ones((3, 5, 8)), cr.ones((3, 4, 8))).shape
        (3, 5, 8)
    """

    def forward(
        self,
        x: TensorLike,
        memory: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
        causal: bool = True,
        cache: list[DecoderCache] | None = None,
    ) -> Any:
        if cache is None:
            for layer in self.layers:
                x = layer(x, memory, mask=mask, memory_mask=memory_mask, causal=causal)
            return self._end(x)
        new = []
        for layer, seen in zip(self.layers, cache, strict=True):
            x, kept = layer(x, memory_mask=memory_mask, cache=seen)
            new.append(kept)
        return self._end(x), new

    def cache(self, memory: Tensor, room: int) -> list[DecoderCache]:
        """Caches for the rows of the memory, one for each layer; see `TransformerDecoderLayer`."""
        layers = [layer for layer in self.layers if isinstance(layer, TransformerDecoderLayer)]
        return [layer.cache(memory, room) for layer in layers]
