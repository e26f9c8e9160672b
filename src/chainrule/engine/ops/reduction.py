"""Operations that sum up an axis: sums, extremes, products, softmax and similar.

Operations drop the reduced axes; functions take ``keepdims``. Equal largest or smallest elements
share the gradient in equal parts, so that the derivative does not depend on their order.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...utils.typing import Array
from ..ir.batch_axis import ALONG, REDUCED, SUMMED
from ..ir.notation import Notation
from ..ir.operation import OPERATIONS, ZERO, Operation, Reduction, Sample, register
from ..ir.types import DType, Type, bool_, int64
from ..tensor import Tensor, TensorLike, apply, as_tensor
from .declare import (
    boolean,
    broadcast_to,
    cast,
    floating,
    function,
    need_float,
    normalize_axes,
    normalize_axis,
    reals,
)
from .elementwise import ROOT_OF_NORM, abs, exp, sqrt, where
from .shape import expand_dims, reshape, swapaxes

__all__ = [
    "all", "any", "argmax", "argmin", "count_nonzero", "cummax", "cummin", "cumprod", "cumsum",
    "log_softmax", "logcumsumexp", "logsumexp", "max", "mean", "min", "norm", "prod", "softmax",
    "softmin", "std", "sum", "var",
]  # fmt: skip

Axis = int | Iterable[int] | None


def _reduced(x: Type, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(extent for i, extent in enumerate(x.shape) if i not in axes)


def _reduce_type(name: str, *, floats: bool = False, nonempty: bool = False) -> Callable[..., Type]:
    def rule(x: Type, *, axes: tuple[int, ...]) -> Type:
        if floats:
            need_float(name, x)
        if nonempty and builtins.any(x.shape[axis] == 0 for axis in axes):
            raise ShapeError(f"{name} of no elements is not defined.", found=str(x))
        return Type(x.dtype, _reduced(x, axes))

    return rule


def restore_axes(reduced: Tensor, like: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A reduced tensor, back on the shape before the reduction."""
    kept = [1 if i in axes else extent for i, extent in enumerate(like.shape)]
    return broadcast_to(reshape(reduced, kept), like.shape)


def _extreme_rule(g: Tensor, y: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    winners = cast(x == restore_axes(y, x, axes), g.dtype)
    fraction = winners / restore_axes(sum(winners, axes), x, axes)
    return restore_axes(g, x, axes) * fraction


def _prod_rule(g: Tensor, y: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """∂(∏ xⱼ)/∂xᵢ = ∏ of the others: no division, so it holds for zeros and to every order."""
    kept = [i for i in range(x.ndim) if i not in axes]
    order = (*kept, *axes)
    moved = x.transpose(order)
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=int))
    rows = reshape(moved, (*(x.shape[i] for i in kept), 1, count))
    square = broadcast_to(rows, (*rows.shape[:-2], count, count))
    others = prod(where(np.eye(count, dtype=bool), 1, square), -1)
    back = [order.index(i) for i in range(x.ndim)]
    return restore_axes(g, x, axes) * reshape(others, moved.shape).transpose(back)


def _axes_samples(*, full_only: bool = False) -> Callable[[], Iterable[Sample]]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((2, 3), (1,)),
        ((2, 3, 2), (0, 2)),
        ((1, 3), (0,)),
        ((2, 3), (0, 1)),
    ]
    if not full_only:
        cases += [((0, 3), (0,)), ((2, 0), (0,)), ((), ())]
    return lambda: [Sample((reals(*shape),), {"axes": axes}) for shape, axes in cases]


def lowest(dtype: DType) -> Any:
    """The largest of nothing."""
    if dtype.kind == "f":
        return dtype.type(-np.inf)
    return dtype.type(0 if dtype.kind == "b" else np.iinfo(dtype).min)


def highest(dtype: DType) -> Any:
    """The smallest of nothing."""
    if dtype.kind == "f":
        return dtype.type(np.inf)
    return dtype.type(1 if dtype.kind == "b" else np.iinfo(dtype).max)


#: So many numbers are added one after another at most.
_BLOCK = 256


