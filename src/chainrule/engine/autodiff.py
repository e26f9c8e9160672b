"""The chain rule: walk the graph backwards, apply each node's rule, add where paths meet.

    ∂L/∂x = Σ over the users y of x of  ∂L/∂y · ∂y/∂x

Everything else in this module gives this one walk to users: gradients of functions, of tensors
(`backward`), of gradients, and Jacobians.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import DerivativeError
from . import pytree, repeated
from .ir.graph import reachable, topological_order
from .ir.node import PART, Node, constant
from .ir.operation import NON_DIFFERENTIABLE, ZERO
from .ops import identity, ones_like, reshape, sum, zeros, zeros_like
from .source_info import backward_through
from .tensor import (
    FUNCTIONS,
    PARAMETER_BIT,
    TRACE_BIT,
    Tensor,
    as_tensor,
    has_value,
    standing_in,
    tracing,
)
from .vmap import vmap

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


# ---- the walk --------------------------------------------------------------------------------


#: ``(node, position, upstream, contribution)``: what a node sends back to one of its inputs.
OnFlow = Callable[[Node, int, Tensor | None, Tensor], None]


def pull_back(
    outputs: Sequence[Tensor],
    upstreams: Sequence[Tensor],
    targets: Sequence[Node],
    keep: int,
    on_flow: OnFlow | None = None,
    reached: dict[Node, int] | None = None,
) -> list[Tensor | None]:
    """The gradients of ``Σ output · upstream`` with respect to the targets; None without a path.

    ``keep`` are the watchers (bits of `Node.watched`) that may differentiate the gradients again;
    nodes that only others watch are taken as constants, so that no history piles up. ``on_flow``
    sees every link of the chain, for explanations; a node with several results has no upstream.
    ``reached`` are the `reachable` nodes of the outputs, if they are known.
    """
    ends = [output.node for output in outputs]
    if on_flow is None and tracing.record is None:
        place = reached or reachable(ends)
        again = repeated.gradients(place, ends, upstreams, targets, keep, pull_back)
        if again is not None:
            return again
    order = topological_order(ends)
    wanted = set(targets)
    on_path = set(wanted)
    for node in order:
        if any(source in on_path for source in node.inputs):
            on_path.add(node)
    gradients: dict[Node, Tensor] = {}
    of_parts: dict[Node, dict[int, Tensor]] = {}  # the gradients of the parts of records
    for output, upstream in zip(outputs, upstreams, strict=True):
        _add(gradients, output.node, upstream)
    for node in reversed(order):
        if node not in on_path or node in wanted:
            continue
        if node.op is PART and node in gradients:
            parts = of_parts.setdefault(node.inputs[0], {})
            _add(parts, node.attributes["index"], gradients.pop(node))
        elif node.op.pull_back is not None and node in of_parts:
            for position, found in _together(node, of_parts.pop(node), on_path, keep):
                _add(gradients, node.inputs[position], found)
                if on_flow is not None:
                    on_flow(node, position, None, found)
        elif node in gradients:
            upstream = gradients.pop(node)
            arguments = [_handle(source, keep) for source in (node, *node.inputs)]
            for position, source in enumerate(node.inputs):
                if source in on_path:
                    sent = _contribution(node, position, upstream, arguments)
                    if sent is not None:
                        _add(gradients, source, sent)
                        if on_flow is not None:
                            on_flow(node, position, upstream, sent)
    return [gradients.get(target) for target in targets]


def _add(gradients: dict[Any, Tensor], key: Any, contribution: Tensor) -> None:
    """Where paths meet, add."""
    earlier = gradients.get(key)
    gradients[key] = contribution if earlier is None else earlier + contribution


def _together(
    node: Node, upstream: dict[int, Tensor], on_path: set[Node], keep: int
) -> Iterator[tuple[int, Tensor]]:
    """What the inputs of a node with several results receive, by the one rule that it has."""
    assert node.op.pull_back is not None
    wanted = [i for i, s in enumerate(node.inputs) if s in on_path and s.type.is_float]
    arguments = [_handle(source, keep) for source in (node, *node.inputs)]
    rule = functools.partial(node.op.pull_back, pull_back)
    with backward_through(node.origin):
        found = rule(upstream, wanted, *arguments, **node.attributes)
    for position, gradient in found.items():
        _need_type(gradient, node, position)
        yield position, gradient


def _handle(node: Node, keep: int) -> Tensor:
    if not has_value(node) or node.watched & keep:
        return Tensor(node)
    assert node.value is not None
    return Tensor(constant(node.value))


def _contribution(
    node: Node, position: int, upstream: Tensor, arguments: list[Tensor]
) -> Tensor | None:
    """What one input of one node receives: the upstream gradient times the local derivative."""
    rule = node.op.derivative(position)
    if rule is ZERO or not node.type.is_float or not node.inputs[position].type.is_float:
        return None
    if rule is NON_DIFFERENTIABLE:
        raise DerivativeError(
            f"{node.op.name} has no derivative with respect to its input {position + 1}.",
            where=str(node.origin) if node.origin else None,
            hint="Use cr.stop_gradient on it if it is meant as a constant.",
        )
    with backward_through(node.origin):
        result: Tensor = rule(upstream, *arguments, **node.attributes)
    _need_type(result, node, position)
    return result


def _need_type(gradient: Tensor, node: Node, position: int) -> None:
    if gradient.type != node.inputs[position].type:
        raise DerivativeError(
            f"The derivative rule of {node.op.name} by its input {position + 1} is wrong: "
            "a gradient has the type of the input.",
            expected=str(node.inputs[position].type),
            found=str(gradient.type),
        )


# ---- backward(), as PyTorch users know it ----------------------------------------------------


def backward(output: Tensor, upstream: Tensor | None = None) -> None:
    """Add the gradient of this tensor to the ``.grad`` of every parameter that it depends on.

    Args:
        output: a single number, unless ``upstream`` is given.
        upstream: the gradient of something with respect to ``output``, of the same shape.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter(3.0)
        >>> (w * w).backward()
        >>> w.grad.item()
        6.0
    """
    if upstream is None:
        _need_scalar(output, "backward()")
        one = constant(np.ones((), output.dtype))
        upstream = ones_like(output) if output.shape else Tensor(one)
    upstream = as_tensor(upstream, output.dtype)
    if upstream.shape != output.shape:
        raise DerivativeError(
            "The upstream gradient has the shape of the tensor.",
            expected=str(output.type),
            found=str(upstream.type),
        )
    reached = reachable([output.node])
    leaves = [
        node
        for node in reached
        if not node.inputs and node.watched & PARAMETER_BIT and "owner" in node.attributes
    ]
    if not leaves:
        raise DerivativeError(
            "backward() found no parameter that this tensor depends on.",
            hint="Make parameters with cr.parameter(...); values that went through .numpy(), "
            "detach() or a function of cr.compile are constants.",
        )
    found = pull_back([output], [upstream], leaves, TRACE_BIT, reached=reached)
    for node, gradient in zip(leaves, found, strict=True):
        owner = node.attributes["owner"]()
        if owner is not None and gradient is not None:
            before = owner.grad
            owner.grad = gradient.detach() if before is None else before + gradient.detach()


def _need_scalar(output: Any, who: str) -> None:
    if not isinstance(output, Tensor) or output.size != 1 or not output.type.is_float:
        found = str(output.type) if isinstance(output, Tensor) else type(output).__name__
        raise DerivativeError(
            f"{who} starts from a single floating-point number, usually the loss.",
            expected="a tensor with one element",
            found=found,
            hint="Sum or average first: loss.mean(). For all derivatives use cr.jacobian.",
        )


FUNCTIONS["backward"] = backward

# ---- gradients of functions ------------------------------------------------------------------


class _Depth(threading.local):
    level = 0


_depth = _Depth()


def in_derivative() -> bool:
    """Whether a function is being differentiated now, by `grad` or a similar function."""
    return _depth.level > 0


@contextmanager
def _watching() -> Iterator[tuple[int, int]]:
    """One more nested derivative: its own bit, and the bits of those around it."""
    _depth.level += 1
    try:
        bit = 1 << min(_depth.level, 60)
        yield bit, TRACE_BIT | (bit - 1)
    finally:
        _depth.level -= 1


def _watched(x: Tensor, bit: int) -> Tensor:
    """The tensor as a node of its own, so that nested derivatives are not mixed up."""
    node = x.node
    if not has_value(node):
        return identity(x)
    assert node.value is not None
    if not node.watched:
        return Tensor(constant(node.value, bit))
    fresh = identity(x)
    fresh.node.watched |= bit
    return fresh


def _settle(x: Any, keep: int) -> Any:
    """A result without the history that only the finished derivative needed."""
    if isinstance(x, Tensor) and has_value(x.node) and not x.node.watched & keep:
        return x.detach()
    return x


@contextmanager
def in_place_of(argument: Any, leaves: list[Tensor]) -> Iterator[Any]:
    """The argument with other leaves; modules keep their identity and get them for a while."""
    parts, rebuild, _ = pytree.flatten(argument)
    rest = iter(leaves)
    replaced, nodes = [], {}
    for part in parts:
        if pytree.is_module(part):
            for owner in part.trainable_parameters().values():
                nodes[owner] = next(rest).node
        replaced.append(part if pytree.is_module(part) else next(rest))
    with standing_in(nodes):
        yield rebuild(replaced)


def _leaves(argument: Any, who: str) -> tuple[list[Tensor], Callable[[list[Any]], Any]]:
    raw, rebuild, _ = pytree.flatten(argument, open_modules=True)
    leaves = [as_tensor(float(x) if isinstance(x, int) else x) for x in raw]
    for leaf in leaves:
        if not leaf.type.is_float:
            raise DerivativeError(
                f"{who} differentiates with respect to floating-point numbers only.",
                found=str(leaf.type),
                hint="Convert with x.astype('float32'), or choose another argument with argnums.",
            )
    return leaves, rebuild


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that gives both the value of ``function`` and its gradient.

    Args:
        function: returns a single number (a tensor with one element), or with ``has_aux`` a pair
            of that number and anything else.
        argnums: position(s) of the argument(s) to differentiate with respect to. An argument is
            a tensor, a number, a list, tuple or dict of such, or a module: then the gradient is
            a dict by parameter path.
        has_aux: whether ``function`` returns such a pair.

    Raises:
        DerivativeError: the value is not a single floating-point number.

    Example:
        >>> import chainrule as cr
        >>> value, gradient = cr.value_and_grad(lambda x: (x * x).sum())(cr.tensor([1.0, 3.0]))
        >>> value.item(), gradient.tolist()
        (10.0, [2.0, 6.0])
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def with_gradient(*arguments: Any, **options: Any) -> tuple[Any, Any]:
        given = list(arguments)
        with _watching() as (bit, keep):
            parts = [_leaves(given[position], "cr.grad") for position in positions]
            fresh = [[_watched(leaf, bit) for leaf in leaves] for leaves, _ in parts]
            result = _call(function, given, positions, fresh, options)
            value, aux = result if has_aux else (result, None)
            _need_scalar(value, "cr.grad")
            flat = [leaf for leaves in fresh for leaf in leaves]
            found = pull_back([value], [ones_like(value)], [leaf.node for leaf in flat], keep)
            gradients = [
                _settle(zeros_like(leaf) if gradient is None else gradient, keep)
                for leaf, gradient in zip(flat, found, strict=True)
            ]
            value = _settle(value, keep)
            aux = pytree.map_leaves(lambda leaf: _settle(leaf, keep), aux)
        rest = iter(gradients)
        shaped = [rebuild([next(rest) for _ in leaves]) for leaves, rebuild in parts]
        by_argument = shaped[0] if isinstance(argnums, int) else tuple(shaped)
        return ((value, aux) if has_aux else value), by_argument

    return with_gradient


def _call(
    function: Callable[..., Any],
    given: list[Any],
    positions: tuple[int, ...],
    fresh: list[list[Tensor]],
    options: dict[str, Any],
) -> Any:
    if not positions:
        return function(*given, **options)
    with in_place_of(given[positions[0]], fresh[0]) as argument:
        replaced = [*given]
        replaced[positions[0]] = argument
        return _call(function, replaced, positions[1:], fresh[1:], options)


def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient of a function of one number; see `value_and_grad` for the arguments.

    Gradients of gradients are gradients.

    Example:
        >>> import chainrule as cr
        >>> cube = lambda x: x**3
        >>> cr.grad(cube)(2.0).item(), cr.grad(cr.grad(cube))(2.0).item()
        (12.0, 12.0)
    """
    both = value_and_grad(function, argnums, has_aux)

    def gradient(*arguments: Any, **options: Any) -> Any:
        value, found = both(*arguments, **options)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The value of a function, and the function from an upstream gradient to the gradients.

    Example:
        >>> import chainrule as cr
        >>> y, back = cr.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]))
        >>> back(cr.tensor([1.0, 10.0]))[0].tolist()
        [2.0, 40.0]
    """

    def weighted(*given: Any) -> Any:
        *inner, upstream = given
        y = as_tensor(function(*inner))
        return sum(y * upstream), y

    value = as_tensor(function(*arguments))

    def back(upstream: Any) -> Any:
        gradient = grad(weighted, argnums=tuple(range(len(arguments))), has_aux=True)
        found: Any = gradient(*arguments, as_tensor(upstream, value.dtype))[0]
        return found

    return value, back


def jvp(function: Callable[[Any], Any], x: Any, direction: Any) -> Tensor:
    """The derivative of a function of one tensor along a direction, J·v.

    Two backward passes: the gradient of u ↦ uᵀJ, which is linear in u, gives J·v.

    Example:
        >>> import chainrule as cr
        >>> cr.jvp(lambda x: x * x, cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0])).tolist()
        [2.0, 4.0]
    """
    x = as_tensor(x)
    y = as_tensor(function(x))

    def transposed(u: Tensor) -> Tensor:
        gradient: Tensor = grad(lambda z: sum(as_tensor(function(z)) * u))(x)
        return sum(gradient * as_tensor(direction, x.dtype))

    result: Tensor = grad(transposed)(zeros_like(y))
    return result


def jacobian(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Tensor]:
    """All derivatives of a tensor with respect to a tensor: shape (…output, …input).

    One backward pass gives all rows: `chainrule.vmap` over the outputs.

    Example:
        >>> import chainrule as cr
        >>> cr.jacobian(lambda x: x * x)(cr.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """

    def all_derivatives(*arguments: Any, **options: Any) -> Tensor:
        x = as_tensor(arguments[argnums])
        y = as_tensor(function(*arguments, **options))
        if not y.size:
            return zeros((*y.shape, *x.shape), x.dtype)

        def weighted(z: Tensor, weights: Tensor) -> Tensor:
            given = [*arguments]
            given[argnums] = z
            return sum(as_tensor(function(*given, **options)) * weights)

        basis = reshape(as_tensor(np.eye(y.size), y.dtype), (y.size, *y.shape))
        rows = vmap(grad(weighted), in_axes=(None, 0))(x, basis)
        return reshape(rows, (*y.shape, *x.shape))

    return all_derivatives


def hessian(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Tensor]:
    """All second derivatives of a single number with respect to a tensor: shape (…input, …input).

    Example:
        >>> import chainrule as cr
        >>> cr.hessian(lambda x: x[0] ** 2 * x[1])(cr.tensor([1.0, 2.0])).tolist()
        [[4.0, 2.0], [2.0, 0.0]]
    """
    return jacobian(grad(function, argnums), argnums)


def hvp(function: Callable[[Any], Any], x: Any, direction: Any) -> Any:
    """The Hessian of a function of one number times a direction, H·v = ∂/∂x (∇f(x)·v).

    Trees (lists, dicts) of tensors are taken as one long vector. Source: Pearlmutter (1994).

    Example:
        >>> import chainrule as cr
        >>> cr.hvp(lambda x: (x**3).sum(), cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0])).tolist()
        [6.0, 12.0]
    """

    def gradient_along(z: Any) -> Any:
        gradients = pytree.flatten(grad(function)(z))[0]
        directions = pytree.flatten(direction)[0]
        if len(directions) != len(gradients):
            raise DerivativeError(
                "hvp() needs one direction for each tensor.",
                expected=str(len(gradients)),
                found=str(len(directions)),
            )
        total = as_tensor(0.0)
        for gradient, along in zip(gradients, directions, strict=True):
            total = total + sum(gradient * as_tensor(along))
        return total

    return grad(gradient_along)(x)
