"""``chainrule doctor``: what was wrong with a training, why, and the fix."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import note, show, show_json, warn
from .error_handling import FAILED, Debug

if TYPE_CHECKING:
    from ..doctor import Diagnosis, Doctor, Finding
    from ..tasks.kinds import Kind
    from ..utils.runs import Run

#: The fraction of the training's time that it may take.
_OVERHEAD = 0.02
#: How many fixes are tried, until one helps.
_TRIES = 3


def doctor(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.", show_default=False)],
    *,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Train again with the fix, or the next ones; kept if better."),
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(
            help="With --fix: the new run folder; runs/DATA-DATE-N by default.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    relabel: Annotated[
        Path | None,
        typer.Option(
            help="Write the rows whose class is probably wrong to a table to go through.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="With --fix, --relabel: no progress and notes.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The findings as one JSON document.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say what was wrong with a training, why, and what to change; exit status 1 if something was.

    Example: chainrule doctor runs/houses-2026-01-31-1
    """
    from ..doctor import Diagnosis
    from ..utils.runs import json_data, read_run
    from ..utils.unfinished import POLICY

    found = read_run(run)
    if found.record.get("kind") == POLICY and (fix or relabel is not None):
        raise _not_of_policies(found, Diagnosis.load(run) if fix else None)
    if relabel is not None:
        _relabelled(found, relabel, quiet)
        return
    diagnosis = Diagnosis.load(run)
    if fix:
        again = _fixed(found, diagnosis, out, quiet)
        show_json(again) if as_json else show(_in_words(again))
        if not again["kept"]:
            raise typer.Exit(FAILED)
        return
    if as_json:
        show_json({"run": str(run), "findings": json_data(diagnosis.to_json())})
    else:
        show(str(diagnosis))
        if any(finding.step is not None for finding in diagnosis):
            source = shlex.quote(_source(found))
            show("", f"Every number of a step: chainrule explain {shlex.quote(str(run))} {source}")
    if any(finding.severity != "note" for finding in diagnosis):
        raise typer.Exit(FAILED)


def _not_of_policies(run: Run, diagnosis: Diagnosis | None) -> ConfigError:
    """The error where something was asked for that is done with data only."""
    fix = next((one.fix for one in diagnosis or () if one.fix.options), None)
    command = str(run.record.get("command") or "")
    for name, value in fix.options.items() if fix else ():  # instead of what was given
        given = f"{value}".partition("=")[0] + r"=\S+" if name == "set" else r"\S+"
        command = re.sub(rf" --{name} {given}", "", command)
    return ConfigError(
        "A policy is trained again by `chainrule play` only." if diagnosis is not None
        else "Only the labels of tables can be gone through.",
        where=str(run.folder),
        found="a policy, which has no labels" if diagnosis is None else "a policy",
        hint=f"{command} {fix.arguments}" if fix else None,
    )  # fmt: skip


# ---- beside `chainrule train` --------------------------------------------------------------------


def attending(quiet: bool) -> Doctor:
    """The doctor beside a training; it tells each finding in a line as it arises."""
    from ..doctor import Doctor
    from ..doctor.diagnosis import one_line

    def tell(finding: Finding) -> None:
        if finding.severity != "note":
            warn(one_line(finding))

    return Doctor(overhead=_OVERHEAD, lints=False, say=None if quiet else tell)


def keep_findings(watch: Doctor, run: Run) -> None:
    """Write what was found beside the run; its report is evidence, too."""
    watch.add_report(run.report)
    watch.diagnosis.save(run.folder)


# ---- labels --------------------------------------------------------------------------------------


def _relabelled(run: Run, file: Path, quiet: bool) -> None:
    """Write the rows whose class is probably wrong."""
    from ..tasks.kinds import kind_named
    from ..utils.files import write_atomically
    from ..utils.numbers import counted
    from .predict import check_output, encode

    check_output(file)
    kind = kind_named(str(run.record.get("kind")))
    if kind.name != "table":
        raise ConfigError(
            "Only the labels of tables can be gone through.",
            where=str(run.folder),
            expected="a run of a table",
            found=f"a run of the kind {kind.name}",
        )
    from ..tasks.tabular.relabel import doubtful_labels

    options: Any = kind.options.from_json(run.options, whole=True)
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore")
        found = doubtful_labels(_source(run), options, (lambda _: None) if quiet else note)
    write_atomically(file, encode(found, file.suffix.lower()))
    show(f"{counted(found.height, 'row')} with an improbable label, the surest first: {file}")


