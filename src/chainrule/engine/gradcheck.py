"""Gradients against finite differences: `check_grad`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..errors import ChainruleError, DerivativeError
from ..utils.typing import Array
from . import pytree
from .autodiff import grad, in_place_of
from .backends.numpy import Program
from .compile import trace
from .ir.types import float64
from .ops import sum
from .tensor import Tensor, as_tensor


def check_grad(
    function: Callable[..., Any],
    *arguments: Any,
    order: int = 1,
    step: float = 1e-3,
    tolerance: float = 1e-6,
) -> float:
    """Compare the gradients of a function with finite differences, in float64.

    For every element x of every floating-point argument: (f(x + h) - f(x - h)) / 2h, improved by
    Richardson's extrapolation from h and 2h. A result of several elements is
    weighted with fixed irregular weights.

    Args:
        function: takes tensors, returns a tensor.
        arguments: arrays, numbers, lists or dicts of them, or modules; floats become float64.
        order: 2 checks the gradients of the gradients, too; 3 those of these.
        step: h, relative to x where |x| > 1.
        tolerance: largest error allowed, relative to the largest derivative of the argument or 1.

    Returns:
        The largest relative error found.

    Raises:
        DerivativeError: names the argument and element, the derivative expected and found; or
            there is nothing to check.

    Example:
        >>> import chainrule as cr
        >>> cr.check_grad(lambda x: (x**3).sum(), [1.0, 2.0]) < 1e-6
        True
    """
    arguments = tuple(_numbers(argument) for argument in arguments)
    parts = [pytree.flatten(argument, open_modules=True)[0] for argument in arguments]
    wide = [[_as_float64(leaf) for leaf in part] for part in parts]
    places = [
        (position, number)
        for position, part in enumerate(wide)
        for number, leaf in enumerate(part)
        if isinstance(leaf, Tensor) and leaf.type.is_float
    ]
    if not places:
        raise DerivativeError(
            "There is nothing to check: no argument is a floating-point number.",
            found=", ".join(type(argument).__name__ for argument in arguments) or "no arguments",
        )

    def value(*floats: Tensor) -> Tensor:
        """The function of the floating-point leaves alone."""
        filled = [[*part] for part in wide]
        for (position, number), x in zip(places, floats, strict=True):
            filled[position][number] = x
        with ExitStack() as stack:
            pairs = zip(arguments, filled, strict=True)
            return _weighted(function(*[stack.enter_context(in_place_of(*pair)) for pair in pairs]))

    names = [
        f"argument {position + 1}" + (f", leaf {number + 1}" if len(wide[position]) > 1 else "")
        for position, number in places
    ]
    floats = [wide[position][number] for position, number in places]
    worst, checked = 0.0, value
    for level in range(order):
        what = "gradient" + " of the gradient" * level
        value_of = _evaluator(checked, floats)
        for number, name in enumerate(names):
            found = grad(checked, argnums=number)(*floats).numpy()
            arrays = [x.numpy() for x in floats]
            error = _check_leaf(value_of, arrays, number, found, name, what, step, tolerance)
            worst = max(worst, error)
        checked = _gradient_function(checked, len(floats))
    return worst


def _gradient_function(function: Callable[..., Tensor], count: int) -> Callable[..., Tensor]:
    """One number from all derivatives of a function of ``count`` tensors."""
    gradient = grad(function, argnums=range(count))
    return lambda *floats: _weighted_sum(list(gradient(*floats)))


def _numbers(argument: Any) -> Any:
    """Nested lists of plain numbers, not all of them whole, are meant as one tensor."""
    if isinstance(argument, (list, tuple)):
        leaves = pytree.flatten(argument)[0]
        plain = all(isinstance(leaf, (int, float)) for leaf in leaves)
        if plain and any(isinstance(leaf, float) for leaf in leaves):
            return as_tensor(np.asarray(argument, dtype=np.float64))
    return argument


def _as_float64(leaf: Any) -> Any:
    if not isinstance(leaf, (float, np.ndarray, np.generic, Tensor)):
        return leaf
    x = as_tensor(leaf) if isinstance(leaf, Tensor) else as_tensor(np.asarray(leaf))
    return as_tensor(x.numpy(), float64) if x.type.is_float else x


def _weighted(result: Any) -> Tensor:
    """One number from a result: Σ wᵢ·yᵢ with weights that no symmetry can cancel."""
    return _weighted_sum([y for y in pytree.flatten(result)[0] if as_tensor(y).type.is_float])


def _weighted_sum(results: list[Any]) -> Tensor:
    total = as_tensor(0.0, float64)
    for number, result in enumerate(results):
        y = as_tensor(result)
        weights = np.cos(1.7 * np.arange(y.size) + number + 0.3).reshape(y.shape)
        total = total + sum(y * weights)
    return total


def _evaluator(
    function: Callable[..., Tensor], floats: list[Tensor]
) -> Callable[[list[Array]], float]:
    """The value at other points: by one program, unless the function's code asks for values."""
    try:
        traced = trace(function, *floats)
    except ChainruleError:
        return lambda arrays: float(function(*map(as_tensor, arrays)).item())
    program = Program(traced.graph)
    known = [variable.numpy() for variable in traced.variables]
    return lambda arrays: float(program([*arrays, *known])[0])


def _check_leaf(
    value_of: Callable[[list[Array]], float],
    arrays: list[Array],
    number: int,
    found: Array,
    place: str,
    what: str,
    step: float,
    tolerance: float,
) -> float:
    """The largest relative error of the derivatives with respect to one of the arguments."""
    base = arrays[number]
    if base.size == 0:
        return 0.0

    def at(moved: Array) -> float:
        return value_of([*arrays[:number], moved, *arrays[number + 1 :]])

    expected = np.empty_like(found)
    for index in np.ndindex(*base.shape):
        expected[index] = _difference(at, base, index, step)
    scale = max(1.0, float(np.max(np.abs(expected))))
    error = np.abs(found - expected) / scale
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    if not error[worst] <= tolerance:
        raise DerivativeError(
            f"The {what} disagrees with finite differences.",
            where=f"{place}, element {[int(i) for i in worst]} = {float(base[worst])!r}",
            expected=f"{expected[worst]:.10g} (finite differences)",
            found=f"{found[worst]:.10g} (chain rule), relative error {error[worst]:.2g}",
            hint="At a kink or jump finite differences mean nothing; otherwise a derivative rule "
            "is wrong.",
        )
    return float(error[worst])


def _difference(
    function: Callable[[Array], float], base: Array, index: tuple[int, ...], step: float
) -> float:
    """(4·D(h) - D(2h)) / 3 with D(h) = (f(x+h) - f(x-h)) / 2h: the error falls with h⁴."""
    h = step * max(1.0, abs(float(base[index])))

    def at(offset: float) -> float:
        moved = base.copy()
        moved[index] += offset
        return function(moved)

    near = (at(h) - at(-h)) / (2 * h)
    far = (at(2 * h) - at(-2 * h)) / (4 * h)
    return (4 * near - far) / 3
