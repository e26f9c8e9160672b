"""Keras's networks, with the weights of a task."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ..deep import CHANNELS, TRANSFORMERS
from ..dense import Dense
from ..task import Array, Task, Weights


def _pair(weights: Weights, name: str) -> list[Array]:
    return [weights[f"{name}.weight"], weights[f"{name}.bias"]]


def _dense(weights: Weights, sizes: tuple[int, ...]) -> Any:
    hidden: list[Any] = [layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    model = keras.Sequential([keras.Input(sizes[:1]), *hidden, layers.Dense(sizes[-1])])
    model.set_weights(list(weights.values()))
    return model


def _lenet(weights: Weights) -> Any:
    parts = [keras.Input((28, 28, 1))]
    for width in (16, 32):
        parts += [layers.Conv2D(width, 5, padding="same", activation="relu"), layers.MaxPool2D(2)]
    parts += [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
    model = keras.Sequential(parts)
    model.set_weights(list(weights.values()))
    return model


def _six_convolutions(weights: Weights) -> Any:
    parts: list[Any] = [keras.Input((32, 32, 3))]
    for number, width in enumerate(CHANNELS):
        parts += [
            layers.Conv2D(width, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.ReLU(),
        ]
        if number in (1, 3):
            parts.append(layers.MaxPool2D(2))
    model = keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(10)])
    values = iter(weights.values())
    for variable in model.trainable_variables:  # without the running statistics
        variable.assign(next(values))
    return model


def _lstm(weights: Weights) -> Any:
    model = keras.Sequential([
        keras.Input((64,), dtype="int64"),
        layers.Embedding(65, 64),
        layers.LSTM(128, return_sequences=True),
        layers.Dense(65),
    ])  # fmt: skip
    first, hidden = _pair(weights, "input"), _pair(weights, "hidden")
    bias = first[1] + hidden[1]  # Keras has one
    model.set_weights([weights["embedding"], first[0], hidden[0], bias, *_pair(weights, "head")])
    return model


class _Tied(layers.Layer):  # type: ignore[misc]
    """Words as vectors with positions, and back to logits by the same matrix."""

    def __init__(self, vocabulary: int, time: int, width: int) -> None:
        super().__init__(name="ends")
        self.words = layers.Embedding(vocabulary, width)
        self.places = layers.Embedding(time, width)
        self.time = time

    def call(self, words: Any) -> Any:
        return self.words(words) + self.places(ops.arange(self.time))

    def logits(self, x: Any) -> Any:
        return ops.matmul(x, ops.transpose(self.words.embeddings))


class _GPT(keras.Model):  # type: ignore[misc]
    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__(name="gpt")
        size = TRANSFORMERS[name]
        self.ends = _Tied(size.vocabulary, size.time, size.width)
        self.parts: list[list[Any]] = []
        for _ in range(size.layers):
            self.parts.append([
                layers.LayerNormalization(epsilon=1e-5),
                layers.MultiHeadAttention(size.heads, size.width // size.heads),
                layers.LayerNormalization(epsilon=1e-5),
                layers.Dense(4 * size.width, activation=keras.activations.gelu),
                layers.Dense(size.width),
            ])  # fmt: skip
        self.norm = layers.LayerNormalization(epsilon=1e-5)
        self(np.zeros((1, size.time), np.int64))
        self.ends.words.set_weights([weights["tokens"]])
        self.ends.places.set_weights([weights["positions"]])
        heads = (size.heads, size.width // size.heads)
        for number, (norm1, attention, norm2, linear1, linear2) in enumerate(self.parts):
            name = f"block{number}"
            norm1.set_weights(_pair(weights, f"{name}.norm1"))
            norm2.set_weights(_pair(weights, f"{name}.norm2"))
            linear1.set_weights(_pair(weights, f"{name}.linear1"))
            linear2.set_weights(_pair(weights, f"{name}.linear2"))
            values: list[Array] = []
            for part in "qkv":
                w, b = _pair(weights, f"{name}.{part}")
                values += [w.reshape(size.width, *heads), b.reshape(heads)]
            w, b = _pair(weights, f"{name}.out")
            names = [v.path.split("/")[-2] for v in attention.trainable_variables[:6:2]]
            where = {"query": 0, "key": 2, "value": 4}
            order = [i for part in names for i in (where[part], where[part] + 1)]
            attention.set_weights([values[i] for i in order] + [w.reshape(*heads, size.width), b])

    def call(self, words: Any) -> Any:
        x = self.ends(words)
        for norm1, attention, norm2, linear1, linear2 in self.parts:
            y = norm1(x)
            x = x + attention(y, y, use_causal_mask=True)
            x = x + linear2(linear1(norm2(x)))
        return self.ends.logits(self.norm(x))


def network(task: Task) -> Any:
    """The network with the task's weights."""
    name = task.network.name
    if isinstance(task.network, Dense):
        return _dense(task.weights, task.network.sizes)
    if name in TRANSFORMERS:
        return _GPT(task.weights, name)
    known = {"LeNet": _lenet, "6 convolutions": _six_convolutions, "LSTM": _lstm}
    return known[name](task.weights)
