"""Convolutions and pooling: images are (batch, *extents, channels)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ....ops.sliding_window import sliding
from ..trace import widened

Extents = tuple[int, ...]
_AXES = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def _numbers(rank: int) -> Any:
    """Which axes are which, for any rank: batch, extents, channels; window, in, out."""
    if rank in _AXES:
        return _AXES[rank]
    ends = (0, rank + 1, *range(1, rank + 1))
    return lax.ConvDimensionNumbers(ends, (rank + 1, rank, *range(rank)), ends)


def _convolved(x: Any, w: Any, groups: int, slide: dict[str, Extents]) -> Any:
    return lax.conv_general_dilated(
        x, w, slide["stride"], list(zip(slide["before"], slide["after"], strict=True)),
        rhs_dilation=slide["dilation"], dimension_numbers=_numbers(x.ndim - 2),
        feature_group_count=groups,
    )  # fmt: skip


def _operands(trace: Any, a: Any, b: Any, groups: int) -> Any:
    """In bfloat16, if that is asked for; not those of groups, as on other backends."""
    return trace.narrowed(a, b) if groups == 1 else (widened(a), widened(b))


def _convolution(trace: Any, x: Any, w: Any, groups: int, **slide: Any) -> Any:
    places = sliding(x.shape[1:-1], w.shape[:-2], **slide)
    shape = (x.shape[0], *places, w.shape[-1])
    if not x.size or not w.size or not math.prod(shape):
        return jnp.zeros(shape, x.dtype)
    x, w = _operands(trace, x, w, groups)
    return _convolved(x, w, groups, slide)


def _transposed(trace: Any, g: Any, w: Any, extents: Extents, groups: int, **slide: Any) -> Any:
    g, w = _operands(trace, g, w, groups)
    image = jax.ShapeDtypeStruct((g.shape[0], *extents, w.shape[-2] * groups), g.dtype)
    if not g.size or not w.size:
        return jnp.zeros(image.shape, g.dtype)
    if _is_swapped_wrongly(w.shape[:-2], slide):
        g, slide = _spread(g, w, extents, slide)
    back = jax.linear_transpose(lambda x: _convolved(x, w, groups, slide), image)
    return back(g)[0]


def _is_swapped_wrongly(window: Extents, slide: dict[str, Extents]) -> bool:
    """Whether XLA may take an axis for one of groups, and then ends the process.

    Its simplifier may swap the operands of a convolution, without those of an axis with a base
    dilation of 2, a window of 2 and a stride of 1, whose extents then do not fit.
    """
    numbers = zip(window, slide["stride"], slide["dilation"], strict=True)
    alike = [each == (2, 2, 1) for each in numbers]
    return any(alike) and not all(alike)


def _spread(g: Any, w: Any, extents: Extents, slide: dict[str, Extents]) -> tuple[Any, Any]:
    """The outputs with zeros between them, as of a convolution with stride 1."""
    ones = slide | {"stride": (1,) * len(extents)}
    places = sliding(extents, w.shape[:-2], **ones)
    numbers = zip(places, g.shape[1:-1], slide["stride"], strict=True)
    inner = [(0, full - (count - 1) * step - 1, step - 1) for full, count, step in numbers]
    zero = jnp.zeros((), g.dtype)
    return lax.optimization_barrier(lax.pad(g, zero, [(0, 0, 0), *inner, (0, 0, 0)])), ones


def _weights(trace: Any, x: Any, g: Any, window: Extents, groups: int, **slide: Any) -> Any:
    x, g = _operands(trace, x, g, groups)
    kernel = jax.ShapeDtypeStruct((*window, x.shape[-1] // groups, g.shape[-1]), x.dtype)
    if not g.size or not x.size:
        return jnp.zeros(kernel.shape, g.dtype)
    back = jax.linear_transpose(lambda w: _convolved(x, w, groups, slide), kernel)
    return back(g)[0]


# ---- pooling ---------------------------------------------------------------------------------


def _reduced(x: Any, start: float, combine: Any, window: Extents, slide: dict[str, Any]) -> Any:
    margins = [(0, 0), *zip(slide["before"], slide["after"], strict=True), (0, 0)]
    initial = jnp.asarray(start, x.dtype)
    return lax.reduce_window(
        x, initial, combine, (1, *window, 1), (1, *slide["stride"], 1), margins
    )


def _shifts(window: Extents, places: Extents, slide: dict[str, Any]) -> Iterator[Any]:
    """For each element of the window, where the slice of the padded image begins and ends."""
    for element in product(*map(range, window)):
        stops = [
            k + (count - 1) * step + 1
            for k, count, step in zip(element, places, slide["stride"], strict=True)
        ]
        yield (0, *element, 0), stops


class _Windows:
    """An image with its margins, of which each element of the window has a slice."""

    def __init__(self, shape: Extents, window: Extents, slide: dict[str, Any]) -> None:
        self.shape, self.slide, self.window = shape, slide, window
        self.places = sliding(shape[1:-1], window, **slide, dilation=(1,) * len(window))
        before, after = slide["before"], slide["after"]
        self.margins = [(0, 0, 0), *((b, a, 0) for b, a in zip(before, after, strict=True)),
                        (0, 0, 0)]  # fmt: skip

    def padded(self, x: Any, value: Any) -> Any:
        return lax.pad(x, jnp.asarray(value, x.dtype), self.margins)

    def slices(self, full: Any) -> Iterator[Any]:
        for start, stops in _shifts(self.window, self.places, self.slide):
            limits = (full.shape[0], *stops, full.shape[-1])
            yield lax.slice(full, start, limits, (1, *self.slide["stride"], 1))

    def back(self, parts: list[Any]) -> Any:
        """The transpose of `slices`, without the margins."""
        total = None
        grown = zip(self.shape, self.margins, strict=True)
        full = tuple(n + low + high for n, (low, high, _) in grown)
        gaps = [step - 1 for step in self.slide["stride"]]
        shifts = _shifts(self.window, self.places, self.slide)
        for part, (start, stops) in zip(parts, shifts, strict=True):
            inner = zip(start[1:-1], full[1:-1], stops, gaps, strict=True)
            margins = [(0, 0, 0), *((low, n - stop, gap) for low, n, stop, gap in inner),
                       (0, 0, 0)]  # fmt: skip
            spread = lax.pad(part, jnp.zeros((), part.dtype), margins)
            total = spread if total is None else total + spread
        inside = zip(self.slide["before"], self.shape[1:-1], strict=True)
        assert total is not None
        return total[(slice(None), *(slice(low, low + n) for low, n in inside), slice(None))]


def _sum_pool(trace: Any, x: Any, window: Extents, **slide: Any) -> Any:
    return _reduced(x, 0.0, lax.add, window, slide)


def _sum_unpool(trace: Any, g: Any, window: Extents, extents: Extents, **slide: Any) -> Any:
    shape = (g.shape[0], *extents, g.shape[-1])
    frame = _Windows(shape, window, slide)
    return frame.back([g] * math.prod(window))


def _max_pool(trace: Any, x: Any, window: Extents, **slide: Any) -> Any:
    return _reduced(x, -jnp.inf, lax.max, window, slide)


def _winners(x: Any, window: Extents, slide: dict[str, Any]) -> tuple[_Windows, list[Any], Any]:
    """Which elements of each window are the largest, and how many."""
    frame = _Windows(x.shape, window, slide)
    y = _max_pool(None, x, window, **slide)
    full = frame.padded(x, -jnp.inf)
    real = frame.padded(jnp.ones(x.shape, bool), False)
    wins = [
        (part == y) & inside
        for part, inside in zip(frame.slices(full), frame.slices(real), strict=True)
    ]
    count = sum((won.astype(x.dtype) for won in wins), jnp.zeros(y.shape, x.dtype))
    return frame, wins, count


def _max_pool_scatter(trace: Any, x: Any, g: Any, window: Extents, **slide: Any) -> Any:
    frame, wins, count = _winners(x, window, slide)
    each = g / count
    return frame.back([won * each for won in wins])


def _max_pool_gather(trace: Any, x: Any, v: Any, window: Extents, **slide: Any) -> Any:
    frame, wins, count = _winners(x, window, slide)
    parts = frame.slices(frame.padded(v, 0.0))
    total = sum((won * part for won, part in zip(wins, parts, strict=True)), 0.0)
    return total / count


WINDOWS = {
    "convolution": _convolution,
    "transposed_convolution": _transposed,
    "convolution_weights": _weights,
    "sum_pool": _sum_pool,
    "sum_unpool": _sum_unpool,
    "max_pool": _max_pool,
    "max_pool_scatter": _max_pool_scatter,
    "max_pool_gather": _max_pool_gather,
}
