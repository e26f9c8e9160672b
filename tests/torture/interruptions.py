"""Trainings that are interrupted at random and go on: the result has the same bits.

`trainers` interrupts `Trainer.fit` in this process, in the middle of epochs, with any network and
optimizer. `commands` kills ``chainrule train`` with ``kill -9`` before a random step, for every
kind of data, and goes on with ``--resume`` and another number of threads: the model files must have
the same SHA-256.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.engine.backends.registry import find_backend
from chainrule.training import Checkpoints, Stream

from .crashes import Count, fast_place, table

# ---- trainers ------------------------------------------------------------------------------------


class _InterruptAt(cr.Callback):
    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step_end(self, trainer: Any, step: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


class _Recurrent(cr.nn.Module):
    def __init__(self, kind: Any) -> None:
        self.cells = kind(1, 5)
        self.drop = cr.nn.Dropout(0.2)
        self.head = cr.nn.Linear(5, 1)

    def __call__(self, x: Any, *, train: bool = False, key: Any = None) -> Any:
        hidden, _ = self.cells(cr.reshape(x, (x.shape[0], 4, 1)))
        return self.head(self.drop(hidden[:, -1], train=train, key=key))


NETWORKS: dict[str, Callable[[], cr.nn.Module]] = {
    "dropout": lambda: cr.nn.Sequential(
        cr.nn.Linear(4, 8), cr.nn.Tanh(), cr.nn.Dropout(0.3), cr.nn.Linear(8, 1)),
    "batch normalisation": lambda: cr.nn.Sequential(
        cr.nn.Linear(4, 8), cr.nn.BatchNorm(8), cr.nn.ReLU(), cr.nn.Linear(8, 1)),
    "LSTM": lambda: _Recurrent(cr.nn.LSTM),
    "GRU": lambda: _Recurrent(cr.nn.GRU),
}  # fmt: skip

OPTIMIZERS: dict[str, Callable[[cr.nn.Module], Any]] = {
    "SGD": lambda model: cr.optim.SGD(model, lr=0.05, momentum=0.9),
    "Adam": lambda model: cr.optim.Adam(model, lr=cr.optim.CosineAnnealingLR(0.01, 40)),
    "AdamW": lambda model: cr.optim.AdamW(model, lr=cr.optim.ReduceLROnPlateau(0.01, patience=1)),
}


def trainers(seed: int, count: Count, *, backend: str = "numpy") -> None:
    """One training, whole and interrupted a few times.

    Raises:
        AssertionError: the bits differ.
    """
    random = Random(seed)
    network, optimizer = random.choice(list(NETWORKS)), random.choice(list(OPTIMIZERS))
    options = {
        "batch_size": random.choice([None, 9, 16, 23]),
        "shuffle": random.random() < 0.7,
        "accumulate": random.choice([1, 1, 2]) if network != "batch normalisation" else 1,
        "validate_every": random.choice([1, 2]),
        "patience": random.choice([None, 3]),
        "epochs": 5,
    }
    more = {"average": random.choice([None, 0.9]), "seed": seed}
    stream = random.random() < 0.3
    stops = [random.randint(1, 12) for _ in range(random.randint(1, 3))]
    what = f"{network}, {optimizer}, {options}, {more}, stream {stream}, stops {stops}"
    place = fast_place()
    try:

        def fit(folder: str, stop: int, threads: int) -> Any:
            model = NETWORKS[network]().initialize(seed=seed)
            trainer = cr.Trainer(
                model, "mse", OPTIMIZERS[optimizer](model), backend=find_backend(backend, threads),
                callbacks=[_InterruptAt(stop)] if stop else [], progress=False, **more,
            )  # fmt: skip
            keeper = Checkpoints(place / folder, every=random.choice([0, 1000]), resume=True)
            trainer.fit(_data(seed, stream), validation=_rows(20, seed + 1), checkpoints=keeper,
                        **options)  # fmt: skip
            return model, trainer

        whole = fit("whole", 0, 1)
        for stop in stops:
            fit("parts", stop, random.choice([1, 2]))
        parts = fit("parts", 0, random.choice([1, 2]))
        _same(whole, parts, what)
        count("interruptions", len(stops))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _rows(n: int, seed: int) -> Any:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4)).astype(np.float32)
    return x, np.tanh(x @ np.ones((4, 1), np.float32)) + 0.1


def _data(seed: int, stream: bool) -> Any:
    x, y = _rows(70, seed)
    return Stream(lambda rows, epoch: (x[rows] + epoch, y[rows]), y) if stream else (x, y)


def _same(whole: Any, parts: Any, what: str) -> None:
    for expected, found in ((w.state(), p.state()) for w, p in zip(whole, parts, strict=True)):
        assert expected.keys() == found.keys(), what
        for name, array in expected.items():
            assert np.array_equal(array, found[name]), f"{name} differs: {what}"
    losses = [[record["loss"] for record in trainer.history] for _, trainer in (whole, parts)]
    assert losses[0] == losses[1], f"losses differ: {what}"


# ---- commands ------------------------------------------------------------------------------------


def commands(seed: int, count: Count, kinds: tuple[str, ...] = ()) -> None:
    """``chainrule train`` of each kind of data, whole and killed.

    Raises:
        AssertionError: the model files differ, or nothing was left to go on from.
    """
    random = Random(seed)
    for kind in kinds or tuple(KINDS):
        place = fast_place()
        try:
            make, options = KINDS[kind]
            data = make(place, seed)
            train = ["train", data, *options, "--backend", "numpy", "--quiet"]
            _run(place, 0, *train, "--out", "whole")
            kills, steps = 0, random.randint(2, 9)
            while _run(place, steps, *train, "--out", "parts") and kills < 3:
                kills += 1
                count("interruptions", 1)
                steps = random.randint(2, 9) if kills < 3 else 0
                if (place / "parts" / "unfinished.json").exists():
                    train = ["train", "--resume", "parts", "--threads", random.choice("12"),
                             "--quiet"]  # fmt: skip
            expected, found = (_sha(place / name) for name in ("whole", "parts"))
            assert expected == found, f"{kind}, seed {seed}: another model after {kills} kills"
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _run(place: Path, steps: int, *arguments: Any) -> bool:
    """A command in its own process; whether it was killed."""
    if "--resume" in arguments:
        arguments = arguments[: arguments.index("--out")]
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "CHAINRULE_CHECKPOINT_SECONDS": "0",
                   "PYTHONPATH": os.pathsep.join(places)}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(steps), *map(str, arguments)],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode != 0


def _sha(run: Path) -> str:
    return json.loads((run / "run.json").read_text())["model_sha256"]


def _table(place: Path, seed: int) -> str:
    (place / "flats.csv").write_text(table(90, seed))
    return "flats.csv"


def _series(place: Path, seed: int) -> str:
    values = 10 + np.sin(np.arange(160) / 3) + np.random.default_rng(seed).normal(0, 0.1, 160)
    lines = [f"2024-{1 + i // 28:02}-{1 + i % 28:02},{v:.4f}" for i, v in enumerate(values)]
    (place / "sales.csv").write_text("\n".join(["day,sold", *lines]) + "\n")
    return "sales.csv"


def _texts(place: Path, seed: int) -> str:
    random = Random(seed)
    words = {"good": ["fine", "great", "warm", "kind"], "bad": ["poor", "cold", "broken", "late"]}
    lines = [f"{' '.join(random.choices(words[label], k=6))},{label}"
             for label in ("good", "bad") * 40]  # fmt: skip
    (place / "reviews.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    return "reviews.csv"


def _images(place: Path, seed: int) -> str:
    from PIL import Image

    random = np.random.default_rng(seed)
    for label, level in (("dark", 60), ("light", 160)):
        (place / "pictures" / label).mkdir(parents=True)
        for number in range(14):
            pixels = random.integers(0, 60, (8, 8), np.uint8) + np.uint8(level)
            Image.fromarray(pixels).save(place / "pictures" / label / f"{number}.png")
    return "pictures"


def _sounds(place: Path, seed: int) -> str:
    random = np.random.default_rng(seed)
    for label, pitch in (("low", 200), ("high", 900)):
        (place / "sounds" / label).mkdir(parents=True)
        for number in range(12):
            tone = np.sin(np.arange(2000) * pitch * 6.28 / 8000) * 9000
            noise = random.normal(0, 500, 2000)
            with wave.open(str(place / "sounds" / label / f"{number}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes((tone + noise).astype("<i2").tobytes())
    return "sounds"


#: Data, and options of a training that is small, but has epochs of several steps.
KINDS: dict[str, tuple[Callable[[Path, int], str], list[Any]]] = {
    "table": (_table, ["--target", "rent", "--hidden", 4, "--members", 2, "--epochs", 6,
                       "--batch-size", 16, "--dropout", 0.1]),
    "table, cross-validated": (_table, ["--target", "rent", "--hidden", 4, "--members", 2,
                                        "--epochs", 3, "--cv", 2]),
    "series": (_series, ["--target", "sold", "--model", "lstm", "--window", 8, "--hidden", 4,
                         "--epochs", 4]),
    "text": (_texts, ["--target", "label", "--model", "lstm", "--hidden", 4, "--epochs", 4,
                      "--batch-size", 16]),
    "images": (_images, ["--epochs", 4, "--batch-size", 8]),
    "audio": (_sounds, ["--epochs", 3, "--batch-size", 8]),
}  # fmt: skip


def killed_after(steps: int) -> None:
    """Kill this process before a training has done so many steps (counted in chunks)."""
    from chainrule.training import checkpoints
    from chainrule.training.resume import Keeper

    checkpoints._TIMES_OF_COST = 0
    left, real = [steps], Keeper.between_steps

    def between_steps(self: Keeper, trainer: Any, position: Any) -> None:
        real(self, trainer, position)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    Keeper.between_steps = between_steps  # type: ignore[method-assign]


if __name__ == "__main__":
    from chainrule.cli import main

    killed_after(int(sys.argv.pop(1)))
    main()
