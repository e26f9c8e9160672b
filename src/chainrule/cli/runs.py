"""``chainrule runs``: what has been trained so far, in line or side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import display
from .console import note, show, show_json, warn
from .error_handling import Debug

if TYPE_CHECKING:
    from ..utils.runs import Run


def runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="A folder of runs to list (runs by default), or runs to compare.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """List the runs, newest first, or compare some of them side by side.

    Example: chainrule runs runs/houses-2026-01-31-1 runs/houses-2026-01-31-2
    """
    from ..utils.runs import RECORD, find_runs, read_run

    given = folders or [Path("runs")]
    if len(given) > 1 or (given[0] / RECORD).exists():
        chosen = [read_run(_found(folder)) for folder in given]
        table = display.comparison(chosen)
    else:
        chosen, damaged = find_runs(given[0])
        for error in damaged:
            warn(f"{error.where}: {error.what} {error.found or ''}".rstrip())
        if not chosen and not as_json:
            note(f"There are no runs in {given[0]}.")
            return
        table = display.run_list(chosen)
    if as_json:
        show_json([_as_json(run) for run in chosen])
    else:
        show(table)


def _found(folder: Path) -> Path:
    """The folder, or the run of that name in the folder ``runs``."""
    inside = Path("runs") / folder
    return inside if not folder.exists() and inside.exists() else folder


def _as_json(run: Run) -> dict[str, Any]:
    return {"run": str(run.folder), **run.record}
