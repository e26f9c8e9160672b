"""Pairs of a source and a target, as they were read: what is learned from and evaluated on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...utils.typing import Array


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sources and the texts that they become.

    Attributes:
        sources: of each pair, as the source of the schema takes them (`sources.Source`).
        target: the text of each.
        keys: (pairs,) integers: pairs of the same source have the same one.
    """

    sources: Sequence[Any]
    target: Sequence[str]
    keys: Array

    @staticmethod
    def of(sources: Sequence[Any], target: Sequence[str], keys: Sequence[Hashable]) -> Pairs:
        """Pairs whose sources are the same where their keys are equal."""
        numbers: dict[Hashable, int] = {}
        found = [numbers.setdefault(key, len(numbers)) for key in keys]
        return Pairs(list(sources), list(target), np.array(found, np.int64))

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Array) -> Pairs:
        """Some of the pairs."""
        return Pairs(
            [self.sources[row] for row in rows], [self.target[row] for row in rows], self.keys[rows]
        )

    @property
    def first(self) -> Array:
        """The first pair of each source, in the order of the pairs."""
        return np.sort(np.unique(self.keys, return_index=True)[1])

    @property
    def references(self) -> list[tuple[str, ...]]:
        """The texts that are right for each different source, in the order of `first`."""
        found: dict[int, list[str]] = {int(self.keys[row]): [] for row in self.first}
        for key, text in zip(self.keys.tolist(), self.target, strict=True):
            if text not in found[key]:
                found[key].append(text)
        return [tuple(texts) for texts in found.values()]
