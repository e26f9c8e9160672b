"""``chainrule example``: data to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .console import note, show
from .error_handling import Debug


def example(
    name: Annotated[
        str | None,
        typer.Argument(help="Which; without one they are listed.", show_default=False),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder to write to.", metavar="FOLDER")
    ] = Path(),
    debug: Debug = False,
) -> None:
    """Write example data, real where they can be, and say how to train on them.

    Example: chainrule example houses
    """
    from ..data.example_sets import EXAMPLES, write_example

    if name is None:
        table = Table("example", "what it is", box=None, pad_edge=False)
        for each, known in EXAMPLES.items():
            table.add_row(each, known.what)
        show(table)
        note("Write one: chainrule example houses")
        return
    paths = write_example(name, out)
    for path in paths:
        show(f"{path}")
    command = f"chainrule train {shlex.quote(str(paths[0]))} {EXAMPLES[name].train}".strip()
    note(f"{EXAMPLES[name].what[0].upper()}{EXAMPLES[name].what[1:]}.")
    note(f"Train on it: {command}")
