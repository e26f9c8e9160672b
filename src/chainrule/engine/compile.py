"""From Python code to a graph (trace), and from a graph to something that runs (a backend).

A traced function is called once with tensors that have no values. What it does with them is the
graph: a pure function (arguments, variables) → (results, new values of the variables it assigned).
"""

from __future__ import annotations

import functools
import operator
import os
import sys
import types
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, TraceError
from ..utils.aligned import aligned_copy, give_back_freed, is_aligned
from ..utils.background import Queue
from ..utils.typing import Array
from . import pytree
from .autodiff import in_derivative
from .backends import registry
from .backends.base import Backend, Executable
from .ir.graph import Graph, topological_order
from .ir.node import Node, constant, placeholder
from .ir.types import DTYPES, Type, float64, type_of
from .ops.scan import CALL, parts_of
from .overwriting import begin, begin_again, calls, end, forget
from .tensor import (
    TRACE_BIT,
    Number,
    Parameter,
    Tensor,
    TraceRecord,
    Variable,
    as_tensor,
    brought_home,
    give,
    own_node,
    recording,
    symbol,
    tracing,
)

__all__ = ["BACKENDS", "Compiled", "Traced", "compile", "trace"]

#: The names of the backends.
BACKENDS = tuple(registry.BACKENDS)

#: Programs that are built before they are called: what is needed first is prepared first.
_to_be_built = Queue()


class Traced:
    """A function as a graph.

    Attributes:
        graph: its inputs are the tensors of the arguments, then the values of ``variables``; its
            outputs are the tensors of the result, then the new values of ``assigned``.
        variables: the variables that it reads.
        assigned: the variables that it gives new values.
        donated: for variables that are both, the position of the old value among the graph's
            inputs, and of the new one among its outputs.
    """

    def __init__(
        self,
        graph: Graph,
        variables: list[Variable],
        assigned: list[Variable],
        rebuild: Callable[..., Any],
        record: TraceRecord,
    ) -> None:
        self.graph = graph
        self.variables = variables
        self.assigned = assigned
        self.rebuild = rebuild
        first = len(graph.inputs) - len(variables)
        place = {id(variable): first + number for number, variable in enumerate(variables)}
        count = len(graph.outputs) - len(assigned)
        self.donated = {
            place[id(variable)]: count + number
            for number, variable in enumerate(assigned)
            if id(variable) in place
        }
        self._asked = [*variables, *record.asked]
        self._empty = list(record.empty)
        self._changes = pytree.changes.count
        self._containers = [
            (found, tuple(found))
            for module in record.modules
            for found in vars(module).values()
            if isinstance(found, list)
        ]
        self._kinds = self._present_kinds()

    def _present_kinds(self) -> list[tuple[Type, int]]:
        return [(variable.type, variable.node.watched) for variable in self._asked]

    def is_stale(self) -> bool:
        """Whether something that the graph is made of has changed since then.

        Variables may be frozen, unfrozen, converted or given a gradient, modules get other layers.
        """
        if self.has_other_modules() or any(variable.grad is not None for variable in self._empty):
            return True
        for variable, (kind, watched) in zip(self._asked, self._kinds, strict=True):
            node = own_node(variable)
            if node.watched != watched or (node.type is not kind and node.type != kind):
                return True
        return False

    def has_other_modules(self) -> bool:
        """Whether modules have other parts than when they were traced."""
        if pytree.changes.count != self._changes:
            return True
        for found, before in self._containers:
            if len(found) != len(before) or not all(map(operator.is_, found, before)):
                return True
        return False


