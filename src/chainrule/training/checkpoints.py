"""Checkpoints: a training that is killed goes on from the last one, to the same bits.

A folder holds one folder for each checkpoint, named by the steps that are done (``-001`` follows
where the same step was written before, as at the end of its epoch)::

    step-000000001200/
        state.safetensors   the arrays
        manifest.json       all else, and size and SHA-256 of the arrays

It is written under another name, each file to the disk, the manifest last, and then renamed. The
newest one whose hashes agree counts; the one before it goes only after that was verified.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from ..errors import ChainruleError, ConfigError, ModelFileError
from ..utils.background import in_background
from ..utils.environment import seconds
from ..utils.files import make_folder, sync_folder, write_atomically
from ..utils.typing import Array

_FORMAT, _VERSION = "chainrule.checkpoint", 1
_STATE, _MANIFEST = "state.safetensors", "manifest.json"
_NAME = re.compile(r"step-\d{12}(-\d{3})?")
#: A manifest has a line for each epoch; more than this is none of ours.
_LARGEST_MANIFEST = 100_000_000
#: The least time from one checkpoint to the next, in multiples of what one takes: 2 % at most.
_TIMES_OF_COST = 50


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one moment.

    Attributes:
        step: how many steps are done.
        arrays: by name.
        facts: all else, as JSON data.
    """

    step: int
    arrays: Mapping[str, Array]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The size of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())


