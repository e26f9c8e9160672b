"""Windows that slide over images, as the loops of a kernel see them.

Whether a convolution goes forward or back, along each axis the output first + q·step is a sum over
inputs q·stride + shift, a *tap* for each element of the window that meets one. Going back with a
stride s, the outputs q·s, q·s + 1, … meet different elements of the window: s *phases* that each
are such a sum (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Extents = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """One axis of a phase.

    Attributes:
        count: how many outputs.
        stride: inputs from one to the next.
        taps: (shift, element of the window), by shift.
        first: the first output.
        step: from one output to the next.
        extent: of the input.
        outputs: the extent of the whole output.
    """

    count: int
    stride: int
    taps: tuple[tuple[int, int], ...]
    first: int
    step: int
    extent: int
    outputs: int

    @property
    def low(self) -> int:
        """The least shift."""
        return self.taps[0][0]

    @property
    def span(self) -> int:
        """How many inputs lie between the least and the largest shift, with both."""
        return self.taps[-1][0] - self.low + 1

    @property
    def inside(self) -> bool:
        """Whether no tap leaves the input."""
        last = (self.count - 1) * self.stride + self.low + self.span - 1
        return self.low >= 0 and last < self.extent

    def inputs(self, count: int) -> int:
        """How many inputs so many outputs reach over."""
        return (count - 1) * self.stride + self.span


def forward(
    extents: Extents, places: Extents, window: Extents, stride: Extents, before: Extents,
    dilation: Extents,
) -> list[Axis]:  # fmt: skip
    """The axes of a sum over windows."""
    numbers = zip(extents, places, window, stride, before, dilation, strict=True)
    return [
        Axis(count, step, tuple((k * gap - margin, k) for k in range(size)), 0, 1, extent, count)
        for extent, count, size, step, margin, gap in numbers
    ]


def backward(
    extents: Extents, places: Extents, window: Extents, stride: Extents, before: Extents,
    dilation: Extents,
) -> Iterator[list[Axis]]:  # fmt: skip
    """The axes of each phase of the transpose of that sum, from places to extents.

    Input i meets place o by the element k of the window with o·stride = i + before - k·dilation.

    Example:
        >>> [[axis.taps for axis in axes] for axes in backward((4,), (2,), (3,), (2,), (0,), (1,))]
        [[((-1, 2), (0, 0))], [((0, 1),)]]
    """
    numbers = zip(extents, places, window, stride, before, dilation, strict=True)
    choices = [
        [_phase(first, *given) for first in range(min(given[3], given[0]))] for given in numbers
    ]
    return (list(axes) for axes in itertools.product(*choices))


def _phase(
    first: int, extent: int, count: int, size: int, step: int, margin: int, gap: int
) -> Axis:
    distances = ((first + margin - k * gap, k) for k in range(size))
    taps = sorted((distance // step, k) for distance, k in distances if distance % step == 0)
    return Axis(-(-(extent - first) // step), 1, tuple(taps), first, step, count, extent)


def three(extents: Sequence[int], value: int = 1) -> Extents:
    """With as many leading axes as are missing: kernels are written for three."""
    return (*(value,) * (3 - len(extents)), *extents)


@dataclass(frozen=True)
class Geometry:
    """What the attributes of a node say, on three axes."""

    extents: tuple[int, ...]
    places: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(
        cls, attributes: dict[str, Any], extents: Any, places: Any, window: Any = None
    ) -> Geometry:
        """Of a node of a convolution or a pooling."""
        return cls(
            three(extents),
            three(places),
            three(attributes["window"] if window is None else window),
            three(attributes["stride"]),
            three(attributes["before"], 0),
            three(attributes.get("dilation", ())),
        )

    @property
    def numbers(self) -> tuple[tuple[int, ...], ...]:
        """As `sliding.forward` and `sliding.backward` take them."""
        return (
            self.extents, self.places, self.window, self.stride, self.before, self.dilation
        )  # fmt: skip


class Taps(NamedTuple):
    """The taps of all axes, those that follow one another in memory joined.

    Attributes:
        shifts: of the first input of each, on each axis.
        run: how many numbers follow one another there.
        elements: of the window, as numbers, in the order of the sum.
    """

    shifts: list[Extents]
    run: int
    elements: list[int]


def join(axes: Sequence[Axis], window: Extents, depth: int, whole: bool) -> Taps:
    """The taps of a phase.

    Args:
        axes: of the phase.
        window: its extents.
        depth: how many channels are summed.
        whole: whether these are all channels, so that neighbouring pixels follow one another.
    """
    *outer, last = (axis.taps for axis in axes)
    follow = all(b[0] - a[0] == 1 for a, b in itertools.pairwise(last))
    groups = [last] if whole and follow else [(tap,) for tap in last]
    steps = [math.prod(window[axis + 1 :]) for axis in range(len(window))]
    shifts, elements = [], []
    for fixed, group in itertools.product(itertools.product(*outer), groups):
        shifts.append((*(shift for shift, _ in fixed), group[0][0]))
        for tap in group:
            numbers = (*(k for _, k in fixed), tap[1])
            elements.append(sum(k * step for k, step in zip(numbers, steps, strict=True)))
    return Taps(shifts, depth * (len(groups[0]) if groups else 0), elements)
