"""Small trainings with one fault each."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import chainrule as cr
from chainrule.doctor import Doctor
from chainrule.errors import ChainruleError


@pytest.fixture(autouse=True)
def _numpy(without_compiler):
    """Nothing here is about native code."""


class Data:
    """Two classes, told by the sign of a product; and a wave, for regression."""

    def __init__(self, rows: int = 320, features: int = 2, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1.7, 1.7, (rows + 128, features)).astype(np.float32)
        y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
        wave = (np.sin(2 * x[:, :1]) + 0.5 * x[:, 1:2]).astype(np.float32)
        wave = (wave - wave.mean()) / wave.std()
        self.x, self.y, self.wave = x[:rows], y[:rows], wave[:rows]
        self.x_val, self.y_val, self.wave_val = x[rows:], y[rows:], wave[rows:]

    @property
    def classes(self):
        return (self.x, self.y), (self.x_val, self.y_val)

    @property
    def numbers(self):
        return (self.x, self.wave), (self.x_val, self.wave_val)


@pytest.fixture
def data() -> Data:
    return Data()


def net(features=2, outputs=2, width=24, activation=cr.nn.ReLU, end=(), hidden=1, seed=0):
    layers, size = [], features
    for _ in range(hidden):
        layers += [cr.nn.Linear(size, width), activation()]
        size = width
    layers += [cr.nn.Linear(size, outputs, init="xavier_uniform"), *end]
    return cr.nn.Sequential(*layers).initialize(seed)


def examined(model, loss, examples, *, lr=0.02, optimizer=None, epochs=30, **options):
    """The doctor after a training."""
    watch = Doctor()
    optimizer = optimizer or cr.optim.Adam(model, lr=lr)
    trainer = cr.Trainer(model, loss, optimizer, callbacks=[watch], progress=False)
    train, validation = examples
    with contextlib.suppress(ChainruleError):
        trainer.fit(train, validation=validation, epochs=epochs, **options)
    return watch
