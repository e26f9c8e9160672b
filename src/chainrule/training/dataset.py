"""Examples as arrays: inputs, targets and weights with one row each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.ir.types import DTYPES
from ..engine.tensor import as_tensor
from ..errors import DataError
from ..utils.typing import Array


class Arrays:
    """Examples in memory.

    Args:
        inputs: one array, or a list, tuple or dict of arrays; the first axis counts the rows.
        target: an array with as many rows, or None.
        weights: (rows,) how much each row counts in the loss, or None.

    Raises:
        DataError: the numbers of rows differ, or there are none.

    Example:
        >>> import numpy as np
        >>> data = Arrays(np.zeros((10, 3)), np.arange(10))
        >>> len(data), data.take([1, 2]).target.tolist()
        (10, [1, 2])
    """

    def __init__(self, inputs: Any, target: Any = None, weights: Any = None) -> None:
        self.inputs = pytree.map_leaves(_as_array, _numbers(inputs))
        self.target = None if target is None else _as_array(target)
        self.weights = None if weights is None else _as_array(weights)
        parts = {"inputs": self.inputs, "target": self.target, "weights": self.weights}
        counts = {
            name: [leaf.shape[0] if leaf.ndim else -1 for leaf in pytree.flatten(part)[0]]
            for name, part in parts.items()
        }
        sizes = {size for found in counts.values() for size in found}
        if len(sizes) != 1 or -1 in sizes:
            raise DataError(
                "Inputs, targets and weights need the same number of rows.",
                found=", ".join(f"{name}: {found}" for name, found in counts.items() if found),
            )
        self._rows = sizes.pop()

    def check_weights(self, where: str) -> None:
        """An error if the weight of a row is impossible, or if no row counts."""
        if self.weights is None or not self.weights.size:
            return
        wrong = ~(np.isfinite(self.weights) & (self.weights >= 0))
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise DataError("The weight of a row must be a finite number of at least 0.",
                            where=f"{where}, row {row}", found=str(self.weights[row]))  # fmt: skip
        if not self.weights.any():
            raise DataError("All rows have weight 0: there is nothing to average.",
                            where=where, hint="Give some rows a positive weight.")  # fmt: skip

    def not_finite(self) -> str | None:
        """Where the first NaN or infinity of the data is, and in how many rows there are some.

        Example:
            >>> import numpy as np
            >>> Arrays(np.array([[1, 2], [3, np.nan]]), np.arange(2)).not_finite()
            'inputs[1, 1] is nan; 1 of 2 rows has such numbers'
        """
        first, rows = None, np.zeros(len(self), bool)
        for name, part in (("inputs", self.inputs), ("target", self.target)):
            for leaf in pytree.flatten(part)[0]:
                if leaf.dtype.kind != "f":
                    continue
                finite = np.isfinite(leaf)
                rows |= ~finite.reshape(len(self), -1).all(axis=1)
                if first is None and not finite.all():
                    place = tuple(np.argwhere(~finite)[0].tolist())
                    first = f"{name}{list(place)} is {leaf[place]}"
        count = int(rows.sum())
        have = "has" if count == 1 else "have"
        return first and f"{first}; {count:,} of {len(self):,} rows {have} such numbers"

    @staticmethod
    def of(data: Any) -> Arrays:
        """The examples in ``(inputs, target)`` or ``(inputs, target, weights)``."""
        if isinstance(data, Arrays):
            return data
        if isinstance(data, tuple) and 2 <= len(data) <= 3:
            return Arrays(*data)
        raise DataError(
            "This is not a set of examples.",
            expected="(inputs, target) or (inputs, target, weights)",
            found=type(data).__name__,
            hint="One tuple of arrays: fit((x, y)).",
        )

    def __len__(self) -> int:
        return self._rows

    def take(self, rows: Any) -> Arrays:
        """These rows, in this order."""
        indices = np.asarray(rows, dtype=np.int64)
        return Arrays(
            pytree.map_leaves(lambda leaf: leaf[indices], self.inputs),
            None if self.target is None else self.target[indices],
            None if self.weights is None else self.weights[indices],
        )

    def fingerprint(self) -> str:
        """A digest of all numbers, types and shapes: equal for equal examples only."""
        digest = hashlib.sha256()
        leaves, _, structure = pytree.flatten((self.inputs, self.target, self.weights))
        digest.update(str(structure).encode())
        for leaf in leaves:
            array = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def batches(self, size: int) -> Iterator[Arrays]:
        """Consecutive batches, the last one perhaps shorter."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


def _numbers(inputs: Any) -> Any:
    """Nested lists of plain numbers are one array, of float32 if they have fractions."""
    leaves = pytree.flatten(inputs)[0] if isinstance(inputs, list) else []
    if leaves and all(isinstance(leaf, (int, float)) for leaf in leaves):
        return as_tensor(inputs).numpy()
    return inputs


def _as_array(leaf: Any) -> Array:
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf":
        raise DataError(
            "Examples must be numeric arrays.",
            found=f"an array of {array.dtype}",
            hint="Text and dates in tables: use `chainrule train`, or cr.data.infer_schema.",
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    # Others, such as uint8 and float16, get the type of a tensor that is made of them.
    return array if array.dtype in DTYPES else as_tensor(array).numpy()
