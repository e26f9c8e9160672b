"""Language models: how likely each next character, word or piece of a word is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ... import models
from ...engine.backends.base import Backend
from ...engine.compile import Compiled
from ...engine.ops import expand_dims, log_softmax, reshape, take_along_axis
from ...engine.tensor import Tensor
from ...errors import ModelFileError
from ...losses import cross_entropy
from ...nn import Module
from ...utils.typing import Array
from .tokenizers import Tokenizer

#: Windows that are evaluated at once.
_AT_ONCE = 32


@dataclass(frozen=True)
class LanguageShape:
    """Sizes of a language model: all that is needed to build it again.

    Attributes:
        model: gpt or lstm.
        vocabulary: how many numbers the tokenizer has.
        context: how many tokens are seen at once in training; a gpt never sees more.
        width: features of a token, or of the state.
        layers: how many there are.
        dropout: fraction of the hidden units that are set to 0 in training.
    """

    model: str
    vocabulary: int
    context: int
    width: int
    layers: int
    dropout: float

    def build(self) -> Module:
        """A new network: numbers (rows, time) → logits (rows, time, vocabulary)."""
        if self.model == "gpt":
            return models.gpt(
                self.vocabulary,
                self.context,
                self.width,
                _heads(self.width),
                self.layers,
                self.dropout,
                rotary=True,
            )
        return models.lstm(
            self.vocabulary, vocabulary=self.vocabulary, embedding=min(self.width, 128),
            hidden=self.width, layers=self.layers, dropout=self.dropout, every_step=True,
        )  # fmt: skip

    def rebuild(self, state: dict[str, Array]) -> Module:
        """The network with the variables of a model file.

        Raises:
            ModelFileError: they are of another network.
        """
        # What the file holds bounds what is built, so that no false size takes all memory.
        held = sum(array.size for array in state.values())
        sizes = (self.vocabulary, self.context, self.width)
        if self.model not in ("gpt", "lstm") or min(*sizes, self.layers) < 1 or (
            self.layers * self.width**2 + self.vocabulary * self.width > held
        ):  # fmt: skip
            raise ModelFileError("The description of the network is damaged.", found=str(self))
        network = self.build()
        network.load_state(state)
        return network


def _heads(width: int) -> int:
    """Heads of about 32 features, as many as divide the width."""
    return next(n for n in range(max(width // 32, 1), 0, -1) if width % n == 0)


# ---- training ------------------------------------------------------------------------------------


def windows(numbers: Array, context: int) -> tuple[Array, Array]:
    """Parts of a text side by side, (rows, context), and for each token the one that follows.

    Example:
        >>> windows(np.arange(8), 3)
        (array([[0, 1, 2],
               [3, 4, 5]]), array([[1, 2, 3],
               [4, 5, 6]]))
    """
    rows = (len(numbers) - 1) // context
    used = rows * context
    return (
        numbers[:used].reshape(rows, context),
        numbers[1 : used + 1].reshape(rows, context),
    )


def next_token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The mean of -ln p(next token), in nats."""
    rows, time, vocabulary = logits.shape
    return cross_entropy(
        reshape(logits, (rows * time, vocabulary)), reshape(target, (rows * time,))
    )


# ---- evaluation ----------------------------------------------------------------------------------


def surprises(
    network: Module, numbers: Array, context: int, backend: str | Backend = "auto"
) -> Array:
    """-ln p(token | those before it) of every token but the first, in nats, (n - 1,) float64.

    The windows overlap by a half, so that all but the first half context is predicted from at least
    half a context before it.
    """
    run = Compiled(lambda x, y: _surprise(network, x, y), backend)
    found = np.zeros(len(numbers) - 1)
    for starts, fresh in _overlapping(len(numbers) - 1, context):
        places = starts[:, None] + np.arange(fresh[0] + fresh[1])
        values = run(numbers[places], numbers[places + 1]).numpy()
        found[places[:, fresh[0] :]] = values[:, fresh[0] :]
    return found


def _surprise(network: Module, x: Tensor, following: Tensor) -> Tensor:
    chosen = take_along_axis(log_softmax(network(x)), expand_dims(following, 2), 2)
    return -reshape(chosen, following.shape)


def _overlapping(count: int, context: int) -> Iterator[tuple[Array, tuple[int, int]]]:
    """Starts of windows of one size, and how many tokens of it are old and how many are new."""
    if count <= context:
        yield np.array([0]), (0, count)
        return
    yield np.array([0]), (0, context)
    new = (context + 1) // 2
    starts = np.arange(new, count - context + 1, new)
    for first in range(0, len(starts), _AT_ONCE):
        yield starts[first : first + _AT_ONCE], (context - new, new)
    done = context if not len(starts) else int(starts[-1]) + context
    if done < count:
        yield np.array([count - context]), (done - (count - context), count - done)


def scores(nats: float, tokens: int, characters: int) -> dict[str, float]:
    """The metrics of a language model.

    Args:
        nats: the sum of -ln p over all tokens.
        tokens: how many these are.
        characters: how many characters they stand for.

    Example:
        >>> {name: round(x, 3) for name, x in scores(10 * math.log(2), 10, 10).items()}
        {'nats_per_character': 0.693, 'bits_per_character': 1.0, 'perplexity': 2.0}
    """
    return {
        "nats_per_character": nats / characters,
        "bits_per_character": nats / characters / math.log(2),
        "perplexity": math.exp(min(nats / tokens, 700.0)),
    }


def counting_baselines(train: Array, test: Array, vocabulary: int) -> dict[str, float]:
    """Σ -ln p of all tokens but the first, by how frequent they are, alone and after another.

    unigram  p(b) = (n(b) + 1) / (n + V)
    bigram   p(b|a) = (n(ab) + p(b)) / (n(a) + 1), so that what was never seen is as in the unigram
             (MacKay and Bauman Peto, 1995, with a prior that weighs as one token)
    """
    counts = np.bincount(train, minlength=vocabulary)
    frequency = (counts + 1) / (len(train) + vocabulary)
    a, b = test[:-1].astype(np.int64), test[1:].astype(np.int64)
    pairs, pair_counts = np.unique(
        train[:-1].astype(np.int64) * vocabulary + train[1:], return_counts=True
    )
    place = np.minimum(np.searchsorted(pairs, a * vocabulary + b), len(pairs) - 1)
    together = np.where(pairs[place] == a * vocabulary + b, pair_counts[place], 0)
    first = np.bincount(train[:-1], minlength=vocabulary)
    return {
        "bigram": float(-np.log((together + frequency[b]) / (first[a] + 1)).sum()),
        "unigram": float(-np.log(frequency[b]).sum()),
    }


def characters_of(numbers: Array, tokenizer: Tokenizer) -> int:
    """How many characters tokens stand for; what is unknown counts as one."""
    lengths = np.array([len(tokenizer.piece(number)) for number in range(len(tokenizer))])
    return int(lengths[numbers].sum())