def trace(function: Callable[..., Any], *arguments: Any, **options: Any) -> Traced:
    """Call the function with tensors without values, and keep the graph that it leaves.

    Args:
        function: takes and returns trees (lists, tuples, dicts) of tensors and other objects.
        arguments: arrays and tensors, of which only the types matter, `Type` itself, and anything
            else, which is passed on as it is.
        options: keyword arguments, taken like the others.

    Example:
        >>> import chainrule as cr
        >>> print(cr.trace(lambda x: x * 2.0, cr.tensor([1.0, 2.0])).graph)  # with the user's lines
        %0: float32[2] = placeholder(name='0')
        %1: float32[] = constant(2.0)
        %2: float32[2] = broadcast_to(%1, shape=(2,))  # <doctest chainrule...trace[1]>:1
        %3: float32[2] = multiply(%0, %2)  # <doctest chainrule...trace[1]>:1
        return %3
    """
    leaves, rebuild, _ = pytree.flatten([list(arguments), options])
    symbols = [_symbol(leaf, number) for number, leaf in enumerate(leaves)]
    inputs = [s.node for s in symbols if isinstance(s, Tensor) and s.node.value is None]
    if tracing.record is not None:
        raise TraceError("A trace inside a trace.", hint="Call the inner function uncompiled.")
    with recording() as record:
        given, named = rebuild(symbols)
        result = function(*given, **named)
        results, rebuild_result, _ = pytree.flatten(result)
        nodes = [as_tensor(x).node for x in results if isinstance(x, Tensor)]
        assigned = list(record.assigned)
        new_values = [variable.node for variable in assigned]
    variables, lifted = _lift([*nodes, *new_values], assigned, record)
    count = len(nodes)
    graph = Graph([*inputs, *lifted.inputs], lifted.outputs)

    # The tensors themselves would keep the graph, and with it what the variables were, in memory.
    rest = [(isinstance(x, Tensor), None if isinstance(x, Tensor) else x) for x in results]

    body = functools.cache(lambda: Graph(graph.inputs, graph.outputs[:count]))
    kind = nodes[0].type if isinstance(result, Tensor) else None

    def put(arrays: list[Array], history: tuple[Node, ...] = ()) -> Any:
        if kind is not None and not history:  # one tensor, as most steps give
            [array] = arrays
            return Tensor(constant(array, type=kind if array.shape == kind.shape else None))
        fresh = iter(
            _with_history(body(), arrays, history)
            if history
            else [Tensor(constant(array)) for array in arrays]
        )
        return rebuild_result([next(fresh) if is_tensor else x for is_tensor, x in rest])

    assert count + len(assigned) == len(graph.outputs)
    return Traced(graph, variables, assigned, put, record)


def _history(traced: Traced, leaves: list[Any], inputs: list[Array]) -> tuple[Node, ...]:
    """What the results of a call depend on, if somebody may ask for a derivative; else nothing."""
    variables = traced.variables
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    if not any(x.node.watched for x in (*tensors, *variables)):
        return ()
    assigned = {id(variable) for variable in traced.assigned}
    nodes = []
    for leaf, array in zip([*leaves, *variables], inputs, strict=True):
        own = isinstance(leaf, Tensor) and id(leaf) not in assigned
        if own and (leaf.node.value is array or not isinstance(array, np.ndarray)):
            nodes.append(leaf.node)
        else:  # the caller's own array, or one that the program overwrites
            nodes.append(constant(np.array(array)))
    return tuple(nodes)


def _with_history(body: Graph, arrays: list[Array], history: tuple[Node, ...]) -> list[Tensor]:
    """The results of a call as those of one node with a derivative, whose body is the graph."""
    watched = 0
    for node in history:
        watched |= node.watched
    value: Any = tuple(arrays)
    record = Node(CALL, history, {"body": body}, type_of(value), value, watched)
    return parts_of(Tensor(record))


def _symbol(leaf: Any, number: int) -> Any:
    kind = _dynamic(leaf)
    if kind is None:
        return leaf
    x = symbol(kind, str(number))
    return Number(x.node) if _is_number(leaf) else x


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, float) and not isinstance(leaf, np.generic)


