"""Convolutional and recurrent networks and transformers: what every peer is given to do.

Weights have names and layouts of their own here: images are (rows, height, width, channels),
kernels (height, width, in, out), matrices (in, out). Every peer brings them into its layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .task import Array, Task, Weights

#: Channels of the six convolutions.
CHANNELS = (32, 32, 64, 64, 128, 128)


@dataclass(frozen=True)
class Transformer:
    """The sizes of a GPT-2."""

    vocabulary: int
    time: int
    width: int
    heads: int
    layers: int


TRANSFORMERS = {
    "GPT": Transformer(vocabulary=65, time=64, width=128, heads=4, layers=4),
    "GPT-2": Transformer(vocabulary=50257, time=64, width=768, heads=12, layers=12),
}
#: Of the recurrent network.
VOCABULARY, TIME, EMBEDDING, HIDDEN = 65, 64, 64, 128


@dataclass(frozen=True)
class Deep:
    """A network, trained by Adam in float32 with cross-entropy.

    Attributes:
        name: as in the tables.
        about: what it is, in a few words.
        batch: rows in a step.
        steps: the data are so many batches; their losses are compared.
        multiplications: of the matrix products and convolutions of the forward pass for one row;
            the first number is that of the first layer, whose input needs no gradient.
    """

    name: str
    about: str
    batch: int
    steps: int
    multiplications: tuple[int, int]

    @property
    def flops(self) -> int:
        """Of products and convolutions in one step, a multiplication and an addition being two.

        Forward, and backward for the weights and for the input of each layer but the first.
        """
        first, others = self.multiplications
        return 2 * self.batch * (2 * first + 3 * others)


def _transformer(size: Transformer) -> tuple[int, int]:
    """Multiplications of a row: 12·width² a block and word, the attention's scores, the output."""
    block = 12 * size.width**2 + 2 * size.time * size.width
    return 0, size.time * (size.layers * block + size.width * size.vocabulary)


def _six_convolutions() -> tuple[int, int]:
    inputs, sides = (3, *CHANNELS), (32, 32, 16, 16, 8, 8)
    each = [9 * a * b * s * s for a, b, s in zip(inputs, CHANNELS, sides, strict=False)]
    return each[0], sum(each[1:]) + 128 * 10


DEEP = {
    network.name: network
    for network in (
        Deep("LeNet", "16 and 32 channels 5×5 same, 28×28", 64, 20,
             (25 * 16 * 28**2, 25 * 16 * 32 * 14**2 + 1568 * 128 + 1280)),
        Deep("6 convolutions", "3×3 with BatchNorm, 32-64-128 channels, 32×32", 32, 10,
             _six_convolutions()),
        Deep("LSTM", "64→128, 64 letters of 65", 32, 20,
             (0, TIME * ((EMBEDDING + HIDDEN) * 4 * HIDDEN + HIDDEN * VOCABULARY))),
        Deep("GPT", "4 layers, 128 wide, 4 heads, 64 letters of 65", 16, 20,
             _transformer(TRANSFORMERS["GPT"])),
        Deep("GPT-2", "124 million parameters, 64 words", 4, 2,
             _transformer(TRANSFORMERS["GPT-2"])),
    )
}  # fmt: skip


def make_deep_task(name: str) -> Task:
    """The same numbers for everybody: something that can be learned, with noise."""
    network = DEEP[name]
    random = np.random.default_rng(0)
    rows = network.steps * network.batch
    weights, shape = _WEIGHTS[name](random)
    if len(shape) == 3:
        y = random.integers(10, size=rows)
        centres = random.random((10, *shape), dtype=np.float32)
        x = 0.5 * centres[y] + 0.5 * random.random((rows, *shape), dtype=np.float32)
    else:
        words = _sentences(random, rows, *shape)
        x, y = words[:, :-1].copy(), words[:, 1:].copy()
    order = random.permutation(rows).reshape(network.steps, network.batch)
    return Task(network, x, y, weights, order)


