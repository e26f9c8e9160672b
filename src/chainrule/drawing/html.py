"""Sections as HTML: every text is escaped here, and nowhere else."""

from __future__ import annotations

import dataclasses
import html
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from .blocks import Block, Code, Finding, Gallery, Passage, Section, Table, Text
from .chart import Bars, Cells, Chart, Histogram, Line, Points, Rule
from .scales import short, told
from .svg import chart_svg, series_of

#: The table behind a picture has so many rows at most.
_MOST_ROWS = 60
_escape = html.escape
_SEVERITIES = {"error": "⛔", "warning": "⚠", "note": "ℹ"}


def sections_html(sections: Sequence[Section]) -> str:
    """All sections, and before them the way to each."""
    links = [f'<a href="#{_identifier(s.name)}">{_escape(s.title)}</a>' for s in sections]
    contents = f'<nav aria-label="Contents">{"".join(links)}</nav>' if len(links) > 2 else ""
    return contents + "".join(map(section_html, sections))


def section_html(section: Section) -> str:
    """A section with its heading; charts that follow each other stand side by side."""
    parts: list[str] = []
    for size, group in itertools.groupby(section.blocks, _beside):
        found = "".join(map(block_html, group))
        parts.append(f'<div class="charts {size}">{found}</div>' if size else found)
    name = _identifier(section.name)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{_escape(section.title)}</h2>{"".join(parts)}</section>'
    )


def _beside(block: Block) -> str:
    """The size of charts that stand side by side; "" for a block that has its own row."""
    return block.size if isinstance(block, Chart) and block.size != "wide" else ""


def _identifier(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name) or "section"


def block_html(block: Block) -> str:
    """One block."""
    draw: dict[str, Callable[[Any], str]] = {
        Text.kind: _text,
        Table.kind: table_html,
        Chart.kind: figure_html,
        Gallery.kind: _gallery,
        Passage.kind: _passage,
        Finding.kind: _finding,
        Code.kind: lambda code: f"<pre><code>{_escape(code.text)}</code></pre>",
    }
    return draw[block.kind](block)


def _text(text: Text) -> str:
    kind = ' class="note"' if text.quiet else ""
    return "".join(f"<p{kind}>{_escape(sentence)}</p>" for sentence in text.sentences)


def table_html(table: Table) -> str:
    """A table that scrolls by itself where the page is narrow."""
    right = [column.startswith("#") for column in table.columns]
    heads = "".join(
        f'<th scope="col"{" class=number" * number}>{_escape(column.removeprefix("#"))}</th>'
        for column, number in zip(table.columns, right, strict=True)
    )
    marked = set(table.marked)
    rows = "".join(_row(cells, right, i, marked) for i, cells in enumerate(table.rows))
    name = _escape(table.caption or "table")
    top = f"<thead><tr>{heads}</tr></thead>" if any(table.columns) else ""
    found = (
        f'<div class="scroller" role="region" aria-label="{name}" tabindex="0">'
        f'<table aria-label="{name}">{top}<tbody>{rows}</tbody></table></div>'
    )
    if table.folded:
        return f"<details><summary>{name}</summary>{found}</details>"
    return f'<p class="caption">{name}</p>{found}' if table.caption else found


def _row(
    cells: Sequence[str], right: Sequence[bool], number: int, marked: set[tuple[int, int]]
) -> str:
    parts = []
    for j, (cell, is_number) in enumerate(zip(cells, right, strict=True)):
        kinds = " ".join(["number"] * is_number + ["marked"] * ((number, j) in marked))
        kind = f' class="{kinds}"' if kinds else ""
        tag, scope = ("th", ' scope="row"') if j == 0 else ("td", "")
        parts.append(f"<{tag}{scope}{kind}>{_escape(cell)}</{tag}>")
    return f"<tr>{''.join(parts)}</tr>"


def figure_html(chart: Chart) -> str:
    """A chart with its title, its legend, and its numbers as a table behind it."""
    said = f'<p class="note">{_escape(chart.description)}</p>' if chart.description else ""
    behind = chart_table(chart)
    behind = dataclasses.replace(behind, folded=True)
    numbers = table_html(behind) if behind.rows else ""
    return (
        f'<figure class="chart {chart.size}"><figcaption>{_escape(chart.title)}</figcaption>'
        f"{_legend(chart)}{chart_svg(chart)}{said}{numbers}</figure>"
    )


def _legend(chart: Chart) -> str:
    marks = [mark for mark in chart.marks if mark.label and not isinstance(mark, Cells)]
    if len(marks) < 2:
        return ""
    items: dict[str, None] = {}  # several marks of one name have one entry
    for mark in marks:
        quiet = isinstance(mark, Rule) or getattr(mark, "quiet", False)
        kind = "quiet" if quiet else f"s{series_of(chart, mark)}"
        shape = "dot" if isinstance(mark, Points) else "box" if isinstance(
            mark, Bars | Histogram) else "stroke"  # fmt: skip
        swatch = f'<span class="swatch {shape} {kind}" aria-hidden="true"></span>'
        items[f"<li>{swatch}{_escape(mark.label)}</li>"] = None
    return f'<ul class="legend">{"".join(items)}</ul>'


