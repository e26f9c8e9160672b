"""Trainings that can go on, and trainings that are repeated: ``--resume`` and ``--reproduce``."""

from __future__ import annotations

import dataclasses
import shlex
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError
from ..tasks.kinds import kind_named
from ..utils.signals import Terminated
from ..utils.unfinished import POLICY
from .console import say, warn
from .options import OPTIONS

if TYPE_CHECKING:
    from ..tasks import TrainingOptions
    from ..tasks.result import TrainingResult
    from ..training import Callback, Checkpoints
    from ..utils.runs import Run
    from ..utils.unfinished import Unfinished

#: What changes no bit of the result, and for how long a training goes on.
_FREE = {"threads", "minutes"}


@dataclass(frozen=True)
class Job:
    """A training that the command line starts or goes on with.

    Attributes:
        kind: of the data.
        source: the data, as they were named.
        data: where they are.
        options: of the training.
        record: in the run folder.
        checkpoints: that it writes; none of data from standard input.
    """

    kind: str
    source: str
    data: str
    options: TrainingOptions
    record: Unfinished
    checkpoints: Checkpoints | None = None

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.record.folder


@contextmanager
def begun(
    kind: str, source: str, options: TrainingOptions, folder: str | None, force: bool
) -> Iterator[Job]:
    """A new training, whose run folder is reserved."""
    from ..training import Checkpoints
    from ..utils.runs import new_folder, reserved
    from ..utils.unfinished import Unfinished, digest_of

    path = None if source == "-" else Path(source).absolute()
    with reserved(Path(folder), replace=force) if folder else new_folder(source) as place:
        if path is not None and path.exists() and not (path.is_file() or path.is_dir()):
            path = None  # a pipe, such as <(zcat data.gz): like standard input it is read once
        digest = digest_of(path) if path is not None and path.exists() else None
        record = Unfinished(place, kind, source, None if path is None else str(path), digest,
                            options.to_json())  # fmt: skip
        record.remove()  # what --force replaces
        if path is None:
            yield Job(kind, source, source, options, record)
            return
        record.write()
        job = Job(kind, source, source, options, record, Checkpoints(record.checkpoints))
        with going_on(record, source):
            yield job


@contextmanager
def resumed(folder: Path, typed: Mapping[str, Any], allow_changes: bool) -> Iterator[Job]:
    """The unfinished training in a run folder.

    Raises:
        DataError: there is none, or its data are not there or have changed.
        ConfigError: other options were given, or another process goes on with it.
    """
    from ..training import Checkpoints
    from ..utils.runs import reserved
    from ..utils.unfinished import Unfinished

    Unfinished.read(folder)  # before anything is made
    with reserved(folder, replace=True):
        record = Unfinished.read(folder)
        if record.kind == POLICY:
            raise ConfigError("The training is one of an agent.", where=str(folder),
                              hint=record.command)  # fmt: skip
        kind = kind_named(record.kind)
        typed = _with_minutes_before(_changed(record.options, typed, allow_changes), record)
        options = kind.options.from_json(record.options | typed, whole=True)
        check_data(record, allow_changes)
        checkpoints = Checkpoints(record.checkpoints, resume=True, allow_changes=allow_changes)
        job = Job(kind.name, record.source, str(record.path), options, record, checkpoints)
        with going_on(record, job.data):
            yield job


@contextmanager
def going_on(record: Unfinished, data: str | None) -> Iterator[None]:
    """However the work ends: the record goes if there is nothing to go on from.

    Args:
        record: of the training or update.
        data: the path of what it learns from, if that is a file.
    """
    before = _stamp(data)
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        if record.can_go_on:
            say("", f"Interrupted. To go on: {record.command}")
        else:
            say("", "Interrupted before there was anything to go on from.")
            record.remove()
        raise error if isinstance(error, Terminated) else Terminated(signal.SIGINT) from None
    except BaseException:
        if not record.can_go_on:
            record.remove()
        raise
    if _stamp(data) != before:
        warn(f"{record.source} was changed while the training ran.")


def command(folder: Path) -> str:
    """What goes on with a training."""
    return f"chainrule train --resume {shlex.quote(str(folder))}"


def _stamp(path: str | None) -> tuple[int, int] | None:
    """Tells whether a file has been changed."""
    if path is None:
        return None
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _changed(
    before: Mapping[str, Any], typed: Mapping[str, Any], allow_changes: bool
) -> dict[str, Any]:
    """The options that were typed, if they may be others than before."""
    names = {option.field: name for name, option in OPTIONS.items()}
    others = {
        name: value
        for name, value in typed.items()
        if name not in _FREE and before.get(name) != _plain(value)
    }
    if others and not allow_changes:
        said = ", ".join(f"--{names.get(name, name)} {value}" for name, value in others.items())
        raise ConfigError(
            "The options of a training that goes on are those that it began with.",
            found=said,
            hint="Omit them, or say --allow-changes: the result is then not that of one training.",
        )
    return dict(typed)


