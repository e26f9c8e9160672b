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
    from ..utils.unfinished import Unfinished


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
    from ..utils.unfinished import find_unfinished

    given = folders or [Path("runs")]
    if len(given) > 1 or (given[0] / RECORD).exists():
        chosen = [read_run(_found(folder)) for folder in given]
        if as_json:
            show_json([_as_json(run) for run in chosen])
        else:
            show(display.comparison(chosen))
        return
    chosen, damaged = find_runs(given[0])
    for error in damaged:
        warn(f"{error.where}: {error.what} {error.found or ''}".rstrip())
    unfinished = find_unfinished(given[0])
    if as_json:
        show_json([*map(_as_json, chosen), *map(_unfinished_as_json, unfinished)])
    else:
        _show_list(given[0], chosen, unfinished)


def _show_list(folder: Path, chosen: list[Run], unfinished: list[Unfinished]) -> None:
    from ..utils.unfinished import POLICY

    if chosen:
        show(display.run_list(chosen))
    elif not unfinished:
        note(f"There are no runs in {folder}.")
    for training in unfinished:
        state = _unfinished_as_json(training)
        one = "iteration" if training.kind == POLICY else "epoch"
        count = state["epochs"]
        done = f"{count or 'no'} {one}{'s are' if count > 1 else ' is'} done"
        if state["running"]:
            show(f"{training.folder}: a training that runs; {done}")
        else:
            show(f"{training.folder}: unfinished; {done}; {training.command}")


def _unfinished_as_json(training: Unfinished) -> dict[str, Any]:
    from ..training.checkpoints import epochs_done
    from ..utils.runs import is_locked

    return {"run": str(training.folder), "unfinished": True, "running": is_locked(training.folder),
            "kind": training.kind, "data": training.source, "options": training.options,
            "epochs": epochs_done(training.checkpoints)}  # fmt: skip


def _found(folder: Path) -> Path:
    """The folder, or the run of that name in the folder ``runs``."""
    inside = Path("runs") / folder
    return inside if not folder.exists() and inside.exists() else folder


def _as_json(run: Run) -> dict[str, Any]:
    return {"run": str(run.folder), **run.record}
