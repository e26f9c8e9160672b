"""From one sequence to another: the encoder–decoder transformer (Vaswani et al., 2017)."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .. import nn
from ..engine.ops import any as any_
from ..engine.ops import arange, cumsum, expand_dims, matmul, repeat, take, transpose, where
from ..engine.ops.declare import cast
from ..engine.tensor import Tensor, TensorLike, as_tensor
from .pointer import Pointer


class TokenEntrance(nn.Module):
    """Token indices as vectors: their embedding, multiplied by √width.

    An entrance of `Seq2SeqTransformer`: a call takes the source (rows, time) and the ``lengths`` of
    the rows, and gives vectors (rows, time, width) and their lengths.

    Args:
        vocabulary: tokens of the source.
        width: features of a vector.
        near: of so many tokens around each one a convolution is added to its vector. What is said
            of a word a few words before can then be found by attention at once, which it otherwise
            learns late, or never from few examples. An odd number; 0 for none.
        end: the token after each text of a source of several, such as question and context: tokens
            that stand in another text, too, are told from those that do not (the exact match of
            Chen et al., 2017). None without that.

    Example:
        >>> import chainrule as cr
        >>> entrance = cr.models.TokenEntrance(10, 4, near=3)
        >>> entrance(cr.tensor([[1, 2, 0], [3, 4, 5]]), cr.tensor([2, 3]))[0].shape
        (2, 3, 4)
    """

    def __init__(self, vocabulary: int, width: int, near: int = 0, end: int | None = None) -> None:
        self.tokens, self.end = embedding(vocabulary, width), end
        self.matched = None if end is None else embedding(2, width)
        self.near = nn.Conv1d(width, width, near, padding=near // 2) if near else None

    def forward(self, source: TensorLike, lengths: TensorLike) -> Any:
        x = self.tokens(source)
        if self.matched is not None:
            x = x + self.matched(cast(self.matches(source), np.int32))
        x = x * math.sqrt(x.shape[-1])
        if self.near is None:
            return x, lengths
        counts = arange(x.shape[1]) < expand_dims(as_tensor(lengths), 1)
        return x + self.near(where(expand_dims(counts, 2), x, 0.0)), lengths

    def matches(self, source: TensorLike) -> Tensor:
        """(rows, time) whether a token stands in another text of its row, too.

        Padding, the unknown and ends, the numbers 0, 1 and ``end``, do not count.

        Example:
            >>> import chainrule as cr
            >>> entrance = cr.models.TokenEntrance(10, 4, end=9)
            >>> entrance.matches([[2, 3, 1, 9, 3, 3, 4, 1, 9, 0]]).numpy().astype(int).tolist()
            [[0, 1, 0, 0, 1, 1, 0, 0, 0, 0]]
        """
        tokens = as_tensor(source)
        text = cumsum(cast(tokens == self.end, np.int32), 1)
        first, second = expand_dims(tokens, 2), expand_dims(tokens, 1)
        same = (first == second) & (expand_dims(text, 2) != expand_dims(text, 1))
        found: Tensor = any_(same, 2) & (tokens > 1) & (tokens != self.end)
        return found


class Seq2SeqTransformer(nn.Module):
    """An encoder of the source, and a decoder that predicts each token of the target.

    Blocks normalise first. The logits are products with the vectors of the decoder's embedding:
    one weight, used twice (Press and Wolf, 2017); embeddings are multiplied by √width.

    A call takes a dict of ``source`` (rows, time) token indices, or what else the entrance takes,
    ``lengths`` (rows) of the sources and ``previous`` (rows, steps), the tokens of the target up to
    the one that is predicted; it gives logits (rows, steps, vocabulary).

    Args:
        entrance: source and lengths → vectors (rows, time, width) and their lengths, such as
            `TokenEntrance`.
        vocabulary: tokens of the target.
        width: features inside.
        heads: of the attention; must divide the width.
        layers: of the encoder, and of the decoder.
        dropout: the probability of dropping.
        shared: the entrance embeds the same tokens, and its ``tokens`` are those of the target.
        copies: lets the network copy from the source: see `Pointer`; inputs then have ``copied``,
            and in training ``wanted``, the tokens whose ln p it is to give instead of all.
        ordered: what is copied stands in much the same order as in the source.
    """

    def __init__(
        self,
        entrance: Any,
        vocabulary: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        shared: bool = False,
        copies: int | None = None,
        ordered: bool = False,
    ) -> None:
        self.entrance = entrance
        self.tokens = None if shared else embedding(vocabulary, width)
        self.pointer = None if copies is None else Pointer(width, width, copies, ordered)
        self.positions = nn.SinusoidalPositions(width)
        self.dropout = nn.Dropout(dropout)
        block = (width, heads, 4 * width, dropout)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*block, activation="gelu", norm_first=True),
            layers, nn.LayerNorm(width),
        )  # fmt: skip
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*block, activation="gelu", norm_first=True),
            layers, nn.LayerNorm(width),
        )  # fmt: skip

    def forward(self, inputs: Any) -> Tensor:
        memory, seen = self.encode(inputs["source"], inputs["lengths"])
        x = self.dropout(self.positions(self._embedded(inputs["previous"])))
        x = self.decoder(x, memory, memory_mask=seen)
        return self._scores(x, memory, seen, inputs.get("copied"), wanted=inputs.get("wanted"))

    def encode(self, source: TensorLike, lengths: TensorLike) -> tuple[Tensor, Tensor]:
        """The encoded source (rows, time, width), and a mask (rows, 1, 1, time) of what counts."""
        x, lengths = self.entrance(source, lengths)
        seen = expand_dims(arange(x.shape[1]) < expand_dims(as_tensor(lengths), 1), (1, 2))
        return self.encoder(self.dropout(self.positions(x)), mask=seen), seen

    @property
    def _embedding(self) -> Any:
        return self.entrance.tokens if self.tokens is None else self.tokens

    def _embedded(self, previous: TensorLike) -> Tensor:
        x: Tensor = self._embedding(previous)
        return x * math.sqrt(x.shape[-1])

    def _scores(
        self, x: Tensor, memory: Any, seen: Tensor, copied: Any, first: TensorLike = 0,
        wanted: Any = None,
    ) -> Tensor:  # fmt: skip
        logits = matmul(x, transpose(self._embedding.weight))
        if self.pointer is None:
            return logits
        found: Tensor = self.pointer(x, logits, memory, seen[:, 0], copied, first, wanted)
        return found

    # ---- one token after another -----------------------------------------------------------------

    def start(self, inputs: Any, room: int, beam: int = 1) -> Any:
        """What `step` needs of the source, with room for so many tokens.

        Keys and values of the source are computed once; those of the target are kept (a cache).

        Args:
            inputs: as of a call, without ``previous``.
            room: tokens of the target.
            beam: how many rows of the state there are for each of the source, side by side.
        """
        memory, seen = self.encode(inputs["source"], inputs["lengths"])
        known = [memory, seen] if self.pointer is None else [memory, seen, inputs["copied"]]
        if beam > 1:
            known = [repeat(each, beam, 0) for each in known]
        layers = self.decoder.cache(known[0], room)
        # Only a pointer looks at the encoded source itself.
        known = known[1:2] if self.pointer is None else known
        return {"layers": layers, "known": known, "position": as_tensor(0)}

    def step(self, previous: TensorLike, state: Any, rows: TensorLike | None = None) -> Any:
        """The logits (rows, vocabulary) of the next token, and the new state.

        Args:
            previous: (rows) the last tokens.
            state: of `start`, or of the step before.
            rows: (rows) which row of the state each one goes on from; each from its own without
                it. Both must be of the same source.
        """
        position, layers, known = state["position"], state["layers"], state["known"]
        memory, seen, copied = (None, *known, None) if self.pointer is None else known
        if rows is not None:
            layers = [_reordered(layer, rows) for layer in layers]
        x = self.positions(self._embedded(expand_dims(as_tensor(previous), 1)), position)
        x, layers = self.decoder(x, memory_mask=seen, cache=layers)
        state = {"layers": layers, "known": known, "position": position + 1}
        return self._scores(x, memory, seen, copied, position)[:, 0], state


def _reordered(layer: Any, rows: TensorLike) -> Any:
    own = layer["own"]
    moved = {name: take(own[name], rows, 0) for name in ("keys", "values")}
    return {**layer, "own": {**own, **moved}}


def embedding(vocabulary: int, width: int) -> nn.Embedding:
    """An embedding with vectors of norm 1, for what comes out of it is multiplied by √width."""
    small = functools.partial(nn.init.normal, std=1 / math.sqrt(width))
    return nn.Embedding(vocabulary, width, init=small)


def seq2seq_transformer(
    vocabulary: int,
    source_vocabulary: int | None = None,
    *,
    entrance: nn.Module | None = None,
    width: int = 128,
    heads: int = 4,
    layers: int = 2,
    dropout: float = 0.1,
) -> Seq2SeqTransformer:
    """An encoder–decoder transformer, which translates one sequence into another.

    Args:
        vocabulary: tokens of the target.
        source_vocabulary: tokens of the source; without them the tokens are those of the target,
            and one embedding serves both.
        entrance: what makes vectors of a source that is not of tokens: see `Seq2SeqTransformer`.
        width: features inside.
        heads: of the attention; must divide the width.
        layers: of the encoder, and of the decoder.
        dropout: the probability of dropping.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.seq2seq_transformer(10, width=16, layers=1)
        >>> pairs = {"source": [[1, 2, 3], [4, 5, 0]], "lengths": [3, 2], "previous": [[1], [4]]}
        >>> model({name: cr.tensor(value) for name, value in pairs.items()}).shape
        (2, 1, 10)
    """
    shared = entrance is None and source_vocabulary is None
    entrance = entrance or TokenEntrance(source_vocabulary or vocabulary, width)
    return Seq2SeqTransformer(entrance, vocabulary, width, heads, layers, dropout, shared)
