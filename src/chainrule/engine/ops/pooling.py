"""Pooling of images, which are (batch, *extents, channels).

Equal largest elements of a window share the gradient in equal parts, as with `max`. Elements of
the padding are never the largest.

The sum over windows is linear, and so its derivative is its transpose, and that one's the sum
again. The largest is piecewise linear: given the winners of each window, its derivative and the
transpose of that are linear, too.
"""

from __future__ import annotations

import math
from typing import Any, Literal, overload

import numpy as np

from ...errors import ShapeError
from ..ir.batch_axis import IMAGES
from ..ir.notation import Notation
from ..ir.operation import ZERO, Operation, Sample, register
from ..ir.types import Type
from ..ir.work import STARTED
from ..tensor import Tensor, TensorLike, apply, as_tensor
from . import mapping
from .declare import floating, function, need_float, reals
from .gathered_windows import largest, positions
from .sliding_window import (
    Extents,
    Padding,
    PerAxis,
    margins,
    meetings,
    per_axis,
    sliding,
    spans,
)

__all__ = ["avg_pool", "max_pool"]

# ---- operations ------------------------------------------------------------------------------


def _places(extents: Extents, *, window: Extents, **slide: Any) -> Extents:
    return sliding(extents, window, **slide, dilation=(1,) * len(window))


def _meetings(extents: Extents, places: Extents, window: Extents, slide: dict[str, Any]) -> Any:
    for _, inside, outside in meetings(
        extents, places, window, slide["stride"], slide["before"], (1,) * len(window)
    ):
        yield inside, outside


def _pool_type(x: Type, **slide: Any) -> Type:
    need_float("Pooling", x)
    window = slide["window"]
    if any(max(m, k) >= w for m, k, w in zip(slide["before"], slide["after"], window, strict=True)):
        raise ShapeError(
            "The padding of a pooling is smaller than its window.",
            expected=f"less than {window}, so that each window holds some of the image",
            found=f"{slide['before']} before, {slide['after']} after",
        )
    return Type(x.dtype, (x.shape[0], *_places(x.shape[1:-1], **slide), x.shape[-1]))


def _output_type(what: str, x: Type, g: Type, slide: dict[str, Any]) -> Type:
    expected = _pool_type(x, **slide)
    if g != expected:
        raise ShapeError(f"{what} takes one number for each window.",
                         expected=str(expected), found=str(g))  # fmt: skip
    return x


def _sum_unpool_type(g: Type, *, extents: Extents, **slide: Any) -> Type:
    x = Type(g.dtype, (g.shape[0], *extents, g.shape[-1]))
    return _output_type("sum_unpool", x, g, slide)


def _gather_type(x: Type, v: Type, **slide: Any) -> Type:
    if v != x:
        raise ShapeError("max_pool_gather takes two equal types.", expected=str(x), found=str(v))
    return _pool_type(x, **slide)


def _outputs(x: Any, value: float, window: Extents, slide: dict[str, Any]) -> Any:
    places = _places(x.shape[1:-1], window=window, **slide)
    return np.full((x.shape[0], *places, x.shape[-1]), value, x.dtype)


def _sum_pool(xp: Any, x: Any, window: Extents, **slide: Any) -> Any:
    y = _outputs(x, 0.0, window, slide)
    for inside, outside in _meetings(x.shape[1:-1], y.shape[1:-1], window, slide):
        y[outside] += x[inside]
    return y


def _sum_unpool(xp: Any, g: Any, window: Extents, extents: Extents, **slide: Any) -> Any:
    x = np.zeros((g.shape[0], *extents, g.shape[-1]), g.dtype)
    for inside, outside in _meetings(extents, g.shape[1:-1], window, slide):
        x[inside] += g[outside]
    return x


def _max_pool(xp: Any, x: Any, window: Extents, **slide: Any) -> Any:
    y = _outputs(x, -np.inf, window, slide)
    for inside, outside in _meetings(x.shape[1:-1], y.shape[1:-1], window, slide):
        np.maximum(y[outside], x[inside], out=y[outside])
    return y


def _winners(x: Any, window: Extents, slide: dict[str, Any]) -> tuple[Any, list[Any], Any]:
    """The places of inputs and outputs, which inputs are the largest, and how many there are."""
    y = _max_pool(np, x, window, **slide)
    count = np.zeros_like(y)
    found = []
    for inside, outside in _meetings(x.shape[1:-1], y.shape[1:-1], window, slide):
        wins = x[inside] == y[outside]
        count[outside] += wins
        found.append((inside, outside, wins))
    return y, found, count


def _max_pool_scatter(xp: Any, x: Any, g: Any, window: Extents, **slide: Any) -> Any:
    _, found, count = _winners(x, window, slide)
    fraction, result = g / count, np.zeros_like(x)
    for inside, outside, wins in found:
        result[inside] += wins * fraction[outside]
    return result


