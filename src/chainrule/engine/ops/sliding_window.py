"""Where windows that slide over an image lie: shared by convolution and pooling.

Images are (batch, *extents, channels), with one extent (a series), two (height, width) or three.
Along each axis the output element o and the window element k meet the input element

    i = o·stride + k·dilation - before,

with ``before`` elements of padding in front and ``after`` behind. A window spans
dilation·(window - 1) + 1 elements, and there are

    (extent + before + after - span) // stride + 1

places for it.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...errors import ConfigError, ShapeError

Extents = tuple[int, ...]
#: One number for all axes, or one for each.
PerAxis = int | Sequence[int]
#: "valid", "same", one number for all margins, one for each axis, or (before, after) for each.
Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]

#: What the axes of an image are called, by the number of its extents.
LAYOUT = {
    1: "(batch, length, channels)",
    2: "(batch, height, width, channels)",
    3: "(batch, depth, height, width, channels)",
}


def spans(window: Extents, dilation: Extents) -> Extents:
    """How many elements a window reaches over, on each axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))


def sliding(
    extents: Extents,
    window: Extents,
    stride: Extents,
    before: Extents,
    after: Extents,
    dilation: Extents,
) -> Extents:
    """How many places there are for the window on each axis.

    Raises:
        ShapeError: there is none, or a number is invalid.
    """
    rank = len(extents)
    parts = (window, stride, before, after, dilation)
    if any(len(part) != rank for part in parts) or min(*window, *stride, *dilation) < 1:
        raise ShapeError(
            "A window has an extent, a stride and a dilation from 1 on each axis.",
            expected=f"{rank} of each, as the input has extents {extents}",
            found=f"window {window}, stride {stride}, dilation {dilation}",
        )
    if min(*before, *after) < 0:
        raise ShapeError("Padding cannot be negative.", found=f"{before} before, {after} after")
    padded = tuple(map(sum, zip(extents, before, after, strict=True)))
    reach = spans(window, dilation)
    if any(wide > extent for wide, extent in zip(reach, padded, strict=True)):
        dilated = f" (dilation {dilation})" if max(dilation) > 1 else ""
        raise ShapeError(
            "The window is larger than the padded input.",
            expected=f"at most {padded}: the extents {extents} with padding",
            found=f"a window of {window}{dilated}, which spans {reach}",
            hint="Pad more (padding='same'), shrink the window, or downsample less before it.",
        )
    places = zip(padded, reach, stride, strict=True)
    return tuple((extent - wide) // step + 1 for extent, wide, step in places)


def meetings(
    extents: Extents,
    places: Extents,
    window: Extents,
    stride: Extents,
    before: Extents,
    dilation: Extents,
) -> Iterator[tuple[Extents, tuple[slice, ...], tuple[slice, ...]]]:
    """For each element of the window: its place in it, and which inputs meet which outputs there.

    The slices are for arrays of (batch, *extents, channels) and (batch, *places, channels);
    inputs that are padding are left out.
    """
    axes = []
    numbers = zip(extents, places, window, stride, before, dilation, strict=True)
    for extent, count, size, step, margin, gap in numbers:
        along = []
        for k in range(size):
            offset = k * gap - margin  # i = o·step + offset must be from 0 to extent - 1
            first = max(0, -(offset // step))
            last = min(count, (extent - 1 - offset) // step + 1)
            if first < last:
                start = first * step + offset
                stop = (last - 1) * step + offset + 1
                along.append((k, slice(start, stop, step), slice(first, last)))
        axes.append(along)
    for combination in itertools.product(*axes):
        element, inside, outside = zip(*combination, strict=True)
        yield element, (slice(None), *inside), (slice(None), *outside)


def windows(x: Any, places: Extents, window: Extents, stride: Extents, dilation: Extents) -> Any:
    """A view (batch, *places, *window, channels) of an array that is padded already."""
    batch, *inner, channel = x.strides
    outer = [step * s for step, s in zip(inner, stride, strict=True)]
    inner = [step * d for step, d in zip(inner, dilation, strict=True)]
    shape = (x.shape[0], *places, *window, x.shape[-1])
    return as_strided(x, shape, (batch, *outer, *inner, channel), writeable=False)


def padded(x: Any, before: Extents, after: Extents) -> Any:
    """The array with a margin of zeros around the extents."""
    if not any((*before, *after)):
        return x
    grown = tuple(map(sum, zip(x.shape[1:-1], before, after, strict=True)))
    y = np.zeros((x.shape[0], *grown, x.shape[-1]), x.dtype)
    inside = (slice(low, low + n) for low, n in zip(before, x.shape[1:-1], strict=True))
    y[(slice(None), *inside)] = x
    return y


# ---- options as users write them -------------------------------------------------------------


def per_axis(name: str, value: PerAxis, rank: int, least: int = 1) -> Extents:
    """The option as one integer for each axis."""
    try:
        many = isinstance(value, Sequence) and not isinstance(value, str)
        found = tuple(map(operator.index, value)) if many else (operator.index(value),) * rank  # type: ignore[arg-type]
    except TypeError:
        found = ()
    if len(found) != rank or min(found) < least or isinstance(value, bool):
        raise ConfigError(
            f"{name} is an integer, or {rank} of them, one for each axis.",
            expected=f"from {least}",
            found=repr(value),
        )
    return found


def margins(
    padding: Padding, extents: Extents, window: Extents, stride: Extents, dilation: Extents
) -> tuple[Extents, Extents]:
    """The padding before and after on each axis.

    "same" gives ⌈extent / stride⌉ places; an odd element of padding goes behind.
    """
    before, after = check_padding(padding, len(extents))
    if padding != "same":
        return before, after
    wanted = [-(-extent // step) for extent, step in zip(extents, stride, strict=True)]
    numbers = zip(extents, wanted, spans(window, dilation), stride, strict=True)
    total = [max((count - 1) * step + wide - n, 0) for n, count, wide, step in numbers]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


def check_padding(padding: Padding, rank: int) -> tuple[Extents, Extents]:
    """The padding before and after on each axis; zeros for "same", which depends on the input."""
    if padding in ("same", "valid"):
        return (0,) * rank, (0,) * rank
    sides: Any = [padding, padding]
    if isinstance(padding, Sequence) and any(isinstance(one, Sequence) for one in padding):
        pairs = [one if isinstance(one, Sequence) else () for one in padding]
        sides = [[pair[side] for pair in pairs if len(pair) == 2] for side in (0, 1)]
    try:
        before, after = (per_axis("padding", side, rank, least=0) for side in sides)
    except ConfigError:
        raise ConfigError(
            "Unknown padding.",
            expected=f"'same', 'valid', a number from 0, {rank} of them, one for each axis, or "
            f"{rank} pairs (before, after)",
            found=repr(padding),
        ) from None
    return before, after
