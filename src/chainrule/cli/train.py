"""``chainrule train``: from data of any kind to a model in a run folder."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from ..tasks import recognise
from ..tasks.kinds import kind_named
from ..tasks.option_values import WHOLE
from .console import indented, say, show, show_json, warn
from .doctor import attending, keep_findings
from .error_handling import FAILED, Debug
from .options import OPTIONS, foreign, read_config, read_options, with_options
from .outcome import finish, keep, need_an_epoch, show_use
from .processes import Asked, is_worker, joined, supervise, without_own
from .recording import PAGE, board_of, finish_board, measured, recorded, write_report
from .resume import Job, begun, command, in_words, reproduced, resumed, trained

if TYPE_CHECKING:
    from ..tasks import TrainingOptions
    from ..utils.runs import Run

_OUTPUT = "The output"


def _option(description: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *names, help=description, metavar=metavar, rich_help_panel=_OUTPUT, show_default=False
    )


def _process_option(description: str, metavar: str) -> Any:
    return typer.Option(
        help=description, metavar=metavar, rich_help_panel="Several processes", show_default=False
    )


@with_options(OPTIONS)
def train(
    ctx: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A table: CSV, TSV, Parquet, JSON lines, compressed too, a workbook, an SQLite or "
            "DuckDB file; - for standard input. "
            "Or a folder of images or sounds, with a folder for each class.",
            show_default=False,
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        _option("A file of options; the command line wins.", metavar="FILE.toml"),
    ] = None,
    out: Annotated[
        str | None,
        _option("Run folder; runs/DATA-DATE-N by default.", metavar="FOLDER"),
    ] = None,
    force: Annotated[bool, _option("Replace the run that is in the folder.", "--force")] = False,
    resume: Annotated[
        Path | None,
        _option("Go on with the unfinished training in this run folder.", metavar="RUN"),
    ] = None,
    allow_changes: Annotated[
        bool, _option("With --resume: although data or options are others.", "--allow-changes")
    ] = False,
    reproduce: Annotated[
        Path | None,
        _option("Train the run again, and compare every bit.", metavar="RUN"),
    ] = None,
    quiet: Annotated[
        bool, _option("Only the report, no progress and notes.", "--quiet", "-q")
    ] = False,
    tensorboard: Annotated[
        bool, _option("Event files for TensorBoard, in the run folder.", "--tensorboard")
    ] = False,
    show_c: Annotated[bool, _option("The C program of a training step, too.", "--show-c")] = False,
    as_json: Annotated[bool, _option("The report as one JSON document.", "--json")] = False,
    processes: Annotated[
        str | None,
        _process_option(
            "Train with so many processes, on this machine unless --process is given; "
            "auto: those that Slurm, Open MPI or Kubernetes has started.",
            metavar="N|auto",
        ),
    ] = None,
    process: Annotated[
        int | None,
        _process_option("The number of the process on this machine, from 0.", metavar="I"),
    ] = None,
    coordinator: Annotated[
        str | None,
        _process_option("Where the processes meet: an address of process 0.", metavar="HOST:PORT"),
    ] = None,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Train a network on data, and report how well it does on a part that it has not seen.

    Example: chainrule train houses.csv --target price
    """
    from ..utils.unfinished import Unfinished

    chosen = _chosen(ctx, config)
    if is_worker():
        with joined() as worker:
            chosen.setdefault("backend", "xla")
            if not worker.is_first:
                quiet, force = True, True
                if resume is None:
                    chosen["out"] = str(worker.scratch("out"))
                else:
                    resume = worker.scratch("run")
            _train(chosen, resume, allow_changes, force, quiet, tensorboard, show_c, as_json)
        return
    if processes is not None or process is not None or coordinator is not None:
        asked = Asked.of(processes or "", process, coordinator, chosen.get("backend"))
        raise typer.Exit(supervise(asked, without_own(sys.argv[1:])))
    if resume is not None and (record := Unfinished.read(resume)).model is not None:
        from .update import go_on

        go_on(record, chosen, quiet, as_json)
        return
    if reproduce is not None:
        _reproduce(reproduce, chosen, quiet, as_json)
        return
    _train(chosen, resume, allow_changes, force, quiet, tensorboard, show_c, as_json)


