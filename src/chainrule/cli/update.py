"""``chainrule update``: go on with a training on new rows only."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from . import present
from .console import indented, note, show, show_json, warn
from .failures import Debug
from .predict import Model

if TYPE_CHECKING:
    from ..kinds import Result

New = Annotated[
    str,
    typer.Argument(
        metavar="NEWDATA",
        help="New rows with the columns of the training and their target; - for standard input.",
        show_default=False,
    ),
]


def update(
    model: Model,
    data: New,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="How often to go through the new rows; enough for 100 steps by default.",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="The learning rate; 0.3 of the training's highest one by default.",
            metavar="RATE",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            help="Share of the new rows that judges the old model and the new one; 0.2 by default.",
            metavar="SHARE",
            show_default=False,
        ),
    ] = None,
    grow: Annotated[
        bool,
        typer.Option("--grow", help="Give new categories and classes a place in the network."),
    ] = False,
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Go on with a training on new rows only, into a new run; the old model stays as it is.

    Example: chainrule update runs/houses-2026-01-31-1 sold_in_february.csv
    """
    _check(epochs, lr, test)
    from ..kinds import KINDS, kind_of, module_of
    from ..model_file import load
    from ..runs import MODEL, default_folder, model_file, reserved, write_run

    file = model_file(model)
    kind = kind_of(load(file).schema, str(file))
    learn = getattr(module_of(kind), "update", None)
    if learn is None:
        raise ConfigError(
            f"Models of {kind} cannot be updated yet.",
            expected="a model of a table",
            hint="train a new one that begins with it: chainrule train … --from MODEL",
        )
    assert kind in KINDS
    options = {"epochs": epochs, "lr": lr, "test": test, "grow": grow}
    say: dict[str, Any] = {"progress": False} if quiet else {"say": note}
    with reserved(Path(out) if out else default_folder(data), replace=force) as place:
        result: Result = learn(file, data, **options, **say)
        given = {name: value for name, value in options.items() if value not in (None, False)}
        record = {
            "kind": kind,
            "data": result.report["data"]["source"],
            "target": result.report["target"],
            "options": {"from_model": str(model), **given},
            "report": result.report,
            "history": result.history.to_json(),
        }
        training = getattr(result, "save_training", None)
        run = write_run(place, result.save, record, training)
    if as_json:
        show_json({"run": str(run.folder), "model": str(run.folder / MODEL), **run.report})
    else:
        content = run.report
        rows = content["rows"]["test"]
        show("", f"On {rows:,} new rows that were held out; the target is {content['target']}", "")
        show(indented(present.report(content)), "", present.training_line(content))
        show(f"The new model is in {run.folder}; {model} is as it was. To use it:")
        show(f"  chainrule predict {shlex.quote(str(run.folder))} NEW_ROWS.csv")
    if _is_worse(run.report):
        warn("On the held-out new rows the new model is no better than the old one.")


def _check(epochs: int | None, lr: float | None, test: float | None) -> None:
    if epochs is not None and epochs < 1:
        raise ConfigError("There must be at least one epoch.", found=f"--epochs {epochs}")
    if lr is not None and not 0 < lr < float("inf"):
        raise ConfigError("The learning rate must be above 0.", found=f"--lr {lr}")
    if test is not None and not 0 < test < 1:
        raise ConfigError("The share of test rows is between 0 and 1.", found=f"--test {test}")


def _is_worse(report: dict[str, Any]) -> bool:
    """By the most telling metric."""
    from ..metrics import METRICS

    name, value = next(iter(report["metrics"].items()))
    before = report["baselines"]["before the update"].get(name)
    if value is None or before is None:
        return False
    return bool(value <= before if METRICS[name].higher_is_better else value >= before)
