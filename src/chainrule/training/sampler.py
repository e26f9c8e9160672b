"""The order of the rows in an epoch (shuffling): a function of a key only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..engine.ops.random import fold_in, permutation
from ..engine.tensor import Tensor
from ..utils.typing import Array

#: So many rows are shuffled at once; more of them in blocks, so that rows on a disk are read in
#: runs and the order itself takes no memory.
_AT_ONCE = 2**20
_BLOCK = 2**14


def batches_in_order(rows: int, size: int, key: Tensor | None) -> Iterator[Array]:
    """The row indices of each batch; the last one is perhaps smaller.

    Up to a million rows are permuted as a whole. Of more, blocks of 16,384 rows are permuted, and
    the rows of each 64 consecutive blocks are shuffled.

    Args:
        rows: how many there are.
        size: rows in a batch.
        key: random key, or None for the rows one after another.

    Example:
        >>> from chainrule.ops.random import key
        >>> [batch.tolist() for batch in batches_in_order(5, 2, None)]
        [[0, 1], [2, 3], [4]]
        >>> sorted(row for batch in batches_in_order(5, 2, key(0)) for row in batch.tolist())
        [0, 1, 2, 3, 4]
    """
    rest = np.empty(0, np.int64)
    for part in _parts(rows, key):
        part = np.concatenate([rest, part]) if len(rest) else part
        whole = len(part) - len(part) % size
        yield from part[:whole].reshape(-1, size)
        rest = part[whole:]
    if len(rest):
        yield rest


def last_two_as_one(batches: Iterator[Array]) -> Iterator[Array]:
    """The same batches, of which there are at least two.

    Example:
        >>> [batch.tolist() for batch in last_two_as_one(batches_in_order(5, 2, None))]
        [[0, 1], [2, 3, 4]]
    """
    before = next(batches)
    last = next(batches)
    for batch in batches:
        yield before
        before, last = last, batch
    yield np.concatenate([before, last])


def grouped_batches(groups: Array, size: int, key: Tensor | None) -> Iterator[Array]:
    """The row indices of batches whose rows are of one group, such as sequences of similar length.

    Rows are shuffled within their group, and so are the batches; the last batch of a group is
    perhaps smaller.

    Args:
        groups: (rows,) integers: the group of each.
        size: rows in a batch.
        key: random key, or None for groups and rows one after another.

    Example:
        >>> [batch.tolist() for batch in grouped_batches(np.array([1, 0, 1, 0, 1]), 2, None)]
        [[1, 3], [0, 2], [4]]
    """
    batches = []
    for number in np.unique(groups):
        rows = np.flatnonzero(groups == number)
        if key is not None:
            rows = rows[permutation(fold_in(key, int(number)), len(rows)).numpy()]
        batches += [rows[start : start + size] for start in range(0, len(rows), size)]
    order = np.arange(len(batches)) if key is None else permutation(key, len(batches)).numpy()
    for place in order:
        yield batches[place]


def _parts(rows: int, key: Tensor | None) -> Iterator[Array]:
    if key is None:
        for start in range(0, rows, _AT_ONCE):
            yield np.arange(start, min(start + _AT_ONCE, rows))
    elif rows <= _AT_ONCE:
        yield permutation(key, rows).numpy()
    else:
        blocks = permutation(fold_in(key, -1), -(-rows // _BLOCK)).numpy()
        together = _AT_ONCE // _BLOCK
        for number, start in enumerate(range(0, len(blocks), together)):
            first = blocks[start : start + together] * _BLOCK
            part = (first[:, None] + np.arange(_BLOCK)).reshape(-1)
            part = part[part < rows]
            yield part[permutation(fold_in(key, number), len(part)).numpy()]
