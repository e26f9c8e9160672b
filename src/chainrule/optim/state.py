"""What optimizers, schedules and averages share: parameters by path, their state, checks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from numbers import Real
from typing import Any

import numpy as np

from ..engine.tensor import Buffer, Parameter
from ..errors import ConfigError
from ..nn.module import Module
from ..utils.typing import Array


def named_parameters(found: Any, start: int = 0) -> dict[str, Parameter]:
    """The parameters of a module, dict or list, or one parameter, by path; in a list by index."""
    if isinstance(found, Module):
        return found.parameters()
    if isinstance(found, Parameter):
        found = [found]
    if isinstance(found, Mapping):
        named = {str(path): item for path, item in found.items()}
    elif isinstance(found, Iterable) and not isinstance(found, str):
        named = {str(number): item for number, item in enumerate(found, start)}
    else:
        named = {"": found}
    for path, item in named.items():
        if not isinstance(item, Parameter):
            raise ConfigError(
                "Only parameters can be learned.",
                where=f"parameter {path!r}" if path else None,
                expected="a module, or a dict or list of parameters",
                found=type(item).__name__,
                hint="Pass the model itself, or make parameters with cr.parameter(...).",
            )
    return named


# ---- state as arrays --------------------------------------------------------------------------


def arrays(buffers: Mapping[str, Buffer]) -> dict[str, Array]:
    """Copies of the values, by name."""
    return {name: buffer.numpy().copy() for name, buffer in buffers.items()}


def load(buffers: Mapping[str, Buffer], state: Mapping[str, Any], what: str) -> None:
    """Give the buffers these values; names and shapes must agree, otherwise nothing changes."""
    missing, unknown = sorted(buffers.keys() - state.keys()), sorted(state.keys() - buffers.keys())
    if missing or unknown:
        raise ConfigError(
            f"The state belongs to another {what}.",
            expected=", ".join(missing) or "nothing else",
            found=", ".join(unknown) or "nothing of it",
            hint="Make it with the same class and options, for the same parameters.",
        )
    for name, buffer in buffers.items():
        if np.shape(state[name]) != buffer.shape:
            raise ConfigError(
                f"The state belongs to another {what}.",
                where=name,
                expected=str(buffer.shape),
                found=str(np.shape(state[name])),
                hint="Was the network changed since the state was saved?",
            )
    for name, buffer in buffers.items():
        buffer.assign(np.asarray(state[name]).astype(buffer.dtype))


# ---- options ----------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """Whether it is a number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def need(holds: bool, owner: Any, option: str, expected: str) -> None:
    """ConfigError for an option of a dataclass unless the condition holds."""
    if not holds:
        raise ConfigError(
            f"Invalid value for {option} of {type(owner).__name__}.",
            expected=expected,
            found=repr(getattr(owner, option)),
            hint=_default(owner, option),
        )


def need_between(
    owner: Any, option: str, low: float = 0.0, high: float = math.inf, *, below: bool = False
) -> None:
    """The option, or each of its numbers, must be in [low, high], with ``below`` in [low, high)."""
    value = getattr(owner, option)
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for number in numbers:
        fits = is_number(number) and math.isfinite(number)
        fits = fits and low <= number and (number < high if below else number <= high)
        upper = f" and {'below' if below else 'at most'} {high:g}" if high < math.inf else ""
        need(fits, owner, option, f"a number, at least {low:g}{upper}")


def _default(owner: Any, option: str) -> str:
    for one in fields(owner):
        if one.name == option and one.default is not MISSING:
            return f"The default is {one.default!r}."
    return "See the documentation of the class."
