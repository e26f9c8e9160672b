"""Small data sets, drawn from a seed or taken from scikit-learn: features, target, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST_ROWS = 900


@dataclass(frozen=True)
class Data:
    """A data set, split.

    Attributes:
        x: (rows, features) of the training set, standardised, float32.
        y: (rows,) class indices, or standardised numbers.
        x_val: the same of the validation set.
        y_val: its target.
        classes: how many; 0 for numbers.
    """

    x: Array
    y: Array
    x_val: Array
    y_val: Array
    classes: int


def circles(rng: Any) -> tuple[Array, Array, int]:
    """AUTOTRAINER's Circle: two rings with noise 0.1."""
    y = np.arange(1000) % 2
    angle = rng.uniform(0, 2 * np.pi, 1000)
    radius = np.where(y, 0.8, 1.0)[:, None]
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius
    return x + rng.normal(0, 0.1, x.shape), y, 2


def blobs(rng: Any) -> tuple[Array, Array, int]:
    """AUTOTRAINER's Blob: three clouds of standard deviation 2."""
    y = np.arange(1000) % 3
    centres = rng.uniform(-10, 10, (3, 2))
    return centres[y] + rng.normal(0, 2, (1000, 2)), y, 3


def rings(rng: Any) -> tuple[Array, Array, int]:
    """Three rings, well apart."""
    y = np.arange(750) % 3
    angle = rng.uniform(0, 2 * np.pi, 750)
    radius = (y + 1 + rng.normal(0, 0.15, 750))[:, None]
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius, y, 3


def moons(rng: Any) -> tuple[Array, Array, int]:
    """Two half moons."""
    y = np.arange(600) % 2
    t = rng.uniform(0, np.pi, 600)
    x = np.where(y[:, None], np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=1),
                 np.stack([np.cos(t), np.sin(t)], axis=1))  # fmt: skip
    return x + rng.normal(0, 0.15, x.shape), y, 2


def product(rng: Any) -> tuple[Array, Array, int]:
    """The sign of a product (XOR), among features that say nothing."""
    x = rng.normal(0, 1, (800, 5))
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64), 2


def clouds(rng: Any) -> tuple[Array, Array, int]:
    """Four classes of two clouds each, in ten dimensions."""
    y = np.arange(800) % 4
    centres = rng.normal(0, 1.6, (2, 4, 10))
    return centres[rng.integers(0, 2, 800), y] + rng.normal(0, 1, (800, 10)), y, 4


def friedman(rng: Any) -> tuple[Array, Array, int]:
    """Friedman's first function, with five features that say nothing."""
    x = rng.uniform(0, 1, (800, 10))
    y = (10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3]
         + 5 * x[:, 4] + rng.normal(0, 1, 800))  # fmt: skip
    return x, y, 0


def waves(rng: Any) -> tuple[Array, Array, int]:
    """A wave in one of two features."""
    x = rng.uniform(-2, 2, (600, 2))
    return x, np.sin(2.5 * x[:, 0]) + 0.4 * x[:, 1] ** 2 + rng.normal(0, 0.1, 600), 0


def plane(rng: Any) -> tuple[Array, Array, int]:
    """A plane with noise: a linear model is right."""
    x = rng.normal(0, 1, (700, 8))
    return x, x @ rng.normal(0, 1, 8) + rng.normal(0, 0.8, 700), 0


def _sklearn(name: str) -> Callable[[Any], tuple[Array, Array, int]]:
    def load(rng: Any) -> tuple[Array, Array, int]:
        import sklearn.datasets

        x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        keep = rng.permutation(len(x))[:MOST_ROWS]
        # The same columns for each seed, so that programs serve many trainings.
        x = x[:, x.std(axis=0) > 1] if name == "digits" else x
        x, y = x[keep], y[keep]
        return x, y, 0 if name == "diabetes" else int(y.max()) + 1

    return load


DATASETS: dict[str, Callable[[Any], tuple[Array, Array, int]]] = {
    "circles": circles,
    "blobs": blobs,
    "rings": rings,
    "moons": moons,
    "product": product,
    "clouds": clouds,
    "friedman": friedman,
    "waves": waves,
    "plane": plane,
    **{name: _sklearn(name) for name in ("digits", "wine", "breast_cancer", "diabetes", "iris")},
}
#: Those of which a linear model learns little.
CURVED = ("circles", "rings", "product", "waves", "moons")


def load(name: str, seed: int) -> Data:
    """A data set, drawn and split by a seed."""
    rng = np.random.default_rng([seed, 7])
    x, y, classes = DATASETS[name](rng)
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    cut = int(0.7 * len(x)) // 32 * 32  # full batches only: one program for each step
    x = (x - x[:cut].mean(axis=0)) / (x[:cut].std(axis=0) + 1e-9)
    if not classes:
        y = (y - y[:cut].mean()) / y[:cut].std()
    x = x.astype(np.float32)
    y = y.astype(np.int64 if classes else np.float32)
    return Data(x[:cut], y[:cut], x[cut:], y[cut:], classes)
