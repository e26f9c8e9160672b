"""A chart as an SVG file that needs no page: with its title, its legend, and the colours in it."""

from __future__ import annotations

import html

from .chart import Cells, Chart, Rule
from .page import THEME, asset
from .svg import DASHES, chart_svg, series_of

_LETTER, _ROW, _TOP, _LEFT = 7.9, 22, 30, 12


def chart_picture(chart: Chart) -> str:
    """A complete SVG file of a chart.

    Example:
        >>> from chainrule.drawing.chart import Axis, Line
        >>> line = Line("loss", (1.0, 2.0), (0.9, 0.5))
        >>> picture = chart_picture(Chart("loss", "Loss", Axis("epoch"), Axis("loss"), (line,)))
        >>> picture.startswith('<svg xmlns="http://www.w3.org/2000/svg"'), ">Loss</text>" in picture
        (True, True)
    """
    inner = chart_svg(chart)
    width, height = (float(x) for x in inner.split('viewBox="0 0 ')[1].split('"')[0].split())
    entries, rows = _legend(chart, width)
    top = _TOP + rows * _ROW
    placed = inner.replace(
        "<svg ", f'<svg x="{_LEFT}" y="{top}" width="{width:g}" height="{height:g}" ', 1
    )
    wide = width + _LEFT
    style = f"{THEME}{asset('charts.css')}.chainrule{{font-family:system-ui,sans-serif}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {top + height:g}" '
        f'width="{wide:g}" height="{top + height:g}" class="chainrule"><style>{style}</style>'
        '<rect width="100%" height="100%" style="fill:var(--card)"/><svg>'
        f'<text x="14" y="21" font-size="16" font-weight="600">{html.escape(chart.title)}</text>'
        f"{entries}</svg>{placed}</svg>\n"
    )


def _legend(chart: Chart, width: float) -> tuple[str, int]:
    """The names of the marks, with a stroke of each, and how many rows they take."""
    marks = [mark for mark in chart.marks if mark.label and not isinstance(mark, Cells | Rule)]
    if len(marks) < 2:
        return "", 0
    found, x, row = [], 14.0, 0
    for mark in marks:
        series = series_of(chart, mark)
        wide = 44 + _LETTER * len(mark.label)
        if x > 14 and x + wide > width:
            x, row = 14.0, row + 1
        y = _TOP + row * _ROW + 10
        dashes = f' stroke-dasharray="{DASHES[series]}"' if DASHES[series] else ""
        found.append(
            f'<path class="line s{series}" d="M{x:g} {y}h24"{dashes}/>'
            f'<text class="label" x="{x + 30:g}" y="{y + 5}">{html.escape(mark.label)}</text>'
        )
        x += wide
    return "".join(found), row + 1
