"""A graph as a native program."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....errors import ChainruleError, OutOfRangeError
from ....utils.locks import new_lock
from ....utils.typing import Array
from ...ir.graph import Graph
from ...ir.node import Node
from ...ir.program import Program
from ...ir.types import Type, type_of
from ..base import checked_order
from . import toolchain
from .kernels.cpu import writing_for
from .lowering_cache import lowered, target_for
from .run_steps import Call, feeds
from .threads import parallel


class CProgram:
    """A graph made ready to run: compiled to native code, called through ctypes.

    One call at a time: the program owns its working memory.

    Args:
        graph: what to compute.
        donated: positions of inputs that the program may overwrite, each with the position of the
            output that is its next value. Such an output is not returned: after a call the
            input's array holds it.
        guards: positions of outputs of one floating-point number. If one of them is not finite,
            no input is overwritten.
        fuse: whether element-by-element operations are computed in common loops.
        flags: more flags for the compiler.
        exact: whether products are fused with sums (a·b + c, rounded once) on processors without an
            instruction for it, too, so that they find the same bits as others. It takes longer
            there, and changes nothing elsewhere.

    Raises:
        CompilerError: there is no compiler, or it failed.
        UnsupportedError: there is no kernel for an operation.

    Attributes:
        source: the C text.
        in_place: positions of the inputs that a call overwrites.
        arena_bytes: the size of its working memory.
        unplanned_bytes: what that would be if no two values shared a place.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, 2.0])
        >>> program = CProgram(cr.trace(lambda x: x * x + 1.0, x).graph)
        >>> program([x.numpy()])[0].tolist()
        [2.0, 5.0]
    """

    memory = None

    def __init__(
        self,
        graph: Graph,
        donated: Mapping[int, int] | None = None,
        guards: Sequence[int] = (),
        *,
        fuse: bool = True,
        flags: tuple[str, ...] = (),
        threads: int | None = None,
        exact: bool = False,
    ) -> None:
        self.graph = graph
        self.donated = dict(donated or {})
        self.in_place = self.donated.keys()
        with writing_for(target_for(graph, exact)):
            made = lowered(graph, self.donated, guards, fuse)
        self.source = made.source
        self.arena_bytes, self.unplanned_bytes = made.planned, made.unplanned
        self._stops = made.stops
        library = toolchain.load(self.source, flags)
        self._run, self._steps = library.cr_run, library.cr_steps
        self._run.restype, self._steps.restype = ctypes.c_int32, ctypes.c_int64
        self._parallel = parallel()
        taken = set(self.donated.values())
        self._inputs = _Buffers([node.type for node in graph.inputs])
        self._returned = [n.type for j, n in enumerate(graph.outputs) if j not in taken]
        self._results = _Results(self._returned)
        self._constants = _Buffers([type_of(array) for array in made.constants])
        for number, array in enumerate(made.constants):
            self._constants.put(number, array)
        self._memory = np.empty(made.arena + 64, np.uint8)
        self._arena = ctypes.c_void_p(-(-self._memory.ctypes.data // 64) * 64)
        self._call = Call(
            *map(ctypes.addressof, (self._inputs.table, self._constants.table)),
            ctypes.addressof(self._results.table), self._arena, self._parallel,
            threads or toolchain.threads_wanted(),
        )  # fmt: skip
        self._call_at = ctypes.c_void_p(ctypes.addressof(self._call))
        self._mark: object = None
        self._lock = new_lock()

    def __call__(self, inputs: Sequence[Array], mark: object = None) -> list[Array]:
        """The outputs for these inputs, in the graph's order, without those of donated inputs.

        Args:
            inputs: arrays of the types of the graph's inputs. Donated ones must be C-contiguous,
                writeable, and of no interest to anybody else.
            mark: stands for the last inputs in a later call of `again`.

        Raises:
            ChainruleError: an index was out of range, or a checked value does not fit. Nothing was
                overwritten, unless that could not be known before.
        """
        with self._lock:
            self._mark = None
            for number, array in enumerate(inputs):
                if not self._inputs.has(number, array):
                    self._inputs.put(number, array, exactly=number in self.donated)
            self._mark = mark
            status, results = self._once()
        if status > 0:
            self._fail(status, inputs)
        return results

    def again(
        self, given: Sequence[Array], mark: object, rest: Sequence[Node]
    ) -> list[Array] | None:
        """Run it with other first inputs; None, and nothing is done, if the mark is another one.

        Args:
            given: the first inputs, of the right types, none of them donated.
            mark: that of the last call, which had the same inputs behind these.
            rest: the nodes of those, which keep them alive.
        """
        lock = self._lock
        lock.acquire()  # in half of the time of a `with`
        try:
            if mark is not self._mark:
                return None
            copies = self._inputs.copies
            for number, array in enumerate(given):
                own = copies[number]
                if own is None:
                    self._inputs.copy(number, array)
                else:
                    own[...] = array
            status, results = self._once()
        finally:
            lock.release()
        if status > 0:
            self._fail(status, [*given, *[node.value for node in rest]])
        return results

    def _once(self) -> tuple[int, list[Array]]:
        results = self._results
        if results.large:
            results.renew()
        status = self._run(self._call_at)
        self._inputs.kept.clear()
        return status, results.take()

    @property
    def threads(self) -> int:
        """How many threads large kernels are spread over."""
        return int(self._call.threads)

    @threads.setter
    def threads(self, count: int) -> None:
        self._call.threads = count

    def run_steps(
        self,
        inputs: Sequence[Array | None],
        gathered: Mapping[int, Array],
        order: Array,
        counters: Sequence[int] = (),
    ) -> tuple[int, list[Array]]:
        """Run the program once for each row of ``order``, all in one call.

        Args:
            inputs: as for a call; None for those that are gathered.
            gathered: whole data by the position of an input: each step gets the rows that its
                row of ``order`` names.
            order: (steps, batch) row numbers.
            counters: positions of int64 inputs of one number that grows by one with each step.

        Returns:
            How many steps ended well, and the outputs of all steps, each with an axis of the
            steps in front. A step that a guard stopped is the last that has outputs.
        """
        count, batch = order.shape
        data = {
            number: np.require(array, self._inputs.types[number].dtype, ["C", "A"])
            for number, array in gathered.items()
        }
        for number, array in data.items():
            expected = (batch, *array.shape[1:])
            if expected != self._inputs.types[number].shape:
                raise TypeError(f"input {number} is {self._inputs.types[number]}")
        order = checked_order(order, data)
        results = [np.empty((count, *kind.shape), kind.dtype) for kind in self._returned]
        outputs = _Buffers([type_of(array) for array in results])
        for number, array in enumerate(results):
            outputs.put(number, array)
        sizes = [kind.size * kind.dtype.itemsize for kind in self._returned]
        bytes_of_outputs = (ctypes.c_int64 * max(len(sizes), 1))(*sizes)
        status = ctypes.c_int32(0)
        table = feeds(data, counters, batch)
        with self._lock:
            self._mark = None
            for number, given in enumerate(inputs):
                if number in data or number in counters:
                    kind = self._inputs.types[number]
                    own = np.empty(kind.shape, kind.dtype) if given is None else given.copy()
                    self._inputs.put(number, own)
                elif given is not None and not self._inputs.has(number, given):
                    self._inputs.put(number, given, exactly=number in self.donated)
            done = self._steps(
                self._inputs.table, self._constants.table, outputs.table, self._arena,
                ctypes.c_int64(count), table, ctypes.c_int64(len(data) + len(counters)),
                ctypes.c_void_p(order.ctypes.data), bytes_of_outputs,
                ctypes.c_int64(len(sizes)), ctypes.byref(status), self._parallel, self.threads,
            )  # fmt: skip
            self._inputs.kept.clear()
        if status.value > 0:
            known = [np.asarray(x + done) if i in counters else x for i, x in enumerate(inputs)]
            rows = {number: array[order[done]] for number, array in data.items()}
            self._fail(status.value, [rows.get(i, x) for i, x in enumerate(known)])
        return done, [array[: done + (status.value != 0)] for array in results]

    def _fail(self, number: int, inputs: Sequence[Any]) -> None:
        """Say what stopped the program: what the reference says of the same inputs."""
        stop = self._stops[number - 1]
        try:
            Program(self.graph)(inputs)
        except ChainruleError as error:
            error.where = stop.where or error.where
            raise
        raise OutOfRangeError(
            f"An index of {stop.operation} is out of range.",
            where=stop.where,
            expected=f"integers below the extent of the axis of {stop.type}",
            hint="Class indices start at 0; are there more classes in the data than outputs?",
        )


#: To find where an array is takes as long as to copy this many bytes.
_SMALL = 1 << 14


class _Buffers:
    """A table of pointers to arrays of given types, as C takes it.

    Attributes:
        table: the pointers.
        types: of the arrays.
        kept: arrays that the table points to, to let go of after a call: one that its owner keeps
            need not be put again.
        copies: by number, the small array that the table points to and `copy` fills.
    """

    def __init__(self, types: Sequence[Type]) -> None:
        self.table = (ctypes.c_void_p * max(len(types), 1))()
        self.types = types
        self.kept: dict[int, Array] = {}
        self.copies: list[Array | None] = [None] * len(types)
        self._ordered: dict[int, Array] = {}  # copies that the table points to, and nobody else has
        self._known: list[Callable[[], Array | None]] = [_nothing] * len(types)

    def has(self, number: int, array: Array) -> bool:
        """Whether the table points to this very array."""
        return self._known[number]() is array

    def copy(self, number: int, array: Array) -> None:
        """Point to a copy of an array that is another one in each call, if it is small."""
        kind = self.types[number]
        if kind.size * kind.dtype.itemsize > _SMALL:
            self.put(number, array)
            return
        self.copies[number] = own = np.empty(kind.shape, kind.dtype)
        self.table[number] = own.ctypes.data
        self._known[number] = _nothing
        own[...] = array

    def put(self, number: int, array: Array, exactly: bool = False) -> None:
        """Point to an array, or to a copy in order if it is not in order and need not be it."""
        ordered = array if array.flags.c_contiguous and array.flags.aligned else None
        if ordered is None and not exactly:
            ordered = np.require(array, requirements=["C", "A"])
        kind = self.types[number]
        if ordered is None or ordered.dtype != kind.dtype or ordered.shape != kind.shape:
            raise TypeError(f"input {number} is {kind}, in order; found {type_of(array)}")
        self.table[number] = ordered.ctypes.data
        self.copies[number] = None
        if ordered is not array:  # a later call of `again` may read it
            self._ordered[number] = ordered
        elif not exactly:
            self.kept[number] = ordered
        self._known[number] = weakref.ref(array) if ordered is array else _nothing


def _nothing() -> None:
    """What a table knows of an array that it cannot find again."""


class _Results:
    """Where a program writes what it returns: few numbers always in the same place.

    Attributes:
        table: the pointers.
        large: those that need new arrays in each call.
    """

    def __init__(self, types: Sequence[Type]) -> None:
        self.table = (ctypes.c_void_p * max(len(types), 1))()
        self._arrays = [np.empty(kind.shape, kind.dtype) for kind in types]
        self.large = [n for n, array in enumerate(self._arrays) if array.nbytes > _SMALL]
        for number, array in enumerate(self._arrays):
            self.table[number] = array.ctypes.data

    def renew(self) -> None:
        """New arrays for many numbers."""
        for number in self.large:
            array = self._arrays[number]
            self._arrays[number] = array = np.empty(array.shape, array.dtype)
            self.table[number] = array.ctypes.data

    def take(self) -> list[Array]:
        """The results, which belong to the caller."""
        if not self.large:
            return [x.copy() for x in self._arrays]
        return [x if n in self.large else x.copy() for n, x in enumerate(self._arrays)]