def _dynamic(leaf: Any) -> Type | None:
    """The type of a leaf that the graph takes as an input; None for what is built in.

    Numbers with a fraction are inputs, so that a learning rate may change; integers, names
    and flags steer the Python code and are built in. Variables and modules are passed on as they
    are, and what the function reads of them becomes an input.
    """
    if type(leaf) is np.ndarray and leaf.dtype in DTYPES:  # no more than the usual, but quickly
        return Type(leaf.dtype, leaf.shape)
    if isinstance(leaf, Type):
        return leaf
    if isinstance(leaf, Variable):
        return None
    if _is_number(leaf):
        return _NUMBER
    if isinstance(leaf, (Tensor, np.ndarray, np.generic)):
        return as_tensor(leaf).type
    return None


#: A Python float keeps its digits, whatever it meets in the function.
_NUMBER = Type(float64, ())


def _lift(
    outputs: list[Node], assigned: list[Variable], record: TraceRecord
) -> tuple[list[Variable], Graph]:
    """Variables that the outputs depend on, and the graph with them as inputs.

    What was computed before the trace is a constant, even if it was computed from a variable.
    Variables that are assigned are inputs even if nothing reads them: a native program writes the
    new value in the place of the old one.
    """
    variables: list[Variable] = []
    inputs: list[Node] = []
    new: dict[Node, Node] = {}
    for node in topological_order(outputs):
        owner = node.attributes["owner"]() if "owner" in node.attributes else None
        if owner is not None and record.nodes.get(owner) is node:
            variables.append(owner)
            name = owner.name or f"variable {len(inputs)}"
            inputs.append(placeholder(node.type, name, TRACE_BIT))
            new[node] = inputs[-1]
        elif node.value is not None and (node.inputs or node.attributes):
            new[node] = constant(node.value)
        elif any(new[source] is not source for source in node.inputs):
            sources = tuple(new[source] for source in node.inputs)
            new[node] = Node(
                node.op, sources, node.attributes, node.type, None, node.watched, node.origin
            )
        else:
            new[node] = node
    results = [new[node] for node in outputs]
    needed = set(topological_order(results))
    pairs = [(v, i) for v, i in zip(variables, inputs, strict=True) if i in needed]
    read = {v for v, _ in pairs}
    for variable in assigned:
        if variable not in read:
            name = variable.name or f"variable {len(pairs)}"
            pairs.append((variable, placeholder(variable.type, name, TRACE_BIT)))
    return [v for v, _ in pairs], Graph([i for _, i in pairs], results)


