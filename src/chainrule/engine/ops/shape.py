"""Operations that move elements without changing them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...utils.typing import Array
from ..ir.batch_axis import (
    BESIDE,
    Axes,
    Axis,
    BatchRule,
    BatchWalk,
    RowsDependError,
    only_first,
    reshaped,
)
from ..ir.node import Node
from ..ir.operation import Operation, Sample, register
from ..ir.types import Type
from ..tensor import FUNCTIONS, Tensor, TensorLike, apply, as_tensor
from . import mapping
from .declare import align, broadcast_to, cast, function, normalize_axes, normalize_axis, reals
from .elementwise import result_dtype

__all__ = [
    "arange", "concatenate", "diff", "expand_dims", "eye", "flatten", "flip", "full", "linspace",
    "meshgrid", "moveaxis", "ones", "ones_like", "pad", "repeat", "reshape", "roll", "rot90",
    "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "tril", "triu", "unstack",
    "zeros", "zeros_like",
]  # fmt: skip

# ---- reshape ---------------------------------------------------------------------------------


def _reshape_type(x: Type, *, shape: tuple[int, ...]) -> Type:
    result = Type(x.dtype, tuple(shape))
    if result.size != x.size:
        raise ShapeError(
            "reshape keeps the number of elements.",
            expected=f"{x.size} elements, as in {x.shape}",
            found=f"{result.size} in {tuple(shape)}",
        )
    return result


def _reshape_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    return reshaped(node.inputs[0].type.shape, node.type.shape, only_first(axes), walk.rows)


def _reshape_same(walk: BatchWalk, node: Node, axis: Axis) -> bool:
    (source,) = node.inputs
    try:
        before = reshaped(node.type.shape, source.type.shape, axis, walk.rows)
    except RowsDependError:
        return False
    return walk.is_same(source, before)


RESHAPE = register(
    Operation(
        "reshape",
        _reshape_type,
        lambda xp, x, shape: x.reshape(shape),
        (lambda g, y, x, shape: reshape(g, x.shape),),
        "{0}",
        lambda: [
            Sample((reals(2, 3),), {"shape": (3, 2)}),
            Sample((reals(),), {"shape": (1, 1)}),
            Sample((reals(0, 3),), {"shape": (3, 0, 2)}),
        ],
        view=True,
        batch=BatchRule(_reshape_rows, _reshape_same),
        vmap=mapping.reshaped,
    )
)


@function(lambda: [Sample((reals(2, 3, 4), (2, -1))), Sample((reals(6), (3, 2)))])
def reshape(x: TensorLike, shape: int | Iterable[int]) -> Tensor:
    """The same elements in another shape; one extent may be -1: what remains."""
    x = as_tensor(x)
    wanted = (shape,) if isinstance(shape, int) else tuple(int(extent) for extent in shape)
    if -1 in wanted:
        known = -math.prod(wanted)
        if wanted.count(-1) > 1 or known <= 0 or x.size % known:
            raise ShapeError("This shape cannot be completed.", expected=f"{x.size} elements",
                             found=str(wanted))  # fmt: skip
        wanted = tuple(x.size // known if extent == -1 else extent for extent in wanted)
    return x if x.shape == wanted else apply(RESHAPE, x, shape=wanted)


@function(lambda: [Sample((reals(2, 3, 4),), {"start": 1}), Sample((reals(),))])
def flatten(x: TensorLike, start: int = 0) -> Tensor:
    """All axes from ``start`` on as one."""
    x = as_tensor(x)
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:])))


@function(lambda: [Sample((reals(2, 3), 0)), Sample((reals(2, 3), (1, -1)))])
def expand_dims(x: TensorLike, axis: int | Iterable[int]) -> Tensor:
    """New axes of extent 1, at these positions of the result."""
    x = as_tensor(x)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    new = normalize_axes(axes, x.ndim + len(axes))
    extents = iter(x.shape)
    return reshape(x, [1 if i in new else next(extents) for i in range(x.ndim + len(axes))])


@function(lambda: [Sample((reals(1, 3, 1),)), Sample((reals(1, 3, 1), 0))])
def squeeze(x: TensorLike, axis: int | Iterable[int] | None = None) -> Tensor:
    """Without the axes of extent 1: all of them, or those that are named."""
    x = as_tensor(x)
    if axis is None:
        return reshape(x, [extent for extent in x.shape if extent != 1])
    axes = normalize_axes(axis, x.ndim)
    for one in axes:
        if x.shape[one] != 1:
            raise ShapeError(f"Axis {one} cannot be squeezed.", expected="extent 1",
                             found=str(x.shape))  # fmt: skip
    return reshape(x, [extent for i, extent in enumerate(x.shape) if i not in axes])


# ---- transpose -------------------------------------------------------------------------------


def _transpose_type(x: Type, *, axes: tuple[int, ...]) -> Type:
    if sorted(axes) != list(range(len(x.shape))):
        raise ShapeError("transpose takes every axis once.", expected=f"{len(x.shape)} axes",
                         found=str(axes))  # fmt: skip
    return Type(x.dtype, tuple(x.shape[axis] for axis in axes))


def _transpose_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis = only_first(axes)
    return axis.at(node.attributes["axes"].index(axis.place))


def _transpose_same(walk: BatchWalk, node: Node, axis: Axis) -> bool:
    return walk.is_same(node.inputs[0], axis.at(node.attributes["axes"][axis.place]))


TRANSPOSE = register(
    Operation(
        "transpose",
        _transpose_type,
        lambda xp, x, axes: x.transpose(axes),
        (lambda g, y, x, axes: transpose(g, [axes.index(i) for i in range(len(axes))]),),
        "{0}ᵀ",
        lambda: [
            Sample((reals(2, 3),), {"axes": (1, 0)}),
            Sample((reals(2, 3, 4),), {"axes": (2, 0, 1)}),
            Sample((reals(0, 1, 2),), {"axes": (1, 2, 0)}),
        ],
        view=True,
        batch=BatchRule(_transpose_rows, _transpose_same),
        vmap=mapping.transposed,
    )
)


@function(lambda: [Sample((reals(2, 3, 4),)), Sample((reals(2, 3, 4), (0, -1, 1)))])
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order; without ``axes`` in reverse order."""
    x = as_tensor(x)
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    order = tuple(normalize_axis(axis, x.ndim) for axis in order)
    return x if order == tuple(range(x.ndim)) else apply(TRANSPOSE, x, axes=order)


