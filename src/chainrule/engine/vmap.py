"""A function of one example becomes one of many: one more axis goes through its graph.

The function is called once with examples that have no values. In the graph that it leaves every
node that depends on an example gets the axis, first of all axes: by the rule of its operation, or
by the kind of operation that its record names; what has neither runs in a loop, of which the
operation is the body. Everything else is computed once for all examples. The result is made of
ordinary operations, so that it can be differentiated, compiled and mapped again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import ConfigError, ShapeError, TraceError
from . import pytree
from .closure import capture
from .ir.batch_axis import ALONG, BESIDE, ELEMENTWISE, IMAGES, REDUCED, SUMMED
from .ir.graph import Graph
from .ir.node import PART, Node
from .ir.types import Record, Type
from .ops import mapping, moveaxis
from .ops.declare import normalize_axis
from .ops.linalg.matrices import MATRICES
from .ops.scan import loop, parts_of
from .source_info import backward_through
from .tensor import Tensor, apply, as_tensor, symbol

__all__ = ["vmap"]


class Mapped(NamedTuple):
    """A value, and whether it has the axis of the examples, first of all axes."""

    tensor: Tensor
    is_mapped: bool


#: What follows from the kind of an operation; only ``is`` counts, so a list.
_KINDS = (
    (ELEMENTWISE, mapping.leading),
    (MATRICES, mapping.leading),
    (REDUCED, mapping.over_axes),
    (SUMMED, mapping.over_axes),
    (ALONG, mapping.along),
    (BESIDE, mapping.along),
    (IMAGES, mapping.images),
)


# ---- through a graph ---------------------------------------------------------------------------


def map_graph(graph: Graph, given: Sequence[Mapped], size: int) -> list[Mapped]:
    """The outputs of a graph for many examples.

    Args:
        graph: of one example.
        given: its inputs.
        size: how many examples there are.
    """
    values: dict[Node, Mapped] = dict(zip(graph.inputs, given, strict=True))
    records: dict[Node, list[Mapped]] = {}
    for node in graph.nodes:
        if node in values:
            continue
        if node.op is PART:
            values[node] = records[node.inputs[0]][node.attributes["index"]]
        elif not node.inputs:
            values[node] = Mapped(Tensor(node), False)
        else:
            with backward_through(node.origin):
                results = _map_node(node, [values[source] for source in node.inputs], size)
            if isinstance(node.type, Record):
                records[node] = results
            else:
                (values[node],) = results
    return [values[node] for node in graph.outputs]


def _map_node(node: Node, inputs: list[Mapped], size: int) -> list[Mapped]:
    """The results of a node."""
    op, attributes = node.op, node.attributes
    tensors, mapped = [x.tensor for x in inputs], [x.is_mapped for x in inputs]
    if not any(mapped):
        return [Mapped(y, False) for y in _results(apply(op, *tensors, **attributes))]
    if op.has_body:
        return (_map_scan if "carries" in attributes else _map_call)(node, inputs, size)
    rule = op.vmap or next((rule for kind, rule in _KINDS if op.batch is kind), None)
    found = None if rule is None else rule(op, size, tensors, mapped, attributes)
    if found is None:
        return [Mapped(y, True) for y in _one_by_one(node, inputs, size)]
    return [Mapped(y, True) for y in _results(found)]


def _results(y: Tensor) -> list[Tensor]:
    return parts_of(y) if isinstance(y.type, Record) else [y]


def _one_by_one(node: Node, inputs: list[Mapped], size: int) -> list[Tensor]:
    """The results of a node in a loop over the examples."""
    symbols = [symbol(source.type, "example") for source in node.inputs]
    found = _results(apply(node.op, *symbols, **node.attributes))
    pairs = list(zip(symbols, inputs, strict=True))
    consts, slices = (
        [(s, x.tensor) for s, x in pairs if x.is_mapped is wanted] for wanted in (False, True)
    )
    body = Graph([s.node for s, _ in [*consts, *slices]], [y.node for y in found])
    return loop(
        body, [x for _, x in consts], [], [x for _, x in slices], sums=0, length=size,
        reverse=False,
    )  # fmt: skip


def _map_body(body: Graph, mapped: list[bool], size: int, wanted: Sequence[bool]) -> Graph:
    """The graph for many examples; the first outputs have the axis where it is ``wanted``."""
    symbols = [
        symbol(Type(node.type.dtype, (size, *node.type.shape)) if has_axis else node.type, "input")
        for node, has_axis in zip(body.inputs, mapped, strict=True)
    ]
    results = map_graph(body, list(map(Mapped, symbols, mapped)), size)
    outputs = [
        mapping.everywhere(size, *y) if number < len(wanted) and wanted[number] else y.tensor
        for number, y in enumerate(results)
    ]
    return Graph([s.node for s in symbols], [y.node for y in outputs])


def _depends(body: Graph, mapped: Sequence[bool]) -> list[bool]:
    """Which outputs depend on the inputs that have the axis."""
    on = {node for node, has_axis in zip(body.inputs, mapped, strict=True) if has_axis}
    for node in body.nodes:
        if any(source in on for source in node.inputs):
            on.add(node)
    return [node in on for node in body.outputs]


def _map_call(node: Node, inputs: list[Mapped], size: int) -> list[Mapped]:
    body: Graph = node.attributes["body"]
    mapped = [x.is_mapped for x in inputs]
    graph = _map_body(body, mapped, size, ())
    parts = parts_of(apply(node.op, *(x.tensor for x in inputs), body=graph))
    return list(map(Mapped, parts, _depends(body, mapped)))


def _map_scan(node: Node, inputs: list[Mapped], size: int) -> list[Mapped]:
    """A loop: a carry has the axis if it begins with it, or ever depends on what has it."""
    how = dict(node.attributes)
    body: Graph = how["body"]
    first, last = how["consts"], how["consts"] + how["carries"]
    mapped = [x.is_mapped for x in inputs]
    while True:
        depends = _depends(body, mapped)
        carries = [a or b for a, b in zip(mapped[first:last], depends, strict=False)]
        if carries == mapped[first:last]:
            break
        mapped[first:last] = carries
    how["body"] = _map_body(body, mapped, size, carries)
    tensors = [x.tensor for x in inputs[:first]]
    tensors += [
        mapping.everywhere(size, *x) if has_axis else x.tensor
        for x, has_axis in zip(inputs[first:last], carries, strict=True)
    ]
    tensors += [moveaxis(x.tensor, 0, 1) if x.is_mapped else x.tensor for x in inputs[last:]]
    parts = parts_of(apply(node.op, *tensors, **how))
    whole = len(carries) + how["sums"]
    has_axis = [*carries, *depends[len(carries) :]]
    return [
        Mapped(moveaxis(y, 1, 0) if number >= whole and one else y, one)
        for number, (y, one) in enumerate(zip(parts, has_axis, strict=True))
    ]


# ---- the function of users ---------------------------------------------------------------------


def vmap(
    function: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """A function of one example as a function of many: one more axis goes through it.

    What ``function`` does to one example is done to all at once, without a loop in Python. It can
    be combined with `grad`, `jacobian`, `compile` and with itself: gradients for each example are
    ``vmap(grad(loss), in_axes=(None, 0, 0))``.

    Args:
        function: takes tensors, numbers, modules, and lists, tuples and dicts of these; gives
            tensors in such trees. It may not look at values, as in `compile`.
        in_axes: on which axis each argument has its examples: a number for all, or a tuple with an
            entry for each argument: a number, None for what is the same for all examples, or a
            tree of these that is a prefix of the argument. Arguments by keyword have theirs on
            axis 0, modules none: JAX's rules.
        out_axes: on which axis the results have them: a number, or a prefix of the result with
            numbers, and None for what is the same for all examples.
        axis_size: how many examples; needed where no argument has any.

    Returns:
        The function of many examples.

    Raises:
        ShapeError: arguments have different numbers of examples.
        ConfigError: ``in_axes`` or ``out_axes`` do not fit, or a result that has examples is
            declared to have none.
        TraceError: a variable gets another value for each example.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> cr.vmap(lambda a, b: (a * b).sum(), in_axes=(0, None))(x, x[1]).tolist()
        [11.0, 25.0]
        >>> cr.vmap(cr.grad(lambda x: (x**2).sum()))(x).tolist()
        [[2.0, 4.0], [6.0, 8.0]]
    """

    @functools.wraps(function)
    def mapped(*arguments: Any, **options: Any) -> Any:
        axes = in_axes if not isinstance(in_axes, list) else tuple(in_axes)
        if isinstance(axes, tuple) and len(axes) != len(arguments):
            raise ConfigError("in_axes has an entry for each argument.",
                              expected=f"{len(arguments)} entries",
                              found=repr(in_axes))  # fmt: skip
        given = [*arguments, options]
        prefix = [*(axes if isinstance(axes, tuple) else [axes] * len(arguments)), 0]
        leaves, rebuild, _ = pytree.flatten(given)
        places = _along_prefix(prefix, given, "in_axes")
        examples, size = _examples(leaves, places, axis_size)
        known = list(leaves)

        def one(*symbols: Tensor) -> Any:
            for number, x in zip(examples, symbols, strict=True):
                known[number] = x
            *inner, named = rebuild(known)
            return function(*inner, **named)

        types = [Type(x.dtype, x.shape[1:]) for x in examples.values()]
        captured = capture(one, types, "vmap")
        inputs = [Mapped(x, False) for x in captured.free]
        inputs += [Mapped(x, True) for x in examples.values()]
        outputs = map_graph(captured.graph, inputs, size)
        results, again, _ = pytree.flatten(captured.result)
        _assign(captured.assigned, outputs[len(results) :])
        ends = _along_prefix(out_axes, captured.result, "out_axes")
        pairs = zip(outputs[: len(results)], ends, strict=True)
        return again([_placed(y, axis, size) for y, axis in pairs])

    return mapped


def _along_prefix(prefix: Any, tree: Any, what: str) -> list[int | None]:
    """The axis of every leaf of a tree, from a prefix of the tree."""
    if prefix is None or (isinstance(prefix, int) and not isinstance(prefix, bool)):
        return [prefix] * len(pytree.flatten(tree)[0])
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if _is_list(tree) else None
    fits = (isinstance(prefix, dict) and isinstance(tree, dict) and set(prefix) == set(tree)) or (
        _is_list(prefix) and _is_list(tree) and len(prefix) == len(tree)
    )
    if not fits or keys is None:
        raise ConfigError(f"{what} does not fit.", found=repr(prefix),
                          expected="numbers, None, or a tree that is a prefix of "
                          f"{type(tree).__name__}")  # fmt: skip
    return [axis for key in keys for axis in _along_prefix(prefix[key], tree[key], what)]


def _is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and not isinstance(x, Type)


def _examples(
    leaves: list[Any], places: list[int | None], axis_size: int | None
) -> tuple[MappingProxyType[int, Tensor], int]:
    """The leaves that have examples, with their axis first, and how many examples there are."""
    found: dict[int, Tensor] = {}
    sizes = set() if axis_size is None else {axis_size}
    for number, (leaf, place) in enumerate(zip(leaves, places, strict=True)):
        if place is None or pytree.is_module(leaf):
            continue
        x = as_tensor(leaf)
        if not x.ndim:
            raise ShapeError("A single number has no axis of examples.", found=str(x.type),
                             hint="Give None for it in in_axes.")  # fmt: skip
        found[number] = moveaxis(x, normalize_axis(place, x.ndim), 0)
        sizes.add(found[number].shape[0])
    if not sizes:
        raise ConfigError("No argument has examples.", expected="axis_size, or a number in in_axes")
    if len(sizes) > 1:
        raise ShapeError("The numbers of examples differ.", expected="one number of examples",
                         found=", ".join(map(str, sorted(sizes))))  # fmt: skip
    return MappingProxyType(found), sizes.pop()


def _assign(variables: list[Any], values: list[Mapped]) -> None:
    for variable, value in zip(variables, values, strict=True):
        if value.is_mapped:
            raise TraceError(
                "A variable gets another value for each example inside vmap.",
                where=variable.name or None,
                hint="Return the value instead, or normalise without running statistics.",
            )
        variable.assign(value.tensor)


def _placed(y: Mapped, axis: int | None, size: int) -> Tensor:
    """A result with the axis of the examples where it is wanted."""
    if axis is None:
        if y.is_mapped:
            raise ConfigError("A result that differs between examples needs an axis for them.",
                              expected="a number in out_axes", found="None")  # fmt: skip
        return y.tensor
    x = mapping.everywhere(size, *y)
    return moveaxis(x, 0, normalize_axis(axis, x.ndim))
