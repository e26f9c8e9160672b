"""Run folders: one folder a training, with the model and what was recorded about it.

A run folder holds ``model.safetensors`` and ``run.json``, and ``training.safetensors`` where the
training can be continued. They are written beside their places and renamed when all are whole,
so that neither a full disk nor an interruption leaves half a run or harms an older one.
"""

from __future__ import annotations

import datetime
import fcntl
import importlib.metadata
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ChainruleError, ConfigError, DataError
from .files import MODEL, TRAINING, make_folder, sync_folder, write_atomically
from .unfinished import UNFINISHED, Unfinished, digest_of

RECORD = "run.json"
_LOCK = ".lock"
_FORMAT, _VERSION = "chainrule.run", 1


@dataclass(frozen=True)
class Run:
    """A training that is over.

    Attributes:
        folder: where it is.
        record: the content of ``run.json``: ``created``, ``data``, ``target``, ``options``,
            ``report``, ``history``, ``versions``.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def options(self) -> dict[str, Any]:
        """The options that were given."""
        return _mapping(self.record.get("options"))

    @property
    def report(self) -> dict[str, Any]:
        """What was measured: ``metrics``, ``baselines``, ``rows``, ``seconds`` and so on."""
        return _mapping(self.record.get("report"))

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics on the held-out rows, the most important first."""
        return _mapping(self.report.get("metrics"))


def _mapping(value: Any) -> dict[str, Any]:
    """The record may have been edited by hand: what is no mapping counts as empty."""
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------- before a training


def default_folder(source: str, root: Path = Path("runs")) -> Path:
    """A free folder for a training on this data: ``runs/<data>-<date>-<n>``.

    Example:
        >>> default_folder("data/house prices.csv.gz", Path("my runs")).as_posix()
        'my runs/house-prices-...-1'
    """
    stem = Path(source).name.split(".")[0] if source != "-" else "stdin"
    stem = re.sub(r"[^\w-]+", "-", stem).strip("-") or "data"
    start = f"{stem}-{datetime.date.today():%Y-%m-%d}"
    number = 1
    while (root / f"{start}-{number}").exists():
        number += 1
    return root / f"{start}-{number}"


@contextmanager
def new_folder(source: str, root: Path = Path("runs")) -> Iterator[Path]:
    """`default_folder`, reserved; another one if another process is quicker.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    with ExitStack() as stack:
        while True:
            folder = default_folder(source, root)
            try:
                stack.enter_context(reserved(folder))
            except InUseError:
                continue
            break
        yield folder


class InUseError(ConfigError):
    """Another process writes to the folder."""


@contextmanager
def reserved(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Make sure, before a long training, that its run can be written to this folder.

    Meanwhile no other process can reserve it. Folders that were made for it are removed again if
    nothing has been written in the end.

    Args:
        folder: made if it does not exist.
        replace: allow that the folder holds a run already.

    Raises:
        ConfigError: the folder holds a run, or cannot be made or written to.
        InUseError: another process has reserved it.
    """
    made: list[Path] = []
    try:
        with _explained(folder):
            made = make_folder(folder)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"chainrule")
        with locked(folder):
            if not replace:
                _need_no_run(folder)
            yield folder
    finally:
        for part in reversed(made):
            with suppress(OSError):
                part.rmdir()  # only does so if it is empty