@function(lambda: [Sample((reals(2, 3, 4), 0, -1))])
def swapaxes(x: TensorLike, first: int, second: int) -> Tensor:
    """Two axes exchanged."""
    x = as_tensor(x)
    order = list(range(x.ndim))
    a, b = normalize_axis(first, x.ndim), normalize_axis(second, x.ndim)
    order[a], order[b] = b, a
    return transpose(x, order)


@function(lambda: [Sample((reals(2, 3, 4), 0, -1)), Sample((reals(2, 3, 4), (0, 1), (2, 0)))])
def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """Axes moved to new positions; the others keep their order."""
    x = as_tensor(x)
    pairs = [
        [normalize_axis(axis, x.ndim) for axis in ((end,) if isinstance(end, int) else end)]
        for end in (source, destination)
    ]
    order = [axis for axis in range(x.ndim) if axis not in pairs[0]]
    for place, axis in sorted(zip(pairs[1], pairs[0], strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


# ---- concatenate, slice, pad: each the derivative of the others ------------------------------


def _concatenate_type(*types: Type, axis: int) -> Type:
    first = types[0]
    rest = first.shape[:axis] + first.shape[axis + 1 :]
    for other in types[1:]:
        if other.dtype != first.dtype or other.shape[:axis] + other.shape[axis + 1 :] != rest:
            raise ShapeError(
                f"concatenate along axis {axis} takes equal extents on the other axes.",
                expected=f"like {first}",
                found=str(other),
            )
    extent = sum(other.shape[axis] for other in types)
    return Type(first.dtype, (*first.shape[:axis], extent, *first.shape[axis + 1 :]))


def _concatenate_derivative(position: int) -> Any:
    def rule(g: Tensor, y: Tensor, *inputs: Tensor, axis: int) -> Tensor:
        start = sum(x.shape[axis] for x in inputs[:position])
        return narrow(g, axis, start, start + inputs[position].shape[axis])

    return rule


CONCATENATE = register(
    Operation(
        "concatenate",
        _concatenate_type,
        lambda xp, *arrays, axis: xp.concatenate(arrays, axis),
        _concatenate_derivative,
        "[{0}, …]",
        lambda: [
            Sample((reals(2, 3), reals(2, 1, seed=1), reals(2, 0)), {"axis": 1}),
            Sample((reals(2), reals(3)), {"axis": 0}),
        ],
        moves=True,
        batch=BESIDE,
    )
)


@function(lambda: [Sample(([reals(2, 3), reals(1, 3)], 0)), Sample(([reals(2, 1)], -1))])
def concatenate(tensors: Iterable[TensorLike], axis: int = 0) -> Tensor:
    """The tensors one after the other along an axis that they have."""
    parts = [as_tensor(part) for part in tensors]
    if not parts:
        raise ShapeError("concatenate needs at least one tensor.")
    dtype = result_dtype(*parts)
    axis = normalize_axis(axis, parts[0].ndim)
    for part in parts:
        if part.ndim != parts[0].ndim:
            raise ShapeError("concatenate takes tensors with equally many axes.",
                             expected=str(parts[0].type), found=str(part.type))  # fmt: skip
    return apply(CONCATENATE, *(cast(part, dtype) for part in parts), axis=axis)


@function(lambda: [Sample(([reals(2, 3), reals(2, 3, seed=1)], 1)), Sample(([reals()] * 3,))])
def stack(tensors: Iterable[TensorLike], axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""
    parts = list(tensors)
    shapes = {np.shape(part) if isinstance(part, (int, float)) else as_tensor(part).shape
              for part in parts}  # fmt: skip
    if len(shapes) > 1:
        raise ShapeError("stack takes tensors of one shape.",
                         found=" and ".join(map(str, sorted(shapes))))  # fmt: skip
    return concatenate([expand_dims(part, axis) for part in align(*parts)] if parts else [], axis)


@function(lambda: [Sample((reals(5, 2), [2, 3])), Sample((reals(2, 4), 2), {"axis": 1})])
def split(x: TensorLike, sizes: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Consecutive parts along an axis: ``sizes`` gives their extents, or their number."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    if isinstance(sizes, int):
        if sizes < 1 or x.shape[axis] % sizes:
            raise ShapeError(f"Axis {axis} cannot be split into {sizes} equal parts.",
                             found=str(x.shape), hint="Give the extents as a list.")  # fmt: skip
        sizes = [x.shape[axis] // sizes] * sizes
    if sum(sizes) != x.shape[axis]:
        raise ShapeError("The parts of a split make up the axis.",
                         expected=f"a sum of {x.shape[axis]}", found=str(list(sizes)))  # fmt: skip
    ends = np.cumsum(sizes).tolist()
    return [narrow(x, axis, end - size, end) for end, size in zip(ends, sizes, strict=True)]


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(3),))])
def unstack(x: TensorLike, axis: int = 0) -> list[Tensor]:
    """The slices along an axis, without it: the reverse of `stack`."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    return [squeeze(part, axis) for part in split(x, [1] * x.shape[axis], axis)]


@function(lambda: [Sample((reals(2, 4), 1)), Sample((reals(3, 2), 0, 2))])
def diff(x: TensorLike, axis: int = -1, order: int = 1) -> Tensor:
    """Differences of neighbours along an axis; of differences for orders above 1."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    for _ in range(order):
        n = x.shape[axis]
        x = narrow(x, axis, min(1, n), n) - narrow(x, axis, 0, max(n - 1, 0))
    return x


def _slice_type(x: Type, *, start: Any, stop: Any, step: Any) -> Type:
    for extent, a, b, s in zip(x.shape, start, stop, step, strict=True):
        if not 0 <= a <= b <= extent or s < 1:
            raise ShapeError(f"Wrong slice {a}:{b}:{s}.", expected=f"inside 0:{extent}")
    return Type(x.dtype, tuple(-(-(b - a) // s) for a, b, s in zip(start, stop, step, strict=True)))


def _slice_rule(g: Tensor, y: Tensor, x: Tensor, *, start: Any, stop: Any, step: Any) -> Tensor:
    reach = [a + max((n - 1) * s + 1, 0) for a, n, s in zip(start, y.shape, step, strict=True)]
    after = [extent - end for extent, end in zip(x.shape, reach, strict=True)]
    return _pad(g, before=start, after=tuple(after), between=tuple(s - 1 for s in step))


def _slice_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis = only_first(axes)
    bounds = [node.attributes[bound][axis.place] for bound in ("start", "stop", "step")]
    if bounds != [0, node.inputs[0].type.shape[axis.place], 1]:
        raise RowsDependError
    return axis


SLICE = register(
    Operation(
        "slice",
        _slice_type,
        lambda xp, x, start, stop, step: x[tuple(map(slice, start, stop, step))],
        (_slice_rule,),
        "{0}[…]",
        lambda: [
            Sample((reals(5, 3),), {"start": (1, 0), "stop": (5, 2), "step": (2, 1)}),
            Sample((reals(5),), {"start": (2,), "stop": (2,), "step": (3,)}),
            Sample((reals(0, 2),), {"start": (0, 1), "stop": (0, 2), "step": (1, 1)}),
        ],
        view=True,
        batch=BatchRule(_slice_rows),
        vmap=mapping.sliced,
    )
)


def narrow(x: Tensor, axis: int, start: int, stop: int, step: int = 1) -> Tensor:
    """The part from ``start`` to ``stop`` of one axis."""
    start, stop, step = int(start), int(stop), int(step)
    if (start, stop, step) == (0, x.shape[axis], 1):
        return x
    starts, stops, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis], stops[axis], steps[axis] = start, stop, step
    return apply(SLICE, x, start=tuple(starts), stop=tuple(stops), step=tuple(steps))


def _pad_type(x: Type, *, before: Any, after: Any, between: Any, value: float) -> Type:
    extents = []
    for extent, low, high, gap in zip(x.shape, before, after, between, strict=True):
        if min(low, high, gap) < 0:
            raise ShapeError("Padding cannot be negative.", found=f"{low}, {high}, {gap}")
        extents.append(low + max(extent + (extent - 1) * gap, 0) + high)
    return Type(x.dtype, tuple(extents))


def _pad_compute(xp: Any, x: Any, before: Any, after: Any, between: Any, value: float) -> Any:
    y = np.full(_pad_type(x, before=before, after=after, between=between, value=value).shape,
                value, x.dtype)  # fmt: skip
    places = zip(x.shape, before, between, strict=True)
    y[tuple(slice(low, low + n * (gap + 1), gap + 1) for n, low, gap in places)] = x
    return y


def _pad_rule(
    g: Tensor, y: Tensor, x: Tensor, *, before: Any, after: Any, between: Any, value: float
) -> Tensor:
    step = tuple(gap + 1 for gap in between)
    spans = zip(x.shape, before, step, strict=True)
    stop = tuple(low + max((n - 1) * s + 1, 0) for n, low, s in spans)
    return apply(SLICE, g, start=tuple(before), stop=stop, step=step)


def _pad_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis = only_first(axes)
    if any(node.attributes[side][axis.place] for side in ("before", "after", "between")):
        raise RowsDependError
    return axis


PAD = register(
    Operation(
        "pad",
        _pad_type,
        _pad_compute,
        (_pad_rule,),
        "pad({0})",
        lambda: [
            Sample(
                (reals(2, 3),),
                {"before": (1, 0), "after": (0, 2), "between": (0, 1), "value": 0.5},
            ),
            Sample((reals(0),), {"before": (1,), "after": (1,), "between": (0,), "value": 0.0}),
        ],
        moves=True,
        batch=BatchRule(_pad_rows),
        vmap=mapping.padded,
    )
)


def _pad(x: Tensor, before: Any, after: Any, between: Any, value: float = 0.0) -> Tensor:
    if not any((*before, *after, *between)):
        return x
    return apply(
        PAD, x, before=tuple(before), after=tuple(after), between=tuple(between), value=value
    )


@function(
    lambda: [
        Sample((reals(2, 3), ((1, 0), (0, 2)))),
        Sample((reals(2, 3), 1, -1.5)),
        Sample((reals(2, 4), ((0, 0), (2, 1))), {"mode": "reflect"}),
        Sample((reals(2, 4), ((1, 1), (0, 2))), {"mode": "edge"}),
        Sample((reals(2, 4), ((1, 1), (0, 2))), {"mode": "wrap"}),
    ]
)
def pad(x: TensorLike, width: Any, value: float = 0.0, mode: str = "constant") -> Tensor:
    """The tensor with a margin.

    Args:
        x: any tensor.
        width: (before, after) for every axis, or one number for all.
        value: what the margin is filled with.
        mode: "constant", "edge" (repeat the last element), "reflect" (mirror, without it) or
            "wrap" (go on at the other end).
    """
    x = as_tensor(x)
    pairs = (
        [(width, width)] * x.ndim
        if isinstance(width, int)
        else [(int(before), int(after)) for before, after in width]
    )
    if len(pairs) != x.ndim:
        raise ShapeError("pad takes (before, after) for every axis.", expected=f"{x.ndim} pairs",
                         found=str(pairs))  # fmt: skip
    if mode == "constant":
        before, after = zip(*pairs, strict=True) if pairs else ((), ())
        gaps = (0,) * x.ndim
        if not isinstance(value, Tensor):
            return _pad(x, before, after, gaps, value)
        inside = _pad(ones(x.shape, bool), before, after, gaps)
        return FUNCTIONS["where"](inside, _pad(x, before, after, gaps), value)
    if mode not in ("edge", "reflect", "wrap"):
        raise ShapeError("Unknown padding.", expected="constant, edge, reflect or wrap", found=mode)
    for axis, pair in enumerate(pairs):
        if any(pair):
            places = np.pad(np.arange(x.shape[axis]), pair, mode=mode)  # type: ignore[call-overload]
            x = FUNCTIONS["take"](x, places, axis)
    return x


# ---- flip, roll, repeat ----------------------------------------------------------------------


def _flip_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis = only_first(axes)
    if axis.place in node.attributes["axes"]:
        raise RowsDependError
    return axis


FLIP = register(
    Operation(
        "flip",
        lambda x, axes: x,
        lambda xp, x, axes: xp.flip(x, axes),
        (lambda g, y, x, axes: apply(FLIP, g, axes=axes),),
        "{0}",
        lambda: [Sample((reals(2, 3),), {"axes": (1,)}), Sample((reals(2, 0),), {"axes": (0, 1)})],
        view=True,
        batch=BatchRule(_flip_rows),
        vmap=mapping.over_axes,
    )
)


@function(lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), -1))])
def flip(x: TensorLike, axis: int | Iterable[int] | None = None) -> Tensor:
    """The elements in reverse order along the axes."""
    x = as_tensor(x)
    axes = normalize_axes(axis, x.ndim)
    return apply(FLIP, x, axes=axes) if axes else x


