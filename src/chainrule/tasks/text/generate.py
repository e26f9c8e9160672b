"""Text that goes on as a language model thinks likely."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...engine.compile import Compiled
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ...models.gpt import GPT
from ...nn import Module
from ...utils.random import generator
from ...utils.typing import Array
from .tokenizers import SPECIAL, UNKNOWN, Tokenizer


class Reader:
    """Reads a text token by token, and knows at any moment what may follow.

    Nothing is computed twice: a gpt keeps keys and values of what it has read, an lstm its state.
    When a gpt has read as much as it can see at once, it starts anew with the latter half.

    Args:
        network: of `LanguageShape.build`.
        context: how many tokens a gpt can see.
    """

    def __init__(self, network: Module, context: int, backend: str = "numpy") -> None:
        self._network: Any = network
        self._context = context
        self._is_gpt = isinstance(network, GPT)
        self._run = Compiled(self._step, backend)
        self._recent: list[int] = []
        self._state = self._start()

    def copy(self) -> Reader:
        """A reader of the same text so far, which goes on by itself."""
        other = copy.copy(self)
        other._recent = list(self._recent)
        return other

    def _start(self) -> Any:
        if self._is_gpt:
            return self._network.cache(1, self._context)
        cells = [cell for (cell,) in self._network.core.cells]
        empty = np.zeros((len(cells), 1, cells[0].hidden_size), np.float32)
        return empty, empty

    def read(self, number: int) -> Array:
        """Read one more token; the logits of the next, (vocabulary,) float32."""
        if self._is_gpt and len(self._recent) >= self._context:
            again = self._recent[-(self._context // 2) :] if self._context > 1 else []
            self._recent, self._state = [], self._start()
            for old in again:
                self.read(old)
        self._recent.append(number)
        logits, self._state = self._run(np.array([[number]], np.int64), self._state)
        return logits.numpy()

    def _step(self, number: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self._is_gpt:
            logits, state = self._network(number, cache=state)
            return logits[0, 0], state
        y, state = self._network.core(self._network.entrance(number), state)
        return self._network.head(y)[0, 0], state


def generate(
    network: Module,
    tokenizer: Tokenizer,
    context: int,
    prompt: str = "",
    length: int = 500,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda sentence: None,
) -> Iterator[str]:
    """What follows a prompt, piece by piece, each drawn by the probabilities of the model.

    p(k) ∝ exp(zₖ / temperature) over the ``top_k`` most likely tokens; a temperature of 0 takes the
    most likely one. The same seed gives the same text.

    Args:
        network: of `LanguageShape.build`.
        tokenizer: that it was trained with.
        context: how many tokens a gpt can see.
        prompt: what the text begins with; without one it begins as a line does.
        length: characters to add, at least; none is cut.
        temperature: above 1 it is bolder, below 1 it is surer.
        top_k: draw from so many of the most likely tokens only.
        seed: of the draws.
        say: takes a note on characters of the prompt that the model does not know.

    Raises:
        ConfigError: an invalid length, temperature or top_k.
    """
    if length < 1 or temperature < 0 or (top_k is not None and top_k < 1):
        raise ConfigError(
            "This cannot be drawn from.",
            expected="length and top_k from 1, temperature from 0",
            found=f"length={length}, temperature={temperature}, top_k={top_k}",
        )
    numbers = tokenizer.encode(prompt or "\n")
    if unknown := int((numbers == UNKNOWN).sum()):
        say(f"{unknown:,} tokens of the prompt are not in the vocabulary of the model")
    return _drawn(Reader(network, context), tokenizer, numbers, length, temperature, top_k, seed)


def _drawn(
    reader: Reader, tokenizer: Tokenizer, prompt: Array, length: int, temperature: float,
    top_k: int | None, seed: int,
) -> Iterator[str]:  # fmt: skip
    rng = generator(seed, "text")
    for number in prompt:
        logits = reader.read(int(number))
    written = 0
    while written < length:
        number = draw(logits, rng.random(), temperature, top_k)
        piece = tokenizer.piece(number)
        written += max(len(piece), 1)
        yield piece
        if written < length:
            logits = reader.read(number)


def draw(logits: Array, u: float, temperature: float = 1.0, top_k: int | None = None) -> int:
    """The token whose part of [0, 1) holds u, when each has as much of it as it is likely.

    Example:
        >>> logits = np.log(np.array([1.0, 1.0, 0.25, 0.75]))  # the first two are no text
        >>> draw(logits, 0.2), draw(logits, 0.3), draw(logits, 0.2, temperature=0)
        (2, 3, 3)
    """
    z = logits.astype(np.float64)
    z[:SPECIAL] = -np.inf
    if temperature == 0:
        return int(z.argmax())
    if top_k is not None and top_k < len(z) - SPECIAL:
        z[np.argsort(-z, kind="stable")[top_k:]] = -np.inf
    p = np.exp((z - z.max()) / temperature)
    edges = np.cumsum(p)
    return int(min(np.searchsorted(edges, u * edges[-1], side="right"), len(z) - 1))
