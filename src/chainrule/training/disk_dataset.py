"""Examples on the disk, one record a row, to be trained on as a stream."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from typing import Any

import numpy as np

from ..utils import together
from ..utils.files import write_at
from ..utils.typing import Array
from .data_loader import Stream
from .dataset import Arrays

#: Bytes that each process sends at once.
_AT_ONCE = 2**22
_TARGET, _WEIGHTS = "(target)", "(weights)"


class DiskDataset:
    """A file of examples that grows part by part; it goes away with this object.

    All arrays of a row are contiguous, so that a row is read at once. Integers of 64 bits
    take 32 on the disk.

    Args:
        folder: where the file lies; the one for temporary files by default.

    Example:
        >>> dataset = DiskDataset()
        >>> for start in (0, 3):
        ...     x = np.arange(start, start + 3.0)
        ...     dataset.append({"x": x[:, None]}, 2 * x)
        >>> len(dataset), dataset.read(np.array([4, 1])).target.tolist()
        (6, [8.0, 2.0])
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        # It has no name in the folder, so that nothing is left of it, whatever ends the program.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as this
        weakref.finalize(self, self._file.close)
        self._types: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._record = np.dtype([])
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def bytes(self) -> int:
        """The size on the disk."""
        return self._rows * self._record.itemsize

    def append(self, inputs: dict[str, Array], target: Array, weights: Array | None = None) -> None:
        """Write further rows; all parts have the same arrays of the same types.

        Raises:
            DataError: the disk is full.
        """
        parts = {**inputs, _TARGET: target}
        if weights is not None:
            parts[_WEIGHTS] = weights
        if not self._types:
            self._take_types({name: (a.dtype, a.shape[1:]) for name, a in parts.items()})
        records = np.empty(len(target), self._record)
        for name, array in parts.items():
            records[name] = array
        self._write(records.tobytes(), self._rows)
        self._rows += len(target)

    def shared(self) -> DiskDataset:
        """The rows of all processes of a training, in their order; alone it is this one."""
        if together.process_count() == 1:
            return self
        own = [(name, kind.str, shape) for name, (kind, shape) in self._types.items()]
        types = next(filter(None, map(json.loads, together.exchanged(json.dumps(own).encode()))))
        counts = together.gathered(self._rows)
        whole = DiskDataset(self._folder)
        whole._take_types({name: (np.dtype(kind), tuple(shape)) for name, kind, shape in types})
        size, first = whole._record.itemsize, [sum(counts[:i]) for i in range(len(counts))]
        step = max(_AT_ONCE // size, 1)
        for start in range(0, max(counts), step):
            data = os.pread(self._file.fileno(), size * step, size * start)
            for number, records in enumerate(together.exchanged(data)):
                whole._write(records, first[number] + start)
        whole._rows = sum(counts)
        return whole

    def _take_types(self, types: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> None:
        self._types = types
        self._record = np.dtype([(name, _stored(kind), shape)
                                 for name, (kind, shape) in types.items()])  # fmt: skip

    def _write(self, records: Any, row: int) -> None:
        """Records, as bytes, at the place of a row."""
        at = row * self._record.itemsize
        write_at(self._file.fileno(), records, at, "The rows", self._folder)

    def read(self, rows: Array) -> Arrays:
        """Some rows, in this order."""
        # Not by a mapping: the system would count the pages around each row as memory in use.
        descriptor, size = self._file.fileno(), self._record.itemsize
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            data = os.pread(descriptor, size * len(rows), int(rows[0]) * size)
        else:
            data = b"".join([os.pread(descriptor, size, at) for at in (rows * size).tolist()])
        records = np.frombuffer(data, self._record)
        found = {
            name: np.ascontiguousarray(records[name]).astype(kind, copy=False)
            for name, (kind, _) in self._types.items()
        }
        target, weights = found.pop(_TARGET), found.pop(_WEIGHTS, None)
        return Arrays(found, target, weights)

    def stream(self, workers: int | None = None) -> Stream:
        """The rows as examples for a `Trainer`."""
        return Stream(
            lambda rows, epoch: self.read(rows), rows=self._rows, workers=workers, apart=True
        )


def _stored(kind: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.int32) if kind == np.int64 else kind
