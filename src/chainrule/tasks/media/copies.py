"""Copies, and files that are nearly copies: they belong on one side of a split.

Exact copies have the same bytes after decoding. Near ones are found by a perceptual hash: the signs
of the differences between neighbours in a small picture of each file (dHash: Krawetz, "Kind of like
that", 2013; for sounds of the changes of its spectrum: Haitsma and Kalker, "A highly robust audio
fingerprinting system", 2002), and are confirmed by the correlation of the small pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...utils import together
from ...utils.exchange import exchanged_arrays
from ...utils.typing import Array

#: Rows and columns of the small pictures; the hash has a bit for each pair of columns.
PICTURE = (16, 17)
#: Pairs of (fraction of other bits, correlation): one of them must hold.
_ALIKE = ((0.1, 0.995), (0.35, 0.997))
#: Standard deviation of a picture that has enough in it to be recognised; values go up to 255.
_DETAIL = 4.0
#: Where this many pairs for each file are alike, it is no sign of a copy, and neither where most
#: pairs of several files are: frames of one film, parts before one camera.
_COMMON, _MOST, _SEVERAL = 20, 0.6, 10
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Signatures:
    """What files are compared by.

    Attributes:
        digests: of the decoded files; empty where there is nothing in a file, such as silence.
        pictures: (n, rows, columns, channels) small pictures, or None.
    """

    digests: list[bytes]
    pictures: Array | None = None

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def blank(self) -> int:
        """In how many files there is nothing; 0 where only bytes were compared."""
        return 0 if self.pictures is None else sum(not digest for digest in self.digests)

    @staticmethod
    def of(batch: Array, pictures: Array) -> Signatures:
        """The signatures of decoded files and their small pictures."""
        flat = batch.reshape(len(batch), -1)
        empty = (flat == flat[:, :1]).all(axis=1)
        digests = [
            b"" if nothing else hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            for row, nothing in zip(flat, empty, strict=True)
        ]
        return Signatures(digests, pictures.astype(np.float32))

    @staticmethod
    def joined(parts: Iterable[Signatures]) -> Signatures:
        """One after another."""
        parts = list(parts)
        pictures = [part.pictures for part in parts if part.pictures is not None]
        digests = [digest for part in parts for digest in part.digests]
        return Signatures(
            digests, np.concatenate(pictures) if len(pictures) == len(parts) else None
        )

    def of_all(self) -> Signatures:
        """Those of all processes of a training, in their order."""
        if together.process_count() == 1:
            return self
        arrays = {} if self.pictures is None else {"pictures": self.pictures}
        told = together.exchanged("\n".join(digest.hex() for digest in self.digests).encode())
        found = exchanged_arrays(arrays | {"count": np.array(len(self))})
        parts = []
        for text, each in zip(told, found, strict=True):
            digests = [bytes.fromhex(line) for line in text.decode().split("\n")]
            if each["count"]:
                parts.append(Signatures(digests, each.get("pictures")))
        return Signatures.joined(parts)


def copies(found: Signatures) -> Array:
    """(n,) the group of each file: that of the first one that it is a copy of.

    Files that are alike do not make a chain: each is compared with the first of its group.

    Example:
        >>> batch = np.random.default_rng(0).integers(0, 256, (3, 17, 17, 1))
        >>> batch[2] = batch[0]
        >>> copies(Signatures.of(batch, small(batch))).tolist()
        [0, 1, 0]
    """
    return grouped(found)[0]


def grouped(found: Signatures) -> tuple[Array, bool]:
    """`copies`, and whether all files look so much alike that this is no sign of a copy."""
    first: dict[bytes, int] = {}
    group = np.arange(len(found))
    for i, digest in enumerate(found.digests):
        if digest:
            group[i] = first.setdefault(digest, i)
    if found.pictures is None:
        return group, False
    alone = np.flatnonzero(group == np.arange(len(group)))
    near = _near(found.pictures[alone])
    if near is None:
        return group, True
    for i, j in near:  # in the order of j, then of i
        i, j = alone[i], alone[j]
        if group[i] == i and group[j] == j:
            group[j] = i
    return group[group], False


def _near(pictures: Array) -> list[tuple[int, int]] | None:
    """Pairs i < j that are nearly the same; None where most are."""
    detailed = np.flatnonzero(pictures.std(axis=(1, 2, 3)) >= _DETAIL)
    pictures = pictures[detailed]
    if len(pictures) < 2:
        return []
    differences = np.diff(pictures.mean(axis=3), axis=2)
    bits = np.where(differences > 0, 1, -1).astype(np.float32).reshape(len(pictures), -1)
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    found: list[tuple[int, int]] = []
    for start in range(0, len(pictures), _BLOCK):
        rows = slice(start, start + _BLOCK)
        other = (1 - bits[rows] @ bits[: rows.stop].T / bits.shape[1]) / 2
        alike = flat[rows] @ flat[: rows.stop].T
        near = np.zeros(other.shape, dtype=bool)
        for bit_limit, limit in _ALIKE:
            near |= (other <= bit_limit) & (alike >= limit)
        j, i = np.nonzero(np.tril(near, start - 1))
        found += zip(detailed[i].tolist(), detailed[j + start].tolist(), strict=True)
        if len(found) > _COMMON * len(pictures):
            return None
    few, pairs = len(pictures) < _SEVERAL, len(pictures) * (len(pictures) - 1) // 2
    return None if len(found) > _MOST * pairs and not few else found


def small(batch: Array, shape: tuple[int, int] = PICTURE) -> Array:
    """Pictures (n, height, width, channels) as means over the cells of a small grid."""
    _, height, width, _ = batch.shape
    rows, columns = _cells(height, shape[0]), _cells(width, shape[1])
    lower = np.einsum("yh,nhwc->nywc", rows, batch.astype(np.float32), optimize=True)
    return np.asarray(np.einsum("xw,nywc->nyxc", columns, lower, optimize=True))


def _cells(count: int, cells: int) -> Array:
    """(cells, count) how much of each cell lies on each place; rows add up to 1."""
    edges = np.arange(cells + 1) * count / cells
    place = np.arange(count)
    overlap = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    weights = np.maximum(overlap, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def digests_of_files(paths: Iterable[str]) -> Signatures:
    """Signatures by the bytes of the files, of which only those of the same size are read."""
    import os

    names = list(paths)
    sizes = [os.path.getsize(path) if os.path.exists(path) else -1 for path in names]
    _, place, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    digests = []
    for path, count in zip(names, counts[place], strict=True):
        if count == 1 or not os.path.exists(path):
            digests.append(b"")
            continue
        with open(path, "rb") as file:
            digests.append(hashlib.file_digest(file, "blake2b").digest())
    return Signatures(digests)
