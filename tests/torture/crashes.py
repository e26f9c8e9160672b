"""Crashes at every point of training and saving, and errors of the disk at every call.

One training is recorded, call by call; then every state in which a crash may have left its folder
is looked at. What must hold: a checkpoint that was finished can be read, with the arrays that it
was given, or a later one; a model file is whole; a record of a run belongs to its model.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.errors import ModelFileError
from chainrule.serialization.reading import parse
from chainrule.training import Checkpoints, checkpoints
from chainrule.utils.files import MODEL, TRAINING
from chainrule.utils.runs import RECORD
from chainrule.utils.unfinished import UNFINISHED

from .disk import Disk, write_tree

Count = Callable[[str, int], None]


def table(rows: int, seed: int) -> str:
    """A small CSV whose rent follows from its size and city."""
    random = np.random.default_rng(seed)
    size = random.uniform(20, 120, rows)
    city = random.choice(["Oslo", "Rome", "Bern"], rows)
    rent = 8 * size + 200 * (city == "Oslo") + random.normal(0, 20, rows)
    lines = [f"{s:.1f},{c},{r:.0f}" for s, c, r in zip(size, city, rent, strict=True)]
    return "\n".join(["m2,city,rent", *lines]) + "\n"


def fast_place() -> Path:
    """A new folder in memory, if there is such a file system."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="torture-", dir=memory if memory.is_dir() else None))


def run(folder: Path, *arguments: Any) -> Any:
    """A command, in this process, in a folder."""
    with warnings.catch_warnings(), contextlib.chdir(folder):
        warnings.simplefilter("ignore")
        return CliRunner().invoke(app, list(map(str, arguments)))


@contextlib.contextmanager
def often(disk: Disk | None = None) -> Iterator[None]:
    """Checkpoints after every step; what was written is promised from then on."""
    real = Checkpoints.write

    def write(self: Checkpoints, snapshot: Any) -> None:
        real(self, snapshot)
        if disk is not None:
            disk.promise((self.folder.name, snapshot.step, digest(snapshot.arrays)))

    environment = {"CHAINRULE_CHECKPOINT_SECONDS": "0", "CHAINRULE_CC": ""}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(checkpoints, "_TIMES_OF_COST", 0),
        mock.patch.object(checkpoints, "in_background", _at_once),
        mock.patch.object(Checkpoints, "write", write),
    ):
        yield


def _at_once(work: Callable[[], None]) -> Future[None]:
    """The work is done when this returns: a recording of it is the same each time."""
    future: Future[None] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future