def _sum(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """The sum over axes; NumPy adds in pairs along the innermost axis only, here along all."""
    if xp is np and x.dtype.kind == "f":
        others = [axis for axis in axes if x.strides[axis] != x.itemsize]
        if math.prod(x.shape[axis] for axis in others) > _BLOCK:
            for axis in others:
                x = _sum_in_blocks(x, axis)
    if xp is np:
        return np.add.reduce(x, axis=axes, dtype=x.dtype)
    return xp.sum(x, axis=axes, dtype=x.dtype)


def _sum_in_blocks(x: Array, axis: int) -> Array:
    """The sum over an axis, which stays: of blocks, then of their sums, for small errors."""
    before = (slice(None),) * axis
    while (n := x.shape[axis]) > _BLOCK:
        count = n // _BLOCK
        whole = x[*before, : count * _BLOCK]
        sums = whole.reshape(*x.shape[:axis], count, _BLOCK, *x.shape[axis + 1 :]).sum(axis + 1)
        rest = x[*before, count * _BLOCK :]
        if rest.shape[axis]:
            sums = np.concatenate([sums, rest.sum(axis, keepdims=True)], axis)
        x = sums
    return np.asarray(x.sum(axis, keepdims=True))


SUM = register(
    Operation(
        "sum",
        _reduce_type("sum"),
        _sum,
        (lambda g, y, x, axes: restore_axes(g, x, axes),),
        "Σ {0}",
        _axes_samples(),
        reduction=Reduction(OPERATIONS["add"], lambda dtype: dtype.type(0)),
        batch=SUMMED,
        notation=Notation(title="sum over elements", inside=("divide",)),
    )
)
MAX = register(
    Operation(
        "max",
        _reduce_type("max", nonempty=True),
        lambda xp, x, axes: xp.max(x, axis=axes),
        (_extreme_rule,),
        "max {0}",
        _axes_samples(full_only=True),
        reduction=Reduction(OPERATIONS["maximum"], lowest),
        batch=REDUCED,
        exact=True,
    )
)
MIN = register(
    Operation(
        "min",
        _reduce_type("min", nonempty=True),
        lambda xp, x, axes: xp.min(x, axis=axes),
        (_extreme_rule,),
        "min {0}",
        _axes_samples(full_only=True),
        reduction=Reduction(OPERATIONS["minimum"], highest),
        batch=REDUCED,
        exact=True,
    )
)
PROD = register(
    Operation(
        "prod",
        _reduce_type("prod"),
        lambda xp, x, axes: xp.prod(x, axis=axes, dtype=x.dtype),
        (_prod_rule,),
        "∏ {0}",
        _axes_samples(),
        reduction=Reduction(OPERATIONS["multiply"], lambda dtype: dtype.type(1)),
        batch=REDUCED,
    )
)


def _logsumexp(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """m + ln Σ exp(x - m) with m the largest: nothing overflows; all -∞ stays -∞."""
    top = xp.max(x, axis=axes, keepdims=True)
    safe = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = _sum(xp, xp.exp(x - safe), axes)
    return xp.squeeze(safe, axis=axes) + xp.log(total)


def _logsumexp_rule(g: Tensor, y: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """∂y/∂xᵢ = exp(xᵢ - y), the softmax; 0 where all x are -∞, whose difference would be NaN."""
    safe = where(y == -math.inf, 0.0, y)
    return restore_axes(g, x, axes) * exp(x - restore_axes(safe, x, axes))


LOGSUMEXP = register(
    Operation(
        "logsumexp",
        _reduce_type("logsumexp", floats=True, nonempty=True),
        _logsumexp,
        (_logsumexp_rule,),
        "ln Σ exp({0})",
        _axes_samples(full_only=True),
        batch=REDUCED,
    )
)


def _float_type(name: str) -> Callable[..., Type]:
    def rule(x: Type, *, axis: int) -> Type:
        need_float(name, x)
        return x

    return rule


def _log_softmax(xp: Any, x: Any, axis: int) -> Any:
    if not x.shape[axis]:
        return x
    centred = x - _largest(xp, x, axis)
    return centred - _kept(xp, xp.log(_sum(xp, xp.exp(centred), (axis,))), axis)


def _softmax(xp: Any, x: Any, axis: int) -> Any:
    if not x.shape[axis]:
        return x
    e = xp.exp(x - _largest(xp, x, axis))
    return e / _kept(xp, _sum(xp, e, (axis,)), axis)


def _largest(xp: Any, x: Any, axis: int) -> Any:
    """The largest element, on an axis of extent 1; NumPy's own way there takes twice as long."""
    if xp is np:
        return np.maximum.reduce(x, axis=axis, keepdims=True)
    return xp.max(x, axis=axis, keepdims=True)


def _kept(xp: Any, x: Any, axis: int) -> Any:
    """What was reduced, with an axis of extent 1 again."""
    return x.reshape(*x.shape[:axis], 1, *x.shape[axis:]) if xp is np else xp.expand_dims(x, axis)


def _axis_samples() -> Iterable[Sample]:
    return [
        Sample((reals(2, 3),), {"axis": 1}),
        Sample((reals(2, 3),), {"axis": 0}),
        Sample((reals(0, 3),), {"axis": 0}),
        Sample((reals(1, 1),), {"axis": 1}),
    ]


SOFTMAX = register(
    Operation(
        "softmax",
        _float_type("softmax"),
        _softmax,
        (lambda g, y, x, axis: y * (g - sum(g * y, axis, keepdims=True)),),
        "softmax({0})",
        _axis_samples,
        batch=ALONG,
        range=(0.0, 1.0),
        notation=Notation(
            is_activation=True,
            gradient="The softmax y has the derivative y · (1 - y) with respect to its own input, "
            "and -y times the other's y with respect to each other input.",
        ),
    )
)
LOG_SOFTMAX = register(
    Operation(
        "log_softmax",
        _float_type("log_softmax"),
        _log_softmax,
        (lambda g, y, x, axis: g - exp(y) * sum(g, axis, keepdims=True),),
        "ln softmax({0})",
        _axis_samples,
        batch=ALONG,
        range=(-math.inf, 0.0),
        notation=Notation(
            title="log-softmax",
            gradient="The logarithm of the softmax, y, has the derivative 1 - exp(y) with respect "
            "to its own input, and -exp(y) with respect to each other input, with the y "
            "of that input.",
        ),
    )
)
CUMSUM = register(
    Operation(
        "cumsum",
        lambda x, axis, reverse: x,
        lambda xp, x, axis, reverse: (
            xp.flip(xp.cumsum(xp.flip(x, axis), axis, dtype=x.dtype), axis)
            if reverse
            else xp.cumsum(x, axis, dtype=x.dtype)
        ),
        (lambda g, y, x, axis, reverse: apply(CUMSUM, g, axis=axis, reverse=not reverse),),
        "cumsum({0})",
        lambda: [
            Sample((reals(2, 3),), {"axis": 1, "reverse": False}),
            Sample((reals(4),), {"axis": 0, "reverse": True}),
            Sample((reals(0, 2),), {"axis": 0, "reverse": False}),
        ],
        batch=ALONG,
    )
)


def _on_rows(x: Tensor, axis: int) -> Tensor:
    """What comes on the axis, for each element of it: (…, n, n), the element's place first."""
    last = swapaxes(x, axis, -1)
    return broadcast_to(expand_dims(last, -2), (*last.shape[:-1], last.shape[-1], last.shape[-1]))


def _cumprod_rule(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    """∂/∂xᵢ = ∏ⱼ﹤ᵢ xⱼ · Σₖ gₖ ∏ᵢ﹤ⱼ≤ₖ xⱼ: without division it holds for zeros, to every order."""
    n = x.shape[axis]
    rows = _on_rows(x, axis)
    before = where(np.tri(n, k=-1, dtype=bool), rows, 1.0)  # row i: the factors before i
    after = where(np.tri(n, dtype=bool).T ^ np.eye(n, dtype=bool), rows, 1.0)
    later = where(np.tri(n, dtype=bool).T, apply(CUMPROD, after, axis=after.ndim - 1), 0.0)
    return swapaxes(prod(before, -1) * sum(_on_rows(g, axis) * later, -1), axis, -1)


def _running_extreme_rule(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    """Each result's gradient in equal parts to those elements up to it that equal it."""
    n = x.shape[axis]
    each = expand_dims(swapaxes(y, axis, -1), -1)
    equal = where(np.tri(n, dtype=bool), _on_rows(x, axis) == each, False)  # row k: of result k
    winners = cast(equal, g.dtype)
    share = winners / sum(winners, -1, keepdims=True)
    return swapaxes(sum(expand_dims(swapaxes(g, axis, -1), -1) * share, -2), axis, -1)


def _running_op(name: str, ufunc: str, rule: Callable[..., Tensor], exact: bool) -> Operation:
    return register(
        Operation(
            name,
            lambda x, axis: x,
            lambda xp, x, axis: getattr(xp, ufunc).accumulate(x, axis, dtype=x.dtype),
            (rule,),
            name + "({0})",
            lambda: [
                Sample((reals(2, 3),), {"axis": 1}),
                Sample((reals(4, 2),), {"axis": 0}),
                Sample((reals(0, 2),), {"axis": 0}),
            ],
            batch=ALONG,
            exact=exact,
        )
    )


CUMPROD = _running_op("cumprod", "multiply", _cumprod_rule, exact=False)
CUMMAX = _running_op("cummax", "maximum", _running_extreme_rule, exact=True)
CUMMIN = _running_op("cummin", "minimum", _running_extreme_rule, exact=True)


def _arg_type(x: Type, *, axis: int) -> Type:
    if x.shape[axis] == 0:
        raise ShapeError("The argmax of no elements is not defined.", found=str(x))
    return Type(int64, _reduced(x, (axis,)))


ARGMAX = register(
    Operation(
        "argmax",
        _arg_type,
        lambda xp, x, axis: xp.argmax(x, axis=axis),
        (ZERO,),
        "argmax {0}",
        lambda: [Sample((reals(2, 3),), {"axis": 1}), Sample((reals(1),), {"axis": 0})],
        batch=ALONG,
        exact=True,
    )
)


# ---- functions -------------------------------------------------------------------------------


def _reduce(op: Operation, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    axes = normalize_axes(axis, x.ndim)
    y = apply(op, x, axes=axes) if axes or x.ndim == 0 else x
    if not keepdims:
        return y
    return reshape(y, [1 if i in axes else extent for i, extent in enumerate(x.shape)])


def _function_samples() -> Iterable[Sample]:
    return [
        Sample((reals(2, 3),)),
        Sample((reals(2, 3), 0)),
        Sample((reals(2, 3, 2), (0, -1)), {"keepdims": True}),
        Sample((reals(1, 3), 0)),
    ]


@function(_function_samples)
def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes; booleans are counted."""
    return _reduce(SUM, _counted(x), axis, keepdims)


@function(_function_samples)
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes."""
    x = floating(x)
    count = math.prod([x.shape[i] for i in normalize_axes(axis, x.ndim)])
    return sum(x, axis, keepdims) / count


@function(lambda: [*_function_samples(), Sample((reals(4, 3), 0), {"correction": 1})])
def var(x: TensorLike, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
    """Variance over axes: Σ(x - mean)² / (n - correction)."""
    x = floating(x)
    centred = x - mean(x, axis, keepdims=True)
    count = math.prod([x.shape[i] for i in normalize_axes(axis, x.ndim)])
    return sum(centred * centred, axis, keepdims) / builtins.max(count - correction, 0)


@function(lambda: [Sample((reals(4, 3), 0)), Sample((reals(2, 3),), {"correction": 1})])
def std(x: TensorLike, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
    """Standard deviation, the root of `var`."""
    return sqrt(var(x, axis, keepdims, correction))


@function(_function_samples)
def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element; equal ones share the gradient."""
    return _reduce(MAX, as_tensor(x), axis, keepdims)


@function(_function_samples)
def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element; equal ones share the gradient."""
    return _reduce(MIN, as_tensor(x), axis, keepdims)


@function(_function_samples)
def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over axes. The derivative takes n² memory for n factors, and is right at zeros."""
    return _reduce(PROD, _counted(x), axis, keepdims)


@function(lambda: [Sample((reals(2, 3) > 0, 1))])
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether at least one element is true."""
    return sum(boolean(x), axis, keepdims) > 0


@function(lambda: [Sample((reals(2, 3) > 0, 1))])
def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every element is true."""
    return sum(~boolean(x), axis, keepdims) == 0


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(2, 3),))])
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the largest element, the first of equals; without axis: in the flat tensor."""
    x = as_tensor(x)
    if axis is None:
        flat = apply(ARGMAX, reshape(x, (-1,) if x.size else (0,)), axis=0)
        return reshape(flat, (1,) * x.ndim) if keepdims else flat
    y = apply(ARGMAX, x, axis=normalize_axis(axis, x.ndim))
    return expand_dims(y, normalize_axis(axis, x.ndim)) if keepdims else y


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(2, 3),))])
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the smallest element, the first of equals."""
    x = as_tensor(x)
    # -1 - x reverses the order of integers without overflow.
    return argmax(-x if x.type.is_float else -1 - cast(x, int64), axis, keepdims)


@function(lambda: [Sample((np.array([[0.0, 1.5, -2.0], [0.0, 0.0, 1.0]]), 1), smooth=False)])
def count_nonzero(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not 0."""
    return sum(as_tensor(x) != 0, axis, keepdims)


@function(_function_samples)
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """ln Σ exp(x): a smooth maximum that never overflows."""
    return _reduce(LOGSUMEXP, floating(x), axis, keepdims)


@function(lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), 0))])
def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """exp(xᵢ) / Σⱼ exp(xⱼ): positive numbers along the axis that sum to 1."""
    x = floating(x)
    return apply(SOFTMAX, x, axis=normalize_axis(axis, x.ndim))


