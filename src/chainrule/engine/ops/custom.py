"""Operations of users' own: one declaration, and they are differentiated like the others."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import ConfigError, ShapeError
from ..ir.operation import Operation, Sample, replace_custom
from ..ir.types import Type, type_of
from ..tensor import Tensor, TensorLike, apply, as_tensor
from .declare import align, same_type

__all__ = ["operation"]


def operation(
    derivatives: Sequence[Any],
    *,
    name: str | None = None,
    type_rule: Callable[..., Type] | None = None,
    formula: str = "",
    samples: Callable[[], Iterable[Sample]] = tuple,
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Make an operation of a function of arrays and its derivative rules.

    The function is ``compute(xp, *arrays, **attributes)``, written against the array namespace
    ``xp`` (NumPy, or what a backend has in its place). What it has after ``*``, or with a default
    value, is an attribute: numbers, strings or tuples of them, the same for all elements.

    Args:
        derivatives: one rule for each input: ``rule(g, y, *inputs, **attributes)`` gives the
            gradient with respect to that input, of its type: the upstream gradient ``g`` times the
            local derivative, written with tensors, so that it can be differentiated again. ``y`` is
            the result. Or `ir.ZERO` (zero everywhere) or `ir.NON_DIFFERENTIABLE` (asking is an
            error).
        name: without it the function's name. A second declaration of a name replaces the first.
        type_rule: ``(*types, **attributes) -> Type`` of the result. Without it the inputs are cast
            to one floating-point type and broadcast to one shape, which the result has, too.
        formula: how it is written, with ``{0}``, ``{1}`` for the inputs.
        samples: examples, for tests.

    Raises:
        ConfigError: the rules do not fit the inputs, or the name is that of a built-in operation.

    Example:
        >>> import chainrule as cr
        >>> @cr.operation(derivatives=[lambda g, y, x, rate: g * rate * (1 - y * y)])
        ... def squash(xp, x, *, rate=1.0):
        ...     return xp.tanh(rate * x)
        >>> x = cr.tensor([0.0, 0.5])
        >>> cr.grad(lambda x: squash(x, rate=2.0).sum())(x).tolist()
        [2.0, 0.839...]
        >>> cr.check_grad(squash, x, order=2) < 1e-6
        True
    """

    def declare(compute: Callable[..., Any]) -> Callable[..., Tensor]:
        own_name = name or compute.__name__
        count, defaults = _inputs_and_attributes(own_name, compute)
        if count is not None and count != len(derivatives):
            raise ConfigError(
                f"The operation {own_name!r} needs one derivative rule for each input.",
                expected=str(count),
                found=str(len(derivatives)),
            )
        rule = type_rule or same_type(own_name, floats=True)
        op = Operation(
            own_name, rule, _checked(own_name, compute, rule), tuple(derivatives), formula, samples
        )
        replace_custom(op)

        @functools.wraps(compute)
        def call(*inputs: TensorLike, **attributes: Any) -> Tensor:
            if len(inputs) != len(derivatives):
                raise ConfigError(
                    f"The operation {own_name!r} takes {len(derivatives)} inputs.",
                    found=str(len(inputs)),
                    hint="Pass attributes by name.",
                )
            tensors = [as_tensor(x) for x in inputs] if type_rule else align(*inputs, floats=True)
            return apply(op, *tensors, **{**defaults, **attributes})

        del call.__wrapped__  # its first argument is not the caller's
        return call

    return declare


def _inputs_and_attributes(
    name: str, compute: Callable[..., Any]
) -> tuple[int | None, dict[str, Any]]:
    """How many inputs a function of arrays has (None: any number), and its attributes' defaults."""
    parameters = list(inspect.signature(compute).parameters.values())
    if not parameters:
        raise ConfigError(
            f"The operation {name!r} needs the array namespace and its inputs.",
            expected="def compute(xp, x, ...)",
        )
    plain = [
        p for p in parameters[1:] if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty
    ]
    defaults = {p.name: p.default for p in parameters[1:] if p.default is not p.empty}
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return None if many else len(plain), defaults


def _checked(
    name: str, compute: Callable[..., Any], type_rule: Callable[..., Type]
) -> Callable[..., Any]:
    """The function with a check that its result is what the type rule says."""

    @functools.wraps(compute)
    def checked(xp: Any, *arrays: Any, **attributes: Any) -> Any:
        result = compute(xp, *arrays, **attributes)
        found = type_of(np.asarray(result)) if xp is np else Type(result.dtype, result.shape)
        expected = type_rule(*(Type(x.dtype, x.shape) for x in arrays), **attributes)
        if found != expected:
            raise ShapeError(
                f"The operation {name!r} gave a result of the wrong type.",
                expected=str(expected),
                found=str(found),
                hint="Give a type_rule if the result is not like the first input.",
            )
        return result

    return checked
