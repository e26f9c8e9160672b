"""What becomes of a training: it is written, its use is said, and the exit code tells the rest."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import ChainruleError, ConfigError
from .console import say, show
from .error_handling import FAILED, INTERRUPTED, explain

if TYPE_CHECKING:
    from ..tasks.result import TrainingResult
    from ..utils.runs import Run


def need_an_epoch(result: TrainingResult) -> None:
    """Stop as after Ctrl-C if the training was interrupted in its first epoch."""
    if result.history.interrupted and not len(result.history):
        say("No epoch was finished: there is no model to keep.")
        raise KeyboardInterrupt


def keep(
    kind: str,
    result: TrainingResult,
    options: dict[str, Any],
    folder: Path,
    source: dict[str, Any] | None = None,
) -> tuple[Run, ChainruleError | None]:
    """Write the run; if that is not possible any more, then where temporary files go.

    Args:
        kind: of the data.
        result: of the training.
        options: that were given.
        folder: of the run.
        source: path and digest of the data.
    """
    from ..utils.runs import write_run

    record = {
        "kind": kind,
        "data": result.report["data"]["source"],
        "source": source,
        "target": result.report["target"],
        "options": options,
        "report": result.report,
        "history": result.history.to_json(),
    }
    try:
        return write_run(folder, result.save, record, result.save_training), None
    except ConfigError as problem:
        elsewhere = Path(tempfile.mkdtemp(prefix="chainrule-"))
        return write_run(elsewhere, result.save, record, result.save_training), problem


def show_use(run: Run) -> None:
    """The command that takes the model."""
    from ..tasks.kinds import KINDS

    folder = shlex.quote(str(run.folder))
    if run.report.get("task") == "language":
        show(f"  chainrule generate {folder} --prompt 'Once upon a time'")
    elif run.report.get("task") == "texts":
        show(f"  chainrule {run.report.get('command', 'translate')} {folder}")
    else:
        new = KINDS[run.record["kind"]].new
        show(f"  chainrule predict {folder} {new} --out predictions.csv")


def finish(result: TrainingResult, problem: ChainruleError | None) -> None:
    """Say what was not as it should be, and leave with an exit code that tells it, too."""
    failures = [error for error in (result.failure, problem) if error is not None]
    for error in failures:
        say("", *explain(error))
    if result.failure is not None:
        say("The model of the best epoch before that is kept.")
    if failures:
        raise typer.Exit(FAILED)
    if result.history.interrupted:
        raise typer.Exit(INTERRUPTED)
