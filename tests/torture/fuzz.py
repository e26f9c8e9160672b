"""Random inputs for every parser and reader: the right answer or a refusal, in time.

A target takes the bytes of an input; whatever it raises that is no `ChainruleError` is a failure,
and so is an input that takes ten seconds of the processor, waits for ever, or ends the process.
What is answered in a way that was not seen before goes into the corpus, from which further inputs
are made; corpus, counts and failures stay in the store, so that the next run goes on.

``python -m tests.torture.fuzz TARGET STORE SECONDS SEED`` runs one target; `__main__` runs all.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import hashlib
import io
import json
import mmap
import os
import re
import shutil
import signal
import sqlite3
import sys
import tarfile
import time
import traceback
import warnings
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import safetensors.numpy

from chainrule.cli.error_handling import explain
from chainrule.errors import ChainruleError

from .mutate import mutated, mutated_json

STORED_RUNS = Path(__file__).parents[1] / "stored_runs"
#: Of the processor: an input that takes longer hangs. One that only waits, `__main__` ends.
SECONDS = 10
#: Of a column: each counts as an input.
CELLS = 1000
#: Inputs that the corpus of a target has at most.
CORPUS = 400


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        seeds: inputs to begin with.
        run: takes an input; the words that it returns tell answers of different kinds.
        change: makes another input; by default it changes some bytes.
        weight: how many inputs an input counts as, such as the cells of a column.
        is_file: whether inputs are whole files.
    """

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], str]
    change: Callable[[Random, bytes, list[bytes]], bytes] = mutated
    weight: int = 1
    is_file: bool = False


class Hang(BaseException):
    """An input that takes too long."""


# ---- in memory -----------------------------------------------------------------------------------


@functools.cache
def stored_files(name: str) -> dict[str, bytes]:
    """What a run folder of an earlier version holds, and the data to predict."""
    content = base64.b64decode((STORED_RUNS / f"{name}.base64").read_text())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}


@functools.cache
def names_of_runs() -> list[str]:
    return sorted(path.stem for path in STORED_RUNS.glob("*.base64"))


@functools.cache
def models() -> list[bytes]:
    """Model files of every kind, the smallest first."""
    found = [content for name in names_of_runs() for path, content in stored_files(name).items()
             if path.endswith("model.safetensors")]  # fmt: skip
    return sorted(found, key=len)


def _header(data: bytes) -> str:
    from chainrule.serialization.reading import parse

    parse(data)
    return "a model"


def _json(data: bytes) -> str:
    from chainrule.serialization.reading import strict_json as read

    return " ".join(sorted({type(v).__name__ for v in read(data, "here").values()}))


def _json_seeds() -> list[bytes]:
    return [b'{"a": [1, 2.5, "x", null, true, {"b": {}}], "c": -1e5}',
            b'{"format": "chainrule", "version": 1, "name": "\\u00e4\\n"}']  # fmt: skip


def _cells() -> list[bytes]:
    cells = ["12", "-3.5", "1,250.00", "1.250,00", "1 250", "(56.00)", "$-", "12 %", "3e5", "NA",
             "2024-01-05", "05/01/2024", "2024-01-05T10:00Z", "Jan 5, 2024", "2024Q1", "2024-W05",
             "10:30", "yes", "no", "true", "0x1F", "+1", "1/2", "12kg", "~5", "<3", "Oslo", "",
             "#DIV/0!", "½", "٣", "1e999", "−4", "12'000", "1_000", "inf", "nan", ".5",
             "5."]  # fmt: skip
    return ["\n".join(cells[i : i + 12] * 12).encode() for i in range(0, len(cells), 6)]