def _max_pool_gather(xp: Any, x: Any, v: Any, window: Extents, **slide: Any) -> Any:
    y, found, count = _winners(x, window, slide)
    total = np.zeros_like(y)
    for inside, outside, wins in found:
        total[outside] += wins * v[inside]
    return total / count


def _slide(window: int, stride: int, before: int = 0, after: int = 0, rank: int = 2) -> Any:
    sizes = {"window": window, "stride": stride, "before": before, "after": after}
    return {name: (size,) * rank for name, size in sizes.items()}


_CASES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((1, 4, 2, 2), _slide(2, 2)),
    ((1, 4, 3, 1), _slide(3, 2, 1, 2)),
    ((2, 3, 1), _slide(3, 1, 1, 0, rank=1)),
    ((1, 2, 3, 2, 1), _slide(2, 1, rank=3)),
    ((0, 3, 2), _slide(2, 1, rank=1)),
)


def _output_shape(shape: tuple[int, ...], slide: Any) -> tuple[int, ...]:
    return (shape[0], *_places(shape[1:-1], **slide), shape[-1])


def _samples(second: bool = False, outputs: bool = False) -> Any:
    """Images, and beside them images or numbers for each window."""

    def make() -> list[Sample]:
        found = []
        for shape, slide in _CASES:
            other = _output_shape(shape, slide) if outputs else shape
            more = (reals(*other, seed=1),) if second else ()
            found.append(Sample((reals(*shape), *more), slide))
        return found

    return make


def _work(y: Type, *operands: Type, window: Extents, **how: Any) -> int:
    """Elements of all windows, and starts: one for each place in a window."""
    largest = max(y.size, *(x.size for x in operands))
    return math.prod(window) * (largest + STARTED)


SUM_POOL: Operation = register(
    Operation(
        "sum_pool",
        _pool_type,
        _sum_pool,
        (lambda g, y, x, **a: apply(SUM_UNPOOL, g, extents=x.shape[1:-1], **a),),
        "Σ windows({0})",
        _samples(),
        batch=IMAGES,
        notation=Notation(title="sum pooling"),
        linear=True,
        work=_work,
    )
)
SUM_UNPOOL: Operation = register(
    Operation(
        "sum_unpool",
        _sum_unpool_type,
        _sum_unpool,
        (lambda h, x, g, extents, **a: apply(SUM_POOL, h, **a),),
        "Σᵀ windows({0})",
        lambda: [
            Sample((reals(*_output_shape(shape, slide)),), {"extents": shape[1:-1], **slide})
            for shape, slide in _CASES
        ],
        work=_work,
        vmap=mapping.all_images,
    )
)
MAX_POOL: Operation = register(
    Operation(
        "max_pool",
        _pool_type,
        _max_pool,
        (lambda g, y, x, **a: apply(MAX_POOL_SCATTER, x, g, **a),),
        "max windows({0})",
        _samples(),
        batch=IMAGES,
        notation=Notation(
            title="max pooling",
            is_activation=True,
            gradient="Max pooling passes the gradient on to the largest element of each window; "
            "the others get 0.",
        ),
        exact=True,
        work=_work,
    )
)
#: One number for each window, shared among its largest elements: the derivative of max_pool.
MAX_POOL_SCATTER: Operation = register(
    Operation(
        "max_pool_scatter",
        lambda x, g, **a: _output_type("max_pool_scatter", x, g, a),
        _max_pool_scatter,
        (ZERO, lambda h, y, x, g, **a: apply(MAX_POOL_GATHER, x, h, **a)),
        "{1} at max windows({0})",
        _samples(second=True, outputs=True),
        work=_work,
        vmap=mapping.all_images,
    )
)
#: The mean of the second image where the first is the largest of the window: its transpose.
MAX_POOL_GATHER: Operation = register(
    Operation(
        "max_pool_gather",
        _gather_type,
        _max_pool_gather,
        (ZERO, lambda h, y, x, v, **a: apply(MAX_POOL_SCATTER, x, h, **a)),
        "{1} where max windows({0})",
        _samples(second=True),
        work=_work,
        vmap=mapping.all_images,
    )
)


# ---- pooling ---------------------------------------------------------------------------------


def as_image(x: TensorLike) -> Tensor:
    """An image of floating-point numbers."""
    found = floating(x)
    if found.ndim < 3:
        raise ShapeError("An image has a batch axis and channels.",
                         expected="(batch, *extents, channels)", found=str(found.type))  # fmt: skip
    return found


