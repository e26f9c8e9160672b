"""Recurrent networks for sequences: `lstm` and `gru`."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..engine.ops import concatenate
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError


class SequenceModel(nn.Module):
    """What enters a recurrent layer, the layer, and a linear map of what it gives.

    A call takes x and the ``lengths`` of the rows, if they differ.

    Args:
        entrance: an embedding, or nothing where the input has features already.
        core: `nn.RNN`, `nn.LSTM` or `nn.GRU`.
        outputs: features of the result.
        every_step: a result for every element, (rows, time, outputs); otherwise one for the
            sequence, (rows, outputs), from the last state.
    """

    def __init__(
        self, entrance: nn.Module | None, core: Any, outputs: int, every_step: bool
    ) -> None:
        self.entrance = entrance
        self.core = core
        width = core.cells[0][0].hidden_size * (2 if core.bidirectional else 1)
        self.head = nn.Linear(width, outputs, init="xavier_uniform")
        self.every_step = every_step

    def forward(self, x: TensorLike, lengths: TensorLike | None = None) -> Tensor:
        features = x if self.entrance is None else self.entrance(x)
        y, state = self.core(features, lengths=lengths)
        if not self.every_step:
            h = state[0] if isinstance(state, tuple) else state
            y = concatenate([h[-2], h[-1]], -1) if self.core.bidirectional else h[-1]
        result: Tensor = self.head(y)
        return result

    def extra_repr(self) -> str:
        return f"every_step={self.every_step}"


def entrance(
    features: int | None, vocabulary: int | None, width: int
) -> tuple[nn.Module | None, int]:
    """An embedding, if the input is of indices, and how many features come out of it."""
    if (features is None) == (vocabulary is None):
        raise ConfigError(
            "The sequence is either of features or of tokens.",
            expected="features=… for numbers (rows, time, features), or vocabulary=… for token "
            "indices (rows, time)",
            found="both" if features else "neither",
        )
    if features is not None:
        return None, features
    assert vocabulary is not None
    return nn.Embedding(vocabulary, width), width


def lstm(
    outputs: int,
    features: int | None = None,
    vocabulary: int | None = None,
    *,
    embedding: int = 64,
    hidden: int = 128,
    layers: int = 1,
    dropout: float = 0.0,
    bidirectional: bool = False,
    every_step: bool = False,
) -> SequenceModel:
    """Long short-term memory for sequences of numbers or of tokens.

    Args:
        outputs: features of the result; for classes these are logits.
        features: of the elements of a sequence (rows, time, features).
        vocabulary: how many tokens there are, if the input is their indices (rows, time).
        embedding: features of a token.
        hidden: features of the state.
        layers: how many there are, one on the other.
        dropout: the probability of dropping between them.
        bidirectional: whether to read in both directions.
        every_step: a result for every element instead of one for the sequence.

    Raises:
        ConfigError: both or none of features and vocabulary are given.

    Example:
        >>> import chainrule as cr
        >>> cr.models.lstm(3, features=2)(cr.ones((5, 7, 2))).shape
        (5, 3)
        >>> letters = cr.models.lstm(65, vocabulary=65, every_step=True)
        >>> letters(cr.zeros((5, 7), "int64")).shape
        (5, 7, 65)
    """
    first, width = entrance(features, vocabulary, embedding)
    core = nn.LSTM(width, hidden, layers, dropout=dropout, bidirectional=bidirectional)
    return SequenceModel(first, core, outputs, every_step)


def gru(
    outputs: int,
    features: int | None = None,
    vocabulary: int | None = None,
    *,
    embedding: int = 64,
    hidden: int = 128,
    layers: int = 1,
    dropout: float = 0.0,
    bidirectional: bool = False,
    every_step: bool = False,
) -> SequenceModel:
    """Gated recurrent units for sequences; arguments as of `lstm`.

    Example:
        >>> import chainrule as cr
        >>> cr.models.gru(3, features=2, bidirectional=True)(cr.ones((5, 7, 2))).shape
        (5, 3)
    """
    first, width = entrance(features, vocabulary, embedding)
    core = nn.GRU(width, hidden, layers, dropout=dropout, bidirectional=bidirectional)
    return SequenceModel(first, core, outputs, every_step)