@function(lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), 0))])
def softmin(x: TensorLike, axis: int = -1) -> Tensor:
    """The softmax of -x: the smallest element gets the largest probability."""
    return softmax(-floating(x), axis)


@function(lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), 0))])
def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """The logarithm of softmax, without its rounding to 0."""
    x = floating(x)
    return apply(LOG_SOFTMAX, x, axis=normalize_axis(axis, x.ndim))


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(2, 3),)), Sample((reals(3), 0, True))])
def cumsum(x: TensorLike, axis: int | None = None, reverse: bool = False) -> Tensor:
    """Cumulative sum along an axis (of the flat tensor without one), or from the end."""
    x, axis = _along(_counted(x), axis)
    return apply(CUMSUM, x, axis=axis, reverse=reverse)


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(4),))])
def cumprod(x: TensorLike, axis: int | None = None) -> Tensor:
    """Cumulative product along an axis. The derivative takes n² memory, and is right at zeros."""
    x, axis = _along(_counted(x), axis)
    return apply(CUMPROD, x, axis=axis)


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(4),)), Sample((reals(0),))])
def logcumsumexp(x: TensorLike, axis: int | None = None) -> Tensor:
    """Cumulative logsumexp along an axis; takes n² memory."""
    x, axis = _along(floating(x), axis)
    n = x.shape[axis]
    if n == 0:
        return x
    seen = where(np.tri(n, dtype=bool), _on_rows(x, axis), -math.inf)
    return swapaxes(logsumexp(seen, -1), axis, -1)


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(4),))])
def cummax(x: TensorLike, axis: int | None = None) -> Tensor:
    """Cumulative maximum along an axis; equal ones share the gradient, which takes n² memory."""
    x, axis = _along(as_tensor(x), axis)
    return apply(CUMMAX, x, axis=axis)


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(4),))])
def cummin(x: TensorLike, axis: int | None = None) -> Tensor:
    """Cumulative minimum along an axis; equal ones share the gradient, which takes n² memory."""
    x, axis = _along(as_tensor(x), axis)
    return apply(CUMMIN, x, axis=axis)


