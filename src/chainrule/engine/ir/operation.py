"""The declaration of an operation: everything that is known of it, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ...errors import ChainruleError
from .types import Type


class _Marker:
    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.__doc__ = meaning

    def __repr__(self) -> str:
        return self.name


#: The derivative is zero wherever it exists (round, sign, stop_gradient, integer results).
ZERO = _Marker("ZERO", "The derivative is zero wherever it exists.")
#: There is no derivative with respect to this input, such as an index; to ask for it is an error.
NON_DIFFERENTIABLE = _Marker(
    "NON_DIFFERENTIABLE", "There is no derivative with respect to this input."
)


@dataclass(frozen=True)
class Sample:
    """One example of the use of an operation or function, for the tests."""

    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    #: Finite differences mean nothing at a kink or jump; then only the declared rule is tested.
    smooth: bool = True


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation: how its type follows, what it means, how it is differentiated.

    Args:
        name: unique, lower case.
        type_rule: ``(*types, **attributes) -> Type``; raises when the inputs do not fit.
        compute: ``(xp, *arrays, **attributes) -> array``, written against an array namespace
            ``xp``, so that NumPy and compatible libraries share it. Exact meaning: with NumPy.
        derivatives: one rule for each input, or a function from the position of an input to
            its rule, for operations with any number of inputs. ``rule(g, y, *inputs,
            **attributes)`` gives the gradient with respect to that input: the upstream gradient
            ``g`` times the local derivative, written with operations, so that it can be
            differentiated again.
        formula: how the operation is written, with ``{0}``, ``{1}`` for its inputs.
        pull_back: instead of ``derivatives``, where the gradients of all inputs share their work:
            ``pull_back(walk, upstream, wanted, y, *inputs, **attributes)`` gives a dict from the
            wanted positions to gradients; what is missing is zero. ``upstream`` is a dict from the
            number of a part of the record ``y`` to the upstream gradient. ``walk`` is the chain
            rule itself, `chainrule.engine.autodiff.pull_back`, for rules that have a graph inside.
        samples: examples that the tests run through value, gradient and second derivative.
    """

    name: str
    type_rule: Callable[..., Type]
    compute: Callable[..., Any] | None
    derivatives: Sequence[Any] | Callable[[int], Any] = ()
    formula: str = ""
    samples: Callable[[], Iterable[Sample]] = tuple
    pull_back: Callable[..., dict[int, Any]] | None = None

    def derivative(self, position: int) -> Any:
        """The rule for the input at ``position``."""
        if callable(self.derivatives):
            return self.derivatives(position)
        if not self.derivatives:
            return ZERO
        return self.derivatives[position]

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


_operations: dict[str, Operation] = {}
#: Every operation by its name.
OPERATIONS = MappingProxyType(_operations)


def register(operation: Operation) -> Operation:
    """Add an operation to the registry; its name must be new."""
    if operation.name in _operations:
        raise ChainruleError(
            f"An operation named {operation.name!r} exists already.", hint="Choose another name."
        )
    _operations[operation.name] = operation
    return operation


_custom: set[str] = set()


def replace_custom(operation: Operation) -> None:
    """Add an operation of a user, in place of an earlier one of the name, as a notebook needs it.

    Graphs that were built with the earlier one keep it.
    """
    if operation.name in _custom:
        del _operations[operation.name]
    register(operation)
    _custom.add(operation.name)
