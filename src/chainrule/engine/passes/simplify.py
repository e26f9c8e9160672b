"""Algebra that changes no result: identities, constants, chains of views.

A rule gets a node whose sources are simplified already, and gives what takes its place. Only
identities that hold for every number, NaN, infinities and signed zeros among them, are used:
x·1 = x, but not x·0 = 0. (x + 0 turns -0 into 0; that sign is given up.)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np

from ..ir.graph import Graph
from ..ir.node import CONSTANT, Node, constant
from ..ir.types import Record, Type
from ..ops.declare import BROADCAST
from ..ops.shape import RESHAPE
from .concatenate import as_concatenation, slice_operands
from .rewrite import make, rewrite

#: Constants are computed beforehand up to this many elements.
_LARGEST_FOLDED = 4096

Rule = Callable[[Node], Node | None]
_RULES: dict[str, Rule] = {}


def _rule_of(*names: str) -> Callable[[Rule], Rule]:
    """Declare what becomes of a node of these operations; None: it stays."""

    def declare(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return declare


def simplify(graph: Graph) -> Graph:
    """The graph with every rule applied once to each node, sources first."""
    users = Counter(source for node in graph.nodes for source in node.inputs)
    users.update(graph.outputs)
    cuts = Counter(node.inputs[0] for node in graph.nodes if node.op.name == "slice")

    def rule(node: Node, before: Node) -> Node:
        if node.op.name == "transpose" and users[before.inputs[0]] == 1:
            node = _transposed_product(node)
        if node.op.name == "slice" and users[before.inputs[0]] == cuts[before.inputs[0]]:
            node = slice_operands(node)
        return _simplified(node)

    return rewrite(graph, rule)


def _simplified(node: Node) -> Node:
    for rule in (_RULES.get(node.op.name), _sink_broadcast, _fold):
        found = rule(node) if rule is not None else None
        if found is not None:
            assert found.type == node.type, (node, found)
            return found
    return node


# ---- constants -------------------------------------------------------------------------------


def _fold(node: Node) -> Node | None:
    """What depends on constants only is one; broadcasts stay, for they take no memory."""
    if node.op.name == "broadcast_to" or node.type.size > _LARGEST_FOLDED:
        return None
    if isinstance(node.type, Record):
        return None
    values = [source.value for source in node.inputs if source.op is CONSTANT]
    if len(values) < len(node.inputs) or node.op.compute is None:
        return None
    with np.errstate(all="ignore"):
        return constant(np.array(node.op.compute(np, *values, **node.attributes)))


def single_value(node: Node) -> float | None:
    """The number that a constant is everywhere, through broadcasts; None otherwise."""
    while node.op is BROADCAST or node.op is RESHAPE:
        node = node.inputs[0]
    if node.op is CONSTANT and node.value is not None and node.value.size == 1:
        return float(node.value.reshape(-1)[0])
    return None


def _sink_broadcast(node: Node) -> Node | None:
    """f(broadcast x, broadcast y) = broadcast f(x, y): computed once, not for every element."""
    if not node.op.elementwise or node.type.size == 0:
        return None
    wide = [source for source in node.inputs if source.op.name == "broadcast_to"]
    small = [source.inputs[0] for source in wide]
    if len(wide) < len(node.inputs) or len({source.type.shape for source in small}) != 1:
        return None
    if small[0].type.size == node.type.size:
        return None
    core = _simplified(make(node, node.op.name, *small, **node.attributes))
    return make(node, "broadcast_to", core, shape=node.type.shape)


# ---- arithmetic ------------------------------------------------------------------------------


@_rule_of("add")
def _add(node: Node) -> Node | None:
    first, second = node.inputs
    if node.type.dtype.kind == "b":
        return None
    if single_value(second) == 0:
        return first
    if single_value(first) == 0:
        return second
    if first is second and node.type.is_float:
        two = constant(np.array(2, node.type.dtype))
        return make(node, "multiply", first, make(node, "broadcast_to", two, shape=node.type.shape))
    if second.op.name == "negative":
        return make(node, "subtract", first, second.inputs[0])
    if first.op.name == "negative":
        return make(node, "subtract", second, first.inputs[0])
    return as_concatenation(node)


@_rule_of("subtract")
def _subtract(node: Node) -> Node | None:
    first, second = node.inputs
    if single_value(second) == 0:
        return first
    if second.op.name == "negative":
        return make(node, "add", first, second.inputs[0])
    return None


@_rule_of("multiply")
def _multiply(node: Node) -> Node | None:
    first, second = node.inputs
    for one, other in ((first, second), (second, first)):
        value = single_value(one)
        if value == 1:
            return other
        if value == -1 and node.type.dtype.kind in "fi":
            return make(node, "negative", other)
    return None


@_rule_of("divide")
def _divide(node: Node) -> Node | None:
    """x / c = x·(1/c) exactly when c is a power of two."""
    first, second = node.inputs
    value = single_value(second)
    if value == 1:
        return first
    if value and math.isfinite(value) and abs(math.frexp(value)[0]) == 0.5:
        inverse = 1 / value
        if 2.0**-100 < abs(inverse) < 2.0**100:
            core = constant(np.array(inverse, node.type.dtype))
            wide = make(node, "broadcast_to", core, shape=node.type.shape)
            return make(node, "multiply", first, wide)
    return None


@_rule_of("negative")
def _negative(node: Node) -> Node | None:
    (source,) = node.inputs
    return source.inputs[0] if source.op.name == "negative" else None


@_rule_of("logical_not")
def _logical_not(node: Node) -> Node | None:
    (source,) = node.inputs
    if source.op.name == "logical_not" and source.inputs[0].type == node.type:
        return source.inputs[0]
    return None


@_rule_of("cast")
def _cast(node: Node) -> Node | None:
    (source,) = node.inputs
    if source.type == node.type:
        return source
    if source.op.name == "cast" and _is_idle(source.inputs[0].type, source.type, node.type):
        inner = source.inputs[0]
        if inner.type == node.type:
            return inner
        return make(node, "cast", inner, dtype=node.type.dtype)
    if source.op.name == "broadcast_to":
        core = _simplified(make(node, "cast", source.inputs[0], dtype=node.type.dtype))
        return make(node, "broadcast_to", core, shape=node.type.shape)
    return None


def _is_idle(first: Type, middle: Type, last: Type) -> bool:
    """Whether a conversion by way of another type is the conversion without it.

    Integers that are out of range wrap around, floating-point numbers do not.
    """
    wraps = middle.is_float and not first.is_float and last.dtype.kind in "iu"
    return _holds(first, middle) and (not wraps or _holds(first, last))


def _holds(narrow: Type, wide: Type) -> bool:
    """Whether every number of one type is a number of the other."""
    if narrow.dtype.kind in "iu" and wide.is_float:
        return 8 * narrow.dtype.itemsize <= np.finfo(wide.dtype).nmant + 1
    return bool(np.can_cast(narrow.dtype, wide.dtype, "safe"))


@_rule_of("where")
def _where(node: Node) -> Node | None:
    condition, first, second = node.inputs
    value = single_value(condition)
    if value is not None:
        return first if value else second
    return first if first is second else None


# ---- views -----------------------------------------------------------------------------------


@_rule_of("identity", "stop_gradient")
def _identity(node: Node) -> Node | None:
    return node.inputs[0]


@_rule_of("part")
def _part(node: Node) -> Node | None:
    """A value with a derivative of its own is the value, once all derivatives are taken."""
    (source,) = node.inputs
    return source.inputs[0] if source.op.name == "own_derivative" else None


@_rule_of("reshape")
def _reshape(node: Node) -> Node | None:
    (source,) = node.inputs
    shape = node.type.shape
    if source.type == node.type:
        return source
    if source.op.name == "reshape":
        return _simplified(make(node, "reshape", source.inputs[0], shape=shape))
    if source.op.name == "broadcast_to" and source.inputs[0].type.size == 1:
        core = _single(node, source.inputs[0])
        return make(node, "broadcast_to", core, shape=shape)
    return None


def _single(node: Node, source: Node) -> Node:
    """A node of one element without axes."""
    return _simplified(make(node, "reshape", source, shape=())) if source.type.shape else source


@_rule_of("broadcast_to")
def _broadcast(node: Node) -> Node | None:
    (source,) = node.inputs
    shape = node.type.shape
    if source.type == node.type:
        return source
    if source.op.name == "broadcast_to":
        return _simplified(make(node, "broadcast_to", source.inputs[0], shape=shape))
    if source.type.size == 1 and source.type.shape:
        return make(node, "broadcast_to", _single(node, source), shape=shape)
    return None


@_rule_of("transpose")
def _transpose(node: Node) -> Node | None:
    (source,) = node.inputs
    axes = node.attributes["axes"]
    if axes == tuple(range(len(axes))):
        return source
    if source.op.name == "transpose":
        inner = source.attributes["axes"]
        joined = tuple(inner[axis] for axis in axes)
        return _simplified(make(node, "transpose", source.inputs[0], axes=joined))
    return None


def _transposed_product(node: Node) -> Node:
    """(A·B)ᵀ = Bᵀ·Aᵀ, for a product that nobody else reads."""
    (source,) = node.inputs
    axes = node.attributes["axes"]
    rank = len(axes)
    if source.op.name != "matmul" or axes != (*range(rank - 2), rank - 1, rank - 2):
        return node
    a, b = source.inputs
    flags = source.attributes
    return make(
        node, "matmul", b, a, transpose_a=not flags["transpose_b"],
        transpose_b=not flags["transpose_a"],
    )  # fmt: skip


@_rule_of("matmul")
def _matmul(node: Node) -> Node | None:
    """A transposed operand is a flag of the product."""
    changed = False
    operands, flags = [], []
    for source, name in zip(node.inputs, ("transpose_a", "transpose_b"), strict=True):
        flag = node.attributes[name]
        rank = len(source.type.shape)
        swapped = (*range(rank - 2), rank - 1, rank - 2)
        if source.op.name == "transpose" and source.attributes["axes"] == swapped:
            source, flag, changed = source.inputs[0], not flag, True
        operands.append(source)
        flags.append(flag)
    if not changed:
        return None
    return make(node, "matmul", *operands, transpose_a=flags[0], transpose_b=flags[1])


# ---- reductions ------------------------------------------------------------------------------


@_rule_of("sum")
def _sum(node: Node) -> Node | None:
    """The sum of equal numbers is a product; sums of what is 1 wide are reshapes."""
    (source,) = node.inputs
    axes = node.attributes["axes"]
    count = math.prod(source.type.shape[axis] for axis in axes)
    if count == 1:
        return _simplified(make(node, "reshape", source, shape=node.type.shape))
    if source.op.name == "broadcast_to" and source.inputs[0].type.size == 1 and count:
        single = _single(node, source.inputs[0])
        if node.type.is_float and count < 2**24:
            factor = constant(np.array(count, node.type.dtype))
            core = _simplified(make(node, "multiply", single, factor))
            return _simplified(make(node, "broadcast_to", core, shape=node.type.shape))
    return None


@_rule_of("max", "min", "prod")
def _extreme(node: Node) -> Node | None:
    (source,) = node.inputs
    if math.prod(source.type.shape[axis] for axis in node.attributes["axes"]) == 1:
        return _simplified(make(node, "reshape", source, shape=node.type.shape))
    return None
