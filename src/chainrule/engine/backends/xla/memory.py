"""Arrays on devices that outlive a call: variables, and the data of a training."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ....errors import TrainingError
from ....utils.typing import Array
from ...ir.node import Node
from .placement import Placement

#: A processor holds no more bytes of data twice.
_MOST = 2**31
#: So many rows of a data set are compared to notice that somebody changed it in place.
_SAMPLE = 64


class DeviceMemory:
    """What programs of one placement keep on its devices.

    It is a `chainrule.engine.backends.base.Memory`: variables stay here between two calls.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self._seen: weakref.WeakKeyDictionary[Node, tuple[Any, Any]] = weakref.WeakKeyDictionary()
        self._data: dict[int, tuple[weakref.ref[Any], bytes, Any]] = {}

    def put(self, array: Array) -> Any:
        """The value of a variable on the devices."""
        return self.placement.put(array, self.placement.spec_of_variable(array.shape))

    def seen(self, node: Node) -> Any:
        """The same of a value that is only read.

        The array is kept with it: whoever overwrites arrays in place leaves alone what others hold.
        """
        known = self._seen.get(node)
        if known is None:
            assert node.value is not None
            known = self._seen[node] = node.value, self.put(node.value)
        return known[1]

    def fetch(self, value: Any) -> Array:
        """The value of a variable as an array of NumPy.

        Raises:
            TrainingError: the device failed in a step that was to replace it.
        """
        if value.is_deleted():
            raise TrainingError(
                "The values of a variable are lost: the device failed while it trained.",
                hint="Go on from a checkpoint, or build the network anew.",
            )
        return self.placement.fetch(value)

    def is_lost(self, value: Any) -> bool:
        """Whether a step that failed has taken it."""
        return bool(value.is_deleted())

    def own_rows(self, rows: int) -> Array:
        """(rows,) which rows of a batch this process computes; others may hold anything."""
        return self.placement.own_rows(rows)

    def holds(self, arrays: list[Array]) -> bool:
        """Whether there is room for whole data sets: otherwise rows are sent batch by batch."""
        total = sum(array.nbytes for array in arrays)
        if self.placement.processes > 1:  # all must decide alike: by the data, which all have
            return self.placement.bytes_limit is None and total <= _MOST
        return total <= (self.placement.bytes_limit or 4 * _MOST) // 4

    def data(self, array: Array) -> Any:
        """A data set on the devices: put there once, as long as its owner keeps it as it is."""
        sample = _sample(array)
        known = self._data.get(id(array))
        if known is not None and known[0]() is array and known[1] == sample:
            return known[2]
        number = id(array)
        there = self.placement.put(array, self.placement.everywhere)
        gone = weakref.ref(array, lambda _: self._data.pop(number, None))
        self._data[number] = gone, sample, there
        return there


def _sample(array: Array) -> bytes:
    """The bytes of rows from all over the data."""
    step = max(len(array) // _SAMPLE, 1)
    return np.ascontiguousarray(array[::step]).tobytes() + array[-1:].tobytes()
