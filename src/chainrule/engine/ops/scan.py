"""Loops over time, and calls that are computed again: operations that hold a graph.

Both are one node with several results. Such a node is of a `Record` type, and `PART` nodes take
the results out of it; nothing else ever meets a record. The graph is an attribute, closed, so that
the node is a function of its inputs like every other.

**scan** runs its body T times: (k, cₜ₋₁, xₜ) ↦ (cₜ, sₜ, yₜ) with what is the same in every step k,
the carry c, and slices x. Its results are c_T, Σₜ sₜ and all yₜ, stacked. Backpropagation through
time is its derivative: another scan, in the other direction, whose step is the chain rule applied
to the body. It computes the step again from xₜ and the carry cₜ₋₁ that went into it, which the
forward scan stacks for that purpose when somebody may differentiate it:

    carry   c̄ₜ₋₁ = c̄ₜ·∂cₜ/∂c + s̄·∂sₜ/∂c + ȳₜ·∂yₜ/∂c
    sum     k̄    = Σₜ (…)·∂/∂k
    stack   x̄ₜ   = (…)·∂/∂x

The gradient of a weight is a sum of products Σₜ Aₜᵀ·Gₜ, one for each step. That is one product of
the stacked matrices, and is computed so, after the loop.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError, TypeRuleError
from .. import pytree
from ..closure import Captured, capture
from ..ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, RowsDependError
from ..ir.graph import Graph, topological_order
from ..ir.node import PART, Node
from ..ir.operation import Operation, Sample, register
from ..ir.program import Program
from ..ir.types import Record, Type
from ..tensor import TRACE_BIT, Tensor, apply, as_tensor, symbol
from .declare import function, reals
from .elementwise import tanh
from .products import MATMUL
from .shape import reshape, zeros_like

__all__ = ["remat", "scan"]

Tensors = Sequence[Tensor]

_programs: weakref.WeakKeyDictionary[Graph, Program] = weakref.WeakKeyDictionary()


def _program(body: Graph) -> Program:
    if body not in _programs:
        _programs[body] = Program(body)
    return _programs[body]


def parts_of(record: Tensor) -> list[Tensor]:
    """The results of a node that has several."""
    assert isinstance(record.type, Record)
    return [apply(PART, record, index=index) for index in range(len(record.type.parts))]


def _need_body(name: str, body: Graph, types: Sequence[Type]) -> None:
    found = [node.type for node in body.inputs]
    if found != list(types):
        raise TypeRuleError(f"The body of {name} takes other inputs.",
                            expected=", ".join(map(str, found)),
                            found=", ".join(map(str, types)))  # fmt: skip


# ---- call: a graph as one node ---------------------------------------------------------------


def _call_type(*types: Type, body: Graph) -> Type:
    _need_body("call", body, types)
    return Record(node.type for node in body.outputs)


def _call(xp: Any, *arrays: Any, body: Graph) -> Any:
    return tuple(_program(body)(arrays))


def call_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    body: Graph,
) -> dict[int, Tensor]:  # fmt: skip
    """The gradients are a call, too: it computes the body again and goes back through it."""
    given = {number: symbol(g.type, f"upstream {number}") for number, g in upstream.items()}
    targets = [body.inputs[position] for position in wanted]
    found = _walk(walk, body, given, targets)
    known = {p: g for p, g in zip(wanted, found, strict=True) if g is not None}
    if not known:
        return {}
    graph = Graph(
        [*body.inputs, *(s.node for s in given.values())], [g.node for g in known.values()]
    )
    gradients = parts_of(apply(CALL, *inputs, *upstream.values(), body=graph))
    return dict(zip(known, gradients, strict=True))


def _walk(
    walk: Any, body: Graph, upstream: dict[int, Tensor], targets: list[Node]
) -> list[Tensor | None]:
    """The chain rule through a body: from gradients of its outputs to those of the targets."""
    outputs = [Tensor(body.outputs[number]) for number in upstream]
    found: list[Tensor | None] = walk(outputs, list(upstream.values()), targets, TRACE_BIT)
    return found


#: ``call(*inputs, body)``: the results of a graph. Its inside is computed again for the derivative.
def _call_rows(walk: BatchWalk, node: Node, axes: Axes) -> list[Axis | None]:
    body = node.attributes["body"]
    return walk.outputs(body, dict(zip(body.inputs, axes, strict=True)))


CALL: Operation = register(
    Operation(
        "call",
        _call_type,
        _call,
        formula="call({0}, …)",
        pull_back=call_pull_back,
        has_body=True,
        batch=BatchRule(_call_rows),
    )
)


# ---- scan ------------------------------------------------------------------------------------


def _scan_type(
    *types: Type, body: Graph, consts: int, carries: int, sums: int, length: int, reverse: bool
) -> Type:
    numbers = (consts, carries, sums, length)
    if any(type(n) is not int or n < 0 for n in numbers) or type(reverse) is not bool:
        raise TypeRuleError("scan counts with integers.", found=f"{numbers}, {reverse!r}")
    fixed, slices = types[: consts + carries], types[consts + carries :]
    if len(fixed) < consts + carries or len(body.outputs) < carries + sums:
        raise TypeRuleError("scan has fewer inputs or results than it counts.")
    for x in slices:
        if x.shape[:1] != (length,):
            raise ShapeError(f"scan takes slices of {length} steps.", found=str(x))
    _need_body("scan", body, [*fixed, *(Type(x.dtype, x.shape[1:]) for x in slices)])
    results = [node.type for node in body.outputs]
    if results[:carries] != list(fixed[consts:]):
        raise TypeRuleError("The carry of a scan keeps its types.",
                            expected=", ".join(map(str, fixed[consts:])),
                            found=", ".join(map(str, results[:carries])))  # fmt: skip
    stacked = [Type(y.dtype, (length, *y.shape)) for y in results[carries + sums :]]
    return Record([*results[: carries + sums], *stacked])


def _scan(
    xp: Any, *arrays: Any, body: Graph, consts: int, carries: int, sums: int, length: int,
    reverse: bool,
) -> Any:  # fmt: skip
    run = _program(body)
    fixed, carry = arrays[:consts], list(arrays[consts : consts + carries])
    slices = arrays[consts + carries :]
    results = [node.type for node in body.outputs]
    totals = [np.zeros(s.shape, s.dtype) for s in results[carries : carries + sums]]
    stacks = [np.empty((length, *y.shape), y.dtype) for y in results[carries + sums :]]
    for step in reversed(range(length)) if reverse else range(length):
        found = run([*fixed, *carry, *[x[step, ...] for x in slices]])
        carry = found[:carries]
        for total, s in zip(totals, found[carries:], strict=False):
            total += s
        for stack, y in zip(stacks, found[carries + sums :], strict=True):
            stack[step, ...] = y
    return (*carry, *totals, *stacks)


def _scan_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    body: Graph, consts: int, carries: int, sums: int, length: int, reverse: bool,
) -> dict[int, Tensor]:  # fmt: skip
    """The scan of the top of this module that runs backwards, and its results by position."""
    first_slice = consts + carries
    floats = [i for i in range(carries) if body.inputs[consts + i].type.is_float]
    # The gradient of every output that has one, as a symbol inside and a tensor outside.
    inside = {
        number: symbol(node.type, f"upstream {number}")
        for number, node in enumerate(body.outputs)
        if (number in floats if number < carries else number in upstream)
    }
    last = {i: upstream.get(i, zeros_like(inputs[consts + i])) for i in floats}
    targets = [consts + i for i in floats]
    targets += [p for p in wanted if not consts <= p < first_slice]
    found = dict(
        zip(targets, _walk(walk, body, inside, [body.inputs[p] for p in targets]), strict=True)
    )
    known = {p: g for p, g in found.items() if g is not None}
    new_carry = [known.get(consts + i, zeros_like(inside[i])) for i in floats]
    into_slices = {p: g for p, g in known.items() if p >= first_slice}
    into_consts = {p: _products(g) for p, g in known.items() if p < consts}
    factors = [f for terms, _ in into_consts.values() for pair in terms for f in pair]
    rests = {p: rest for p, (_, rest) in into_consts.items() if rest is not None}

    backward = _Loop(
        consts=dict(zip(body.inputs[:consts], inputs, strict=False))
        | {inside[n].node: upstream[n] for n in inside if carries <= n < carries + sums},
        carry={inside[i].node: last[i] for i in floats},
        slices=dict(zip(body.inputs[first_slice:], inputs[first_slice:], strict=True))
        | {inside[n].node: upstream[n] for n in inside if n >= carries + sums},
    )
    needed = set(
        topological_order(
            [g.node for g in [*new_carry, *rests.values(), *into_slices.values(), *factors]]
        )
    )
    if needed & set(body.inputs[consts:first_slice]):
        saved = _saved_carries(
            y, inputs, body=body, consts=consts, carries=carries, sums=sums, length=length,
            reverse=reverse,
        )  # fmt: skip
        backward.slices |= dict(zip(body.inputs[consts:first_slice], saved, strict=True))
    computed = [f for f in factors if f.node not in backward.slices]  # the others are there
    stacked = [*into_slices.values(), *computed]
    c, s, x = backward.run(new_carry, list(rests.values()), stacked, length, not reverse)

    gradients = {consts + i: g for i, g in zip(floats, c, strict=True) if consts + i in wanted}
    gradients |= dict(zip(into_slices, x, strict=False))
    totals = dict(zip(rests, s, strict=True))
    fresh = iter(x[len(into_slices) :])
    rows = (backward.slices[f.node] if f.node in backward.slices else next(fresh) for f in factors)
    for p, (terms, _) in into_consts.items():
        for _ in terms:
            product = _one_product(next(rows), next(rows))
            totals[p] = totals[p] + product if p in totals else product
    return gradients | totals


def _saved_carries(y: Tensor, inputs: Tensors, **attributes: Any) -> list[Tensor]:
    """The carries that went into every step: results of the scan, or of one that has them."""
    body, consts, carries = attributes["body"], attributes["consts"], attributes["carries"]
    into = body.inputs[consts : consts + carries]
    first = carries + attributes["sums"]
    if not all(node in body.outputs[first:] for node in into):
        body = attributes["body"] = Graph(body.inputs, [*body.outputs, *into])
        y = apply(SCAN, *inputs, **attributes)
    places = [body.outputs.index(node, first) for node in into]
    return [apply(PART, y, index=place) for place in places]


class _Loop:
    """The inputs of a scan, each with the placeholder that stands for it in the body."""

    def __init__(
        self, consts: dict[Node, Tensor], carry: dict[Node, Tensor], slices: dict[Node, Tensor]
    ) -> None:
        self.consts, self.carry, self.slices = consts, carry, slices

    def run(
        self, new_carry: Tensors, sums: Tensors, stacked: Tensors, length: int, reverse: bool
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The last carry, the sums and the stacks, from what a step makes of them."""
        outputs = [g.node for g in [*new_carry, *sums, *stacked]]
        needed = set(topological_order(outputs))
        consts = {node: x for node, x in self.consts.items() if node in needed}
        slices = {node: x for node, x in self.slices.items() if node in needed}
        results = loop(
            Graph([*consts, *self.carry, *slices], outputs),
            [*consts.values()], [*self.carry.values()], [*slices.values()],
            sums=len(sums), length=length, reverse=reverse,
        )  # fmt: skip
        carries = len(self.carry)
        last = carries + len(sums)
        return results[:carries], results[carries:last], results[last:]


