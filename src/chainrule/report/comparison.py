"""Runs side by side: what differs in options, metrics, curves and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..drawing.blocks import Block, Section, Text, section, table
from ..drawing.chart import Axis, Bars, Chart, Line, numbers, thinned
from ..tasks.metric_names import best_is_one, score, title
from ..training.curves import EPOCH
from ..utils.numbers import duration, number
from .content import RunContent, mapping
from .sections import plain_value, status_of

#: So many metrics have a picture.
_DRAWN = 6


def comparison_sections(contents: Sequence[RunContent]) -> list[Section]:
    """All sections of a comparison."""
    made = [_runs(contents), _scores(contents), _curves(contents), _options(contents),
            *_pictures(contents)]  # fmt: skip
    return [each for each in made if each is not None]


def _runs(contents: Sequence[RunContent]) -> Section | None:
    rows = [
        (content.name, str(content.about.get("data") or "–").rpartition("/")[2], content.target,
         number(content.report.get("parameters")), number(len(content.epochs)),
         duration(content.report.get("seconds")), status_of(content))
        for content in contents
    ]  # fmt: skip
    heads = ("run", "data", "target", "#parameters", "#epochs", "#time", "state")
    different = {(c.about.get("data"), c.target) for c in contents}
    note = Text(("The runs are of different data or targets: their metrics say little of each "
                 "other.",)) if len(different) > 1 else None  # fmt: skip
    return section("runs", "The runs", table(heads, rows), note)


def _scores(contents: Sequence[RunContent]) -> Section | None:
    measured = [mapping(content.report.get("metrics")) for content in contents]
    names = list(dict.fromkeys(name for metrics in measured for name in metrics))
    rows: list[tuple[str, ...]] = []
    marked: list[tuple[int, int]] = []
    charts: list[Chart] = []
    for i, name in enumerate(names):
        values = [metrics.get(name) for metrics in measured]
        rows.append((title(name), *(score(name, value) for value in values)))
        known = [value for value in values if value is not None]
        if len(set(known)) > 1:
            best = (max if best_is_one(name) else min)(known)
            marked += [(i, 1 + j) for j, value in enumerate(values) if value == best]
        if len(known) > 1 and len(charts) < _DRAWN:
            better = "longer is better" if best_is_one(name) else "shorter is better"
            charts.append(
                Chart(f"score_{name}", f"{title(name)}: {better}", Axis(),
                      Axis(categories=tuple(content.name for content in contents)),
                      (Bars(title(name), numbers(values)),))
            )  # fmt: skip
    grid = table(("metric", *(f"#{content.name}" for content in contents)), rows,
                 marked=tuple(marked), caption="On the test set of each")  # fmt: skip
    return section("scores", "How good they are", grid, *charts)


def _curves(contents: Sequence[RunContent]) -> Section | None:
    """Each number of the epochs in one picture for all runs."""
    skipped = ("fit", "epoch", "seconds", "waited")
    names = list(dict.fromkeys(
        name for content in contents for record in content.epochs for name in record
        if name not in skipped
    ))  # fmt: skip
    charts = []
    for name in names:
        lines = []
        for place, content in enumerate(contents):
            known = [(r["epoch"], r[name]) for r in content.epochs if r.get(name) is not None]
            if known:
                x, y = thinned(*(numbers(part) for part in zip(*known, strict=True)))
                lines.append(Line(content.name, tuple(x), tuple(y), series=place))
        if lines:
            label = name.replace("val_", "validation ").replace("_", " ")
            charts.append(Chart(name, label.capitalize(), EPOCH, Axis(label),
                                tuple(lines)))  # fmt: skip
    return section("training", "The trainings", *charts)


def _options(contents: Sequence[RunContent]) -> Section | None:
    names = list(dict.fromkeys(name for content in contents for name in content.options))
    rows: list[tuple[str, ...]] = []
    marked: list[tuple[int, int]] = []
    for name in names:
        cells = [plain_value(content.options.get(name)) for content in contents]
        if len(set(cells)) > 1:
            marked += [(len(rows), 1 + j) for j in range(len(cells))]
        rows.append((name.replace("_", "-"), *cells))
    grid = table(("option", *(content.name for content in contents)), rows, marked=tuple(marked),
                 caption="Options that were given; what differs is bold")  # fmt: skip
    return section("options", "Options", grid)


def _pictures(contents: Sequence[RunContent]) -> list[Section | None]:
    """The charts of the test sets, those of the same name beside each other."""
    names: dict[str, str] = {}
    for content in contents:
        for each in content.stored.sections:
            names.setdefault(each.name, each.title)
    found: list[Section | None] = []
    for name, heading in names.items():
        by_run = [_charts(content, name) for content in contents]
        kept: list[Block] = []
        for chart in dict.fromkeys(chart for charts in by_run for chart in charts):
            kept += [charts[chart] for charts in by_run if chart in charts]
        found.append(section(name, heading, *kept))
    return found


def _charts(content: RunContent, name: str) -> dict[str, Any]:
    """By name, with the run's name in the title."""
    sections = [each for each in content.stored.sections if each.name == name]
    return {
        chart.name: dataclasses.replace(
            chart, title=f"{chart.title}: {content.name}", size="normal"
        )
        for each in sections
        for chart in each.charts
    }
