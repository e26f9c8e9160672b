"""Random changes of training sounds that leave the class as it is.

Each is a function of (seed, epoch, row): the same for any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...utils.random import generator, uniform
from ...utils.typing import Array
from ..kinds.audio import CHANGES
from ..kinds.media import changes_in

_LIGHT = ("shift", "speed", "noise")
#: Largest shift and silent stretch as fractions of the length; factor of the speed.
_SHIFT, _MASK, _SPEED = 0.1, 0.15, 0.25
#: The noise is so many times softer than the sound: 10 to 50 dB.
_SOFTER = (10.0, 50.0)
#: λ of mixup is of Beta(α, α) (Zhang et al., 2018).
_ALPHA = 0.2


def parse(text: str) -> tuple[str, ...] | None:
    """The changes that an option names; None if it names others.

    Example:
        >>> parse("light"), parse("hum")
        (('shift', 'speed', 'noise'), None)
    """
    return changes_in(text, CHANGES, _LIGHT)


@dataclass(frozen=True)
class Augment:
    """Changes batches of sounds.

    Args:
        changes: names in `CHANGES`.
        seed: all that is random follows from it, the epoch and the row.
    """

    changes: tuple[str, ...]
    seed: int

    def __call__(
        self, batch: Array, rows: Array, epoch: int
    ) -> tuple[Array, Array | None, Array | None]:
        """Changed sounds; with mixup also λ of each and the index of its partner.

        Args:
            batch: (n, samples) int16.
            rows: (n,) the index of each sound.
            epoch: from 1.
        """
        draws = uniform(self.seed, "augment", epoch, rows, 8)
        x = batch.astype(np.float32)
        if {"shift", "speed"} & set(self.changes):
            x = self._moved(x, draws)
        if "mask" in self.changes:
            x = _masked(x, draws[:, 2:4])
        if "noise" in self.changes:
            x = self._noisy(x, draws[:, 4], rows, epoch)
        weight = partner = None
        if "mixup" in self.changes:
            rng = generator(self.seed, "mixup", epoch, *rows[:1])
            weight = rng.beta(_ALPHA, _ALPHA, len(x))
            partner = rng.permutation(len(x))
            own = weight.astype(np.float32)[:, None]
            x = own * x + (1 - own) * x[partner]
        return np.clip(np.rint(x), -32768, 32767).astype(np.int16), weight, partner

    def _moved(self, x: Array, draws: Array) -> Array:
        """Faster or slower, which is higher or lower too, and earlier or later.

        The value at t of the result is taken at f·(t - c) + c + d of the sound, between its two
        neighbours (linear).
        """
        count, samples = x.shape
        either = 2 * draws - 1  # from -1 to 1
        factor = np.exp(_SPEED * ("speed" in self.changes) * either[:, :1])
        offset = np.rint(_SHIFT * ("shift" in self.changes) * samples * either[:, 1:2])
        middle = (samples - 1) / 2
        positions = factor * (np.arange(samples) - middle) + middle + offset
        padded = np.pad(x, ((0, 0), (1, 2)))  # two: positions may be as far out as samples + 1
        positions = np.clip(positions + 1, 0, samples + 1)
        before = positions.astype(np.int64)
        after = (positions - before).astype(np.float32)
        row = np.arange(count)[:, None]
        return np.asarray(padded[row, before] * (1 - after) + padded[row, before + 1] * after)

    def _noisy(self, x: Array, draws: Array, rows: Array, epoch: int) -> Array:
        """White noise, softer than the sound by a random number of decibels."""
        softer = _SOFTER[0] + (_SOFTER[1] - _SOFTER[0]) * draws
        level = np.sqrt((x**2).mean(axis=1)) * 10 ** (-softer / 20)
        noise = np.stack([
            generator(self.seed, "noise", epoch, row).standard_normal(x.shape[1], np.float32)
            for row in rows
        ])  # fmt: skip
        return np.asarray(x + level.astype(np.float32)[:, None] * noise)


def _masked(x: Array, draws: Array) -> Array:
    """Silence for a stretch somewhere (time masking: Park et al., SpecAugment, 2019)."""
    samples = x.shape[1]
    length = _MASK * samples * draws[:, :1]
    start = draws[:, 1:] * (samples - length)
    time = np.arange(samples)
    return np.where((time >= start) & (time < start + length), np.float32(0), x)
