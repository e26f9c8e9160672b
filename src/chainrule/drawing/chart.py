"""Charts as data: marks in a pair of axes, with a title and a sentence that says what is seen.

A chart knows nothing of how it is drawn: `chainrule.drawing.svg` draws it for pages,
`chainrule.drawing.axes` with matplotlib. It is JSON data, so that a run folder can keep it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Numbers = tuple[float | None, ...]

#: A line or cloud of more points than this is thinned out.
MOST_POINTS = 600


@dataclass(frozen=True)
class Axis:
    """One of the two axes of a chart.

    Attributes:
        label: what is measured.
        scale: "linear", "integer", "log", or "time" for seconds since 1970-01-01 UTC.
        low: where it begins; found from the marks by default.
        high: where it ends.
        categories: names of the places 0, 1, …, if it has no numbers.
    """

    label: str = ""
    scale: str = "linear"
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """Points joined by a line, perhaps with a band around it.

    Attributes:
        label: what it is.
        x: of each point, ascending.
        y: of each point; None where nothing is known.
        low: lower end of the band.
        high: upper end of the band.
        series: which colour it has; its place among the marks by default.
        quiet: drawn thin and grey, as it is there to compare with.
    """

    kind: ClassVar[str] = "line"
    label: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    series: int | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Points:
    """Single points.

    Attributes:
        label: what they are.
        x: of each.
        y: of each.
        notes: what is said of each; empty for nothing.
        series: see `Line`.
    """

    kind: ClassVar[str] = "points"
    label: str
    x: Numbers
    y: Numbers
    notes: tuple[str, ...] = ()
    series: int | None = None


@dataclass(frozen=True)
class Histogram:
    """How many values lie between neighbouring edges.

    Attributes:
        label: what is counted.
        edges: one more than the counts.
        counts: of values, or fractions.
        series: see `Line`.
    """

    kind: ClassVar[str] = "histogram"
    label: str
    edges: Numbers
    counts: Numbers
    series: int | None = None


@dataclass(frozen=True)
class Bars:
    """A horizontal bar for each category of the y axis.

    Attributes:
        label: what they are.
        values: one a category.
        errors: half the length of the whisker at each.
        series: see `Line`.
    """

    kind: ClassVar[str] = "bars"
    label: str
    values: Numbers
    errors: Numbers = ()
    series: int | None = None


@dataclass(frozen=True)
class Cells:
    """A heat map: rows are categories of the y axis, columns of the x axis.

    Attributes:
        label: what the colour means.
        values: of each cell, by rows; None where nothing is known.
        texts: written in the cells; empty for none.
        low: the value without colour.
        high: the value of full colour.
        log: whether colours follow the logarithm.
    """

    kind: ClassVar[str] = "cells"
    label: str
    values: tuple[Numbers, ...]
    texts: tuple[tuple[str, ...], ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False


@dataclass(frozen=True)
class Rule:
    """A thin line to compare with: at an x, at a y, or the diagonal y = x.

    Attributes:
        label: what it means.
        x: where it crosses the x axis.
        y: where it crosses the y axis; with neither it is the diagonal.
    """

    kind: ClassVar[str] = "rule"
    label: str
    x: float | None = None
    y: float | None = None


Mark = Line | Points | Histogram | Bars | Cells | Rule
_MARKS: dict[str, Any] = {m.kind: m for m in (Line, Points, Histogram, Bars, Cells, Rule)}


@dataclass(frozen=True)
class Chart:
    """Marks in a pair of axes.

    Attributes:
        name: by which it is asked for, such as ``"roc"``.
        title: what it shows.
        x: the horizontal axis.
        y: the vertical axis.
        marks: from the back to the front.
        description: what is seen, in words, for those who cannot see it.
        square: whether both axes have the same length.
        size: "normal", "wide" for a whole row of the page, or "small" for one of many.

    Example:
        >>> loss = Line("loss", (1, 2, 3), (0.9, 0.5, 0.4))
        >>> chart = Chart("loss", "Loss", Axis("epoch"), Axis("loss"), (loss,))
        >>> Chart.from_json(chart.to_json()) == chart
        True
    """

    kind: ClassVar[str] = "chart"
    name: str
    title: str
    x: Axis = Axis()
    y: Axis = Axis()
    marks: tuple[Mark, ...] = ()
    description: str = ""
    square: bool = False
    size: str = "normal"

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        rest = plain(self)
        rest["marks"] = [{"mark": mark.kind, **plain(mark)} for mark in self.marks]
        return {"block": self.kind, **rest}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Chart:
        """What `to_json` gave."""
        fields = dict(content)
        marks = [restored(_MARKS[mark["mark"]], mark) for mark in fields.pop("marks", ())]
        axes = {name: restored(Axis, fields.pop(name, {})) for name in "xy"}
        return dataclasses.replace(restored(Chart, fields), marks=tuple(marks), **axes)


def plain(record: Any) -> dict[str, Any]:
    """The fields of a record that are not as usual, as JSON data."""
    found = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value != field.default:
            found[field.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return rounded(value)
    return value


def restored(record: Any, content: Mapping[str, Any]) -> Any:
    """A record of JSON data; what it has no field for, such as one of a later version, is left."""
    names = {field.name for field in dataclasses.fields(record)}
    return record(**{name: _tuples(value) for name, value in content.items() if name in names})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


# ---- making charts -------------------------------------------------------------------------------


def rounded(value: float) -> float | None:
    """To digits that no eye can tell from all of them; None for what is no number.

    Large numbers keep more: seconds since 1970 are told apart by the last of ten.

    Example:
        >>> rounded(0.123456789), rounded(float("nan")), rounded(1790000123.4)
        (0.1234568, None, 1790000123.0)
    """
    if not math.isfinite(value):
        return None
    return float(f"{value:.10g}" if abs(value) >= 1e6 else f"{value:.7g}")


def numbers(values: Iterable[Any]) -> Numbers:
    """Any numbers, also NumPy's, as a chart keeps them."""
    found = [None if value is None else float(value) for value in values]
    return tuple(value if value is not None and math.isfinite(value) else None for value in found)


def thinned(x: Sequence[Any], *others: Sequence[Any], most: int = MOST_POINTS) -> list[list[Any]]:
    """Sequences of one length without so many points that nobody could see them all.

    Of each piece of the first of the others the lowest and the highest point stay, so that no peak
    gets lost.

    Example:
        >>> thinned([1, 2, 3], [4, 5, 6])
        [[1, 2, 3], [4, 5, 6]]
        >>> thinned(range(8), [0, 9, 0, 0, 0, 0, 7, 0], most=4)
        [[0, 1, 4, 6], [0, 9, 0, 7]]
    """
    count = len(x)
    rows: list[int] = list(range(count))
    if count > most:
        leading = others[0] if others else x
        size = 2 * count / most
        rows = []
        for piece in range(most // 2):
            inside = range(int(piece * size), max(int((piece + 1) * size), int(piece * size) + 1))
            known = [i for i in inside if i < count and leading[i] is not None]
            ends = {min(known, key=leading.__getitem__), max(known, key=leading.__getitem__)}
            rows += sorted(ends) if known else []
    return [[part[i] for i in rows] for part in (x, *others)]
