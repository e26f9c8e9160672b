"""JAX's networks, as functions of the weights of a task and the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..deep import CHANNELS, HIDDEN, TRANSFORMERS
from ..dense import Dense
from ..task import Task


def _linear(w: Any, name: str, x: Any) -> Any:
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def _dense(w: Any, x: Any) -> Any:
    last = len(w) // 2 - 1
    for number in range(last):
        x = jax.nn.relu(_linear(w, f"linear{number}", x))
    return _linear(w, f"linear{last}", x)


def _convolution(x: Any, kernel: Any) -> Any:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _halved(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _lenet(w: Any, x: Any) -> Any:
    for name in ("conv1", "conv2"):
        x = _halved(jax.nn.relu(_convolution(x, w[f"{name}.weight"]) + w[f"{name}.bias"]))
    x = x.reshape(len(x), -1)
    return _linear(w, "linear2", jax.nn.relu(_linear(w, "linear1", x)))


def _six_convolutions(w: Any, x: Any) -> Any:
    for number in range(len(CHANNELS)):
        x = _convolution(x, w[f"conv{number}.weight"])
        centred = x - x.mean((0, 1, 2))
        normal = centred * lax.rsqrt((centred**2).mean((0, 1, 2)) + 1e-5)
        x = jax.nn.relu(normal * w[f"norm{number}.weight"] + w[f"norm{number}.bias"])
        if number in (1, 3):
            x = _halved(x)
    return _linear(w, "linear", x.mean((1, 2)))


def _lstm(w: Any, words: Any) -> Any:
    projected = _linear(w, "input", w["embedding"][words]).swapaxes(0, 1)

    def step(state: Any, x: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x + _linear(w, "hidden", h), 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((len(words), HIDDEN))
    _, h = lax.scan(step, (start, start), projected)
    return _linear(w, "head", h.swapaxes(0, 1))


def _norm(w: Any, name: str, x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    normal = centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normal * w[f"{name}.weight"] + w[f"{name}.bias"]


def _gpt(name: str) -> Callable[[Any, Any], Any]:
    size = TRANSFORMERS[name]

    def forward(w: Any, words: Any) -> Any:
        x = w["tokens"][words] + w["positions"]
        shape = (*words.shape, size.heads, size.width // size.heads)
        for number in range(size.layers):
            block = f"block{number}"
            y = _norm(w, f"{block}.norm1", x)
            q, k, v = (_linear(w, f"{block}.{part}", y).reshape(shape) for part in "qkv")
            y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
            x = x + _linear(w, f"{block}.out", y.reshape(x.shape))
            y = jax.nn.gelu(
                _linear(w, f"{block}.linear1", _norm(w, f"{block}.norm2", x)), approximate=False
            )
            x = x + _linear(w, f"{block}.linear2", y)
        return _norm(w, "norm", x) @ w["tokens"].T

    return forward


def network(task: Task) -> Callable[[Any, Any], Any]:
    """The function that computes the task's network."""
    name = task.network.name
    if isinstance(task.network, Dense):
        return _dense
    known = {"LeNet": _lenet, "6 convolutions": _six_convolutions, "LSTM": _lstm}
    return known[name] if name in known else _gpt(name)
