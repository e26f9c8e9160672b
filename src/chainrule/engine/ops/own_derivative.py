"""Functions with a derivative of their own: values that were found in whatever way.

``own_derivative(value, *arguments, rule)`` is the value. The chain rule does not look at how it was
computed: its gradients with respect to the arguments are those of the graph ``rule``, from the
upstream gradient, the value and the arguments. As the value in the rule is the node itself, the
rule can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import DerivativeError, ShapeError, TypeRuleError
from .. import pytree
from ..closure import capture
from ..ir.graph import Graph
from ..ir.operation import Operation, register
from ..ir.types import Record, Type
from ..tensor import Tensor, apply, as_tensor
from .elementwise import stop_gradient
from .scan import CALL, parts_of
from .shape import zeros_like

__all__ = ["custom_vjp"]

#: ``rule(g, y, *arguments)``: the gradient with respect to each argument, None for zero.
Rule = Callable[..., Sequence[Any]]


def _type(value: Type, *arguments: Type, rule: Graph) -> Record:
    given = [node.type for node in rule.inputs]
    if given != [value, value, *arguments]:
        raise TypeRuleError("The rule of own_derivative takes g, y and the arguments.",
                            expected=", ".join(map(str, [value, value, *arguments])),
                            found=", ".join(map(str, given)))  # fmt: skip
    if [node.type for node in rule.outputs] != list(arguments):
        raise TypeRuleError("The rule of own_derivative gives a gradient for each argument.")
    return Record([value])


def _pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    rule: Graph,
) -> dict[int, Tensor]:  # fmt: skip
    """What is wanted of the rule's gradients; the value itself is a constant."""
    (value,) = parts_of(y)
    positions = [position for position in wanted if position > 0]
    graph = Graph(rule.inputs, [rule.outputs[position - 1] for position in positions])
    found = parts_of(apply(CALL, upstream[0], value, *inputs[1:], body=graph))
    return dict(zip(positions, found, strict=True))


OWN_DERIVATIVE = register(
    Operation(
        "own_derivative",
        _type,
        lambda xp, value, *arguments, rule: (value,),
        formula="{0}",
        pull_back=_pull_back,
    )
)


def with_rule(value: Tensor, arguments: Sequence[Tensor], rule: Rule, name: str) -> Tensor:
    """The value, whose gradients with respect to the arguments are those of the rule.

    The rule may use tensors from outside: second derivatives reach them, first ones do not.
    """
    value, arguments = stop_gradient(value), list(arguments)

    def all_gradients(g: Tensor, y: Tensor, *given: Tensor) -> list[Tensor]:
        found = list(rule(g, y, *given))
        if len(found) != len(given):
            raise DerivativeError(f"The rule of {name} gives a gradient for each argument.",
                                  expected=str(len(given)), found=str(len(found)))  # fmt: skip
        return [_gradient(one, x, number, name)
                for number, (one, x) in enumerate(zip(found, given, strict=True))]  # fmt: skip

    types = [value.type, value.type, *(x.type for x in arguments)]
    captured = capture(all_gradients, types, f"the rule of {name}")
    count = len(captured.free)
    inputs = captured.graph.inputs
    graph = Graph(
        [*inputs[count : count + 2], *inputs[:count], *inputs[count + 2 :]],
        [*(zeros_like(x).node for x in captured.free), *captured.graph.outputs],
    )
    node = apply(OWN_DERIVATIVE, value, *captured.free, *arguments, rule=graph)
    return parts_of(node)[0]


def _gradient(found: Any, x: Tensor, number: int, name: str) -> Tensor:
    if found is None:
        return zeros_like(x)
    gradient = as_tensor(found, x.dtype)
    if gradient.shape != x.shape:
        raise ShapeError(f"A gradient of the rule of {name} has the wrong shape.",
                         where=f"argument {number}", expected=str(x.shape),
                         found=str(gradient.shape))  # fmt: skip
    return gradient if gradient.dtype == x.dtype else gradient.astype(x.dtype)


def custom_vjp(rule: Rule) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Give a function of tensors its own derivative, as a decorator.

    For what the chain rule should not look into: a derivative that is better known than derived, or
    changed on purpose (clipped, straight through a rounding), or a result of an iteration.
    A new computation on arrays is an operation: see `chainrule.operation`.

    Args:
        rule: ``rule(g, y, *arguments)``, written with tensors, gives a gradient for each argument,
            or None for zero: the upstream gradient ``g`` times the derivative of the result ``y``.

    Returns:
        The decorator of a function from tensors to one tensor. Arguments by keyword are passed on
        as they are. Parameters and tensors that are differentiated must be arguments.

    Raises:
        DerivativeError: the function uses something from outside that is differentiated, or the
            rule gives another number of gradients.

    Example:
        >>> import chainrule as cr
        >>> @cr.custom_vjp(lambda g, y, x: [g])
        ... def rounded(x):
        ...     return cr.round(x)
        >>> cr.grad(lambda x: (rounded(x) ** 2).sum())(cr.tensor([0.6, 2.2])).tolist()
        [2.0, 4.0]
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Tensor]:
        name = getattr(function, "__name__", "a function")

        def decorated(*arguments: Any, **options: Any) -> Tensor:
            given = [as_tensor(x) for x in arguments]
            captured = capture(
                lambda *x: function(*x, **options), [x.type for x in given], f"{name}()"
            )
            if len(pytree.flatten(captured.result)[0]) != 1 or captured.assigned:
                raise DerivativeError(f"{name}() has a derivative of its own: it gives one tensor, "
                                      "and assigns no variables.")  # fmt: skip
            for x in captured.free:
                if x.node.watched and x.type.is_float:
                    raise DerivativeError(
                        f"{name}() uses a tensor from outside that is differentiated.",
                        found=str(x.type),
                        hint="Make it an argument: the rule gives its gradient.",
                    )
            (value,) = parts_of(apply(CALL, *captured.free, *given, body=captured.graph))
            return with_rule(value, given, rule, name)

        decorated.__name__ = name
        decorated.__doc__ = function.__doc__
        return decorated

    return decorate
