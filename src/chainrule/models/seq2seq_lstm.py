"""From one sequence to another: LSTM with attention (Bahdanau et al., 2015; Luong et al., 2015)."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..engine.ops import (
    arange,
    concatenate,
    expand_dims,
    masked,
    matmul,
    repeat,
    stack,
    swapaxes,
    take,
    tanh,
)
from ..engine.tensor import Tensor, TensorLike, as_tensor
from .pointer import Pointer
from .seq2seq_transformer import TokenEntrance


class Seq2SeqLSTM(nn.Module):
    """A bidirectional LSTM reads the source, another one writes and looks back at it.

        h̃ = tanh(W·[h, c]),  c = the mean of the encoded source, weighted by softmax(hᵀ·W·s)

    (global attention with "general" scores of Luong et al.); logits are a linear map of h̃. A call
    takes what `Seq2SeqTransformer` takes.

    Args:
        entrance: source and lengths → vectors (rows, time, width) and their lengths.
        vocabulary: tokens of the target.
        width: features of a token, and of the state.
        layers: of reading, and of writing.
        dropout: the probability of dropping.
        shared: the entrance embeds the same tokens, and its ``tokens`` are those of the target.
        copies: lets the network copy from the source: see `Pointer`; inputs then have ``copied``,
            and in training ``wanted``, the tokens whose ln p it is to give instead of all.
    """

    def __init__(
        self, entrance: Any, vocabulary: int, width: int, layers: int, dropout: float,
        shared: bool = False, copies: int | None = None,
    ) -> None:  # fmt: skip
        self.entrance = entrance
        self.tokens = None if shared else TokenEntrance(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.LSTM(width, width, layers, dropout=dropout, bidirectional=True)
        self.bridges = [nn.Linear(2 * width, width) for _ in range(2 * layers)]
        self.decoder = nn.LSTM(width, width, layers, dropout=dropout)
        self.attention = nn.BilinearAttention(width, 2 * width)
        self.joined = nn.Linear(3 * width, width, bias=False)
        self.head = nn.Linear(width, vocabulary, init="xavier_uniform")
        self.pointer = None if copies is None else Pointer(width, 2 * width, copies)

    def forward(self, inputs: Any) -> Tensor:
        memory, seen, state = self.encode(inputs["source"], inputs["lengths"])
        x = self.dropout(self._embedded(inputs["previous"]))
        y, _ = self.decoder(x, state)
        return self._scores(y, memory, seen, inputs.get("copied"), inputs.get("wanted"))

    def encode(self, source: TensorLike, lengths: TensorLike) -> tuple[Tensor, Tensor, Any]:
        """The encoded source (rows, time, 2·width), a mask (rows, 1, time), the first state."""
        x, lengths = self.entrance(source, lengths)
        memory, state = self.encoder(self.dropout(x), lengths=lengths)
        seen = expand_dims(arange(x.shape[1]) < expand_dims(as_tensor(lengths), 1), 1)
        layers, count = [], len(self.bridges) // 2
        for part, ends in enumerate(state):
            both = [concatenate([ends[2 * n], ends[2 * n + 1]], -1) for n in range(count)]
            layers.append(
                stack([tanh(self.bridges[part * count + n](each)) for n, each in enumerate(both)])
            )
        return memory, seen, tuple(layers)

    def _embedded(self, previous: TensorLike) -> Tensor:
        x, _ = (self.entrance if self.tokens is None else self.tokens)(previous, None)
        found: Tensor = x
        return found

    def _scores(
        self, y: Tensor, memory: Tensor, seen: Tensor, copied: Any, wanted: Any = None
    ) -> Tensor:
        context = self.attention(y, memory, mask=seen)
        joined = self.dropout(tanh(self.joined(concatenate([y, context], -1))))
        logits: Tensor = self.head(joined)
        if self.pointer is None:
            return logits
        found: Tensor = self.pointer(joined, logits, memory, seen, copied, wanted=wanted)
        return found

    def alignment(self, inputs: Any) -> Tensor:
        """How much each token of the target looks at each step of the source.

        Returns:
            (rows, steps, time); each row of the last axis has the sum 1.
        """
        memory, seen, state = self.encode(inputs["source"], inputs["lengths"])
        y, _ = self.decoder(self._embedded(inputs["previous"]), state)
        scores = matmul(matmul(y, self.attention.weight), swapaxes(memory, 1, 2))
        found: Tensor = masked.softmax(scores, seen)
        return found

    # ---- one token after another -----------------------------------------------------------------

    def start(self, inputs: Any, room: int, beam: int = 1) -> Any:
        """What `step` needs of the source; see `Seq2SeqTransformer.start`."""
        memory, seen, state = self.encode(inputs["source"], inputs["lengths"])
        known = [memory, seen] if self.pointer is None else [memory, seen, inputs["copied"]]
        if beam > 1:
            known = [repeat(each, beam, 0) for each in known]
            state = tuple(repeat(part, beam, 1) for part in state)
        return {"known": known, "state": state}

    def step(self, previous: TensorLike, state: Any, rows: TensorLike | None = None) -> Any:
        """The logits (rows, vocabulary) of the next token, and the new state.

        See `Seq2SeqTransformer.step`.
        """
        inner, known = state["state"], state["known"]
        if rows is not None:
            inner = tuple(take(part, rows, 1) for part in inner)
        x = self._embedded(expand_dims(as_tensor(previous), 1))
        y, inner = self.decoder(x, inner)
        memory, seen, copied = known if self.pointer is not None else (*known, None)
        return self._scores(y, memory, seen, copied)[:, 0], {"known": known, "state": inner}


def seq2seq_lstm(
    vocabulary: int,
    source_vocabulary: int | None = None,
    *,
    entrance: nn.Module | None = None,
    width: int = 128,
    layers: int = 1,
    dropout: float = 0.1,
) -> Seq2SeqLSTM:
    """LSTM with attention, which translates one sequence into another.

    Args:
        vocabulary: tokens of the target.
        source_vocabulary: tokens of the source; without them the tokens are those of the target,
            and one embedding serves both.
        entrance: what makes vectors of a source that is not of tokens: see `Seq2SeqTransformer`.
        width: features of a token, and of the state.
        layers: of reading, and of writing.
        dropout: the probability of dropping.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.seq2seq_lstm(10, width=16)
        >>> pairs = {"source": [[1, 2, 3], [4, 5, 0]], "lengths": [3, 2], "previous": [[1], [4]]}
        >>> inputs = {name: cr.tensor(value) for name, value in pairs.items()}
        >>> model(inputs).shape, model.alignment(inputs).shape
        ((2, 1, 10), (2, 1, 3))
    """
    shared = entrance is None and source_vocabulary is None
    entrance = entrance or TokenEntrance(source_vocabulary or vocabulary, width)
    return Seq2SeqLSTM(entrance, vocabulary, width, layers, dropout, shared)
