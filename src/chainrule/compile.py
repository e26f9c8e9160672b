"""From Python code to a graph (trace), and from a graph to something that runs (a backend).

A traced function is called once with tensors that have no values. What it does with them is the
graph: a pure function (arguments, variables) → (results, new values of the variables it assigned).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import tree
from .backends.numpy import Program
from .differentiate import in_derivative
from .errors import TraceError
from .ir.graph import Graph, topological_order
from .ir.node import Node, constant, placeholder
from .ir.types import Type
from .tensor import TRACE_BIT, Array, Tensor, TraceRecord, Variable, as_tensor, symbol, tracing

__all__ = ["Compiled", "Traced", "compile", "trace"]


class Traced:
    """A function as a graph.

    Attributes:
        graph: its inputs are the tensors of the arguments, then the values of ``variables``; its
            outputs are the tensors of the result, then the new values of ``assigned``.
        variables: the variables that it reads.
        assigned: the variables that it gives new values.
    """

    def __init__(
        self,
        graph: Graph,
        variables: list[Variable],
        assigned: list[Variable],
        rebuild: Callable[[list[Any]], Any],
        asked: Iterable[Variable] = (),
    ) -> None:
        self.graph = graph
        self.variables = variables
        self.assigned = assigned
        self.rebuild = rebuild
        self._asked = [*variables, *asked]
        self._kinds = self._present_kinds()

    def _present_kinds(self) -> list[tuple[Type, int]]:
        return [(variable.type, variable.node.watched) for variable in self._asked]

    def is_stale(self) -> bool:
        """Whether a variable has been frozen, unfrozen or converted since the trace."""
        return self._kinds != self._present_kinds()


@contextmanager
def _recording() -> Iterator[TraceRecord]:
    """Inside, variables have no values; afterwards they are as they were."""
    if tracing.record is not None:
        raise TraceError("A trace inside a trace.", hint="Call the inner function uncompiled.")
    record = tracing.record = TraceRecord()
    try:
        yield record
    finally:
        tracing.record = None
        for variable, node in record.assigned.items():
            variable.node = node
        for variable, gradient in record.gradients.items():
            variable.grad = gradient


def trace(function: Callable[..., Any], *arguments: Any, **options: Any) -> Traced:
    """Call the function with tensors without values, and keep the graph that it leaves.

    Args:
        function: takes and returns trees (lists, tuples, dicts) of tensors and other objects.
        arguments: arrays and tensors, of which only the types matter, `Type` itself, and anything
            else, which is passed on as it is.
        options: keyword arguments, taken like the others.

    Example:
        >>> import chainrule as cr
        >>> print(cr.trace(lambda x: x * 2.0, cr.tensor([1.0, 2.0])).graph)
        %0: float32[2] = placeholder(name='0')
        %1: float32[] = constant(2.0)
        %2: float32[2] = broadcast_to(%1, shape=(2,))  # <doctest chainrule.compile.trace[1]>:1
        %3: float32[2] = multiply(%0, %2)  # <doctest chainrule.compile.trace[1]>:1
        return %3
    """
    leaves, rebuild, _ = tree.flatten([list(arguments), options])
    symbols = [_symbol(leaf, number) for number, leaf in enumerate(leaves)]
    inputs = [s.node for s in symbols if isinstance(s, Tensor) and s.node.value is None]
    with _recording() as record:
        given, named = rebuild(symbols)
        result = function(*given, **named)
        results, rebuild_result, _ = tree.flatten(result)
        nodes = [x.node for x in results if isinstance(x, Tensor)]
        assigned = list(record.assigned)
        new_values = [variable.node for variable in assigned]
    variables, lifted = _lift([*nodes, *new_values])
    count = len(nodes)
    graph = Graph([*inputs, *lifted.inputs], lifted.outputs)

    def put(arrays: list[Array]) -> Any:
        fresh = iter(arrays)
        return rebuild_result(
            [Tensor(constant(next(fresh))) if isinstance(x, Tensor) else x for x in results]
        )

    assert count + len(assigned) == len(graph.outputs)
    return Traced(graph, variables, assigned, put, record.asked)


def _symbol(leaf: Any, number: int) -> Any:
    kind = _dynamic(leaf)
    return leaf if kind is None else symbol(kind, str(number))


def _dynamic(leaf: Any) -> Type | None:
    """The type of a leaf that the graph takes as an input; None for what is built in.

    Numbers with a fraction are inputs, so that a learning rate may change; whole numbers, names
    and flags steer the Python code and are built in. Variables and modules are passed on as they
    are, and what the function reads of them becomes an input.
    """
    if isinstance(leaf, Type):
        return leaf
    if isinstance(leaf, Variable):
        return None
    if isinstance(leaf, (Tensor, np.ndarray, np.generic, float)):
        return as_tensor(leaf).type
    return None


def _lift(outputs: list[Node]) -> tuple[list[Variable], Graph]:
    """Variables that the outputs depend on, and the graph with them as inputs.

    What was computed before the trace is a constant, even if it was computed from a variable.
    """
    variables: list[Variable] = []
    inputs: list[Node] = []
    new: dict[Node, Node] = {}
    for node in topological_order(outputs):
        owner = node.attributes["owner"]() if "owner" in node.attributes else None
        if owner is not None and owner.node is node:
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
    return [v for v, _ in pairs], Graph([i for _, i in pairs], results)


class Compiled:
    """A function that is traced once for each combination of argument types, and then runs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        #: The graph and inputs of the latest call, to look into what went wrong.
        self.last_run: tuple[Traced, list[Array]]
        self._programs: dict[Any, tuple[Traced, Callable[[list[Array]], list[Array]]]] = {}

    def traced(self, *arguments: Any, **options: Any) -> Traced:
        """The graph for arguments of these types."""
        return self._program(arguments, options)[0]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run the program for arguments of these types; the first time, make it."""
        if tracing.record is not None or in_derivative():
            # A program has no history: here the function's own code is a part of what is recorded.
            return self._function(*arguments, **options)
        traced, run = self._program(arguments, options)
        leaves, _, _ = tree.flatten([list(arguments), options])
        inputs = [_value(leaf) for leaf in leaves if _dynamic(leaf) is not None]
        inputs += [variable._known() for variable in traced.variables]
        self.last_run = traced, inputs
        results = run(inputs)
        count = len(results) - len(traced.assigned)
        for variable, value in zip(traced.assigned, results[count:], strict=True):
            variable.assign(Tensor(constant(value)))
        return traced.rebuild(results[:count])

    def _program(
        self, arguments: Any, options: Any
    ) -> tuple[Traced, Callable[[list[Array]], list[Array]]]:
        leaves, _, structure = tree.flatten([list(arguments), options])
        kinds = [_dynamic(leaf) for leaf in leaves]
        built_in = [
            leaf if kind is None else kind for leaf, kind in zip(leaves, kinds, strict=True)
        ]
        key = (structure, *((type(leaf), leaf) for leaf in built_in))
        try:
            found = self._programs.get(key)
        except TypeError as error:
            raise TraceError(
                "An argument of a compiled function can be neither traced nor compared.",
                found=str(error),
                hint="Pass tensors, arrays, numbers, strings, or lists, tuples and dicts of them.",
            ) from None
        if found is None or found[0].is_stale():
            traced = trace(self._function, *arguments, **options)
            found = self._programs[key] = (traced, Program(traced.graph))
        return found


def _value(leaf: Any) -> Array:
    return as_tensor(leaf)._known()


def compile(function: Callable[..., Any]) -> Compiled:
    """Trace a function once for each combination of argument types, then run its graph.

    Tensors, arrays and floats among the arguments are inputs of the graph; other arguments (flags,
    whole numbers, names) are built in, and another value of them means another trace. Parameters
    and other variables may be read and assigned as usual; one that is frozen or converted later
    means another trace, too. Inside a derivative or another trace the function's own code runs.

    Python floats become float32 inputs. What a call leaves in ``.grad`` is forgotten when it ends:
    assign or return it. Python's ``if`` on the value of a tensor, and printing it, are errors:
    there is no value while the function is traced.

    Args:
        function: takes and returns trees (lists, tuples, dicts) of tensors and other objects.

    Raises:
        TraceError: the function looks at the value of a tensor, or an argument cannot be hashed.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter(2.0)
        >>> @cr.compile
        ... def step(x):
        ...     loss, slope = cr.value_and_grad(lambda w: (w * x - 1.0) ** 2)(w)
        ...     w.assign(w - 0.1 * slope)
        ...     return loss
        >>> [round(step(cr.tensor(1.0)).item(), 4) for _ in range(3)]
        [1.0, 0.64, 0.4096]
    """
    return Compiled(function)