def _train(
    chosen: dict[str, Any], resume: Path | None, allow_changes: bool, force: bool, quiet: bool,
    tensorboard: bool, show_c: bool, as_json: bool,
) -> None:  # fmt: skip
    """The training itself, from the options to the report."""
    from ..utils.files import MODEL

    with _job(chosen, resume, allow_changes, force) as job, recorded(job) as recorder:
        watch = attending(quiet)
        recorder.measured = lambda: measured(watch)
        board = board_of(job) if tensorboard else None
        result = trained(job, quiet, (watch, recorder, *([board] if board else [])))
        need_an_epoch(result)
        source = {"path": job.record.path, "digest": job.record.digest}
        run, problem = keep(job.kind, result, job.options.to_json(), job.folder, source)
        keep_findings(watch, run)
        if not result.history.interrupted:
            job.record.remove()
        write_report(recorder, run, result)
        finish_board(board, run)
    if as_json:
        show_json({"run": str(run.folder), "model": str(run.folder / MODEL), **run.report})
    else:
        if show_c:
            show(result.source)
        _show_report(run)
    if result.history.interrupted and job.record.can_go_on:
        say(f"The training can go on: {command(job.folder)}")
    finish(result, problem)


def _job(
    chosen: dict[str, Any], resume: Path | None, allow_changes: bool, force: bool
) -> AbstractContextManager[Job]:
    """The training that is asked for: a new one, or one that goes on."""
    source, folder = chosen.pop("data", None), chosen.pop("out", None)
    if resume is not None:
        if source is not None or folder is not None:
            raise ConfigError(
                "A training that goes on has its data and its folder.",
                found=str(source or folder),
                hint=command(resume),
            )
        return resumed(resume, chosen, allow_changes)
    if source is None:
        raise ConfigError(
            "Which data is to be learned from?",
            expected="a file or a folder",
            hint="chainrule train houses.csv --target price",
        )
    what, options = _understood(source, chosen)
    if options.lr == 0:
        warn("With a learning rate of 0 nothing is learned; omit --lr to have one chosen.")
    return begun(what, source, options, folder, force)


def _reproduce(folder: Path, chosen: dict[str, Any], quiet: bool, as_json: bool) -> None:
    if chosen:
        raise ConfigError(
            "A run is reproduced with its own data and options.",
            found=", ".join(chosen),
            hint=f"chainrule train --reproduce {shlex.quote(str(folder))}",
        )
    found = reproduced(folder, quiet)
    show_json(found) if as_json else show(in_words(found))
    if not found["identical"]:
        raise typer.Exit(FAILED)


def _chosen(ctx: typer.Context, config: Path | None) -> dict[str, Any]:
    """The options by field: those of the file, and over them those of the command line."""
    known = {*OPTIONS, "data", "out"}
    # An underscore at the end is none of the option's: `from` is a word of Python.
    typed = {name.rstrip("_").replace("_", "-"): value for name, value in ctx.params.items()}
    typed = {
        name: value
        for name, value in typed.items()
        if name in known and value not in (None, [], ())
    }
    return (read_config(config) if config else {}) | read_options(typed)


def _understood(source: str, given: dict[str, Any]) -> tuple[str, TrainingOptions]:
    """The kind of the data, and the options as that kind takes them."""
    columns = dict(given.get("kinds", {}))
    named = columns.pop(WHOLE, None)
    if "image" in columns.values():  # pictures beside other columns
        named = named or "table"
    kind = kind_named(named or recognise(source, given.get("target"), given))
    given = {name: value for name, value in given.items() if name != "kinds"}
    if columns:
        given["kinds"] = columns
    fields = dataclasses.fields(kind.options)
    if strange := [name for name in given if name not in {field.name for field in fields}]:
        raise foreign(strange, kind.name)
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if "target" in needed and "target" not in given:
        raise _without_target(source, kind.options(**{"target": "any", **given}).reading)
    return kind.name, kind.options(**given)


def _without_target(source: str, reading: Any) -> ConfigError:
    """The target is still to be said, with the columns to choose from."""
    from ..data import read_table
    from ..data.source import with_reading

    columns = read_table(with_reading(source, reading), notes=[]).columns
    return ConfigError(
        "Which column is to be predicted?",
        where=source,
        expected=f"--target and one of {', '.join(columns[:20])}{', …' * (len(columns) > 20)}",
        hint=f"chainrule train {shlex.quote(source)} --target COLUMN",
    )


def _show_report(run: Run) -> None:
    from . import display

    content = run.report
    show("", display.report_title(content), "", indented(display.report(content)), "")
    if content.get("verdict"):
        show(content["verdict"])
    for sentence in content.get("notes") or ():
        show(sentence[:1].upper() + sentence[1:] + ".")
    for line in display.measured(content):
        show(line)
    show(display.training_line(content))
    show(f"The report, with pictures, is {run.folder / PAGE}.")
    show(f"The model is in {run.folder}. To use it:")
    show_use(run)
