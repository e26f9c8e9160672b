"""``chainrule update``: go on with a training on new data only, of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, DataError
from ..tasks.update_options import UpdateOptions
from . import display
from .console import indented, note, say, show, show_json, warn
from .error_handling import Debug
from .options import gathered, with_options
from .outcome import finish, keep, need_an_epoch, show_use
from .predict import Model
from .recording import PAGE, recording, write_report
from .resume import check_data, command, going_on

if TYPE_CHECKING:
    from ..report import Recorder
    from ..tasks.result import TrainingResult
    from ..training import Checkpoints
    from ..utils.runs import Run
    from ..utils.unfinished import Unfinished

New = Annotated[
    str,
    typer.Argument(
        metavar="NEWDATA",
        help="New data as those of the training, with their target: a table (- for standard "
        "input), a folder of images, sounds or texts, or a text.",
        show_default=False,
    ),
]


@with_options(gathered({"": UpdateOptions}))
def update(
    model: Model,
    data: New,
    *,
    out: Annotated[
        str | None,
        typer.Option(
            help="The run folder; runs/NEWDATA-DATE-N by default.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the run that is in the folder.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only the report, no progress and notes.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as one JSON document.")
    ] = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Go on with a training on new data only, into a new run; the old model stays as it is.

    Example: chainrule update runs/houses-2026-01-31-1 sold_in_february.csv
    """
    requested = {name: value for name, value in given.items() if value is not None}
    from ..training import Checkpoints
    from ..utils.runs import default_folder, model_file, reserved
    from ..utils.unfinished import Unfinished, digest_of

    file = model_file(model)
    with reserved(Path(out) if out else default_folder(data), replace=force) as place:
        path = None if data == "-" else Path(data).absolute()
        if path is not None and path.exists() and not (path.is_file() or path.is_dir()):
            path = None  # a pipe, which is read once
        record = Unfinished(
            place, "update", data, None if path is None else str(path),
            None if path is None or not path.exists() else digest_of(path),
            {"from_model": str(model), **requested}, str(file.absolute()), digest_of(file),
        )  # fmt: skip
        record.remove()  # what --force replaces
        if path is None:
            _update(record, requested, None, quiet, as_json)
            return
        record.write()
        with going_on(record, str(path)):
            _update(record, requested, Checkpoints(record.checkpoints), quiet, as_json)


def go_on(record: Unfinished, chosen: dict[str, Any], quiet: bool, as_json: bool) -> None:
    """Go on with an update that was interrupted: ``chainrule train --resume RUN``.

    Args:
        record: of the update.
        chosen: options that were typed, of which there may be none.
        quiet: only the report.
        as_json: as one JSON document.

    Raises:
        ConfigError: there are options.
        DataError: the model or the data are not those that it began with.
    """
    from ..training import Checkpoints
    from ..utils.runs import reserved
    from ..utils.unfinished import Unfinished, digest_of

    if chosen:
        raise ConfigError("An update that goes on has the options that it began with.",
                          found=", ".join(chosen), hint=command(record.folder))  # fmt: skip
    with reserved(record.folder, replace=True):
        record = Unfinished.read(record.folder)
        file = Path(record.model or "")
        if not file.exists() or digest_of(file) != record.model_digest:
            raise DataError("The model of the update is not the one that it began with.",
                            where=str(file), hint="Begin again: chainrule update")  # fmt: skip
        check_data(record, allow_changes=False)
        requested = {name: tuple(value) if isinstance(value, list) else value
                     for name, value in record.options.items() if name != "from_model"}  # fmt: skip
        with going_on(record, str(record.path)):
            checkpoints = Checkpoints(record.checkpoints, resume=True)
            _update(record, requested, checkpoints, quiet, as_json)


def _update(
    record: Unfinished, requested: dict[str, Any], checkpoints: Checkpoints | None, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """The update of a record, into its run folder."""
    from ..tasks.update import is_no_better
    from ..utils.files import MODEL

    file, place = Path(record.model or ""), record.folder
    replaces = (place / MODEL).resolve() == file.resolve()
    about = {"data": record.source, "options": record.options}
    with recording(place, about, lambda: record.can_go_on) as recorder:
        data = record.source if record.path is None else record.path
        result = _updated(file, data, requested, quiet, recorder, checkpoints)
        result.report["data"]["source"] = record.source
        run, problem = keep(result.report["data"]["kind"], result, record.options, place)
        if not result.history.interrupted:
            record.remove()
        write_report(recorder, run, result)
    if as_json:
        show_json({"run": str(run.folder), "model": str(run.folder / MODEL), **run.report})
    else:
        old = record.options["from_model"]
        _show_report(run, "it replaces the old one" if replaces else f"{old} is as it was")
    if is_no_better(result.report):
        warn("On what was held out of the new data the new model is no better than the old one.")
    if result.history.interrupted and record.can_go_on:
        say(f"The update can go on: {command(place)}")
    finish(result, problem)


def _updated(
    file: Path, data: str, requested: dict[str, Any], quiet: bool, recorder: Recorder,
    checkpoints: Checkpoints | None,
) -> TrainingResult:  # fmt: skip
    """The model after the update, and what is done meanwhile, unless the user wants quiet."""
    from ..tasks.update import update as learn

    how: dict[str, Any] = {"progress": False} if quiet else {"say": note}
    result = learn(file, data, callbacks=[recorder], checkpoints=checkpoints, **how, **requested)
    need_an_epoch(result)
    return result


def _show_report(run: Run, fate: str) -> None:
    content = run.report
    held_out = f"{content['rows']['test']:,} new {content['unit']} that were held out"
    show("", f"On {held_out}; the target is {content['target']}", "")
    show(indented(display.report(content)), "", display.training_line(content))
    show(f"The report, with pictures, is {run.folder / PAGE}.")
    show(f"The new model is in {run.folder}; {fate}. To use it:")
    show_use(run)
