"""How a network writes a text: what it is trained on, its loss, and how its answer is found.

An output is a class, entered in `schema.OUTPUTS` under its name, with the models that have it.
`Autoregressive` writes one token after another; another way, such as `ctc_output.CtcOutput`, which
gives a token or a blank for each step of the source, is another class with the same methods.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ...engine.backends.base import Backend
from ...engine.ops.declare import cast
from ...engine.tensor import Tensor, as_tensor
from ...errors import ConfigError
from ...losses import cross_entropy
from ...losses.common import reduce
from ...utils.typing import Array
from ..text.tokenizers import PADDING, UNKNOWN, Tokenizer
from .consensus import Sampler
from .decoding import Decoding, Writer, Written
from .sources import LONGEST, Source, padded
from .vocabulary import encode_text

#: A text may become so much longer than the longest one of the training.
_LONGER = 1.25


class Output(ABC):
    """A way to write texts.

    Args:
        end: the token that ends a text; those of the tokenizer are below it.
        longest: tokens that a text has at most.
    """

    name: ClassVar[str]

    def __init__(self, end: int, longest: int) -> None:
        self.end, self.longest = end, longest

    @property
    @abstractmethod
    def classes(self) -> int:
        """How many scores the network gives in each step."""

    def room(self, source: Source, tokenizer: Tokenizer, texts: Sequence[str]) -> int:
        """How many tokens a text may have: some more than the longest one of the training."""
        most = max(len(encode_text(tokenizer, text)) for text in texts)
        return min(int(most * _LONGER) + 4, LONGEST)

    @abstractmethod
    def length(self, tokens: Sequence[Array]) -> Array:
        """(texts,) what room each needs in a batch."""

    @abstractmethod
    def batch(
        self, source: dict[str, Array], tokens: Sequence[Array], length: int
    ) -> tuple[dict[str, Array], Array]:
        """Inputs of the network and target of its loss, from arrays of the source and tokens."""

    @abstractmethod
    def loss(self, smoothing: float, copies: bool) -> Callable[..., Tensor]:
        """The loss of what the network gives and the target of a batch.

        Args:
            smoothing: probability that is left to other tokens, where the network gives scores.
            copies: whether it copies, and gives ln p of the target instead.
        """

    @abstractmethod
    def writer(
        self, network: Any, how: Decoding, backend: str | Backend
    ) -> Callable[[dict[str, Array]], list[list[Written]]]:
        """A function of a batch of sources: the best texts for each row, the best first."""

    def sampler(
        self, network: Any, how: Decoding, backend: str | Backend
    ) -> Callable[[dict[str, Array]], list[list[Written]]]:
        """A function of a batch of sources: so many texts as ``how.mbr`` says, drawn for each row.

        Raises:
            ConfigError: this is no output that draws.
        """
        raise ConfigError("What is said in sounds is not chosen by minimum Bayes risk.",
                          expected="a model that writes token by token: --model transformer",
                          found=f"mbr={how.mbr}", hint="Omit --mbr.")  # fmt: skip


class Autoregressive(Output):
    """One token after another, each from those before it; it is trained with the right ones."""

    name = "autoregressive"

    @property
    def classes(self) -> int:
        return self.end + 1

    def length(self, tokens: Sequence[Array]) -> Array:
        return np.array([len(each) + 1 for each in tokens], np.int64)

    def batch(
        self, source: dict[str, Array], tokens: Sequence[Array], length: int
    ) -> tuple[dict[str, Array], Array]:
        end = np.array([self.end], np.int32)
        target = padded([np.concatenate([each, end]) for each in tokens], length)
        # A text begins after an end; what follows padding does not count.
        previous = np.concatenate([np.full((len(target), 1), self.end), target[:, :-1]], axis=1)
        previous = np.where(previous > self.end, UNKNOWN, previous)  # it was copied
        inputs = {**source, "previous": previous.astype(np.int32)}
        return (inputs | {"wanted": target} if "copied" in source else inputs), target

    def loss(self, smoothing: float, copies: bool) -> Callable[..., Tensor]:
        if copies:
            return pointer_loss
        return functools.partial(cross_entropy, ignore_index=PADDING, label_smoothing=smoothing)

    def writer(
        self, network: Any, how: Decoding, backend: str | Backend
    ) -> Callable[[dict[str, Array]], list[list[Written]]]:
        return Writer(network, self.end, self.longest, how, backend).write

    def sampler(
        self, network: Any, how: Decoding, backend: str | Backend
    ) -> Callable[[dict[str, Array]], list[list[Written]]]:
        return Sampler(network, self.end, self.longest, how.mbr, how, backend).draw


def pointer_loss(
    log_p: Tensor, target: Tensor, *, sample_weights: Any = None, reduction: str = "mean"
) -> Tensor:
    """The mean of -ln p of the target, (rows, steps), where that is no padding.

    Example:
        >>> import chainrule as cr
        >>> log_p, target = cr.tensor([[-1.0, -2.0, -9.0]]), cr.tensor([[5, 7, 0]])
        >>> pointer_loss(log_p, target).item()
        1.5
    """
    counts = cast(as_tensor(target) != PADDING, log_p.dtype)
    return reduce(-log_p * counts, reduction, sample_weights, counts)
