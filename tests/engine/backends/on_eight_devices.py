"""Trainings on eight virtual devices beside one: run by `test_xla_devices` in a process of its own.

Prints, as JSON, the losses of each training by its name.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import numpy as np

import chainrule as cr

STEPS = 50


def table(dtype: str) -> tuple[Any, Any]:
    """Rows that neither 8 devices nor batches of 64 divide evenly."""
    x = np.random.default_rng(0).normal(size=(335, 8)).astype(dtype)
    return x, (x[:, :1] ** 2 + x[:, 1:2]).astype(dtype)


def network(dtype: str) -> cr.nn.Module:
    layers = cr.nn.Linear(8, 64), cr.nn.BatchNorm(64), cr.nn.ReLU(), cr.nn.Linear(64, 1)
    return cr.nn.Sequential(*layers).initialize(seed=0).to(dtype)


def losses(backend: Any, dtype: str = "float32") -> list[float]:
    """Of every step: 9 epochs of 6 steps, of which the last has 15 rows."""
    model = network(dtype)
    found = Losses()
    trainer = cr.Trainer(
        model, "mse", cr.optim.SGD(model, lr=0.05, momentum=0.9), callbacks=[found],
        progress=False, backend=backend,
    )  # fmt: skip
    trainer.fit(table(dtype), epochs=9, batch_size=64)
    return found.losses


class Losses(cr.Callback):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step_end(self, trainer: Any, step: int, loss: float) -> None:
        self.losses.append(loss)


def language(backend: Any) -> list[float]:
    """A small GPT that learns to count."""
    model = cr.models.gpt(16, context=8, width=32, heads=4, layers=2).initialize(seed=0)
    tokens = (np.arange(64)[:, None] + np.arange(9)) % 16
    found = Losses()
    trainer = cr.Trainer(
        model, "cross_entropy", cr.optim.SGD(model, lr=0.1), callbacks=[found], progress=False,
        backend=backend,
    )  # fmt: skip
    trainer.fit((tokens[:, :-1], tokens[:, 1:]), epochs=25, batch_size=32)
    return found.losses


def pictures(backend: Any) -> list[float]:
    """Classes of images, of which each has a word beside it."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(96, 8, 8, 2)).astype(np.float32)
    words, classes = rng.integers(0, 12, 96), rng.integers(0, 3, 96)
    model = Captioned().initialize(seed=0)
    found = Losses()
    trainer = cr.Trainer(
        model, "cross_entropy", cr.optim.Adam(model), callbacks=[found], progress=False,
        backend=backend,
    )  # fmt: skip
    trainer.fit(((images, words), classes), epochs=20, batch_size=32)
    return found.losses


class Captioned(cr.nn.Module):
    """Convolutions, dropout and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = cr.nn.Conv2d(2, 4, 3, stride=2)
        self.words = cr.nn.Embedding(12, 5)
        self.dropout = cr.nn.Dropout(0.2)
        self.out = cr.nn.Linear(4 * 9 + 5, 3)

    def forward(self, inputs: Any, train: bool = False, key: Any = None) -> Any:
        """Scores of the classes."""
        images, words = inputs
        seen = cr.flatten(cr.relu(self.conv(images)), 1)
        both = cr.concatenate([seen, self.words(words)], axis=1)
        return self.out(self.dropout(both, train=train, key=key))


def exchanges() -> list[float]:
    """The elements of each array that devices sum in a step of an MLP."""
    from chainrule.engine.backends.xla.program import XlaProgram

    texts = []

    def run(self: Any, program: Any, *arguments: Any) -> Any:
        texts.append(program.lower(*arguments).compile().as_text())
        return program(*arguments)

    XlaProgram._run = run  # type: ignore[method-assign]
    layers = cr.nn.Linear(8, 64), cr.nn.ReLU(), cr.nn.Linear(64, 1)
    model = cr.nn.Sequential(*layers).initialize(seed=0)
    backend = cr.XlaBackend(devices=8)
    step = cr.training.Step(model, cr.losses.mse, cr.optim.AdamW(model), backend=backend)
    step.run(cr.training.Arrays(*table("float32")), np.arange(64).reshape(2, 32))
    shapes = re.findall(r"= (\S+) all-reduce(?:-start)?\(", texts[-1])
    return [float(n) for shape in shapes for n in re.findall(r"\w+\[(\d*)\]", shape)]


def main(which: list[str]) -> None:
    everything = {
        "one": lambda: losses(cr.XlaBackend()),
        "data": lambda: losses(cr.XlaBackend(devices=8)),
        "fsdp": lambda: losses(cr.XlaBackend(devices=8, sharding="fsdp")),
        "one64": lambda: losses(cr.XlaBackend(), "float64"),
        "data64": lambda: losses(cr.XlaBackend(devices=8), "float64"),
        "fsdp64": lambda: losses(cr.XlaBackend(devices=8, sharding="fsdp"), "float64"),
        "gpt": lambda: language(cr.XlaBackend()),
        "gpt tensor": lambda: language(cr.XlaBackend(devices=4, sharding="tensor")),
        "gpt fsdp": lambda: language(cr.XlaBackend(devices=4, sharding="fsdp")),
        "gpt data": lambda: language(cr.XlaBackend(devices=4)),
        "pictures": lambda: pictures(cr.XlaBackend()),
        "pictures data": lambda: pictures(cr.XlaBackend(devices=8)),
        "numpy": lambda: losses("numpy"),
        "exchanges": exchanges,
    }
    print(json.dumps({name: everything[name]() for name in which}))


if __name__ == "__main__":
    main(sys.argv[1:])
