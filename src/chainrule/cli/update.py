"""``chainrule update``: go on with a training on new data only, of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..tasks.update_options import UpdateOptions
from . import display
from .console import indented, note, show, show_json, warn
from .error_handling import Debug
from .options import gathered, with_options
from .outcome import finish, keep, need_an_epoch, show_use
from .predict import Model
from .recording import PAGE, recording, write_report

if TYPE_CHECKING:
    from ..report import Recorder
    from ..tasks.result import TrainingResult
    from ..utils.runs import Run

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
    from ..utils.files import MODEL
    from ..utils.runs import default_folder, model_file, reserved

    file = model_file(model)
    replaces = out is not None and (Path(out) / MODEL).resolve() == file.resolve()
    options = {"from_model": str(model), **requested}
    with (
        reserved(Path(out) if out else default_folder(data), replace=force) as place,
        recording(place, {"data": data, "options": options}) as recorder,
    ):
        result = _updated(file, data, requested, quiet, recorder)
        run, problem = keep(result.report["data"]["kind"], result, options, place)
        write_report(recorder, run, result)
    if as_json:
        show_json({"run": str(run.folder), "model": str(run.folder / MODEL), **run.report})
    else:
        _show_report(run, "it replaces the old one" if replaces else f"{model} is as it was")
    from ..tasks.update import is_no_better

    if is_no_better(result.report):
        warn("On what was held out of the new data the new model is no better than the old one.")
    finish(result, problem)


def _updated(
    file: Path, data: str, requested: dict[str, Any], quiet: bool, recorder: Recorder
) -> TrainingResult:
    """The model after the update, and what is done meanwhile, unless the user wants quiet."""
    from ..tasks.update import update as learn

    say: dict[str, Any] = {"progress": False} if quiet else {"say": note}
    result = learn(file, data, callbacks=[recorder], **say, **requested)
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
