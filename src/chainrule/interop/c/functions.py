"""Traced functions as programs: any function of arrays, its gradients, the variables it changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ...engine.autodiff import value_and_grad
from ...engine.compile import Traced, trace
from ...engine.ir.types import Type
from ...engine.pytree import flatten
from ...errors import ConfigError
from .names import check_prefix, identifiers
from .program import Argument, Program, State, entry_of


def function_program(
    function: Callable[..., Any], example: Sequence[Any], name: str, gradients: bool
) -> Program:
    """A program of one function, ``NAME_run``, and of its gradients, ``NAME_gradients``.

    Args:
        function: of arrays; what it gives is one tensor, or a tree of them.
        example: its arguments; only their types matter.
        name: the prefix.
        gradients: whether its gradients are wanted; it then gives a single number.
    """
    check_prefix(name)
    arguments = _arguments(function, example)
    traced = [trace(function, *example)]
    if gradients:
        if traced[0].assigned:
            raise ConfigError(
                "A function that changes variables has no gradients here.",
                expected="a function of its arguments",
                hint="Export a training step of your own instead: it computes gradients itself.",
            )
        kinds = [[_type(leaf) for leaf in flatten([value])[0]] for value in example]
        positions = tuple(
            i for i, found in enumerate(kinds) if found and all(t and t.is_float for t in found)
        )
        traced.append(trace(value_and_grad(function, positions), *example))
    state = State(traced)
    run = entry_of("run", "Computes the function.", traced[0], arguments,
                   _results(traced[0], "out"), state)  # fmt: skip
    entries = [run]
    if gradients:
        count = [sum(t is not None for t in found) for found in kinds]
        starts = [sum(count[:i]) for i in range(len(count))]
        floats = [a for i in positions for a in arguments[starts[i] : starts[i] + count[i]]]
        names = identifiers([f"d_{a.name}" for a in floats], "d", [a.name for a in arguments])
        first, *types = [node.type for node in traced[1].graph.outputs]
        given = [Argument(n, t, f"the gradient with respect to {a.name}")
                 for n, t, a in zip(names, types, floats, strict=True)]  # fmt: skip
        value = Argument("value", first, "what the function gives")
        entries.append(
            entry_of("gradients", "Computes the function and its gradients.", traced[1],
                     arguments, [value, *given], state)
        )  # fmt: skip
    called = getattr(function, "__name__", type(function).__name__)
    return Program(name, entries, state.stored(), title=f"The function {called}")


def _arguments(function: Callable[..., Any], example: Sequence[Any]) -> list[Argument]:
    """An argument for each array among the arguments, named after the function's own."""
    names, types = [], []
    called = _parameter_names(function, len(example))
    for name, value in zip(called, example, strict=True):
        leaves = [leaf for leaf in flatten([value])[0] if _type(leaf) is not None]
        names += [name] if len(leaves) == 1 else [f"{name}_{i}" for i in range(len(leaves))]
        types += [kind for kind in map(_type, leaves) if kind is not None]
    return [Argument(n, t, str(t)) for n, t in zip(identifiers(names, "x"), types, strict=True)]


def _type(leaf: Any) -> Type | None:
    """The type of an argument of the graph; None of what is built into it."""
    found = trace(lambda x: None, leaf).graph.inputs
    return found[0].type if len(found) == 1 else None


def _parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        parameters = []
    return [parameters[i] if i < len(parameters) else f"x{i}" for i in range(count)]


def _results(traced: Traced, name: str) -> list[Argument]:
    types = [node.type for node in traced.graph.outputs[: len(traced.graph.outputs)
                                                        - len(traced.assigned)]]  # fmt: skip
    names = [name] if len(types) == 1 else [f"{name}_{i}" for i in range(len(types))]
    return [Argument(n, t, str(t)) for n, t in zip(names, types, strict=True)]
