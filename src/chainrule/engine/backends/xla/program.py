"""A graph as a program of XLA."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ....errors import ChainruleError, OutOfRangeError
from ....utils.locks import new_lock
from ....utils.typing import Array
from ...ir.graph import Graph
from ...ir.program import Program
from ...passes import optimize
from ..base import BuildError, checked_order
from . import library
from .lowerings import LOWERINGS
from .memory import DeviceMemory
from .row_sums import RowSums
from .trace import Trace

#: Steps of one call. One program serves any number of them up to this, so that it is built once.
_STEPS = 256
#: What the results of these steps, and rows that are sent with them, may take.
_BYTES = 2**25


class XlaProgram:
    """A graph made ready to run: traced by JAX, compiled by XLA at the first call.

    Variables among the inputs come as the memory has them; those that are donated are replaced in
    the list of inputs by their next values, whatever happens.

    Args:
        graph: what to compute.
        donated: positions of inputs that are overwritten, with those of the outputs that are their
            next values.
        guards: positions of outputs of one floating-point number. If one of them is not finite, no
            input is overwritten.
        memory: where it runs.

    Attributes:
        memory: see `chainrule.engine.backends.base.Executable`.
        in_place: positions of the inputs that a call overwrites.
    """

    again = None

    def __init__(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        memory: DeviceMemory,
    ) -> None:
        self.graph = graph
        self.donated = dict(donated)
        self.in_place: Collection[int] = self.donated.keys()
        self.memory = memory
        self._placement = memory.placement
        self._optimized = optimize(graph)
        self._guards = tuple(guards)
        taken = set(self.donated.values())
        self._returned = [j for j in range(len(graph.outputs)) if j not in taken]
        self._lock = new_lock()
        self._once = self._jit(self._step)
        self._many: dict[Any, Any] = {}

    @property
    def source(self) -> str:
        """The graph as text, after the passes."""
        return str(self._optimized)

    def __call__(self, inputs: list[Any], mark: object = None) -> list[Array]:
        """The outputs for these inputs, without those that were written in place.

        Raises:
            ChainruleError: an index was out of range, or a checked value does not fit. Nothing was
                overwritten.
            BuildError: the devices have no room for it.
        """
        with self._lock, library.settings():
            state = {i: inputs[i] for i in self.donated}
            rest = {i: self._given(x) for i, x in enumerate(inputs) if i not in self.donated}
            state, results, fits = self._run(self._once, state, rest)
            for i, x in state.items():
                inputs[i] = x
            found = [self._placement.fetch(y) for y in results]
            if not bool(self._placement.fetch(fits)):
                self._fail(inputs)
            return found

    def run_steps(
        self,
        inputs: list[Any],
        gathered: Mapping[int, Array],
        order: Array,
        counters: Sequence[int] = (),
    ) -> tuple[int, list[Array]]:
        """Run the program once for each row of ``order``: `CProgram.run_steps` on devices."""
        order = checked_order(order, gathered)
        done, parts = 0, []
        inputs_now = list(inputs)
        capacity = self._capacity(gathered, order.shape[1])
        while done < len(order):
            batches = order[done : done + capacity]
            for i in counters:
                inputs_now[i] = np.asarray(np.asarray(inputs[i]) + done, np.int64)
            try:
                count, results = self._chunk(inputs_now, gathered, batches, counters, capacity)
            finally:
                for i in self.donated:
                    inputs[i] = inputs_now[i]
            parts.append(results)
            done += count
            if count < len(batches):
                break
        whole = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return done, whole

    # ---- one call --------------------------------------------------------------------------------

    def _chunk(
        self, inputs: list[Any], gathered: Mapping[int, Array], order: Array,
        counters: Sequence[int], capacity: int,
    ) -> tuple[int, list[Array]]:  # fmt: skip
        """Up to ``capacity`` steps in one call of the program."""
        there = self.memory.holds(list(gathered.values()))
        key = tuple(gathered), tuple(counters), order.shape[1], capacity, there
        with self._lock, library.settings():
            if key not in self._many:
                self._many[key] = self._jit(functools.partial(self._loop, there, tuple(counters)))
            state = {i: inputs[i] for i in self.donated}
            rest = {
                i: self._given(x, spread=False)
                for i, x in enumerate(inputs)
                if i not in self.donated and i not in gathered
            }
            data = {i: self._data(array, order, capacity, there) for i, array in gathered.items()}
            numbers = np.zeros((capacity, order.shape[1]), np.int32 if there else np.int8)
            if there:
                numbers[: len(order)] = order
            count = np.int32(len(order))
            state, done, results, fits = self._run(
                self._many[key], state, rest, data, numbers, count
            )
            for i, x in state.items():
                inputs[i] = x
            ended = int(self._placement.fetch(done))
            if not bool(self._placement.fetch(fits)):
                known = list(inputs)
                for i in counters:
                    known[i] = np.asarray(known[i] + ended)
                for i, array in gathered.items():
                    known[i] = array[order[ended]]
                self._fail(known)
            kept = ended + (ended < len(order))
            return ended, [self._placement.fetch(y)[:kept] for y in results]

    def _run(self, program: Any, *arguments: Any) -> Any:
        try:
            return program(*arguments)
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise no_room(str(error), self._placement, _needed(program, arguments)) from None

    def _jit(self, function: Any) -> Any:
        return jax.jit(function, donate_argnums=0)

    def _given(self, x: Any, spread: bool = True) -> Any:
        """An input as it goes into the program; the rows of what a caller gives are spread."""
        if isinstance(x, jax.Array):
            return x
        if self._placement.size == 1 and self._placement.platform is None:
            return np.array(x)  # a copy: the device of a processor would show the caller's array
        rows = x.shape[0] if spread and x.ndim else 1
        return self._placement.put(x, self._placement.spec_of_rows(rows))

    def _data(self, array: Array, order: Array, capacity: int, there: bool) -> Any:
        """A whole data set that is on the devices, or the rows of these steps."""
        if there:
            return self.memory.data(array)
        shape = (capacity, order.shape[1], *array.shape[1:])
        layout = self._placement.layout(self._placement.spec_of_rows(order.shape[1], lead=1))

        def part(index: Any) -> Array:
            rows = order[:, index[1]]
            found = np.zeros((capacity, rows.shape[1], *array.shape[1:]), array.dtype)
            found[: len(order)] = array[rows]
            return found

        return jax.make_array_from_callback(shape, layout, part)

    def _capacity(self, gathered: Mapping[int, Array], batch: int) -> int:
        outputs = [self.graph.outputs[j].type for j in self._returned]
        step = sum(y.size * y.dtype.itemsize for y in outputs) + 8 * batch
        if not self.memory.holds(list(gathered.values())):
            step += sum(batch * a.nbytes // max(len(a), 1) for a in gathered.values())
        return max(1, min(_STEPS, _BYTES // max(step, 1)))

    # ---- what is traced --------------------------------------------------------------------------

    def _step(self, state: dict[int, Any], rest: dict[int, Any]) -> Any:
        """New values of variables, results, and whether all values fitted."""
        new, results, fits, _ = self._traced(state, rest)
        return new, results, fits

    def _traced(
        self, state: dict[int, Any], rest: dict[int, Any], row_sums: RowSums | None = None
    ) -> Any:
        trace = Trace(LOWERINGS, self._placement.narrow)
        known = state | rest
        outputs = trace.run(self._optimized, [known[i] for i in range(len(known))], row_sums)
        fits = trace.all_fit()
        finite = jnp.ones((), bool)
        for j in self._guards:
            finite = finite & jnp.isfinite(outputs[j])
        goes_on = fits & finite
        new = {}
        for i, j in self.donated.items():
            y = jnp.where(goes_on, outputs[j], state[i])
            new[i] = lax.with_sharding_constraint(y, self._layout_of_variable(y.shape))
        return new, [outputs[j] for j in self._returned], fits, goes_on

    def _layout_of_variable(self, shape: tuple[int, ...]) -> Any:
        return self._placement.layout(self._placement.spec_of_variable(shape))

    def _loop(
        self, there: bool, counters: tuple[int, ...], state: dict[int, Any], rest: dict[int, Any],
        data: dict[int, Any], order: Any, count: Any,
    ) -> Any:  # fmt: skip
        """Steps until their number is reached or one of them is stopped."""
        spec = self._placement.layout(self._placement.spec_of_rows(order.shape[1]))
        row_sums = self._row_sums(data, order.shape[1])

        def rows_of(array: Any, t: Any) -> Any:
            found = jnp.take(array, order[t], axis=0, mode="clip") if there else array[t]
            return lax.with_sharding_constraint(found, spec)

        def step(carry: Any) -> Any:
            t, state, collected, _, _ = carry
            now = {i: x + t if i in counters else x for i, x in rest.items()}
            now |= {i: rows_of(array, t) for i, array in data.items()}
            new, results, fits, goes_on = self._traced(state, now, row_sums)
            collected = [
                lax.dynamic_update_index_in_dim(all_steps, y, t, 0)
                for all_steps, y in zip(collected, results, strict=True)
            ]
            return t + jnp.where(goes_on, 1, 0).astype(t.dtype), new, collected, fits, goes_on

        kinds = [self.graph.outputs[j].type for j in self._returned]
        collected = [jnp.zeros((order.shape[0], *y.shape), y.dtype) for y in kinds]
        yes = jnp.ones((), bool)
        start = (jnp.zeros((), jnp.int32), state, collected, yes, yes)
        done, state, collected, fits, _ = lax.while_loop(
            lambda carry: (carry[0] < count) & carry[4], step, start
        )
        return state, done, collected, fits

    def _row_sums(self, data: Collection[int], rows: int) -> RowSums | None:
        """What the devices exchange all together; None where XLA does it, or nothing is split."""
        if not self._placement.exchanges_each_sum or not self._placement.splits(rows):
            return None
        inputs = self._optimized.inputs
        found = RowSums(self._optimized, {inputs[i]: 0 for i in data}, rows, self._placement)
        return found if found.places else None

    def _fail(self, inputs: Sequence[Any]) -> None:
        """Say what stopped the program: what the reference says of the same inputs."""
        Program(self.graph)([self._host(x) for x in inputs])
        raise OutOfRangeError("An index is out of range, or a value does not fit.")

    def _host(self, x: Any) -> Array:
        return self._placement.fetch(x) if isinstance(x, jax.Array) else np.asarray(x)


def is_out_of_memory(error: Exception) -> bool:
    """Whether XLA found no room on a device."""
    text = str(error)
    return "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()


class Needed(NamedTuple):
    """The memory of a program on each device, in bytes.

    Attributes:
        fixed: variables, and data that are there.
        working: values between the operations, which grow with the batch.
    """

    fixed: int
    working: int


def _needed(program: Any, arguments: Any) -> Needed | None:
    """What XLA plans for these arguments, some of which may be gone; None if it does not say."""
    try:
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
        plan = program.lower(*shapes).compile().memory_analysis()
        fixed = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
        return Needed(int(fixed), int(plan.temp_size_in_bytes))
    except (AttributeError, NotImplementedError, ValueError, jax.errors.JaxRuntimeError):
        return None


def no_room(text: str, placement: Any, needed: Needed | None) -> ChainruleError:
    """What to say where the memory of a device does not suffice."""
    limit, found, fits = placement.bytes_limit, text.partition("\n")[0][:300], ""
    if needed is not None:
        whole = needed.fixed + needed.working
        found = (
            f"a program of {_size(whole)}: {_size(needed.fixed)} for weights and data, "
            f"{_size(needed.working)} for the values of a batch"
        )
        if limit and needed.fixed < limit and needed.working:
            part = min((limit - needed.fixed) / needed.working, 1.0)
            fits = f" About {100 * part:.0f} % of the rows of this batch would fit."
    return BuildError(
        "The device has not enough memory for this step.",
        expected=f"at most {_size(limit)} on each device" if limit else None,
        found=found,
        hint="Take a smaller --batch-size, --precision bf16, or spread the weights over several "
        f"devices: --devices N --sharding fsdp.{fits}",
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**27 else f"{count / 2**20:.1f} MiB"