def _along(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """The tensor and an axis from 0; without one the flat tensor."""
    return (reshape(x, (x.size,)), 0) if axis is None else (x, normalize_axis(axis, x.ndim))


def _counted(x: TensorLike) -> Tensor:
    """Booleans as integers, which can be added and multiplied."""
    x = as_tensor(x)
    return cast(x, int64) if x.dtype == bool_ else x


@function(
    lambda: [
        Sample((reals(2, 3),)),
        Sample((reals(2, 3),), {"axis": 1, "order": 1}),
        Sample((reals(2, 3),), {"axis": 1, "keepdims": True, "order": 3}),
    ]
)
def norm(x: TensorLike, axis: Axis = None, keepdims: bool = False, order: TensorLike = 2) -> Tensor:
    """(Σ |x|ᵖ)^(1/p); the derivative at 0 is 0, for the norm has no derivative there.

    As in NumPy the order ∞ is the largest |x|, -∞ the smallest, and 0 how many are not 0.
    """
    x = floating(x)
    known = None if isinstance(order, Tensor) else order
    if known == 0:
        return cast(count_nonzero(x, axis, keepdims), x.dtype)
    if known == 1:
        return sum(abs(x), axis, keepdims)
    if known in (math.inf, -math.inf):
        return (max if known == math.inf else min)(abs(x), axis, keepdims)
    if known == 2:
        return apply(ROOT_OF_NORM, sum(x * x, axis, keepdims))
    total = sum(abs(x) ** order, axis, keepdims)
    flat = total == 0
    root = where(flat, 1.0, total) ** (1 / order)
    return where(flat, 0.0 if known is None or known > 0 else math.inf, root)