def _slides(
    x: Tensor,
    window: PerAxis,
    stride: PerAxis | None,
    padding: Padding,
    ceil_mode: bool,
    gaps: Extents,
) -> tuple[dict[str, Extents], Extents]:
    """The attributes, and the padding after the image without what ``ceil_mode`` adds to it."""
    rank, extents = x.ndim - 2, x.shape[1:-1]
    sizes = per_axis("window", window, rank)
    steps = sizes if stride is None else per_axis("stride", stride, rank)
    before, declared = margins(padding, extents, sizes, steps, gaps)
    reach = spans(sizes, gaps)
    after = list(declared)
    for axis in range(rank if ceil_mode else 0):
        padded = extents[axis] + before[axis] + after[axis]
        missing = -(padded - reach[axis]) % steps[axis]
        start = padded + missing - reach[axis]  # of the last window
        # As in PyTorch a window that would start behind the image is left out.
        if missing and start < extents[axis] + before[axis]:
            after[axis] += missing
    return (
        {"window": sizes, "stride": steps, "before": before, "after": tuple(after)},
        declared,
    )


@overload
def max_pool(
    x: TensorLike,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    dilation: PerAxis = 1,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def max_pool(
    x: TensorLike,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    dilation: PerAxis = 1,
    *,
    return_indices: bool,
) -> Any: ...
@function(
    lambda: [
        Sample((reals(1, 4, 3, 1), 2)),
        Sample((reals(1, 4, 3, 1), 3), {"stride": 2, "padding": 1}),
        Sample((reals(1, 5, 2), 2), {"ceil_mode": True}),
        Sample((reals(1, 5, 4, 1), 2), {"stride": 1, "padding": 1, "dilation": (2, 1)}),
        Sample((reals(1, 5, 2), 3), {"padding": 1, "return_indices": True}),
    ]
)
def max_pool(
    x: TensorLike,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    dilation: PerAxis = 1,
    return_indices: bool = False,
) -> Any:
    """The largest of every window, channel by channel; equal ones share the gradient.

    Args:
        x: (batch, *extents, channels), with one to three extents.
        window: extents of the window; one number, or one for each axis.
        stride: from one window to the next; the window's extents if it is not given.
        padding: as in `conv2d`, less than the window; the largest is never in the padding.
        ceil_mode: whether a last window may reach over the edge, where the stride does not fit.
        dilation: from one element of a window to the next.
        return_indices: whether the places of the largest in the flat image are given, too, as
            `max_unpool` takes them: of equal ones the first.

    Returns:
        (batch, *new extents, channels), and on demand integers of the same shape.

    Raises:
        ShapeError: the window is larger than the padded image.

    Example:
        >>> import chainrule as cr
        >>> cr.max_pool(cr.tensor([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
        [[[3.0], [2.0]]]
    """
    x = as_image(x)
    rank, extents = x.ndim - 2, x.shape[1:-1]
    gaps = per_axis("dilation", dilation, rank)
    slide, _ = _slides(x, window, stride, padding, ceil_mode, gaps)
    contiguous = set(gaps) == {1}
    pooled = apply(MAX_POOL, x, **slide) if contiguous else None
    if pooled is not None and not return_indices:
        return pooled
    counts = sliding(extents, **slide, dilation=gaps)
    numbers = zip(
        extents, counts, slide["window"], slide["stride"], slide["before"], gaps, strict=True
    )
    found = largest(x, [positions(*each) for each in numbers], return_indices)
    return found if pooled is None else (pooled, found[1])


@function(
    lambda: [
        Sample((reals(1, 4, 3, 1), 2)),
        Sample((reals(1, 4, 3, 1), 3), {"stride": 2, "padding": 1}),
        Sample((reals(1, 3, 3, 1), 3), {"padding": 1, "count_include_pad": False}),
        Sample((reals(1, 5, 2), 2), {"ceil_mode": True}),
    ]
)
def avg_pool(
    x: TensorLike,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window, channel by channel; for the other arguments see `max_pool`.

    Args:
        x: (batch, *extents, channels).
        window: extents of the window.
        stride: from one window to the next.
        padding: zeros around the image.
        ceil_mode: whether a last window may reach over the edge.
        count_include_pad: whether zeros of the padding count for the mean. What a window reaches
            over the padded image does not.

    Example:
        >>> import chainrule as cr
        >>> cr.avg_pool(cr.tensor([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
        [[[2.0], [1.0]]]
    """
    x = as_image(x)
    slide, declared = _slides(x, window, stride, padding, ceil_mode, (1,) * (x.ndim - 2))
    total = apply(SUM_POOL, x, **slide)
    counts = np.ones(1)
    for axis, extent in enumerate(x.shape[1:-1]):
        size, step, before = (slide[name][axis] for name in ("window", "stride", "before"))
        low, high = (-before, extent + declared[axis]) if count_include_pad else (0, extent)
        start = np.arange(total.shape[axis + 1]) * step - before
        along = np.minimum(start + size, high) - np.maximum(start, low)
        counts = counts[..., None, :] * along[:, None]
    if (counts == counts.flat[0]).all():
        return total * (1 / float(counts.flat[0]))
    return total * as_tensor(1 / counts, x.dtype)
