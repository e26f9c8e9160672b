"""Long texts in parts: each part is an example of its own, and their predictions are pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...utils.typing import Array


@dataclass(frozen=True, eq=False)
class Windows:
    """Texts as a network takes them, those that are longer than it sees in several parts.

    Attributes:
        inputs: arrays with a row for each part.
        text: (parts,) the text that each is of, ascending.
        share: (parts,) how much of its text each is; those of a text add up to 1.
    """

    inputs: Mapping[str, Array]
    text: Array
    share: Array

    @property
    def several(self) -> int:
        """How many texts have more than one part."""
        return int((np.bincount(self.text) > 1).sum()) if len(self.text) else 0

    def first(self) -> dict[str, Array]:
        """The first part of each text."""
        rows = np.flatnonzero(np.diff(self.text, prepend=-1))
        return {name: array[rows] for name, array in self.inputs.items()}

    def pooled(self, probabilities: Array) -> Array:
        """What is predicted of each text: ln p is averaged over its parts by their shares.

        Args:
            probabilities: (parts, classes).

        Example:
            >>> parts = Windows({}, np.array([0, 0, 1]), np.array([0.5, 0.5, 1.0]))
            >>> parts.pooled(np.array([[0.8, 0.2], [0.2, 0.8], [0.9, 0.1]])).round(2).tolist()
            [[0.5, 0.5], [0.9, 0.1]]
        """
        if not self.several:
            return probabilities
        tiny = np.finfo(np.float32).tiny
        logits = self.averaged(np.log(np.maximum(probabilities, tiny)))
        found = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(found / found.sum(1, keepdims=True), probabilities.dtype)

    def averaged(self, values: Array) -> Array:
        """The mean of what each text has in its parts, by their shares: (texts, …)."""
        starts = np.flatnonzero(np.diff(self.text, prepend=-1))
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(np.add.reduceat(values * share, starts, axis=0))


def cut(lengths: Sequence[int], longest: int) -> list[tuple[int, int, int]]:
    """Texts in parts of about the same length: (text, start, stop) of each part.

    Args:
        lengths: of the texts.
        longest: that a part may be.

    Example:
        >>> cut([3, 0, 5], 4)
        [(0, 0, 3), (1, 0, 0), (2, 0, 2), (2, 2, 5)]
    """
    found = []
    for text, length in enumerate(lengths):
        count = max(-(-length // longest), 1)
        ends = [length * part // count for part in range(count + 1)]
        found += [(text, ends[part], ends[part + 1]) for part in range(count)]
    return found