def digest(arrays: Any) -> str:
    """SHA-256 of arrays by name."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode() + arrays[name].tobytes())
    return found.hexdigest()


def training(folder: Path, seed: int, *more: Any) -> list[Any]:
    """The command of a small training, on a table that is made for it."""
    data = folder.parent / "flats.csv"
    if not data.exists():
        data.write_text(table(60, seed))
    return ["train", data.name, "--target", "rent", "--hidden", 4, "--members", 2, "--epochs", 5,
            "--batch-size", 16, "--seed", seed, "--backend", "numpy", "--quiet",
            "--out", folder.name, *more]  # fmt: skip


# ---- crashes -------------------------------------------------------------------------------------


def crash(seed: int, count: Count, most: int | None = None) -> None:
    """Record a training, its saving and its replacement by another one; crash at every point.

    Args:
        seed: of the data, the training and what is torn.
        count: is told how many points were looked at.
        most: look at so many points only, spread over all.

    Raises:
        AssertionError: a state in which something is lost.
    """
    place = fast_place()
    try:
        folder = place / "run"
        folder.mkdir()
        disk = Disk(folder)
        with often(disk), disk.recording():
            for more in ([], ["--force", "--activation", "tanh"]):
                done = run(place, *training(folder, seed, *more))
                assert done.exit_code == 0, done.output
                disk.promise(("model", 0, hashlib.sha256(_model(folder)).hexdigest()))
        random = Random(seed)
        states = list(disk.crashes(random))
        if most is not None:
            states = [states[i] for i in sorted(random.sample(range(len(states)), most))]
        known = {what[2] for _, what in disk.promises if what[0] == "model"}
        for number, (calls, how, tree) in enumerate(states):
            here = place / f"state-{number}"
            here.mkdir()
            write_tree(tree, here)
            promised = [what for when, what in disk.promises if when <= calls]
            try:
                look(here, promised, known, disk, calls)
            except AssertionError as error:
                last = disk.calls[calls - 1] if calls else None
                raise AssertionError(f"{error}; {how} after {calls} calls, the last {last}; "
                                     f"seed {seed}; {sorted(tree)}") from error  # fmt: skip
            shutil.rmtree(here)
        count("crash points", len(states))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _model(folder: Path) -> bytes:
    return (folder / MODEL).read_bytes()


def look(here: Path, promised: list[Any], known: set[str], disk: Disk, calls: int) -> None:
    """What must hold in a run folder after a crash."""
    record = read_json(here / RECORD)
    unfinished = read_json(here / UNFINISHED)
    if (here / MODEL).exists():
        content = _model(here)
        assert hashlib.sha256(content).hexdigest() in known, "a torn model file"
        if calls % 50 == 0:
            parse(content)
    if record is not None:
        assert (here / MODEL).exists(), "a record without a model"
        belongs = record["model_sha256"] == hashlib.sha256(_model(here)).hexdigest()
        assert belongs, "a record of another model"
    if any(what[0] == "model" for what in promised[-1:]):
        assert record is not None, "a finished run is lost"
        assert (here / TRAINING).exists(), "a finished state is lost"
    elif any(what[0] == "model" for what in promised):
        pass  # a training that replaces another one begins: its checkpoints are below
    _look_at_checkpoints(here, promised, unfinished, record, {w[2] for _, w in disk.promises})


def _look_at_checkpoints(
    here: Path, promised: list[Any], unfinished: Any, record: Any, written: set[str]
) -> None:
    since = max((i for i, what in enumerate(promised) if what[0] == "model"), default=-1)
    finished = promised[since + 1 :]
    if not finished or (unfinished is None and record is not None):
        return  # nothing was promised, or the training is over and its run is whole
    assert unfinished is not None, "the record of an unfinished training is lost"
    part = finished[-1][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = Checkpoints(here / "checkpoints" / part).newest()
        except ModelFileError as error:
            raise AssertionError(f"no checkpoint can be read: {error}") from error
    over = record is not None  # then they are being removed
    assert found is not None or over, "all checkpoints are lost"
    if found is not None and not over:
        steps = [step for name, step, _ in finished if name == part]
        assert found.step >= max(steps), "the newest finished checkpoint is lost"
        assert digest(found.arrays) in written, "other arrays"


def read_json(path: Path) -> Any:
    """A JSON file, or None if there is none."""
    if not path.exists():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise AssertionError(f"a torn {path.name}") from error


# ---- errors --------------------------------------------------------------------------------------


def fail(seed: int, count: Count, points: int | None = None) -> None:
    """Train and save while one call of the disk fails, for every call in turn.

    The training ends with a run, whose model has the same bits, or, where the run itself cannot be
    written, with a message; never with a traceback, and an older run is whole.
    """
    place = fast_place()
    try:
        (place / "a").mkdir()
        disk = Disk(place / "a" / "run")
        disk.folder.mkdir()
        with often(), disk.recording():
            assert run(place / "a", *training(disk.folder, seed)).exit_code == 0
        expected = _model(disk.folder)
        numbers = range(len(disk.calls))
        random = Random(seed)
        chosen = numbers if points is None else random.sample(numbers, min(points, len(numbers)))
        for number in chosen:
            error = random.choice([errno.ENOSPC, errno.EIO])
            _failed_once(place / "a" / "flats.csv", number, error, seed, expected)
        count("disk errors", len(chosen))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _failed_once(data: Path, number: int, error: int, seed: int, expected: bytes) -> None:
    place = fast_place()
    try:
        shutil.copy(data, place / "flats.csv")
        disk = Disk(place / "run", fails=number, error=error)
        disk.folder.mkdir()
        with (
            often(),
            mock.patch.dict(os.environ, {"TMPDIR": str(place)}),
            mock.patch.object(tempfile, "tempdir", str(place)),
            disk.recording(),
        ):
            done = run(place, *training(disk.folder, seed))
        where = f"{errno.errorcode[error]} at call {number} ({disk.calls[-1:]}), seed {seed}"
        assert "mistake in chainrule" not in done.output, f"{where}: {done.output}"
        assert done.exit_code in (0, 1, 2), f"{where}: {done.exit_code} {done.output}"
        models = list(place.glob(f"*/{MODEL}"))
        if done.exit_code == 0 or models:
            assert models, f"{where}: no model, and exit code 0"
            assert all(model.read_bytes() == expected for model in models), where
        for model in models:
            record = read_json(model.parent / RECORD)
            own = hashlib.sha256(expected).hexdigest()
            assert record is None or record["model_sha256"] == own, where
    finally:
        shutil.rmtree(place, ignore_errors=True)
