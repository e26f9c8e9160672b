"""A comparison as charts, as a table, and as a page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...drawing.blocks import Section, Table, Text
from ...drawing.chart import Axis, Chart, Line
from ...report.page import page_of_sections
from ...tasks.metric_names import title
from ...utils.numbers import number
from .methods import METHODS
from .shown import Shown
from .side_by_side import Comparison

#: Places of a line, and where one of a method begins that has ended at its start.
_PLACES, _SOON = 80, 1e-3


def shown(comparison: Comparison) -> Shown:
    """What a user sees of it."""
    titles, rows = columns(comparison, short=True)
    return Shown(
        _said(comparison),
        titles,
        rows,
        "A pass is one of the network over all training rows; a backward pass counts as two. To "
        f"90 %: nine tenths of the way from the first {comparison.measured} to the best.",
        charts(comparison)[0],
        comparison_page(comparison),
    )


def _said(c: Comparison) -> str:
    return (
        f"{c.data}: {c.rows[0]:,} rows to learn from, {c.rows[1]:,} held out; a network of "
        f"{c.parameters:,} parameters ({c.network}); each method had {c.budget}."
    )


def comparison_page(comparison: Comparison) -> str:
    """A complete document, to be saved with the encoding UTF-8."""
    c = comparison
    sections = [
        Section("reached", "What was reached", (_table(c), *_explained(c))),
        Section("time", "Over time", tuple(charts(c)[:2])),
        Section("passes", "Over forward passes", tuple(charts(c)[2:])),
    ]
    return page_of_sections("Beside backpropagation", f"<p>{html.escape(_said(c))}</p>", sections)


def charts(comparison: Comparison) -> list[Chart]:
    """Held-out and training loss over time, then over forward passes."""
    found = []
    for over, label in (("seconds", "seconds"), ("passes", "forward passes over the rows")):
        for part, words in (("held_out", "rows held out"), ("train", "training rows")):
            found.append(_chart(comparison, over, label, part, words))
    return found


def _chart(c: Comparison, over: str, label: str, part: str, words: str) -> Chart:
    marks = [
        line(METHODS[name], curves, over, part, number)
        for number, (name, curves) in enumerate(c.curves.items())
    ]
    ends = ", ".join(
        f"{METHODS[name]} {np.median([getattr(k, part)[-1] for k in curves]):.4g}"
        for name, curves in c.curves.items()
    )
    positive = all(y is not None and y > 0 for mark in marks for y in mark.y)
    return Chart(
        f"{part}-{over}", f"{c.measured.capitalize()} on {words}", Axis(label, "log"),
        Axis(c.measured, "log" if positive else "linear"), tuple(marks),
        f"At the end: {ends}.", size="wide",
    )  # fmt: skip


def line(name: str, curves: Sequence[Any], over: str, part: str, series: int) -> Line:
    """The median of the seeds, and the range of all of them.

    Args:
        name: of the method.
        curves: of each seed.
        over: the attribute of a curve that has the places.
        part: the one that has the values there.
        series: which colour.
    """
    first = max(min((x for x in getattr(c, over) if x > 0), default=_SOON) for c in curves)
    last = min(getattr(c, over)[-1] for c in curves)
    x = np.geomspace(first, max(last, first * 1.0001), _PLACES)
    rows = np.array([_value_at(getattr(c, over), getattr(c, part), x) for c in curves])
    middle = np.median(rows, axis=0)
    band: dict[str, Any] = {}
    if len(curves) > 1:
        band = {"low": tuple(rows.min(0).tolist()), "high": tuple(rows.max(0).tolist())}
    return Line(name, tuple(x.tolist()), tuple(middle.tolist()), series=series, **band)


def _value_at(places: tuple[float, ...], values: tuple[float, ...], x: Any) -> Any:
    """A step function: the value at the last place that is not later."""
    index = np.searchsorted(places, x * (1 + 1e-12), side="right") - 1
    return np.array(values)[index.clip(0, len(values) - 1)]


def columns(comparison: Comparison, short: bool = False) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of the table; titles of numbers begin with ``#``.

    Args:
        comparison: what was compared.
        short: for a terminal: methods by their short names, and one metric.
    """
    c = comparison
    rows = c.table()
    metrics = list(rows[0]["metrics"])[: 1 if short else 2]
    titles = [
        "method", f"#{c.measured}", "#held out", *(f"#{title(name)}" for name in metrics),
        "#passes" if short else "#forward passes", "#seconds",
        "#passes to 90 %", "#seconds to 90 %",
    ]  # fmt: skip
    found = [
        [
            row["method" if short else "title"], number(row["train"]), number(row["held_out"]),
            *(number(row["metrics"][name]) for name in metrics), f"{row['passes']:,.0f}",
            f"{row['seconds']:.1f}", _whole(row["passes_to_limit"]),
            number(row["seconds_to_limit"]),
        ]
        for row in rows
    ]  # fmt: skip
    for name, scores in c.baselines.items():
        values = [number(scores.get(metric)) for metric in metrics]
        found.append(
            [name if short else f"{name} (baseline)", "–", "–", *values, "–", "–", "–", "–"]
        )
    return titles, found


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _table(c: Comparison) -> Table:
    titles, rows = columns(c)
    return Table(tuple(titles), tuple(map(tuple, rows)))


def _explained(c: Comparison) -> list[Text]:
    seeds = len(next(iter(c.curves.values())))
    several = f"Shown are medians of {seeds} seeds, with the range of all of them"
    what = several if seeds > 1 else "Shown is one seed"
    sentences = [
        "All methods begin with the same weights and see the same training rows. A forward pass is "
        "the network on all training rows; a backward pass counts as two. The time that programs "
        "take to be built is not counted.",
        f"{what}; of the weights so far always those with the smallest "
        f"{c.measured} on the training rows. “To 90 %” is what was spent until that "
        f"{c.measured} had "
        "come nine tenths of the way from the first one to the best of all methods, to "
        f"{number(c.limit)}; – where it never did.",
    ]
    ended = [
        f"{METHODS[name]}: {curves[0].reason}"
        for name, curves in c.curves.items()
        if curves[0].reason != "the budget is spent"
    ]
    if ended:
        sentences.append(f"Ended before the budget was spent: {'; '.join(ended)}.")
    return [Text(tuple(sentences), quiet=True), *([Text(c.notes)] if c.notes else [])]
