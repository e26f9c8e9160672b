"""A graph as a native program."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import DataError
from ...ir.graph import Graph
from ...passes import optimize
from . import toolchain
from .emit import emit
from .memory import plan
from .schedule import schedule

Array = np.ndarray[Any, Any]


class CProgram:
    """A graph made ready to run: compiled to native code, called through ctypes.

    Args:
        graph: what to compute.
        donated: positions of inputs that the program may overwrite, each with the position of the
            output that is its next value. Such an output is not returned: after a call the
            input's array holds it.
        fuse: whether element-by-element operations are computed in common loops.

    Raises:
        CompilerError: there is no compiler, or it failed.
        UnsupportedError: there is no kernel for an operation.

    Attributes:
        source: the C text.
        arena_bytes: the size of its working memory.
        unplanned_bytes: what that would be if no two values shared a place.
    """

    def __init__(
        self,
        graph: Graph,
        donated: Mapping[int, int] | None = None,
        fuse: bool = True,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.graph = graph
        self.donated = dict(donated or {})
        plans = schedule(optimize(graph), self.donated, fuse)
        wanted = {graph.inputs[i]: plans.outputs[j] for i, j in self.donated.items()}
        placed = plan(plans, wanted)
        emitted = emit(plans, placed)
        self.source = emitted.source
        self.arena_bytes, self.unplanned_bytes = placed.arena, placed.unplanned
        self._kernels = plans.kernels
        self._step = toolchain.load(self.source, flags).cr_step
        self._step.restype = ctypes.c_int32
        self._inputs = [node.type for node in graph.inputs]
        taken = set(self.donated.values())
        self._returned = [n.type for j, n in enumerate(graph.outputs) if j not in taken]
        self._constants = [_in_order(node.value) for node in placed.constants]
        self._constant_table = _table(self._constants)
        self._memory = np.zeros(emitted.arena + 64, np.uint8)
        self._arena = ctypes.c_void_p(-(-self._memory.ctypes.data // 64) * 64)
        self._lock = threading.Lock()

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for these inputs, in the graph's order, without those of donated inputs."""
        arrays = [
            array if number in self.donated else _in_order(array)
            for number, array in enumerate(inputs)
        ]
        for number, (array, kind) in enumerate(zip(arrays, self._inputs, strict=True)):
            assert array.dtype == kind.dtype and array.shape == kind.shape, (number, kind)
            assert array.flags.c_contiguous and array.flags.aligned
        outputs = [np.empty(kind.shape, kind.dtype) for kind in self._returned]
        with self._lock:
            failed = self._step(_table(arrays), self._constant_table, _table(outputs), self._arena)
        if failed:
            self._fail(failed)
        return outputs

    def _fail(self, number: int) -> None:
        node = self._kernels[number - 1].nodes[0]
        raise DataError(
            f"An index of {node.op.name} is out of range.",
            where=str(node.origin) if node.origin and str(node.origin) else None,
            expected=f"whole numbers below the extent of the axis of {node.inputs[0].type}",
            hint="Class numbers start at 0; are there more classes in the data than outputs?",
        )


def _in_order(array: Any) -> Array:
    return np.require(array, requirements=["C", "A"])


def _table(arrays: Sequence[Array]) -> Any:
    return (ctypes.c_void_p * max(len(arrays), 1))(*[array.ctypes.data for array in arrays])
