"""Charts as SVG for pages: colours are variables of the page, so light and dark need no redraw."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

from .chart import Axis, Bars, Cells, Chart, Histogram, Line, Mark, Points, Rule
from .scales import Scale, ranges, short, told, written

#: Width and height of a chart by its size, in units that are about pixels on a telephone.
_SIZES = {"normal": (440, 280.0), "wide": (920, 300.0), "small": (220, 130.0)}
#: A letter is about so wide, at the size of the labels.
_LETTER = 7.1
_LONGEST_LABEL = 150
_ROW = 25
#: Lines are told apart by their dashes, too.
DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 2", "1 2")
#: So many series have a colour of their own.
COLOURS = 6


def chart_svg(chart: Chart) -> str:
    """The picture of a chart, a complete ``svg`` element."""
    plot = _Plot(chart)
    parts = [*plot.axes(), *(part for mark in chart.marks for part in plot.mark(mark))]
    said = f"{chart.title}. {chart.description}".strip()
    return (
        f'<svg viewBox="0 0 {plot.width} {plot.height:g}" role="img" '
        f'aria-label="{html.escape(said)}">{"".join(parts)}</svg>'
    )


def series_of(chart: Chart, mark: Mark) -> int:
    """Which colour a mark has."""
    own = getattr(mark, "series", None)
    if own is not None:
        return int(own) % COLOURS
    coloured = [m for m in chart.marks if not isinstance(m, Rule) and not getattr(m, "quiet", 0)]
    return coloured.index(mark) % COLOURS if mark in coloured else 0


class _Plot:
    """The axes of a chart on its picture, and its marks in them."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.width, self.height = _SIZES[chart.size]
        names = chart.y.categories
        (x0, x1), (y0, y1) = ranges(chart)
        row = _ROW if not _many(names) else 14
        if names:
            self.height = len(names) * row + 12.0 + self._bottom(chart.x)
        elif chart.square:
            self.height = 400.0
        top, bottom_edge = 10.0, self.height - self._bottom(chart.x)
        rough = Scale(y0, y1, bottom_edge, top, chart.y.scale)
        self.most = 5 if chart.size != "small" else 3
        texts = list(names) or written(rough.ticks(self.most), chart.y.scale)
        longest = max((min(len(t) * _LETTER, _LONGEST_LABEL) for t in texts), default=20)
        left = 14 + longest + (16 if chart.y.label else 0)
        self.x = Scale(x0, x1, left, self.width - 14.0, chart.x.scale)
        if names:  # the first category is at the top
            self.y = Scale(y0, y1, top, bottom_edge)
        else:
            self.y = rough

    @staticmethod
    def _bottom(axis: Axis) -> float:
        """The room for ticks and label of the x axis; long names of columns are turned."""
        if not axis.categories:
            return 24.0 + 22 * bool(axis.label)
        longest = max(len(name) for name in axis.categories)
        turned = longest * len(axis.categories) * _LETTER > 300
        return (min(longest * _LETTER * 0.75, 96) + 22 if turned else 26) + 20 * bool(axis.label)

    # ---- axes ------------------------------------------------------------------------------------

    def axes(self) -> list[str]:
        """Grid, ticks and labels."""
        chart, x, y = self.chart, self.x, self.y
        parts = self._across() + self._up()
        bottom = max(y.start, y.end)
        if chart.x.label:
            parts.append(_text((x.start + x.end) / 2, self.height - 6, chart.x.label, "label"))
        if chart.y.label:
            middle = (y.start + y.end) / 2
            parts.append(
                f'<text class="label" text-anchor="middle" transform="translate(12 {middle:.1f}) '
                f'rotate(-90)">{html.escape(_cut(chart.y.label, 44))}</text>'
            )
        parts.append(f'<path class="frame" d="M{x.start:.1f} {bottom:.1f}H{x.end:.1f}"/>')
        return parts

    def _across(self) -> list[str]:
        axis, x, y = self.chart.x, self.x, self.y
        top, bottom = min(y.start, y.end), max(y.start, y.end)
        if axis.categories:
            return self._columns(axis, bottom)
        # The room between is as wide as the longest of them.
        most = max(int((x.end - x.start) / 64), 2)
        ticks = x.ticks(most)
        parts = []
        for value, text in zip(ticks, written(ticks, axis.scale), strict=True):
            place = x(value)
            parts.append(f'<path class="grid" d="M{place:.1f} {top:.1f}V{bottom:.1f}"/>')
            parts.append(_text(place, bottom + 15, text, "tick"))
        return parts

    def _columns(self, axis: Axis, bottom: float) -> list[str]:
        longest = max(len(name) for name in axis.categories)
        turned = longest * len(axis.categories) * _LETTER > 300
        step = max(math.ceil(len(axis.categories) / 30), 1)
        parts = []
        for i, name in list(enumerate(axis.categories))[::step]:
            place = self.x(i)
            if turned:
                parts.append(
                    f'<text class="tick" text-anchor="end" transform="translate({place + 3:.1f} '
                    f'{bottom + 11:.1f}) rotate(-45)">{html.escape(_cut(name, 18))}</text>'
                )
            else:
                parts.append(_text(place, bottom + 16, name, "tick"))
        return parts

    def _up(self) -> list[str]:
        axis, x, y = self.chart.y, self.x, self.y
        parts = []
        if axis.categories:
            step = max(math.ceil(len(axis.categories) / 60), 1)
            for i, name in list(enumerate(axis.categories))[::step]:
                shown = _cut(name, int(_LONGEST_LABEL / _LETTER))
                parts.append(_text(x.start - 6, y(i) + 4, shown, "tick", "end", full=name))
            return parts
        ticks = y.ticks(self.most)
        for value, text in zip(ticks, written(ticks, axis.scale), strict=True):
            place = y(value)
            parts.append(f'<path class="grid" d="M{x.start:.1f} {place:.1f}H{x.end:.1f}"/>')
            parts.append(_text(x.start - 6, place + 4.5, text, "tick", "end"))
        return parts

    # ---- marks -----------------------------------------------------------------------------------

    def mark(self, mark: Mark) -> list[str]:
        """The elements of a mark."""
        draw: dict[str, Callable[[Any], list[str]]] = {
            Line.kind: self._line,
            Points.kind: self._points,
            Histogram.kind: self._histogram,
            Bars.kind: self._bars,
            Cells.kind: self._cells,
            Rule.kind: self._rule,
        }
        return draw[mark.kind](mark)

    def _at(self, x: float | None, y: float | None) -> tuple[float, float] | None:
        """A place within the axes; None for what has none."""
        if x is None or y is None:
            return None
        kinds = (self.x.kind, x), (self.y.kind, y)
        if any(kind == "log" and value <= 0 for kind, value in kinds):
            return None
        return self.x(x), self.y(min(max(y, self.y.low), self.y.high))

    def _line(self, line: Line) -> list[str]:
        number = series_of(self.chart, line)
        parts = self._band(line, number)
        places = [self._at(x, y) for x, y in zip(line.x, line.y, strict=True)]
        kind = "quiet" if line.quiet else f"s{number}"
        dash = DASHES[number % len(DASHES)] if not line.quiet else ""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        title = f"<title>{html.escape(line.label)}</title>"
        parts.append(f'<path class="line {kind}"{dashed} d="{_path(places)}">{title}</path>')
        known = [place for place in places if place is not None]
        if len(known) <= 40 and not line.quiet:
            for x, y, place in zip(line.x, line.y, places, strict=True):
                if place is not None:
                    note = f"{line.label}: {told(x, self.chart.x)}, {told(y, self.chart.y)}"
                    radius = 2.6 if len(known) > 1 else 4
                    parts.append(_dot(place, radius, kind, note))
        return parts

    def _band(self, line: Line, number: int) -> list[str]:
        if not line.low:
            return []
        up = [self._at(x, y) for x, y in zip(line.x, line.high, strict=True)]
        down = [self._at(x, y) for x, y in zip(line.x, line.low, strict=True)]
        pairs = [(a, b) for a, b in zip(up, down, strict=True) if a and b]
        if not pairs:
            return []
        around = [a for a, _ in pairs] + [b for _, b in reversed(pairs)]
        return [f'<path class="band s{number}" d="{_path(around)}Z"/>']

    def _points(self, points: Points) -> list[str]:
        kind = f"s{series_of(self.chart, points)}"
        radius = 3.4 if len(points.x) < 150 else 2.4
        parts = []
        notes: Sequence[str] = points.notes or [""] * len(points.x)
        for x, y, note in zip(points.x, points.y, notes, strict=True):
            place = self._at(x, y)
            if place is None:
                continue
            said = f"{note}: " * bool(note)
            said += f"{told(x, self.chart.x)}, {told(y, self.chart.y)}"
            parts.append(_dot(place, radius, f"point {kind}", said if len(points.x) <= 400 else ""))
        return parts

    def _histogram(self, mark: Histogram) -> list[str]:
        kind = f"s{series_of(self.chart, mark)}"
        floor = self.y(max(self.y.low, 0.0))
        parts = []
        for left, right, count in zip(mark.edges, mark.edges[1:], mark.counts, strict=False):
            if left is None or right is None or count is None:
                continue
            start, end, top = self.x(left), self.x(right), self.y(count)
            said = f"{told(left, self.chart.x)} to {told(right, self.chart.x)}: {short(count)}"
            parts.append(_rectangle(start + 0.5, top, max(end - start - 1, 0.6), floor - top,
                                    f"bar {kind}", said))  # fmt: skip
        return parts

    def _bars(self, mark: Bars) -> list[str]:
        beside = [each for each in self.chart.marks if isinstance(each, Bars)]
        thick = min(_ROW * 0.72, 18.0) / len(beside)
        shift = (beside.index(mark) - (len(beside) - 1) / 2) * thick
        kind = f"s{series_of(self.chart, mark)}"
        zero = self.x(min(max(0.0, self.x.low), self.x.high))
        parts = []
        for i, value in enumerate(mark.values):
            if value is None:
                continue
            end, middle = self.x(value), self.y(i) + shift
            said = f"{self.chart.y.categories[i]}: {short(value)}"
            left, width = min(zero, end), max(abs(end - zero), 0.8)
            parts.append(
                _rectangle(left, middle - thick / 2, width, thick - 1, f"bar {kind}", said)
            )
            error = mark.errors[i] if mark.errors else None
            if error:
                low, high = self.x(max(value - error, self.x.low)), self.x(value + error)
                parts.append(f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>')
        return parts

    def _cells(self, mark: Cells) -> list[str]:
        share = _shares(mark)
        width = (self.x.end - self.x.start) / max(len(self.chart.x.categories), 1)
        height = abs(self.y.end - self.y.start) / max(len(self.chart.y.categories), 1)
        large = width > 8 and height > 8
        gap = 1.0 if large else -0.3
        parts = []
        for i, row in enumerate(mark.values):
            for j, value in enumerate(row):
                if value is None:
                    continue
                x, y = self.x(j) - width / 2, self.y(i) - height / 2
                part, text = share(value), mark.texts[i][j] if mark.texts else ""
                names = self.chart.y.categories[i], self.chart.x.categories[j]
                said = f"{names[0]}, {names[1]}: {text or short(value)}"
                parts.append(
                    f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{width - gap:.1f}" '
                    f'height="{height - gap:.1f}" fill-opacity="{part:.2f}">'
                    + (f"<title>{html.escape(said)}</title>" if large else "")
                    + "</rect>"
                )
                if text and width > 5.5 * len(text):
                    inside = "cell-text full" if part > 0.55 else "cell-text"
                    parts.append(_text(x + width / 2, y + height / 2 + 4, text, inside))
        return parts

    def _rule(self, rule: Rule) -> list[str]:
        x, y = self.x, self.y
        if rule.x is not None:
            path = f"M{x(rule.x):.1f} {y.start:.1f}V{y.end:.1f}"
        elif rule.y is not None:
            path = f"M{x.start:.1f} {y(rule.y):.1f}H{x.end:.1f}"
        else:
            low, high = max(x.low, y.low), min(x.high, y.high)
            path = f"M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}"
        return [f'<path class="rule" d="{path}"><title>{html.escape(rule.label)}</title></path>']


def _shares(mark: Cells) -> Callable[[float], float]:
    """From a value to how full its colour is, from 0 to 1."""
    known = [v for row in mark.values for v in row if v is not None and (not mark.log or v > 0)]
    low = min(known, default=0.0) if mark.low is None else mark.low
    high = max(known, default=1.0) if mark.high is None else mark.high
    if mark.log:
        scale = Scale(low, high if high > low else low * 10, 0.06, 0.96, "log")
    else:
        scale = Scale(low, high if high > low else low + 1, 0.0 if low == 0 else 0.06, 0.96)
    return lambda value: min(max(scale(value), 0.0), 1.0)


def _many(names: Sequence[str]) -> bool:
    return len(names) > 40


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """The d of a path; it is broken where there is no place."""
    parts, pen = [], "M"
    for place in places:
        if place is None:
            pen = "M"
            continue
        parts.append(f"{pen}{place[0]:.1f} {place[1]:.1f}")
        pen = "L"
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle", full: str = "") -> str:
    title = f"<title>{html.escape(full)}</title>" if full and full != text else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(text)}{title}</text>"
    )


def _dot(place: tuple[float, float], radius: float, kind: str, said: str) -> str:
    title = f"<title>{html.escape(said)}</title>" if said else ""
    x, y = place
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'


def _rectangle(x: float, y: float, width: float, height: float, kind: str, said: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{max(height, 0):.1f}"><title>{html.escape(said)}</title></rect>'
    )
