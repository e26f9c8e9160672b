"""Items that are too many for memory: they lie in a temporary file, and are read when needed."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ...utils.files import write_at
from ...utils.typing import Array


class _File:
    """A file of items, one behind the other, and where they lie."""

    def __init__(self) -> None:
        # It has no name in the folder, so that nothing is left of it, whatever ends the program.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this
        weakref.finalize(self, self._file.close)
        self._ends: list[Array] = [np.zeros(1, np.int64)]

    @property
    def offsets(self) -> Array:
        """Where each item begins, and the end."""
        if len(self._ends) > 1:
            self._ends = [np.concatenate(self._ends)]
        return self._ends[0]

    def append(self, items: Iterable[Any]) -> None:
        """Write further items.

        Raises:
            DataError: the disk is full.
        """
        parts = [
            json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass") for item in items
        ]
        if not parts:
            return
        at = int(self._ends[-1][-1])
        self._ends.append(at + np.cumsum([len(part) for part in parts], dtype=np.int64))
        write_at(self._file.fileno(), b"".join(parts), at, "The texts", tempfile.gettempdir())

    def read(self, place: int) -> Any:
        """One item."""
        start, end = self.offsets[place : place + 2].tolist()
        data = os.pread(self._file.fileno(), end - start, start)
        item = json.loads(data.decode("utf-8", "surrogatepass"))
        return tuple(item) if isinstance(item, list) else item


class StoredItems(Sequence[Any]):
    """Texts, or tuples of texts, in a file that goes away with this object.

    It grows by `extend`; what `take` gives looks into the same file. Memory grows by 16 bytes an
    item at most.

    Example:
        >>> items = StoredItems()
        >>> items.extend([("a", "b"), "c", ("d",)])
        >>> len(items), items[0], list(items.take(np.array([2, 1])))
        (3, ('a', 'b'), [('d',), 'c'])
    """

    def __init__(self, file: _File | None = None, rows: Array | None = None) -> None:
        self._stored, self._rows = file or _File(), rows

    def extend(self, items: Iterable[Any]) -> None:
        """Write further items; see `_File.append`."""
        self._stored.append(items)

    @property
    def bytes(self) -> int:
        """The size on the disk."""
        return int(self._stored.offsets[-1])

    def __len__(self) -> int:
        return len(self._stored.offsets) - 1 if self._rows is None else len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return self.take(np.arange(*row.indices(len(self))))
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row = int(row) % len(self)
        return self._stored.read(row if self._rows is None else int(self._rows[row]))

    def take(self, rows: Array) -> StoredItems:
        """Some of the items, in this order."""
        return StoredItems(self._stored, rows if self._rows is None else self._rows[rows])


class Lazily(Sequence[Any]):
    """What a function makes of each row, whenever it is asked for.

    Example:
        >>> squares = Lazily(lambda row: row**2, 4)
        >>> squares[3], list(squares)
        (9, [0, 1, 4, 9])
    """

    def __init__(self, function: Callable[[int], Any], rows: int) -> None:
        self._function, self._rows = function, rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: Any) -> Any:
        if not 0 <= row < self._rows:
            raise IndexError(row)
        return self._function(row)

    def __iter__(self) -> Iterator[Any]:
        return map(self._function, range(self._rows))