@function(lambda: [Sample((reals(5), 2)), Sample((reals(2, 3), -1), {"axis": 1})])
def roll(x: TensorLike, shift: int, axis: int | None = None) -> Tensor:
    """The elements moved along an axis; what leaves at the end comes in at the start."""
    x = as_tensor(x)
    if axis is None:
        return reshape(roll(flatten(x), shift, 0), x.shape)
    axis = normalize_axis(axis, x.ndim)
    extent = x.shape[axis]
    cut = -shift % extent if extent else 0
    return concatenate([narrow(x, axis, cut, extent), narrow(x, axis, 0, cut)], axis)


@function(
    lambda: [Sample((reals(2, 3), (2, 1))), Sample((reals(3), (2, 2))), Sample((reals(2), 3))]
)
def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """The whole tensor repeated along each axis."""
    x = as_tensor(x)
    times = [repeats] if isinstance(repeats, int) else list(repeats)
    rank = max(len(times), x.ndim)
    times = [1] * (rank - len(times)) + times
    shape = (1,) * (rank - x.ndim) + x.shape
    wide = [extent for pair in zip(times, shape, strict=True) for extent in pair]
    flat = reshape(x, [e for extent in shape for e in (1, extent)])
    return reshape(broadcast_to(flat, wide), [t * e for t, e in zip(times, shape, strict=True)])