def _with_minutes_before(typed: dict[str, Any], record: Unfinished) -> dict[str, Any]:
    """The minutes that are given to a training count from now on; the record has them all."""
    from ..training.checkpoints import seconds_spent

    if typed.get("minutes") is None:
        return typed
    typed = typed | {"minutes": typed["minutes"] + seconds_spent(record.checkpoints) / 60}
    dataclasses.replace(record, options=record.options | {"minutes": typed["minutes"]}).write()
    return typed


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def check_data(record: Unfinished, allow_changes: bool) -> None:
    """Refuse to go on with other data than before.

    Raises:
        DataError: they are not there, or have other bytes.
    """
    from ..utils.unfinished import digest_of

    path = Path(record.path or "")
    if record.path is None or not path.exists():
        raise DataError("The data of the training are not there any more.", where=record.path)
    if not allow_changes and digest_of(path) != record.digest:
        raise DataError(
            "The data are no longer those that the training began with.",
            where=record.path,
            hint="Restore them, or say --allow-changes: the result is then not that of one "
            "training.",
        )


# ---------------------------------------------------------------- once more


def reproduced(folder: Path, quiet: bool) -> dict[str, Any]:
    """Train a run again, in a folder for temporary files, and compare.

    Returns:
        ``identical`` (the model file has the same SHA-256), ``model`` and ``again`` (these),
        ``epochs`` and ``first_difference`` (the first epoch whose loss has other bits, or None).

    Raises:
        DataError: the run does not say what its data were, or they have changed.
    """
    from ..utils.files import MODEL
    from ..utils.runs import read_run
    from ..utils.unfinished import Unfinished, digest_of

    run = read_run(folder)
    source = run.record.get("source")
    if not isinstance(source, dict) or not source.get("digest"):
        raise DataError(
            "The run does not say which bytes its data had.",
            where=str(folder),
            hint="Runs of data from standard input, updates, and older runs do not; train on the "
            "file anew.",
        )
    kind = kind_named(str(run.record.get("kind")))
    options = kind.options.from_json(run.options, whole=True)
    record = Unfinished(folder, kind.name, str(run.record.get("data")), source.get("path"),
                        source.get("digest"), run.options)  # fmt: skip
    check_data(record, allow_changes=False)
    result = trained(Job(kind.name, record.source, str(record.path), options, record), quiet)
    with tempfile.TemporaryDirectory(prefix="chainrule-") as temporary:
        file = Path(temporary, MODEL)
        result.save(file)
        again = digest_of(file)
    losses = [epoch.get("loss") for epoch in _epochs(run)]
    now = [epoch["loss"] for epoch in result.history]
    pairs = zip(losses, now, strict=False)
    different = [number for number, (a, b) in enumerate(pairs, 1) if a != b]
    if not different and len(losses) != len(now):
        different = [min(len(losses), len(now)) + 1]
    model = digest_of(folder / MODEL)
    return {
        "run": str(folder),
        "identical": model == again and not different,
        "model": model,
        "again": again,
        "epochs": len(now),
        "first_difference": different[0] if different else None,
        "versions": {"run": run.record.get("versions")},
    }


def _epochs(run: Run) -> list[dict[str, Any]]:
    history = run.record.get("history")
    return list(history.get("epochs", [])) if isinstance(history, dict) else []


def in_words(found: Mapping[str, Any]) -> str:
    """What `reproduced` found, as a sentence."""
    if found["identical"]:
        return (
            f"Reproduced: the model file has the same bits (SHA-256 {found['model'][:16]}…), and "
            f"so has the loss of each of the {found['epochs']} epochs."
        )
    where = (
        f"the loss differs from epoch {found['first_difference']} on"
        if found["first_difference"] is not None
        else "the losses of all epochs are the same"
    )
    return f"Not reproduced: the model file differs; {where}."


# ---------------------------------------------------------------- the training


def trained(job: Job, quiet: bool, callbacks: tuple[Callback, ...] = ()) -> TrainingResult:
    """Train, and tell what is going on unless the user wants quiet."""
    from ..tasks import module_of
    from .console import note

    said: set[str] = set()

    def tell(schema: Any) -> None:
        from . import display

        say("", display.understood(schema), "")
        for sentence in schema.notes:
            if sentence not in said:
                warn(sentence)

    def tell_note(sentence: str) -> None:
        said.add(sentence)
        note(sentence)

    how: dict[str, Any] = {"progress": False} if quiet else {"say": tell_note, "on_schema": tell}
    train = module_of(job.kind).train
    result: TrainingResult = train(
        job.data, job.options, checkpoints=job.checkpoints, callbacks=callbacks, **how
    )
    result.report["data"]["source"] = job.source
    return result