def loop(
    body: Graph, consts: Tensors, carry: Tensors, slices: Tensors, *, sums: int, length: int,
    reverse: bool, differentiable: bool = True,
) -> list[Tensor]:  # fmt: skip
    """The results of a scan; it stacks its carries, too, if somebody may differentiate it."""
    inputs = [*consts, *carry, *slices]
    outputs = list(body.outputs)
    if differentiable and any(x.node.watched for x in inputs):
        into = body.inputs[len(consts) : len(consts) + len(carry)]
        outputs += [node for node in into if node not in outputs[len(carry) + sums :]]
    record = apply(
        SCAN, *inputs, body=Graph(body.inputs, outputs), consts=len(consts),
        carries=len(carry), sums=sums, length=length, reverse=reverse,
    )  # fmt: skip
    return [apply(PART, record, index=index) for index in range(len(body.outputs))]


#: ``scan(*consts, *carry, *slices)``: see the top of this module.
def _scan_rows(walk: BatchWalk, node: Node, axes: Axes) -> list[Axis | None]:
    """A carry that begins with the same for every row, such as zeros, is taken to have rows."""
    how = node.attributes
    body: Graph = how["body"]
    first, last = how["consts"], how["consts"] + how["carries"]
    if any(axis is not None and axis.place == 0 for axis in axes[last:]):
        raise RowsDependError
    slices = [axis and axis.at(axis.place - 1) for axis in axes[last:]]
    carries = [
        axis or _start_rows(walk, start)
        for start, axis in zip(node.inputs[first:last], axes[first:last], strict=True)
    ]
    given = [*axes[:first], *carries, *slices]
    found = walk.outputs(body, dict(zip(body.inputs, given, strict=True)))
    if found[: len(carries)] != carries:
        raise RowsDependError
    whole = len(carries) + how["sums"]
    return [*found[:whole], *(axis and axis.at(axis.place + 1) for axis in found[whole:])]