@function(lambda: [Sample((reals(2, 3), 2)), Sample((reals(2, 3), 3), {"axis": 1})])
def repeat(x: TensorLike, times: int, axis: int | None = None) -> Tensor:
    """Every element repeated ``times`` times, one after the other."""
    x = as_tensor(x)
    if axis is None:
        return repeat(flatten(x), times, 0)
    axis = normalize_axis(axis, x.ndim)
    head, tail = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = broadcast_to(reshape(x, (*head, 1, *tail)), (*head, times, *tail))
    return reshape(wide, (*head[:-1], head[-1] * times, *tail))


@function(lambda: [Sample((reals(2, 3), 1)), Sample((reals(2, 3), -2))])
def rot90(x: TensorLike, k: int = 1) -> Tensor:
    """The first two axes rotated by 90° k times, from the first axis to the second."""
    x = as_tensor(x)
    for _ in range(k % 4):
        x = flip(swapaxes(x, 0, 1), 0)
    return x


# ---- tensors from nothing --------------------------------------------------------------------


def zeros(shape: int | Iterable[int], dtype: Any = float) -> Tensor:
    """A tensor of zeros."""
    return full(shape, 0, dtype)


def ones(shape: int | Iterable[int], dtype: Any = float) -> Tensor:
    """A tensor of ones."""
    return full(shape, 1, dtype)


