"""Files as arrays of one shape, cached in memory where they fit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...errors import DataError
from ...utils import together
from ...utils.exchange import exchanged_arrays
from ...utils.typing import Array

#: What an error is made of.
_PARTS = ("what", "where", "expected", "found", "hint")
#: Bytes of decoded files that are cached in memory at most.
MAX_CACHED = 2**27


class FileReader:
    """Decoded files by index: from memory if they all fit there and were read before.

    Args:
        paths: the files.
        read: one file as an array; raises a `DataError` that names the file if it cannot.
        shape: of each array.
        dtype: of each array.

    Example:
        >>> reader = FileReader(["a", "bb"], lambda path: np.full(2, len(path)), (2,), np.uint8)
        >>> reader([1, 0, 1]).tolist()
        [[2, 2], [1, 1], [2, 2]]
    """

    def __init__(
        self,
        paths: Sequence[str],
        read: Callable[[str], Array],
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        self.paths = paths
        self._read = read
        self._shape, self._dtype = shape, np.dtype(dtype)
        size = len(paths) * int(np.prod(shape)) * self._dtype.itemsize
        self._cache = np.empty((len(paths), *shape), dtype) if size <= MAX_CACHED else None
        self._decoded = np.zeros(len(paths), dtype=bool)

    @property
    def is_cached(self) -> bool:
        """Whether what was read stays in memory."""
        return self._cache is not None

    def __call__(self, rows: Any) -> Array:
        """The arrays of these files; safe to be called from several threads."""
        if self._cache is None:
            result = np.empty((len(rows), *self._shape), self._dtype)
            for index, row in enumerate(rows):
                result[index] = self._read(self.paths[row])
            return result
        for row in rows:
            if not self._decoded[row]:
                self._cache[row] = self._read(self.paths[row])
                self._decoded[row] = True  # last: another thread may look at it
        return self._cache[rows]

    def check(self, rows: Any) -> dict[int, DataError]:
        """Read these files; those that cannot be read, with the reason.

        Of several processes each reads a part, and tells the others; what stays in memory it sends.
        """

        def tried(row: int) -> DataError | None:
            try:
                self([row])
            except DataError as error:
                return error
            return None

        part = together.own_part(len(rows))
        rows = np.asarray(rows)[part.start : part.stop]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            found = zip(rows, pool.map(tried, rows, chunksize=64), strict=True)
            bad = {int(row): error for row, error in found if error is not None}
        return bad if together.process_count() == 1 else self._shared(rows, bad)

    def _shared(self, rows: Array, bad: dict[int, DataError]) -> dict[int, DataError]:
        """What all processes found, and, where there is room, what they read."""
        own = {row: [getattr(error, name) for name in _PARTS] for row, error in bad.items()}
        told = [json.loads(each) for each in together.exchanged(json.dumps(own).encode())]
        if self._cache is not None:
            good = rows[self._decoded[rows]]
            for each in exchanged_arrays({"rows": good, "files": self._cache[good]}):
                self._cache[each["rows"]] = each["files"]
                self._decoded[each["rows"]] = True
        return {
            int(row): DataError(parts[0], **dict(zip(_PARTS[1:], parts[1:], strict=True)))
            for each in told
            for row, parts in each.items()
        }