def _read_cells(data: bytes) -> str:
    """A column of text as chainrule looks at one, in every way that it knows."""
    from chainrule.data import parsing
    from chainrule.data.column_profile import Profile, conventions_of
    from chainrule.data.infer_column import decide

    cells = data.decode("utf-8", "replace").split("\n")
    column = pl.Series("cells", (cells * (1 + CELLS // len(cells)))[:CELLS])
    profile = Profile.of(column)
    found = decide(profile, conventions_of([profile]), None, 100, "here")
    for notation in parsing.NOTATIONS[:4]:
        parsing.read_numbers(column, notation)
    parsing.read_booleans(column)
    return type(found).__name__ + str(getattr(found, "kind", ""))


def _other_cells(random: Random, data: bytes, others: list[bytes]) -> bytes:
    """A column in which many cells are others; some columns keep what they have in common."""
    cells = data.split(b"\n")
    often = random.choice((0.02, 0.3, 1))
    return b"\n".join(
        mutated(random, cell, cells, 200).replace(b"\n", b"") if random.random() < often else cell
        for cell in (cells * (1 + CELLS // len(cells)))[:CELLS]
    )


def _text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def _delimited(data: bytes) -> str:
    from chainrule.data.delimited import parse_delimited

    notes: list[str] = []
    frame, separator = parse_delimited(_text_of(data), "t.csv", None, notes)
    return f"{min(frame.width, 4)} {separator} {len(notes)}"


def _tables() -> list[bytes]:
    return [b"a,b,c\n1,2,3\n4,5,6\n", b'a;b\n"x;y";2\n"say ""so""";3\n', b"a\tb\r\n1\t2\r\n",
            b"sep=;\na;b\n1;2\n", b"# title\n\na,b\n1,2\n", b"name  size\nx   1\ny   2\n",
            b'a,b\n"two\nlines",1\n', "größe,ort\n1,Köln\n".encode("latin-1")]  # fmt: skip


# ---- model files with a right digest -------------------------------------------------------------


def signed(data: bytes, change: Callable[[Any], Any]) -> bytes:
    """A model file whose document was changed, with a digest that fits."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    document = json.loads(header["__metadata__"]["chainrule"])
    document.pop("digest")
    text = json.dumps(change(document))
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(safetensors.numpy.load(data).items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    header["__metadata__"]["chainrule"] = f'{text[:-1]}, "digest": "{digest.hexdigest()}"}}'
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data[8 + size :]


def _forge(part: str) -> Callable[[Random, bytes, list[bytes]], bytes]:
    """Changes of one part of the document: its graph, or what else it says."""

    def forged(random: Random, data: bytes, others: list[bytes]) -> bytes:
        def change(document: Any) -> Any:
            if not isinstance(document, dict) or part not in document:
                return document
            inner = document[part]
            if part == "schema" and isinstance(inner, str):
                try:
                    inner = json.dumps(mutated_json(random, json.loads(inner)))
                except ValueError:
                    inner = ""
            else:
                inner = mutated_json(random, inner)
            return {**document, part: inner}

        try:
            return signed(data, change)
        except (ValueError, KeyError, TypeError, AttributeError):
            return mutated(random, data, others)

    return forged


def _predict_graph(data: bytes) -> str:
    """Read a model, and compute two rows of zeros."""
    from chainrule.serialization.reading import parse

    model = parse(data)
    rows = [np.zeros((2, *t.shape[1:]), t.dtype) for t in model.inputs.values()
            if t.size < 10**7]  # fmt: skip
    if len(rows) == len(model.inputs):
        model.compute(rows)
    return "a prediction"


@functools.cache
def place() -> Path:
    """A folder in memory, for this process."""
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    folder = memory / f"torture-fuzz-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder


@functools.cache
def _new_data() -> dict[str, list[Path]]:
    """Raw data of every kind, for forged models."""
    found: dict[str, list[Path]] = {}
    for name in names_of_runs():
        folder = place() / "data" / name
        for path, content in stored_files(name).items():
            if path.startswith("new/"):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        found[name] = sorted((folder / "new").iterdir())
    return found


def _predict_data(data: bytes) -> str:
    """Load a model, and predict raw data of the kinds of all stored runs that it may be of."""
    from chainrule.tasks import load_predictor

    path = place() / "model.safetensors"
    path.write_bytes(data)
    predictor = load_predictor(path)
    kinds = {"images": ["images"], "audio": ["audio"], "text": ["text_classes", "language"],
             "series": ["forecast", "sequences"], "table": ["table_numbers"]}  # fmt: skip
    module = type(predictor).__module__
    names = next((n for kind, n in kinds.items() if f".{kind}" in module), ["table_numbers"])
    names = ["table_numbers", "table_classes"] if ".tabular" in module else names
    said = []
    for name in names:
        for source in _new_data()[name][:1]:
            with contextlib.suppress(ChainruleError):
                said.append(str(predictor.predict(str(source)).width))
    return module + " ".join(said)


# ---- whole files ---------------------------------------------------------------------------------


def _file(suffix: str, read: Callable[[Path], Any]) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        path = place() / f"input{suffix}"
        path.write_bytes(data)
        return type(read(path)).__name__

    return run


def _read_table(path: Path) -> Any:
    from chainrule.data import read_table

    return read_table(path)


def _table_files() -> list[bytes]:
    frame = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "z"], "c": [0.5, 1.5, 2.5]})
    found = [*_tables(), gzip.compress(_tables()[0])]
    for write in (frame.write_parquet, frame.write_ipc, frame.write_ndjson, frame.write_json):
        buffer = io.BytesIO()
        write(buffer)
        found.append(buffer.getvalue())
    path = place() / "seed.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table t (a integer, b text)")
        database.execute("insert into t values (1, 'x'), (2, 'y')")
        database.commit()
    return [*found, path.read_bytes()]


def _image(path: Path) -> Any:
    from chainrule.data.image_files import read_header, read_image

    read_header(str(path))
    return read_image(str(path), 8, 8, "rgb")


def _images() -> list[bytes]:
    from PIL import Image

    found = []
    picture = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        with contextlib.suppress(Exception):
            buffer = io.BytesIO()
            picture.save(buffer, kind)
            found.append(buffer.getvalue())
    buffer = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(buffer, "PNG")
    return [*found, buffer.getvalue()]


def _sound(path: Path) -> Any:
    from chainrule.tasks.audio.decode import read_header, read_sound

    read_header(str(path))
    return read_sound(str(path), 8000, 400)


def _sounds() -> list[bytes]:
    samples = (np.sin(np.arange(400) / 5) * 9000).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    found = [buffer.getvalue()]
    with contextlib.suppress(ImportError):
        import soundfile

        for kind in ("FLAC", "OGG", "AIFF"):
            buffer = io.BytesIO()
            soundfile.write(buffer, samples.astype(float) / 32768, 8000, format=kind)
            found.append(buffer.getvalue())
    return found


def _text(path: Path) -> Any:
    from chainrule.tasks.text.reading import is_text_file, read_text

    is_text_file(path)
    return read_text(path)


def _texts() -> list[bytes]:
    text = "Once upon a time there was a größere Straße.\nНет. 日本語。\n"
    return [text.encode(), text.encode("utf-16"), text.encode("utf-8-sig"), b"plain\r\nold",
            "größer".encode("latin-1"), "Привет".encode("cp1251"),
            "日本".encode("cp932")]  # fmt: skip


def _model(path: Path) -> Any:
    from chainrule.serialization import load

    return load(path)


def _training_states() -> list[bytes]:
    return [content for name in names_of_runs()[:4] for path, content in stored_files(name).items()
            if path.endswith("training.safetensors")]  # fmt: skip


def _training_state(path: Path) -> Any:
    from chainrule.training.checkpoint import load_training

    return load_training(path)


def _records() -> list[bytes]:
    return [content for name in names_of_runs()[:4] for path, content in stored_files(name).items()
            if path.endswith("run.json")]  # fmt: skip


def _record(data: bytes) -> str:
    from chainrule.utils.runs import read_run

    (place() / "run").mkdir(exist_ok=True)
    (place() / "run" / "run.json").write_bytes(data)
    run = read_run(place() / "run")
    return f"{len(run.metrics)} {len(run.options)}"


@functools.cache
def _checkpoint_files() -> tuple[bytes, bytes]:
    from chainrule.training.checkpoints import Checkpoints, Snapshot

    facts = {"history": [{"epoch": 1, "loss": 0.5}], "position": {"epochs": 1}, "identity": {}}
    folder = place() / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    Checkpoints(folder).write(Snapshot(7, {"w": np.ones((2, 3), np.float32)}, facts))
    (found,) = folder.glob("step-*")
    return (found / "manifest.json").read_bytes(), (found / "state.safetensors").read_bytes()


def _checkpoint(data: bytes) -> str:
    """A checkpoint whose manifest, or whose state with a manifest that fits, is this."""
    from chainrule.training.checkpoints import read

    manifest, state = _checkpoint_files()
    if data[:1] in b"{[ " and data:
        manifest = data
    else:
        state = data
        content = json.loads(manifest)
        content["files"]["state.safetensors"] = {
            "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}  # fmt: skip
        manifest = json.dumps(content).encode()
    folder = place() / "step-000000000007"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "state.safetensors").write_bytes(state)
    return f"{len(read(folder).arrays)} arrays"


TARGETS: dict[str, Target] = {
    "model header": Target(lambda: models()[:2], _header),
    "JSON": Target(_json_seeds, _json),
    "cells": Target(_cells, _read_cells, _other_cells, weight=CELLS),
    "delimited text": Target(_tables, _delimited),
    "forged graph": Target(lambda: models()[:6], _predict_graph, _forge("graph")),
    "forged schema": Target(models, _predict_data, _forge("schema")),
    "forged record": Target(models, _predict_data, _forge("record")),
    "run record": Target(_records, _record),
    "table file": Target(_table_files, _file(".data", _read_table), is_file=True),
    "image file": Target(_images, _file(".png", _image), is_file=True),
    "sound file": Target(_sounds, _file(".wav", _sound), is_file=True),
    "text file": Target(_texts, _file(".txt", _text), is_file=True),
    "model file": Target(models, _file(".safetensors", _model), is_file=True),
    "state of an optimizer": Target(
        _training_states, _file(".safetensors", _training_state), is_file=True),
    "checkpoint": Target(
        lambda: list(_checkpoint_files()), _checkpoint, is_file=True),
}  # fmt: skip


# ---- the loop ------------------------------------------------------------------------------------


def answer(target: Target, data: bytes) -> tuple[str, str | None]:
    """What kind of answer an input has, and what is wrong with it."""
    try:
        return target.run(data), None
    except ChainruleError as error:
        explain(error)
        return f"{type(error).__name__} {re.sub('[^a-zA-Z ]', '', error.what)[:60]}", None
    except Hang:
        return "hang", f"it takes more than {SECONDS} seconds"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of polars is no Exception
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        text = "".join(traceback.format_exception(error))[-2500:]
        return f"{type(error).__name__} at {where}", text


@contextlib.contextmanager
def watched(count: list[int]) -> Iterator[None]:
    """Meanwhile an input hangs, while the count stays the same from one tick to the next."""
    last = [-1]

    def tick(number: int, frame: Any) -> None:
        if last[0] == count[0]:
            raise Hang
        last[0] = count[0]

    before = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def inputs(target: Target, corpus: list[bytes], seed: int) -> Iterator[bytes]:
    """Without end, from what is in the corpus, which may grow meanwhile."""
    random = Random(seed)
    while True:
        yield target.change(random, random.choice(corpus), corpus)


def fuzz(name: str, store: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Run a target for some time; see the module.

    Returns:
        ``inputs`` and ``failures``, a dict from kinds of answers to what is wrong.
    """
    target, folder = TARGETS[name], store / "corpus" / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    known_file = folder / "answers.json"
    known = set(json.loads(known_file.read_text())) if known_file.exists() else set()
    corpus = target.seeds() + [p.read_bytes() for p in sorted(folder.glob("*.input"))]
    failures: dict[str, str] = {}
    count, end = [0], time.monotonic() + seconds
    with _current(folder / "current") as note, watched(count):
        for data in inputs(target, corpus, seed):
            note(data)
            kind, wrong = answer(target, data)
            count[0] += 1
            if kind not in known:
                known.add(kind)
                if wrong is not None:
                    failures[kind] = wrong
                    _keep(store / "failures" / name.replace(" ", "-"), data, wrong)
                elif len(corpus) < CORPUS:
                    corpus.append(data)
                    _keep(folder, data)
            if time.monotonic() > end:
                break
    known_file.write_text(json.dumps(sorted(known - failures.keys())))
    shutil.rmtree(place(), ignore_errors=True)
    return {"inputs": count[0] * target.weight, "failures": failures}


@contextlib.contextmanager
def _current(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Notes the input in a file, so that it is known even if it ends the process."""
    size = 2**20
    path.write_bytes(bytes(size))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), size) as memory:

        def note(data: bytes) -> None:
            memory[: 8 + len(data)] = len(data).to_bytes(8, "little") + data

        yield note
    path.unlink()


def _keep(folder: Path, data: bytes, wrong: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(data).hexdigest()[:16]
    (folder / f"{name}.input").write_bytes(data)
    if wrong is not None:
        (folder / f"{name}.txt").write_text(wrong)


if __name__ == "__main__":
    print(json.dumps(fuzz(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))))
