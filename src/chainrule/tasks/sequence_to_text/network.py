"""Networks that make texts of sequences, by their sizes: all that is needed to build one again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ... import models
from ...errors import ModelFileError
from ...nn import Module
from ...utils.typing import Array
from .sources import Source


@dataclass(frozen=True)
class SequenceShape:
    """Sizes of a network.

    Attributes:
        model: a name in `BUILDERS`.
        classes: scores in each step.
        width: features inside.
        layers: of each of its halves.
        dropout: fraction of the hidden units that are set to 0 in training.
        shared: source and target have the same tokens, and one embedding.
        longest: tokens of a target.
        copies: words that the vocabulary lacks and that can be copied from a source; None for a
            network that does not copy.
        ordered: what is copied stands in much the same order as in the source.
    """

    model: str
    classes: int
    width: int
    layers: int
    dropout: float
    shared: bool
    longest: int
    copies: int | None = None
    ordered: bool = False

    def build(self, source: Source) -> Any:
        """A new network for such sources."""
        return BUILDERS[self.model](self, source)

    def rebuild(self, source: Source, state: dict[str, Array]) -> Any:
        """The network with the variables of a model file.

        Raises:
            ModelFileError: they are of another network.
        """
        # What the file holds bounds what is built, so that no false size takes all memory.
        held = sum(array.size for array in state.values())
        sizes = (self.classes, self.width, self.layers, self.longest)
        if self.model not in BUILDERS or min(sizes) < 1 or (
            self.layers * self.width**2 + self.classes * self.width > held
        ):  # fmt: skip
            raise ModelFileError("The description of the network is damaged.", found=str(self))
        network = self.build(source)
        network.load_state(state)
        return network


def _transformer(shape: SequenceShape, source: Source) -> Module:
    return models.Seq2SeqTransformer(
        source.entrance(shape.width, shape.dropout), shape.classes, shape.width,
        heads(shape.width), shape.layers, shape.dropout, shape.shared, shape.copies, shape.ordered,
    )  # fmt: skip


def _lstm(shape: SequenceShape, source: Source) -> Module:
    return models.Seq2SeqLSTM(
        source.entrance(shape.width, shape.dropout), shape.classes, shape.width, shape.layers,
        shape.dropout, shape.shared, shape.copies,
    )  # fmt: skip


def _ctc(encoder: str, shape: SequenceShape, source: Source) -> Module:
    return models.SpeechRecognizer(
        source.entrance(shape.width, shape.dropout), shape.classes, shape.width, shape.layers,
        encoder, shape.dropout,
    )  # fmt: skip


#: What builds each model.
BUILDERS: dict[str, Callable[[SequenceShape, Source], Any]] = {
    "transformer": _transformer,
    "lstm": _lstm,
    "ctc-lstm": partial(_ctc, "lstm"),
    "ctc-transformer": partial(_ctc, "transformer"),
}


def heads(width: int) -> int:
    """Heads of about 32 features, as many as divide the width."""
    return next(n for n in range(max(width // 32, 1), 0, -1) if width % n == 0)