def _start_rows(walk: BatchWalk, node: Node) -> Axis | None:
    first = Axis(0)
    has_rows = node.type.shape[:1] == (walk.rows,) and walk.is_same(node, first)
    return first if has_rows else None


SCAN: Operation = register(
    Operation(
        "scan",
        _scan_type,
        _scan,
        formula="scan({0}, …)",
        pull_back=_scan_pull_back,
        has_body=True,
        batch=BatchRule(_scan_rows),
    )
)


# ---- sums of products as one product ---------------------------------------------------------


def _products(total: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor | None]:
    """The terms Aᵀ·G of a sum, each as (A, G), and the sum of its other terms."""
    terms, rest = [], None
    stack = [total.node]
    seen: set[Node] = set()  # a sum that is added to itself is not taken apart twice
    while stack:
        node = stack.pop()
        if node.op.name == "add" and node not in seen:
            seen.add(node)
            stack += reversed(node.inputs)
        elif node.op is MATMUL and _is_outer(node):
            terms.append((Tensor(node.inputs[0]), Tensor(node.inputs[1])))
        else:
            rest = Tensor(node) if rest is None else rest + Tensor(node)
    return terms, rest


def _is_outer(node: Node) -> bool:
    flags = (node.attributes["transpose_a"], node.attributes["transpose_b"])
    return flags == (True, False) and len(node.type.shape) == 2


