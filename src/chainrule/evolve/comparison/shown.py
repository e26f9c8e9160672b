"""What a user sees of a comparison, of whatever kind it is."""

from __future__ import annotations

from dataclasses import dataclass

from ...drawing.chart import Chart


@dataclass(frozen=True)
class Shown:
    """A comparison in words, in a terminal, and on a page.

    Attributes:
        said: what was compared, on what, with which budget.
        titles: of the table for a terminal; those of numbers begin with ``#``.
        rows: of the table.
        told: what its columns mean.
        picture: the first chart.
        page: a complete document, to be saved with the encoding UTF-8.
    """

    said: str
    titles: list[str]
    rows: list[list[str]]
    told: str
    picture: Chart
    page: str
