"""A comparison in an environment as charts, as a table, and as a page that needs nothing else."""

from __future__ import annotations

import html

from ...drawing.blocks import Section, Table, Text
from ...drawing.chart import Axis, Chart
from ...report.page import page_of_sections
from ...utils.numbers import number
from .page import line
from .policies import TITLES, PolicyComparison
from .shown import Shown


def policies_shown(comparison: PolicyComparison) -> Shown:
    """What a user sees of it."""
    titles, rows = policy_columns(comparison, short=True)
    return Shown(
        _said(comparison),
        titles,
        rows,
        "Returns are means of 64 further episodes. To 90 %: nine tenths of the way from the first "
        "return to the best.",
        policy_charts(comparison)[0],
        policy_page(comparison),
    )


def _said(c: PolicyComparison) -> str:
    return (
        f"{c.environment}: a policy of {c.parameters:,} parameters ({c.network}); each method had "
        f"{c.budget}."
    )


def policy_page(comparison: PolicyComparison) -> str:
    """A complete document, to be saved with the encoding UTF-8."""
    c = comparison
    titles, rows = policy_columns(c)
    over_time, over_episodes = policy_charts(c)
    sections = [
        Section("reached", "What was reached",
                (Table(tuple(titles), tuple(map(tuple, rows))), *_explained(c))),
        Section("time", "Over time", (over_time,)),
        Section("episodes", "Over episodes", (over_episodes,)),
    ]  # fmt: skip
    return page_of_sections("Beside backpropagation", f"<p>{html.escape(_said(c))}</p>", sections)


def policy_charts(comparison: PolicyComparison) -> list[Chart]:
    """The return over time, then over episodes."""
    ends = ", ".join(f"{row['title']} {row['return']:.4g}" for row in comparison.table())
    return [
        Chart(
            f"return-{over}", f"Return in {comparison.environment}", Axis(over, "log"),
            Axis("mean return"),
            tuple(
                line(TITLES[name], curves, over, "returns", place)
                for place, (name, curves) in enumerate(comparison.curves.items())
            ),
            f"At the end: {ends}.", size="wide",
        )
        for over in ("seconds", "episodes")
    ]  # fmt: skip


def policy_columns(
    comparison: PolicyComparison, short: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of the table; titles of numbers begin with ``#``."""
    titles = ["method", "#return", "#episodes", "#seconds", "#episodes to 90 %", "#seconds to 90 %"]
    several = len(next(iter(comparison.curves.values()))) > 1
    if several:
        titles.insert(2, "#range")
    rows = []
    for row in comparison.table():
        reached = row["episodes_to_limit"]
        cells = [
            row["method" if short else "title"], number(row["return"]), f"{row['episodes']:,.0f}",
            f"{row['seconds']:.1f}", "–" if reached is None else f"{reached:,.0f}",
            number(row["seconds_to_limit"]),
        ]  # fmt: skip
        if several:
            cells.insert(2, f"{number(row['lowest'])} to {number(row['highest'])}")
        rows.append(cells)
    return titles, rows


def _explained(c: PolicyComparison) -> list[Text]:
    seeds = len(next(iter(c.curves.values())))
    several = f"Shown are medians of {seeds} seeds, with the range of all of them"
    sentences = [
        "All methods begin with the same weights. Searches see the return of four whole episodes "
        "of each candidate, gradients the reward of every step. The time that programs take to be "
        "built is not counted.",
        f"{several if seeds > 1 else 'Shown is one seed'}: the mean return of 64 further episodes "
        "by the best actions. “To 90 %” is what was spent until it had come nine tenths of the way "
        f"from the first one to the best of all methods, to {number(c.limit)}; – where it never "
        "did.",
    ]
    ended = [f"{row['title']}: {row['reason']}" for row in c.table()
             if row["reason"] != "the budget is spent"]  # fmt: skip
    if ended:
        sentences.append(f"Ended before the budget was spent: {'; '.join(ended)}.")
    return [Text(tuple(sentences), quiet=True)]
