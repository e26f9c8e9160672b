"""Examples that are not all in memory: loaded when needed, by workers, a little ahead."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.tensor import Tensor
from ..utils.typing import Array
from .dataset import Arrays
from .sampler import batches_in_order, grouped_batches

#: Batches that are loaded ahead, for each worker.
_AHEAD = 4
#: Which rows of a batch of so many a process computes.
Own = Callable[[int], Array]


class Stream:
    """Examples by index, from any source: files that are decoded, rows that are read.

    While one batch is trained on, workers load the next ones. They are threads: reading,
    decoding and NumPy's work on arrays do not hold Python's lock.

    Args:
        load: the examples of some rows: ``load(rows, epoch)`` gives `Arrays`, or a tuple as
            for `Arrays.of`. It is called from several threads, and its result follows from the
            arguments alone: whatever is random in it is a function of the epoch and the row, so
            that neither the number of workers nor chance matter. Epoch 0 is without
            anything random, for validation and prediction.
        target: (n, …) the targets of all rows; None if they are not in memory either.
        weights: (n,) how much each row counts, if not all the same.
        workers: threads; one for each processor, but 8 at most, by default.
        rows: how many there are, where no target says it.
        whole: drop the last batch of an epoch if it is smaller; in another epoch it has other
            rows. That saves a program for batches of another size.
        groups: (n,) integers: rows of one group, such as sequences of similar length, are together
            in a batch, so that it needs no more padding than they do.
        at_once: rows that are evaluated at once, where the results take much memory.
        apart: whether examples do not depend on the other rows of their batch. Then each of several
            processes loads those only that it computes.

    Attributes:
        waited: seconds in which the training had to wait for a batch.

    Example:
        >>> import numpy as np
        >>> squares = Stream(lambda rows, epoch: (rows[:, None] ** 2, rows), np.arange(5))
        >>> [batch.inputs[:, 0].tolist() for batch in squares.batches(np.array([4, 3, 0]), 2)]
        [[16, 9], [0]]
    """

    def __init__(
        self,
        load: Callable[[Array, int], Any],
        target: Any = None,
        *,
        weights: Any = None,
        workers: int | None = None,
        rows: int = 0,
        whole: bool = False,
        groups: Any = None,
        at_once: int | None = None,
        apart: bool = False,
    ) -> None:
        self._load = load
        self.target: Array | None = None if target is None else np.asarray(target)
        self._rows = rows if self.target is None else len(self.target)
        self.weights: Array | None = None if weights is None else np.asarray(weights)
        self.workers = workers or min(os.cpu_count() or 1, 8)
        self.whole = whole
        self.groups: Array | None = None if groups is None else np.asarray(groups)
        self.at_once = at_once
        self.apart = apart
        self.waited = 0.0

    def __len__(self) -> int:
        return self._rows

    def take(self, rows: Any) -> Stream:
        """These rows, in this order."""
        indices = np.asarray(rows, dtype=np.int64)
        return Stream(
            lambda inner, epoch: self._load(indices[inner], epoch),
            None if self.target is None else self.target[indices],
            weights=None if self.weights is None else self.weights[indices],
            workers=self.workers,
            rows=len(indices),
            whole=self.whole,
            groups=None if self.groups is None else self.groups[indices],
            at_once=self.at_once,
            apart=self.apart,
        )

    def in_order(self, size: int, key: Tensor | None) -> Iterator[Array]:
        """The row indices of each batch of an epoch, shuffled by a key; see `batches_in_order`."""
        if self.groups is None:
            return batches_in_order(len(self), size, key)
        return grouped_batches(self.groups, size, key)

    def steps(self, size: int) -> int:
        """How many batches of so many rows an epoch has."""
        if self.groups is not None:
            return int(-(-np.bincount(self.groups) // size).sum())
        full, rest = divmod(len(self), size)
        return full + (rest > 0 and not self.whole)

    def read(self, rows: Any, epoch: int = 0) -> Arrays:
        """The examples of these rows, at once and in this thread."""
        return Arrays.of(self._load(np.asarray(rows, dtype=np.int64), epoch))

    def read_own(self, rows: Array, epoch: int, own: Array) -> Arrays:
        """A batch in which only some rows are loaded, and the others are 0; all weights are known.

        Args:
            rows: of the batch.
            epoch: see `batches`.
            own: (rows,) which of them are loaded.
        """
        if own.all() or not self.apart or not own.any():
            return self.read(rows, epoch)
        part = self.read(rows[own], epoch)
        if part.weights is not None and self.weights is None:
            return self.read(rows, epoch)

        def spread(leaf: Array) -> Array:
            whole = np.zeros((len(rows), *leaf.shape[1:]), leaf.dtype)
            whole[own] = leaf
            return whole

        return Arrays(
            pytree.map_leaves(spread, part.inputs),
            None if part.target is None else spread(part.target),
            None if self.weights is None else self.weights[rows],
        )

    def fingerprint(self) -> str:
        """A digest of the number of rows, of all targets and weights, and of 64 examples."""
        rows = np.unique(np.linspace(0, len(self) - 1, 64).astype(np.int64))
        known = [a for a in (self.target, self.weights) if a is not None]
        parts = [f"{len(self)} rows", self.read(rows).fingerprint()]
        parts += [Arrays(array).fingerprint() for array in known]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def batches(
        self, order: Any, size: int, epoch: int = 0, own: Own | None = None
    ) -> Iterator[Arrays]:
        """The examples of these rows in this order, in batches; the last one perhaps shorter.

        Args:
            order: (n,) indices of rows.
            size: rows in a batch.
            epoch: what is random in the examples follows from it; 0 for nothing random.
            own: which rows of a batch of so many this process computes; see `read_own`.
        """
        rows = np.asarray(order, dtype=np.int64)
        parts = (rows[start : start + size] for start in range(0, len(rows), size))
        yield from self.each(parts, epoch, own)

    def each(
        self, batches: Iterable[Array], epoch: int = 0, own: Own | None = None
    ) -> Iterator[Arrays]:
        """The examples of each batch of row indices, loaded ahead; see `batches`."""
        numbers = iter(batches)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="chainrule-stream")
        made: deque[Future[Arrays]] = deque()

        def ask() -> None:
            for rows in numbers:
                if own is None:
                    made.append(pool.submit(self.read, rows, epoch))
                else:
                    made.append(pool.submit(self.read_own, rows, epoch, own(len(rows))))
                return

        try:
            for _ in range(_AHEAD * self.workers):
                ask()
            while made:
                begun = time.perf_counter()
                batch = made.popleft().result()
                self.waited += time.perf_counter() - begun
                ask()
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)
