"""Derivatives of what an equation says: roots, fixed points, differential equations; linearisation.

A root x(θ) of f(x, θ) = 0 is found by an iteration, through which the chain rule need not go:
differentiating the equation gives ∂x/∂θ = -(∂f/∂x)⁻¹·∂f/∂θ (the implicit function theorem), so that

    λ = (∂f/∂x)⁻ᵀ·g,    θ̄ = -(∂f/∂θ)ᵀ·λ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError, TrainingError
from . import pytree
from .autodiff import grad, jacobian, jvp
from .closure import capture
from .ops.check import CHECK, refusal
from .ops.declare import floating
from .ops.elementwise import abs, stop_gradient
from .ops.linalg import solve
from .ops.own_derivative import with_rule
from .ops.reduction import sum
from .ops.scan import CALL, parts_of, scan
from .ops.shape import concatenate, expand_dims, reshape, swapaxes, zeros_like
from .tensor import Tensor, TensorLike, apply, as_tensor

__all__ = ["fixed_point", "linearize", "odeint", "root"]


def linearize(
    function: Callable[[Any], Any], x: TensorLike
) -> tuple[Tensor, Callable[..., Tensor]]:
    """The value of a function of one tensor, and its linear part v ↦ J·v there.

    What depends on ``x`` only is computed once, however many directions follow.

    Example:
        >>> import chainrule as cr
        >>> y, along = cr.linearize(lambda x: x * x, cr.tensor([1.0, 2.0]))
        >>> along(cr.tensor([1.0, 1.0])).tolist()
        [2.0, 4.0]
    """
    x = floating(x)
    captured = capture(lambda v: jvp(function, x, v), [x.type], "cr.linearize")

    def along(direction: TensorLike) -> Tensor:
        v = as_tensor(direction, x.dtype)
        if v.shape != x.shape:
            raise ShapeError("A direction has the shape of the point.",
                             expected=str(x.shape), found=str(v.shape))  # fmt: skip
        return parts_of(apply(CALL, *captured.free, v, body=captured.graph))[0]

    return as_tensor(function(x)), along


# ---- equations -------------------------------------------------------------------------------


class _Equation:
    """f(x, θ) of the shape of x, with all tensors from outside as θ."""

    def __init__(self, function: Callable[[Any], Any], x: Tensor, name: str) -> None:
        captured = capture(function, [x.type], name)
        results = pytree.flatten(captured.result)[0]
        if len(results) != 1 or results[0].type != x.type:
            found = ", ".join(str(y.type) for y in results)
            raise ShapeError(f"The function of {name} gives one tensor like its argument.",
                             expected=str(x.type), found=found or "nothing")  # fmt: skip
        self.body, self.free = captured.graph, captured.free

    def __call__(self, free: Sequence[Tensor], x: Tensor) -> Tensor:
        return parts_of(apply(CALL, *free, x, body=self.body))[0]

    def matrix(self, free: Sequence[Tensor], x: Tensor) -> Tensor:
        """∂f/∂x as a matrix."""
        return reshape(jacobian(lambda z: self(free, z))(x), (x.size, x.size))

    def gradients(self, free: Sequence[Tensor], x: Tensor, weights: Tensor) -> list[Tensor | None]:
        """The gradients of Σ f·weights with respect to θ; None where θ are no real numbers."""
        numbers = [i for i, theta in enumerate(free) if theta.type.is_float]

        def total(*given: Tensor) -> Tensor:
            filled = dict(enumerate(free)) | dict(zip(numbers, given, strict=True))
            return sum(self(list(filled.values()), x) * weights)

        found: list[Tensor | None] = [None] * len(free)
        if numbers:
            slopes: Any = grad(total, tuple(range(len(numbers))))(*(free[i] for i in numbers))
            for i, slope in zip(numbers, slopes, strict=True):
                found[i] = slope
        return found


@refusal("convergence")
def _not_converged(values: Any, index: tuple[int, ...], name: str, steps: int) -> TrainingError:
    return TrainingError(
        f"{name} has not converged.",
        where=f"element {list(index)}" if index else None,
        expected=f"a solution within {steps} steps",
        found=f"{values[index]}, which still moves",
        hint="Start nearer to a solution, or take more steps.",
    )


def _settled(x: Tensor, change: Tensor, tolerance: float | None, name: str, steps: int) -> Tensor:
    """The solution, if the last step was small: |Δx| ≤ tolerance·(1 + |x|)."""
    limit = float(np.finfo(x.dtype).eps ** 0.5) if tolerance is None else tolerance
    fits = abs(change) <= limit * (1.0 + abs(x))
    return apply(CHECK, x, fits, refusal="convergence", about=(name, steps))


def _need_steps(steps: int, name: str) -> None:
    if steps < 1:
        raise ConfigError(f"{name} takes at least one step.", found=f"steps={steps!r}")


def _implicit(x: Tensor, residual: _Equation, name: str) -> Tensor:
    """The solution with the derivatives that the equation ``residual`` = 0 gives it."""

    def rule(g: Tensor, y: Tensor, *free: Tensor) -> list[Tensor | None]:
        transposed = swapaxes(residual.matrix(free, y), 0, 1)
        weights = solve(transposed, reshape(g, (g.size, 1)))
        return residual.gradients(free, y, -reshape(weights, y.shape))

    return with_rule(x, residual.free, rule, name)


def root(
    function: Callable[[Any], Any], start: TensorLike, steps: int = 20,
    tolerance: float | None = None,
) -> Tensor:  # fmt: skip
    """A solution of f(x) = 0 near ``start``, by Newton's method, with implicit derivatives.

    Derivatives of any order reach the tensors and parameters that ``function`` uses, by the
    implicit function theorem: neither through the steps nor to ``start``. The matrix ∂f/∂x is made
    and solved, so that x should have some hundred elements at most.

    Args:
        function: takes a tensor x, gives one of the same shape and element type.
        start: where Newton's steps begin.
        steps: how many there are.
        tolerance: the last step has to be at most tolerance·(1 + |x|); √ε by default.

    Raises:
        TrainingError: not converged.
        ShapeError: f(x) is not like x.

    Example:
        >>> import chainrule as cr
        >>> square_root = lambda a: cr.root(lambda x: x * x - a, cr.tensor(1.0, "float64"))
        >>> cr.value_and_grad(square_root)(cr.tensor(9.0, "float64"))
        (Tensor(3., dtype=float64), Tensor(0.1666..., dtype=float64))
    """
    _need_steps(steps, "cr.root")
    x = stop_gradient(floating(start))
    equation = _Equation(function, x, "cr.root")
    fixed = [stop_gradient(theta) for theta in equation.free]

    def newton(carry: Any, _: Any) -> Any:
        x = carry[0]
        right = reshape(equation(fixed, x), (x.size, 1))
        change = reshape(solve(equation.matrix(fixed, x), right), x.shape)
        return (x - change, change), None

    (x, change), _ = scan(newton, (x, zeros_like(x)), length=steps, differentiable=False)
    return _implicit(_settled(x, change, tolerance, "cr.root", steps), equation, "cr.root")


def fixed_point(
    function: Callable[[Any], Any], start: TensorLike, steps: int = 100,
    tolerance: float | None = None,
) -> Tensor:  # fmt: skip
    """A solution of x = f(x), by repeating x ← f(x), with implicit derivatives, as of `root`.

    For functions that contract, such as the layer of a deep equilibrium network (Bai et al., 2019).

    Example:
        >>> import chainrule as cr
        >>> cr.fixed_point(cr.cos, cr.tensor(1.0)).item()
        0.739085...
    """
    _need_steps(steps, "cr.fixed_point")
    x = stop_gradient(floating(start))
    equation = _Equation(function, x, "cr.fixed_point")
    fixed = [stop_gradient(theta) for theta in equation.free]

    def repeat(carry: Any, _: Any) -> Any:
        new = equation(fixed, carry[0])
        return (new, new - carry[0]), None

    (x, change), _ = scan(repeat, (x, zeros_like(x)), length=steps, differentiable=False)
    x = _settled(x, change, tolerance, "cr.fixed_point", steps)
    residual = _Equation(lambda x: as_tensor(function(x)) - x, x, "cr.fixed_point")
    return _implicit(x, residual, "cr.fixed_point")


# ---- differential equations ------------------------------------------------------------------

#: Explicit methods of Runge and Kutta: rows of a, then b; the times c are the sums of the rows.
METHODS: dict[str, tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]] = {
    "euler": (((),), (1.0,)),
    "midpoint": (((), (1 / 2,)), (0.0, 1.0)),
    "rk4": (((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "dopri5": (
        (
            (), (1 / 5,), (3 / 40, 9 / 40), (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        ),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
}  # fmt: skip

_Slope = Callable[[list[Tensor], Tensor], list[Tensor]]


def _combined(y: list[Tensor], slopes: list[list[Tensor]], row: Sequence[float], h: Any) -> Any:
    """y + h·Σ aᵢ·kᵢ."""
    for a, k in zip(row, slopes, strict=True):
        if a:
            y = [part + (h * a) * slope for part, slope in zip(y, k, strict=True)]
    return y


def _integrated(
    slope: _Slope, y: list[Tensor], begin: Tensor, end: Tensor, steps: int, method: str
) -> list[Tensor]:
    """The state at the end of an interval."""
    rows, weights = METHODS[method]
    h = (end - begin) / float(steps)

    def step(state: Any, number: Tensor) -> Any:
        t = begin + number * h
        slopes: list[list[Tensor]] = []
        for row in rows:
            at = t + float(np.sum(row)) * h
            slopes.append(slope(_combined(state, slopes, row, h), at))
        return _combined(state, slopes, weights, h), None

    numbers = as_tensor(np.arange(steps), begin.dtype)
    return scan(step, y, numbers)[0]


def odeint(
    function: Callable[[Any, Any], Any], y0: TensorLike, times: TensorLike, steps: int = 10,
    method: str = "rk4", adjoint: bool = False,
) -> Tensor:  # fmt: skip
    """The solution of dy/dt = f(y, t) with y(times[0]) = y0, at all times.

    Derivatives reach ``y0``, ``times`` and whatever ``function`` uses: through the steps, exactly
    as they were computed, or with ``adjoint`` by solving the equation of the gradients backwards
    from time to time (Pontryagin, 1962; Chen et al., 2018), whose memory does not grow with
    ``steps``.

    Args:
        function: takes y and a single number t, gives a tensor like y.
        y0: the state at the first time.
        times: (T,) ascending or descending; T at least 1.
        steps: steps of equal length from each time to the next; there is no automatic choice.
        method: "euler", "midpoint", "rk4" or "dopri5", of order 1, 2, 4 and 5.
        adjoint: which of the two derivatives.

    Returns:
        (T, *y0.shape).

    Example:
        >>> import chainrule as cr
        >>> decay = lambda rate: cr.odeint(lambda y, t: -rate * y, cr.tensor(1.0), [0.0, 1.0])[1]
        >>> cr.value_and_grad(decay)(cr.tensor(2.0))  # exp(-2) and -exp(-2)
        (Tensor(0.1353...), Tensor(-0.1353...))
    """
    _need_steps(steps, "cr.odeint")
    if method not in METHODS:
        raise ConfigError("Unknown method of cr.odeint.",
                          expected=", ".join(METHODS), found=repr(method))  # fmt: skip
    y = floating(y0)
    t = as_tensor(times, y.dtype)
    if t.ndim != 1 or not t.size:
        raise ShapeError("The times of cr.odeint are a vector.", expected="(T,), T ≥ 1",
                         found=str(t.shape))  # fmt: skip
    flow = _Flow(function, y, t, steps, method)
    return flow.with_adjoint(y, t) if adjoint else flow(flow.free, y, t)


class _Flow:
    """The solution as a function of y0, the times, and the tensors from outside, θ."""

    def __init__(
        self, function: Callable[..., Any], y: Tensor, t: Tensor, steps: int, method: str
    ) -> None:
        captured = capture(lambda y, t: function(y, t), [y.type, t[0].type], "cr.odeint")
        results = pytree.flatten(captured.result)[0]
        if len(results) != 1 or results[0].type != y.type:
            raise ShapeError("The function of cr.odeint gives one tensor like y.",
                             expected=str(y.type),
                             found=", ".join(str(z.type) for z in results))  # fmt: skip
        self.body, self.free = captured.graph, captured.free
        self.steps, self.method = steps, method

    def slope(self, free: Sequence[Tensor], y: Tensor, t: Tensor) -> Tensor:
        return parts_of(apply(CALL, *free, y, t, body=self.body))[0]

    def __call__(self, free: Sequence[Tensor], y: Tensor, t: Tensor) -> Tensor:
        def advance(state: Tensor, ends: Any) -> Any:
            begin, end = ends
            (new,) = _integrated(
                lambda y, at: [self.slope(free, y[0], at)], [state], begin, end, self.steps,
                self.method,
            )  # fmt: skip
            return new, new

        _, later = scan(advance, y, (t[:-1], t[1:]))
        return concatenate([expand_dims(y, 0), later], 0)

    def with_adjoint(self, y: Tensor, t: Tensor) -> Tensor:
        fixed = [stop_gradient(theta) for theta in self.free]
        path = self(fixed, stop_gradient(y), stop_gradient(t))
        return with_rule(path, [y, t, *self.free], self._adjoint, "cr.odeint")

    def _adjoint(
        self, g: Tensor, path: Tensor, y0: Tensor, t: Tensor, *free: Tensor
    ) -> list[Tensor | None]:
        """dλ/dt = -λ·∂f/∂y and dθ̄/dt = -λ·∂f/∂θ, from the last time back to the first.

        At each time its own upstream gradient is added to λ, and y is what it was.
        """
        numbers = [i for i, theta in enumerate(free) if theta.type.is_float]

        def backwards(state: list[Tensor], at: Tensor) -> list[Tensor]:
            y, weights = state[0], state[1]

            def total(y: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
                filled = dict(enumerate(free)) | dict(zip(numbers, given, strict=True))
                slope = self.slope(list(filled.values()), y, at)
                return sum(slope * weights), slope

            places = tuple(range(1 + len(numbers)))
            slopes, forward = grad(total, places, has_aux=True)(y, *(free[i] for i in numbers))
            return [forward, *(-slope for slope in slopes)]

        def retreat(carry: Any, given: Any) -> Any:
            weights, sums = carry
            begin, end, upstream, y = given
            _, weights, *sums = _integrated(
                backwards, [y, weights + upstream, *sums], end, begin, self.steps, self.method
            )
            return (weights, sums), sum(upstream * self.slope(free, y, end))

        zero = [zeros_like(free[i]) for i in numbers]
        slices = (t[:-1], t[1:], g[1:], path[1:])
        (weights, sums), by_time = scan(retreat, (zeros_like(y0), zero), slices, reverse=True)
        first = -sum(weights * self.slope(free, path[0], t[0]))
        found: list[Tensor | None] = [None] * len(free)
        for i, total in zip(numbers, sums, strict=True):
            found[i] = total
        return [weights + g[0], concatenate([reshape(first, (1,)), by_time], 0), *found]