def _need_no_run(folder: Path) -> None:
    if (folder / UNFINISHED).exists():
        raise ConfigError(
            "The folder holds a training that is not finished.",
            where=str(folder),
            hint=f"Go on with it: {Unfinished.read(folder).command}; or start anew with --force.",
        )
    if found := [name for name in (MODEL, RECORD) if (folder / name).exists()]:
        raise ConfigError(
            "The folder already holds a run.",
            where=str(folder),
            expected="a new or empty folder",
            found=" and ".join(found),
            hint="name another folder with --out, or replace the run with --force",
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder; the lock goes with the process, however it ends.

    Raises:
        InUseError: another process is in it.
    """
    path = folder / _LOCK
    descriptor = _lock(path, folder)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _lock(path: Path, folder: Path) -> int:
    """A descriptor that holds the lock, on the file that has this name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InUseError(
                "Another process is training into this folder.",
                where=str(folder),
                hint="Wait until it is done, or name another folder with --out.",
            ) from None
        except OSError:
            return descriptor  # a file system without locks
        with suppress(OSError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)  # its owner removed it before it could be locked


def is_locked(folder: Path) -> bool:
    """Whether a process is training into this folder."""
    if not (folder / _LOCK).exists():
        return False
    try:
        with locked(folder):
            return False
    except InUseError:
        return True


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """What the system says about a folder, as an error that names it."""
    try:
        yield
    except (ChainruleError, OSError, ValueError) as error:  # ValueError: a null byte in the path
        found = str(getattr(error, "found", None) or getattr(error, "strerror", None) or error)
        raise ConfigError(
            "The run cannot be written.",
            where=str(folder),
            expected="a folder that can be written to, and space on its disk",
            found=found,
            hint="name another folder with --out",
        ) from error


# ---------------------------------------------------------------- after a training


def write_run(
    folder: Path,
    save: Callable[[Path], object],
    record: Mapping[str, Any],
    save_training: Callable[[Path, str], object] | None = None,
) -> Run:
    """Write the model and the record of a training, all or nothing.

    Args:
        folder: made if it does not exist; a run that it holds is replaced.
        save: writes the model to the path that it is given.
        record: JSON data; the time and the versions of the programs are added.
        save_training: writes the state of the optimizer to the path that it is given, with the
            SHA-256 of the model that it belongs to.

    Raises:
        ConfigError: the folder cannot be written to, or the disk is full.
    """
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        **json_data(record),
        "versions": versions(),
    }
    with _explained(folder):
        make_folder(folder)
        for left in folder.glob(".unfinished-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            model, described = Path(unfinished, MODEL), Path(unfinished, RECORD)
            training = Path(unfinished, TRAINING)
            save(model)
            content["model_sha256"] = digest = digest_of(model)
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
            write_atomically(described, text.encode())
            if save_training is not None:
                save_training(training, digest)
            _remove_replaced(folder)
            for path in (training, model, described):
                if path.exists():
                    path.replace(folder / path.name)
            sync_folder(folder)
    return Run(folder, content)


def _remove_replaced(folder: Path) -> None:
    """What belongs to the model that is replaced: at no moment may it stand beside the new one."""
    old = [folder / name for name in (RECORD, TRAINING) if (folder / name).exists()]
    for path in old:
        path.unlink()
    if old:
        sync_folder(folder)


def versions() -> dict[str, str]:
    """Those of the programs that a training runs with."""
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "polars")}
    return {"chainrule": __version__, "python": platform.python_version(), **packages}


def json_data(value: Any) -> Any:
    """Anything as JSON data: what JSON has no word for, such as NaN, is null.

    Example:
        >>> json_data({"widths": (8, 8), "r2": float("nan")})
        {'widths': [8, 8], 'r2': None}
    """
    if isinstance(value, Mapping):
        return {str(key): json_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_data(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return json_data(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


# ---------------------------------------------------------------- reading


def read_run(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        DataError: there is no run, or its record is damaged or of a later version.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            "There is no run here.",
            where=str(folder),
            expected=f"a folder with {MODEL} and {RECORD}",
            hint="`chainrule runs` lists the runs that there are",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            "The record of the run cannot be read.", where=str(path), found=str(error)
        ) from None
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise DataError(
            "This is not the record of a run.",
            where=str(path),
            expected=f'"format": "{_FORMAT}"',
        )
    if record.get("version") != _VERSION:
        raise DataError(
            "The record of the run is of another version.",
            where=str(path),
            expected=f"version {_VERSION}",
            found=f"version {record.get('version')!r:.40}",
            hint="read it with the version of chainrule that wrote it",
        )
    return Run(folder, record)


def find_runs(root: Path) -> tuple[list[Run], list[DataError]]:
    """The runs in the folders of this folder, newest first, and why others could not be read.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(
            "There is no such folder.",
            where=str(root),
            hint="`chainrule train` makes the folder runs in the current folder",
        )
    runs, damaged = [], []
    for record in root.glob(f"*/{RECORD}"):
        try:
            runs.append(read_run(record.parent))
        except DataError as error:
            damaged.append(error)
    runs.sort(key=lambda run: (str(run.record.get("created")), run.name), reverse=True)
    return runs, damaged


def model_file(path: Path) -> Path:
    """The model file that a user means: the file itself, or the one of a run folder.

    Raises:
        DataError: a folder without a model.
    """
    if not path.is_dir():
        return path
    if (path / MODEL).is_file():
        return path / MODEL
    inside = sorted(record.parent.name for record in path.glob(f"*/{MODEL}"))
    raise DataError(
        "This folder holds no model.",
        where=str(path),
        expected=f"a run folder, with {MODEL}",
        hint=f"name a run in it, such as {path / inside[-1]}"
        if inside
        else "`chainrule runs` lists the runs that there are",
    )