def _one_product(a: Tensor, g: Tensor) -> Tensor:
    """Σₜ Aₜᵀ·Gₜ = Aᵀ·G with the rows of all steps below each other."""
    steps, rows = a.shape[:2]
    flat = [reshape(x, (steps * rows, x.shape[2])) for x in (a, g)]
    return apply(MATMUL, *flat, transpose_a=True, transpose_b=False)


# ---- for users -------------------------------------------------------------------------------


def _decay(carry: Any, x: Any) -> Any:
    new = tanh(0.5 * carry + x)
    return new, new * x


@function(
    lambda: [
        Sample((_decay, reals(2), reals(3, 2, seed=1))),
        Sample((_decay, reals(2), reals(3, 2, seed=1)), {"reverse": True}),
        Sample((_decay, reals(2), reals(1, 2, seed=1))),
        Sample((_decay, reals(2), reals(0, 2))),
        Sample((lambda c, x: (c @ c, c), reals(2, 2), None), {"length": 2}),
    ]
)
def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    differentiable: bool = True,
) -> tuple[Any, Any]:
    """A loop over the first axis: ``carry, y = body(carry, x)`` for every slice x of ``xs``.

    The body is run once, on tensors without values, and becomes a graph: no Python ``if`` on
    values inside. It may use parameters and tensors from outside; derivatives reach these, too.
    Differentiation computes each step again from its carry, so that memory grows with the number
    of steps times the size of the carry, however much happens inside of a step. (Native programs
    keep up to eight times as much where that saves work.)

    A variable that the body assigns, such as a parameter that an optimizer updates, is part of the
    carry: each step finds it as the last one left it, and after the loop it has its last value.

    Randomness in the body needs another key in every step: make the number of the step a slice,
    ``xs=cr.arange(steps)``, and fold it in.

    Args:
        body: takes the carry and a slice; returns the new carry and a result, trees of tensors.
        carry: what goes from step to step: a tree of tensors, whose types stay the same.
        xs: a tree of tensors with equal extents T on the first axis; None if there is no input.
        length: T; needed if ``xs`` is None.
        reverse: go from the last slice to the first. Results keep the places of their slices.
        differentiable: False takes everything as a constant and keeps no carries for a derivative.

    Returns:
        The last carry, and the results of all steps, stacked along a new first axis.

    Raises:
        TypeRuleError: a tensor of the carry changes its type or the carry its structure.
        ShapeError: the extents of ``xs`` differ from each other or from ``length``.
        TraceError: the body needs the value of a tensor.

    Example:
        >>> import chainrule as cr
        >>> def body(total, x):
        ...     return total + x, total
        >>> last, before = cr.scan(body, cr.tensor(0.0), cr.tensor([1.0, 2.0, 3.0]))
        >>> last.item(), before.tolist()
        (6.0, [0.0, 1.0, 3.0])
    """
    carried, rebuild_carry, structure = pytree.flatten(carry)
    sliced, rebuild_slices, _ = pytree.flatten(xs)
    carried = [as_tensor(leaf) for leaf in carried]
    sliced = [as_tensor(leaf) for leaf in sliced]
    steps = _steps(sliced, length)

    def step(*given: Tensor) -> Any:
        c, x = list(given[: len(carried)]), list(given[len(carried) :])
        result: Any = body(rebuild_carry(c), rebuild_slices(x))
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeRuleError("The body of a scan returns the new carry and a result.",
                                expected="return carry, y (y may be None)",
                                found=type(result).__name__)  # fmt: skip
        _need_same_carry(carry, structure, carried, result[0])
        return result

    types = [x.type for x in carried] + [Type(x.dtype, x.shape[1:]) for x in sliced]
    captured = capture(step, types, "the body of a scan", stateful=True)
    body_graph, state = _with_state(captured), [Tensor(v.node) for v in captured.assigned]
    fixed, carried = captured.free, [*state, *carried]
    if not carried and not sliced:
        raise ShapeError("A scan needs a carry or slices.", hint="Give it one tensor at least.")
    if not differentiable:
        fixed, carried, sliced = ([x.detach() for x in group] for group in (fixed, carried, sliced))
    results = loop(
        body_graph, fixed, carried, sliced, sums=0, length=steps, reverse=bool(reverse),
        differentiable=differentiable,
    )  # fmt: skip
    for variable, last in zip(captured.assigned, results, strict=False):
        variable.assign(last)
    results = results[len(state) :]
    count = len(carried) - len(state)
    rebuild_results = pytree.flatten(captured.result[1])[1]
    return rebuild_carry(results[:count]), rebuild_results(results[count:])