class Checkpoints:
    """Where a training leaves its checkpoints, and how often.

    They are written by another thread beside the training, at ends of epochs and within long ones,
    at most once in ``every`` seconds, and so seldom that writing takes no more than 2 % of the
    time. Where one cannot be written, the training says so and goes on.

    Args:
        folder: made when the first one is written.
        every: seconds from one to the next, at least; by default 10, or what the environment
            variable CHAINRULE_CHECKPOINT_SECONDS says.
        keep: how many are kept.
        resume: go on from the newest one, if there is one.
        allow_changes: go on although data or options are no longer those of the checkpoint.

    Example:
        >>> import tempfile
        >>> checkpoints = Checkpoints(tempfile.mkdtemp(), every=0)
        >>> checkpoints.write(Snapshot(3, {"w": np.ones(2)}, {"epoch": 1}))
        >>> checkpoints.newest().facts
        {'epoch': 1}
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every: float | None = None,
        keep: int = 2,
        resume: bool = False,
        allow_changes: bool = False,
    ) -> None:
        every = seconds("CHAINRULE_CHECKPOINT_SECONDS", 10) if every is None else every
        if not every >= 0 or keep < 1:
            raise ConfigError("Invalid value for the checkpoints.",
                              expected="every at least 0 and keep at least 1",
                              found=f"every={every}, keep={keep}")  # fmt: skip
        self.folder = Path(folder)
        self.every = every
        self.keep = keep
        self.resume = resume
        self.allow_changes = allow_changes
        self._parts = 0
        self._cost = 0.0
        self._last = time.monotonic()
        self._writing: Future[None] | None = None

    def next_part(self) -> Checkpoints:
        """For each fit of a training that consists of several, a folder inside: ``fit-1``, ….

        They come in the same order when the training goes on; those that are done are not trained
        again.
        """
        self._parts += 1
        return Checkpoints(self.folder / f"fit-{self._parts}", every=self.every, keep=self.keep,
                           resume=self.resume, allow_changes=self.allow_changes)  # fmt: skip

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """What is decided before the next part, as JSON data; the same when the training goes on.

        Trials may depend on the time that they are given, which is less then.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> Checkpoints(folder).decided("trial", lambda: [True, "it helps"])
            [True, 'it helps']
            >>> Checkpoints(folder, resume=True).decided("trial", lambda: [False, "no time"])
            [True, 'it helps']
        """
        path = self.folder / f"{name}-{self._parts + 1}.json"
        if self.resume:
            with suppress(OSError, ValueError):
                return json.loads(path.read_bytes())
        found = decide()
        with suppress(OSError):  # on a full disk it is decided anew
            make_folder(self.folder)
            write_atomically(path, json.dumps(found).encode())
        return found

    # ---- writing -------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether it is time for another one, and the last one is written."""
        if self._writing is not None and not self._writing.done():
            return False
        pause = max(self.every, _TIMES_OF_COST * self._cost)
        return time.monotonic() - self._last >= pause

    def submit(self, snapshot: Snapshot, cost: float = 0.0) -> None:
        """Write it beside the training; an error of the one before is said now.

        Args:
            snapshot: its arrays must not change any more.
            cost: the seconds in which the training waited for it.
        """
        self.wait()
        self._last = time.monotonic()

        def work() -> None:
            begun = time.thread_time()
            self.write(snapshot)
            self._cost = cost + time.thread_time() - begun

        self._writing = in_background(work)

    def wait(self) -> None:
        """Until nothing is being written any more; what failed is said as a warning."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except ChainruleError as error:
            warnings.warn(f"A checkpoint could not be written; the training goes on. {error}",
                          RuntimeWarning, stacklevel=2)  # fmt: skip

    def write(self, snapshot: Snapshot) -> None:
        """Write one, then remove those that are no longer needed.

        Raises:
            ChainruleError: it cannot be written. Those that are there stay.
        """
        place = self._free(snapshot.step)
        unfinished = self.folder / f".unfinished-{os.getpid()}"
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            make_folder(self.folder)
            unfinished.mkdir()
            _write(unfinished, snapshot)
            unfinished.rename(place)
            sync_folder(self.folder)
        except OSError as error:
            raise ChainruleError(
                "The checkpoint cannot be written.", where=str(self.folder),
                found=error.strerror or str(error),
            ) from error  # fmt: skip
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        read(place)
        for old in self._places()[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)

    def _free(self, step: int) -> Path:
        """A name for a checkpoint of this step, after those of it that are there."""
        name = f"step-{step:012}"
        there = [place.name for place in self._places() if place.name.startswith(name)]
        return self.folder / (f"{name}-{int(there[0][18:] or 0) + 1:03}" if there else name)

    # ---- reading -------------------------------------------------------------------------------

    def newest(self) -> Snapshot | None:
        """The newest one that is whole; damaged ones are named in a warning.

        Raises:
            ModelFileError: all that are there are damaged.
        """
        problems = []
        for place in self._places():
            try:
                found = read(place)
            except ModelFileError as error:
                problems.append(error)
                continue
            for problem in problems:
                warnings.warn(f"A checkpoint is damaged, the one before it is used. {problem}",
                              RuntimeWarning, stacklevel=2)  # fmt: skip
            return found
        if problems:
            raise problems[0]
        return None

    def _places(self) -> list[Path]:
        """The folders of those that are there, newest first."""
        try:
            found = [part for part in self.folder.iterdir() if _NAME.fullmatch(part.name)]
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise ConfigError("This is a file, not a folder of checkpoints.",
                              where=str(self.folder)) from None  # fmt: skip
        return sorted(found, reverse=True)


def _write(folder: Path, snapshot: Snapshot) -> None:
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a))
              for name, a in snapshot.arrays.items()}  # fmt: skip
    data = safetensors.numpy.save(arrays)
    write_atomically(folder / _STATE, data)
    manifest = {
        "format": _FORMAT,
        "version": _VERSION,
        "step": snapshot.step,
        "files": {_STATE: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}},
        "facts": snapshot.facts,
    }
    write_atomically(folder / _MANIFEST, json.dumps(manifest, ensure_ascii=False).encode())


def read(folder: Path) -> Snapshot:
    """The checkpoint in a folder.

    Raises:
        ModelFileError: it is not whole, or of another version.
    """
    try:
        manifest = _manifest(folder / _MANIFEST)
        expected = manifest["files"][_STATE]
        path = folder / _STATE
        if path.stat().st_size != expected["bytes"]:
            raise _damaged(path, "another size than its manifest says")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != expected["sha256"]:
            raise _damaged(path, "another SHA-256 than its manifest says")
        return Snapshot(manifest["step"], safetensors.numpy.load(data), manifest["facts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(folder, str(error)) from None
    except safetensors.SafetensorError as error:
        raise _damaged(folder, str(error)) from None


def _manifest(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise _damaged(path, f"a file of more than {_LARGEST_MANIFEST:,} bytes")
    content = json.loads(path.read_bytes())
    known = isinstance(content, dict) and content.get("format") == _FORMAT
    if not known or content.get("version") != _VERSION:
        raise ModelFileError(
            "This is not a checkpoint that this version reads.",
            where=str(path),
            expected=f"format {_FORMAT}, version {_VERSION}",
        )
    if not isinstance(content["step"], int) or not isinstance(content["facts"], dict):
        raise _damaged(path, "fields of other types")
    return content


def _damaged(path: Path, found: str) -> ModelFileError:
    return ModelFileError("The checkpoint is damaged.", where=str(path), found=found)


def epochs_done(folder: Path) -> int:
    """The epochs that the newest checkpoints of the last part of a training have done."""
    return max(((part, len(facts["history"])) for part, facts in _newest_facts(folder)),
               default=(0, 0))[1]  # fmt: skip


def seconds_spent(folder: Path) -> float:
    """The seconds of training that the newest checkpoints of all parts of a training are worth."""
    return math.fsum(
        second
        for _, facts in _newest_facts(folder)
        for second in (
            *(record.get("seconds", 0.0) for record in facts["history"]),
            facts.get("position", {}).get("seconds", 0.0),
        )
    )


def _newest_facts(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of each part that has a checkpoint its number, and the facts of its newest one."""
    for part in folder.glob("fit-*"):
        for place in sorted(part.glob("step-*"), reverse=True):
            with suppress(ModelFileError, OSError, ValueError, KeyError):
                facts = _manifest(place / _MANIFEST)["facts"]
                yield int(part.name.partition("-")[2] or 0), facts | {"history": facts["history"]}
                break