# ---- the numbers behind a picture ----------------------------------------------------------------


def chart_table(chart: Chart) -> Table:
    """The numbers of a chart as a table; of very many, some at even distances."""
    for mark in chart.marks:
        if isinstance(mark, Cells):
            return _cells_table(chart, mark)
    columns, rows = _columns_of(chart)
    shown, caption = rows, "Numbers"
    if len(rows) > _MOST_ROWS:
        step = len(rows) / _MOST_ROWS
        shown = [rows[int(i * step)] for i in range(_MOST_ROWS)]
        caption += f": {_MOST_ROWS} of {len(rows):,} rows, at even distances"
    return Table(tuple(columns), tuple(map(tuple, shown)), caption)


def _columns_of(chart: Chart) -> tuple[list[str], list[list[str]]]:
    """Marks with the same places share a table; of other marks each has rows of its own."""
    bars = [mark for mark in chart.marks if isinstance(mark, Bars)]
    if bars:
        names = [chart.y.label or "", *(f"#{mark.label or chart.x.label}" for mark in bars)]
        return names, [
            [name, *(short(mark.values[i]) for mark in bars)]
            for i, name in enumerate(chart.y.categories)
        ]
    lines = [mark for mark in chart.marks if isinstance(mark, Line)]
    if lines and all(line.x == lines[0].x for line in lines):
        names = [chart.x.label or "x", *(f"#{line.label or chart.y.label}" for line in lines)]
        return names, [
            [told(x, chart.x), *(short(line.y[i]) for line in lines)]
            for i, x in enumerate(lines[0].x)
        ]
    rows = []
    for mark in chart.marks:
        if isinstance(mark, Line | Points):
            rows += [[mark.label, told(x, chart.x), told(y, chart.y)]
                     for x, y in zip(mark.x, mark.y, strict=True)]  # fmt: skip
        elif isinstance(mark, Histogram):
            ends = zip(mark.edges, mark.edges[1:], mark.counts, strict=False)
            rows += [[mark.label, f"{told(a, chart.x)} to {told(b, chart.x)}", short(n)]
                     for a, b, n in ends]  # fmt: skip
    return ["", f"#{chart.x.label or 'x'}", f"#{chart.y.label or 'y'}"], rows


def _cells_table(chart: Chart, mark: Cells) -> Table:
    names = chart.x.categories
    some = list(range(len(names)))
    if len(names) > 24:
        some = [int(i * len(names) / 24) for i in range(24)]
    texts = mark.texts or tuple(tuple(map(short, row)) for row in mark.values)
    rows = [
        (name, *(texts[i][j] for j in some))
        for i, name in enumerate(chart.y.categories[:_MOST_ROWS])
    ]
    columns = (chart.y.label, *(f"#{names[j]}" for j in some))
    return Table(columns, tuple(rows), "Numbers")


# ---- other blocks --------------------------------------------------------------------------------


def _gallery(gallery: Gallery) -> str:
    items = "".join(
        f'<figure><img src="{_escape(picture.data)}" '
        f'alt="{_escape(picture.alternative)}" width="{gallery.width}">'
        f"<figcaption>{_escape(picture.caption)}</figcaption></figure>"
        for picture in gallery.pictures
        if picture.data.startswith("data:image/png;base64,")
    )
    return f'<h3>{_escape(gallery.title)}</h3><div class="gallery">{items}</div>'


def _passage(passage: Passage) -> str:
    parts = []
    for piece, weight in zip(passage.pieces, passage.weights, strict=True):
        if not weight:
            parts.append(_escape(piece))
            continue
        kind = "for" if weight > 0 else "against"
        level = min(max(round(abs(weight) * 5), 1), 5)
        title = f"{weight:+.2f}".replace("-", "−")
        parts.append(f'<mark class="{kind} l{level}" title="{title}">{_escape(piece)}</mark>')
    note = f'<p class="note">{_escape(passage.note)}</p>' if passage.note else ""
    return (
        f'<figure class="passage"><figcaption>{_escape(passage.title)}</figcaption>'
        f"<p>{''.join(parts)}</p>{note}</figure>"
    )


def _finding(finding: Finding) -> str:
    severity = finding.severity if finding.severity in _SEVERITIES else "note"
    sentences = "".join(f"<p>{_escape(sentence)}</p>" for sentence in finding.sentences)
    fix = f"<p><b>What to do:</b> {_escape(finding.fix)}</p>" if finding.fix else ""
    command = f"<pre><code>{_escape(finding.command)}</code></pre>" if finding.command else ""
    return (
        f'<article class="finding {severity}"><h3><span aria-hidden="true">'
        f'{_SEVERITIES[severity]}</span> <span class="severity">{severity}</span> '
        f"{_escape(finding.title)}</h3>{sentences}{fix}{command}</article>"
    )