def _with_state(captured: Captured) -> Graph:
    """The body with the variables that it assigns in front of the carry, in inputs and outputs."""
    count = len(captured.graph.outputs) - len(captured.assigned)
    outputs = captured.graph.outputs
    return Graph(captured.graph.inputs, [*outputs[count:], *outputs[:count]])


def _steps(slices: list[Tensor], length: int | None) -> int:
    for x in slices:
        if not x.ndim:
            raise ShapeError("The xs of a scan have their steps on the first axis.",
                             found=str(x.type))  # fmt: skip
    extents = {x.shape[0] for x in slices} | ({int(length)} if length is not None else set())
    if len(extents) != 1 or min(extents) < 0:
        given = [str(x.type) for x in slices] + ([f"length={length}"] if length is not None else [])
        raise ShapeError(
            "A scan needs one number of steps.",
            expected="equal extents of all xs on the first axis, which is length if that is given",
            found=", ".join(given) or "neither xs nor length",
        )
    return extents.pop()


def _need_same_carry(carry: Any, structure: Any, before: list[Tensor], after: Any) -> None:
    leaves, _, found = pytree.flatten(after)
    if found != structure:
        raise TypeRuleError("The carry of a scan keeps its structure.",
                            expected=_outline(carry), found=_outline(after))  # fmt: skip
    for number, (old, new) in enumerate(zip(before, map(as_tensor, leaves), strict=True)):
        if old.type != new.type:
            which = f"tensor {number + 1} of the carry" if len(before) > 1 else "the carry"
            raise TypeRuleError(
                "The carry of a scan changes its type from one step to the next.",
                where=which,
                expected=f"{old.type}, as it goes in",
                found=f"{new.type}, as it comes out",
                hint="Start with a carry of the type that the body gives.",
            )