def _source(run: Run) -> str:
    """Where the data of the run are."""
    source = run.record.get("source")
    known = source.get("path") if isinstance(source, dict) else None
    return str(known or run.record.get("data"))


# ---- fixing --------------------------------------------------------------------------------------


def _fixed(run: Run, diagnosis: Diagnosis, out: str | None, quiet: bool) -> dict[str, Any]:
    """Train again with fixes that can be said by options, one after another, until one helps."""
    from ..tasks.kinds import kind_named
    from .options import OPTIONS

    kind = kind_named(str(run.record.get("kind")))
    fields = {field.name for field in dataclasses.fields(kind.options)}
    usable = [
        finding
        for finding in diagnosis
        if finding.fix.options
        and all(n in OPTIONS and OPTIONS[n].field in fields for n in finding.fix.options)
    ]
    if not diagnosis:
        raise ConfigError("There is nothing to fix: the doctor has found nothing wrong.",
                          where=str(run.folder))  # fmt: skip
    if not usable:
        raise ConfigError(
            "No finding has a fix that is a change of options.",
            where=str(run.folder),
            found=f"{len(diagnosis)} finding{'s' * (len(diagnosis) != 1)}",
            hint=f"chainrule doctor {shlex.quote(str(run.folder))} says what to do.",
        )
    tried: list[dict[str, Any]] = []
    for finding in usable[:_TRIES]:
        if not quiet:
            note(f"With {finding.fix.arguments}:")
        found, interrupted = _trained_again(run, kind, finding, out, quiet)
        tried.append(found)
        if found["kept"] or interrupted:
            break
    return {"run": str(run.folder), **tried[-1], "tried": tried}


def _trained_again(
    run: Run, kind: Kind, finding: Finding, out: str | None, quiet: bool
) -> tuple[dict[str, Any], bool]:
    """What came of a fix, and whether the training was interrupted; kept if it is better."""
    from .options import read_options
    from .outcome import keep, need_an_epoch
    from .recording import measured, recorded, write_report
    from .resume import begun, trained

    changed = read_options(finding.fix.options, "the fix")
    options: Any = kind.options.from_json(run.options | changed, whole=True)
    with (
        begun(kind.name, _source(run), options, out, force=False) as job,
        recorded(job) as recorder,
    ):
        watch = attending(quiet)
        recorder.measured = lambda: measured(watch)
        result = trained(job, quiet, (watch, recorder))
        need_an_epoch(result)
        before, after = _best(run.record.get("history")), _best(result.history.to_json())
        better = after is not None and (before is None or after < before)
        left: list[str] = []
        if better:
            place = {"path": job.record.path, "digest": job.record.digest}
            new, _ = keep(kind.name, result, options.to_json(), job.folder, place)
            keep_findings(watch, new)
            left = [one.cause for one in watch.diagnosis if one.severity != "note"]
            write_report(recorder, new, result)
        else:
            recorder.discard()
            shutil.rmtree(job.record.checkpoints, ignore_errors=True)
        job.record.remove()
    found = {
        "fix": finding.to_json()["fix"],
        "cause": finding.cause,
        "val_loss": before,
        "val_loss_fixed": after,
        "kept": better,
        "fixed": str(job.folder) if better else None,
        "left": left,
    }
    return found, result.history.interrupted


def _best(history: Any) -> float | None:
    """The least validation loss."""
    epochs = history.get("epochs", []) if isinstance(history, dict) else []
    found = [e["val_loss"] for e in epochs if isinstance(e.get("val_loss"), float)]
    return min(found, default=None)


def _in_words(found: dict[str, Any]) -> str:
    """A line for each fix that was tried."""
    from ..doctor.causes import CAUSES
    from ..doctor.finding import Fix

    lines = []
    for one in found["tried"]:
        after, before = _short(one["val_loss_fixed"]), _short(one["val_loss"])
        outcome = (f"The new run is in {one['fixed']}." if one["kept"]
                   else "That is no better, and was not kept.")  # fmt: skip
        if one["left"]:
            outcome += f" What is left: {', '.join(CAUSES[cause] for cause in one['left'])}."
        lines.append(f"With {Fix(**one['fix']).arguments}: validation loss {after}, before "
                     f"{before}. {outcome}")  # fmt: skip
    return "\n".join(lines)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
