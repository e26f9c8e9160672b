"""The search as a page: what was reached trial by trial, what mattered, the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...drawing.blocks import Text, section
from ...drawing.blocks import table as block_table
from ...drawing.chart import Axis, Bars, Chart, Line, Points
from ...drawing.html import sections_html
from ...drawing.page import THEME, asset, page_of

if TYPE_CHECKING:
    import polars as pl

_TEMPLATE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{policy}}"><title>{{title}}</title>
<style>{{style}}</style></head><body><main><h1>{{title}}</h1>{{body}}</main></body></html>
"""
_STYLE = "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"


def page_of_search(title: str, trials: pl.DataFrame, importances: Mapping[str, float]) -> str:
    """A page that needs nothing else.

    Args:
        title: of it.
        trials: as `chainrule.interop.tuning.tune.table_of` gives them.
        importances: how much each option mattered, from 0 to 1.
    """
    rows = [["–" if v is None else _short(v) for v in row] for row in trials.head(50).rows()]
    found = [
        section("trials", "Trial by trial", _curve(trials)),
        section("mattered", "What mattered", _bars(importances), Text(
            ("The part of the variance between good and other trials that each option explains "
             "(PED-ANOVA); of few trials it is a rough guess.",), quiet=True)),
        section("best", "The best trials", block_table(trials.columns, rows)),
    ]  # fmt: skip
    body = sections_html([each for each in found if each is not None])
    return page_of(_TEMPLATE, title, THEME + asset("charts.css") + _STYLE, fields={"body": body})


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(trials: pl.DataFrame) -> Chart | None:
    """Validation losses, and the best one so far."""
    done = trials.sort("trial").drop_nulls("loss")
    numbers, losses = done["trial"].to_list(), done["loss"].to_list()
    points = [(n, v) for n, v in zip(numbers, losses, strict=True) if math.isfinite(v)]
    if not points:
        return None
    x, y = (tuple(map(float, each)) for each in zip(*points, strict=True))
    best = tuple(min(y[: i + 1]) for i in range(len(y)))
    # What is far worse than most would hide all else.
    high = sorted(y)[int(0.9 * (len(y) - 1))]
    return Chart(
        "search", "Validation loss of the trials", Axis("trial", "integer"),
        Axis("validation loss", high=high if high > min(y) else None),
        (Points("a trial", x, y), Line("the best so far", x, best)),
        f"{len(y)} trials; the best has {best[-1]:.4g}.", size="wide",
    )  # fmt: skip


def _bars(importances: Mapping[str, float]) -> Chart | None:
    if not importances:
        return None
    names, values = tuple(importances), tuple(importances.values())
    return Chart(
        "importance", "How much each option mattered", Axis("part of the variance", low=0.0),
        Axis(categories=names), (Bars("importance", values),),
        ", ".join(f"{n} {v:.0%}" for n, v in importances.items()), size="wide",
    )  # fmt: skip