def _outline(x: Any) -> str:
    """A tree with the types of its tensors."""

    def name(leaf: Any) -> str:
        return str(as_tensor(leaf).type)

    return repr(pytree.map_leaves(name, x)).replace("'", "")


def remat(function_: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose inside is not kept for its derivative but computed again.

    Between the forward pass and the backward pass only its inputs and results stay in memory
    (gradient checkpointing: Griewank, 1992; Chen et al., 2016). Cutting a chain of n layers into √n
    such pieces takes O(√n) memory for one more forward pass.

    Args:
        function_: a function of trees of tensors, or a module. Arguments that are no tensors or
            arrays are passed on as they are; it may assign variables, as BatchNorm does.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter([2.0])
        >>> f = cr.remat(lambda x: cr.tanh(w * x))
        >>> cr.grad(lambda x: f(x).sum())(cr.tensor([0.5])).tolist()
        [0.839...]
    """

    def again(*arguments: Any, **options: Any) -> Any:
        leaves, rebuild, _ = pytree.flatten([list(arguments), options])
        numbers = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (Tensor, np.ndarray))]
        tensors = [as_tensor(leaves[i]) for i in numbers]

        def inside(*given: Tensor) -> Any:
            filled = [*leaves]
            for i, x in zip(numbers, given, strict=True):
                filled[i] = x
            arguments, options = rebuild(filled)
            return function_(*arguments, **options)

        captured = capture(inside, [x.type for x in tensors], "cr.remat")
        if not captured.free and not tensors:
            return function_(*arguments, **options)
        results = parts_of(apply(CALL, *captured.free, *tensors, body=captured.graph))
        outputs, rebuild_result, _ = pytree.flatten(captured.result)
        for variable, value in zip(captured.assigned, results[len(outputs) :], strict=True):
            variable.assign(value)
        return rebuild_result(results[: len(outputs)])

    return again