def full(shape: int | Iterable[int], value: Any, dtype: Any = float) -> Tensor:
    """A tensor with the same value everywhere."""
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    return broadcast_to(as_tensor(value, dtype), extents)


def zeros_like(x: TensorLike) -> Tensor:
    """Zeros of the same type."""
    x = as_tensor(x)
    return full(x.shape, 0, x.dtype)


def ones_like(x: TensorLike) -> Tensor:
    """Ones of the same type."""
    x = as_tensor(x)
    return full(x.shape, 1, x.dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """Numbers from ``start`` (0 if only one is given) up to but without ``stop``.

    Integers are int64, others float32, unless ``dtype`` says otherwise.
    """
    start, stop = (0, start) if stop is None else (start, stop)
    numbers: Any = np.arange(start, stop, step)
    return as_tensor(numbers, dtype or (float if numbers.dtype.kind == "f" else None))


def linspace(start: float, stop: float, count: int, dtype: Any = float) -> Tensor:
    """``count`` evenly spaced numbers, both ends included."""
    return as_tensor(np.linspace(start, stop, count), dtype)


def eye(rows: int, columns: int | None = None, dtype: Any = float) -> Tensor:
    """The identity matrix."""
    return as_tensor(np.eye(rows, columns), dtype)


def _triangle(x: Tensor, diagonal: int) -> Array:
    """Where the last two axes are on or below a diagonal."""
    rows, columns = x.shape[-2:]
    return np.tri(rows, columns, diagonal, dtype=bool)


@function(lambda: [Sample((reals(2, 3, 3),)), Sample((reals(3, 4), -1))])
def tril(x: TensorLike, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, zeros above it."""
    x = as_tensor(x)
    return FUNCTIONS["where"](_triangle(x, diagonal), x, 0)


@function(lambda: [Sample((reals(2, 3, 3),)), Sample((reals(3, 4), 1))])
def triu(x: TensorLike, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, zeros below it."""
    x = as_tensor(x)
    return FUNCTIONS["where"](_triangle(x, diagonal - 1), 0, x)


@function(lambda: [Sample((reals(2), reals(3), reals(1)))])
def meshgrid(*vectors: TensorLike) -> list[Tensor]:
    """Coordinates on a grid, the first vector along the first axis."""
    parts = [as_tensor(v) for v in vectors]
    return align(
        *(reshape(v, [-1 if i == k else 1 for i in range(len(parts))]) for k, v in enumerate(parts))
    )