class Compiled:
    """A function that is traced once for each combination of argument types, and then runs."""

    def __init__(
        self,
        function: Callable[..., Any],
        backend: str | Backend = "numpy",
        guard: bool = False,
        history: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._backend = registry.find_backend(backend)
        self._guard = guard
        self._keeps_history = history
        self._last: tuple[_Program, list[Any]] | None = None
        self._programs: dict[Any, _Program] = {}
        self._plain: dict[Any, _Program] = {}  # by the types of arguments without structure
        self._prepared: dict[Any, tuple[Traced, Future[Executable], int, int | None]] = {}

    @property
    def parts(self) -> int:
        """Over how many devices its backend splits a batch."""
        return self._backend.parts

    def own_rows(self, rows: int) -> Array:
        """(rows,) which rows of a batch its programs read in this process.

        All of them, until there is a program, and unless all of them split batches over processes.
        """
        memories = [program.run.memory for program in self._programs.values()]
        found = np.ones(rows, bool)
        for memory in memories:
            found = found if memory is None else memory.own_rows(rows)
        return found if None not in memories else np.ones(rows, bool)

    @property
    def last_run(self) -> tuple[Traced, list[Array]] | None:
        """The graph and inputs of the latest call, to look into what went wrong."""
        if self._last is None:
            return None
        program, inputs = self._last
        calls.mark = None  # for these arrays are out of the hands of the variables
        missing = len(program.traced.graph.inputs) > len(inputs)
        variables = program.traced.variables if missing else []
        known = [*inputs, *[variable._known() for variable in variables]]
        return program.traced, program.in_numpy(known)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: the object is the first argument."""
        return self if instance is None else types.MethodType(self, instance)

    def traced(self, *arguments: Any, **options: Any) -> Traced:
        """The graph for arguments of these types."""
        return self._program(self._described(arguments, options), arguments, options).traced

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run the program for arguments of these types; the first time, make it."""
        standing = tracing.standing
        if in_derivative() or (standing is not None and tracing.record is not None):
            # A program has no history: here the function's own code is a part of what is recorded.
            return self._function(*arguments, **options)
        plain = _plain_call(arguments) if standing is None and not options else None
        known = None if plain is None else self._plain.get(plain[0])
        if plain is not None and known is not None:
            given = plain[1]
            self._last = None
            again = known.run_again(given)
            if again is not None:
                self._last = known, given
                return known.traced.rebuild(again)
        taken = self._described(arguments, options)
        program = self._program(taken, arguments, options)
        if plain is not None and self._may_repeat(program, plain[1]):
            self._plain[plain[0]] = program
        traced = program.traced
        inputs = [_value(leaf) for leaf in taken.inputs]
        self._last = None  # lets go of the arrays, which may now be overwritten
        try:
            mark = object()
            given = list(inputs)
            inputs += program.begin(mark)
            # Arrays that the variables keep are theirs alone, or the next program would copy them.
            self._last = program, given if program.can_repeat else inputs
            history = _history(traced, taken.inputs, inputs) if self._keeps(program) else ()
            results = program.run(inputs, mark)
        finally:
            program.end(inputs)
        count = program.results
        if not (self._guard and _stopped(results[:count])):
            give(program.given, results[count:])
        return traced.rebuild(results[:count], history)

    def program(self, *arguments: Any) -> _Program:
        """The program for arguments of these types; see `_Program.change`."""
        return self._program(self._described(arguments, {}), arguments, {})

    def _may_repeat(self, program: _Program, given: list[Array]) -> bool:
        """Whether a call for the same kinds of arguments needs no more than these arrays."""
        as_they_are = all(array.dtype in DTYPES for array in given)
        return as_they_are and program.can_repeat and not self._keeps(program)

    def _keeps(self, program: _Program) -> bool:
        """Whether results of a program keep what they depend on."""
        return self._keeps_history and program.is_differentiable

    def run_steps(
        self, order: Any, *arguments: Any, rows: Sequence[int], counter: int | None = None
    ) -> tuple[int, Any]:
        """Call the function once for each row of ``order``; a native program does it in one call.

        Args:
            order: (steps, batch) integers: the rows of the data that each step gets.
            arguments: those of the function. The ones named by ``rows`` are whole data sets, or
                trees of such, with as many rows each; a step gets a batch of them.
            rows: positions of the arguments that are data sets.
            counter: the position of an int64 argument that grows by one with each step.

        Returns:
            How many steps were completed, and the results of all steps, with an axis of the steps
            in front. With ``guard`` a step with a result that is not finite is the last; it is
            not completed, and its results are the last ones.

        Example:
            >>> import chainrule as cr, numpy as np
            >>> total = cr.Buffer(0.0)
            >>> def step(x):
            ...     total.assign(total + x.sum())
            ...     return total
            >>> data = np.array([1.0, 10.0, 100.0], np.float32)
            >>> count, sums = compile(step).run_steps([[0, 1], [2, 2]], data, rows=[0])
            >>> count, sums.tolist(), total.item()
            (2, [11.0, 211.0], 211.0)
        """
        order = np.asarray(order, dtype=np.int64)
        if order.ndim != 2 or not len(order):
            raise ConfigError("run_steps needs at least one step.", found=str(order.shape),
                              expected="order of shape (steps, batch)")  # fmt: skip
        first = [
            pytree.map_leaves(partial(_rows, batch=order[0]), argument)
            if position in rows
            else argument
            for position, argument in enumerate(arguments)
        ]
        program = self._program(self._described(first, {}), first, {})
        traced, run = program.traced, program.run
        if run.run_steps is None or program.given:
            return self._run_one_by_one(order, arguments, rows, counter)
        inputs, gathered, counters = _inputs_of_steps(arguments, rows, counter)
        self._last = None
        try:
            inputs += program.begin(object())
            done, results = run.run_steps(inputs, gathered, order, counters)
        finally:
            program.end(inputs)
        if done < len(order):
            known = {i: x for i, x in enumerate(inputs) if x is not None}
            known |= {i: _rows(data, order[done]) for i, data in gathered.items()}
            known |= {i: np.asarray(known[i] + done) for i in counters}
            self._last = program, [known[i] for i in range(len(inputs))]
        return done, traced.rebuild(results)

    def _run_one_by_one(
        self, order: Array, arguments: Sequence[Any], rows: Sequence[int], counter: int | None
    ) -> tuple[int, Any]:
        collected: list[list[Array]] = []
        rebuild: Any = None
        done = len(order)
        for number, batch in enumerate(order):
            given = list(arguments)
            for position in rows:
                given[position] = pytree.map_leaves(partial(_rows, batch=batch), given[position])
            if counter is not None:
                given[counter] = np.int64(int(as_tensor(given[counter]).item()) + number)
            leaves, rebuild, _ = pytree.flatten(self(*given))
            collected.append([leaf.numpy() for leaf in leaves if isinstance(leaf, Tensor)])
            if self._guard and _stopped(collected[-1]):
                done = number
                break
        stacked = iter([Tensor(constant(np.stack(one))) for one in zip(*collected, strict=True)])
        return done, rebuild(
            [next(stacked) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        )

    @property
    def source(self) -> str:
        """The text of the program that was made last: C, or with NumPy its graph."""
        if not self._programs:
            raise TraceError("There is no program yet.", hint="Call the function first.")
        return list(self._programs.values())[-1].run.source

    def _make(self, traced: Traced, runs: int | None = None) -> Executable:
        count = len(traced.graph.outputs) - len(traced.assigned)
        numbers = [
            position
            for position, node in enumerate(traced.graph.outputs[:count])
            if self._guard and node.type.is_float and not node.type.shape
        ]
        return self._backend.build(traced.graph, traced.donated, numbers, runs)

    def prepare(self, *arguments: Any, runs: int | None = None) -> None:
        """Trace the function for arguments of these types, and build its program meanwhile.

        Args:
            arguments: those of the function.
            runs: about how often it will be called with such ones at most, if that is known.
        """
        key = self._described(arguments, {}).key
        if not (self._backend.is_instant or key in self._programs or key in self._prepared):
            traced = trace(self._function, *arguments)
            building = _to_be_built.add(partial(self._make, traced, runs))
            self._prepared[key] = traced, building, os.getpid(), runs

    def _program(self, taken: _Call, arguments: Any, options: Any) -> _Program:
        key = taken.key
        if key in self._prepared:
            traced, building, process, runs = self._prepared.pop(key)
            # In the child of a fork nobody goes on with it; what has not begun is not waited for.
            goes_on = building.done() or (process == os.getpid() and not building.cancel())
            self._programs[key] = _Program(
                traced, building.result() if goes_on else self._make(traced, runs)
            )
        found = self._programs.get(key)
        if found is None or found.traced.is_stale():
            traced = trace(self._function, *arguments, **options)
            found = self._programs[key] = _Program(traced, self._make(traced))
        return found

    def _described(self, arguments: Any, options: Any) -> _Call:
        """What the arguments of a call are to its program."""
        leaves, _, structure = pytree.flatten([list(arguments), options])
        kinds = [_dynamic(leaf) for leaf in leaves]
        built_in = [
            (type(leaf), leaf, _options(leaf))
            if kind is None
            else (float if kind is _NUMBER else Type, kind)
            for leaf, kind in zip(leaves, kinds, strict=True)
        ]
        key = (structure, *built_in)
        try:
            hash(key)
        except TypeError as error:
            raise TraceError(
                "An argument of a compiled function can be neither traced nor compared.",
                found=str(error),
                hint="Pass tensors, arrays, numbers, strings, or lists, tuples and dicts of them.",
            ) from None
        given = [leaf for leaf, kind in zip(leaves, kinds, strict=True) if kind is not None]
        return _Call(key, given)


#: Arguments that are built into a program, if nothing is inside them.
_CONSTANTS = frozenset((bool, int, str))


def _plain_call(arguments: tuple[Any, ...]) -> tuple[Any, list[Array]] | None:
    """Arguments without structure: the same for calls that have the same program, and the inputs.

    None if an argument is of another kind. It is asked in every call, so it looks at each once.
    """
    key: list[Any] = []
    given: list[Any] = []
    for leaf in arguments:
        kind = type(leaf)
        if kind is np.ndarray:
            key.append((leaf.dtype, leaf.shape))
            given.append(leaf)
        elif kind is Tensor:
            node = leaf.node
            if node.value is None:
                return None
            key.append(node.type)
            given.append(node.value)
        elif kind is float:
            key.append(float)
            given.append(np.array(leaf))
        elif kind in _CONSTANTS:
            key.append((kind, leaf))
        else:
            return None
    return tuple(key), given


def _options(leaf: Any) -> tuple[Any, ...]:
    """The plain attributes of an object, such as the one of a method: they are built in, too."""
    known = getattr(leaf, "__dict__", None)
    if not known or isinstance(leaf, type) or callable(leaf):
        return ()
    plain = (bool, int, float, str, type(None))
    return tuple((name, x) for name, x in known.items() if isinstance(x, plain))


class _Call(NamedTuple):
    """The arguments of a call.

    Attributes:
        key: the same for calls that can have the same program.
        inputs: those that the graph takes as inputs.
    """

    key: Any
    inputs: list[Any]


def _stopped(results: list[Array]) -> bool:
    """Whether a single floating-point number is not finite."""
    return any(not np.isfinite(y) for y in results if y.dtype.kind == "f" and not y.shape)


def _inputs_of_steps(
    arguments: Sequence[Any], rows: Sequence[int], counter: int | None
) -> tuple[list[Array | None], dict[int, Array], list[int]]:
    """The inputs of many steps, the data from which some are gathered, and which are counters."""
    inputs: list[Array | None] = []
    gathered: dict[int, Array] = {}
    counters: list[int] = []
    for position, argument in enumerate(arguments):
        for leaf in pytree.flatten(argument)[0]:
            if position in rows:
                gathered[len(inputs)] = _value(leaf)
                inputs.append(None)
            elif _dynamic(leaf) is not None:
                counters += [len(inputs)] if position == counter else []
                inputs.append(_value(leaf))
    return inputs, gathered, counters


def _rows(data: Any, batch: Array) -> Array:
    found: Array = _value(data)[batch]
    return found


def _value(leaf: Any) -> Array:
    if type(leaf) is np.ndarray and leaf.dtype in DTYPES:
        return leaf
    return as_tensor(leaf, float64 if _is_number(leaf) else None)._known()


class _Program:
    """A function made ready to run.

    Attributes:
        traced: the function as a graph.
        run: the graph as a program.
        results: how many of its outputs are results of the function.
        given: the variables that get their new values from the outputs behind them; others are
            overwritten.
        can_repeat: whether a call may leave the variables where the program has them from the last.
        is_differentiable: whether somebody may ask for a derivative of its results. A function that
            assigns parameters is a step of a training: its results are only numbers.
    """

    def __init__(self, traced: Traced, run: Executable) -> None:
        self.traced, self.run = traced, run
        self._mark: object = None  # of what it left in `overwriting` after the last full look
        self.results = len(traced.graph.outputs) - len(traced.assigned)
        self._variables = traced.variables
        first = len(traced.graph.inputs) - len(traced.variables)
        self._places = sorted(number - first for number in run.in_place)
        self._overwritten = frozenset(traced.variables[place] for place in self._places)
        self.given = [v for v in traced.assigned if v not in self._overwritten]
        self.can_repeat = run.again is not None and not self.given
        results = traced.graph.outputs[: self.results]
        self.is_differentiable = any(node.type.is_float for node in results) and not any(
            isinstance(variable, Parameter) for variable in traced.assigned
        )

    def __del__(self) -> None:
        if forget is not None:  # the interpreter may be going
            forget(getattr(self, "_mark", None))

    def begin(self, mark: object) -> list[Any]:
        """The arrays of the variables; those that are overwritten belong to the call until `end`.

        For a program with a memory of its own, what they are there.

        If others can see one of these it is copied, and if it does not begin at a line of a cache,
        for vectors that lie in two lines take longer. Besides the variable only its node knows the
        array; whoever else holds one of them, such as a tensor or a view made from the variable,
        keeps the old numbers. The mark tells `run_again` that nothing has changed since.
        """
        if self.run.memory is not None:
            return begin(self._variables, self._overwritten, self._in_memory)
        if not self._places and tracing.standing is not None:
            return [variable._known() for variable in self._variables]
        self._mark = mark
        nodes = begin(self._variables, self._overwritten, brought_home, mark)
        arrays = [node.value for node in nodes]
        holders = _holders(nodes, arrays, self._places)
        copied = 0
        for place, (of_node, of_array) in zip(self._places, holders, strict=True):
            array, node = arrays[place], nodes[place]
            assert array is not None
            alone = of_node <= _ALONE[0] and of_array <= _ALONE[1]
            if not (alone and is_aligned(array)):
                arrays[place] = own = aligned_copy(array)
                variable = self._variables[place]
                variable._set(own, node.watched)
                nodes[place] = variable.node  # what was copied goes before the next is
                copied += own.nbytes
                if copied >= _MUCH:
                    del array, node
                    give_back_freed()
                    copied = 0
        return arrays

    def change(self, given: list[Array]) -> None:
        """Run it for the values of its arguments, if all that it gives are values of variables."""
        inputs = list(given)
        try:
            inputs += self.begin(None)
            results = self.run(inputs)
        finally:
            self.end(inputs)
        give(self.given, results)

    def run_again(self, given: list[Array]) -> list[Array] | None:
        """The results for other arguments, if since the last call nobody has got or replaced the
        value of any variable; otherwise None, and nothing was done.
        """  # noqa: D205
        if self.traced.has_other_modules():
            return None
        # The nodes keep the arrays alive, whatever other threads assign meanwhile.
        nodes = begin_again(self._variables, self._overwritten, self._mark)
        if nodes is None:
            return None
        assert self.run.again is not None
        try:
            return self.run.again(given, self._mark, nodes)
        except BaseException:
            calls.mark = None  # its traceback knows the arrays
            raise
        finally:
            if self._places:
                end(self._overwritten)

    def _in_memory(self, variable: Variable) -> Any:
        """The value of a variable in the memory of the program."""
        memory = self.run.memory
        assert memory is not None
        if variable.away is not None and variable.away[0] is memory:
            return variable.away[1]
        node = brought_home(variable)
        assert node.value is not None
        return memory.put(node.value) if variable in self._overwritten else memory.seen(node)

    def end(self, inputs: list[Any]) -> None:
        """Let other threads at the variables; ``inputs`` are those of the call, if it began."""
        first = len(self.traced.graph.inputs) - len(self._variables)
        memory = self.run.memory
        if memory is not None and len(inputs) > first:
            for place in self._places:
                if not memory.is_lost(inputs[first + place]):
                    self._variables[place].away = memory, inputs[first + place]
        if self._places or memory is not None:
            end(self._overwritten)

    def in_numpy(self, inputs: list[Any]) -> list[Array]:
        """The inputs of a call as arrays of NumPy."""
        memory = self.run.memory
        return [
            x if isinstance(x, np.ndarray) or memory is None else memory.fetch(x) for x in inputs
        ]


def _holders(nodes: list[Node], arrays: list[Any], places: list[int]) -> list[tuple[int, int]]:
    """How many hold each node, and its array; these lists do."""
    count = sys.getrefcount
    return [(count(nodes[place]), count(arrays[place])) for place in places]


def _holders_of_one(variable: Variable) -> tuple[int, int]:
    nodes = [own_node(variable)]
    return _holders(nodes, [nodes[0].value], [0])[0]


#: After copies of so many bytes it is worth a look at what their originals took.
_MUCH = 1 << 26

#: The numbers of a variable that nobody shares; they differ between versions of Python.
_ALONE = _holders_of_one(Variable([0.0]))


def compile(
    function: Callable[..., Any] | None = None,
    *,
    backend: str = "auto",
    guard: bool = False,
    exact: bool = False,
    precision: str | None = None,
) -> Any:
    """Trace a function once for each combination of argument types, then run its graph.

    Tensors, arrays and floats among the arguments are inputs of the graph; other arguments (flags,
    integers, names) are built in, and another value of them means another trace. Parameters
    and other variables may be read and assigned as usual; one that is frozen or converted later
    means another trace, too. The results depend on the parameters and tensors that went in, so that
    `backward` reaches them; only a function that assigns parameters gives plain numbers. Inside a
    derivative or another trace the function's own code runs.

    Python floats are inputs, and take the element type of what they meet. What a call leaves in
    ``.grad`` is forgotten when it ends: assign or return it. Python's ``if`` on the value of a
    tensor, and printing it, are errors: there is no value while the function is traced.

    Args:
        function: takes and returns trees (lists, tuples, dicts) of tensors and other objects.
        backend: "numpy"; "c", a native program built with the machine's C compiler, which
            overwrites variables in place; or "auto", that if it can be built, otherwise "numpy",
            which also runs functions of a few numbers that assign nothing, for which nobody wants
            to wait for a compiler. The choice depends on the graph, and on whether its program
            is in the cache.
        guard: with a native program, leave all variables as they were when one of the single
            floating-point numbers among the results is not finite.
        exact: find the same bits on every processor: a native program, which fuses products and
            sums (a·b + c, rounded once) where there is no instruction for it, too. That takes
            longer there, and changes nothing elsewhere.
        precision: "bf16" for matrix products and convolutions of numbers rounded to bfloat16, those
            of derivatives, too; sums and variables stay in float32. By default all are of float32.

    Raises:
        ConfigError: ``exact``, and the backend is neither "c" nor "auto"; or an unknown precision.
        TraceError: the function looks at the value of a tensor, or an argument cannot be hashed.
        CompilerError: backend "c", and there is no compiler, or it failed.
        UnsupportedError: backend "c", and it has no kernel for an operation.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter(2.0)
        >>> @cr.compile
        ... def step(x):
        ...     loss, gradient = cr.value_and_grad(lambda w: (w * x - 1.0) ** 2)(w)
        ...     w.assign(w - 0.1 * gradient)
        ...     return loss
        >>> [round(step(cr.tensor(1.0)).item(), 4) for _ in range(3)]
        [1.0, 0.64, 0.4096]
    """
    if function is None:
        return partial(compile, backend=backend, guard=guard, exact=exact, precision=precision)
    chosen: str | Backend = registry.BY_SIZE if backend == "auto" else backend
    if exact or precision is not None:
        chosen = registry.find_backend(backend, exact=exact, precision=precision)
    return Compiled(function, chosen, guard, history=True)
