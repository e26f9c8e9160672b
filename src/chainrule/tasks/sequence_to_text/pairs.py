"""Pairs of a source and a target, as they were read: what is learned from and evaluated on."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...utils.typing import Array
from .stored import StoredItems

#: So many pairs say what there is to know of all, where these are not in memory.
SAMPLE = 100_000


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
        return Pairs(
            list(sources), list(target), numbered(np.array([*map(digest, keys)], np.int64))
        )

    def __len__(self) -> int:
        return len(self.target)

    @property
    def on_disk(self) -> bool:
        """Whether the pairs are not in memory."""
        return isinstance(self.sources, StoredItems)

    def take(self, rows: Array) -> Pairs:
        """Some of the pairs."""
        return Pairs(_taken(self.sources, rows), _taken(self.target, rows), self.keys[rows])

    def some(self, spread: bool = True) -> Pairs:
        """All pairs, if they are in memory; otherwise `SAMPLE` of them, in memory.

        Args:
            spread: in equal distances; the first ones without it.
        """
        if not self.on_disk:
            return self
        count = min(len(self), SAMPLE)
        rows = np.arange(count)
        found = self.take(rows * len(self) // max(count, 1) if spread else rows)
        return Pairs(list(found.sources), list(found.target), found.keys)

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


def _taken(items: Sequence[Any], rows: Array) -> Sequence[Any]:
    return items.take(rows) if isinstance(items, StoredItems) else [items[row] for row in rows]


def digest(key: Hashable) -> int:
    """64 bits that differ where keys do: of ten million keys two agree with p = 0.000003.

    Example:
        >>> digest(("a", "b")) == digest(("a", "b")), digest(("a", "b")) == digest(("ab",))
        (True, False)
    """
    data = repr(key).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def numbered(digests: Array) -> Array:
    """The number of each digest, in the order in which they come first.

    Example:
        >>> numbered(np.array([9, 5, 9, 7])).tolist()
        [0, 1, 0, 2]
    """
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    places = np.empty(len(first), np.int64)
    places[np.argsort(first)] = np.arange(len(first))
    return places[inverse.reshape(-1)]