def _sentences(random: np.random.Generator, rows: int, time: int, vocabulary: int) -> Array:
    """(rows, time + 1) words, each one of four that may follow the word before."""
    followers = random.integers(vocabulary, size=(vocabulary, 4))
    words = [random.integers(vocabulary, size=rows)]
    for _ in range(time):
        words.append(followers[words[-1], random.integers(4, size=rows)])
    return np.stack(words, axis=1).astype(np.int64)


# ---- initial weights -----------------------------------------------------------------------------

Draw = Callable[[np.random.Generator], tuple[Weights, tuple[int, ...]]]


def _linear(random: np.random.Generator, name: str, *shape: int) -> Iterator[tuple[str, Array]]:
    """A weight of He's size (the last axis is the output) and a bias of zeros."""
    yield f"{name}.weight", _he(random, *shape)
    yield f"{name}.bias", np.zeros(shape[-1], np.float32)


def _he(random: np.random.Generator, *shape: int) -> Array:
    scale = np.float32(math.sqrt(2 / math.prod(shape[:-1])))
    return random.standard_normal(shape, dtype=np.float32) * scale


def _norm(name: str, width: int) -> Iterator[tuple[str, Array]]:
    yield f"{name}.weight", np.ones(width, np.float32)
    yield f"{name}.bias", np.zeros(width, np.float32)


def _lenet_weights(random: np.random.Generator) -> tuple[Weights, tuple[int, ...]]:
    weights = {
        **dict(_linear(random, "conv1", 5, 5, 1, 16)),
        **dict(_linear(random, "conv2", 5, 5, 16, 32)),
        **dict(_linear(random, "linear1", 1568, 128)),
        **dict(_linear(random, "linear2", 128, 10)),
    }
    return weights, (28, 28, 1)


def _convolution_weights(random: np.random.Generator) -> tuple[Weights, tuple[int, ...]]:
    weights: Weights = {}
    for number, (a, b) in enumerate(zip((3, *CHANNELS), CHANNELS, strict=False)):
        weights[f"conv{number}.weight"] = _he(random, 3, 3, a, b)
        weights.update(_norm(f"norm{number}", b))
    weights.update(_linear(random, "linear", 128, 10))
    return weights, (32, 32, 3)


def _lstm_weights(random: np.random.Generator) -> tuple[Weights, tuple[int, ...]]:
    """Two biases, as most systems have them."""
    weights = {
        "embedding": random.standard_normal((VOCABULARY, EMBEDDING), dtype=np.float32),
        **dict(_linear(random, "input", EMBEDDING, 4 * HIDDEN)),
        **dict(_linear(random, "hidden", HIDDEN, 4 * HIDDEN)),
        **dict(_linear(random, "head", HIDDEN, VOCABULARY)),
    }
    return weights, (TIME, VOCABULARY)


def _gpt_weights(name: str, random: np.random.Generator) -> tuple[Weights, tuple[int, ...]]:
    size = TRANSFORMERS[name]
    small = np.float32(0.02)
    weights: Weights = {
        "tokens": random.standard_normal((size.vocabulary, size.width), dtype=np.float32) * small,
        "positions": random.standard_normal((size.time, size.width), dtype=np.float32) * small,
    }
    for number in range(size.layers):
        block = f"block{number}"
        weights.update(_norm(f"{block}.norm1", size.width))
        for part in ("q", "k", "v", "out"):
            weights.update(_linear(random, f"{block}.{part}", size.width, size.width))
        weights.update(_norm(f"{block}.norm2", size.width))
        weights.update(_linear(random, f"{block}.linear1", size.width, 4 * size.width))
        weights.update(_linear(random, f"{block}.linear2", 4 * size.width, size.width))
    weights.update(_norm("norm", size.width))
    for key in weights:  # small steps at first: each block adds little to what goes past it
        if key.endswith(("out.weight", "linear2.weight")):
            weights[key] *= np.float32(0.1)
    return weights, (size.time, size.vocabulary)


_WEIGHTS: dict[str, Draw] = {
    "LeNet": _lenet_weights,
    "6 convolutions": _convolution_weights,
    "LSTM": _lstm_weights,
    "GPT": lambda random: _gpt_weights("GPT", random),
    "GPT-2": lambda random: _gpt_weights("GPT-2", random),
}
