"""``chainrule learn``: the course, and the pages to play with, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import unknown
from .console import note, show
from .error_handling import Debug


def learn(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="PAGE",
            show_default=False,
            help="course, play, compare, lecture, or a lesson from 1 to 12; all by default.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder to write to.", metavar="FOLDER")
    ] = Path("learn"),
    debug: Debug = False,
) -> None:
    """Write the course in backpropagation: lessons, exercises, quizzes, pages to play with.

    Example: chainrule learn --out course
    """  # fmt: skip
    from ..learn.library import PAGES, write_pages

    if page is not None and page not in PAGES:
        raise unknown("page", page, PAGES)
    paths = write_pages(out, page)
    show(str(paths[0]))
    note(f"{len(paths)} files are in {out}. Open {paths[0]} in a browser; it needs no network.")
